"""Spec + input shape -> Graph: blocks expanded, names given, every shape inferred.

Calls are bound once for each environment and shapes computed once for each (layer, input shapes): a repeat of ten
thousand equal blocks costs ten thousand names and nodes, and little else.
"""

from collections.abc import Iterator
from itertools import repeat
from math import prod
from typing import Any

from msgspec import Struct

from gnet_inspect.errors import ShapeError, SpecError, nearest
from gnet_inspect.graph.binding import Binder, Closure, Environment
from gnet_inspect.graph.nodes import INPUT, Graph, Group, HeadOutput, Node
from gnet_inspect.graph.overrides import LABEL, Edits
from gnet_inspect.ops import Op, Shape, Shapes
from gnet_inspect.ops.arguments import Integer
from gnet_inspect.spec.layers import MAX_LAYER_DEPTH
from gnet_inspect.spec.model import (
    Call,
    Head,
    Hole,
    Layer,
    Nested,
    Parallel,
    Repeat,
    Sequence,
    Spec,
)
from gnet_inspect.units import LARGEST_EXACT, dimensions

MAX_NODES = 100_000
# Members of repeats that leave nothing behind still take time, and so do arguments: they are bounded too.
MAX_STEPS = 500_000
# What tables and records say of a layer, they say of the blocks and lists around it: each layer counts once for each.
MAX_PLACES = 1_000_000
# Of the names of all layers, blocks and lists, and of those that each layer reads: each record of a layer has them.
MAX_CHARACTERS = 20_000_000
TIMES = Integer(0)

_SOURCE = -1  # the network's input, where other values are indices of nodes


class _Facts(Struct):
    output_shape: Shape
    params: int
    buffers: int
    macs: int
    elements: int


class Expander:
    """One expansion of a spec; `graph()` is its result."""

    def __init__(self, spec: Spec, input_shape: Shape, edits: Edits, mode: str) -> None:
        self.spec, self.input_shape, self.edits, self.mode = spec, input_shape, edits, mode
        self.binder = Binder(spec, edits, self._charge)
        self.head_sources = {head.source for head in spec.heads}
        self.nodes: list[Node] = []
        self.taken: dict[str, tuple[int | None, str]] = {}
        self.list_counts: dict[str, int] = {}
        # Lists of the stages themselves, which may come again; one that a parameter holds may not.
        self.continued: set[str] = set()
        self.waiting: dict[str, list[Head]] = {}
        self.heads: dict[str, HeadOutput] = {}
        self.head_groups: list[Group] = []
        self.children: list[Group | int] = []
        self.stage = ""
        self.block: str | None = None
        self.depth = self.steps = self.places = self.characters = 0
        self.totals = [0, 0, 0]
        # By the id of an op, which the binder keeps alive, and the shapes of its inputs.
        self.facts: dict[tuple[int, Shapes], _Facts] = {}

    # --- the network ---

    def graph(self) -> Graph:
        """Expand the whole spec. Raises SpecError, and UsageError for edits that met nothing."""
        try:
            return self._graph()
        except SpecError as error:
            if not self.edits.unused or error.path in self.edits.unused:
                raise
            # The edit that was to mend it may have been misspelt.
            unmet = ", ".join(f"`{path}`" for path in self.edits.unused)
            hint = f"{error.hint}; " if error.hint else ""
            hint += f"up to here nothing had the edited path {unmet}"
            raise SpecError(error.fact, file=error.file, line=error.line, path=error.path, hint=hint) from None

    def _graph(self) -> Graph:
        model = self.binder.model()
        if self.mode == "train":
            for head in self.spec.heads:
                self.waiting.setdefault(head.source, []).append(head)
        value = _SOURCE
        stages: list[Group] = []
        for stage in self.spec.stages:
            self.stage = stage.name
            outer = self._open()
            value = self._top(stage.body, value, model)
            stages.append(self._close(outer, "stage", stage.name))
            stages.extend(self.head_groups)
            self.head_groups.clear()
        self.edits.check_all_used()
        self.binder.check_edits_matter(self.mode)
        self._check_heads()
        if not self.nodes or value == _SOURCE:
            line = self.spec.stages[0].body.line
            raise SpecError("expected a network with layers, got none", file=self.spec.file, line=line, path="stages")
        return Graph(
            model=self.spec.name,
            title=self.spec.title or self.spec.name,
            mode=self.mode,
            input_shape=self.input_shape,
            nodes=tuple(self.nodes),
            output=self.nodes[value].name,
            stages=tuple(group for group in stages if group.children),
            heads=tuple(self.heads[head.name] for head in self.spec.heads if head.name in self.heads),
            left_heads=tuple(head.name for head in self.spec.heads if head.name not in self.heads),
        )

    def _top(self, body: Sequence, value: int, environment: Environment) -> int:
        """The layers of a stage. A list that comes again goes on numbering; so does a stage that is a list."""
        if body.entries and body.entries[0][0] is None:
            value, self.list_counts[""] = self._members(body, "", value, environment, self.list_counts.get("", 0))
            return value
        for name, layer in body.entries:
            assert name is not None
            if not self.binder.is_there(layer, environment):
                continue
            if isinstance(layer, Nested) and name in self.continued:
                if name in self.head_sources:
                    raise self._error(
                        layer, f"expected a head after a layer, got it after `{name}`, which goes on here"
                    )
            else:
                self._claim(name, layer)
            if isinstance(layer, Nested):
                self.continued.add(name)
                value = self._list(layer, name, value, environment, self.list_counts.get(name, 0))
            else:
                value = self._layer(layer, name, "", value, environment)
            value = self._attach_heads(name, value, environment)
        return value

    # --- sequences ---

    def _sequence(self, body: Sequence, scope: str, value: int, environment: Environment) -> int:
        if body.entries and body.entries[0][0] is None:
            return self._members(body, scope, value, environment, 0)[0]
        for name, layer in body.entries:
            if self.binder.is_there(layer, environment):
                path = f"{scope}.{name}" if scope else str(name)
                value = self._expand_named(layer, path, scope, value, environment)
            else:
                self._step(layer)
        return value

    def _members(
        self, body: Sequence, scope: str, value: int, environment: Environment, number: int
    ) -> tuple[int, int]:
        for _, layer in body.entries:
            for member in self._repeated(layer, environment):
                path = f"{scope}.{number}" if scope else str(number)
                value = self._expand_named(member, path, scope, value, environment)
                number += 1
        return value, number

    def _repeated(self, layer: Layer, environment: Environment) -> Iterator[Layer]:
        """The members of a list that a layer stands for: itself, none, or a repeat's."""
        if not self.binder.is_there(layer, environment):
            self._step(layer)
            return
        if not isinstance(layer, Repeat):
            yield layer
            return
        # A repeat of no times costs as much as an absent layer.
        self._step(layer)
        if isinstance(layer.layer, Repeat):
            for _ in range(self.binder.value(layer.times, TIMES, environment)):
                self._step(layer)
                yield from self._repeated(layer.layer, environment)
        elif self.binder.is_there(layer.layer, environment):
            yield from repeat(layer.layer, self.binder.value(layer.times, TIMES, environment))

    def _expand_named(self, layer: Layer, path: str, scope: str, value: int, environment: Environment) -> int:
        self._claim(path, layer)
        value = self._layer(layer, path, scope, value, environment)
        return self._attach_heads(path, value, environment) if self.waiting else value

    # --- layers ---

    def _layer(self, layer: Layer, path: str, scope: str, value: int, environment: Environment) -> int:
        self._step(layer)
        if isinstance(layer, Call) and not layer.is_block:
            return self._place(self.binder.bind(layer, path, environment), path, (value,), layer)
        self.depth += 1
        if self.depth > MAX_LAYER_DEPTH:
            raise self._error(layer, f"expected layers nested at most {MAX_LAYER_DEPTH} deep, blocks included")
        if isinstance(layer, Call):
            value = self._block(layer, path, value, environment)
        elif isinstance(layer, Nested):
            value = self._list(layer, path, value, environment, 0)
        elif isinstance(layer, Parallel):
            value = self._parallel(layer, path, scope, value, environment)
        else:
            assert isinstance(layer, Hole), "a repeat is a member of a list"
            value = self._hole(layer, path, scope, value, environment)
        self.depth -= 1
        return value

    def _hole(self, layer: Hole, path: str, scope: str, value: int, environment: Environment) -> int:
        closure: Closure = environment.find(layer.reference)
        return self._layer(closure.layer, path, scope, value, closure.environment)

    def _list(self, layer: Nested, path: str, value: int, environment: Environment, number: int) -> int:
        outer = self._open()
        value, self.list_counts[path] = self._members(layer.sequence, path, value, environment, number)
        self._append(self._close(outer, "list", path))
        return value

    def _parallel(self, layer: Parallel, path: str, scope: str, value: int, environment: Environment) -> int:
        # Branches cost a value each, layers or not.
        self._charge(layer, len(layer.branches))
        ends = []
        for index, branch in enumerate(layer.branches):
            outer = self._open()
            ends.append(self._sequence(branch, scope, value, environment))
            self._append(self._close(outer, "branch", _branch_label(branch, index)))
        return self._place(self.binder.merge(layer, path, environment), path, tuple(ends), layer)

    def _block(self, layer: Call, path: str, value: int, environment: Environment) -> int:
        inner: Environment = self.binder.bind(layer, path, environment)
        outermost = self.block
        self.block = outermost or path
        outer = self._open()
        value = self._sequence(self.spec.blocks[layer.name].body, path, value, inner)
        self._append(self._close(outer, "block", path, layer.name, *inner.shown))
        self.block = outermost
        return value

    # --- nodes, names, groups and heads ---

    def _place(self, op: Op, path: str, sources: tuple[int, ...], layer: Layer) -> int:
        shapes = tuple(self.input_shape if source == _SOURCE else self.nodes[source].output_shape for source in sources)
        key = id(op), shapes
        facts = self.facts.get(key)
        if facts is None:
            try:
                output = op.output_shape(shapes)
            except ShapeError as error:
                read = ", ".join(
                    f"{INPUT if source == _SOURCE else self.nodes[source].name} ({dimensions(shape)})"
                    for source, shape in zip(sources[:8], shapes, strict=False)
                ) + (", ..." if len(sources) > 8 else "")
                raise self._error(layer, f"layer `{path}` cannot take its input from {read}: {error}") from None
            facts = self.facts[key] = _Facts(
                output, op.params(shapes), op.buffers(shapes), op.macs(shapes, output), prod(output)
            )
        index = len(self.nodes)
        if index >= MAX_NODES:
            raise self._error(layer, f"expected a network of at most {MAX_NODES:,} layers, got more")
        self._count(facts, layer, path)
        nodes = self.nodes
        names = tuple(INPUT if source == _SOURCE else nodes[source].name for source in sources)
        self.places += self.depth
        self.characters += sum(map(len, names)) + len(self.stage) + len(self.block or "")
        if self.places > MAX_PLACES:
            raise self._error(
                layer,
                f"expected layers that lie in at most {MAX_PLACES:,} blocks, lists and branches together, got more",
                "a layer in three of them counts three times; nest less, or repeat less",
            )
        node = Node(
            path, op, names, shapes, facts.output_shape, facts.params, facts.macs, self.stage, self.block, facts.buffers
        )
        nodes.append(node)
        self.children.append(index)
        return index

    def _count(self, facts: _Facts, layer: Layer, path: str) -> None:
        totals = self.totals
        # In the units that are shown: bytes in the widest dtype, FLOPs.
        totals[0] += 8 * (facts.params + facts.buffers)
        totals[1] += 2 * facts.macs
        totals[2] += 8 * facts.elements
        if max(totals) > LARGEST_EXACT:
            raise self._error(
                layer, f"expected a network that can be counted exactly, got totals above 2^53 at layer `{path}`"
            )

    def _claim(self, path: str, layer: Layer) -> None:
        other = self.taken.get(path)
        if other is not None:
            what = "branches" if ".concat." in layer.path or ".add." in layer.path else "stages"
            mend = "rename one of the two"
            if path.rpartition(".")[2].isdecimal():
                mend = "give each list a name: `- branch1: [...]`"
            raise self._error(
                layer,
                f"expected names that differ, got `{path}` twice: here and on line {other[0]} (`{other[1]}`)",
                f"{what} add no scope to the names inside them; {mend}",
            )
        self.taken[path] = layer.line, layer.path
        self.characters += len(path)
        if self.characters > MAX_CHARACTERS:
            raise self._error(
                layer, f"expected names of at most {MAX_CHARACTERS:,} characters in all layers together, got more"
            )

    def _step(self, layer: Layer) -> None:
        self._charge(layer, 1)

    def _charge(self, layer: Layer, steps: int) -> None:
        self.steps += steps
        if self.steps > MAX_STEPS:
            raise self._error(layer, f"expected a network that expands in at most {MAX_STEPS:,} steps, got more")

    def _open(self) -> list[Group | int]:
        """Start to gather children; what came before is handed back to `_close`."""
        outer, self.children = self.children, []
        return outer

    def _close(self, outer: list[Group | int], role: str, name: str, *details: Any) -> Group:
        group = Group(role, name, tuple(self.children), *details)
        self.children = outer
        return group

    def _append(self, group: Group) -> None:
        if group.children:
            self.children.append(group)

    def _attach_heads(self, path: str, value: int, environment: Environment) -> int:
        for head in self.waiting.pop(path, ()):
            self._head(head, value, environment.outer or environment)
        return value

    def _head(self, head: Head, value: int, model: Environment) -> None:
        if head.name in self.taken:
            line, path = self.taken[head.name]
            raise SpecError(
                f"expected a name of its own for the head, got `{head.name}`, also on line {line} (`{path}`)",
                file=self.spec.file,
                line=head.line,
                path=head.path,
            )
        self.taken[head.name] = head.line, head.path
        stage, block = self.stage, self.block
        self.stage, self.block = head.name, None
        outer = self._open()
        end = self._sequence(head.body, head.name, value, model)
        group = self._close(outer, "head", head.name)
        self.stage, self.block = stage, block
        if not group.children:
            raise SpecError(
                "expected a head with layers, got none", file=self.spec.file, line=head.line, path=head.path
            )
        self.head_groups.append(group)
        self.heads[head.name] = HeadOutput(head.name, self.nodes[end].name, head.weight)

    def _check_heads(self) -> None:
        for source, heads in self.waiting.items():
            heads_names = {head.name for head in self.spec.heads}
            outside = [name for name in self.taken if name.partition(".")[0] not in heads_names]
            raise SpecError(
                f"expected a head after a layer or block of the network, got `{source}`",
                file=self.spec.file,
                line=heads[0].line,
                path=heads[0].path,
                hint=nearest(source, outside),
            )

    def error_at(self, name: str, fact: str, hint: str = "") -> SpecError:
        """An error about a node, at the place of the spec it came from."""
        line, path = self.taken[name]
        return SpecError(fact, file=self.spec.file, line=line, path=path, hint=hint)

    def _error(self, layer: Layer, fact: str, hint: str = "") -> SpecError:
        file = self.spec.file if layer.line is not None else LABEL
        return SpecError(fact, file=file, line=layer.line, path=layer.path, hint=hint)


def _branch_label(branch: Sequence, index: int) -> str:
    names = [name for name, _ in branch.entries if name is not None]
    return names[0] if len(names) == 1 else f"branch {index + 1}"
