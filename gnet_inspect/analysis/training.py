"""What a training step keeps in memory: weights, gradients, the optimizer's state and what autograd saves.

The rule of each layer kind is its op's `saved`. It is torch's on a CPU, and the tests compare it with every tensor that
autograd packs there. On CUDA no layer was measured by itself, and some differ: the mask of Dropout has one byte for
each element, BatchNorm keeps its statistics in fp32 under half precision, and cuDNN's BatchNorm a reserve beside them.
The allocator's peak of a whole step was within a tenth of the rules for one network on one H100 (docs/measurements.md).
"""

from collections.abc import Collection

from gnet_inspect.analysis.memory import BOUND, EXACT, held_storages, may_be_copied, may_lie_otherwise, value_bytes
from gnet_inspect.analysis.overwriting import overwriting
from gnet_inspect.analysis.saving import kept_by_autograd
from gnet_inspect.analysis.summary import SavedBytes, TrainingMemory
from gnet_inspect.errors import UsageError
from gnet_inspect.graph import Graph, Node, as_graph
from gnet_inspect.units import DTYPE_BYTES, INDEX_BYTES

# How many tensors of a parameter's size torch's optimizer keeps for it: SGD, SGD with momentum, Adam or AdamW.
OPTIMIZERS = {"sgd": 0, "momentum": 1, "adam": 2}
DTYPES = tuple(name for name in DTYPE_BYTES if name != "int8")


def training_memory(network: object, optimizer: str, dtype: str = "fp32", *, inputs: object = None) -> TrainingMemory:
    """The bytes that a training step keeps, all of one dtype; `optimizer` is "sgd", "momentum" or "adam". The network
    is a Graph, or a torch module that is called with `inputs`, as `summarize` takes them.

    Gradients are of the parameters that are trained (`freeze` leaves some out). Saved activations are every tensor that
    autograd holds at the end of the forward pass, each once, the network's input among them where a layer keeps it. Not
    counted: what a loss keeps (a cross entropy its log-probabilities, N x classes for each output), Adam's step
    counters (4 bytes for each parameter tensor), gradients of activations, workspaces, what the allocator rounds up.
    Layers that nobody knows in this, attention and recurrent ones among them, keep an unknown amount and add nothing;
    then `saved_status` is "bound", and torch keeps at least so much. It is too where a layer may copy its input first.

    >>> from gnet_inspect import build_graph, load_spec
    >>> memory = training_memory(build_graph(load_spec("lenet5"), mode="train"), "momentum")
    >>> memory.weights_bytes, memory.gradient_bytes, memory.optimizer_bytes, memory.saved_bytes
    (246824, 246824, 246824, 36432)
    """
    graph = as_graph(network, inputs)
    _check(graph.mode, optimizer, dtype)
    width = DTYPE_BYTES[dtype]
    gradients = sum(node.params - node.frozen for node in graph.nodes) * width
    weights, state = weights_bytes(graph.nodes, width), gradients * OPTIMIZERS[optimizer]
    layers, known = _saved(graph, width)
    saved = sum(layer.bytes for layer in layers)
    total = weights + gradients + state + saved
    return TrainingMemory(optimizer, weights, gradients, state, saved, total, layers, EXACT if known else BOUND)


def _check(mode: str, optimizer: str, dtype: str) -> None:
    if mode != "train":
        raise UsageError(f'expected a graph of the mode "train", got one of {mode!r}: only training keeps gradients')
    if optimizer not in OPTIMIZERS:
        raise UsageError(f"expected an optimizer of {', '.join(OPTIMIZERS)}, got {optimizer!r}")
    if dtype not in DTYPES:
        raise UsageError(f"expected a dtype to train in of {', '.join(DTYPES)}, got {dtype!r}")


def weights_bytes(nodes: Collection[Node], width: int) -> int:
    """Parameters and buffers: all of the network's dtype, whose elements have `width` bytes, but counters and indices,
    which are int64."""
    elements = sum(node.params + node.buffers for node in nodes)
    weights = (weight for node in nodes if node.buffers for weight in node.weights())
    integers = sum(weight.elements for weight in weights if weight.is_integer)
    return elements * width + integers * (INDEX_BYTES - width)


def _saved(graph: Graph, width: int) -> tuple[tuple[SavedBytes, ...], bool]:
    """What each layer keeps that no layer before it keeps already, nothing where no gradient passes; and whether that
    is known of all of them."""
    in_place = overwriting(graph)
    storage = held_storages(graph, in_place)
    sizes, disordered = value_bytes(graph, width), may_lie_otherwise(graph)
    kept: set[str] = set()
    found, known = [], True
    for node, tensors, saved in kept_by_autograd(graph, storage, in_place):
        known &= saved is not None and not may_be_copied(node, disordered)
        if saved is None:
            continue
        held = sum(sizes[name] for name in set(tensors) - kept) + saved.elements * width + saved.bytes
        kept.update(tensors)
        if held:
            found.append(SavedBytes(node.name, held))
    return tuple(found), known
