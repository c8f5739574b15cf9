"""`summary --watch`: a table again whenever the file is another one."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from gnet_inspect.cli.watching import versions
from gnet_inspect.errors import UsageError
from tests.conftest import Run

SMALL = "name: small\ninput: [3, 8, 8]\nstages:\n  main:\n    a: {Conv2d: {out_channels: 4, kernel_size: 3}}\n"


class Enough(Exception):  # noqa: N818  # not an error: the test has seen what it came for
    """The test is over."""


def steps(*acts: Callable[[], object]) -> Callable[[float], None]:
    """A sleep in which something is done each time; behind the last the test is over."""
    waiting = iter(acts)

    def sleep(_: float) -> None:
        act = next(waiting, None)
        if act is None:
            raise Enough
        act()

    return sleep


def seen(path: Path, *acts: Callable[[], object]) -> list[bytes]:
    found: list[bytes] = []
    with suppress(Enough):
        # As far as it goes: the last step ends it.
        found += versions(path, steps(*acts))
    return found


def test_a_file_is_seen_once_for_each_content(tmp_path: Path) -> None:
    """Written anew, replaced, touched without a change, gone and back."""
    path = tmp_path / "a.yaml"
    path.write_text("one")

    def replaced() -> None:
        (tmp_path / "b").write_text("three")
        os.replace(tmp_path / "b", path)

    found = seen(
        path,
        lambda: None,
        lambda: path.write_text("two"),
        lambda: os.utime(path, (1, 1)),
        replaced,
        path.unlink,
        lambda: path.write_text(""),
        lambda: path.write_text("three"),
        lambda: path.write_text("four"),
    )
    assert found == [b"one", b"two", b"three", b"four"]


def test_a_file_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    """And one that cannot be read is an error."""
    path = tmp_path / "a.yaml"
    assert seen(path, lambda: None, lambda: path.write_text("one")) == [b"one"]
    with pytest.raises(UsageError, match="--watch: cannot read"):
        next(versions(tmp_path, steps()))


def test_the_table_follows_the_file(tmp_path: Path) -> None:
    """With what changed below it; a broken text says why and leaves the last table; the file as it was says that."""
    path = tmp_path / "mine.yaml"
    path.write_text(SMALL)
    command = [sys.executable, "-m", "gnet_inspect", "summary", "mine.yaml", "--watch"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert process.stdout is not None
    assert process.stderr is not None

    def until(text: str) -> str:
        lines = ""
        while text not in lines:
            line = process.stdout.readline()  # type: ignore[union-attr]  # it is a pipe
            assert line, lines
            lines += line
        return lines

    assert "1x4x6x6" in until("coverage")
    path.write_text(SMALL.replace("out_channels: 4", "out_channels: 8"))
    shown = until("changed   a")
    assert "1x8x6x6" in shown
    assert "112 -> 224  +112 (+100.0 %)" in shown
    path.write_text("name: small\n")
    assert "mine.yaml:1: " in process.stderr.readline()
    path.write_text(SMALL)
    assert "1x4x6x6" in until("as at the start")
    process.terminate()
    process.communicate()
    assert process.returncode == 143


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("googlenet",), "the path of a spec"),
        (("torchvision:resnet18",), "the path of a spec"),
        (("nosuch.yaml",), "which is not there"),
        (("mine.yaml", "--format", "json"), "a table on standard output"),
        (("mine.yaml", "-o", "x.txt"), "a table on standard output"),
    ],
)
def test_what_cannot_be_followed_is_refused(run: Run, arguments: tuple[str, ...], said: str) -> None:
    """With what can."""
    result = run("summary", *arguments, "--watch")
    assert (result.code, result.out) == (2, "")
    assert said in result.err
