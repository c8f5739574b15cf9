"""How long this process's threads waited for a processor that others had: what no spread of times shows.

A machine that is busy all the time slows every run alike. Linux counts the time that a thread was ready to run and did
not, see proc_pid_schedstat in https://docs.kernel.org/scheduler/sched-stats.html; elsewhere nobody tells.
"""

from pathlib import Path
from typing import NamedTuple

_TASKS = Path("/proc/self/task")


class ProcessorTime(NamedTuple):
    """Seconds of all threads so far: on a processor, and ready without one."""

    ran: float
    waited: float

    def share_since(self, before: "ProcessorTime | None") -> float | None:
        """The part of the time since then that was waited, from 0 to 1; None where no time passed."""
        if before is None:
            return None
        ran, waited = self.ran - before.ran, self.waited - before.waited
        return waited / (ran + waited) if ran + waited > 0 and waited >= 0 else None


def processor_time(tasks: Path = _TASKS) -> ProcessorTime | None:
    """Of the threads that live now; None where the system does not tell."""
    ran = waited = 0
    try:
        for thread in tasks.iterdir():
            try:
                on, ready, _ = map(int, (thread / "schedstat").read_text().split())
            except FileNotFoundError:
                if thread.exists():
                    return None  # a kernel without these figures
                continue  # it ended meanwhile
            ran, waited = ran + on, waited + ready
    except (OSError, ValueError):
        return None
    return ProcessorTime(ran / 1e9, waited / 1e9) if ran else None


def waited_share(before: ProcessorTime | None) -> float | None:
    """The part of the time since `before` that threads waited for a processor."""
    now = processor_time()
    return None if now is None else now.share_since(before)
