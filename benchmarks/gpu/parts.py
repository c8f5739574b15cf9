"""The parts that are measured on a GPU, each as rows: `python -m benchmarks.gpu.parts PART '[MODEL, BATCH, DTYPE]'`."""

import json
import re
import sys
from statistics import median
from typing import Any

import msgspec

from benchmarks.gpu.record import Row
from benchmarks.gpu.schedule import AUTOTUNED, DEVICE_PART, GRAPH, OPTIMIZED, WHOLE, Case
from gnet_inspect.analysis.devices import Device, load_device

DEVICE = "cuda:0"
# What torch calls the boards whose data sheets are built in; another of the same family has other peaks.
BOARDS = {
    "a100": r"A100-SXM\d?-80GB",
    "h100": r"H100 80GB HBM3",
    "h200": r"H200$",
    "l4": r"\bL4$",
    "rtx4090": r"RTX 4090$",
    "t4": r"\bT4$",
}
# Our median and do_bench's are of the same runs in the same queue, but do_bench empties the second-level cache, weights
# included, where we let images take turns.
NEAR = 0.1
# Kernels outside of every layer are copies of images at most.
KERNELS_NEAR = 0.05
MEMORY_NEAR = 0.1
# A clock above the data sheet's goes a little above its peak.
ABOVE_SHEET = 1.05


def datasheet_of(name: str) -> Device | None:
    """The data sheet of the board that torch calls so; None where none is built in.

    >>> datasheet_of("NVIDIA H100 80GB HBM3").name, datasheet_of("NVIDIA H100 PCIe")
    ('h100', None)
    """
    for device, pattern in BOARDS.items():
        if re.search(pattern, name):
            return load_device(device)
    return None


def outputs(case: Case) -> list[Row]:
    """The GPU's output against the CPU's in fp32, on weights that hand a signal on, over the largest value."""
    from copy import deepcopy

    from gnet_inspect.runtime.latency.candidate import Candidate
    from gnet_inspect.runtime.latency.improving import TOLERANCE, module_with_signal, output_error, output_of
    from gnet_inspect.runtime.latency.session import session
    from gnet_inspect.runtime.latency.setting import Setting

    graph = _graph(case)
    module = module_with_signal(graph)
    on_cpu = Candidate(graph, Setting(), deepcopy(module))
    given = on_cpu.inputs[0]
    expected = output_of(on_cpu, given)
    rows = []
    for dtype in dict.fromkeys(("fp32", "tf32", case.dtype)):
        setting = Setting(DEVICE, dtype)
        with session(setting):
            error = output_error(output_of(Candidate(graph, setting, deepcopy(module)), given), expected)
        rows.append(
            Row(str(case), f"output in {dtype} differs from the CPU's by / allowed", error, TOLERANCE[dtype], most=1)
        )
    return rows


def medians(case: Case) -> list[Row]:
    """The median beside triton's do_bench, and beside that of a CUDA graph, in turns."""
    from triton.testing import do_bench

    from gnet_inspect.records.timing import measurement_times
    from gnet_inspect.runtime.latency.candidate import Candidate
    from gnet_inspect.runtime.latency.protocol import measure
    from gnet_inspect.runtime.latency.session import session

    setting = _setting(case)
    with session(setting):
        candidate = Candidate(_graph(case), setting)
        replayed = Candidate(candidate.graph, msgspec.structs.replace(setting, cuda_graph=True))
        # In turns, for both drift with the GPU's clock.
        ours, theirs, graphs = [], [], []
        for _ in range(3):
            timed, captured = measure([candidate, replayed], _protocol(2.0), _silent)
            ours.append(measurement_times(timed.rounds)["median_s"])
            graphs.append(measurement_times(captured.rounds)["median_s"])
            theirs.append(do_bench(candidate.run, warmup=100, rep=1000, return_mode="median") / 1e3)
    return [
        Row(
            str(case),
            "latency's median / triton.testing.do_bench's",
            median(ours),
            median(theirs),
            "s",
            1 - NEAR,
            1 + NEAR,
        ),
        Row(str(case), GRAPH, median(ours), median(graphs), "s"),
    ]


def layers(case: Case) -> list[Row]:
    """The sum of the layers' kernels beside all kernels, and beside the whole."""
    from gnet_inspect.runtime.latency import Job, time_networks

    (result,) = time_networks([Job(_graph(case), _setting(case))], _protocol(2.0), _silent, layers=True).results
    if result.layers_by != "kernels" or result.gpu_busy_s is None:
        raise RuntimeError("the profiler saw no kernels of this GPU (it needs CUPTI, and may not be allowed to look)")
    total = sum(layer.median_s for layer in result.layers)
    assert result.median_s is not None
    return [
        Row(
            str(case),
            "sum of the layers' kernels / all kernels of a run",
            total,
            result.gpu_busy_s,
            "s",
            1 - KERNELS_NEAR,
            1 + KERNELS_NEAR,
        ),
        Row(str(case), WHOLE, total, result.median_s, "s", most=1 + KERNELS_NEAR),
    ]


def training(case: Case) -> list[Row]:
    """A step's memory by the rules beside torch.cuda.max_memory_allocated."""
    from gnet_inspect.runtime.latency import Job
    from gnet_inspect.runtime.latency.result import build_candidate
    from gnet_inspect.runtime.latency.session import session

    rows = []
    for optimizer in ("sgd", "adam"):
        setting = msgspec.structs.replace(_setting(case), mode="train", optimizer=optimizer)
        with session(setting):
            candidate, peak = build_candidate(Job(_graph(case, "train"), setting))
        assert peak is not None
        what = f"training memory by the rules / max_memory_allocated, {optimizer}"
        rows.append(Row(str(case), what, candidate.estimated_bytes, peak, "B", 1 - MEMORY_NEAR, 1 + MEMORY_NEAR))
        del candidate
    return rows


def ceilings(_: Case) -> list[Row]:
    """What `calibrate` measures beside the board's data sheet."""
    import torch

    from gnet_inspect.runtime.latency.calibration import calibrate

    name = torch.cuda.get_device_properties(DEVICE).name
    sheet = datasheet_of(name)
    if sheet is None:
        raise RuntimeError(f"there is no data sheet of {name} among the built-in devices")
    found = calibrate(DEVICE, torch.get_num_threads(), 3.0, _silent)
    bandwidth = found["bandwidth_bytes_per_s"], sheet.bandwidth_bytes_per_s
    rows = [Row(sheet.title, "bandwidth, calibrated / data sheet", *bandwidth, "B/s", most=ABOVE_SHEET)]
    for dtype, peak in found["peak_flops_per_s"].items():
        if dtype in sheet.peak_flops_per_s:
            what = f"peak in {dtype}, calibrated / data sheet"
            rows.append(Row(sheet.title, what, peak, sheet.peak_flops_per_s[dtype], "FLOP/s", most=ABOVE_SHEET))
    return rows


def optimize(case: Case) -> list[Row]:
    """The best that `latency --optimize` finds beside eager, in turns."""
    from gnet_inspect.runtime.latency import Job, improve_networks

    record = improve_networks([Job(_graph(case), _setting(case))], _protocol(1.0), _silent)
    kept = [result for result in record.results if result.kept]
    if not kept:
        raise RuntimeError("no step was kept")
    best = kept[-1]
    assert best.median_s is not None
    assert best.eager_s is not None
    return [Row(str(case), OPTIMIZED, best.eager_s, best.median_s, "s", least=1)]


def autotune(case: Case) -> list[Row]:
    """torch.compile(mode="max-autotune") beside eager, in turns."""
    from gnet_inspect.runtime.latency import Job, time_networks

    setting = _setting(case)
    tuned = msgspec.structs.replace(setting, compiled="max-autotune")
    graph = _graph(case)
    eager, compiled = time_networks([Job(graph, setting), Job(graph, tuned)], _protocol(2.0), _silent).results
    assert eager.median_s is not None
    assert compiled.median_s is not None
    return [Row(str(case), AUTOTUNED, eager.median_s, compiled.median_s, "s")]


MEASURED = {
    **{part.__name__: part for part in (outputs, medians, layers, training, optimize, autotune)},
    DEVICE_PART: ceilings,
}


def _graph(case: Case, mode: str = "eval") -> Any:
    from gnet_inspect import build_graph, load_spec

    spec = load_spec(case.model)
    return build_graph(spec, (case.batch, *spec.input), mode=mode)


def _setting(case: Case) -> Any:
    from gnet_inspect.runtime.latency.setting import Setting

    return Setting(DEVICE, case.dtype)


def _protocol(seconds: float) -> Any:
    from gnet_inspect.runtime.latency import Protocol

    return Protocol(seconds, 20, 5)


def _silent(_: float, __: str) -> None:
    """No progress."""


if __name__ == "__main__":
    part, case_text = sys.argv[1:]
    rows_found = MEASURED[part](Case(*json.loads(case_text)))
    # The last line is what is read: torch prints what it tunes above it.
    print(msgspec.json.encode(rows_found).decode(), flush=True)
