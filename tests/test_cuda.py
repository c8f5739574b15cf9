"""What only a GPU can show; `make gpu` runs these. How fast it is stands in docs/measurements.md."""

import json
from pathlib import Path
from typing import Any

import pytest

from gnet_inspect.language import load_spec
from gnet_inspect.sources.spec import build_graph
from tests.conftest import Run
from tests.killed_training import job_of, train_in_parts

torch = pytest.importorskip("torch")

from gnet_inspect.runtime.latency import Job, Protocol, improve_networks, time_networks  # noqa: E402
from gnet_inspect.runtime.latency.candidate import Candidate  # noqa: E402
from gnet_inspect.runtime.latency.improving import (  # noqa: E402
    TOLERANCE,
    module_with_signal,
    output_error,
    output_of,
)
from gnet_inspect.runtime.latency.layers import time_layers  # noqa: E402
from gnet_inspect.runtime.latency.result import build_candidate  # noqa: E402
from gnet_inspect.runtime.latency.session import session  # noqa: E402
from gnet_inspect.runtime.latency.setting import Setting  # noqa: E402

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is at hand"),
]

QUICK = Protocol(0.1, 3, 2)


def graph_of(batch: int = 2, mode: str = "eval", model: str = "googlenet_torchvision") -> Any:
    spec = load_spec(model)
    return build_graph(spec, (batch, *spec.input), mode=mode)


def silent(_: float, __: str) -> None:
    """No progress."""


@pytest.mark.parametrize("dtype", sorted(TOLERANCE))
@pytest.mark.parametrize("way", [{}, {"channels_last": True}, {"cuda_graph": True}])
def test_outputs_are_the_cpus(dtype: str, way: dict[str, Any]) -> None:
    """Within what the dtype allows, also from a CUDA graph that was captured with another image."""
    graph = graph_of()
    on_cpu = Candidate(graph, Setting(), module_with_signal(graph))
    image = torch.randn(on_cpu.inputs[0][0].shape, generator=torch.Generator().manual_seed(7))
    expected = output_of(on_cpu, [image])
    setting = Setting("cuda:0", dtype, **way)
    with session(setting):
        assert (
            output_error(output_of(Candidate(graph, setting, module_with_signal(graph)), [image]), expected)
            <= (TOLERANCE[dtype])
        )


def test_layers_are_timed_by_their_kernels() -> None:
    """Every layer that computes has some, views have none, and together they are what the GPU was busy with."""
    setting = Setting("cuda:0")
    (result,) = time_networks([Job(graph_of(), setting)], QUICK, silent, layers=True).results
    assert result.layers_by == "kernels"
    times = {layer.name: layer.median_s for layer in result.layers}
    kinds = {layer.name: layer.kind for layer in result.layers}
    assert all(times[name] > 0 for name, kind in kinds.items() if kind in ("Conv2d", "BatchNorm2d", "ReLU", "concat"))
    assert all(times[name] == 0 for name, kind in kinds.items() if kind in ("Flatten", "Dropout"))
    assert result.gpu_busy_s is not None
    assert sum(times.values()) == pytest.approx(result.gpu_busy_s, rel=0.2)


def test_nothing_is_left_behind_by_timing_layers() -> None:
    """No hook, and the module runs as before."""
    with session(Setting("cuda:0")):
        candidate = Candidate(graph_of(1, model="alexnet"), Setting("cuda:0"))
        time_layers(candidate, 0.01)
        candidate.run()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in candidate.module.modules())


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_training_memory_is_the_allocators_within_a_tenth(optimizer: str) -> None:
    """By the rules beside torch.cuda.max_memory_allocated, at a batch whose activations outweigh the rest."""
    setting = Setting("cuda:0", mode="train", optimizer=optimizer)
    with session(setting):
        candidate, peak = build_candidate(Job(graph_of(32, "train"), setting))
    assert peak is not None
    assert candidate.estimated_bytes == pytest.approx(peak, rel=0.1)


def test_training_memory_does_not_depend_on_what_ran_before() -> None:
    """Whoever multiplies first makes cuBLAS's workspaces, which are no network's."""
    peaks = []
    with session(Setting("cuda:0")):
        torch._C._cuda_clearCublasWorkspaces()
        for _ in range(2):
            candidate, peak = build_candidate(Job(graph_of(2, "train"), Setting("cuda:0", mode="train")))
            peaks.append(peak)
            del candidate
    assert peaks[0] == pytest.approx(peaks[1], rel=0.01)


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")  # inductor's own use of deprecated torch functions
def test_optimizing_keeps_the_output() -> None:
    """Every step that was tried, torch.compile and a CUDA graph among them; compiling ended in a module that ran."""
    record = improve_networks([Job(graph_of(1), Setting("cuda:0"))], QUICK, silent)
    notes = {result.step: result.note for result in record.results}
    assert "cuda graph" in notes
    assert notes["compile"] == ""
    for result in record.results[1:]:
        assert result.note or (result.output_error is not None and result.output_error <= TOLERANCE[result.dtype])


def test_the_command_describes_the_gpu(run: Run) -> None:
    """Its name and driver, and that events timed it."""
    arguments = ("--device", "cuda", "--min-time", "0.05", "--repeat", "2", "--format", "json")
    result = run("latency", "alexnet", *arguments)
    assert result.code == 0, result.err
    record = json.loads(result.out)
    assert record["device"]["type"] == "cuda"
    assert record["protocol"]["timer"].startswith("CUDA events")
    assert record["results"][0]["gpu_busy_s"] > 0


@pytest.mark.parametrize(
    "more", [{}, {"amp": "fp16"}, {"amp": "bf16", "channels_last": True}, {"compile": "default", "ema": None}]
)
# torch's compiler imports what it calls deprecated itself.
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning")
def test_training_goes_on_where_it_was(tmp_path: Path, more: dict[str, Any]) -> None:
    """Stopped after every third step, with the scaler's state, too, it is near the whole, and near the CPU's."""
    on_gpu = job_of(0, "cuda:0", **more)
    whole = train_in_parts(on_gpu, tmp_path / "whole", 10**6)
    parts = train_in_parts(on_gpu, tmp_path / "parts", 3)
    on_cpu = train_in_parts(job_of(0), tmp_path / "cpu", 10**6)
    assert [epoch.step for epoch in parts] == [5, 10, 15]
    assert [epoch.train_loss for epoch in parts] == pytest.approx([epoch.train_loss for epoch in whole], rel=0.02)
    assert [epoch.train_loss for epoch in whole] == pytest.approx([epoch.train_loss for epoch in on_cpu], rel=0.2)


def test_googlenet_learns_from_scratch(run: Run, tmp_path: Path) -> None:
    """The paper's, at its full width, with the defaults. The optimizer's step takes memory beside what a step keeps."""
    pytest.importorskip("sklearn")
    line = ("train", "googlenet", "--data", "digits", "--input", "96", "-o", str(tmp_path / "run"), "--device", "cuda")
    done = run(*line, "--format", "json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    print(json.dumps({key: found[key] for key in ("best", "memory", "seconds", "epochs")}))
    assert found["best"]["val_accuracy"] > 0.95
    assert found["memory"]["measured_bytes"] == pytest.approx(found["memory"]["predicted_bytes"], rel=0.4)
