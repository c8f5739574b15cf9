"""A sweep that is killed at a moment and goes on, in processes of its own:

    python -m tests.killed FOLDER SEED TIMES

writes FOLDER/whole.db, and TIMES more, each of which was killed (SIGKILL) at a drawn call of a function, up to three
times, before it was resumed to its end. Prints how these ended.
"""

import os
import random
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from gnet_inspect.language import parse_spec
from gnet_inspect.search import counting
from gnet_inspect.search.store import Store
from gnet_inspect.search.sweeping import Sweeper
from tests.sweeping import Posed, space_of

SPEC = (
    "name: killed\ninput: [3, 16, 16]\n"
    "stages: {all: {a: {Conv2d: {out_channels: 4, kernel_size: 3}}, b: {Conv2d: {out_channels: 4, kernel_size: 3}}}}\n"
)
VARY = ("a.out_channels=1:12", "b.out_channels=1:12", "b.kernel_size=1,3,16")


class _Silent:
    def say(self, text: str) -> None:
        """To nobody."""

    def tell(self, amount: float, what: str) -> None:
        """To nobody."""


def sweep(path: Path, count: Callable[[FrameType, str, Any], None] | None = None) -> None:
    """Go on with a file, or begin it; calls are counted from when the space is known."""
    posed = Posed("macs", "params", "params > 20")
    sweeper = Sweeper(space_of(parse_spec(SPEC, "killed.yaml"), VARY), posed.asked, 0.01, "")
    sys.setprofile(count)
    store = Store(path, sweeper.space, sweeper.asked.names, {"spec": SPEC}, resume=True)
    sweeper.run(_Silent(), store)
    store.close()


def in_child(work: Callable[[], None]) -> int:
    """The signal that ended it; 0 where it came to its end."""
    child = os.fork()
    if not child:
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_at(path: Path, call: int) -> None:
    """The same, killed at this call of a function, of those in C too."""
    left = call

    def count(_: FrameType, event: str, __: Any) -> None:
        nonlocal left
        left -= event in ("call", "c_call")
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sweep(path, count)


def calls_of(path: Path) -> int:
    """How many calls a whole sweep is."""
    calls = 0

    def count(_: FrameType, event: str, __: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sweep(path, count)
    sys.setprofile(None)
    return calls


def main(folder: Path, seed: int, times: int) -> None:
    counting.BATCH = 70
    calls = calls_of(folder / "whole.db")
    draw = random.Random(seed)
    for number in range(times):
        path = folder / f"{number}.db"
        moments = [draw.randrange(1, calls) for _ in range(draw.randint(1, 3))]
        ends = [in_child(partial(killed_at, path, moment)) for moment in moments]
        print(number, ends)
        assert in_child(partial(sweep, path)) == 0


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
