"""How runs are timed: warm up until stable, then in turns, so that a drifting machine does not decide a comparison.

On the CPU by torch.utils.benchmark's timer; on a GPU by a pair of events around each run and one synchronisation at the
end, for waiting after each run would be measured with it.
"""

from collections.abc import Callable, Sequence
from statistics import median
from timeit import default_timer
from typing import Any

import torch
from msgspec import Struct
from torch.utils.benchmark import Timer

from gnet_inspect.runtime.latency import waiting
from gnet_inspect.runtime.latency.candidate import Candidate, synchronize

ROUNDS = 5
# Warm: the median of the last runs is no longer below that of those before by more than this share.
STABLE = 0.05
WINDOW = 4
LONGEST_WARMUP_S = 20.0
# Runs that a GPU is given before it is waited for.
MOST_QUEUED = 1000

# What a measurement tells meanwhile: the seconds of its plan that begin now (or never come), and what is being done, or
# "" where that is the same.
Progress = Callable[[float, str], None]
# What time it is, in seconds since some moment.
Clock = Callable[[], float]


class Protocol(Struct, frozen=True):
    """How long to measure: at least `min_time` seconds and `repeat` runs of each, after `warmup` runs or more.

    `clock` is what the host reads; a GPU's runs are timed by its own events.
    """

    min_time: float = 2.0
    repeat: int = 10
    warmup: int = 3
    clock: Clock = default_timer


class Timed:
    """The seconds of single runs of one candidate, round by round."""

    def __init__(self, candidate: Candidate) -> None:
        self.candidate = candidate
        self.rounds: list[list[float]] = []
        self.runs: list[int] = []
        # Of each round the share that threads waited for a processor, where the system tells.
        self.waited: list[float | None] = []


def measure(candidates: Sequence[Candidate], protocol: Protocol, progress: Progress) -> list[Timed]:
    """Time the candidates in turns. An interrupt in between keeps what whole rounds there are."""
    timed = [Timed(candidate) for candidate in candidates]
    try:
        for one in timed:
            if not one.candidate.warm:
                progress(0.0, f"warming up {_name_of(one)}")
                warm_up(one.candidate, protocol)
                one.candidate.warm = True
        while len(timed[0].rounds) < ROUNDS or min(sum(one.runs) for one in timed) < protocol.repeat:
            # There and back: what drifts within a round favours nobody.
            order = timed if len(timed[0].rounds) % 2 == 0 else timed[::-1]
            for one in order:
                progress(protocol.min_time / ROUNDS, f"timing {_name_of(one)}")
                _time_round(one, protocol)
    except KeyboardInterrupt:
        # The round that was interrupted is not whole: nobody can be compared by it.
        whole = min(len(one.rounds) for one in timed)
        for one in timed:
            del one.rounds[whole:], one.runs[whole:], one.waited[whole:]
        raise Interrupted([one for one in timed if one.rounds]) from None
    return timed


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while measuring; `timed` is what there is by then."""

    def __init__(self, timed: list[Timed]) -> None:
        super().__init__()
        self.timed = timed


def warm_up(candidate: Candidate, protocol: Protocol) -> int:
    """Run until runs no longer get faster: caches are filled, kernels chosen, clocks up. Returns the number of runs."""
    times: list[float] = []
    clock = protocol.clock
    started = clock()
    while clock() - started < LONGEST_WARMUP_S:
        before = clock()
        candidate.run()
        synchronize(candidate.setting.device)
        times.append(clock() - before)
        enough = len(times) >= max(protocol.warmup, 2 * WINDOW)
        if enough and median(times[-WINDOW:]) > (1 - STABLE) * median(times[-2 * WINDOW : -WINDOW]):
            break
    return len(times)


def _time_round(timed: Timed, protocol: Protocol) -> None:
    take = _time_on_cuda if timed.candidate.setting.device.startswith("cuda") else _time_on_host
    before = waiting.processor_time()
    times, runs = take(timed.candidate, protocol.min_time / ROUNDS, protocol.clock)
    timed.waited.append(waiting.waited_share(before))
    timed.rounds.append(times)
    timed.runs.append(runs)


def _time_on_host(candidate: Candidate, seconds: float, clock: Clock) -> tuple[list[float], int]:
    """By torch.utils.benchmark, with the threads that were asked for; a GPU that has no events is waited for."""
    waits = candidate.setting.device != "cpu"
    timer = Timer(
        "run(); wait(device)" if waits else "run()",
        globals={"run": candidate.run, "wait": synchronize, "device": candidate.setting.device},
        num_threads=candidate.setting.threads,
        # torch's own timer waits for any accelerator that is there, also where none is used.
        timer=clock,
    )
    measured = timer.blocked_autorange(min_run_time=seconds)
    return list(measured.times), measured.number_per_run * len(measured.times)


def _time_on_cuda(candidate: Candidate, seconds: float, clock: Clock) -> tuple[list[float], int]:
    """Events around each run, one wait at the end of many runs, until the time is spent."""
    times: list[float] = []
    end = clock() + seconds
    number = 3
    while clock() < end:
        taken = event_seconds(candidate.run, candidate.setting.device, number)
        times += taken
        number = min(max(int((end - clock()) / max(median(taken), 1e-6)), 3), MOST_QUEUED)
    return times, len(times)


def event_seconds(run: Callable[[], object], device: str, number: int) -> list[float]:
    """The seconds of so many runs on a GPU, one after the other.

    https://docs.pytorch.org/docs/stable/generated/torch.cuda.Event.html: elapsed_time is in milliseconds, and both
    events must have been reached.
    """
    run()  # the first run finds an empty queue, and is not timed
    starts, ends = ([_event() for _ in range(number)] for _ in range(2))
    for start, end in zip(starts, ends, strict=True):
        start.record()
        run()
        end.record()
    torch.cuda.synchronize(device)
    return [start.elapsed_time(end) / 1e3 for start, end in zip(starts, ends, strict=True)]


def _event() -> Any:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


def _name_of(timed: Timed) -> str:
    candidate = timed.candidate
    return f"{candidate.graph.variant} at batch {candidate.graph.batch} ({candidate.setting.variant})"
