"""What autograd keeps of each layer until the backward pass: the rule of each layer kind is its op's `saved`."""

from collections.abc import Collection, Iterator, Mapping

from gnet_inspect.graph import Graph, Node
from gnet_inspect.ops import Saved


def kept_by_autograd(
    graph: Graph, storage: Mapping[str, str], in_place: Collection[str]
) -> Iterator[tuple[Node, tuple[str, ...], Saved | None]]:
    """Each node that a gradient passes, with the names of the storages among its input and its output that it keeps,
    and its op's rule, None where that is not known. `storage` says whose memory holds which value, `in_place` which
    nodes overwrite their input."""
    with_gradient: set[str] = set()
    for node in graph.nodes:
        # The network's input has no gradient, nor what is made of it before the first weights.
        if not _trains(node) and with_gradient.isdisjoint(node.inputs):
            continue
        with_gradient.update(node.values())
        rule = node.op.saved_frozen if node.is_frozen and _has_weights(node) else node.op.saved
        saved = rule(node.input_shapes, node.output_shapes, node.name in in_place)
        if saved is None:
            yield node, (), None
            continue
        # The gradient of one factor takes all the others.
        passed = [name in with_gradient for name in node.inputs] if saved.factors else []
        factors = tuple(
            name for place, name in enumerate(node.inputs) if any(passed[:place]) or any(passed[place + 1 :])
        )
        pairs = ((node.inputs[:1], saved.input), ((node.name,), saved.output), (factors, saved.factors))
        yield node, tuple({storage[name] for names, keeps in pairs if keeps for name in names}), saved


def _trains(node: Node) -> bool:
    return not node.is_frozen and _has_weights(node)


def _has_weights(node: Node) -> bool:
    """Whether it has weights to train, which a later call of a layer shares with the first."""
    if node.params or not node.is_repeated:
        return bool(node.params)
    return any(weight.trained for weight in node.op.weights(node.input_shapes))
