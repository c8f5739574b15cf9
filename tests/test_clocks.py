"""No test depends on how fast the machine is: none reads a clock, sleeps, or ends what takes long."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.work import TooMuchWork, at_most_calls

TESTS = Path(__file__).parent
CLOCKS = {"time", "timeit"}
# What gives a process, a request or a page so many seconds; 0 is for ever.
LIMITS = {"timeout", "wait_for_timeout", "alarm", "setitimer"}
SOURCES = sorted(TESTS.glob("*.py"))


def found(source: str) -> Iterator[str]:
    """Each line of a test's source that has to do with time, and what is there."""
    for node in ast.walk(ast.parse(source)):
        names = set()
        if isinstance(node, ast.Import):
            names = {alias.name for alias in node.names} & CLOCKS
        elif isinstance(node, ast.ImportFrom):
            names = {node.module or ""} & CLOCKS
        elif isinstance(node, ast.Attribute):
            names = {node.attr} & LIMITS
        elif isinstance(node, ast.keyword) and node.arg in LIMITS:
            zero = isinstance(node.value, ast.Constant) and node.value.value == 0
            names = set() if zero else {node.arg}
        yield from (f"line {getattr(node, 'lineno', 0)}: {name}" for name in names)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_test_has_to_do_with_time(path: Path) -> None:
    """What measures is given a clock of tests.clocks, work is counted by tests.work, speed is for the benchmarks."""
    assert list(found(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        *("import time", "from time import sleep", "import timeit", "subprocess.run([], timeout=60)"),
        *("page.wait_for_timeout(200)", "signal.alarm(5)"),
    ],
)
def test_this_test_can_fail(source: str) -> None:
    """Whatever of these a test would use."""
    assert len(list(found(source))) == 1
    assert list(found("page.wait_for_selector('a', timeout=0); clock.sleep(1)")) == []


def test_hypothesis_has_no_deadline() -> None:
    """Of its own there are 200 ms for each example, and a check of how fast examples are drawn."""
    assert settings().deadline is None
    assert HealthCheck.too_slow in settings().suppress_health_check


def test_work_is_counted() -> None:
    """Calls of Python and of C, and it ends as soon as there are too many."""
    with at_most_calls(1_000):
        sum(map(len, ["a"] * 100))
    with pytest.raises(TooMuchWork, match="more than 1,000 calls"), at_most_calls(1_000):
        [len("a") for _ in range(1_001)]
