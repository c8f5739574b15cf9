"""How deep a network is."""

from gnet_inspect.graph import INPUT, Graph
from gnet_inspect.ops import WEIGHTED


def weight_layers(graph: Graph) -> int:
    """Convolutions and linear layers on the longest path to the output, as papers count ("22 layers deep")."""
    depths = {INPUT: 0}
    for node in graph.nodes:
        depths[node.name] = max(depths[name] for name in node.inputs) + isinstance(node.op, WEIGHTED)
    return depths[graph.output]
