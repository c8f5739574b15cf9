"""Graph + Device -> Roofline: the least time that a device's arithmetic and its memory allow, by layer and in all.

The model is that of Williams, Waterman and Patterson, "Roofline: an insightful visual performance model" (CACM 52(4),
2009). FLOPs are 2 x MACs, computed directly: algorithms that multiply less (Winograd,
FFT) can go below the bound of arithmetic. The fields are the JSON contract.
"""

from collections.abc import Mapping, Sequence
from math import prod

from msgspec import Struct

from gnet_inspect.analysis.devices import ELEMENT_BYTES, Device
from gnet_inspect.analysis.memory import activation_peak, storages
from gnet_inspect.analysis.summary import Coverage, coverage_of
from gnet_inspect.display import Shown, network_words
from gnet_inspect.errors import UsageError, expect
from gnet_inspect.graph import Graph, Node
from gnet_inspect.graph.outline import Outline
from gnet_inspect.ops import Shape
from gnet_inspect.records import SCHEMA_VERSION
from gnet_inspect.units import duration

COMPUTE, MEMORY, NOTHING, UNKNOWN = "compute", "memory", "none", "unknown"


class LayerBound(Struct, frozen=True):
    """One node. `bytes` are its weights, inputs and output, each moved once; a view (Flatten, Identity, Dropout in eval
    mode) moves nothing. `intensity` is FLOPs per byte. Seconds: `compute_s` is flops / peak, `memory_s` bytes /
    bandwidth, `roofline_s` the larger of them, and `bound` says which that is ("none" of a view, "unknown" where nobody
    can count)."""

    name: str
    kind: str
    stage: str
    block: str | None
    flops: int
    bytes: int
    intensity: float
    compute_s: float
    memory_s: float
    roofline_s: float
    bound: str


class StageBound(Struct, frozen=True):
    """One stage (or head): sums over its nodes; `memory_bound_s` is the part of `roofline_s` that memory bounds."""

    name: str
    flops: int
    bytes: int
    compute_s: float
    memory_s: float
    roofline_s: float
    memory_bound_s: float


class RooflineTotals(Struct, frozen=True):
    """The whole network.

    `roofline_s` is its own bound, by `bound`: the larger of all FLOPs at the peak (`compute_s`) and `least_bytes`, the
    weights, the input and the outputs, through memory once (`least_memory_s`). No order of work and no fusion of layers
    goes below it, where no cache holds the weights from an earlier run. `layers_s` is the sum of the layers' bounds,
    the least time where every tensor goes through memory once for each layer; `memory_s` and `bytes` are sums, too, and
    `memory_bound_share` is the part of `layers_s` that memory bounds, from 0 to 1. `ridge_intensity` is the FLOPs per
    byte at which the two peaks meet, `intensity` and `layers_intensity` are the network's own by `least_bytes` and by
    `bytes`. `needed_bytes` are `weight_bytes`, the network's input and `peak_activation_bytes`; `fits` says whether
    the device's memory holds them.
    """

    flops: int
    bytes: int
    least_bytes: int
    intensity: float
    layers_intensity: float
    ridge_intensity: float
    peak_flops_per_s: float
    compute_s: float
    memory_s: float
    least_memory_s: float
    roofline_s: float
    bound: str
    layers_s: float
    memory_bound_share: float
    weight_bytes: int
    peak_activation_bytes: int
    needed_bytes: int
    fits: bool


class Roofline(Shown, Struct, frozen=True, omit_defaults=True):
    """What `roofline --format json` prints."""

    schema_version: int
    model: str
    title: str
    mode: str
    input: Shape
    dtype: str
    device: Device
    totals: RooflineTotals
    coverage: Coverage
    stages: tuple[StageBound, ...]
    layers: tuple[LayerBound, ...]
    # The edits made to the model ("inception4a.c2=[96,256]"); JSON has the key where there are any.
    overrides: tuple[str, ...] = ()
    # All inputs by their names; JSON has the key where there are several.
    inputs: Mapping[str, Shape] = {}

    def _brief(self) -> str:
        least = f"at least {duration(self.totals.roofline_s)}, bound by {self.totals.bound}"
        network = network_words(self.model, self.overrides, self.input, self.mode)
        return f"{network} on {self.device.name} in {self.dtype}: {least}"


def roofline(graph: Graph, device: Device, dtype: str = "fp32") -> Roofline:
    """The least times of a graph on a device, computed and stored in one dtype ("fp32", "tf32", "fp16", "bf16", "fp64"
    or "int8"). Raises UsageError for a dtype that the device has no peak for.

    >>> from gnet_inspect import build_graph, load_spec
    >>> from gnet_inspect.analysis.devices import load_device
    >>> found = roofline(build_graph(load_spec("googlenet")), load_device("a100"), "bf16")
    >>> found.totals.flops, round(found.totals.roofline_s * 1e6, 2)
    (3165343744, 10.15)
    """
    expect(graph, Graph, "a Graph (build_graph gives one)")
    expect(device, Device, "a Device (load_device gives one)")
    peak = _peak(device, dtype)
    width = ELEMENT_BYTES[dtype]
    layers = tuple(_layer(node, graph.mode, width, peak, device.bandwidth_bytes_per_s) for node in graph.nodes)
    return Roofline(
        schema_version=SCHEMA_VERSION,
        model=graph.model,
        title=graph.title,
        mode=graph.mode,
        input=graph.input_shape,
        inputs=graph.named_inputs,
        dtype=dtype,
        device=device,
        totals=_totals(graph, layers, width, peak, device),
        coverage=coverage_of(graph),
        stages=tuple(_stage(stage.name, stage.of(layers)) for stage in Outline(graph, "stage").at("stage")),
        layers=layers,
        overrides=graph.overrides,
    )


def layer_seconds(node: Node, device: Device, dtype: str) -> float:
    """The least time of one layer of an eval graph on a device; those of all layers add up to `layers_s`."""
    return _layer(node, "eval", ELEMENT_BYTES[dtype], _peak(device, dtype), device.bandwidth_bytes_per_s).roofline_s


def bound_of(compute_s: float, memory_s: float) -> str:
    """Which of two times bounds: the larger one; none where there is neither."""
    if compute_s == memory_s == 0:
        return NOTHING
    return COMPUTE if compute_s >= memory_s else MEMORY


def _peak(device: Device, dtype: str) -> float:
    expect(dtype, str, "a dtype's name")
    if dtype not in ELEMENT_BYTES:
        raise UsageError(f"expected a dtype of {', '.join(ELEMENT_BYTES)}, got {dtype!r}")
    if dtype not in device.peak_flops_per_s:
        has = ", ".join(device.peak_flops_per_s)
        raise UsageError(f"expected a dtype that {device.title} has a peak for ({has}), got {dtype!r}")
    return device.peak_flops_per_s[dtype]


def _layer(node: Node, mode: str, width: int, peak: float, bandwidth: float) -> LayerBound:
    flops = 2 * (node.macs or 0)
    moved = _elements(node, mode) * width
    compute_s, memory_s = flops / peak, moved / bandwidth
    return LayerBound(
        node.name,
        node.op.kind,
        node.stage,
        node.block,
        flops,
        moved,
        flops / moved if moved else 0.0,
        compute_s,
        memory_s,
        max(compute_s, memory_s),
        bound_of(compute_s, memory_s) if node.macs is not None else UNKNOWN,
    )


def _elements(node: Node, mode: str) -> int:
    """What a layer moves: its weights, each tensor it reads, and its output; nothing where that is its input's."""
    if _is_view(node, mode):
        return 0
    # A tensor that is read twice at once is moved once.
    read = tuple(dict(zip(node.inputs, node.input_shapes, strict=True)).values())
    twice = sum(map(prod, node.input_shapes)) - sum(map(prod, read))
    return node.op.traffic(node.input_shapes, node.output_shapes).elements - twice


def _is_view(node: Node, mode: str) -> bool:
    return node.op.aliases(mode == "train") is not None


def _weights(node: Node) -> int:
    """Parameters, and the buffers that a forward pass reads: no counters."""
    if not node.params and not node.buffers:
        return 0
    return sum(weight.elements for weight in node.weights() if not weight.counter)


def _least_elements(graph: Graph) -> int:
    """What no run can do without: all weights, the input where a layer reads it, and the outputs, each once."""
    storage = storages(graph)
    given = {value.name: prod(value.shape) for value in graph.inputs}
    outputs = {storage[output.value] for output in graph.outputs} - set(given)
    shapes = graph.shapes()
    working = (node for node in graph.nodes if not _is_view(node, graph.mode))
    read = {storage[name] for node in working for name in node.inputs} & set(given)
    return (
        sum(map(_weights, graph.nodes))
        + sum(given[name] for name in read)
        + sum(prod(shapes[name]) for name in outputs)
    )


def _totals(graph: Graph, layers: tuple[LayerBound, ...], width: int, peak: float, device: Device) -> RooflineTotals:
    least = _least_elements(graph) * width
    whole = _stage("", layers)
    least_memory_s = least / device.bandwidth_bytes_per_s
    weights = sum(map(_weights, graph.nodes)) * width
    activations = activation_peak(graph, width).bytes
    needed = weights + graph.input_bytes(width) + activations
    return RooflineTotals(
        flops=whole.flops,
        bytes=whole.bytes,
        least_bytes=least,
        intensity=whole.flops / least if least else 0.0,
        layers_intensity=whole.flops / whole.bytes if whole.bytes else 0.0,
        ridge_intensity=peak / device.bandwidth_bytes_per_s,
        peak_flops_per_s=peak,
        compute_s=whole.compute_s,
        memory_s=whole.memory_s,
        least_memory_s=least_memory_s,
        roofline_s=max(whole.compute_s, least_memory_s),
        bound=bound_of(whole.compute_s, least_memory_s),
        layers_s=whole.roofline_s,
        memory_bound_share=whole.memory_bound_s / whole.roofline_s if whole.roofline_s else 0.0,
        weight_bytes=weights,
        peak_activation_bytes=activations,
        needed_bytes=needed,
        fits=needed <= device.memory_bytes,
    )


def _stage(name: str, layers: Sequence[LayerBound]) -> StageBound:
    return StageBound(
        name,
        sum(layer.flops for layer in layers),
        sum(layer.bytes for layer in layers),
        sum(layer.compute_s for layer in layers),
        sum(layer.memory_s for layer in layers),
        sum(layer.roofline_s for layer in layers),
        sum(layer.roofline_s for layer in layers if layer.bound == MEMORY),
    )
