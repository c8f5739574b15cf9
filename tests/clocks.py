"""A clock that goes on only when it is told to, and what runs on it: measuring is tested without waiting."""

from types import SimpleNamespace
from typing import Any


class FakeClock:
    """Seconds that pass when `sleep` is called, and `tick` of them at each look."""

    def __init__(self, tick: float = 0.0) -> None:
        self.now, self.tick, self.looks = 0.0, tick, 0

    def __call__(self) -> float:
        self.looks += 1
        self.now += self.tick
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class FakeCandidate:
    """A candidate whose runs take so many seconds of a clock, by their number, and keep a diary of who ran when."""

    def __init__(
        self,
        clock: FakeClock,
        seconds: Any = 0.001,
        name: str = "a",
        diary: list[str] | None = None,
        stop_after: int | None = None,
        device: str = "cpu",
    ) -> None:
        from gnet_inspect.runtime.latency.setting import Setting  # needs torch, which a clock does not

        self.graph: Any = SimpleNamespace(variant=name, batch=1)
        self.setting = Setting(device)
        self.warm = False
        self.clock, self.name, self.runs, self.stop_after = clock, name, 0, stop_after
        self.diary = [] if diary is None else diary
        self._seconds = seconds if callable(seconds) else lambda _: seconds

    def run(self) -> None:
        self.runs += 1
        self.diary.append(self.name)
        if self.stop_after is not None and self.runs > self.stop_after:
            raise KeyboardInterrupt
        self.clock.sleep(self._seconds(self.runs))


class FakeEvent:
    """torch.cuda.Event on a clock: what is asked of it, in its units."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock, self._at = clock, 0.0

    def record(self) -> None:
        self._at = self._clock.now

    def elapsed_time(self, other: "FakeEvent") -> float:
        """Milliseconds."""
        return 1e3 * (other._at - self._at)
