"""Memory in training, against every tensor that torch's autograd packs in a forward pass on the CPU.

What is compared is exact, layer by layer: each layer's entry is the bytes of the storages that it is the first to save,
parameters and buffers apart.
"""

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch
from hypothesis import HealthCheck, given, settings
from torch import Tensor, nn

from gnet_inspect.analysis.summary import summarize
from gnet_inspect.analysis.training import OPTIMIZERS, training_memory
from gnet_inspect.errors import GnetError, UsageError
from gnet_inspect.graph import Graph
from gnet_inspect.language import catalogue, load_spec, parse_spec
from gnet_inspect.runtime.module import Outputs, build_module
from gnet_inspect.sources.spec import build_graph
from tests.amount import at_least
from tests.conftest import Run
from tests.specs import graph_of
from tests.strategies import Document, specs, to_yaml
from tests.watching import announce, zeros

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16, "fp64": torch.float64}


def small_input(name: str) -> tuple[int, ...]:
    """Two images, smaller than the network's own where it takes such: the first side that builds."""
    spec = load_spec(name)
    for side in (32, 64, 96, 128, 160, 188, 192, 224, 256, 299):
        shape = (2, spec.input[0], side, side)
        try:
            build_graph(spec, shape, mode="train", resize=True)
        except GnetError:
            continue
        return shape
    raise AssertionError(f"{name} takes none of these inputs")


def saved_by_torch(graph: Graph, dtype: str = "fp32") -> dict[str, int]:
    """By layer, in the order they ran: the bytes of each storage that it is the first to pack for the backward pass."""
    # Weights without values take no time: only storages are looked at. BatchNorm divides by its counter.
    module = build_module(graph, device="meta", dtype=DTYPES[dtype]).to_empty(device="cpu").train()
    for item in module.buffers():
        nn.init.zeros_(item)
    own = {item.untyped_storage().data_ptr() for item in (*module.parameters(), *module.buffers())}
    running = ""
    packed: list[Tensor] = []  # held, so that no storage's address is used again
    found: dict[str, int] = {}

    def enter(name: str) -> None:
        nonlocal running
        running = name

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own and storage.nbytes():
            own.add(storage.data_ptr())
            packed.append(tensor)
            found[running] = found.get(running, 0) + storage.nbytes()
        return tensor

    for node in graph.nodes:
        if node.is_frozen and node.params:
            for parameter in module.get_submodule(node.name).parameters():
                parameter.requires_grad_(False)
    announce(module, graph, enter)
    given = zeros(graph, DTYPES[dtype], "cpu")
    with warnings.catch_warnings(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        warnings.filterwarnings("ignore", "Using padding='same'", UserWarning)
        module(*given)
    return found


def saved_by_rule(graph: Graph, dtype: str = "fp32") -> dict[str, int]:
    """The same as it is counted."""
    return {layer.name: layer.bytes for layer in training_memory(graph, "sgd", dtype).saved}


@pytest.mark.parametrize("name", catalogue())
def test_a_network_saves_what_autograd_packs(name: str) -> None:
    """Every model of the catalogue, every layer of it, to the byte."""
    graph = build_graph(load_spec(name), small_input(name), mode="train", resize=True)
    by_rule = saved_by_rule(graph)
    by_torch = saved_by_torch(graph)
    # What attention keeps nobody has said: no bytes are made up for it.
    unsaid = [node.name for node in graph.nodes if node.op.kind in ("MultiheadAttention", "ShiftedWindowAttention")]
    assert all(by_torch.pop(layer) > 0 for layer in unsaid)
    assert by_rule == by_torch
    assert training_memory(graph, "adam").saved_bytes == sum(by_rule.values()) > 0


LAYERS = (
    "{Conv2d: {out_channels: 6, kernel_size: 3, padding: 1}}",
    "{Conv2d: {out_channels: 6, kernel_size: 3, stride: 2, groups: 2, bias: false}}",
    "{Conv2d: {out_channels: 6, kernel_size: 3, padding: same}}",
    "{Conv2d: {out_channels: 6, kernel_size: 2, padding: same}}",
    "{Conv2d: {out_channels: 6, kernel_size: [2, 3], padding: same, dilation: [3, 1]}}",
    "{Conv2d: {out_channels: 6, kernel_size: [5, 4], padding: same, dilation: 2}}",
    "{Conv2d: {out_channels: 6, kernel_size: 3, padding: valid}}",
    "{ConvTranspose2d: {out_channels: 6, kernel_size: 3, stride: 2, output_padding: 1}}",
    "{ConvTranspose2d: {out_channels: 6, kernel_size: 2, groups: 2, bias: false}}",
    "[Flatten, {Linear: {out_features: 5}}]",
    "[Flatten, {Linear: {out_features: 5, bias: false}}, ReLU, {Linear: {out_features: 3}}]",
    "{MaxPool2d: {kernel_size: 3, stride: 2, ceil_mode: true}}",
    "{MaxPool2d: {kernel_size: 2, padding: 1, dilation: 2}}",
    "{AvgPool2d: {kernel_size: 3, stride: 2}}",
    "{AvgPool2d: {kernel_size: 2, divisor_override: 3, ceil_mode: true}}",
    "{AdaptiveAvgPool2d: {output_size: 1}}",
    "{AdaptiveAvgPool2d: {output_size: 3}}",
    "{AdaptiveAvgPool2d: {output_size: [1, null]}}",
    "{AdaptiveAvgPool2d: {output_size: [null, 4]}}",
    "[{AdaptiveAvgPool2d: {output_size: 1}}, {AdaptiveAvgPool2d: {output_size: [1, null]}}]",
    "{Upsample: {scale_factor: 2}}",
    "{Upsample: {size: 9, mode: bilinear, align_corners: true}}",
    "{Upsample: {scale_factor: 1.5, mode: bicubic}}",
    "{Upsample: {size: [3, 5], mode: nearest-exact}}",
    "BatchNorm2d",
    "{BatchNorm2d: {affine: false}}",
    "{BatchNorm2d: {track_running_stats: false}}",
    "{BatchNorm2d: {momentum: null}}",
    "{LocalResponseNorm: {size: 5}}",
    "{LocalResponseNorm: {size: 1}}",
    "{LocalResponseNorm: {size: 2, alpha: 0, beta: 1, k: 2}}",
    *("ReLU", "ReLU6", "LeakyReLU", "Sigmoid", "Tanh", "SiLU", "GELU", "{GELU: {approximate: tanh}}"),
    *(f"{{{kind}: {{inplace: true}}}}" for kind in ("ReLU", "ReLU6", "LeakyReLU", "SiLU", "Dropout")),
    "{LeakyReLU: {negative_slope: -0.5, inplace: true}}",
    "{LeakyReLU: {negative_slope: 0, inplace: true}}",
    *("Softmax", "{Softmax: {dim: 0}}", "{Softmax: {dim: -1}}"),
    *(f"{{Dropout: {{p: {p}, inplace: {flag}}}}}" for p in (0, 0.3, 1) for flag in ("false", "true")),
    "[Identity, {ReLU: {inplace: true}}]",
    "[BatchNorm2d, {ReLU: {inplace: true}}, {Dropout: {inplace: true}}]",
    "[BatchNorm2d, {ReLU6: {inplace: true}}, {Dropout: {inplace: true}}]",
    "[BatchNorm2d, {Dropout: {inplace: true}}, {SiLU: {inplace: true}}, {ReLU: {inplace: true}}]",
    "[{Dropout: {p: 0}}, {ReLU: {inplace: true}}]",
    "{Flatten: {start_dim: 2, end_dim: 2}}",
    "{ChannelAffine: {scale: [1, 2, 3, 4], shift: [0, 0, 0, 0]}}",
    "{concat: [{}, {a: {ReLU: {inplace: true}}}, {b: Tanh}]}",
    "{add: [{}, {a: ReLU}, {b: {MaxPool2d: {kernel_size: 1}}}]}",
    "{add: {scale: 0.17, branches: [{}, {a: Sigmoid}]}}",
)


@pytest.mark.parametrize(
    ("layer", "dtype"),
    [
        (layer, dtype)
        for layer in LAYERS
        for dtype in ("fp32", "fp64", "bf16")
        # torch has no such kernel on the CPU.
        if dtype != "bf16" or "LocalResponseNorm" not in layer
    ],
)
def test_a_layer_saves_what_autograd_packs(layer: str, dtype: str) -> None:
    """Behind a convolution, where a gradient passes, and on the network's input, where it may not."""
    last = "{add: [{}, {}]}"  # something reads the layer, and keeps nothing
    conv = "{Conv2d: {out_channels: 4, kernel_size: 1}}"
    for before in ("", f"before: {conv}, ", f"before: {conv}, norm: BatchNorm2d, "):
        text = f"name: one\ninput: [4, 9, 8]\nstages: {{all: {{{before}layer: {layer}, last: {last}}}}}"
        graph = build_graph(parse_spec(text), (2, 4, 9, 8), mode="train")
        assert saved_by_rule(graph, dtype) == saved_by_torch(graph, dtype)


@settings(
    derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck), max_examples=at_least(80)
)
@given(specs(faults=False))
def test_any_network_saves_what_autograd_packs(document: Document) -> None:
    """Whatever the language can say, two images at a time, for BatchNorm refuses one value for each channel."""
    try:
        spec = parse_spec(to_yaml(document), "drawn.yaml")
        graph = build_graph(spec, (2, *spec.input), mode="train")
    except GnetError:
        return
    if any(node.op.refuses_training(node.input_shapes) for node in graph.nodes):
        return
    by_rule, by_torch = saved_by_rule(graph), saved_by_torch(graph)
    if training_memory(graph, "sgd").saved_status == "exact":
        assert by_rule == by_torch
    else:
        # What a layer keeps of which that is not known is not made up; what others keep may be among it.
        assert sum(by_rule.values()) <= sum(by_torch.values())


def test_saved_bytes_by_hand() -> None:
    """A convolution keeps its input, a ReLU its output, which the next convolution keeps once more for nothing."""
    conv = "{Conv2d: {out_channels: 8, kernel_size: 3, padding: 1}}"
    relu, pool = "{ReLU: {inplace: true}}", "{MaxPool2d: {kernel_size: 2}}"
    chain = f"a: {conv}, norm: BatchNorm2d, relu: {relu}, b: {conv}, pool: {pool}"
    graph = graph_of(f"stages: {{s: {{{chain}}}}}", mode="train")
    image, tensor = 4 * 3 * 32 * 32, 4 * 8 * 32 * 32
    assert saved_by_rule(graph) == {
        "a": image,
        "norm": tensor + 4 * 2 * 8,
        "relu": tensor,  # what BatchNorm made, overwritten
        "pool": tensor + 8 * 8 * 16 * 16,
    }


def test_nothing_is_saved_before_the_first_weights() -> None:
    """The network's input has no gradient: a pool on it keeps nothing, the first convolution what it reads."""
    pool, conv = "{MaxPool2d: {kernel_size: 2}}", "{Conv2d: {out_channels: 1, kernel_size: 1}}"
    text = f"stages: {{s: {{pool: {pool}, tanh: Tanh, conv: {conv}}}}}"
    assert saved_by_rule(graph_of(text, mode="train")) == {"conv": 4 * 3 * 16 * 16}


STEPS: dict[str, Callable[[Iterator[nn.Parameter]], torch.optim.Optimizer]] = {
    "sgd": lambda params: torch.optim.SGD(params, 0.1),
    "momentum": lambda params: torch.optim.SGD(params, 0.1, momentum=0.9),
    "adam": torch.optim.Adam,
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_weights_gradients_and_state_are_torchs(optimizer: str, dtype: str) -> None:
    """After one step of the optimizer: all that it, the gradients and the module hold, Adam's step counters apart."""
    conv, pool = "{Conv2d: {out_channels: 8, kernel_size: 3}}", "{AdaptiveAvgPool2d: {output_size: 1}}"
    affine = "{ChannelAffine: {scale: [1, 2, 3], shift: [0, 0, 0]}}"
    norms = "a: BatchNorm2d, b: {BatchNorm2d: {affine: false}}, c: {BatchNorm2d: {track_running_stats: false}}"
    layers = f"scale: {affine}, conv: {conv}, {norms}, pool: {pool}, flat: Flatten, fc: {{Linear: {{out_features: 5}}}}"
    graph = graph_of(f"stages: {{s: {{{layers}}}}}", mode="train")
    memory = training_memory(graph, optimizer, dtype)
    module = build_module(graph, dtype=DTYPES[dtype])
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    step = STEPS[optimizer](module.parameters())
    step.step()
    state = [item for held in step.state.values() for key, item in held.items() if key != "step" and item is not None]
    assert memory.weights_bytes == sum(item.nbytes for item in (*module.parameters(), *module.buffers()))
    assert memory.gradient_bytes == sum(item.grad.nbytes for item in module.parameters() if item.grad is not None)
    assert memory.optimizer_bytes == sum(item.nbytes for item in state)
    parts = (memory.weights_bytes, memory.gradient_bytes, memory.optimizer_bytes, memory.saved_bytes)
    assert memory.total_bytes == sum(parts)


def test_a_cross_entropy_keeps_log_probabilities_beside() -> None:
    """What is said not to be counted: N x classes for each output, and nothing else of that size."""
    graph = build_graph(load_spec("lenet5"), (2, 1, 32, 32), mode="train")
    logits = build_module(graph).train()(torch.zeros(graph.input_shape))
    assert not isinstance(logits, Outputs)
    packed: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        packed.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        nn.functional.cross_entropy(logits, torch.zeros(2, dtype=torch.int64))
    large = {item.untyped_storage().data_ptr(): item.shape for item in packed if item.dim() == 2}
    assert list(large.values()) == [(2, 10)]


def test_what_is_no_training_is_refused() -> None:
    """An eval graph, an optimizer nobody knows, and integers."""
    spec = load_spec("lenet5")
    trained = build_graph(spec, mode="train")
    with pytest.raises(UsageError, match="expected a graph of the mode \"train\", got one of 'eval'"):
        training_memory(build_graph(spec), "adam")
    with pytest.raises(UsageError, match="expected an optimizer of sgd, momentum, adam, got 'lion'"):
        training_memory(trained, "lion")
    with pytest.raises(UsageError, match="expected a dtype to train in of fp32, fp16, bf16, fp64, got 'int8'"):
        training_memory(trained, "adam", "int8")
    with pytest.raises(UsageError, match="expected a Graph"):
        training_memory(spec, "adam")  # the test's point


# --- the command ---

TRAIN = ("summary", "googlenet", "--mode", "train")


def test_json_has_training_where_it_was_asked_for(run: Run) -> None:
    """The record as it is; without the flag no key."""
    found = json.loads(run(*TRAIN, "--optimizer", "adam", "--format", "json").out)
    training = found["training"]
    assert list(training) == [
        *("optimizer", "weights_bytes", "gradient_bytes", "optimizer_bytes", "saved_bytes", "total_bytes", "saved"),
        "saved_status",
    ]
    assert training["saved_status"] == "exact"
    assert (training["optimizer"], training["weights_bytes"]) == ("adam", 4 * 13_378_280)
    assert training["saved_bytes"] == sum(layer["bytes"] for layer in training["saved"])
    assert {layer["name"] for layer in training["saved"]} <= {layer["name"] for layer in found["layers"]}
    assert "training" not in json.loads(run(*TRAIN, "--format", "json").out)


def test_the_table_says_what_a_step_keeps(run: Run) -> None:
    """One line more below it, also of an optimizer without a state; CSV stays as it is."""
    plain = run(*TRAIN).out.splitlines()
    (line,) = [line for line in run(*TRAIN, "--optimizer", "sgd").out.splitlines() if line not in plain]
    assert line.startswith("training     weights 53.51 MB, gradients 53.51 MB, no state of sgd, saved activations ")
    assert line.endswith(" MB in all, without workspaces and the allocator's slack")
    assert run(*TRAIN, "--optimizer", "sgd", "--format", "csv").out == run(*TRAIN, "--format", "csv").out


def test_a_summary_of_python_takes_the_optimizer_too() -> None:
    """The same record."""
    graph = build_graph(load_spec("lenet5"), mode="train")
    assert summarize(graph, "fp16", optimizer="momentum").training == training_memory(graph, "momentum", "fp16")
    assert summarize(graph).training is None


def test_a_summary_without_it_does_not_import_its_rules() -> None:
    """The command starts with what it needs."""
    code = f"""
import sys
sys.argv = ["gnet-inspect", "summary", "lenet5", "--mode", "train", "-o", {os.devnull!r}, *sys.argv[1:]]
from gnet_inspect.cli import main
try:
    main()
except SystemExit:
    print(*(name in sys.modules for name in ("gnet_inspect.analysis.training", "torch")))
"""
    for flags, loaded in ([], "False False"), (["--optimizer", "adam"], "True False"):
        done = subprocess.run([sys.executable, "-c", code, *flags], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == loaded
