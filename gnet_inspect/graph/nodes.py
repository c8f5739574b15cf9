"""The graph: what every analysis, view and runtime reads. Frozen plain data, wherever the network came from.

Node is a msgspec.Struct because a network may have 100,000 of them and a Struct is built in a fraction of a
microsecond.
"""

from collections.abc import Mapping
from math import prod
from typing import Any

from msgspec import Struct

from gnet_inspect.conversion import converted
from gnet_inspect.display import Brief, network_words, picture_of
from gnet_inspect.errors import UsageError, expect
from gnet_inspect.ops import Op, Shape, Shapes, Weight
from gnet_inspect.units import FIXED_BYTES, count, dimensions

# The name under which `inputs` lists the network's own input, where it has one that nobody named.
INPUT = "input"
# Of a list among a block's arguments so many elements are said, and of all its arguments so many characters.
SHOWN_ELEMENTS = 32
LONGEST_BLOCK = 1_000

# Where a graph comes from: what can be done with it follows from that.
ORIGINS = ("spec", "module", "pt2", "onnx", "file")


class Value(Struct, frozen=True):
    """A tensor that the network is given: its name, its shape, batch first, and its dtype: "float" for the network's
    own, "int64" for tokens, "bool" for masks."""

    name: str
    shape: Shape
    dtype: str = "float"


class Output(Struct, frozen=True):
    """A value that the network returns. One with a `weight` is an auxiliary head's, which counts so much in the
    loss."""

    name: str
    value: str
    weight: float | None = None


class Node(Brief, Struct, frozen=True):
    """One call of a layer.

    `name` is the layer's path, with "@1" behind it for its second call. Its values are `name`, and `name:1` for a
    second output. `inputs` are the names of the values it reads, `input_shapes` their shapes in the same order; shapes
    carry the batch first. `params` are its trained scalars and `buffers` the others; both are 0 in later calls of a
    layer, so that sums count weights once. `macs` include the batch and no biases, and are None where nobody can count
    them.
    `module` is the path under which its weights lie, "" where it is a function. `held` are the tensors that it is the
    first to read, by their paths in the state dict, where they are not what the layer itself says: of a network that
    was traced a weight may be computed of others, or be another layer's, too. `sources` are, in a graph that was
    rewritten, the names of the nodes that this one stands for in the graph it was made of, in the order of their
    weights; empty where it is its own. `stage` and `block` (the outermost block instance, or None) say where in the
    graph's tree it lies, and are set with it.
    """

    name: str
    op: Op
    inputs: tuple[str, ...]
    input_shapes: Shapes
    output_shapes: Shapes
    params: int
    macs: int | None
    stage: str = ""
    block: str | None = None
    buffers: int = 0
    sources: tuple[str, ...] = ()
    module: str = ""
    # How many of its parameters are not trained, and whether its weights are; a later call shares them and has none.
    frozen: int = 0
    is_frozen: bool = False
    held: tuple[Weight, ...] | None = None

    def _brief(self) -> str:
        inputs, outputs = (", ".join(map(dimensions, shapes)) for shapes in (self.input_shapes, self.output_shapes))
        return f"{self.name}: {self.describe()}, {inputs} -> {outputs}"

    @property
    def output_shape(self) -> Shape:
        """The shape of its first output."""
        return self.output_shapes[0]

    @property
    def origin(self) -> tuple[str, ...]:
        """The names of the nodes it stands for: its sources, or itself."""
        return self.sources or (self.name,)

    @property
    def is_repeated(self) -> bool:
        """Whether an earlier call ran the same layer."""
        return bool(self.module) and self.module != self.name

    def weights(self) -> tuple[Weight, ...]:
        """The tensors that it holds: what the layer itself says, or `held`."""
        return self.op.weights(self.input_shapes) if self.held is None else self.held

    def describe(self) -> str:
        """The layer with its arguments; a concat with what it joins."""
        return self.op.describe_call(self.input_shapes, self.output_shapes)

    def values(self) -> tuple[str, ...]:
        """The names of its outputs."""
        if len(self.output_shapes) == 1:
            return (self.name,)
        more = (f"{self.name}:{index}" for index in range(1, len(self.output_shapes)))
        return (self.name, *more)

    def scopes(self) -> list[str]:
        """The paths of the scopes it lies in, outermost first: "a" and "a.b" for a node "a.b.c"."""
        parts = self.name.split(".")[:-1]
        return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]


class BlockArgument(Struct, frozen=True):
    """An argument of a block instance that is not what a default says: plain data (a layer by its name)."""

    name: str
    value: Any
    # Whether the block demands it: it has no default.
    required: bool

    def describe(self) -> str:
        """What must be given reads in its order, what may be given by its name."""
        value = self.value
        if isinstance(value, tuple):
            text = "-".join(map(str, value[:SHOWN_ELEMENTS])) + ("-..." if len(value) > SHOWN_ELEMENTS else "")
        else:
            text = str(value).lower() if isinstance(value, bool) else str(value)
        return text if self.required else f"{self.name} {text}"


def describe_block(kind: str, arguments: tuple[BlockArgument, ...]) -> str:
    """A block with its arguments: "inception 64, 96-128, 16-32, 32"."""
    text = f"{kind} {', '.join(item.describe() for item in arguments)}".strip()
    return text if len(text) <= LONGEST_BLOCK else f"{text[:LONGEST_BLOCK]}..."


class Template(Struct, frozen=True):
    """The parameters of a block: the place of each in their order, and the defaults as plain data, by name.
    `state_dict` are layers of it in the order of the state dict, where they run in another one."""

    places: Mapping[str, int]
    defaults: Mapping[str, Any]
    state_dict: tuple[str, ...] = ()


class Group(Struct, frozen=True):
    """A part of the network, for display and diagrams.

    `role` is "stage", "head", "block", "list" or "branch"; `name` the stage's or head's name, the path of a block or
    list, or the label of a branch; `kind` the block's name, `arguments` what it was given that is no default, `text`
    both in words, and `template` what all blocks of its name share. `children` are Groups and the indices of nodes, in
    execution order.
    """

    role: str
    name: str
    children: tuple["Group | int", ...]
    kind: str = ""
    arguments: tuple[BlockArgument, ...] = ()
    text: str = ""
    template: Template | None = None

    def describe(self) -> str:
        """A block with its arguments: "inception 64, 96-128, 16-32, 32"."""
        return self.text or self.kind


class Unreached(Struct, frozen=True):
    """A layer of the network whose weights this graph never reads, because its mode or its path leaves it out."""

    name: str
    params: int


class Run(Struct, frozen=True):
    """How the code of a network held its values in the run that was traced.

    `shares` are the values that lie in the memory of another one, with that; `until` the place of the last node that
    ran while a memory was held, by the value it was made for. `is_known`: nothing beside these was there, no constant
    that the forward makes and no tensor computed of weights. `uncounted` are the tools whose hooks do not see the
    modules as they were called.
    """

    until: Mapping[str, int] = {}
    shares: Mapping[str, str] = {}
    is_known: bool = False
    uncounted: tuple[str, ...] = ()


class Graph(Brief, Struct, frozen=True):
    """A network at one size of its inputs: calls in execution order, and the tree of parts they lie in.

    `parts` is never empty: a network without stages is one part of its own name. The first of `outputs` is the main
    one. `left_heads` are the names of the heads that the mode leaves out, `unreached` the layers whose weights are not
    among those of the nodes, `overrides` the edits that were made.
    """

    model: str
    title: str
    mode: str
    inputs: tuple[Value, ...]
    outputs: tuple[Output, ...]
    nodes: tuple[Node, ...]
    parts: tuple[Group, ...]
    origin: str = "spec"
    # Whether the network returns its outputs by their names, or its one output as it is.
    names_outputs: bool = False
    overrides: tuple[str, ...] = ()
    left_heads: tuple[str, ...] = ()
    unreached: tuple[Unreached, ...] = ()
    # How its own code held its values; None where it runs as it is built here, by its scopes.
    run: Run | None = None
    # What its source shows of it that no number says, in sentences.
    notes: tuple[str, ...] = ()

    def _brief(self) -> str:
        params, macs = (sum(getattr(node, name) or 0 for node in self.nodes) for name in ("params", "macs"))
        least = "at least " if any(node.macs is None for node in self.nodes) else ""
        sums = f"{count(params)} params, {least}{count(macs)} MACs, {len(self.nodes):,} nodes"
        return f"{network_words(self.model, self.overrides, self.input_shape, self.mode)}: {sums}"

    def _repr_svg_(self) -> str | None:
        """The diagram, as the last line of a notebook's cell shows it; None where Graphviz is missing."""
        diagram: str | None = picture_of(self)
        return diagram

    @property
    def variant(self) -> str:
        """The model's name with the edits that were made to it."""
        return " ".join([self.model, *self.overrides])

    @property
    def input_shape(self) -> Shape:
        """The shape of its first input."""
        return self.inputs[0].shape

    @property
    def named_inputs(self) -> dict[str, Shape]:
        """The shapes of its inputs by name, where it has several; nothing where it has one."""
        return {value.name: value.shape for value in self.inputs} if len(self.inputs) > 1 else {}

    @property
    def batch(self) -> int:
        """How many images or sequences it is given at once."""
        return self.inputs[0].shape[0]

    def input_bytes(self, width: int) -> int:
        """The bytes of its inputs together, where an element of its own dtype has `width` of them."""
        return sum(prod(value.shape) * FIXED_BYTES.get(value.dtype, width) for value in self.inputs)

    @property
    def output(self) -> str:
        """The value it returns first."""
        return self.outputs[0].value

    @property
    def heads(self) -> tuple[Output, ...]:
        """The auxiliary heads that are there."""
        return tuple(output for output in self.outputs if output.weight is not None)

    @property
    def stages(self) -> tuple[Group, ...]:
        """Its parts, under their earlier name."""
        return self.parts

    def shapes(self) -> dict[str, Shape]:
        """The shape of every value, by its name."""
        found = {value.name: value.shape for value in self.inputs}
        for node in self.nodes:
            found[node.name] = node.output_shapes[0]
            if len(node.output_shapes) > 1:
                found.update(zip(node.values(), node.output_shapes, strict=True))
        return found

    def readers(self) -> "dict[str, list[Node]]":
        """By the name of each value that is read: the nodes that read it, as often as they do."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in node.inputs:
                found.setdefault(name, []).append(node)
        return found

    @property
    def head_prefixes(self) -> tuple[str, ...]:
        """What the names of the nodes in its heads start with."""
        return tuple(f"{head.name}." for head in self.heads)


def as_graph(network: object, inputs: object = None) -> Graph:
    """A Graph as it is, or that of a torch module which is called with `inputs`: a shape, a tuple of shapes or of other
    examples, or a dict of them by the names of forward's arguments."""
    graph = network if isinstance(network, Graph) else converted(network, inputs)
    expect(graph, Graph, "a Graph (build_graph gives one) or a torch module")
    if graph is network and inputs is not None:
        raise UsageError("expected no inputs beside a Graph, which has its own")
    found: Graph = graph
    return found


def node_of(value: str) -> str:
    """The name of the node that makes a value: "lstm" for "lstm:1"."""
    return value.partition(":")[0] if ":" in value else value
