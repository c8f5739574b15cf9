"""Which layers an edit reaches: what a search over many values of many edits needs to know of a spec once."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from gnet_inspect.graph import Graph, Value
from gnet_inspect.graph.maker import GraphMaker
from gnet_inspect.graph.nodes import Node
from gnet_inspect.language import Spec
from gnet_inspect.language.document import Value as Written
from gnet_inspect.ops import Op
from gnet_inspect.sources.spec.binding import Trail
from gnet_inspect.sources.spec.expand import Expander
from gnet_inspect.sources.spec.overrides import Edits


class Followed(Struct, frozen=True):
    """A network, the edits that each of its layers is made of, in the order of its nodes, and those that decide which
    layers there are and what each reads."""

    graph: Graph
    behind: tuple[frozenset[str], ...]
    structure: frozenset[str]
    # What an edit can change: by the path of every argument, and of every element of one, its value.
    arguments: Mapping[str, object]


class OtherNetworkError(Exception):
    """An edit made a network of other layers, or joined them differently."""


def follow_edits(spec: Spec, inputs: Sequence[Value], overrides: Mapping[str, Written], mode: str) -> Followed:
    """The network of a spec with edits, and what each of them reaches. Nothing is guessed from values: an edit reaches
    a layer where its value was asked for on the way to the layer's arguments.

    Raises SpecError or UsageError, as `build_graph` does.
    """
    trail = Trail()
    expander = Expander(spec, inputs, Edits(spec, overrides), mode, trail=trail)
    graph = expander.graph()
    behind = tuple(trail.by_op.get(id(node.op), frozenset()) for node in graph.nodes)
    return Followed(graph, behind, frozenset(trail.structure), trail.arguments)


def ops_of(spec: Spec, like: Graph, overrides: Mapping[str, Written]) -> tuple[Op, ...]:
    """The layers of a network under other edits, of which no shape is worked out: those of `like` stand in their place.

    Raises SpecError or UsageError, and OtherNetworkError where they are not joined as those of `like`.
    """
    expander = Expander(spec, like.inputs, Edits(spec, overrides), like.mode)
    maker = _Recorder(like)
    expander.maker = maker
    expander.graph()
    if len(maker.ops) != len(like.nodes):
        raise OtherNetworkError
    return tuple(maker.ops)


class _Recorder(GraphMaker):
    """Takes layers down, as far as they are joined like those of a network."""

    def __init__(self, like: Graph) -> None:
        super().__init__(like.inputs)
        self.ops: list[Op] = []
        self._like = like.nodes

    def call(self, name: str, op: Op, inputs: tuple[str, ...], **_: Any) -> str:
        """Take a layer down."""
        index = len(self.ops)
        if index == len(self._like):
            raise OtherNetworkError
        node: Node = self._like[index]
        if (node.name, node.inputs) != (name, inputs):
            raise OtherNetworkError
        self.ops.append(op)
        self._children.append(index)
        self.nodes.append(node)
        self.shapes.update(zip(node.values(), node.output_shapes, strict=True))
        return name
