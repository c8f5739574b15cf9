"""Each layer's time inside the real forward: caches are as they are, not cold.

On a host by hooks around every layer. On a GPU by its kernels: a profiler says how long each took, and spans around the
layers say whose it was, so that a program which launches them too slowly is measured with none.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import cycle
from statistics import median
from timeit import default_timer
from typing import Any, Protocol

import torch
from torch import nn
from torch.autograd import DeviceType  # type: ignore[attr-defined]
from torch.autograd.profiler import record_function

from gnet_inspect.runtime.latency.candidate import Candidate, synchronize
from gnet_inspect.runtime.latency.own import FunctionClock
from gnet_inspect.runtime.latency.profiling import profiled_events
from gnet_inspect.runtime.latency.protocol import Clock, event_seconds

# Of each kind in a round.
ROUNDS, LEAST_RUNS, MOST_RUNS = 5, 1, 100
# Runs under the profiler, which keeps every event in memory.
PROFILED_RUNS = 20
HOOKS, KERNELS, EVENTS = "hooks", "kernels", "events"
# No operation of torch is called so.
SPAN = "gnet-inspect layer "


class LayerTimes:
    """Median seconds of every layer by its name, and of a whole run; `by` says how layers were timed.

    `hooked` is a run with the hooks that time layers, `plain` one without, in turns; kernels are timed without hooks
    that take time, and `hooked` is None then.
    """

    def __init__(self, seconds: dict[str, float], hooked: float | None, plain: float, by: str) -> None:
        self.seconds, self.hooked, self.plain, self.by = seconds, hooked, plain, by


class ProfiledEvent(Protocol):
    """What is read of torch.autograd.profiler_util.FunctionEvent; durations of kernels are in microseconds."""

    name: str
    device_type: Any
    kernels: list[Any]
    cpu_children: list[Any]


def time_layers(candidate: Candidate, seconds: float, clock: Clock = default_timer) -> LayerTimes:
    """Time every layer of an eager module, for about so many seconds."""
    if not candidate.setting.device.startswith("cuda"):
        return _by_hooks(candidate, seconds, _HostClock(candidate.setting.device, clock), clock, HOOKS)
    found = _by_kernels(candidate)
    # Where the profiler may not look at the GPU, there are events between the layers; the record says so.
    return found if found is not None else _by_hooks(candidate, seconds, _CudaClock(), clock, EVENTS)


# --- kernels ---


def _by_kernels(candidate: Candidate) -> LayerTimes | None:
    candidate.run()
    with _hooks(candidate, _Spans()):
        events = profiled_events(candidate.run, candidate.setting.device, PROFILED_RUNS)
    seconds = kernel_seconds(events, [node.name for node in candidate.graph.nodes])
    if not any(seconds.values()):
        return None
    return LayerTimes(seconds, None, median(event_seconds(candidate.run, candidate.setting.device, MOST_RUNS)), KERNELS)


def kernel_seconds(events: Iterable[ProfiledEvent], layers: Iterable[str]) -> dict[str, float]:
    """For each layer the median over its spans of the seconds of all kernels launched in one; 0 where it has none.

    A view launches no kernel, and copies and fills of memory count as kernels.
    """
    spans: dict[str, list[float]] = {name: [] for name in layers}
    for event in events:
        name = event.name.removeprefix(SPAN)
        # Of a span the GPU has an event, too, which launched nothing.
        if name != event.name and name in spans and event.device_type == DeviceType.CPU:
            spans[name].append(_kernel_microseconds(event) / 1e6)
    return {name: median(found) if found else 0.0 for name, found in spans.items()}


def _kernel_microseconds(event: ProfiledEvent) -> float:
    # The profiler shows a span on the GPU's side, too, from its first kernel to the end of its last, gaps included.
    own = sum(kernel.duration for kernel in event.kernels if not kernel.name.startswith(SPAN))
    return float(own) + sum(map(_kernel_microseconds, event.cpu_children))


class _Spans:
    """Names what a layer does in the profiler's record."""

    def __init__(self) -> None:
        self._open: dict[str, Any] = {}

    def start(self, name: str) -> None:
        self._open[name] = record_function(f"{SPAN}{name}")
        self._open[name].__enter__()

    def stop(self, name: str) -> None:
        self._open.pop(name).__exit__(None, None, None)


# --- hooks ---


def _by_hooks(
    candidate: Candidate, seconds: float, times: "_HostClock | _CudaClock", clock: Clock, by: str
) -> LayerTimes:
    """Runs with hooks and without take turns, for half of the seconds each."""
    hooked: list[Callable[[], float]] = []
    plain: list[Callable[[], float]] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(candidate.setting.threads)
    try:
        candidate.run()
        for _ in range(ROUNDS):
            plain += _runs(candidate, times, seconds / (2 * ROUNDS), clock)
            with _hooks(candidate, times):
                hooked += _runs(candidate, times, seconds / (2 * ROUNDS), clock)
        synchronize(candidate.setting.device)
    finally:
        torch.set_num_threads(threads)
    layers = {name: median(taken) for name, taken in times.taken().items()}
    with_hooks, without = (median(whole() for whole in wholes) for wholes in (hooked, plain))
    return LayerTimes(layers, with_hooks, without, by)


def _runs(
    candidate: Candidate, times: "_HostClock | _CudaClock", seconds: float, clock: Clock
) -> list[Callable[[], float]]:
    wholes: list[Callable[[], float]] = []
    end = clock() + seconds
    while len(wholes) < LEAST_RUNS or (clock() < end and len(wholes) < MOST_RUNS):
        wholes.append(times.around(candidate.run))
    return wholes


@contextmanager
def _hooks(candidate: Candidate, times: "_HostClock | _CudaClock | _Spans") -> Iterator[None]:
    """Around every call of every layer; a learned tensor is only read."""
    own = candidate.own
    layers = dict(candidate.module.named_modules()) if own is None else own.layers
    calls: dict[str, list[str]] = {}
    for node in candidate.graph.nodes:
        if node.module:
            calls.setdefault(node.module, []).append(node.name)
    handles = [
        handle for path, names in calls.items() if path in layers for handle in _hooked(layers[path], names, times)
    ]
    clock = nullcontext() if own is None else FunctionClock(own.functions, times)
    if isinstance(clock, FunctionClock):
        handles.append(candidate.module.register_forward_pre_hook(clock.restart))
        for path in calls:
            if path in layers:
                handles.append(layers[path].register_forward_pre_hook(clock.enter_layer))
                handles.append(layers[path].register_forward_hook(clock.leave_layer))
    try:
        with clock:
            yield
    finally:
        for handle in handles:
            handle.remove()


def _hooked(layer: nn.Module, names: list[str], times: "_HostClock | _CudaClock | _Spans") -> list[Any]:
    """A layer that a run calls several times has a name for each call, in their order."""
    begun, ended = cycle(names), cycle(names)

    def start(*_: object) -> None:
        times.start(next(begun))

    def stop(*_: object) -> None:
        times.stop(next(ended))

    return [layer.register_forward_pre_hook(start), layer.register_forward_hook(stop)]


class _HostClock:
    """Seconds of the host's clock. A GPU without events is waited for, which is part of what is measured."""

    def __init__(self, device: str, clock: Clock) -> None:
        self._device, self._clock = device, clock
        self._started = 0.0
        self._taken: dict[str, list[float]] = {}

    def start(self, _: str) -> None:
        self._started = self._clock()

    def stop(self, name: str) -> None:
        synchronize(self._device)
        self._taken.setdefault(name, []).append(self._clock() - self._started)

    def around(self, run: Callable[[], object]) -> Callable[[], float]:
        before = self._clock()
        run()
        synchronize(self._device)
        taken = self._clock() - before
        return lambda: taken

    def taken(self) -> dict[str, list[float]]:
        return self._taken


class _CudaClock:
    """Events between the layers; read after all runs, so that no layer waits for another."""

    def __init__(self) -> None:
        self._started: dict[str, Any] = {}
        self._pairs: dict[str, list[tuple[Any, Any]]] = {}

    def start(self, name: str) -> None:
        self._started[name] = self._now()

    def stop(self, name: str) -> None:
        self._pairs.setdefault(name, []).append((self._started.pop(name), self._now()))

    def around(self, run: Callable[[], object]) -> Callable[[], float]:
        before = self._now()
        run()
        after = self._now()
        return lambda: float(before.elapsed_time(after)) / 1e3

    def taken(self) -> dict[str, list[float]]:
        return {name: [start.elapsed_time(end) / 1e3 for start, end in pairs] for name, pairs in self._pairs.items()}

    @staticmethod
    def _now() -> Any:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event
