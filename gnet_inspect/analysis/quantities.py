"""What a published figure is a figure of: each quantity that a source may print, counted exactly.

A quantity is a function of some nodes of a graph: all of them for a total.
"""

from collections.abc import Callable, Mapping, Sequence
from math import prod

from msgspec import Struct

from gnet_inspect.analysis.conventions import counted_by
from gnet_inspect.analysis.depth import depths
from gnet_inspect.analysis.training import weights_bytes
from gnet_inspect.errors import SpecError
from gnet_inspect.graph import Graph, Node, node_of
from gnet_inspect.language import Spec
from gnet_inspect.language.model import Published
from gnet_inspect.sources.spec import build_graph
from gnet_inspect.units import DTYPE_BYTES

FP32 = DTYPE_BYTES["fp32"]
# The search for the smallest input tries one size after the other: so many of them, and so many layers in all.
MOST_SIZES, MOST_LAYERS = 512, 200_000


class Counted(Struct, frozen=True):
    """Some nodes of a graph, in execution order, and the source whose figures of them are judged; `whole` where they
    are the network."""

    published: Published
    graph: Graph
    nodes: Sequence[Node]
    whole: bool = False


def exact_count(what: str, counted: Counted) -> int:
    """The exact figure of a quantity of QUANTITIES."""
    return _COUNTS[what](counted)


def smallest_input(spec: Spec, graph: Graph, overrides: Mapping[str, object]) -> int | None:
    """The smallest square input, in pixels, that the network of a spec takes with its weights as they are.

    None where it reads something else than one image, and where none was found within bounds: a network may take 31 and
    33 and refuse 32, so that every size from 1 on has to be tried.
    """
    _, channels, *own = graph.input_shape
    if len(graph.inputs) > 1 or len(own) != 2:
        return None
    most = min(max(own), MOST_SIZES, MOST_LAYERS // max(1, len(graph.nodes)))
    for size in range(1, most + 1):
        try:
            build_graph(spec, (1, channels, size, size), overrides=overrides, mode=graph.mode)
        except SpecError:
            # A layer that does not fit says so; the network itself was built before.
            continue
        return size
    return None


def _params(counted: Counted) -> int:
    """Parameters as the source counts them: "weights" leaves out biases and BatchNorm's affine pair, "folded" has one
    bias for each output channel in their place."""
    rule = counted.published.params_are
    if rule == "parameters":
        return sum(node.params for node in counted.nodes)
    weighted = [node for node in counted.nodes if node.op.depth]
    matrices = (
        weight.elements for node in weighted for weight in node.weights() if weight.trained and len(weight.shape) > 1
    )
    return sum(matrices) + (sum(node.output_shape[1] for node in weighted) if rule == "folded" else 0)


def _macs(counted: Counted) -> int:
    """Multiply-accumulates, or what a tool counts as its own."""
    tool = counted.published.macs_are
    if tool == "multiply-accumulates":
        return sum(node.macs or 0 for node in counted.nodes)
    return counted_by(tool, counted.graph, counted.nodes)


def _flops(counted: Counted) -> int:
    return 2 * sum(node.macs or 0 for node in counted.nodes)


def _depth(counted: Counted, pools: bool = False) -> int:
    """Layers with weights, and pools, on the longest path through the nodes; of a whole network, to its output."""
    found = depths(counted.nodes, pools=pools)
    return found[node_of(counted.graph.output)] if counted.whole else max(found.values())


def _depth_with_pools(counted: Counted) -> int:
    """ "27 layers if we also count pooling"."""
    return _depth(counted, pools=True)


def _neurons(counted: Counted) -> int:
    """Outputs of convolutions and linear layers, for one image."""
    return sum(prod(node.output_shape[1:]) for node in counted.nodes if node.op.depth)


def _state_dict_bytes(counted: Counted) -> int:
    """What torch saves of a network. ChannelAffine's constants are not in its state dict."""
    return weights_bytes([node for node in counted.nodes if not _is_unsaved(node)], FP32)


def _is_unsaved(node: Node) -> bool:
    return any(not weight.persistent for weight in node.weights())


def _feature_bytes(counted: Counted) -> int:
    """Every output once, for one image, without re-use: activations work in place, Flatten and Dropout hand on what
    they read, and a whole network holds its input too."""
    training = False
    elements = sum(
        prod(node.output_shape[1:])
        for node in counted.nodes
        if node.op.family.name != "activation" and node.op.aliases(training) is None
    )
    given = sum(prod(value.shape[1:]) for value in counted.graph.inputs) if counted.whole else 0
    return (elements + given) * FP32


_COUNTS: dict[str, Callable[[Counted], int]] = {
    "params": _params,
    "macs": _macs,
    "flops": _flops,
    "depth": _depth,
    "depth_with_pools": _depth_with_pools,
    "neurons": _neurons,
    "state_dict_bytes": _state_dict_bytes,
    "feature_bytes": _feature_bytes,
}
