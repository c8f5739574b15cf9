"""How deep a network is."""

from collections.abc import Iterable

from gnet_inspect.graph import Graph, Node, node_of


def weight_layers(graph: Graph) -> int:
    """Convolutions and linear layers on the longest path to the output, as papers count ("22 layers deep"); attention
    has two, its projections."""
    # A network may return what it is given.
    return depths(graph.nodes).get(node_of(graph.output), 0)


def depths(nodes: Iterable[Node], pools: bool = False) -> dict[str, int]:
    """Convolutions and linear layers, and with `pools` these too, on the longest path to each node, by its name; paths
    start at what is not among the nodes."""
    found: dict[str, int] = {}
    for node in nodes:
        before = 0
        for name in node.inputs:
            before = max(before, found.get(node_of(name), 0))
        found[node.name] = before + node.op.depth + (pools and node.op.family.name == "pooling")
    return found
