"""How one network differs from another: their parts aligned, and each added, removed or changed one named.

Parts are what a table at block depth shows: outermost blocks, and the layers outside them. They are aligned by what
they are; where that leaves a choice, by what they are called and where they stand. So a layer put into a numbered list
renames those behind it, and a changed block stays the same block.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from msgspec import Struct

from gnet_inspect.analysis.alignment import MOST_CELLS, align
from gnet_inspect.analysis.argument_changes import (
    ArgumentChange,
    Templates,
    changes_of_group,
    changes_of_op,
    explains,
)
from gnet_inspect.graph import Graph, Group, Node, node_of
from gnet_inspect.graph.outline import Outline
from gnet_inspect.ops import Op, Shape
from gnet_inspect.units import dimensions


class Change(Struct, frozen=True):
    """One part, before and after.

    `status` is "added", "removed", "changed" (in its own layers, or in what it reads), "moved" (to another place),
    "affected" (the same layers, but other numbers or shapes because of what comes before), "renamed" or "same". `what`
    says what was changed; `was` and `stage_was` are its name and stage before, where they are others now. Numbers of a
    part that is not there are 0, its shape None. `layers` are the changes inside a changed block. Over all changes the
    numbers before and after add up to the totals of the two networks.
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
    stage_was: str | None = None


def difference(before: Graph, after: Graph) -> tuple[Change, ...]:
    """Every part of both networks, in execution order; what was removed stands where it was."""
    comparer = _Comparer()
    pairs = comparer.paired(_parts(before), _parts(after))
    rerouted = _rerouted(pairs, before, after)
    changes = [comparer.found(pair, rerouted.get(index, ())).change for index, pair in enumerate(pairs)]
    return (*changes, *_weights(before, after))


class _Part:
    """A block or a layer of one of the networks; `content` says what it is, whatever its own name and input."""

    def __init__(self, stage: str, name: str, nodes: tuple[Node, ...], group: Group | None = None) -> None:
        self.stage, self.name, self.nodes, self.group = stage, name, nodes, group
        self.kind = group.kind if group else nodes[0].op.kind
        self.params, self.macs = sum(node.params for node in nodes), sum(node.macs or 0 for node in nodes)
        self.output = nodes[-1].output_shape
        inside = {node.name for node in nodes}
        outer = [
            (name, shape)
            for node in nodes
            for name, shape in zip(node.inputs, node.input_shapes, strict=True)
            if node_of(name) not in inside
        ]
        # A block has one input, however often its layers read it; a layer may read one tensor twice.
        self.reads = tuple(dict.fromkeys(name for name, _ in outer)) if group else tuple(name for name, _ in outer)
        # Of its kind and content, once they were compared.
        self.number: int | None = None
        self.read_shapes = tuple(dict.fromkeys(shape for _, shape in outer))

    def content(self, ops: "OpNumbers") -> Hashable:
        if self.group is None:
            return ops.number(self.nodes[0].op), len(self.reads)
        return content_of(self.nodes, self.group.name, ops)

    def describe(self) -> str:
        return self.group.describe() if self.group else self.nodes[0].op.describe()


class OpNumbers:
    """A number for each op, the same for equal ones: an op holds a list as long as its channels, and is shared by
    many layers, so each is hashed once."""

    def __init__(self) -> None:
        self._by_id: dict[int, tuple[Op, int]] = {}
        self._by_value: dict[Op, int] = {}

    def number(self, op: Op) -> int:
        found = self._by_id.get(id(op))
        if found is None:
            found = self._by_id[id(op)] = op, self._by_value.setdefault(op, len(self._by_value))
        return found[1]


def content_of(nodes: tuple[Node, ...], scope: str, ops: OpNumbers) -> Hashable:
    """The layers of a block and how they are connected, by their names inside it."""
    inside = {node.name for node in nodes}
    return tuple(
        (
            node.name.removeprefix(f"{scope}."),
            ops.number(node.op),
            tuple(name.removeprefix(f"{scope}.") if name in inside else None for name in node.inputs),
        )
        for node in nodes
    )


def _parts(graph: Graph) -> list[_Part]:
    entries = Outline(graph, "block").at("block")
    return [_Part(entry.stage, entry.name, tuple(entry.of(graph.nodes)), entry.part) for entry in entries]


class _Pair(NamedTuple):
    old: _Part | None
    new: _Part | None
    moved: bool = False


class _Found(NamedTuple):
    """A change with the changed arguments its words are made of; `other` are words that no argument stands behind."""

    change: Change
    arguments: tuple[ArgumentChange, ...] = ()
    other: tuple[str, ...] = ()


class _Comparer:
    """Compares parts. Equal pairs of blocks are opened once, and all alignments share one bounded amount of work."""

    def __init__(self) -> None:
        # Contents by number: comparing two numbers is what an alignment does most.
        self._numbers: dict[Hashable, int] = {}
        self._opened: dict[Hashable, tuple[_Found, ...]] = {}
        self._cells = MOST_CELLS
        self._templates = Templates()
        self._ops = OpNumbers()

    def paired(self, old: Sequence[_Part], new: Sequence[_Part]) -> list[_Pair]:
        """Parts beside their counterparts. One that is gone, and is the same under the same name elsewhere, moved."""
        aligned, cells = align(old, new, self._likeness, self._number, self._cells)
        self._cells -= cells
        gone = {(one.name, self._number(one)): index for index, (one, other) in enumerate(aligned) if one and not other}
        pairs = [_Pair(*pair) for pair in aligned]
        taken = set()
        for index, (one, other) in enumerate(aligned):
            source = gone.pop((other.name, self._number(other)), None) if other and not one else None
            if source is not None:
                pairs[index] = _Pair(aligned[source][0], other, moved=True)
                taken.add(source)
        return [pair for index, pair in enumerate(pairs) if index not in taken]

    def _number(self, part: _Part) -> int:
        if part.number is None:
            part.number = self._numbers.setdefault((part.kind, part.content(self._ops)), len(self._numbers))
        return part.number

    def _likeness(self, old: _Part, new: _Part) -> float:
        """How well two parts match; 0 where they cannot be the same part. Names and stages only break ties."""
        tie = 0.01 * (old.name == new.name) + 0.005 * (old.stage == new.stage)
        if old.kind != new.kind and not _is_of_a_program(old, new):
            return tie if old.name == new.name else 0.0
        # What holds weights decides; activations and pools are everywhere.
        weight = 3.0 if old.params and new.params else 1.0
        return weight * (2.0 if self._number(old) == self._number(new) else 1.0) + tie

    def found(self, pair: _Pair, rerouted: tuple[str, ...] = ()) -> _Found:
        """What became of one part."""
        old, new, moved = pair
        shown = new or old
        assert shown is not None
        status, arguments, other, inner = self._verdict(old, new)
        if rerouted and status in ("same", "renamed", "affected"):
            status = "changed"
        elif moved:
            status = "moved"
        change = Change(
            status,
            shown.stage,
            shown.name,
            old.name if old and new and old.name != new.name else None,
            shown.kind,
            (*(argument.text for argument in arguments), *other, *rerouted),
            old.params if old else 0,
            new.params if new else 0,
            old.macs if old else 0,
            new.macs if new else 0,
            old.output if old else None,
            new.output if new else None,
            tuple(item.change for item in inner),
            old.stage if old and new and old.stage != new.stage else None,
        )
        return _Found(change, arguments, other)

    def _verdict(
        self, old: _Part | None, new: _Part | None
    ) -> tuple[str, tuple[ArgumentChange, ...], tuple[str, ...], tuple[_Found, ...]]:
        """(status, changed arguments, other words, the changes inside)."""
        if old is None or new is None:
            part = new or old
            assert part is not None
            return ("removed" if new is None else "added"), (), (part.describe(),), ()
        if self._number(old) == self._number(new):
            if (old.params, old.macs, old.output) != (new.params, new.macs, new.output):
                return "affected", (), _inputs(old, new), ()
            return ("renamed" if old.name != new.name else "same"), (), (), ()
        if (old.group is None) != (new.group is None) or (old.kind != new.kind and not _is_of_a_program(old, new)):
            return "changed", (), (f"{old.describe()} -> {new.describe()}",), ()
        if old.group is None or new.group is None:
            arguments = tuple(changes_of_op(old.nodes[0].op, new.nodes[0].op))
            inputs = (f"inputs {len(old.reads)} -> {len(new.reads)}",) if len(old.reads) != len(new.reads) else ()
            return "changed", arguments, inputs, ()
        # A block of a program has no arguments that could be compared with a spec's.
        told = not _is_of_a_program(old, new)
        given = tuple(changes_of_group(old.group, new.group, self._templates)) if told else ()
        inner = self._inside(old, new)
        # What the arguments do not account for was changed in the block's own template.
        words = _template_changes(inner, given)
        return "changed", given, words or (() if given else ("connected differently",)), inner

    def _inside(self, old: _Part, new: _Part) -> tuple[_Found, ...]:
        """The changes of the layers inside a changed block."""
        sides = (old, new)
        key = tuple((self._number(part), part.stage, part.params, part.macs, part.read_shapes) for part in sides)
        if key not in self._opened:
            layers = (
                [_Part(part.stage, node.name.removeprefix(f"{part.name}."), (node,)) for node in part.nodes]
                for part in sides
            )
            found = (self.found(pair) for pair in self.paired(*layers))
            self._opened[key] = tuple(item for item in found if item.change.status != "same")
        return self._opened[key]


def _is_of_a_program(old: _Part, new: _Part) -> bool:
    """Whether two blocks of one name are of a spec and of a program, which has another word for what they are of."""
    if old.group is None or new.group is None or old.name != new.name:
        return False
    return (old.group.template is None) != (new.group.template is None)


def _template_changes(inner: tuple[_Found, ...], given: tuple[ArgumentChange, ...]) -> tuple[str, ...]:
    """Each distinct change once, with the layer it was made to, or with how many."""
    made: dict[str, list[str]] = {}
    for change, arguments, other in inner:
        if change.status == "renamed":
            made.setdefault("renamed", []).append(f"{change.was} -> {change.name}")
        elif change.status != "affected":
            words = [argument.text for argument in arguments if not explains(given, argument)]
            prefix = "" if change.status == "changed" else f"{change.status} "
            for word in (*words, *(f"{prefix}{word}" for word in other or ((change.kind,) if prefix else ()))):
                made.setdefault(word, []).append(change.name)
    return tuple(f"{what} ({names[0] if len(names) == 1 else f'{len(names)} x'})" for what, names in made.items())


def _inputs(old: _Part, new: _Part) -> tuple[str, ...]:
    before, after = (", ".join(map(dimensions, part.read_shapes)) for part in (old, new))
    return (f"input {before} -> {after}",) if before != after else ()


def _rerouted(pairs: list[_Pair], *graphs: Graph) -> dict[int, tuple[str, ...]]:
    """Pairs that read from another place now, although what they read before is still there, and was there already."""
    # The networks' inputs are -1, -2, ..., whatever their names.
    makers = tuple({value.name: ~place for place, value in enumerate(graph.inputs)} for graph in graphs)
    for index, pair in enumerate(pairs):
        for side, part in zip(makers, pair[:2], strict=True):
            side.update((node.name, index) for node in (part.nodes if part else ()))
    found = {}
    for index, (old, new, moved) in enumerate(pairs):
        if old is None or new is None or moved or len(old.reads) != len(new.reads):
            continue
        before, after = (
            [side[node_of(name)] for name in part.reads] for side, part in zip(makers, (old, new), strict=True)
        )
        words = tuple(
            f"reads {_name_of(pairs, was, 0, graphs[0])} -> {_name_of(pairs, now, 1, graphs[1])}"
            for was, now in zip(before, after, strict=True)
            if was != now and _stayed(pairs, was) and _stayed(pairs, now)
        )
        if words:
            found[index] = words
    return found


def _stayed(pairs: list[_Pair], index: int) -> bool:
    """Whether a part is there before and after, in its place."""
    return index < 0 or bool(pairs[index].old and pairs[index].new and not pairs[index].moved)


def _name_of(pairs: list[_Pair], index: int, side: int, graph: Graph) -> str:
    """What a part is called before (0) or after (1)."""
    if index < 0:
        return "the input" if len(graph.inputs) == 1 else f"the input {graph.inputs[~index].name}"
    part = pairs[index][side]
    assert isinstance(part, _Part)
    return part.name


def _weights(before: Graph, after: Graph) -> list[Change]:
    """Heads that count otherwise in the loss."""
    old = {head.name: head.weight for head in before.heads}
    return [
        Change(
            "changed",
            head.name,
            head.name,
            None,
            "head",
            (f"weight {old[head.name]:g} -> {head.weight:g}",),
            0,
            0,
            0,
            0,
            None,
            None,
        )
        for head in after.heads
        if head.name in old and old[head.name] != head.weight
    ]
