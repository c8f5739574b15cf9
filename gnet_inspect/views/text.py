"""Text from strangers, made safe for where it is drawn; and how wide that is."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gnet_inspect.errors import printable, some_of
from gnet_inspect.units import count, dimensions

if TYPE_CHECKING:
    from gnet_inspect.analysis.summary import Coverage, Totals

_EIGHTHS = " ▏▎▍▌▋▊▉"
# What bars are drawn with where there are no block characters: a cell at least half full is one.
ASCII_BARS = str.maketrans(dict.fromkeys("█▉▊▋▌", "#") | dict.fromkeys("▍▎▏", "."))


def terminal_width() -> int | None:
    """The width to keep to; None where nothing bounds it: a pipe has no width, unless COLUMNS asks for one."""
    if (sys.stdout is not None and sys.stdout.isatty()) or os.environ.get("COLUMNS", "").isdecimal():
        return max(shutil.get_terminal_size().columns, 20)
    return None


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


def bar(part: float, whole: float, cells: int) -> str:
    """A share as a bar of at most so many cells, to an eighth of a cell; nothing is drawn for nothing.

    >>> bar(1, 2, 4), bar(1, 1000, 4), bar(0, 5, 4)
    ('██', '▏', '')
    """
    if not part or not whole:
        return ""
    eighths = max(round(8 * cells * part / whole), 1)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).strip()


def bar_share(drawn: str, cells: int) -> float:
    """What a bar says, which is to an eighth of a cell what it was drawn for.

    >>> bar_share(bar(1, 4, 10), 10)
    0.25
    """
    eighths = 8 * drawn.count("█") + sum(map(_EIGHTHS.find, drawn.replace("█", "")))
    return eighths / 8 / cells


def line_of(text: str, most: int = 160) -> str:
    """Free text as one safe line of a page, of at most so many cells."""
    return clip(printable(text), most)


def headline(title: str, model: str, overrides: Sequence[str]) -> str:
    """The first line above a model's tables: its title, its name and the edits made to it.

    >>> headline("GoogLeNet", "googlenet", ["classes=10"])
    'GoogLeNet - googlenet classes=10'
    """
    name = " ".join([model, *overrides])
    return name if title == model else f"{title} - {name}"


def inputs_text(first: tuple[int, ...], inputs: Mapping[str, tuple[int, ...]]) -> str:
    """What goes in, as it stands above a table: the first input, or `inputs` by name where there are several.

    >>> inputs_text((1, 3, 224, 224), {}), inputs_text((2, 3, 64, 64), {"image": (2, 3, 64, 64), "words": (2, 12)})
    ('input 1x3x224x224', 'inputs image 2x3x64x64, words 2x12')
    """
    if not inputs:
        return f"input {dimensions(first)}"
    return "inputs " + ", ".join(f"{name} {dimensions(shape)}" for name, shape in inputs.items())


def coverage_line(coverage: "Coverage") -> str:
    """How many layers were counted, and which nobody can count."""
    line = f"coverage     {coverage.counted:,} of {coverage.nodes:,} nodes counted"
    return f"{line}; {unknown_names(coverage.unknown)}" if coverage.unknown else line


def at_least(coverage: "Coverage") -> str:
    """What stands before a total where some layer could not be counted."""
    return "at least " if coverage.unknown else ""


def backward_lines(macs: int | None, status: str | None) -> list[str]:
    """What the backward pass takes, by the convention of MACs; nothing where none runs.

    >>> backward_lines(3_165_343_744, "exact")
    ['backward     3,165,343,744 MACs (3.17 G) for gradients, 6.33 G FLOPs']
    """
    if macs is None:
        return []
    least = "at least " if status == "bound" else ""
    return [f"backward     {least}{macs:,} MACs ({count(macs)}) for gradients, {least}{count(2 * macs)} FLOPs"]


def unknown_names(names: Sequence[str]) -> str:
    """The layers that nobody can count, the first of many.

    >>> unknown_names(["a", "b"])
    'nobody can count a, b'
    """
    return f"nobody can count {some_of(names, 8)}"


def field_text(size: tuple[float, ...] | None, status: str | None) -> str:
    """A receptive field as tables write it: "<=" before what may be less; "all" of the input; "?" where nobody knows.

    >>> field_text((59, 59), "exact"), field_text((9, 7), "bound"), field_text((212, 212), "all")
    ('59x59', '<=9x7', 'all')
    """
    if status in ("all", "unknown"):
        return "all" if status == "all" else "?"
    text = "x".join(f"{pixels:g}" for pixels in size or ())
    return f"<={text}" if status == "bound" else text


def field_lines(totals: "Totals", of_output: bool) -> list[str]:
    """What stands below a summary of the network's field; nothing where it has none."""
    status, size, clipped = totals.receptive_field_status, totals.receptive_field, totals.receptive_field_clipped
    if status == "unknown":
        return ["field        unknown: a layer before the output does not say what of its input it sees"]
    if not size or not clipped:
        return []
    field = field_text(size, None if status == "all" else status)
    where = "of the output" if of_output else "before the spatial axes vanish"
    then = "; the output sees the whole image" if status == "all" else ""
    return [f"field        {field} {where} ({field_text(clipped, None)} of it inside the input){then}"]
