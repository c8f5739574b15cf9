"""Where gradients pass in a training step, and how much is multiplied for them: the rule of each layer kind is its op's
`backward_macs`."""

from collections.abc import Mapping
from typing import NamedTuple

from gnet_inspect.analysis.memory import BOUND, EXACT
from gnet_inspect.graph import Graph, Node
from gnet_inspect.graph.cutting import needed


class Backward(NamedTuple):
    """A backward pass: the multiply-accumulates of each node's part, by name, None where nobody can count them; the sum
    of what is known; and whether that is "exact", or a "bound" because some part is not."""

    layers: Mapping[str, int | None]
    macs: int
    status: str


def with_gradient(graph: Graph) -> set[str]:
    """The values that a gradient passes to: the network's input has none, nor what is made of it before the first
    weights that are trained."""
    found: set[str] = set()
    for node in graph.nodes:
        if trains(node) or not found.isdisjoint(node.inputs):
            found.update(node.values())
    return found


def backward_pass(graph: Graph) -> Backward | None:
    """What the backward pass of a training graph multiplies, from all of its outputs; None in eval mode, in which none
    runs."""
    if graph.mode != "train":
        return None
    layers = _by_node(graph)
    known = [macs for macs in layers.values() if macs is not None]
    return Backward(layers, sum(known), EXACT if len(known) == len(layers) else BOUND)


def _by_node(graph: Graph) -> dict[str, int | None]:
    """The multiply-accumulates of each node's part; 0 where no gradient comes, None where nobody can count them."""
    passed, read = with_gradient(graph), needed_nodes(graph)
    found: dict[str, int | None] = {}
    for node in graph.nodes:
        if node.name not in passed or node.name not in read:
            found[node.name] = 0
            continue
        wanted = tuple(name in passed for name in node.inputs)
        found[node.name] = node.op.backward_macs(node.input_shapes, node.output_shapes, trains(node), wanted)
    return found


def needed_nodes(graph: Graph) -> set[str]:
    """The nodes that some output needs."""
    return needed(graph, (output.value for output in graph.outputs))


def trains(node: Node) -> bool:
    """Whether it has weights that are trained."""
    return not node.is_frozen and has_weights(node)


def has_weights(node: Node) -> bool:
    """Whether it has weights to train, which a later call of a layer shares with the first."""
    if node.params or not node.is_repeated:
        return bool(node.params)
    return any(weight.trained for weight in node.op.weights(node.input_shapes))
