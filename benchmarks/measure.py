"""Measuring commands and functions: interleaved, so that a drifting machine disturbs both sides alike."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

ROUNDS = 15


class Cost(NamedTuple):
    """The best of several runs, in seconds and bytes resident at most."""

    seconds: float
    memory: int


class Ratio(NamedTuple):
    """One line of the report: ours beside the peer's, and what the design allows."""

    what: str
    ours: str
    peer: str
    ratio: float
    # "at most" or "at least", and how much.
    bound: str
    limit: float

    @property
    def kept(self) -> bool:
        return self.ratio <= self.limit if self.bound == "at most" else self.ratio >= self.limit

    def __str__(self) -> str:
        verdict = "" if self.kept else "  OVER BUDGET"
        return f"{self.what:<52}{self.ours:>10}{self.peer:>10}{self.ratio:>8.2f}   {self.bound} {self.limit:g}{verdict}"


HEADER = f"{'what':<52}{'ours':>10}{'peer':>10}{'ratio':>8}   budget"


def run_once(command: Sequence[str]) -> Cost:
    """One run of a command; its output goes nowhere. Raises CalledProcessError where it fails."""
    # As it runs for its users: the first run leaves the compiled bytecode, unless the environment forbids it.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    assert process.stderr is not None
    errors = process.stderr.read()
    process.stderr.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command), stderr=errors)
    return Cost(seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))


def commands(rounds: int = ROUNDS, **named: Sequence[str]) -> dict[str, Cost]:
    """The best of `rounds` runs of each command, in turns (A B A B)."""
    runs: dict[str, list[Cost]] = {name: [] for name in named}
    for _ in range(rounds):
        for name, command in named.items():
            runs[name].append(run_once(command))
    return {name: Cost(min(c.seconds for c in costs), min(c.memory for c in costs)) for name, costs in runs.items()}


def functions(rounds: int = ROUNDS, **named: Callable[[], object]) -> dict[str, float]:
    """The best time of each function in seconds, in turns; each runs once before."""
    times: dict[str, list[float]] = {name: [] for name in named}
    for function in named.values():
        function()
    for _ in range(rounds):
        for name, function in named.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    return {name: min(values) for name, values in times.items()}


def milliseconds(seconds: float) -> str:
    """Seconds as a report prints them."""
    return f"{1000 * seconds:,.0f} ms" if seconds < 10 else f"{seconds:,.1f} s"
