"""This machine's two ceilings, measured: how fast its memory moves bytes, and how fast it multiplies."""

from collections.abc import Callable
from datetime import UTC, datetime
from timeit import default_timer
from typing import Any

import torch
from torch.utils.benchmark import Timer

from gnet_inspect.runtime.latency.candidate import synchronize
from gnet_inspect.runtime.latency.device import describe_device
from gnet_inspect.runtime.latency.protocol import Progress, event_seconds
from gnet_inspect.runtime.latency.session import session
from gnet_inspect.runtime.latency.setting import DTYPES as RUN_DTYPES
from gnet_inspect.runtime.latency.setting import Setting
from gnet_inspect.runtime.module import free_memory

# Many times what caches hold, and at most an eighth of what is free.
COPIED_BYTES = {"cpu": 2**29, "cuda": 2**31, "mps": 2**30}
# The sides of square matrices: the fastest of them counts.
SIDES = {"cpu": (1024, 2048, 4096), "cuda": (4096, 8192, 16384), "mps": (2048, 4096)}
DTYPES = {
    "cpu": ("fp64", "fp32", "fp16", "bf16"),
    "cuda": ("fp64", "fp32", "tf32", "fp16", "bf16"),
    "mps": ("fp32", "fp16"),
}
TORCH_DTYPES = {"fp64": torch.float64, **RUN_DTYPES}


def calibrate(device: str, threads: int, seconds: float, progress: Progress) -> dict[str, Any]:
    """The record of a device as `roofline --on FILE` reads it; `seconds` are given to each thing that is measured.

    The bandwidth is the larger of a copy's (bytes read and written) and of a sum's (bytes read): weights are only read,
    and a bound must not be above what a network can reach. The peaks are those of square matrix products.
    """
    kind = device.partition(":")[0]
    with session(Setting(device, threads=threads)):
        copied, summed = _bandwidths(device, threads, seconds, progress)
    peaks, sides = {}, {}
    for dtype in DTYPES[kind]:
        progress(seconds, f"multiplying matrices in {dtype}")
        with session(Setting(device, "tf32" if dtype == "tf32" else "fp32", threads=threads)):
            peaks[dtype], sides[dtype] = _peak(device, TORCH_DTYPES[dtype], threads, seconds)
    described = describe_device(device, threads)
    about = [described["name"]] + ([f"{threads} threads"] if kind == "cpu" else [])
    return {
        "title": ", ".join(about),
        "kind": "measured",
        "source": f"gnet-inspect calibrate, {datetime.now(UTC):%Y-%m-%d}, torch {described['torch']}, "
        f"{described['system']}",
        "peak_flops_per_s": peaks,
        "bandwidth_bytes_per_s": max(copied, summed),
        "memory_bytes": _memory(device),
        "notes": {
            "bandwidth_bytes_per_s": f"a large copy moved {copied:.4g} B/s (read and written), "
            f"a large sum read {summed:.4g} B/s",
            **{dtype: f"a product of matrices {side} x {side}" for dtype, side in sides.items()},
        },
    }


def calibration_yaml(record: dict[str, Any]) -> str:
    """The record as YAML."""
    import yaml

    def rounded(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: rounded(item) for name, item in value.items()}
        return float(f"{value:.4g}") if isinstance(value, float) else value

    text: str = yaml.safe_dump(rounded(record), sort_keys=False, width=110)
    return text


def _bandwidths(device: str, threads: int, seconds: float, progress: Progress) -> tuple[float, float]:
    free = free_memory(torch.device(device))
    size = min(COPIED_BYTES[device.partition(":")[0]], (free or 2**31) // 8)
    source = torch.ones(size // 4, device=device)
    target = torch.empty_like(source)
    progress(seconds, "copying")
    copied = 2 * size / _best_seconds(lambda: target.copy_(source), device, threads, seconds)
    progress(seconds, "summing")
    summed = size / _best_seconds(source.sum, device, threads, seconds)
    return copied, summed


def _peak(device: str, dtype: torch.dtype, threads: int, seconds: float) -> tuple[float, int]:
    """(FLOP/s, the side of the matrices): the fastest of some sizes."""
    found = []
    sides = SIDES[device.partition(":")[0]]
    for side in sides:
        left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        output = torch.empty_like(left)
        taken = _best_seconds(
            lambda left=left, right=right, output=output: torch.mm(left, right, out=output),  # type: ignore[misc]
            device,
            threads,
            seconds / len(sides),
        )
        found.append((2 * side**3 / taken, side))
        if taken > seconds:
            break  # larger ones would take eight times as long each
    return max(found)


def _best_seconds(run: Callable[[], object], device: str, threads: int, seconds: float) -> float:
    """The shortest of single runs: a ceiling is what the machine can do, not what it mostly does."""
    if device.startswith("cuda"):
        return _best_on_cuda(run, device, seconds)
    timer = Timer(
        "run(); wait(device)",
        globals={"run": run, "wait": synchronize, "device": device},
        num_threads=threads,
        timer=default_timer,
    )
    return min(timer.blocked_autorange(min_run_time=seconds).times)


def _best_on_cuda(run: Callable[[], object], device: str, seconds: float) -> float:
    event_seconds(run, device, 3)
    warm = min(event_seconds(run, device, 3))
    return min(event_seconds(run, device, max(int(seconds / warm), 5)))


def _memory(device: str) -> int:
    if device.startswith("cuda"):
        return int(torch.cuda.get_device_properties(device).total_memory)
    import psutil

    return int(psutil.virtual_memory().total)
