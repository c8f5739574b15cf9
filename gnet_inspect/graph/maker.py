"""The one maker of nodes: layers called one after the other -> nodes with their shapes and numbers, and their tree.

Whatever a network comes from (a spec, a rewritten graph) is turned into calls here, so that a number is worked out in
one place, totals stay exact in JSON, and where a node lies follows from the part that is open when it is called.
Shapes and numbers are worked out once for each op and its input shapes: ten thousand equal layers cost ten thousand
names and nodes, and little else.
"""

from collections.abc import Sequence
from math import prod

from msgspec import Struct
from msgspec.structs import replace

from gnet_inspect.errors import ShapeError, UsageError
from gnet_inspect.graph.nodes import BlockArgument, Graph, Group, Node, Output, Run, Template, Unreached, Value
from gnet_inspect.ops import Op, Shape, Shapes, Weight, dtype_of
from gnet_inspect.units import LARGEST_EXACT, dimensions

# What a block shows of itself: its arguments that are no defaults, all of it in words, its template.
Shown = tuple[tuple[BlockArgument, ...], str, Template | None] | tuple[()]

# What of the nodes is summed up and must stay exact, in the units that are shown: bytes in the widest dtype, FLOPs.
WIDEST = 8


class CountError(UsageError):
    """Totals too large to be exact."""


class Facts(Struct):
    """What a call of a layer counts: scalars of its weights, MACs (None where nobody knows), elements it gives."""

    outputs: Shapes
    params: int
    buffers: int
    macs: int | None
    elements: int


class _Part(Struct):
    """A part that is open: what it will be, and what was gathered and where one was when it began."""

    group: Group
    around: list[Group | int]
    stage: str
    block: str | None


class GraphMaker:
    """Gathers the nodes of one graph; parts are opened and closed around them."""

    def __init__(self, inputs: Sequence[Value]) -> None:
        self.inputs = tuple(inputs)
        self.given = {value.name for value in inputs}
        self.nodes: list[Node] = []
        self.shapes: dict[str, Shape] = {value.name: value.shape for value in inputs}
        # The values that hold no numbers of the network's dtype: "int64" or "bool".
        self._dtypes = {value.name: value.dtype for value in inputs if value.dtype != "float"}
        # Where the next node lies, by the parts that are open: the stage or head, and the outermost block.
        self.stage = ""
        self.block: str | None = None
        self._children: list[Group | int] = []
        self._open: list[_Part] = []
        self._calls: dict[str, int] = {}
        # By the path of a layer, the shapes of its first call's inputs.
        self._first: dict[str, Shapes] = {}
        self._totals = [0, 0, 0]
        # By the id of an op, which stays alive in `_ops`, and the shapes of its inputs.
        self._facts: dict[tuple[int, Shapes], Facts] = {}
        self._ops: list[Op] = []

    # --- nodes ---

    def call(
        self,
        name: str,
        op: Op,
        inputs: tuple[str, ...],
        *,
        module: str | None = None,
        sources: tuple[str, ...] = (),
        is_frozen: bool = False,
        held: tuple[Weight, ...] | None = None,
    ) -> str:
        """One call of a layer that reads values; the name of its (first) value is returned.

        `module` is where its weights lie, its own name unless said; `is_frozen`: they are not trained; `held` are the
        tensors that it is the first to read, where they are not what the op says. Raises
        ShapeError where the op refuses the shapes or the dtypes, and CountError where totals would no longer be exact.
        """
        shapes = tuple([self.shapes[value] for value in inputs])
        facts = self._facts.get((id(op), shapes))
        if facts is None:
            facts = self._facts[id(op), shapes] = call_facts(op, shapes)
            self._ops.append(op)
        dtype = self._follow_dtypes(op, inputs) if self._dtypes or op.gives or op.reads == "int64" else "float"
        params, buffers = (facts.params, facts.buffers) if held is None else _sums(held)
        home = name if module is None else module
        if home and home != name:
            # A later call of a layer: its weights were counted with the first.
            self._check_weights(home, op, shapes)
            params = buffers = 0
        elif home:
            self._first[home] = shapes
        self._count(params + buffers, facts, name)
        node = Node(
            name,
            op,
            inputs,
            shapes,
            facts.outputs,
            params,
            facts.macs,
            self.stage,
            self.block,
            buffers,
            sources,
            home,
            params if is_frozen else 0,
            is_frozen,
            held,
        )
        self._children.append(len(self.nodes))
        self.nodes.append(node)
        self.shapes[name] = facts.outputs[0]
        if len(facts.outputs) > 1:
            self.shapes.update(zip(node.values(), facts.outputs, strict=True))
        if dtype != "float":
            self._dtypes.update(dict.fromkeys(node.values(), dtype))
        return name

    def _follow_dtypes(self, op: Op, inputs: tuple[str, ...]) -> str:
        """What a layer's output holds. Raises ShapeError where it does not read what its inputs hold."""
        given = [self._dtypes.get(name, "float") for name in inputs]
        if op.reads == "int64" and "float" in given:
            raise ShapeError(
                f"{op.kind} expects indices, got numbers: give the input `dtype: int64`, as in "
                "`inputs: {tokens: {shape: [77], dtype: int64}}`"
            )
        if op.reads == "float" and "int64" in given:
            raise ShapeError(
                f"{op.kind} expects numbers of the network's dtype, got int64: indices go into an Embedding"
            )
        return dtype_of(op, given)

    def _check_weights(self, home: str, op: Op, shapes: Shapes) -> None:
        """Raise ShapeError where a layer that is called again would need other weights, or another module of torch:
        a LayerNorm without weights has the size of its first input all the same."""
        first = self._first.get(home)
        if first is None or first == shapes:
            return
        what = "its weights are those of" if op.weights(first) != op.weights(shapes) else ""
        if not what and op.torch_arguments(first) != op.torch_arguments(shapes):
            what = "it is made for"
        if what:
            raise ShapeError(
                f"{what} the first call, whose input is {', '.join(map(dimensions, first))}, "
                f"and another is expected to fit {'them' if what.startswith('its') else 'it'}, "
                f"got {', '.join(map(dimensions, shapes))}"
            )

    def name_of_call(self, path: str) -> str:
        """What the next call of a layer is named: its path, then with "@1", "@2", ... behind it."""
        number = self._calls.get(path, 0)
        self._calls[path] = number + 1
        return f"{path}@{number}" if number else path

    def _count(self, held: int, facts: Facts, name: str) -> None:
        totals = self._totals
        totals[0] += WIDEST * held
        totals[1] += 2 * (facts.macs or 0)
        totals[2] += WIDEST * facts.elements
        if max(totals) > LARGEST_EXACT:
            raise CountError(f"expected a network that can be counted exactly, got totals above 2^53 at layer `{name}`")

    # --- parts ---

    def open(self, role: str, name: str, kind: str = "", shown: Shown = ()) -> None:
        """Begin a part: nodes and parts from here on are its children, until it is closed. `shown` are a block's
        arguments, the words for it, and its template."""
        self._open.append(_Part(Group(role, name, (), kind, *shown), self._children, self.stage, self.block))
        self._children = []
        if role in ("stage", "head"):
            self.stage, self.block = name, None
        elif role == "block" and self.block is None:
            self.block = name

    def close(self) -> Group | None:
        """End the part that was opened last; None where nothing is in it. It is not yet a child of the part around it:
        `add` makes it one."""
        part, children = self._open.pop(), tuple(self._children)
        self._children, self.stage, self.block = part.around, part.stage, part.block
        return replace(part.group, children=children) if children else None

    def add(self, group: Group | None) -> None:
        """Make a closed part a child of the one that is open."""
        if group is not None:
            self._children.append(group)

    # --- the graph ---

    def graph(
        self,
        *,
        model: str,
        title: str,
        mode: str,
        outputs: Sequence[Output],
        parts: Sequence[Group],
        origin: str = "spec",
        names_outputs: bool = False,
        overrides: tuple[str, ...] = (),
        left_heads: tuple[str, ...] = (),
        unreached: tuple[Unreached, ...] = (),
        run: Run | None = None,
        notes: tuple[str, ...] = (),
    ) -> Graph:
        """What was gathered. Without parts the whole is one stage of the model's name."""
        found, nodes = tuple(parts), tuple(self.nodes)
        if not found:
            found = (Group("stage", model, tuple(self._children)),)
            nodes = tuple(replace(node, stage=model) for node in nodes)
        return Graph(
            model=model,
            title=title,
            mode=mode,
            inputs=self.inputs,
            outputs=tuple(outputs),
            nodes=nodes,
            parts=found,
            origin=origin,
            names_outputs=names_outputs,
            overrides=overrides,
            left_heads=left_heads,
            unreached=unreached,
            run=run,
            notes=notes,
        )


def call_facts(op: Op, inputs: Shapes) -> Facts:
    """The numbers of a layer at input shapes. Raises ShapeError where it does not take these."""
    outputs = op.outputs(inputs)
    weights = op.weights(inputs)
    return Facts(outputs, *_sums(weights), op.macs(inputs, outputs), sum(map(prod, outputs)))


def _sums(weights: tuple[Weight, ...]) -> tuple[int, int]:
    """(the trained scalars, the others)"""
    trained = sum(weight.elements for weight in weights if weight.trained)
    return trained, sum(weight.elements for weight in weights if not weight.trained)
