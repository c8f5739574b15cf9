"""Parts that are not trained: their counts, and the memory of a step, against torch with `requires_grad_(False)`."""

import json

import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch
from torch import nn

from gnet_inspect.analysis.summary import summarize
from gnet_inspect.analysis.training import training_memory
from gnet_inspect.errors import UsageError
from gnet_inspect.graph import Graph
from gnet_inspect.graph.freezing import freeze
from gnet_inspect.graph.optimize import optimize
from gnet_inspect.language import load_spec, parse_spec
from gnet_inspect.runtime.module import build_module
from gnet_inspect.sources.spec import build_graph
from tests.conftest import Run
from tests.test_training_memory import saved_by_rule, saved_by_torch, small_input

CONV = "{Conv2d: {out_channels: 4, kernel_size: 3, padding: 1}}"
LINEAR = "{Linear: {out_features: 5}}"
FLAT = "pool: {AdaptiveAvgPool2d: {output_size: 1}}, flat: Flatten"


def trained(layers: str) -> Graph:
    """A network of these layers on two images of 4 x 9 x 8."""
    text = f"name: one\ninput: [4, 9, 8]\nstages: {{all: {{{layers}}}}}"
    return build_graph(parse_spec(text), (2, 4, 9, 8), mode="train")


def of_network(name: str, *parts: str) -> Graph:
    """A model of the catalogue at a small input, with parts of it frozen."""
    return freeze(build_graph(load_spec(name), small_input(name), mode="train", resize=True), parts)


# --- what is counted ---

NETWORKS = [
    ("googlenet", ("conv?",)),
    ("googlenet", ("inception3*", "inception4b")),
    ("googlenet", ("*",)),
    ("resnet18", ("conv1", "bn1", "layer1", "layer2.0.conv1")),
    ("resnet18", ("layer*",)),
    ("resnet18", ("*.bn?",)),
    ("vgg11", ("features",)),
    ("vgg11", ("classifier",)),
    ("lenet5", ("f6",)),
    ("mobilenet_v3_small", ("features",)),
    ("se_bn_inception", ("inception3a",)),
    ("convnext_tiny", ("features.?.*.block.?",)),
]


@pytest.mark.parametrize(("name", "parts"), NETWORKS)
def test_counts_and_state_are_torchs(name: str, parts: tuple[str, ...]) -> None:
    """Parameters with and without a gradient, and the bytes of the gradients and of Adam's moments."""
    graph = of_network(name, *parts)
    module = build_module(graph, device="meta")
    for node in graph.nodes:
        if node.is_frozen and node.params:
            module.get_submodule(node.module).requires_grad_(False)
    moving = sum(item.numel() for item in module.parameters() if item.requires_grad)
    still = sum(item.numel() for item in module.parameters() if not item.requires_grad)
    totals, memory = summarize(graph).totals, training_memory(graph, "adam")
    assert (totals.trainable_params, totals.frozen_params) == (moving, still)
    assert still > 0
    assert totals.params == moving + still
    assert (memory.gradient_bytes, memory.optimizer_bytes) == (4 * moving, 2 * 4 * moving)
    whole = sum(item.nbytes for item in (*module.parameters(), *module.buffers()))
    assert memory.weights_bytes == whole


@pytest.mark.parametrize(("name", "parts"), NETWORKS)
def test_a_network_saves_what_autograd_packs(name: str, parts: tuple[str, ...]) -> None:
    """Every layer, to the byte: nothing before the first part that is trained, less in what is not."""
    graph = of_network(name, *parts)
    assert saved_by_rule(graph) == saved_by_torch(graph)


def test_all_is_trained_where_nothing_is_frozen() -> None:
    """As it was."""
    whole = summarize(build_graph(load_spec("lenet5"), mode="train")).totals
    assert (whole.trainable_params, whole.frozen_params) == (whole.params, 0)


# --- layers ---

KEPT_ALIKE = (
    CONV,
    "{Conv2d: {out_channels: 4, kernel_size: 1, bias: false}}",
    "{ConvTranspose2d: {out_channels: 6, kernel_size: 2, stride: 2}}",
    "BatchNorm2d",
    "{GroupNorm: {num_groups: 2}}",
    "LayerNorm2d",
    "{LayerNorm: {axes: 1}}",
    "PReLU",
)


@pytest.mark.parametrize("dtype", ["fp32", "fp64", "bf16"])
@pytest.mark.parametrize(
    "layer", [*KEPT_ALIKE, "{Linear: {out_features: 5}}", "[Flatten, {Linear: {out_features: 5}}]"]
)
def test_a_frozen_layer_saves_what_autograd_packs(layer: str, dtype: str) -> None:
    """Where a gradient passes it, because something before it is trained; and where none does."""
    graph = trained(f"before: {CONV}, layer: {layer}, last: {{add: [{{}}, {{}}]}}")
    for parts in (["layer*"], ["before"], ["before", "layer*"]):
        frozen = freeze(graph, parts)
        assert saved_by_rule(frozen, dtype) == saved_by_torch(frozen, dtype)


@pytest.mark.parametrize("layer", KEPT_ALIKE)
def test_most_layers_keep_the_same_when_they_are_frozen(layer: str) -> None:
    """A convolution's gradient to its input takes both of what it kept, a norm's its statistics."""
    graph = trained(f"before: {CONV}, layer: {layer}, last: {{add: [{{}}, {{}}]}}")
    assert saved_by_rule(freeze(graph, ["layer"])) == saved_by_rule(graph)
    assert "layer" in saved_by_rule(graph)


def test_a_frozen_linear_layer_keeps_no_input() -> None:
    """Its gradient is made of the weight alone."""
    graph = trained(f"before: {CONV}, {FLAT}, a: {{Linear: {{out_features: 7}}}}, b: {{Linear: {{out_features: 3}}}}")
    assert saved_by_rule(graph)["b"] == 4 * 2 * 7
    frozen = freeze(graph, ["b"])
    assert "b" not in saved_by_rule(frozen)
    assert saved_by_rule(frozen)["a"] == saved_by_rule(graph)["a"]


def test_nothing_is_saved_before_the_first_trained_part() -> None:
    """A network frozen but for its classifier keeps what the classifier reads; frozen as a whole it keeps nothing."""
    graph = trained(f"before: {CONV}, norm: BatchNorm2d, relu: ReLU, {FLAT}, fc: {{Linear: {{out_features: 5}}}}")
    assert saved_by_rule(freeze(graph, ["before", "norm"])) == {"fc": 4 * 2 * 4}
    assert saved_by_rule(freeze(graph, ["*"])) == {}
    memory = training_memory(freeze(graph, ["*"]), "adam")
    assert (memory.gradient_bytes, memory.optimizer_bytes, memory.saved_bytes) == (0, 0, 0)
    assert memory.total_bytes == memory.weights_bytes > 0


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        ("{MultiheadAttention: {num_heads: 2}}", "[6, 8]"),
        ("{LSTM: {hidden_size: 3}}", "[6, 8]"),
        ("{GRU: {hidden_size: 3}}", "[6, 8]"),
        ("{ShiftedWindowAttention: {heads: 2, window: 2}}", "[4, 4, 8]"),
    ],
)
def test_what_is_not_known_stays_unknown(layer: str, shape: str) -> None:
    """Where a kind says nothing of what autograd keeps, a frozen one says nothing either, and the peak is a bound."""
    text = f"name: one\ninput: {shape}\nstages: {{all: {{before: {{Linear: {{out_features: 8}}}}, layer: {layer}}}}}"
    graph = build_graph(parse_spec(text), mode="train")
    for found in (graph, freeze(graph, ["layer"])):
        node = next(node for node in found.nodes if node.name == "layer")
        rule = node.op.saved_frozen if node.is_frozen else node.op.saved
        assert rule(node.input_shapes, node.output_shapes, False) is None
        assert "layer" not in saved_by_rule(found)
        assert summarize(found).totals.peak_activation_status == "bound"
    frozen = summarize(freeze(graph, ["layer"])).totals
    assert frozen.frozen_params == next(node.params for node in graph.nodes if node.name == "layer") > 0


# --- patterns ---


def test_a_pattern_meets_paths_at_every_depth() -> None:
    """A list, a block, a layer in it, and globs of each."""
    graph = build_graph(load_spec("resnet18"), mode="train")

    def met(*parts: str) -> set[str]:
        return {node.name for node in freeze(graph, parts).nodes if node.is_frozen and node.params}

    with_weights = {node.name for node in graph.nodes if node.params}
    assert met("layer1") == {name for name in with_weights if name.startswith("layer1.")}
    assert met("layer1.0") == {name for name in with_weights if name.startswith("layer1.0.")}
    assert met("layer1.0.conv1", "fc") == {"layer1.0.conv1", "fc"}
    # A stage of that name holds bn1, too.
    assert met("conv1") == {"conv1"}
    assert met("layer[12]") == met("layer1", "layer2")
    assert met("*") == with_weights
    assert freeze(graph, []) == graph


KNOWN = "(known: conv1, bn1, layer1, layer2, layer3, layer4 and 1 more)"


@pytest.mark.parametrize(("part", "hint"), [("layr1", "(did you mean `layer1`?)"), ("zzz*", KNOWN), ("maxpool", KNOWN)])
def test_a_pattern_that_meets_no_parameters_is_refused(part: str, hint: str, run: Run) -> None:
    """With the path that was meant, or those that are; the command says which flag it was."""
    graph = build_graph(load_spec("resnet18"))
    message = f"expected the path of layers with parameters to freeze, or a glob of some, got {part!r}. {hint}"
    with pytest.raises(UsageError) as caught:
        freeze(graph, ["fc", part])
    assert str(caught.value) == message
    for command in (("summary", "resnet18"), ("compare", "resnet18", "resnet18")):
        found = run(*command, "--freeze", part)
        assert found.code == 2
        assert f"--freeze: {message}" in " ".join(found.err.split())


def test_what_is_no_graph_is_refused() -> None:
    """A spec, for one."""
    with pytest.raises(UsageError, match="expected a Graph"):
        freeze(load_spec("lenet5"), ["*"])  # type: ignore[arg-type]  # the test's point


# --- the command ---


def test_the_table_says_what_is_trained(run: Run) -> None:
    """A line more below it; none where all is trained."""
    plain = run("summary", "resnet18").out
    assert "trained " not in plain
    found = run("summary", "resnet18", "--freeze", "layer*", "--freeze", "fc").out
    still = sum(
        item.numel()
        for name, item in build_module(build_graph(load_spec("resnet18")), device="meta").named_parameters()
        if name.startswith(("layer", "fc"))
    )
    (line,) = [line for line in found.splitlines() if line.startswith("trained ")]
    assert line == f"trained      {11_689_512 - still:,}, and {still:,} frozen"


def test_json_has_both_counts_and_the_memory_of_what_is_trained(run: Run) -> None:
    """The same numbers as of Python."""
    flags = ("--mode", "train", "--optimizer", "adam", "--format", "json", "--freeze", "layer*")
    found = json.loads(run("summary", "resnet18", *flags).out)
    graph = freeze(build_graph(load_spec("resnet18"), mode="train"), ["layer*"])
    totals = summarize(graph).totals
    assert found["totals"]["frozen_params"] == totals.frozen_params > 0
    assert found["totals"]["trainable_params"] == totals.trainable_params
    memory = training_memory(graph, "adam")
    assert found["training"]["gradient_bytes"] == memory.gradient_bytes == 4 * totals.trainable_params
    assert found["training"]["saved_bytes"] == memory.saved_bytes


def test_a_comparison_freezes_in_each_of_its_networks(run: Run) -> None:
    """The same parts of all of them."""
    flags = ("--freeze", "layer*", "--format", "json")
    found = json.loads(run("compare", "resnet18", "resnet34", *flags).out)
    text = json.dumps(found)
    for name in ("resnet18", "resnet34"):
        totals = summarize(freeze(build_graph(load_spec(name)), ["layer*"])).totals
        assert str(totals.frozen_params) in text
        assert str(totals.trainable_params) in text


def test_running_statistics_of_a_frozen_norm_still_move() -> None:
    """What `freeze` says of BatchNorm: its buffers are no parameters."""
    norm = nn.BatchNorm2d(3).requires_grad_(False).train()
    norm(torch.ones(2, 3, 4, 4))
    assert norm.running_mean is not None
    assert norm.running_mean.abs().sum() > 0


def test_an_optimized_network_keeps_the_split() -> None:
    """What is folded into a frozen convolution is no more trained than it; frozen and trained ones are not merged."""
    graph = freeze(build_graph(load_spec("googlenet_torchvision")), ["conv*", "inception3a", "inception3b.branch1"])
    norms = sum(node.params for node in graph.nodes if node.is_frozen and node.op.kind == "BatchNorm2d")
    shifts = sum(node.params // 2 for node in graph.nodes if node.is_frozen and node.op.kind == "BatchNorm2d")
    before, after = summarize(graph).totals, summarize(optimize(graph)).totals
    # Of a norm's scale and shift the convolution has the shift as its bias.
    assert after.frozen_params == before.frozen_params - norms + shifts


def test_a_module_is_built_with_its_frozen_parts_frozen() -> None:
    """Its parameters that take no gradient are those that the graph counts as frozen."""
    graph = freeze(build_graph(load_spec("resnet18"), mode="train"), ["conv1", "bn1", "layer1"])
    module = build_module(graph, device="meta")
    held = sum(parameter.numel() for parameter in module.parameters() if not parameter.requires_grad)
    assert held == summarize(graph).totals.frozen_params > 0


def test_a_step_is_timed_with_parts_frozen(run: Run) -> None:
    """The record says how much is; of inference, and where nothing is left to train, it is refused."""
    quick = ("--warmup", "0", "--repeat", "2", "--min-time", "0.01", "--device", "cpu", "--threads", "1")
    step = ("latency", "lenet5", "--mode", "train", *quick)
    found = json.loads(run(*step, "--freeze", "c*", "--format", "json").out)
    assert [result["variant"] for result in found["results"]] == ["sgd, 50,692 parameters frozen"]
    assert "none that is not frozen" in run(*step, "--freeze", "*").err
    assert "--freeze: expected --mode train" in run("latency", "lenet5", "--freeze", "c*").err
