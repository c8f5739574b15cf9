"""A job -> the candidate that runs it, and what was timed of it -> a Measurement: with the memory a run takes, its
roofline, and on a GPU the time of its kernels alone and that of the same network as a CUDA graph."""

import os
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any, NamedTuple

import torch
from msgspec.structs import replace
from torch.autograd import DeviceType  # type: ignore[attr-defined]
from torch.profiler import ProfilerActivity

from gnet_inspect.analysis.timing import LayerTiming, Measurement, measurement_times
from gnet_inspect.graph import Graph
from gnet_inspect.runtime.latency.candidate import Candidate, named, synchronize
from gnet_inspect.runtime.latency.device import PeakMemory
from gnet_inspect.runtime.latency.protocol import Timed, event_seconds
from gnet_inspect.runtime.latency.session import release, told_out_of_memory
from gnet_inspect.runtime.latency.setting import Setting

# The least time of each layer, and of the whole, on a device whose ceilings are known.
Bounds = Callable[[Graph], tuple[Mapping[str, float], float]]
PROFILED_RUNS = 10
REPLAYS = 30


class Job(NamedTuple):
    """A network to time, and how it is to be run."""

    graph: Graph
    setting: Setting


def built(job: Job) -> tuple[Candidate, int | None]:
    """A candidate that has run, and the most memory that a run takes.

    The first run compiles, tries kernels and makes the optimizer's state; the second is what others are like.
    """
    device = job.setting.device
    on_cuda = device.startswith("cuda")
    release(device)
    others = torch.cuda.memory_allocated(device) if on_cuda else 0
    with told_out_of_memory(named(*job), device):
        candidate = Candidate(job.graph, job.setting)
        candidate.run()
        synchronize(device)
        release(device)
        peak = PeakMemory(device)
        candidate.run()
        synchronize(device)
    most = peak.read()
    # All images but one are there to take turns.
    spare = sum(image.nbytes for image in candidate.inputs[1:]) if on_cuda else 0
    return candidate, None if most is None else most - others - spare


def measurement_of(timed: Timed, peak: int | None, layers: Any, bounds: Bounds | None) -> Measurement:
    """The record of one job: the times of its rounds, `peak` bytes of memory, and its layers where they were timed."""
    candidate = timed.candidate
    graph, setting = candidate.graph, candidate.setting
    least, whole = bounds(graph) if bounds is not None and setting.mode == "eval" else ({}, None)
    times = measurement_times(timed.rounds)
    result = Measurement(
        model=graph.variant,
        batch=graph.input_shape[0],
        dtype=setting.dtype,
        variant=setting.variant,
        mode=setting.mode,
        input=graph.input_shape,
        images_per_s=graph.input_shape[0] / times["median_s"],
        peak_memory_bytes=peak,
        estimated_memory_bytes=candidate.estimated_bytes,
        compile_s=candidate.compile_s,
        roofline_s=whole,
        runs=sum(timed.runs),
        **times,
    )
    if layers is not None:
        result = replace(
            result,
            whole_with_hooks_s=layers.hooked,
            whole_beside_s=layers.plain,
            layers=tuple(
                LayerTiming(node.name, layers.seconds[node.name], node.op.kind, least.get(node.name))
                for node in graph.nodes
                if node.name in layers.seconds
            ),
        )
    if setting.device.startswith("cuda") and setting.mode == "eval":
        result = replace(result, gpu_busy_s=_gpu_busy_seconds(candidate))
        if setting.compiled is None and not setting.cuda_graph:
            result = replace(result, cuda_graph_s=_cuda_graph_seconds(candidate))
    return result


def _cuda_graph_seconds(candidate: Candidate) -> float | None:
    """The median of a few replays of the same network as a CUDA graph; None where it cannot be captured."""
    setting = replace(candidate.setting, cuda_graph=True)
    try:
        twin = Candidate(candidate.graph, setting, candidate.module)
    except RuntimeError:
        return None  # an operation that waits for the GPU cannot be captured; --cuda-graph says which
    event_seconds(twin.run, setting.device, REPLAYS)
    return median(event_seconds(twin.run, setting.device, REPLAYS))


def _gpu_busy_seconds(candidate: Candidate) -> float | None:
    """How long the kernels of one run take, without the gaps in between; None where the profiler may not look.

    https://docs.pytorch.org/docs/stable/profiler.html: self_device_time_total is in microseconds. What compiled code
    marks as its own spans kernels and gaps, and is no kernel.
    """
    # Before CUDA 12.6 CUPTI must not be torn down while a CUDA graph lives, see torch.profiler's own workaround.
    os.environ.update(TEARDOWN_CUPTI="0", DISABLE_CUPTI_LAZY_REINIT="1")
    activities = [ProfilerActivity.CUDA, ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities) as profile:
        for _ in range(PROFILED_RUNS):
            candidate.run()
        synchronize(candidate.setting.device)
    busy = sum(
        event.self_device_time_total
        for event in profile.key_averages()
        if event.device_type == DeviceType.CUDA and not getattr(event, "is_user_annotation", False)
    )
    return float(busy) / 1e6 / PROFILED_RUNS or None
