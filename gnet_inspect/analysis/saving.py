"""What autograd keeps of each layer until the backward pass: the rule of each layer kind is its op's `saved`."""

from collections.abc import Collection, Iterator, Mapping

from gnet_inspect.graph import Graph, Node
from gnet_inspect.ops import Saved


def kept_by_autograd(
    graph: Graph, storage: Mapping[str, str], in_place: Collection[str]
) -> Iterator[tuple[Node, tuple[str, ...], Saved]]:
    """Each node that a gradient passes, with the names of the storages among its input and its output that it keeps,
    and its op's rule. `storage` says whose memory holds which value, `in_place` which nodes overwrite their input."""
    with_gradient: set[str] = set()
    for node in graph.nodes:
        # The network's input has no gradient, nor what is made of it before the first weights.
        if not node.params and with_gradient.isdisjoint(node.inputs):
            continue
        with_gradient.add(node.name)
        saved = node.op.saved(node.input_shapes, node.output_shape, node.name in in_place)
        pairs = ((node.inputs[0], saved.input), (node.name, saved.output))
        yield node, tuple({storage[name] for name, keeps in pairs if keeps}), saved
