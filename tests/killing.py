"""Processes that are killed (SIGKILL) at a call of a function: what a test of torn files is made of."""

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

Count = Callable[[FrameType, str, Any], None]


def in_child(work: Callable[[], object]) -> int:
    """The signal that ended it, below 0; 0 where it came to its end."""
    child = os.fork()
    if not child:
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killer(call: int) -> Count:
    """For sys.setprofile: kills the process at this call of a function, of those in C too."""
    left = call

    def count(_: FrameType, event: str, __: Any) -> None:
        nonlocal left
        left -= event in ("call", "c_call")
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return count


class Counter:
    """For sys.setprofile: how many calls there are."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, _: FrameType, event: str, __: Any) -> None:
        self.calls += event in ("call", "c_call")
