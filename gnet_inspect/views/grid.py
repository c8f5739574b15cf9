"""A table as data, and its three drawings: terminal text, Markdown and CSV.

The terminal drawing is laid out here: rows never wrap, columns are dropped in their order of importance when the
terminal is narrow, and a hundred thousand rows take a second. Rich styles the lines where colour is wanted.
"""

from collections.abc import Sequence

from msgspec import Struct

from gnet_inspect.errors import printable
from gnet_inspect.views.text import clip, csv_cell, markdown, width

GAP = "  "
NARROWEST_TEXT = 12
WIDEST_TEXT = 60


class Column(Struct, frozen=True):
    """One column. `keep` is its rank when columns are dropped: the lowest goes first; `exact` heads its CSV column;
    texts longer than `widest` cells are clipped even where there is room, those of a `whole` column never are."""

    exact: str
    title: str
    number: bool = False
    keep: int = 0
    widest: int = WIDEST_TEXT
    whole: bool = False

    @property
    def clips(self) -> bool:
        return not (self.number or self.whole)


class Line(Struct, frozen=True):
    """One row: a text for each column, the exact values for CSV, and how it is styled ("" or a rich style).

    Texts are as they came: each drawing escapes them for where it is drawn.
    """

    cells: tuple[str, ...]
    exact: tuple[object, ...] = ()
    style: str = ""
    rule_above: bool = False


class Grid(Struct, frozen=True):
    """A table with what is said above and below it."""

    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    above: tuple[str, ...] = ()
    below: tuple[str, ...] = ()


def draw_text(grid: Grid, cells: int | None = None) -> list[tuple[str, str]]:
    """(line, style) for a terminal `cells` wide; None is as wide as it takes."""
    texts = [list(column) for column in zip(*(line.cells for line in grid.lines), strict=True)] or [[]] * len(
        grid.columns
    )
    widths = [
        max(map(width, map(printable, {column.title, *items})))
        if not column.clips
        else min(max(map(width, map(printable, {column.title, *items}))), column.widest)
        for column, items in zip(grid.columns, texts, strict=True)
    ]
    kept = list(range(len(grid.columns)))
    if cells is not None:
        kept = _fitting(grid.columns, widths, cells)
    drawn = [(_wrapped(text, cells), "bold" if index == 0 else "") for index, text in enumerate(grid.above)]
    columns = [
        _padded([grid.columns[index].title, *texts[index]], widths[index], grid.columns[index].number) for index in kept
    ]
    head, *rows = (GAP.join(parts).rstrip() for parts in zip(*columns, strict=True))
    rule = "-" * (sum(widths[index] for index in kept) + len(GAP) * (len(kept) - 1))
    if drawn:
        drawn.append(("", ""))
    drawn += [(head, "bold"), (rule, "dim")]
    for row, line in zip(rows, grid.lines, strict=True):
        if line.rule_above:
            drawn.append((rule, "dim"))
        drawn.append((row, line.style))
    if grid.below:
        drawn.append(("", ""))
    drawn += [(_wrapped(text, cells), "") for text in grid.below]
    return drawn


def _padded(texts: list[str], size: int, number: bool) -> list[str]:
    """One column's texts, clipped and filled to its width; equal texts are worked out once."""
    padded = {}
    for text in dict.fromkeys(texts):
        shown = clip(printable(text), size)
        padding = " " * (size - width(shown))
        padded[text] = padding + shown if number else shown + padding
    return [padded[text] for text in texts]


def _wrapped(text: str, cells: int | None) -> str:
    """Prose above and below the table may break at spaces; rows never do."""
    text = printable(text)
    if cells is None or width(text) <= cells:
        return text
    from textwrap import wrap

    return "\n".join(wrap(text, cells, subsequent_indent="  ", break_on_hyphens=False))


def _fitting(columns: Sequence[Column], widths: list[int], cells: int) -> list[int]:
    """The indices of the columns that fit, after text columns gave way; `widths` is narrowed in place."""
    kept = list(range(len(columns)))

    def excess() -> int:
        return sum(widths[index] for index in kept) + len(GAP) * (len(kept) - 1) - cells

    droppable = sorted((index for index in kept if columns[index].keep), key=lambda index: columns[index].keep)
    while excess() > 0 and droppable:
        # A little clipping of long texts is better than the loss of a column, much of it is not.
        slack = sum(max(widths[index] - 28, 0) for index in kept if columns[index].clips)
        if slack >= excess():
            break
        kept.remove(droppable.pop(0))
    for floor in (28, NARROWEST_TEXT):
        for index in reversed(kept):
            if columns[index].clips and excess() > 0:
                widths[index] = max(min(widths[index], floor), widths[index] - excess())
    return kept


def draw_markdown(grid: Grid) -> str:
    """A GitHub-flavoured Markdown table, its notes above and below as paragraphs."""
    lines = [markdown(text) for text in grid.above]
    if lines:
        lines[0] = f"**{lines[0]}**"
    lines = [item for line in lines for item in (line, "")]
    lines.append("| " + " | ".join(column.title for column in grid.columns) + " |")
    lines.append("|" + "|".join(" ---: " if column.number else " --- " for column in grid.columns) + "|")
    for line in grid.lines:
        bold = "**" if "bold" in line.style else ""
        cells = [
            f"{_indented(cell)}{bold}{markdown(cell.strip())}{bold}" if cell.strip() else "" for cell in line.cells
        ]
        lines.append("| " + " | ".join(cells) + " |")
    for text in grid.below:
        lines += ["", markdown(text)]
    return "\n".join(lines) + "\n"


def _indented(cell: str) -> str:
    """A cell's indentation, which Markdown would drop."""
    return "&emsp;" * ((len(cell) - len(cell.lstrip(" "))) // 2)


def draw_csv(grid: Grid) -> str:
    """RFC 4180 but for the line ends, plain newlines: exact values, one header row, nothing else."""
    import csv
    import io

    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([column.exact for column in grid.columns])
    for line in grid.lines:
        writer.writerow([csv_cell(value) if isinstance(value, str) else value for value in line.exact])
    return buffer.getvalue()
