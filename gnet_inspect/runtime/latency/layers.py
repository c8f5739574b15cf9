"""Each layer's time inside the real forward, by hooks around every one: caches are as they are, not cold."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import torch
from torch import nn

from gnet_inspect.runtime.latency.candidate import Candidate, synchronize

# Of each kind in a round.
ROUNDS, LEAST_RUNS, MOST_RUNS = 5, 1, 100


class LayerTimes:
    """Median seconds of every layer by its name; of a whole run with the hooks, and of one without, in turns."""

    def __init__(self, seconds: dict[str, float], hooked: float, plain: float) -> None:
        self.seconds, self.hooked, self.plain = seconds, hooked, plain


def time_layers(candidate: Candidate, seconds: float) -> LayerTimes:
    """Time every layer of an eager module; runs with hooks and without take turns, for half of the seconds each."""
    on_cuda = candidate.setting.device.startswith("cuda")
    clock: _HostClock | _CudaClock = _CudaClock() if on_cuda else _HostClock(candidate.setting.device)
    hooked: list[Callable[[], float]] = []
    plain: list[Callable[[], float]] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(candidate.setting.threads)
    try:
        candidate.run()
        for _ in range(ROUNDS):
            plain += _runs(candidate, clock, seconds / (2 * ROUNDS))
            with _hooks(candidate, clock):
                hooked += _runs(candidate, clock, seconds / (2 * ROUNDS))
        synchronize(candidate.setting.device)
    finally:
        torch.set_num_threads(threads)
    times = {name: median(taken) for name, taken in clock.taken().items()}
    return LayerTimes(times, *(median(whole() for whole in wholes) for wholes in (hooked, plain)))


def _runs(candidate: Candidate, clock: "_HostClock | _CudaClock", seconds: float) -> list[Callable[[], float]]:
    wholes: list[Callable[[], float]] = []
    end = time.perf_counter() + seconds
    while len(wholes) < LEAST_RUNS or (time.perf_counter() < end and len(wholes) < MOST_RUNS):
        wholes.append(clock.around(candidate.run))
    return wholes


@contextmanager
def _hooks(candidate: Candidate, clock: "_HostClock | _CudaClock") -> Iterator[None]:
    """Around every layer."""
    handles = [
        handle
        for node in candidate.graph.nodes
        for handle in _hooked(candidate.module.get_submodule(node.name), node.name, clock)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hooked(layer: nn.Module, name: str, clock: "_HostClock | _CudaClock") -> list[Any]:
    def start(*_: object) -> None:
        clock.start(name)

    def stop(*_: object) -> None:
        clock.stop(name)

    return [layer.register_forward_pre_hook(start), layer.register_forward_hook(stop)]


class _HostClock:
    """Seconds of the host's clock. A GPU without events is waited for, which is part of what is measured."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._started = 0.0
        self._taken: dict[str, list[float]] = {}

    def start(self, _: str) -> None:
        self._started = time.perf_counter()

    def stop(self, name: str) -> None:
        synchronize(self._device)
        self._taken.setdefault(name, []).append(time.perf_counter() - self._started)

    def around(self, run: Callable[[], object]) -> Callable[[], float]:
        before = time.perf_counter()
        run()
        synchronize(self._device)
        taken = time.perf_counter() - before
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
