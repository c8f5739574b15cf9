"""The weights of a network -> those of its optimized graph, in double precision and rounded once."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from gnet_inspect.errors import UsageError, expect, quoted, some_of
from gnet_inspect.graph import Graph, Node
from gnet_inspect.ops import Weight
from gnet_inspect.ops.convolution import ConvTranspose2d
from gnet_inspect.ops.normalization import BatchNorm2d
from gnet_inspect.records.weights import is_below
from gnet_inspect.runtime.module import build_module
from gnet_inspect.units import dimensions

# Tensors by the name of their layer, and by their own names in it.
Layers = dict[str, dict[str, Tensor]]


def optimized_module(graph: Graph, module: nn.Module, optimized: Graph) -> nn.Module:
    """The module of an optimized graph, with the weights of the module that was built from the graph it was made of.

    It is in eval mode, on the device and in the dtype of `module`, which is left as it is, and for the same input gives
    the output that `module` gives in eval mode, up to rounding.

    Parameters
    ----------
    graph
        What `optimize`, or one of its passes, was given.
    module
        What `build_module(graph)` returned, or a module with the same state dict.
    optimized
        What `optimize`, or a chain of its passes, made of `graph`.

    Raises UsageError for a module that was not built from `graph`, and for a graph that was not made of it.
    """
    expect(graph, Graph, "a Graph (build_graph gives one)")
    expect(module, nn.Module, "a torch.nn.Module (build_module gives one)")
    expect(optimized, Graph, "a Graph (optimize gives one)")
    state = _state(graph, module)
    layers = _layers(graph, optimized)
    device, dtype = _find_place(state)
    built = build_module(optimized, device=device, dtype=dtype)
    own = _by_layer(graph, state)
    made = _by_layer(optimized, built.state_dict())
    with torch.no_grad():
        for name, parts in layers:
            weights = _weights(parts, own)
            for key, tensor in made.get(name, {}).items():
                tensor.copy_(weights[key])
    return built.eval()


# --- what is given ---


def _state(graph: Graph, module: nn.Module) -> dict[str, Tensor]:
    """The module's tensors by name. Raises UsageError where they are not the graph's."""
    state = {name: tensor.detach() for name, tensor in module.state_dict().items() if isinstance(tensor, Tensor)}
    expected = build_module(graph, device="meta").state_dict()
    faults = [f"{quoted(name)} missing" for name in expected if name not in state]
    faults += [
        f"{quoted(name)} of {_size(state[name])} for {_size(tensor)}"
        for name, tensor in expected.items()
        if name in state and state[name].shape != tensor.shape
    ]
    # The heads that an eval graph leaves out change nothing.
    heads = graph.left_heads
    extra = [name for name in state if name not in expected and not any(is_below(name, head) for head in heads)]
    faults += [f"{quoted(name)} that the graph does not have" for name in extra]
    if faults:
        raise UsageError(f"expected the module that build_module made of the graph, got one with {some_of(faults)}")
    return {name: state[name] for name in expected}


def _size(tensor: Tensor) -> str:
    return dimensions(tensor.shape) or "a scalar"


def _find_place(state: Mapping[str, Tensor]) -> tuple[torch.device | None, torch.dtype | None]:
    """The one device and dtype of a module; None where it has no weights."""
    found = {(tensor.device, tensor.dtype) for tensor in state.values() if tensor.is_floating_point()}
    if len(found) > 1:
        kinds = some_of(sorted(f"{str(dtype).removeprefix('torch.')} on {device}" for device, dtype in found))
        raise UsageError(f"expected a module with all weights in one dtype on one device, got {kinds}")
    return found.pop() if found else (None, None)


def _layers(graph: Graph, optimized: Graph) -> list[tuple[str, list[Node]]]:
    """Each layer of the optimized graph that has weights, with the layers of the graph it stands for, in order.

    Raises UsageError where the two graphs do not account for each other.
    """
    weighted = {node.name: node for node in graph.nodes if node.params or node.buffers}
    holder = {origin: name for name, node in weighted.items() for origin in node.origin}
    found: list[tuple[str, list[Node]]] = []
    for node in optimized.nodes:
        if node.params or node.buffers:
            names = dict.fromkeys(holder.get(origin, "") for origin in node.origin)
            parts = [weighted[name] for name in names if name]
            if len(parts) < len(names) or not _fits(node, parts):
                raise UsageError(
                    f"expected what optimize made of the graph, got a layer {quoted(node.name)} of another"
                )
            found.append((node.name, parts))
    used = {part.name for _, parts in found for part in parts}
    left = [quoted(name) for name in weighted if name not in used]
    if left:
        raise UsageError(f"expected what optimize made of the graph, got a graph without its {some_of(left)}")
    return found


def _fits(node: Node, parts: list[Node]) -> bool:
    """Whether layers can be one layer: it itself, or convolutions side by side, each before its batch norms."""
    if len(parts) == 1:
        return parts[0].op == node.op and _held(parts[0]) == _held(node)
    convs = [part for part in parts if isinstance(part.op, type(node.op))]
    rest = [part for part in parts if not isinstance(part.op, type(node.op) | BatchNorm2d)]
    same = all(part.input_shapes[0][1] == node.input_shapes[0][1] for part in convs)
    channels = sum(part.output_shape[1] for part in convs)
    return bool(node.op.depth) and not rest and same and channels == node.output_shape[1]


def _held(node: Node) -> tuple[Weight, ...]:
    return node.op.weights(node.input_shapes)


# --- the weights ---


def _weights(parts: list[Node], own: Layers) -> dict[str, Tensor]:
    """The tensors of the one layer that stands for `parts`, by their names in it."""
    if len(parts) == 1:
        return own.get(parts[0].name, {})
    folded = [_folded(conv, norms, own) for conv, norms in _runs(parts)]
    return {key: torch.cat([tensors[key] for tensors in folded]) for key in folded[0]}


def _runs(parts: list[Node]) -> Iterator[tuple[Node, list[Node]]]:
    """Each convolution with the batch norms behind it."""
    starts = [index for index, part in enumerate(parts) if part.op.depth]
    for start, stop in zip(starts, [*starts[1:], len(parts)], strict=True):
        yield parts[start], parts[start + 1 : stop]


def _folded(conv: Node, norms: list[Node], own: Layers) -> dict[str, Tensor]:
    """The weight and bias of a convolution with its batch norms in it, in double precision.

    norm(x) = (x - mean) / sqrt(var + eps) * weight + bias, for each channel of the convolution's output.
    """
    tensors = {key: tensor.double() for key, tensor in own[conv.name].items()}
    for norm in norms:
        assert isinstance(norm.op, BatchNorm2d)
        statistics = {key: tensor.double() for key, tensor in own[norm.name].items()}
        scale = (statistics["running_var"] + norm.op.eps).rsqrt() * statistics.get("weight", 1)
        shift = statistics.get("bias", 0) - statistics["running_mean"] * scale
        tensors["weight"] = _scale(conv, tensors["weight"], scale)
        tensors["bias"] = tensors["bias"] * scale + shift if "bias" in tensors else shift
    return tensors


def _scale(conv: Node, weight: Tensor, scale: Tensor) -> Tensor:
    """A weight whose output channels are multiplied by `scale`."""
    if not isinstance(conv.op, ConvTranspose2d):
        return weight * scale.view(-1, 1, 1, 1)
    # (in_channels, out_channels / groups, height, width): each group of inputs has output channels of its own.
    groups = conv.op.groups
    parted = weight.view(groups, -1, *weight.shape[1:]) * scale.view(groups, 1, -1, 1, 1)
    return parted.view(weight.shape)


def _by_layer(graph: Graph, state: Mapping[str, Tensor]) -> Layers:
    """A state dict's tensors by layer, and by their names in it: a name may have points, a learned tensor has none."""
    return {
        node.name: {
            weight.name: state[f"{node.module}.{weight.name}" if weight.name else node.module]
            for weight in _held(node)
            if weight.persistent
        }
        for node in graph.nodes
        if node.module and not node.is_repeated
    }
