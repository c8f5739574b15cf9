"""A sweep that is killed at a moment and goes on, in processes of its own:

    python -m tests.killed FOLDER SEED TIMES

writes FOLDER/whole.db, and TIMES more, each of which was killed (SIGKILL) at a drawn call of a function, up to three
times, before it was resumed to its end. Prints how these ended.
"""

import random
import sys
from functools import partial
from pathlib import Path

from gnet_inspect.language import parse_spec
from gnet_inspect.search import counting
from gnet_inspect.search.store import Store
from gnet_inspect.search.sweeping import Sweeper
from tests.killing import Count, Counter, in_child, killer
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


def sweep(path: Path, count: Count | None = None) -> None:
    """Go on with a file, or begin it; calls are counted from when the space is known."""
    posed = Posed("macs", "params", "params > 20")
    sweeper = Sweeper(space_of(parse_spec(SPEC, "killed.yaml"), VARY), posed.asked, 0.01, "")
    sys.setprofile(count)
    store = Store(path, sweeper.space, sweeper.asked.names, {"spec": SPEC}, resume=True)
    sweeper.run(_Silent(), store)
    store.close()


def calls_of(path: Path) -> int:
    """How many calls a whole sweep is."""
    counter = Counter()
    sweep(path, counter)
    sys.setprofile(None)
    return counter.calls


def main(folder: Path, seed: int, times: int) -> None:
    counting.BATCH = 70
    calls = calls_of(folder / "whole.db")
    draw = random.Random(seed)
    for number in range(times):
        path = folder / f"{number}.db"
        moments = [draw.randrange(1, calls) for _ in range(draw.randint(1, 3))]
        ends = [in_child(partial(sweep, path, killer(moment))) for moment in moments]
        print(number, ends)
        assert in_child(partial(sweep, path)) == 0


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
