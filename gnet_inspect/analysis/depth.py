"""How deep a network is."""

from collections.abc import Iterable

from gnet_inspect.graph import Graph, Node
from gnet_inspect.ops import WEIGHTED, Op


def weight_layers(graph: Graph) -> int:
    """Convolutions and linear layers on the longest path to the output, as papers count ("22 layers deep")."""
    return depths(graph.nodes)[graph.output]


def depths(nodes: Iterable[Node], counted: tuple[type[Op], ...] = WEIGHTED) -> dict[str, int]:
    """Layers of some kinds, by default those with weights, on the longest path to each node, by its name; paths start
    at what is not among the nodes."""
    found: dict[str, int] = {}
    for node in nodes:
        before = max((found.get(name, 0) for name in node.inputs), default=0)
        found[node.name] = before + isinstance(node.op, counted)
    return found
