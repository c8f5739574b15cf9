"""The graph: what every analysis, view and runtime reads. Frozen plain data.

Node is a msgspec.Struct because a network may have 100,000 of them and a Struct is built in a fraction of a
microsecond.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from gnet_inspect.ops import Op, Shape, Shapes

# The name under which `inputs` lists the network's own input.
INPUT = "input"
# Of a list among a block's arguments so many elements are said, and of all its arguments so many characters.
SHOWN_ELEMENTS = 32
LONGEST_BLOCK = 1_000


class Node(Struct, frozen=True):
    """One layer of the expanded network.

    `inputs` are the names of the nodes it reads ("input" for the network's input), `input_shapes` their shapes in the
    same order; shapes carry the batch: (N, C, H, W) or (N, F). `macs` include the batch and no biases. `block` is the
    outermost block instance the node lies in, or None. `sources` are, in a graph that was rewritten, the names of the
    nodes that this one stands for in the graph of the spec, in the order of their weights; empty where it is its own.
    """

    name: str
    op: Op
    inputs: tuple[str, ...]
    input_shapes: Shapes
    output_shape: Shape
    params: int
    macs: int
    stage: str
    block: str | None
    buffers: int = 0
    sources: tuple[str, ...] = ()

    @property
    def origin(self) -> tuple[str, ...]:
        """The names of the nodes it stands for: its sources, or itself."""
        return self.sources or (self.name,)

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
    """The parameters of a block: the place of each in their order, and the defaults as plain data, by name."""

    places: Mapping[str, int]
    defaults: Mapping[str, Any]


class Group(Struct, frozen=True):
    """A part of the network as its spec groups it, for display and diagrams.

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

    def units(self) -> Iterator["Group | int"]:
        """The outermost blocks below and the nodes outside them, in order."""
        for child in self.children:
            if isinstance(child, Group) and child.role != "block":
                yield from child.units()
            else:
                yield child

    def nodes(self) -> list[int]:
        """The indices of all nodes below, in order."""
        found: list[int] = []
        for child in self.children:
            if isinstance(child, int):
                found.append(child)
            else:
                found.extend(child.nodes())
        return found


class HeadOutput(Struct, frozen=True):
    """An auxiliary head of a training graph: the node that gives its logits, and its weight in the loss."""

    name: str
    output: str
    weight: float


class Graph(Struct, frozen=True):
    """A network at one input shape: nodes in execution order, and the tree of stages they are grouped in.

    `heads` are those that are there (mode "train"), `left_heads` the names of those that the mode leaves out.
    """

    model: str
    title: str
    mode: str
    input_shape: Shape
    nodes: tuple[Node, ...]
    output: str
    stages: tuple[Group, ...] = ()
    heads: tuple[HeadOutput, ...] = ()
    overrides: tuple[str, ...] = ()
    left_heads: tuple[str, ...] = ()

    @property
    def variant(self) -> str:
        """The model's name with the edits that were made to it."""
        return " ".join([self.model, *self.overrides])

    def readers(self) -> "dict[str, list[Node]]":
        """By the name of each node that is read, and of the input: the nodes that read it, as often as they do."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in node.inputs:
                found.setdefault(name, []).append(node)
        return found

    @property
    def head_prefixes(self) -> tuple[str, ...]:
        """What the names of the nodes in its heads start with."""
        return tuple(f"{head.name}." for head in self.heads)

    def _repr_svg_(self) -> str | None:
        """The diagram, as the last line of a notebook's cell shows it; None where Graphviz is missing."""
        from gnet_inspect.notebook import graph_svg

        return graph_svg(self)
