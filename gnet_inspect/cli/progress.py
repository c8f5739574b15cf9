"""What long work tells meanwhile, on standard error: what is being done, and about how long it goes on.

On a terminal it is a bar, which comes when the work has lasted for a while, and goes without a trace. Elsewhere it is a
line for each thing where that was asked for, and nothing for the rest, because what is told must not depend on how fast
a machine is. Where nothing is known of how long the rest takes, it says how long it has lasted: an estimate that is
made up is none.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from threading import Event, Lock, Thread
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.live import Live

Clock = Callable[[], float]
# Called with how much of the work begins now, and with what is being done ("" where that is the same).
Tell = Callable[[float, str], None]
# What is done in so many seconds is told of by its result.
DELAY = 2.0
# As those of tables: they are seen on a white and on a black ground.
_DONE, _LEFT = "color(32)", "color(243)"


class Estimate(Protocol):
    """What is known of how long work goes on."""

    def advance(self, amount: float) -> None:
        """So much of the work begins now."""

    def share(self) -> float | None:
        """How much of it is done, from 0 to 1; None where nobody knows."""

    def text(self) -> str:
        """What is said of the time; "" for nothing."""


class TimeLeft:
    """An estimate of the time left of work that was planned in seconds, corrected by how long the done part took.

    Warming up, compiling and building are not planned: they make the done part longer, and the rest with it.
    """

    def __init__(self, planned: float, clock: Clock = perf_counter) -> None:
        self._planned, self._clock = planned, clock
        self._started = clock()
        self._done = 0.0

    def advance(self, amount: float) -> None:
        """So much of what was planned begins now, or will not be done at all."""
        self._done = min(self._done + amount, self._planned)

    def seconds(self) -> float:
        """At first what was planned; never negative."""
        taken = self._clock() - self._started
        slower = max(taken / self._done, 1.0) if self._done else 1.0
        return max((self._planned - self._done) * slower, 0.0)

    def share(self) -> float | None:
        """By what was planned."""
        return self._done / self._planned if self._planned else None

    def text(self) -> str:
        """ "about 40 s left", in steps that an estimate deserves; "" where nothing is."""
        return left_text(self.seconds())


class Elapsed:
    """How long work has lasted, where nothing says how long it will."""

    def __init__(self, clock: Clock = perf_counter) -> None:
        self._clock, self._started = clock, clock()

    def advance(self, amount: float) -> None:
        """Nothing is known of an amount."""

    def share(self) -> float | None:
        """Nobody knows."""
        return None

    def text(self) -> str:
        """ "12 s"."""
        return f"{self._clock() - self._started:.0f} s"


class PartsLeft:
    """An estimate of the time left of work in parts, by how long those took that are done.

    Before one is, it is how long the work has lasted.
    """

    def __init__(self, parts: float, clock: Clock = perf_counter) -> None:
        self._parts, self._clock = parts, clock
        self._elapsed = Elapsed(clock)
        # What comes before the first part, as reading what all are made of, is none.
        self._started = 0.0
        self._begun = self._done = self._taken = 0.0

    def advance(self, amount: float) -> None:
        """So many parts begin now: those that began before are done."""
        if self._begun:
            self._done, self._taken = self._begun, self._clock() - self._started
        elif amount:
            self._started = self._clock()
        self._begun = min(self._begun + amount, self._parts)

    def seconds(self) -> float | None:
        """None before a part is done; never negative."""
        if not self._done:
            return None
        whole = self._taken / self._done * self._parts
        return max(whole - (self._clock() - self._started), 0.0)

    def share(self) -> float | None:
        """By the parts that are done."""
        return self._done / self._parts if self._done else None

    def text(self) -> str:
        """What is left, or how long it has lasted."""
        seconds = self.seconds()
        return self._elapsed.text() if seconds is None else left_text(seconds)


def left_text(seconds: float) -> str:
    """An estimate in words, in steps that it deserves; "" where nothing is left.

    >>> left_text(41), left_text(100), left_text(0.4)
    ('about 40 s left', 'about 2 min left', '')
    """
    if seconds < 1:
        return ""
    if seconds < 90:
        return f"about {max(round(seconds / 5) * 5, 1)} s left"
    return f"about {round(seconds / 60)} min left"


@contextmanager
def show_progress(planned: float, clock: Clock = perf_counter, *, lines: bool = True) -> Iterator[Tell]:
    """Tells of work that is planned to take so many seconds, from its beginning; in `lines` where there is no terminal.

    What is given is called with the seconds of the plan that begin now, and with what is being done.
    """
    if _is_terminal():
        # What is measured meanwhile must not wait for what the bar needs.
        import_module("rich.live")
    with _telling(TimeLeft(planned, clock), lines=lines) as tell:
        yield tell


@contextmanager
def show_work(parts: float | None = None, clock: Clock = perf_counter, *, lines: bool = False) -> Iterator[Tell]:
    """Tells of work of which nobody knows how long it takes, or that it is in so many parts that take about as long.

    `lines` are said of it where there is no terminal.
    """
    left = Elapsed(clock) if parts is None else PartsLeft(parts, clock)
    with _telling(left, lines=lines) as tell:
        yield tell


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


@contextmanager
def _telling(left: Estimate, *, lines: bool) -> Iterator[Tell]:
    if _is_terminal():
        bar = Bar(left)
        try:
            yield bar.tell
        finally:
            bar.close()
        return
    from gnet_inspect.cli.output import say

    told: set[str] = set()

    def tell(amount: float, text: str) -> None:
        if lines and text and text not in told:
            told.add(text)
            about = left.text() if left.share() is not None else ""
            say(f"{text} ({about})" if about else text)
        left.advance(amount)

    yield tell


class Bar:
    """One line at the end of a terminal, drawn by a thread beside the work, which may be in one long call.

    `wait` is what the thread waits by: it is told for how long, and says whether the work ended meanwhile.
    """

    def __init__(self, left: Estimate, wait: Callable[[Event, float], bool] = Event.wait) -> None:
        self._left, self._wait = left, wait
        self._text = "working"
        # Who puts something in the place of standard error, as torch's exporters do, gets no bar into it.
        self._stream = sys.stderr
        self._ended, self._lock = Event(), Lock()
        self._live: Live | None = None
        self._thread = Thread(target=self._appear, daemon=True)
        self._thread.start()

    def tell(self, amount: float, text: str) -> None:
        """So much begins now; what is said of it, where that is not the same."""
        self._text = text or self._text
        self._left.advance(amount)

    def close(self) -> None:
        """Take it away."""
        self._ended.set()
        with self._lock:
            if self._live is not None:
                self._live.stop()

    def _appear(self) -> None:
        if self._wait(self._ended, DELAY):
            return
        from rich.console import Console
        from rich.live import Live

        with self._lock:
            if self._ended.is_set():
                return
            console = Console(file=self._stream)
            # Nothing is put in the place of the standard streams: whoever does the same meanwhile would put it back.
            self._live = Live(
                get_renderable=self.render,
                console=console,
                transient=True,
                refresh_per_second=4,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()

    def render(self) -> Any:
        """What is being done, how much of it is, and the time."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        from gnet_inspect.errors import printable

        share = self._left.share()
        row = Table.grid(padding=(0, 1))
        cells: list[Any] = [Text(printable(self._text), no_wrap=True, overflow="ellipsis")]
        if share is not None:
            bar = ProgressBar(
                total=1, completed=share, width=30, style=_LEFT, complete_style=_DONE, finished_style=_DONE
            )
            cells.append(bar)
        cells.append(Text(self._left.text(), no_wrap=True))
        row.add_row(*cells)
        return row
