"""Built networks timed on real devices: whole and layer by layer, several in turns."""

from collections.abc import Callable, Sequence
from typing import Any

from gnet_inspect.records.timing import Measurement, Stopped, TimingRecord
from gnet_inspect.runtime.latency.candidate import named
from gnet_inspect.runtime.latency.device import ALLOCATOR, PROCESS, describe_device
from gnet_inspect.runtime.latency.improving import improve, planned_seconds
from gnet_inspect.runtime.latency.layers import time_layers
from gnet_inspect.runtime.latency.protocol import Interrupted, Progress, Protocol, measure
from gnet_inspect.runtime.latency.result import Bounds, Job, build_candidate, measurement_of
from gnet_inspect.runtime.latency.session import explain_out_of_memory, forget_compiled, session
from gnet_inspect.runtime.latency.setting import Setting, check_setting


def time_networks(
    jobs: Sequence[Job],
    protocol: Protocol,
    progress: Progress,
    *,
    layers: bool = False,
    bounds: Bounds | None = None,
) -> TimingRecord:
    """Time networks on one device; those of one batch take turns.

    Raises MissingError for what does not fit into memory, and Stopped, with the results so far, upon Ctrl-C.
    """

    def work(results: list[Measurement]) -> None:
        for batch in dict.fromkeys(job.graph.batch for job in jobs):
            together = [job for job in jobs if job.graph.batch == batch]
            try:
                results += _time_together(together, protocol, progress, layers, bounds)
            except Interrupted as stopped:
                results += [measurement_of(one, None, None, bounds) for one in stopped.timed]
                raise

    return _recorded(jobs, protocol, work)


def improve_networks(
    jobs: Sequence[Job], protocol: Protocol, progress: Progress, *, bounds: Bounds | None = None
) -> TimingRecord:
    """Make each network faster step by step, each step timed in turns with what was best before and with eager.

    Raises as `time_networks` does.
    """

    def work(results: list[Measurement]) -> None:
        for job in jobs:
            improve(job, protocol, progress, bounds, results)

    return _recorded(jobs, protocol, work)


def _recorded(jobs: Sequence[Job], protocol: Protocol, work: Callable[[list[Measurement]], None]) -> TimingRecord:
    """What work measures, with the device and the protocol; upon Ctrl-C what there is by then."""
    for job in jobs:
        check_setting(job.graph, job.setting)
    setting = jobs[0].setting
    results: list[Measurement] = []

    def record() -> TimingRecord:
        device = describe_device(setting.device, setting.threads)
        return TimingRecord(tuple(results), device=device, protocol=_described(protocol, setting))

    with session(setting):
        try:
            work(results)
        except KeyboardInterrupt:
            raise Stopped(record()) from None
        return record()


def _time_together(
    jobs: Sequence[Job], protocol: Protocol, progress: Progress, layers: bool, bounds: Bounds | None
) -> list[Measurement]:
    candidates, peaks = [], []
    forget_compiled(jobs[0].setting, len(jobs))
    for job in jobs:
        progress(0.0, f"building {job.graph.variant} at batch {job.graph.batch}")
        candidate, peak = build_candidate(job)
        candidates.append(candidate)
        peaks.append(peak)
    with explain_out_of_memory(named(jobs[0].graph, jobs[0].setting), jobs[0].setting.device):
        timed = measure(candidates, protocol, progress)
    results = []
    for one, peak in zip(timed, peaks, strict=True):
        found = None
        if layers:
            progress(protocol.min_time, f"timing the layers of {one.candidate.graph.variant}")
            found = time_layers(one.candidate, protocol.min_time, protocol.clock)
        results.append(measurement_of(one, peak, found, bounds))
    return results


def _described(protocol: Protocol, setting: Setting) -> dict[str, Any]:
    on_cuda = setting.device.startswith("cuda")
    return {
        "timer": "CUDA events around each run, one synchronisation at the end of a round"
        if on_cuda
        else "torch.utils.benchmark.Timer.blocked_autorange",
        "warmup": "until the median of the last runs no longer falls",
        "warmup_runs": protocol.warmup,
        "min_time_s": protocol.min_time,
        "repeat": protocol.repeat,
        "turns": "models of one batch are timed in turns, round by round",
        "inputs": "random, rotated past the second-level cache" if on_cuda else "random, the same each time",
        "layers": "by the kernels that torch's profiler saw inside each"
        if on_cuda
        else "by hooks around each, read from the host's clock",
        "peak_memory": ALLOCATOR if on_cuda else PROCESS,
    }


__all__ = ["Bounds", "Job", "Protocol", "improve_networks", "planned_seconds", "time_networks"]
