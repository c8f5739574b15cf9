"""Graph -> Summary: every layer's numbers, each stage's and the totals. The fields are the JSON contract."""

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING

from msgspec import Struct

from gnet_inspect.analysis.depth import weight_layers
from gnet_inspect.analysis.memory import activation_peak, least_peak_activation_bytes
from gnet_inspect.analysis.receptive import Field, Status, model_field, receptive_fields
from gnet_inspect.display import Brief, Shown, network_words
from gnet_inspect.errors import UsageError, expect
from gnet_inspect.graph import Graph, Unreached, as_graph
from gnet_inspect.graph.outline import Outline
from gnet_inspect.ops import Shape, Shapes
from gnet_inspect.records import SCHEMA_VERSION
from gnet_inspect.units import DTYPE_BYTES, byte_count, count, dimensions

if TYPE_CHECKING:
    from gnet_inspect.analysis.gradients import Backward

Size = tuple[int | float, ...]


class LayerSummary(Brief, Struct, frozen=True):
    """One node. `flops` are 2 x macs; `activation_bytes` is its output; `intensity` FLOPs per byte moved
    (parameters, inputs and output, each once). `receptive_field`, `offset` (where output (0, 0)'s begins on the input)
    and `jump` are [height, width], None for N x F and where nobody knows; `receptive_field_status` is "exact", "bound"
    (never too small), "all" (behind what mixes all positions) or "unknown", None where there is no field.
    `backward_macs` are those that the backward pass of a training graph takes beside `macs`."""

    name: str
    kind: str
    stage: str
    block: str | None
    inputs: tuple[str, ...]
    input_shapes: Shapes
    output_shape: Shape
    params: int
    buffers: int
    macs: int | None
    flops: int | None
    activation_bytes: int
    receptive_field: Size | None
    receptive_field_status: Status | None
    offset: Size | None
    jump: Size | None
    intensity: float | None
    output_shapes: Shapes
    backward_macs: int | None = None
    backward_flops: int | None = None

    def _brief(self) -> str:
        macs = "?" if self.macs is None else count(self.macs)
        return f"{self.name}: {self.kind}, {dimensions(self.output_shape)}, {count(self.params)} params, {macs} MACs"


class StageSummary(Brief, Struct, frozen=True):
    """One stage (or head): sums over its nodes, and the shape it hands on."""

    name: str
    output_shape: Shape
    params: int
    macs: int
    activation_bytes: int

    def _brief(self) -> str:
        sums = f"{count(self.params)} params, {count(self.macs)} MACs"
        return f"{self.name}: {dimensions(self.output_shape)}, {sums}"


class Totals(Brief, Struct, frozen=True):
    """The whole network.

    `params` are those that the graph uses, of which `frozen_params` are not trained; `unreached_params` are those of
    layers that its mode or its path leaves out: together they are what torch counts of the whole module.
    `peak_activation_bytes` is what torch's eager forward pass holds at once, reached at `peak_node`; its status is
    "exact", or "bound" where a layer holds nobody knows what. `least_peak_activation_bytes` is the peak if each tensor
    were freed after its last reader (`analysis.memory` has both rules). `receptive_field` is that of the last node
    before the spatial axes vanish, unclipped and, of the output that sees most, inside the input; its status is the
    output's: "all" where a Linear has mixed all positions since; `depth` counts the convolutions and linear layers on
    the longest path to the output. `backward_macs` are those that the backward pass of a training graph takes beside
    `macs`; their status is "exact", or "bound" where a layer's are not known, and None in eval mode.
    """

    params: int
    trainable_params: int
    frozen_params: int
    unreached_params: int
    buffers: int
    macs: int
    flops: int
    param_bytes: int
    activation_bytes: int
    peak_activation_bytes: int
    peak_node: str
    peak_activation_status: str
    least_peak_activation_bytes: int
    receptive_field: Size | None
    receptive_field_status: Status | None
    receptive_field_clipped: Size | None
    depth: int
    backward_macs: int | None = None
    backward_flops: int | None = None
    backward_status: str | None = None

    def _brief(self) -> str:
        peak = byte_count(self.peak_activation_bytes)
        return f"{count(self.params)} params, {count(self.macs)} MACs, {peak} of activations at the peak"


class Coverage(Brief, Struct, frozen=True):
    """How many nodes were counted; `unknown` names those nobody can count."""

    nodes: int
    counted: int
    unknown: tuple[str, ...]

    def _brief(self) -> str:
        return f"{self.counted:,} of {self.nodes:,} nodes"


class SavedBytes(Struct, frozen=True):
    """What one layer is the first to keep for the backward pass."""

    name: str
    bytes: int


class TrainingMemory(Shown, Struct, frozen=True):
    """What a training step keeps, in bytes (`analysis.training` has the rule). `weights_bytes` are parameters and
    buffers; `optimizer_bytes` leaves step counters out; `saved_bytes` are the activations that autograd keeps until
    the backward pass, the sum of `saved`, in execution order without the layers that keep nothing more; `total_bytes`
    is the sum of the four. `saved_status` is "exact", or "bound" where torch keeps more that is not known."""

    optimizer: str
    weights_bytes: int
    gradient_bytes: int
    optimizer_bytes: int
    saved_bytes: int
    total_bytes: int
    saved: tuple[SavedBytes, ...]
    saved_status: str

    def _brief(self) -> str:
        parts = f"{byte_count(self.weights_bytes)} of weights, {byte_count(self.saved_bytes)} saved"
        return f"{self.optimizer}: {byte_count(self.total_bytes)}, {parts}"


class Summary(Shown, Struct, frozen=True, omit_defaults=True):
    """What `summary --format json` prints."""

    schema_version: int
    model: str
    title: str
    mode: str
    dtype: str
    input: Shape
    totals: Totals
    coverage: Coverage
    stages: tuple[StageSummary, ...]
    layers: tuple[LayerSummary, ...]
    # All inputs by their names; JSON has the key where there are several.
    inputs: Mapping[str, Shape] = {}
    # The edits made to the model ("inception4a.c2=[96,256]"); JSON has the key where there are any.
    overrides: tuple[str, ...] = ()
    # The layers whose parameters this graph never reads; JSON has the key where there are any.
    unreached: tuple[Unreached, ...] = ()
    # What a training step keeps; JSON has the key where an optimizer was named.
    training: TrainingMemory | None = None
    # What the network's source shows of it that no number says; JSON has the key where there is any.
    notes: tuple[str, ...] = ()

    def _brief(self) -> str:
        least = "at least " if self.coverage.unknown else ""
        sums = f"{count(self.totals.params)} params, {least}{count(self.totals.macs)} MACs, {len(self.layers):,} layers"
        return f"{network_words(self.model, self.overrides, self.input, self.mode)}: {sums}"


def summarize(network: object, inputs: object = None, dtype: str = "fp32", *, optimizer: str | None = None) -> Summary:
    """All static numbers of a Graph, in one dtype ("fp32", "fp16", "bf16", "fp64" or "int8"); of a training graph with
    an optimizer ("sgd", "momentum" or "adam") also what a training step keeps in memory.

    A torch module takes the place of a Graph where it is given `inputs`, as `trace` takes them: a shape, a tuple of
    shapes or other examples, or a dict of them by name. The dtype may stand second for a Graph, which needs none.

    >>> from gnet_inspect import build_graph, load_spec
    >>> summarize(build_graph(load_spec("googlenet"))).totals.macs
    1582671872
    """
    if isinstance(inputs, str):
        dtype = inputs
    graph = as_graph(network, None if isinstance(inputs, str) else inputs)
    expect(dtype, str, "a dtype's name")
    if dtype not in DTYPE_BYTES:
        raise UsageError(f"expected a dtype of {', '.join(DTYPE_BYTES)}, got {dtype!r}")
    width = DTYPE_BYTES[dtype]
    fields = receptive_fields(graph)
    backward = _backward(graph)
    layers = tuple(_layers(graph, width, fields, backward))
    return Summary(
        schema_version=SCHEMA_VERSION,
        model=graph.model,
        title=graph.title,
        mode=graph.mode,
        dtype=dtype,
        input=graph.input_shape,
        inputs=graph.named_inputs,
        totals=_totals(graph, layers, width, model_field(graph, fields), backward),
        coverage=coverage_of(graph),
        stages=_stages(graph, layers),
        layers=layers,
        overrides=graph.overrides,
        unreached=graph.unreached,
        training=_training(graph, optimizer, dtype),
        notes=graph.notes,
    )


def _training(graph: Graph, optimizer: str | None, dtype: str) -> TrainingMemory | None:
    if optimizer is None:
        return None
    # Imported where it is asked for: a summary without it starts sooner.
    from gnet_inspect.analysis.training import training_memory

    return training_memory(graph, optimizer, dtype)


def coverage_of(graph: Graph) -> Coverage:
    """Which of a graph's nodes are counted."""
    unknown = tuple(node.name for node in graph.nodes if node.macs is None)
    return Coverage(len(graph.nodes), len(graph.nodes) - len(unknown), unknown)


def bytes_moved(layer: LayerSummary, dtype: str) -> int:
    """Parameters, inputs and output of a layer, each once, in bytes."""
    elements = layer.params + prod(layer.output_shape) + sum(map(prod, layer.input_shapes))
    return elements * DTYPE_BYTES[dtype]


def _backward(graph: Graph) -> "Backward | None":
    if graph.mode != "train":
        return None
    # Imported where it is asked for: a summary without it starts sooner.
    from gnet_inspect.analysis.gradients import backward_pass

    return backward_pass(graph)


def _layers(
    graph: Graph, width: int, fields: dict[str, Field | None], backward: "Backward | None"
) -> list[LayerSummary]:
    layers, by_node = [], backward.layers if backward else {}
    for node in graph.nodes:
        field, backward_macs = fields[node.name], by_node.get(node.name)
        output = prod(node.output_shape)
        moved = (node.params + output + sum(map(prod, node.input_shapes))) * width
        layers.append(
            LayerSummary(
                node.name,
                node.op.kind,
                node.stage,
                node.block,
                node.inputs,
                node.input_shapes,
                node.output_shape,
                node.params,
                node.buffers,
                node.macs,
                None if node.macs is None else 2 * node.macs,
                output * width,
                field.size if field else None,
                field.status if field else None,
                field.offset if field else None,
                field.jump if field else None,
                None if node.macs is None else 2 * node.macs / moved,
                node.output_shapes,
                backward_macs,
                None if backward_macs is None else 2 * backward_macs,
            )
        )
    return layers


def _totals(
    graph: Graph, layers: tuple[LayerSummary, ...], width: int, field: Field | None, backward: "Backward | None"
) -> Totals:
    params = sum(layer.params for layer in layers)
    macs = sum(layer.macs or 0 for layer in layers)
    frozen = sum(node.frozen for node in graph.nodes)
    peak = activation_peak(graph, width)
    return Totals(
        params=params,
        trainable_params=params - frozen,
        frozen_params=frozen,
        unreached_params=sum(layer.params for layer in graph.unreached),
        buffers=sum(layer.buffers for layer in layers),
        macs=macs,
        flops=2 * macs,
        param_bytes=params * width,
        activation_bytes=sum(layer.activation_bytes for layer in layers),
        peak_activation_bytes=peak.bytes,
        peak_node=peak.node,
        peak_activation_status=peak.status,
        least_peak_activation_bytes=least_peak_activation_bytes(graph, width),
        receptive_field=field.size if field else None,
        receptive_field_status=field.status if field else None,
        receptive_field_clipped=field.clipped if field else None,
        depth=weight_layers(graph),
        backward_macs=backward.macs if backward else None,
        backward_flops=2 * backward.macs if backward else None,
        backward_status=backward.status if backward else None,
    )


def _stages(graph: Graph, layers: tuple[LayerSummary, ...]) -> tuple[StageSummary, ...]:
    """In execution order of their first node; a head inside a stage comes after it."""
    stages = [(stage.name, stage.of(layers)) for stage in Outline(graph, "stage").at("stage")]
    return tuple(
        StageSummary(
            name,
            found[-1].output_shape,
            sum(layer.params for layer in found),
            sum(layer.macs or 0 for layer in found),
            sum(layer.activation_bytes for layer in found),
        )
        for name, found in stages
    )
