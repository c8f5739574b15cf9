"""Text from strangers, made safe for where it is drawn."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gnet_inspect.errors import printable, some_of

if TYPE_CHECKING:
    from gnet_inspect.analysis.summary import Coverage

# What bars are drawn with where there are no block characters: a cell at least half full is one.
ASCII_BARS = str.maketrans(dict.fromkeys("█▉▊▋▌", "#") | dict.fromkeys("▍▎▏", "."))


def markdown(text: str) -> str:
    """Text as itself inside a Markdown table's cell."""
    escaped = printable(text).replace("\\", "\\\\")
    for character in "|`*_<>[]#~$":
        escaped = escaped.replace(character, "\\" + character)
    return escaped.replace("&", "&amp;")


def csv_cell(text: str) -> str:
    """Text as itself in a spreadsheet: what would start a formula is quoted with an apostrophe."""
    shown = printable(text)
    return "'" + shown if shown[:1] in ("=", "+", "-", "@") else shown


def width(text: str) -> int:
    """The number of terminal cells a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def clip(text: str, cells: int) -> str:
    """A text of at most so many cells; what is cut off is marked with "..."."""
    if width(text) <= cells:
        return text
    kept = text[: max(cells - 3, 0)]
    while kept and width(kept) > cells - 3:
        kept = kept[:-1]
    return (kept + "...")[:cells]


def headline(title: str, model: str, overrides: Sequence[str]) -> str:
    """The first line above a model's tables: its title, its name and the edits made to it.

    >>> headline("GoogLeNet", "googlenet", ["classes=10"])
    'GoogLeNet - googlenet classes=10'
    """
    name = " ".join([model, *overrides])
    return name if title == model else f"{title} - {name}"


def coverage_line(coverage: "Coverage") -> str:
    """How many layers were counted, and which nobody can count."""
    line = f"coverage     {coverage.counted:,} of {coverage.nodes:,} nodes counted"
    return f"{line}; {unknown_names(coverage.unknown)}" if coverage.unknown else line


def unknown_names(names: Sequence[str]) -> str:
    """The layers that nobody can count, the first of many.

    >>> unknown_names(["a", "b"])
    'nobody can count a, b'
    """
    return f"nobody can count {some_of(names, 8)}"
