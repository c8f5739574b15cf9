"""Measured times: the protocol, the record, and what is said of both. How long things take is for the benchmarks."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gnet_inspect.analysis.memory import activation_peak
from gnet_inspect.errors import MissingError, UsageError
from gnet_inspect.language import catalogue, load_spec, parse_spec
from gnet_inspect.records.timing import (
    LayerTiming,
    Measurement,
    Ratio,
    Stopped,
    TimingRecord,
    measurement_times,
    ratio_of,
)
from gnet_inspect.sources.spec import build_graph
from gnet_inspect.views.tables.latency import LAYER_COLUMNS, latency_grids, layers_grid, seconds_text
from tests.conftest import Run
from tests.specs import HEADER, RELATIVES, graph_of

torch = pytest.importorskip("torch")


from gnet_inspect.runtime.latency import (  # noqa: E402  # needs torch
    Job,
    improve_networks,
    improving,
    time_networks,
)
from gnet_inspect.runtime.latency import protocol as protocols  # noqa: E402
from gnet_inspect.runtime.latency.candidate import Candidate, estimated_bytes  # noqa: E402
from gnet_inspect.runtime.latency.improving import TOLERANCE  # noqa: E402
from gnet_inspect.runtime.latency.layers import time_layers  # noqa: E402
from gnet_inspect.runtime.latency.setting import Setting, check_setting, pick_device  # noqa: E402
from tests.clocks import FakeClock  # noqa: E402
from tests.timing import FAST, QUICK, lenet, silent  # noqa: E402
from tests.undrawn import undrawn  # noqa: E402  # needs torch

ALL_STEPS = improving.steps_of
CONTRACT = (
    *("model", "batch", "dtype", "variant", "median_s", "p10_s", "p90_s", "iqr_s"),
    *("images_per_s", "peak_memory_bytes", "layers"),
)


# --- statistics ---


def test_statistics_are_those_of_the_single_runs() -> None:
    """Median, tenths and quartiles over all rounds, and each round's median."""
    times = measurement_times([[float(second) for second in range(51)], [float(second) for second in range(51, 101)]])
    assert (times["median_s"], times["p10_s"], times["p90_s"], times["iqr_s"]) == (50, 10, 90, 50)
    assert times["times_s"] == (25, 75.5)
    one = measurement_times([[2.0]])
    assert (one["median_s"], one["p10_s"], one["iqr_s"]) == (2, 2, 0)


def test_ratios_are_taken_round_by_round() -> None:
    """A machine that gets slower in the middle slows both, and their ratio stays."""
    one = Measurement("a", times_s=(1.0, 1.0, 4.0))
    other = Measurement("b", times_s=(2.0, 2.1, 8.0))
    ratio = ratio_of(other, one)
    assert ratio is not None
    assert (ratio.median, ratio.least, ratio.most) == (2.0, 2.0, 2.1)
    assert ratio_of(Measurement("c"), one) is None


def test_noise_and_launches_are_told() -> None:
    """From the spread, and from how long kernels take."""
    assert Measurement("a", p10_s=1.0, p90_s=1.3).noisy
    assert not Measurement("a", p10_s=1.0, p90_s=1.2).noisy
    assert Measurement("a", median_s=1.0, gpu_busy_s=0.5).launch_bound
    assert not Measurement("a", median_s=1.0, gpu_busy_s=0.9).launch_bound
    assert not Measurement("a", median_s=1.0).launch_bound
    bound = Measurement("a", 1, "fp32", "eager", 1e-3, gpu_busy_s=2e-4, cuda_graph_s=3e-4)
    (table,) = latency_grids(TimingRecord((bound,)), [], "block")
    assert any(
        "busy for 200.00 us of 1.00 ms, as a CUDA graph it takes 300.00 us: launch-bound" in line
        for line in table.below
    )


# --- what is run ---


def test_the_record_keeps_the_contract() -> None:
    """Its keys, the device, the protocol, every layer, and numbers that fit each other."""
    graph = lenet(4)
    record = time_networks([Job(graph, Setting())], QUICK, silent, layers=True)
    (result,) = record.results
    assert {*CONTRACT} <= set(Measurement.__struct_fields__)
    assert {"type", "name", "torch", "threads"} <= set(record.device)
    assert {"timer", "warmup", "min_time_s", "peak_memory", "turns"} <= set(record.protocol)
    assert [layer.name for layer in result.layers] == [node.name for node in graph.nodes]
    assert [layer.kind for layer in result.layers] == [node.op.kind for node in graph.nodes]
    assert all(layer.median_s > 0 for layer in result.layers)
    assert result.median_s is not None
    assert result.images_per_s == pytest.approx(4 / result.median_s)
    assert result.p10_s is not None
    assert result.p90_s is not None
    assert result.p10_s <= result.median_s <= result.p90_s
    assert result.peak_memory_bytes is not None
    assert result.peak_memory_bytes > 50_000_000  # torch alone takes more
    assert result.runs >= QUICK.repeat


@pytest.mark.parametrize("model", [model for model in catalogue() if model not in RELATIVES])
def test_every_layer_of_every_model_is_timed(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its own hooks: each has a time, and no hook is left behind."""
    monkeypatch.setattr("gnet_inspect.runtime.latency.layers.ROUNDS", 1)
    spec = load_spec(model)
    # Small, but for those whose last pools want a map of 6x6, or that have places for patches; U-Net needs 188.
    small = spec.input[1] > 100 and model not in ("nin", "vit_b_16")
    side = 188 if model == "unet" else 96
    graph = build_graph(spec, (1, spec.input[0], side, side) if small else None, resize=small)
    with undrawn():
        candidate = Candidate(graph, Setting(threads=torch.get_num_threads()))
    found = time_layers(candidate, 0.0, FakeClock(tick=0.001))
    assert found.by == "hooks"
    # A learned tensor is read, not called.
    called = [node.name for node in graph.nodes if node.op.arity[1]]
    assert list(found.seconds) == called
    # One look at the clock before each layer and one behind it.
    assert list(found.seconds.values()) == pytest.approx([0.001] * len(called))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in candidate.module.modules())


def test_a_training_step_weighs_the_heads_as_the_paper_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Main loss + 0.3 x each head's: the gradients are those of that sum, and the weights move against them."""
    text = (
        "stages: {s: {f: Flatten, a: {Linear: {out_features: 4}}, b: {Linear: {out_features: 3}}}}\n"
        "heads: {aux: {from: a, weight: 0.3, layers: {c: {Linear: {out_features: 3}}}}}"
    )
    graph = graph_of(text, mode="train", input_shape=(2, 3, 32, 32))
    monkeypatch.setattr("gnet_inspect.runtime.latency.candidate.LEARNING_RATE", 0.5)
    candidate = Candidate(graph, Setting(mode="train"))
    before = {name: value.detach().clone() for name, value in candidate.module.named_parameters()}
    torch.manual_seed(0)
    loss = candidate.run()
    after = dict(candidate.module.named_parameters())
    assert isinstance(loss, torch.Tensor)
    gradients = {name: (before[name] - after[name].detach()) / 0.5 for name in before}
    (x,) = candidate.inputs[0]
    parts = {name: value.clone().requires_grad_() for name, value in before.items()}
    hidden = x.flatten(1) @ parts["a.weight"].T + parts["a.bias"]
    labels = candidate.labels
    cross = torch.nn.functional.cross_entropy
    main = cross(hidden @ parts["b.weight"].T + parts["b.bias"], labels)
    head = cross(hidden @ parts["aux.c.weight"].T + parts["aux.c.bias"], labels)
    (main + 0.3 * head).backward()
    for name, value in parts.items():
        assert value.grad is not None
        torch.testing.assert_close(gradients[name], value.grad, atol=1e-5, rtol=1e-3)


# A table of tokens, a sequence, maps, one layer that is called twice, and outputs with names.
MANY = """
name: many
inputs: {tokens: {shape: [5], dtype: int64}, images: [3, 8, 8]}
stages:
  s:
    table: {Embedding: {num_embeddings: 7, embedding_dim: 4}, from: tokens}
    conv: {Conv2d: {out_channels: 3, kernel_size: 3, padding: 1}, from: images}
    norm: BatchNorm2d
    relu: ReLU
    again: {share: conv}
    last: {share: relu}
outputs: {words: table, maps: last}
"""


def test_a_network_of_several_inputs_is_timed_and_improved() -> None:
    """Each input has its own shape and dtype, every call of a layer its own time, and named outputs are compared."""
    graph = build_graph(parse_spec(MANY))
    for layout in (False, True):
        setting = Setting(channels_last=layout)
        candidate = Candidate(graph, setting)
        tokens, images = candidate.inputs[0]
        assert (tokens.dtype, images.dtype) == (torch.int64, torch.float32)
        assert images.is_contiguous(memory_format=torch.channels_last) == layout
        found = time_layers(candidate, 0.0, FakeClock(tick=0.001))
        assert list(found.seconds) == ["table", "conv", "norm", "relu", "conv@1", "relu@1"]
        assert list(found.seconds.values()) == pytest.approx([0.001] * 6)
    assert estimated_bytes(graph, Setting()) == (
        4 * sum(node.params + node.buffers for node in graph.nodes)
        + 8 * 5
        + 4 * 3 * 64
        + activation_peak(graph, 4).bytes
    )
    (result, *steps) = improve_networks([Job(graph, Setting())], QUICK, silent).results
    assert result.median_s is not None
    assert not [step.note for step in steps if "not possible" in step.note and "compile" not in step.step]


OTHER_HEAD = (
    "stages: {s: {f: Flatten, a: {Linear: {out_features: 4}}}}\n"
    "heads: {aux: {from: f, weight: 0.3, layers: {c: {Linear: {out_features: 3}}}}}"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "stages: {s: {a: ReLU}}\noutputs: {b: a, c: input}",
            "expected a network of one output that has no name, got b, c",
        ),
        ("stages: {s: {a: {Flatten: {start_dim: 2}}}}", "expected scores .*, got 2x3x1024"),
        (
            OTHER_HEAD,
            "expected the head `aux` to give what the network gives, 2x4, .* got 2x3",
        ),
    ],
)
def test_a_step_without_a_classifiers_loss_is_refused(text: str, message: str) -> None:
    """Before anything is built."""
    with pytest.raises(UsageError, match=f"--mode train: {message}"):
        check_setting(graph_of(text, mode="train", input_shape=(2, 3, 32, 32)), Setting(mode="train"))


def test_maps_of_scores_are_trained_place_by_place() -> None:
    """As a network that segments is."""
    graph = graph_of("stages: {s: {a: {Conv2d: {out_channels: 4, kernel_size: 3}}}}", mode="train")
    candidate = Candidate(graph, Setting(mode="train"))
    assert candidate.labels.shape == (1, 30, 30)
    assert isinstance(candidate.run(), torch.Tensor)


def test_a_layout_of_images_needs_images() -> None:
    """Else nothing would be laid out."""
    graph = build_graph(parse_spec("name: x\ninput: [9]\nstages: {s: {a: ReLU}}"))
    with pytest.raises(UsageError, match=r"--channels-last: expected a network of images.*got the input 1x9"):
        check_setting(graph, Setting(channels_last=True))


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_training_steps_are_timed(optimizer: str) -> None:
    """With each optimizer; the record says which."""
    record = time_networks([Job(lenet(2, "train"), Setting(mode="train", optimizer=optimizer))], QUICK, silent)
    assert (record.results[0].mode, record.results[0].variant) == ("train", optimizer)


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_dtypes_and_layouts_are_what_runs(dtype: str, channels_last: bool) -> None:
    """The module's weights and the images have them."""
    candidate = Candidate(build_graph(load_spec("alexnet")), Setting(dtype=dtype, channels_last=channels_last))
    (image,) = candidate.inputs[0]
    assert image.dtype == candidate.setting.torch_dtype
    assert all(value.dtype == candidate.setting.torch_dtype for value in candidate.module.parameters())
    assert image.is_contiguous(memory_format=torch.channels_last) == channels_last
    output = candidate.run()
    assert isinstance(output, torch.Tensor)
    assert output.dtype == candidate.setting.torch_dtype


# --- what is refused ---


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (Setting(cuda_graph=True), "--cuda-graph: expected a CUDA device, got cpu"),
        (Setting(dtype="tf32"), "tf32 is a format of NVIDIA's GPUs"),
        (Setting(device="cuda:0", cuda_graph=True, compiled="max-autotune"), "which makes CUDA graphs of its own"),
        (Setting(mode="train", device="cuda:0", cuda_graph=True), "a training step is not captured"),
    ],
)
def test_settings_that_cannot_be(setting: Setting, message: str) -> None:
    """Are refused before anything is built."""
    with pytest.raises(UsageError, match=message):
        check_setting(lenet(), setting)


def test_batch_norm_behind_a_1x1_map_wants_a_batch() -> None:
    """In training, at batch 1: the layer is named, and what to do."""
    text = "stages: {s: {p: {AdaptiveAvgPool2d: {output_size: 1}}, bn: BatchNorm2d, f: Flatten}}"
    with pytest.raises(UsageError, match=r"`bn` is a BatchNorm behind a 1x1 map.*--batch 2"):
        check_setting(graph_of(text, mode="train"), Setting(mode="train"))
    check_setting(graph_of(text, mode="train", input_shape=(2, 3, 32, 32)), Setting(mode="train"))
    check_setting(graph_of(text), Setting())


def test_devices_that_are_not_there() -> None:
    """Are told with how to get them."""
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert pick_device("auto") in ("cpu", "mps")
    with pytest.raises(MissingError, match="--device cuda: torch sees 0 CUDA devices"):
        pick_device("cuda")
    for name in ("gpu", "cpu:1", "cuda:x", ""):
        with pytest.raises(UsageError, match="--device: expected auto, cpu"):
            pick_device(name)


def test_what_cannot_fit_is_refused_before_it_is_built(run: Run) -> None:
    """With the bytes."""
    result = run("latency", "alexnet", "--batch", "1000000", *FAST)
    assert (result.code, result.out) == (3, "")
    assert "running alexnet at batch 1000000 in fp32 takes" in result.err
    # 61,706 weights and an image; at the peak the first tanh's input and output.
    assert estimated_bytes(lenet(), Setting()) == 4 * (61_706 + 32 * 32 + 2 * 6 * 28 * 28)


def test_memory_that_runs_out_is_an_error_with_advice(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback, whichever allocator says so."""
    for error in (
        torch.OutOfMemoryError("CUDA out of memory. Tried"),
        RuntimeError("can't allocate memory: you tried"),
    ):

        def fail(*_: object, error: Exception = error) -> object:
            raise error

        monkeypatch.setattr(Candidate, "_infer", fail)
        result = run("latency", "lenet5", *FAST)
        assert (result.code, result.out) == (3, "")
        assert "take a smaller --batch" in result.err


def test_mistakes_are_answered(run: Run, tmp_path: Path) -> None:
    """In one line, and nothing is measured."""
    missing = str(tmp_path / "none.json")
    for arguments, message in (
        (("--batch", "1,x"), "--batch: expected positive integers such as 1,8,64"),
        (("--batch", "0"), "--batch: expected positive integers"),
        (("--dtype", "fp8"), "--dtype: expected fp32, tf32, fp16, bf16"),
        (("--repeat", "0"), "--repeat: expected a positive integer"),
        (("--min-time", "0"), "--min-time: expected seconds above 0"),
        (("--layers", "--mode", "train"), "--layers times the layers of an eager inference"),
        (("--layers", "--compile"), "--layers times the layers of an eager inference"),
        (("--compile=fast",), "--compile: expected default, reduce-overhead"),
        (("--optimizer", "lion", "--mode", "train"), "--optimizer: expected sgd, momentum, adam"),
        (("--against", missing), "--against: cannot read"),
        (("--save", str(tmp_path / "none" / "a.json"), "--device", "cpu"), "--save: expected a file in a folder that"),
        (("--dtype", "tf32", "--device", "cpu"), "tf32 is a format of NVIDIA's GPUs"),
    ):
        result = run("latency", "lenet5", *arguments)
        assert (result.code, result.out) == (2, ""), arguments
        assert message in result.err


# --- the command ---


def test_the_command_prints_a_table_and_keeps_a_record(run: Run, tmp_path: Path) -> None:
    """Ratios of what took turns, the device, the protocol; the file can be compared with, and reported."""
    path = tmp_path / "a.json"
    result = run("latency", "lenet5", "nin", "--batch", "1,2", "--layers", "--save", str(path), *FAST)
    assert result.code == 0
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["schema_version"] == 2
    assert [(item["model"], item["batch"]) for item in record["results"]] == [
        *(("lenet5", 1), ("nin", 1)),
        *(("lenet5", 2), ("nin", 2)),
    ]
    for item in record["results"]:
        assert set(CONTRACT) <= set(item)
        assert {"name", "kind", "median_s", "roofline_s"} <= set(item["layers"][0])
    for expected in ("measured on", "nin at batch 1:", "x the time of lenet5", "sum of layers", "peak memory"):
        assert expected in result.out
    assert "timing lenet5 at batch 1 (eager)" in result.err
    again = run("latency", "lenet5", "--against", str(path), *FAST)
    assert "x the time in the record" in again.out
    assert run("diagram", "lenet5", "--color", "time", "--latency", str(path)).code == 0


def test_a_spec_on_standard_input_is_read_once(run: Run) -> None:
    """For all batches: after the first there is nothing more to read."""
    text = f"{HEADER}stages: {{s: {{a: {{Conv2d: {{out_channels: 2, kernel_size: 3}}}}}}}}"
    result = run("latency", "-", "--batch", "1,2", "--format", "json", *FAST, stdin=text.encode())
    assert [item["batch"] for item in json.loads(result.out)["results"]] == [1, 2]


def test_records_of_other_devices_are_not_compared_silently(run: Run, tmp_path: Path) -> None:
    """Refused, unless that is meant; then it is said."""
    path = tmp_path / "a.json"
    assert run("latency", "lenet5", "--save", str(path), *FAST).code == 0
    record = json.loads(path.read_text(encoding="utf-8"))
    record["device"]["name"] = "another"
    path.write_text(json.dumps(record), encoding="utf-8")
    refused = run("latency", "lenet5", "--against", str(path), *FAST)
    assert (refused.code, refused.out) == (2, "")
    assert "was measured on another" in refused.err
    meant = run("latency", "lenet5", "--against", str(path), "--any-device", *FAST)
    assert meant.code == 0
    assert "the record was measured on another" in meant.out
    other = run("latency", "nin", "--against", str(path), "--any-device", *FAST)
    assert "nin at batch 1: not in the record" in other.out


@pytest.mark.parametrize("style", ["json", "csv", "markdown"])
def test_other_formats(run: Run, style: str) -> None:
    """JSON is the record; CSV has seconds."""
    result = run("latency", "lenet5", "--format", style, *FAST)
    assert result.code == 0
    if style == "json":
        assert json.loads(result.out)["results"][0]["model"] == "lenet5"
    if style == "csv":
        head, row = result.out.splitlines()
        assert float(row.split(",")[head.split(",").index("median_s")]) > 0


@pytest.mark.parametrize("depth", ["stage", "block", "branch", "layer", "kind"])
def test_layers_are_grouped(depth: str) -> None:
    """Whatever they are grouped by, the parts sum to the whole; shares of the roofline where it is known."""
    graph = build_graph(load_spec("googlenet"))
    timings = tuple(LayerTiming(node.name, 1e-3, node.op.kind, 5e-4) for node in graph.nodes)
    result = Measurement("googlenet", 1, "fp32", "eager", 0.142, layers=timings, input=graph.input_shape)
    grid = layers_grid(result, graph, depth)
    assert len(grid.columns) == len(LAYER_COLUMNS)
    outermost = [line for line in grid.lines[:-1] if not line.cells[0].startswith(" ")]
    assert sum(float(line.cells[3]) for line in outermost) == pytest.approx(100, abs=1)
    assert all(line.cells[6] == "50.0" for line in grid.lines[:-1])
    names = [line.cells[0].strip() for line in grid.lines]
    expected = {
        "stage": "inception3",
        "block": "inception3a",
        "branch": "branch2",
        "layer": "branch2.0.conv",
        "kind": "Conv2d",
    }
    assert expected[depth] in names
    table = latency_grids(TimingRecord((result,)), [graph], depth)
    assert len(table) == 2


# Ctrl-C comes when the second batch begins to be timed, however fast the machine is.
INTERRUPTED = """
import signal, sys
# Whoever runs these tests may ignore it, as nohup does.
signal.signal(signal.SIGINT, signal.default_int_handler)
from gnet_inspect.runtime.latency import protocol
before = protocol._time_round
def time_round(timed, *rest):
    if timed.candidate.graph.input_shape[0] == 2:
        signal.raise_signal(signal.SIGINT)
    before(timed, *rest)
protocol._time_round = time_round
from gnet_inspect.cli import main
main()
"""


def test_an_interrupt_prints_what_there_is(tmp_path: Path) -> None:
    """Ctrl-C in the middle: the batches that were done, exit code 130, and no file."""
    arguments = ["latency", "lenet5", "--batch", "1,2", "--save", str(tmp_path / "a.json"), *FAST]
    done = subprocess.run([sys.executable, "-c", INTERRUPTED, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert "lenet5      1  fp32" in done.stdout
    assert "lenet5      2" not in done.stdout
    assert "nothing is saved" in done.stderr
    assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == []


def test_stopping_early_says_only_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """While it warms up there is nothing to show."""

    def stop(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(protocols, "warm_up", stop)
    with pytest.raises(Stopped) as stopped:
        time_networks([Job(lenet(), Setting())], QUICK, silent)
    assert stopped.value.record.results == ()


def test_without_torch_it_is_told_how_to_get_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing else."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    result = run("latency", "lenet5")
    assert (result.code, result.out) == (3, "")
    assert "latency needs torch" in result.err


@pytest.mark.slow
def test_a_network_is_compiled(write_spec: Callable[[str], str]) -> None:
    """Where there is a compiler: its time is told apart, --compile alone is the default mode."""
    # Each kernel is a run of the compiler, and so are torch's headers: here there is one, and they are read as text.
    path = write_spec(f"{HEADER}stages: {{s: {{conv: {{Conv2d: {{out_channels: 4, kernel_size: 3}}}}, relu: ReLU}}}}")
    # In a process of its own: importing torch's compiler warns of what it deprecates itself.
    command = [sys.executable, "-m", "gnet_inspect", "latency", path, "--compile", "--format", "json", *FAST]
    environment = os.environ | {"TORCHINDUCTOR_CPP_CACHE_PRECOMPILE_HEADERS": "0"}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if result.returncode == 3:
        assert "It needs a C++ compiler" in result.stderr
        pytest.skip("torch.compile has no compiler here")
    (found,) = json.loads(result.stdout)["results"]
    assert found["variant"] == "compile"
    assert found["compile_s"] > 0


# --- faster without changing the function ---


def improved(model: str, monkeypatch: pytest.MonkeyPatch, batch: int = 1, size: int = 0) -> tuple[Any, TimingRecord]:
    """A model's steps, without waiting for good times, and without torch.compile."""
    monkeypatch.setattr(protocols, "warm_up", lambda *_: 0)
    monkeypatch.setattr(
        improving, "steps_of", lambda setting: [step for step in ALL_STEPS(setting) if step.name != "compile"]
    )
    spec = load_spec(model)
    graph = build_graph(spec, (batch, spec.input[0], size or spec.input[1], size or spec.input[2]), resize=bool(size))
    return graph, improve_networks([Job(graph, Setting(threads=torch.get_num_threads()))], QUICK, silent)


def test_steps_keep_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is compared with the eager module on an input that the output depends on; the table says what was kept."""
    graph, record = improved("googlenet_torchvision", monkeypatch, 2, 64)
    steps = [result.step for result in record.results]
    assert steps == [
        "",
        "fold batch norm",
        "merge parallel convolutions",
        "write concat in place",
        "channels last",
        "bf16",
    ]
    for result in record.results[1:]:
        assert result.output_error is not None
        assert result.output_error <= TOLERANCE[result.dtype]
        assert result.kept is not None
        assert result.gain_in_all is not None
        assert result.note == ""
        # What it is compared with was timed in the same rounds, and stands beside it.
        assert result.before_s is not None
        assert result.eager_s is not None
    assert 0 < record.results[1].output_error < 1e-4  # type: ignore[operator]
    (table,) = latency_grids(record, [graph], "block")
    assert [line.cells[0].strip() for line in table.lines][1:] == steps[1:]
    assert {line.cells[-1] for line in table.lines[1:]} <= {"kept", "kept, within the noise", "not kept: no gain"}
    names = [column.exact for column in table.columns]
    for line, result in zip(table.lines[1:], record.results[1:], strict=True):
        assert line.cells[names.index("before_s")] == seconds_text(result.before_s)
        assert line.cells[names.index("eager_s")] == seconds_text(result.eager_s)


@pytest.mark.parametrize("model", ["googlenet", "resnet18", "alexnet", "inception_v3"])
def test_the_output_shows_what_a_layer_does(model: str) -> None:
    """The weights hand a signal on: another image gives another output, by far more than the tolerance."""
    spec = load_spec(model)
    graph = build_graph(spec, (1, 3, 96, 96), resize=True)
    module = improving.module_with_signal(graph)
    with torch.inference_mode():
        one, other = (module(torch.randn(1, 3, 96, 96)) for _ in range(2))
    assert improving.output_error(one, other) > max(TOLERANCE.values())


def test_a_step_that_changes_the_output_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what comes after it goes on without it."""

    def wrong(graph: Any) -> Any:
        nodes = tuple(
            msgspec.structs.replace(node, op=type(node.op)(kernel_size=(2, 2), stride=(2, 2)))
            if node.op.kind == "AvgPool2d"
            else node
            for node in graph.nodes
        )
        return msgspec.structs.replace(graph, nodes=nodes, overrides=("changed",))

    def no_kernel(_: Any) -> Any:
        raise RuntimeError("no kernel\nfor this")

    monkeypatch.setattr(protocols, "warm_up", lambda *_: 0)
    monkeypatch.setattr(
        improving, "optimized_module", lambda _, module, __: torch.nn.Sequential(module, torch.nn.Tanh())
    )
    steps = [improving.Step("wrong", wrong), improving.Step("bf16", None, {"dtype": "bf16"})]
    monkeypatch.setattr(improving, "steps_of", lambda _: steps)
    record = improve_networks([Job(lenet(), Setting())], QUICK, silent)
    eager, refused, after = record.results
    assert eager.step == ""
    assert (refused.kept, refused.median_s) == (False, None)
    assert "changes the output by" in refused.note
    assert after.variant == "bf16"
    monkeypatch.setattr(improving, "optimized_module", lambda *_: no_kernel(None))
    record = improve_networks([Job(lenet(), Setting())], QUICK, silent)
    assert record.results[1].note == "not possible: no kernel for this"


def test_the_command_improves(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prints the steps, keeps them in the record, and says so where it cannot."""
    monkeypatch.setattr(
        improving, "steps_of", lambda setting: [step for step in ALL_STEPS(setting) if step.name != "compile"]
    )
    path = tmp_path / "a.json"
    result = run("latency", "nin", "--optimize", "--save", str(path), *FAST)
    assert result.code == 0
    assert "channels last" in result.out
    record = json.loads(path.read_text(encoding="utf-8"))
    assert [item["step"] for item in record["results"]] == ["", "channels last", "bf16"]
    refused = run("latency", "nin", "--optimize", "--layers", *FAST)
    assert (refused.code, refused.out) == (2, "")


def test_a_gain_that_some_rounds_deny_is_within_the_noise() -> None:
    """The step is kept by its median, and the table says how sure that is."""
    sure, unsure = Ratio(1.2, 1.1, 1.3), Ratio(1.05, 0.9, 1.2)
    results = [
        Measurement("a", 1, "fp32", "eager", 2.0),
        Measurement("a", 1, "fp32", "x", 1.0, step="x", kept=True, gain=sure, gain_in_all=sure, before_s=1.2),
        Measurement("a", 1, "fp32", "y", 1.0, step="y", kept=True, gain=unsure, gain_in_all=sure, before_s=1.05),
    ]
    (table,) = latency_grids(TimingRecord(tuple(results)), [], "block")
    assert [line.cells[-1] for line in table.lines] == ["eager", "kept", "kept, within the noise"]
