"""What autograd keeps of each layer until the backward pass: the rule of each layer kind is its op's `saved`."""

from collections.abc import Collection, Iterator, Mapping

from gnet_inspect.analysis.gradients import has_weights, with_gradient
from gnet_inspect.graph import Graph, Node
from gnet_inspect.ops import Saved


def kept_by_autograd(
    graph: Graph, storage: Mapping[str, str], in_place: Collection[str]
) -> Iterator[tuple[Node, tuple[str, ...], Saved | None]]:
    """Each node that a gradient passes, with the names of the storages among its input and its output that it keeps,
    and its op's rule, None where that is not known. `storage` says whose memory holds which value, `in_place` which
    nodes overwrite their input."""
    passed = with_gradient(graph)
    for node in graph.nodes:
        if node.name not in passed:
            continue
        rule = node.op.saved_frozen if node.is_frozen and has_weights(node) else node.op.saved
        saved = rule(node.input_shapes, node.output_shapes, node.name in in_place)
        if saved is None:
            yield node, (), None
            continue
        # The gradient of one factor takes all the others.
        wanted = [name in passed for name in node.inputs] if saved.factors else []
        factors = tuple(
            name for place, name in enumerate(node.inputs) if any(wanted[:place]) or any(wanted[place + 1 :])
        )
        pairs = ((node.inputs[:1], saved.input), ((node.name,), saved.output), (factors, saved.factors))
        yield node, tuple({storage[name] for names, keeps in pairs if keeps for name in names}), saved
