"""How large a design space is answered here: a million networks, the front of 8^54, and what is exact in a minute."""

import sys
import tempfile
from collections.abc import Iterator, Mapping
from json import loads
from pathlib import Path

from benchmarks.measure import Ratio, milliseconds, run_once

# The widths of GoogLeNet's nine blocks.
WIDTHS: Mapping[str, tuple[int, ...]] = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
ARGUMENTS = ("c1", "c2.0", "c2.1", "c3.0", "c3.1", "c4")
MILLION = 1_000_000
QUESTION = ("--minimize", "macs", "--maximize", "params")
# Of the front of 8^54: no network is better by more than this part.
GAP = 0.01


def measure() -> list[Ratio]:
    """Seconds of whole commands, beside what they may take."""
    found = []
    wide = _varied(WIDTHS, 8, 8)
    drawn = run_once(_command(*wide, *QUESTION, "--sample", str(MILLION)))
    found.append(_budget("a million GoogLeNets counted", drawn.seconds, 4))
    with tempfile.TemporaryDirectory() as folder:
        kept = run_once(_command(*wide, *QUESTION, "--sample", str(MILLION), "-o", str(Path(folder, "rows.db"))))
        found.append(_budget("the same, a row of a file for each", kept.seconds, 10))
        front = Path(folder, "front.json")
        proved = run_once(_command(*wide, *QUESTION, "--format", "json", "-o", str(front)))
        answer = loads(front.read_text())
        found.append(_budget("the front of 8^54 networks, proved to 1 %", proved.seconds, 30))
        gaps = [network["gap"] for network in answer["front"]]
        proven = f"{100 * answer['gap']:.2f} %"
        found.append(
            Ratio(
                "the largest gap of its networks / what was proven",
                f"{100 * max(gaps):.2f} %",
                proven,
                max(gaps) / GAP,
                "at most",
                1,
            )
        )
        exact = Path(folder, "exact.json")
        some = {block: WIDTHS[block] for block in WIDTHS if block[0] != "5"}
        whole = run_once(_command(*_varied(some, 3, 32), *QUESTION, "--gap", "0", "--format", "json", "-o", str(exact)))
        assert loads(exact.read_text())["exact"]
        found.append(_budget("the exact front of 3^42 networks", whole.seconds, 60))
    return found


def _varied(blocks: Mapping[str, tuple[int, ...]], number: int, step: int) -> list[str]:
    """So many values of each width, from 32 below it on, and not under 8."""
    return [part for item in _items(blocks, number, step) for part in ("--vary", item)]


def _items(blocks: Mapping[str, tuple[int, ...]], number: int, step: int) -> Iterator[str]:
    for block, widths in blocks.items():
        for argument, width in zip(ARGUMENTS, widths, strict=True):
            first = max(8, width - 32)
            yield f"inception{block}.{argument}={first}:{first + step * (number - 1)}:{step}"


def _command(*more: str) -> list[str]:
    return [sys.executable, "-m", "gnet_inspect", "sweep", "googlenet", *more]


def _budget(what: str, taken: float, most: float) -> Ratio:
    return Ratio(what, milliseconds(taken), milliseconds(most), taken / most, "at most", 1)
