"""What a long measurement tells meanwhile, on standard error: what is being done, and about how long it goes on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

Tell = Callable[[float, str], None]


class TimeLeft:
    """An estimate of the time left of work that was planned in seconds, corrected by how long the done part took.

    Warming up, compiling and building are not planned: they make the done part longer, and the rest with it.
    """

    def __init__(self, planned: float, clock: Callable[[], float] = perf_counter) -> None:
        self._planned, self._clock = planned, clock
        self._started = clock()
        self._done = 0.0

    def advance(self, seconds: float) -> None:
        """So much of what was planned begins now, or will not be done at all."""
        self._done = min(self._done + seconds, self._planned)

    def seconds(self) -> float:
        """At first what was planned; never negative."""
        taken = self._clock() - self._started
        slower = max(taken / self._done, 1.0) if self._done else 1.0
        return max((self._planned - self._done) * slower, 0.0)

    def text(self) -> str:
        """ "about 40 s left", in steps that an estimate deserves; "" where nothing is."""
        seconds = self.seconds()
        if seconds < 1:
            return ""
        if seconds < 90:
            return f"about {max(round(seconds / 5) * 5, 1)} s left"
        return f"about {round(seconds / 60)} min left"


@contextmanager
def show_progress(planned: float, clock: Callable[[], float] = perf_counter) -> Iterator[Tell]:
    """Tells of work that is planned to take so many seconds: by a bar on a terminal, elsewhere a line for each thing.

    What is given is called with the seconds of the plan that begin now, and with what is being done ("" where that is
    the same).
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    from gnet_inspect.cli.output import say

    left = TimeLeft(planned, clock)
    console = Console(stderr=True)
    if not console.is_terminal:
        told: set[str] = set()

        def tell(seconds: float, text: str) -> None:
            if text and text not in told:
                told.add(text)
                estimate = left.text()
                say(f"{text} ({estimate})" if estimate else text)
            left.advance(seconds)

        yield tell
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[left]}"))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=planned, left="")

        def advance(seconds: float, text: str) -> None:
            bar.update(task, description=text or None, advance=seconds, left=left.text())
            left.advance(seconds)

        yield advance
