"""This machine's two ceilings, measured: how fast its memory moves bytes, and how fast it multiplies."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from statistics import median
from timeit import default_timer
from typing import Any, NamedTuple

import torch
from torch.utils.benchmark import Timer

from gnet_inspect.errors import MissingError
from gnet_inspect.records.timing import CROWDED, NOISY
from gnet_inspect.runtime.latency import waiting
from gnet_inspect.runtime.latency.candidate import synchronize
from gnet_inspect.runtime.latency.device import describe_device
from gnet_inspect.runtime.latency.protocol import MOST_QUEUED, Clock, Progress, event_seconds
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


# Where the middle run takes a quarter longer than the best one, or threads were ready without a processor for a tenth
# of the time, what was measured is no ceiling: layers would stand above it.
LARGEST_SPREAD = NOISY
LARGEST_WAIT = CROWDED


class Ceiling(NamedTuple):
    """A rate (bytes or FLOPs per second), what it is of, and how much longer than the best run the middle one took."""

    rate: float
    note: str
    spread: float


def calibrate(
    device: str,
    threads: int,
    seconds: float,
    progress: Progress,
    *,
    clock: Clock = default_timer,
    any_noise: bool = False,
) -> dict[str, Any]:
    """The record of a device as `roofline --on FILE` reads it; `seconds` are given to each thing that is measured.

    The bandwidth is the larger of a copy's (bytes read and written) and of a sum's (bytes read): weights are only read,
    and a bound must not be above what a network can reach. The peaks are those of square matrix products. Raises
    MissingError on a machine that is too busy to be measured, unless `any_noise` takes what there is.
    """
    kind = device.partition(":")[0]
    before = waiting.processor_time()
    take = _Taker(device, threads, seconds, clock)
    ceilings: dict[str, Ceiling] = {}

    def check() -> None:
        # After each thing: nobody waits for the rest of what will be refused.
        if not any_noise:
            check_quiet(ceilings, waiting.waited_share(before))

    with session(Setting(device, threads=threads)):
        ceilings["bandwidth_bytes_per_s"] = _bandwidth(take, progress)
    check()
    for dtype in DTYPES[kind]:
        progress(seconds, f"multiplying matrices in {dtype}")
        with session(Setting(device, "tf32" if dtype == "tf32" else "fp32", threads=threads)):
            ceilings[dtype] = _peak(take, TORCH_DTYPES[dtype])
        check()
    return _record(device, threads, ceilings, waiting.waited_share(before))


def check_quiet(ceilings: Mapping[str, Ceiling], waited: float | None) -> None:
    """Raise MissingError where other work ran while these were measured."""
    found = []
    if waited is not None and waited > LARGEST_WAIT:
        found.append(f"its threads waited for a processor in {100 * waited:.0f} % of the time")
    found += [
        f"the middle run of {ceiling.note} took {ceiling.spread:.2f} x the best one"
        for ceiling in ceilings.values()
        if ceiling.spread > LARGEST_SPREAD
    ]
    if found:
        raise MissingError(
            f"calibrate needs a machine that does nothing else: {'; '.join(found)}, so this is no ceiling. "
            "(end other work, take fewer --threads, or a larger --min-time; --any-noise writes it all the same)"
        )


def _record(device: str, threads: int, ceilings: dict[str, Ceiling], waited: float | None) -> dict[str, Any]:
    described = describe_device(device, threads)
    about = [described["name"]] + ([f"{threads} threads"] if device == "cpu" else [])
    told = "" if waited is None else f", threads waited for a processor in {100 * waited:.1f} % of the time"
    return {
        "title": ", ".join(about),
        "kind": "measured",
        "source": f"gnet-inspect calibrate, {datetime.now(UTC):%Y-%m-%d}, torch {described['torch']}, "
        f"{described['system']}{told}",
        "peak_flops_per_s": {name: ceiling.rate for name, ceiling in ceilings.items() if name in TORCH_DTYPES},
        "bandwidth_bytes_per_s": ceilings["bandwidth_bytes_per_s"].rate,
        "memory_bytes": _memory(device),
        "notes": {
            name: f"{ceiling.note}, the best run; the middle one took {ceiling.spread:.2f} x as long"
            for name, ceiling in ceilings.items()
        },
        "spread": {name: ceiling.spread for name, ceiling in ceilings.items()},
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


def _bandwidth(take: "_Taker", progress: Progress) -> Ceiling:
    """Of a large copy or a large sum, whichever is faster."""
    free = free_memory(torch.device(take.device))
    size = min(COPIED_BYTES[take.kind], (free or 2**31) // 8)
    source = torch.ones(size // 4, device=take.device)
    target = torch.empty_like(source)
    progress(take.seconds, "copying")
    copied = take.ceiling(2 * size, lambda: target.copy_(source), "a large copy (bytes read and written)")
    progress(take.seconds, "summing")
    summed = take.ceiling(size, source.sum, "a large sum (bytes read)")
    return max(copied, summed, key=_rate)


def _peak(take: "_Taker", dtype: torch.dtype) -> Ceiling:
    """The fastest of some sizes."""
    found = []
    sides = SIDES[take.kind]
    for side in sides:
        left, right = (torch.randn(side, side, device=take.device).to(dtype) for _ in range(2))
        output = torch.empty_like(left)
        ceiling = take.ceiling(
            2 * side**3,
            lambda left=left, right=right, output=output: torch.mm(left, right, out=output),  # type: ignore[misc]
            f"a product of matrices {side} x {side}",
            len(sides),
        )
        found.append(ceiling)
        if 2 * side**3 / ceiling.rate > take.seconds:
            break  # larger ones would take eight times as long each
    return max(found, key=_rate)


def _rate(ceiling: Ceiling) -> float:
    return ceiling.rate


class _Taker:
    """Takes the times of single runs on one device."""

    def __init__(self, device: str, threads: int, seconds: float, clock: Clock) -> None:
        self.device, self.threads, self.seconds, self.clock = device, threads, seconds, clock
        self.kind = device.partition(":")[0]

    def ceiling(self, work: int, run: Callable[[], object], note: str, parts: int = 1) -> Ceiling:
        """The rate of the shortest of single runs: a ceiling is what the machine can do, not what it mostly does."""
        seconds = self.seconds / parts
        times = self._on_cuda(run, seconds) if self.kind == "cuda" else self._on_host(run, seconds)
        best = min(times)
        return Ceiling(work / best, note, median(times) / best)

    def _on_host(self, run: Callable[[], object], seconds: float) -> list[float]:
        timer = Timer(
            "run(); wait(device)",
            globals={"run": run, "wait": synchronize, "device": self.device},
            num_threads=self.threads,
            timer=self.clock,
        )
        return list(timer.blocked_autorange(min_run_time=seconds).times)

    def _on_cuda(self, run: Callable[[], object], seconds: float) -> list[float]:
        event_seconds(run, self.device, 3)
        warm = min(event_seconds(run, self.device, 3))
        return event_seconds(run, self.device, min(max(int(seconds / warm), 5), MOST_QUEUED))


def _memory(device: str) -> int:
    if device.startswith("cuda"):
        return int(torch.cuda.get_device_properties(device).total_memory)
    import psutil

    return int(psutil.virtual_memory().total)
