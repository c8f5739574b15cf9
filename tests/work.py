"""Work counted instead of timed: the same on every machine, however busy."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class TooMuchWork(BaseException):
    """More calls than were allowed; no `except Exception` hides it."""


@contextmanager
def at_most_calls(limit: int) -> Iterator[None]:
    """Raise TooMuchWork as soon as more functions than that were called inside, those of C included.

    One long call of C counts as one: what grows inside of it (sorting, searching a list) is not seen.
    """
    before, calls = sys.getprofile(), 0

    def count(_: FrameType, event: str, __: object) -> None:
        nonlocal calls
        if event in ("call", "c_call"):
            calls += 1
            if calls > limit:
                sys.setprofile(before)
                raise TooMuchWork(f"more than {limit:,} calls")

    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(before)


def lines_run(work: Callable[[], object]) -> int:
    """How many lines of Python a piece of work takes."""
    count = 0

    def local(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += 1
        return local

    before = sys.gettrace()
    sys.settrace(local)
    try:
        work()
    finally:
        sys.settrace(before)
    return count
