"""Ten people who try the command line for the first time, each on a real terminal: nobody ends in a dead end.

A file of tests/dialogues is a dialogue. `$` is what somebody types, `>` what they type because the answer before says
so; below it stands "exit N" where that is not 0, and words that are on the screen then. What fails names what can be
typed next, and that works.
"""

import fcntl
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.terminals import environment_of, printed_on

pyte = pytest.importorskip("pyte", reason="screens are drawn by pyte, a terminal emulator: pip install pyte")

if sys.platform == "win32":
    pytest.skip("there are no pseudo-terminals", allow_module_level=True)

DIALOGUES = sorted((Path(__file__).parent / "dialogues").glob("*.txt"))
# The ground of a terminal, as it says it itself: foreground and background by number.
GROUNDS = {"light": "0;15", "dark": "15;0"}
WIDTHS = (80, 200)
# Nothing is longer; and wide enough to show a line whole that the terminal would have to wrap.
LINES, WIDEST = 20_000, 1_600


class Step(NamedTuple):
    """What is typed, whether the answer before named it, and what comes of it."""

    line: str
    named: bool
    code: int
    words: list[str]


class Screen(NamedTuple):
    """What a terminal shows of a command, and how it ended."""

    code: int
    lines: list[str]
    colors: set[tuple[str, str]]


def steps(text: str) -> Iterator[Step]:
    """The steps of a dialogue."""
    for part in re.split(r"^(?=[$>] )", text, flags=re.MULTILINE)[1:]:
        typed, *words = part.strip().splitlines()
        code = int(words.pop(0).split()[1]) if words and re.fullmatch(r"exit \d+", words[0]) else 0
        yield Step(typed[2:], typed.startswith(">"), code, words)


def on_screen(line: str, width: int, ground: str, folder: Path) -> Screen:
    """Run a line in a terminal of a width."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    environment = environment_of(COLORFGBG=GROUNDS[ground], LANG="C.UTF-8")
    command = [sys.executable, "-m", *shlex.split(line.replace("gnet-inspect", "gnet_inspect", 1))]
    with subprocess.Popen(command, stdin=child, stdout=child, stderr=child, env=environment, cwd=folder) as process:
        os.close(child)
        screen = pyte.Screen(WIDEST, LINES)
        stream = pyte.ByteStream(screen)
        for data in printed_on(parent):
            stream.feed(data)
    # Of so large a screen the cells that were written, and no others.
    rows = [screen.buffer[index] for index in range(screen.cursor.y + 1)]
    lines = ["".join(row[column].data for column in range(max(row, default=-1) + 1)).rstrip() for row in rows]
    colors = {(char.fg, char.bg) for row in rows for char in row.values() if char.data.strip()}
    return Screen(process.returncode, lines, colors)


def check_drawn(screen: Screen, width: int) -> None:
    """Nothing that is no text, no row that the terminal has to wrap, and colours that any ground shows."""
    text = "\n".join(screen.lines)
    assert "Traceback" not in text
    assert "a defect of gnet-inspect" not in text
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]|\[\d+(;\d+)*[mKJHA]", text)
    assert len(screen.lines) < LINES
    # A sentence of what is wrong is one line, which the terminal wraps as it likes; so are JSON, CSV and Markdown.
    is_table = any(re.fullmatch(r"-{8,}( -+)*", line) for line in screen.lines)
    if screen.code == 0 and is_table:
        wide = [line for line in screen.lines if len(line) > width]
        assert not wide
    assert {background for _, background in screen.colors} <= {"default"}
    assert not {foreground for foreground, _ in screen.colors} & {"white", "black", "brightwhite", "brightblack"}


def test_the_dialogues_are_ten() -> None:
    """Each begins with who it is, and what fails in it is answered by what can be typed next."""
    assert len(DIALOGUES) == 10
    for path in DIALOGUES:
        found = list(steps(path.read_text()))
        assert len(found) >= 5
        for step, after in zip(found, [*found[1:], None], strict=True):
            assert not (step.code and step.named), f"{path.name}: {step.line} was named, and has to work"
            assert not step.code or (after and after.named), f"{path.name}: {step.line} is a dead end"


# A narrow terminal is the one that rows do not fit into; of a wide one every third dialogue.
NARROW, WIDE = zip(WIDTHS, GROUNDS, strict=True)


@pytest.mark.parametrize(
    ("path", "width", "ground"),
    [(path, *NARROW) for path in DIALOGUES] + [(path, *WIDE) for path in DIALOGUES[::3]],
    ids=lambda value: value.stem if isinstance(value, Path) else str(value),
)
def test_nobody_ends_in_a_dead_end(path: Path, width: int, ground: str, tmp_path: Path) -> None:
    """Each step ends as it is written, shows its words, and names what is typed next."""
    before: list[str] = []
    for step in steps(path.read_text()):
        if step.named:
            # Behind what failed, or behind what the step before offered with it.
            assert any(step.line in line for line in before), f"{step.line} is not on the screen"
        screen = on_screen(step.line, width, ground, tmp_path)
        shown = "\n".join(screen.lines)
        assert screen.code == step.code, f"{step.line}: {shown}"
        check_drawn(screen, width)
        for words in step.words:
            assert words in shown, f"{step.line}: {shown}"
        before = before + screen.lines if step.named else screen.lines


@pytest.mark.parametrize("line", ["gnet-inspect summary googlenet", "gnet-inspect compare vgg16 vgg19 --diff"])
def test_a_ground_changes_nothing(line: str, tmp_path: Path) -> None:
    """Colours are those that either shows, whichever it is: so each dialogue needs one of them."""
    one, other = (on_screen(line, 80, ground, tmp_path) for ground in GROUNDS)
    assert one == other


def test_these_checks_can_fail() -> None:
    """Of a row that is too long, an escape that shows, a background, a traceback."""
    rule = "-" * 20
    for lines, colors in (
        ([rule, "x" * 81], set()),
        (["\x1b"], set()),
        (["a [31mred[0m word"], set()),
        (["Traceback (most recent call last)"], set()),
        (["a"], {("default", "blue")}),
        (["a"], {("white", "default")}),
    ):
        with pytest.raises(AssertionError):
            check_drawn(Screen(0, lines, colors), 80)
    check_drawn(Screen(0, [rule, "x" * 80], {("default", "default"), ("red", "default")}), 80)
    assert [step[:3] for step in steps("who\n\n$ a b\nexit 2\nx\n> c\n")] == [("a b", False, 2), ("c", True, 0)]
