"""How one network differs from another: their parts aligned, and each added, removed or changed one named.

Parts are what a table at block depth shows: outermost blocks, and the layers outside them. They are aligned by what
they are and what they are called, so that a layer put into a numbered list does not make changes of all that follow.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from msgspec import Struct

from gnet_inspect.analysis.alignment import align
from gnet_inspect.graph import Graph, Group, Node
from gnet_inspect.graph.nodes import INPUT
from gnet_inspect.ops import Op, Shape
from gnet_inspect.units import dimensions


class Change(Struct, frozen=True):
    """One part, before and after.

    `status` is "added", "removed", "changed" (in its own layers), "affected" (the same layers, but other numbers or
    shapes because of what comes before), "renamed" or "same". `what` says what was changed, `was` is the name before
    where there is another one now; numbers of a part that is not there are 0, its shape None. `layers` are the changes
    inside a changed block. `before` and `after` add up to the totals of the two networks.
    """

    status: str
    stage: str
    name: str
    was: str | None
    kind: str
    what: tuple[str, ...]
    params_before: int
    params_after: int
    macs_before: int
    macs_after: int
    output_before: Shape | None
    output_after: Shape | None
    layers: "tuple[Change, ...]" = ()


class _Part(NamedTuple):
    """A block or a layer of one of the networks; `content` is what it is, whatever its own name and input."""

    stage: str
    name: str
    kind: str
    content: Hashable
    nodes: tuple[Node, ...]
    group: Group | None

    @property
    def params(self) -> int:
        return sum(node.params for node in self.nodes)

    @property
    def macs(self) -> int:
        return sum(node.macs for node in self.nodes)

    @property
    def output(self) -> Shape:
        return self.nodes[-1].output_shape

    @property
    def reads(self) -> tuple[str, ...]:
        """The nodes outside it whose outputs it reads, each once."""
        inside = {node.name for node in self.nodes}
        return tuple(dict.fromkeys(name for node in self.nodes for name in node.inputs if name not in inside))

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        """The shapes of what it reads from outside, each as often as it is read."""
        inside = {node.name for node in self.nodes}
        return tuple(
            shape
            for node in self.nodes
            for name, shape in zip(node.inputs, node.input_shapes, strict=True)
            if name not in inside
        )


def difference(before: Graph, after: Graph) -> tuple[Change, ...]:
    """Every part of both networks, in execution order; what was removed stands where it was."""
    pairs = _aligned(_parts(before), _parts(after))
    rerouted = _rerouted(pairs)
    return tuple(_change(old, new, rerouted.get(index, ())) for index, (old, new) in enumerate(pairs))


def _parts(graph: Graph) -> list[_Part]:
    found: list[_Part] = []

    def collect(group: Group, stage: str) -> None:
        for child in group.children:
            if isinstance(child, int):
                found.append(_layer(graph.nodes[child], stage))
            elif child.role == "block":
                nodes = tuple(graph.nodes[index] for index in child.nodes())
                found.append(_Part(stage, child.name, child.kind, _content(nodes, child.name), nodes, child))
            else:
                collect(child, stage)

    for stage in graph.stages:
        collect(stage, stage.name)
    return found


def _layer(node: Node, stage: str, scope: str = "") -> _Part:
    name = node.name.removeprefix(f"{scope}.")
    return _Part(stage, name, node.op.kind, node.op, (node,), None)


def _content(nodes: tuple[Node, ...], scope: str) -> Hashable:
    """The layers of a block and how they are connected, by their names inside it."""
    inside = {node.name for node in nodes}
    return tuple(
        (
            node.name.removeprefix(f"{scope}."),
            node.op,
            tuple(name.removeprefix(f"{scope}.") if name in inside else None for name in node.inputs),
        )
        for node in nodes
    )


def _aligned(before: Sequence[_Part], after: Sequence[_Part]) -> list[tuple[_Part | None, _Part | None]]:
    return align(before, after, _likeness, lambda part: (part.stage, part.name, part.content))


def _likeness(old: _Part, new: _Part) -> float:
    """How well two parts match; 0 where they cannot be the same part."""
    same_name = old.name == new.name
    if old.kind != new.kind and not same_name:
        return 0.0
    # What holds weights decides; activations and pools are everywhere.
    weight = 3.0 if old.params and new.params else 1.0
    likeness = weight * (2.0 if old.content == new.content else 1.0 if old.kind == new.kind else 0.5)
    return likeness + same_name + 0.5 * (old.stage == new.stage)


def _rerouted(pairs: list[tuple[_Part | None, _Part | None]]) -> dict[int, tuple[str, ...]]:
    """Pairs that read from another place now, although what they read before is still there, and was there already."""
    makers: tuple[dict[str, int], dict[str, int]] = ({INPUT: -1}, {INPUT: -1})
    for index, pair in enumerate(pairs):
        for side, part in zip(makers, pair, strict=True):
            side.update((node.name, index) for node in (part.nodes if part else ()))
    found = {}
    for index, (old, new) in enumerate(pairs):
        if old is None or new is None:
            continue
        before, after = ([side[name] for name in part.reads] for side, part in zip(makers, (old, new), strict=True))
        if len(before) != len(after):
            continue
        moved = [
            f"reads {_name_of(pairs, was, 0)} -> {_name_of(pairs, now, 1)}"
            for was, now in zip(before, after, strict=True)
            if was != now and _name_of(pairs, was, 1) and _name_of(pairs, now, 0)
        ]
        if moved:
            found[index] = tuple(moved)
    return found


def _name_of(pairs: list[tuple[_Part | None, _Part | None]], index: int, side: int) -> str | None:
    """What a part is called on one side (0 before, 1 after); None where it is not there."""
    if index < 0:
        return "the input"
    part = pairs[index][side]
    return part.name if part else None


def _change(old: _Part | None, new: _Part | None, rerouted: tuple[str, ...] = ()) -> Change:
    shown = new or old
    assert shown is not None
    status, what, layers = _verdict(old, new)
    if rerouted:
        status, what = "changed", (*(what if status == "changed" else ()), *rerouted)
    return Change(
        status,
        shown.stage,
        shown.name,
        old.name if old and new and old.name != new.name else None,
        shown.kind,
        what,
        old.params if old else 0,
        new.params if new else 0,
        old.macs if old else 0,
        new.macs if new else 0,
        old.output if old else None,
        new.output if new else None,
        layers,
    )


def _verdict(old: _Part | None, new: _Part | None) -> tuple[str, tuple[str, ...], tuple[Change, ...]]:
    if new is None or old is None:
        part = new or old
        assert part is not None
        return ("removed" if new is None else "added"), (_described(part),), ()
    if old.content != new.content:
        layers = _inner(old, new)
        return "changed", _what(old, new, layers), layers
    if (old.params, old.macs, old.output) != (new.params, new.macs, new.output):
        return "affected", _inputs(old, new), ()
    return ("renamed" if old.name != new.name else "same"), (), ()


def _inputs(old: _Part, new: _Part) -> tuple[str, ...]:
    before, after = (", ".join(dict.fromkeys(map(dimensions, part.input_shapes))) for part in (old, new))
    return (f"input {before} -> {after}",) if before != after else ()


def _described(part: _Part) -> str:
    return part.group.describe() if part.group else part.nodes[0].op.describe()


def _inner(old: _Part, new: _Part) -> tuple[Change, ...]:
    """The changes of the layers inside a changed block."""
    if old.group is None or new.group is None:
        return ()
    sides = ([_layer(node, part.stage, part.name) for node in part.nodes] for part in (old, new))
    changes = (_change(*pair) for pair in _aligned(*sides))
    return tuple(change for change in changes if change.status != "same")


def _what(old: _Part, new: _Part, layers: tuple[Change, ...]) -> tuple[str, ...]:
    """What makes two parts differ, in words: their kinds, the arguments given, or the layers inside."""
    if old.kind != new.kind or (old.group is None) != (new.group is None):
        return (f"{_described(old)} -> {_described(new)}",)
    if old.group is None or new.group is None:
        return tuple(_arguments(_of_op(old.nodes[0].op), _of_op(new.nodes[0].op)))
    given = tuple(_arguments(_of_group(old.group, new.group), _of_group(new.group, old.group)))
    # Where the block's own template was edited, its arguments say nothing.
    return given or _of_layers(layers)


def _of_layers(layers: tuple[Change, ...]) -> tuple[str, ...]:
    """Each distinct change once, with the layer it was made to, or how many of them."""
    made: dict[str, list[str]] = {}
    for layer in layers:
        prefix = f"{layer.status} " if layer.status in ("added", "removed") else ""
        for what in layer.what if layer.status in ("changed", "added", "removed") else ():
            made.setdefault(prefix + what, []).append(layer.name)
        if layer.status == "renamed":
            made.setdefault("renamed", []).append(f"{layer.was} -> {layer.name}")
    said = (f"{what} ({names[0] if len(names) == 1 else f'{len(names)} x'})" for what, names in made.items())
    return tuple(said) or ("connected differently",)


def _of_op(op: Op) -> dict[str, object]:
    return {name: getattr(op, name) for name in op.__struct_fields__}


def _of_group(group: Group, other: Group) -> dict[str, object]:
    """A block's arguments, without the defaults of parameters that the other's template does not have."""
    known = {argument.name for argument in other.arguments}
    return {
        argument.name: argument.value
        for argument in group.arguments
        if argument.name in known or not argument.is_default
    }


def _arguments(old: dict[str, object], new: dict[str, object]) -> list[str]:
    """ "kernel_size 5x5 -> 3x3", for every argument that differs."""
    names = list(dict.fromkeys([*old, *new]))
    return [f"{name} {_shown(old, name)} -> {_shown(new, name)}" for name in names if old.get(name) != new.get(name)]


def _shown(arguments: dict[str, object], name: str) -> str:
    if name not in arguments:
        return "(none)"
    value = arguments[name]
    if isinstance(value, tuple):
        return "-".join(map(str, value)) if len(set(value)) > 1 else str(value[0]) if value else "()"
    return str(value).lower() if isinstance(value, bool) else str(value)
