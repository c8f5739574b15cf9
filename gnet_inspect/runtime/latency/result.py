"""A job -> the candidate that runs it, and what was timed of it -> a Measurement: with the memory a run takes, its
roofline, and on a GPU the time of its kernels alone and that of the same network as a CUDA graph."""

from collections.abc import Callable
from statistics import median
from typing import NamedTuple

import torch
from msgspec.structs import replace

from gnet_inspect.analysis.roofline import Roofline
from gnet_inspect.graph import Graph
from gnet_inspect.records.timing import LayerTiming, Measurement, measurement_times
from gnet_inspect.runtime.latency.candidate import Candidate, named, synchronize
from gnet_inspect.runtime.latency.device import PeakMemory
from gnet_inspect.runtime.latency.layers import LayerTimes
from gnet_inspect.runtime.latency.own import own_module
from gnet_inspect.runtime.latency.profiling import busy_seconds, profiled_events
from gnet_inspect.runtime.latency.protocol import Timed, event_seconds
from gnet_inspect.runtime.latency.session import explain_out_of_memory, release
from gnet_inspect.runtime.latency.setting import Setting
from gnet_inspect.runtime.references import Traced

# The least times of a network on a device whose peaks are known.
Bounds = Callable[[Graph], Roofline]
PROFILED_RUNS = 10
REPLAYS = 30


class Job(NamedTuple):
    """A network to time, and how it is to be run."""

    graph: Graph
    setting: Setting
    # Of a network in Python, which is run as it is.
    traced: Traced | None = None


def build_candidate(job: Job) -> tuple[Candidate, int | None]:
    """A candidate that has run, and the most memory that a run takes.

    The first run compiles, tries kernels and makes the optimizer's state; the second is what others are like.
    """
    device = job.setting.device
    on_cuda = device.startswith("cuda")
    release(device)
    with explain_out_of_memory(named(job.graph, job.setting), device):
        if on_cuda:
            _make_workspaces(job.setting)
        others = torch.cuda.memory_allocated(device) if on_cuda else 0
        candidate = Candidate(job.graph, job.setting, own=own_module(job.traced) if job.traced else None)
        candidate.run()
        synchronize(device)
        release(device)
        peak = PeakMemory(device)
        candidate.run()
        synchronize(device)
    most = peak.read()
    # All images but one are there to take turns.
    spare = sum(x.nbytes for given in candidate.inputs[1:] for x in given) if on_cuda else 0
    return candidate, None if most is None else most - others - spare


def _make_workspaces(setting: Setting) -> None:
    """Have cuBLAS make its workspaces: one for each thread that multiplies, from the first product on and for good.

    They come from torch's allocator (by its source 32 MiB each on an H100), so that without this the first network of a
    process would be charged with them, and no other. Autograd multiplies in a thread of its own.
    """
    layer = torch.nn.Linear(8, 8, device=setting.device, dtype=setting.torch_dtype)
    output = layer(torch.ones(8, 8, device=setting.device, dtype=setting.torch_dtype))
    if setting.mode == "train":
        output.sum().backward()


def measurement_of(timed: Timed, peak: int | None, layers: LayerTimes | None, bounds: Bounds | None) -> Measurement:
    """The record of one job: the times of its rounds, `peak` bytes of memory, and its layers where they were timed."""
    candidate = timed.candidate
    graph, setting = candidate.graph, candidate.setting
    frozen = sum(node.frozen for node in graph.nodes)
    least = bounds(graph) if bounds is not None and setting.mode == "eval" else None
    times = measurement_times(timed.rounds)
    result = Measurement(
        model=graph.variant,
        batch=graph.batch,
        dtype=setting.dtype,
        variant=setting.variant + (f", {frozen:,} parameters frozen" if frozen else ""),
        mode=setting.mode,
        input=graph.input_shape,
        images_per_s=graph.batch / times["median_s"],
        peak_memory_bytes=peak,
        estimated_memory_bytes=candidate.estimated_bytes,
        compile_s=candidate.compile_s,
        roofline_s=None if least is None else least.totals.roofline_s,
        runs=sum(timed.runs),
        waited_share=_median_share(timed.waited),
        **times,
    )
    if layers is not None:
        result = replace(
            result,
            whole_with_hooks_s=layers.hooked,
            whole_beside_s=layers.plain,
            layers_by=layers.by,
            layers=_layer_timings(graph, layers, least),
        )
    if setting.device.startswith("cuda") and setting.mode == "eval":
        result = replace(result, gpu_busy_s=_gpu_busy_seconds(candidate))
        if setting.compiled is None and not setting.cuda_graph:
            result = replace(result, cuda_graph_s=_cuda_graph_seconds(candidate))
    return result


def _median_share(rounds: list[float | None]) -> float | None:
    known = [share for share in rounds if share is not None]
    return median(known) if known else None


def _layer_timings(graph: Graph, layers: LayerTimes, least: Roofline | None) -> tuple[LayerTiming, ...]:
    bounds = {} if least is None else {layer.name: (layer.roofline_s, layer.bound) for layer in least.layers}
    return tuple(
        LayerTiming(node.name, layers.seconds[node.name], node.op.kind, *bounds.get(node.name, ()))
        for node in graph.nodes
        if node.name in layers.seconds
    )


def _cuda_graph_seconds(candidate: Candidate) -> float | None:
    """The median of a few replays of the same network as a CUDA graph; None where it cannot be captured."""
    setting = replace(candidate.setting, cuda_graph=True)
    try:
        twin = Candidate(candidate.graph, setting, candidate.module, own=candidate.own)
    except RuntimeError:
        return None  # an operation that waits for the GPU cannot be captured; --cuda-graph says which
    event_seconds(twin.run, setting.device, REPLAYS)
    return median(event_seconds(twin.run, setting.device, REPLAYS))


def _gpu_busy_seconds(candidate: Candidate) -> float | None:
    """How long the kernels of one run take, without the gaps in between; None where the profiler may not look."""
    events = profiled_events(candidate.run, candidate.setting.device, PROFILED_RUNS)
    return busy_seconds(events) / PROFILED_RUNS or None
