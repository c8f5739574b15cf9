"""The peak of activations, against a real forward pass with every storage watched until it is freed, to the byte."""

from math import prod

import pytest

pytest.importorskip("torch", reason="torch is not installed")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gnet_inspect.analysis.memory import activation_peak, least_peak_activation_bytes, live_activation_bytes
from gnet_inspect.errors import GnetError
from gnet_inspect.graph import INPUT, Graph, Group, Node, Output, Value
from gnet_inspect.graph.optimize import optimize
from gnet_inspect.language import catalogue, load_spec, parse_spec
from gnet_inspect.ops import VOCABULARY, Op, Opaque
from gnet_inspect.sources.spec import build_graph
from gnet_inspect.units import DTYPE_BYTES
from tests.amount import at_least
from tests.strategies import Document, specs, to_yaml
from tests.test_training_memory import LAYERS, small_input
from tests.watching import watched_peak

MODES = ("eval", "train")


# What they make inside, and what autograd keeps of them, nobody has said.
UNSAID = {"GRU", "LSTM", "MultiheadAttention", "RMSNorm", "ScaledDotProductAttention", "ShiftedWindowAttention"}
# Whose peak is a bound on purpose: attention stands in them, or linear layers read what a permutation has left in
# another order, which some of torch's operators copy.
BOUNDS = {"convnext_tiny", "swin_t", "vit_b_16"}


def assert_is_torchs(graph: Graph, dtype: str = "fp32", device: str = "cpu") -> None:
    """The bytes and the layer; no more than torch's where it is a bound."""
    found, by_torch = peak_by_rule(graph, dtype), watched_peak(graph, dtype, device)
    if graph.model in BOUNDS:
        assert 0 < found[0] <= by_torch[0]
    else:
        assert found == by_torch


def peak_by_rule(graph: Graph, dtype: str = "fp32") -> tuple[int, str]:
    """(bytes, the layer), as it is counted."""
    peak = activation_peak(graph, DTYPE_BYTES[dtype])
    assert peak.status == ("bound" if graph.model in BOUNDS else "exact")
    assert peak.bytes == max(live_activation_bytes(graph, DTYPE_BYTES[dtype]), default=0)
    return peak.bytes, peak.node


def device_for(graph: Graph, dtype: str) -> str:
    """The CPU; or where torch has no kernel there the device without memory, whose storages are as large.

    But those of BatchNorm's statistics, which have four bytes there in half precision: it cannot be had beside.
    """
    kinds = {node.op.kind for node in graph.nodes}
    if dtype not in ("bf16", "fp16") or kinds.isdisjoint({"LocalResponseNorm", "AvgPool3d"}):
        return "cpu"
    return "" if "BatchNorm2d" in kinds else "meta"


def refused_by_batch_norm(graph: Graph) -> bool:
    """Whether torch refuses to train it: a batch norm has a single value for each channel."""
    return any(
        node.op.kind.startswith("BatchNorm") and prod(node.output_shape) == node.output_shape[1] for node in graph.nodes
    )


# fp32 at batch 1, eval mode, the network's own input: (what torch holds, if each tensor were freed after its last
# reader).
KNOWN = {
    "googlenet": (9_633_792, 6_422_528),
    "alexnet_original": (4_646_400, 2_323_200),
    "nin": (3_359_232, 2_239_488),
    **dict.fromkeys(
        ("inception_v3", "inception_v4", "inception_resnet_v1", "inception_resnet_v2"), (13_829_760, 11_063_808)
    ),
    **dict.fromkeys(("resnet50", "resnet152"), (10_436_608, 9_633_792)),
    **dict.fromkeys(("googlenet_torchvision", "bn_inception", "resnet18"), (6_422_528, 6_422_528)),
    **dict.fromkeys(("vgg11", "vgg16"), (25_690_112, 25_690_112)),
    "googlenet_d2l": (1_179_648, 1_179_648),
    "alexnet": (1_548_800, 1_548_800),
    "lenet5": (37_632, 37_632),
}


@pytest.mark.parametrize("name", catalogue())
def test_a_networks_peak_is_torchs(name: str) -> None:
    """Every model at its own input, the bytes and the layer."""
    graph = build_graph(load_spec(name))
    assert_is_torchs(graph)


@pytest.mark.parametrize("name", KNOWN)
def test_known_peaks(name: str) -> None:
    """Measured before there was a rule."""
    graph = build_graph(load_spec(name))
    assert (activation_peak(graph, 4).bytes, least_peak_activation_bytes(graph, 4)) == KNOWN[name]


# But the one above, which differs in its size alone.
SETTINGS = [
    (mode, dtype, batch)
    for mode in MODES
    for dtype in ("fp32", "bf16")
    for batch in (1, 2)
    if (mode, dtype, batch) != ("eval", "fp32", 1)
]


# Of each family one, tried in every setting. The others, which are made of the same blocks, in training and in half
# precision, each with a batch: bytes of an element and images of a batch are factors of every tensor.
FAMILIES = (
    *("googlenet", "googlenet_torchvision", "inception_v3", "resnet18", "vgg11_bn", "squeezenet1_1", "densenet121"),
    *("mobilenet_v3_small", "shufflenet_v2_x1_0", "unet", "swin_t"),
)
FEW = [("train", "fp32", 2), ("eval", "bf16", 2)]


@pytest.mark.parametrize(
    ("name", "mode", "dtype", "batch"),
    [(name, *setting) for name in catalogue() for setting in (SETTINGS if name in FAMILIES else FEW)],
)
def test_a_networks_peak_is_torchs_in_every_setting(name: str, mode: str, dtype: str, batch: int) -> None:
    """At a small input: in training with all that autograd has kept, heads among it."""
    graph = build_graph(load_spec(name), (batch, *small_input(name)[1:]), mode=mode, resize=True)
    if mode == "train" and refused_by_batch_norm(graph):
        pytest.skip("torch trains no batch norm on a single value for each channel")
    assert_is_torchs(graph, dtype, device_for(graph, dtype))


@pytest.mark.parametrize("name", ["googlenet", "googlenet_torchvision", "inception_v3", "resnet18"])
def test_an_optimized_networks_peak_is_torchs(name: str) -> None:
    """Merged convolutions live until their last slice is read; a concat writes its branches in place."""
    graph = optimize(build_graph(load_spec(name)))
    assert peak_by_rule(graph) == watched_peak(graph)


MORE_LAYERS = (
    "[{AdaptiveAvgPool2d: {output_size: [null, null]}}, {AdaptiveAvgPool2d: {output_size: [9, 8]}}]",
    "{LocalResponseNorm: {size: 12}}",
    "{add: [{}, {a: ReLU}, {b: Tanh}, {c: Sigmoid}]}",
    "{add: {scale: 0.3, branches: [{}, {a: ReLU}, {b: Tanh}]}}",
    "{add: {scale: 0, branches: [{}, {}]}}",
    "{concat: [{}]}",
    "{concat: [{}, {}]}",
)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["fp32", "fp64", "bf16", "fp16"])
@pytest.mark.parametrize("layer", [*LAYERS, *MORE_LAYERS])
def test_a_layers_peak_is_torchs(layer: str, dtype: str, mode: str) -> None:
    """Each kind with its arguments: behind a convolution, where a gradient passes, on the network's input, where it may
    not, and small enough behind it that what stands inside the layer is the peak."""
    small = "{Conv2d: {out_channels: 4, kernel_size: 1}}"
    for before in ("", f"before: {small}, ", f"before: {small}, norm: BatchNorm2d, "):
        text = f"name: one\ninput: [4, 9, 8]\nstages: {{all: {{{before}layer: {layer}}}}}"
        graph = build_graph(parse_spec(text), (2, 4, 9, 8), mode=mode)
        if device := device_for(graph, dtype):
            assert peak_by_rule(graph, dtype) == watched_peak(graph, dtype, device)


@settings(
    derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck), max_examples=at_least(100)
)
@given(specs(faults=False), st.sampled_from(MODES), st.sampled_from(("fp32", "fp64", "bf16")), st.integers(2, 3))
def test_any_networks_peak_is_torchs(document: Document, mode: str, dtype: str, batch: int) -> None:
    """Whatever the language can say: blocks in blocks, lists that are continued, heads from the middle of lists."""
    try:
        spec = parse_spec(to_yaml(document), "drawn.yaml")
        graph = build_graph(spec, (batch, *spec.input), mode=mode)
    except GnetError:
        return
    device = device_for(graph, dtype)
    refused = mode == "train" and any(node.op.refuses_training(node.input_shapes) for node in graph.nodes)
    if not device or refused or any(holds_its_input(node) for node in graph.nodes):
        return
    found, by_torch = activation_peak(graph, DTYPE_BYTES[dtype]), watched_peak(graph, dtype, device)
    if found.status == "exact":
        assert (found.bytes, found.node) == by_torch
    else:
        assert 0 < found.bytes <= by_torch[0]


def holds_its_input(node: Node) -> bool:
    """Whether torch's kernel on a CPU leaves the output in a storage of the input's size."""
    op = node.op
    return op.kind == "ConvTranspose3d" and op.kernel_size == op.stride == (1, 1, 1)  # type: ignore[attr-defined]


def test_every_kind_says_what_stands_inside_it() -> None:
    """None, "nobody knows", is for layers outside the vocabulary, and for those of many operators."""
    assert {name for name, kind in VOCABULARY.items() if kind.temporaries is Op.temporaries} == UNSAID
    assert Opaque("Stranger", (1, 3)).temporaries(((1, 3),), ((1, 3),), training=False) is None


def test_what_nothing_reads_is_held_until_its_scope_returns() -> None:
    """A graph made by hand may have such layers; the module holds what it made as long as it runs."""
    relu = VOCABULARY["ReLU"]()
    shape = (1, 3, 8, 8)
    chain = (("a", INPUT), ("unread", "a"), ("b", "a"), ("c", "b"))
    nodes = tuple(Node(name, relu, (read,), (shape,), (shape,), 0, 0, "s", module=name) for name, read in chain)
    part = Group("stage", "s", (0, 1, 2, 3))
    graph = Graph("made", "made by hand", "eval", (Value(INPUT, shape),), (Output("output", "c"),), nodes, (part,))
    assert peak_by_rule(graph) == watched_peak(graph) == (3 * 4 * 3 * 8 * 8, "b")
