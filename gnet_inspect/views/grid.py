"""A table as data, and its four drawings: terminal text, Markdown, LaTeX and CSV.

The terminal drawing is laid out here: rows do not wrap (but for columns that must lose nothing), columns are dropped in
their order of importance when the terminal is narrow, and a hundred thousand rows take a second. It says which parts of
a line have which style; the command line knows what colour that is.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import NamedTuple, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from gnet_inspect.errors import UsageError, nearest, printable, show
from gnet_inspect.views.text import bar, bar_share, clip, csv_cell, markdown, width

GAP = "  "
# What a column of text is narrowed to, one step after the other; then the line is cut. Rather than that others are
# dropped, one that is clipped takes the first step, and one that wraps, and loses nothing, the second.
TEXT_FLOORS = (28, 20, 12, 4)
WIDEST_TEXT = 60
# A bar behind a share: a cell is a tenth.
BAR_CELLS = 10
# Bars are dropped before any column, that of the least share first.
BARS_BEFORE = 100
# From which share of its whole on a bar is of which heat.
HEAT_STEPS = (0.05, 0.15, 0.3)


class Column(Struct, frozen=True):
    """One column. `keep` is its rank when columns are dropped: the lowest goes first, 0 never, and what is below 0
    before any text is narrowed; `exact` heads its CSV column; texts longer than `widest` cells are clipped even where
    there is room, those of a `whole` column never are, and those of one that `wraps` go on in the next line. `bar` is
    how many cells the whole would take, where its texts are bars; `text_only` is drawn in text alone."""

    exact: str
    title: str
    number: bool = False
    keep: int = 0
    widest: int = WIDEST_TEXT
    whole: bool = False
    wraps: bool = False
    bar: int = 0
    text_only: bool = False

    @property
    def clips(self) -> bool:
        """Whether a terminal may give it less than its texts take."""
        return not (self.number or self.whole or self.bar)


class Line(Struct, frozen=True):
    """One row: a text for each column, the exact values for CSV, and its style: words of `STYLES`, such as "bold red".

    Texts are as they came: each drawing escapes them for where it is drawn.
    """

    cells: tuple[str, ...]
    exact: tuple[object, ...] = ()
    style: str = ""
    rule_above: bool = False


class Grid(Struct, frozen=True):
    """A table with what is said above and below it; `ways` are the flags that show columns which had no room."""

    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    above: tuple[str, ...] = ()
    below: tuple[str, ...] = ()
    ways: tuple[str, ...] = ()


class Span(NamedTuple):
    """A part of a drawn line, from one character up to another, and its style."""

    start: int
    end: int
    style: str


# The words that styles of lines and of parts of them are made of.
STYLES = ("bold", "dim", "red", "green", "yellow", *(f"heat{step}" for step in range(len(HEAT_STEPS) + 1)))
Drawn = tuple[str, tuple[Span, ...]]
Item = TypeVar("Item")


def check_columns(flag: str, names: Iterable[str], columns: Iterable[Column]) -> None:
    """Raise UsageError for a column there is not; who calls it by its title is told its name."""
    titles = {column.exact: column.title.lower() for column in columns}
    for name in names:
        if name not in titles:
            near = [exact for exact, title in titles.items() if title == name.lower()]
            mend = nearest(near[0] if near else name, titles)
            raise UsageError(f"{flag}: expected a column, got {show(name)}. ({mend})")


def picked(grid: Grid, names: Sequence[str]) -> Grid:
    """A table with the columns of these names alone, in their order; all where none are named."""
    if not names:
        return grid
    places = {column.exact: index for index, column in enumerate(grid.columns)}
    chosen = [places[name] for name in names]
    lines = tuple(replace(line, cells=_of(line.cells, chosen), exact=_of(line.exact, chosen)) for line in grid.lines)
    return replace(grid, columns=_of(grid.columns, chosen), lines=lines)


def _of(items: tuple[Item, ...], chosen: Sequence[int]) -> tuple[Item, ...]:
    """The items at some places, of a row that has any."""
    return tuple(items[index] for index in chosen) if items else ()


def beyond_text(grid: Grid) -> Grid:
    """The table as all but text shows it."""
    chosen = [index for index, column in enumerate(grid.columns) if not column.text_only]
    if len(chosen) == len(grid.columns):
        return grid
    lines = tuple(replace(line, cells=_of(line.cells, chosen)) for line in grid.lines)
    return replace(grid, columns=_of(grid.columns, chosen), lines=lines)


def bar_column(column: Column) -> Column:
    """The column of bars behind a column of shares, for who reads text."""
    return Column(f"{column.exact}_bar", "", keep=column.keep - BARS_BEFORE, bar=BAR_CELLS, text_only=True)


def share_bar(part: float | None, whole: float) -> str:
    """The text of a bar behind a share; nothing of what is not known."""
    return bar(part or 0, whole, BAR_CELLS)


def draw_text(grid: Grid, cells: int | None = None, ways: Sequence[str] | None = None) -> list[Drawn]:
    """The lines for a terminal `cells` wide, with their styles; None is as wide as it takes. `ways` are what shows
    columns that have no room, in the place of the grid's own."""
    texts = [list(column) for column in zip(*(line.cells for line in grid.lines), strict=True)] or [[]] * len(
        grid.columns
    )
    widths = [_natural(column, items) for column, items in zip(grid.columns, texts, strict=True)]
    kept = list(range(len(grid.columns)))
    if cells is not None:
        kept = _fitting(grid.columns, widths, cells)
    drawn = [_styled(_wrapped(text, cells), "bold" if index == 0 else "") for index, text in enumerate(grid.above)]
    if drawn:
        drawn.append(_styled(""))
    size = sum(widths[index] for index in kept) + len(GAP) * (len(kept) - 1)
    rows = _Rows([grid.columns[index] for index in kept], [widths[index] for index in kept], cells)
    rule = _styled("-" * min(size, cells or size), "dim")
    columns = [rows.laid(place, [grid.columns[index].title, *texts[index]]) for place, index in enumerate(kept)]
    head, *parts = zip(*columns, strict=True)
    drawn += [*rows.draw(head, "bold"), rule]
    for row, line in zip(parts, grid.lines, strict=True):
        if line.rule_above:
            drawn.append(rule)
        drawn += rows.draw(row, line.style)
    hidden = [column.exact for index, column in enumerate(grid.columns) if index not in kept and not column.bar]
    if hidden:
        drawn.append(_styled(_wrapped(_hidden(hidden, grid.ways if ways is None else ways), cells), "dim"))
    if grid.below:
        drawn.append(_styled(""))
    return [*drawn, *(_styled(_wrapped(text, cells)) for text in grid.below)]


def _hidden(names: Sequence[str], ways: Sequence[str]) -> str:
    """Which columns a narrow terminal has no room for, and what shows them."""
    *others, last = (*ways, "a wider terminal", "a pipe")
    return f"hidden: {', '.join(names)} (to see them: {', '.join(others)} or {last})"


def _natural(column: Column, items: Sequence[str]) -> int:
    """The cells that a column takes where there is room."""
    longest = max(map(width, map(printable, {column.title, *items})))
    return min(longest, column.widest) if column.clips else longest


def _styled(text: str, style: str = "") -> Drawn:
    return text, (Span(0, len(text), style),) if style and text else ()


class _Rows:
    """Draws rows of columns that are so wide: of a hundred thousand of them, most are one line without wide letters."""

    def __init__(self, columns: Sequence[Column], widths: Sequence[int], cells: int | None) -> None:
        self._columns, self._widths = columns, widths
        # Where all columns fit, each line does.
        size = sum(widths) + len(GAP) * (len(widths) - 1)
        self._cut = cells if cells is not None and size > cells else None
        # The style of each bar that was drawn, by its place and its text as it is filled.
        self._bars: dict[int, dict[str, tuple[int, str]]] = {
            place: {} for place, column in enumerate(columns) if column.bar
        }

    def laid(self, place: int, texts: Sequence[str]) -> list[str]:
        """One column's texts, filled to its width, with a line break where they go on; equal ones are filled once."""
        column, size = self._columns[place], self._widths[place]
        laid = {}
        for text in dict.fromkeys(texts):
            lines = _lines_of(column, printable(text), size)
            laid[text] = "\n".join(_filled(line, size, column.number) for line in lines)
            if column.bar and text:
                self._bars[place][laid[text]] = len(text), heat(bar_share(text, column.bar))
        return [laid[text] for text in texts]

    def draw(self, parts: Sequence[str], style: str) -> list[Drawn]:
        """The lines of one row: one, but where a column goes on."""
        text = GAP.join(parts)
        if "\n" not in text:
            return [self._line(parts, text, style)]
        blanks = [" " * size for size in self._widths]
        rows = zip_longest(*(part.split("\n") for part in parts))
        lines = ([part or blank for part, blank in zip(row, blanks, strict=True)] for row in rows)
        return [self._line(line, GAP.join(line), style) for line in lines]

    def _line(self, parts: Sequence[str], text: str, style: str) -> Drawn:
        text = text.rstrip() if self._cut is None else clip(text.rstrip(), self._cut)
        spans = [Span(0, len(text), style)] if style else []
        for place, found in self._bars.items():
            if bar := found.get(parts[place]):
                start = sum(map(len, parts[:place])) + len(GAP) * place
                spans.append(Span(start, start + bar[0], bar[1]))
        return text, tuple(spans)


def _lines_of(column: Column, text: str, size: int) -> tuple[str, ...]:
    if not column.wraps or width(text) <= size:
        return (clip(text, size),)
    return _broken(text, size, " " * min(_indentation(text), size // 2))


def _filled(text: str, size: int, number: bool) -> str:
    padding = " " * (size - width(text))
    return padding + text if number else text + padding


def heat(share: float) -> str:
    """The style of a bar that is so much of its whole.

    >>> heat(0.01), heat(0.5)
    ('heat0', 'heat3')
    """
    return f"heat{sum(share >= step for step in HEAT_STEPS)}"


def _broken(text: str, cells: int, indent: str) -> tuple[str, ...]:
    """A text in lines of at most so many cells, broken at spaces where there are some; `indent` is that of the later
    lines."""
    lines, line = [], ""
    for word in re.findall(r" *[^ ]+", text):
        left = word
        if line.strip() and width(line + left) > cells:
            lines.append(line)
            line, left = indent, left.lstrip(" ")
        # A word that is longer than a line is broken where the line ends.
        while width(line + left) > cells:
            fitting = _fitting_part(left, cells - width(line))
            lines.append(line + fitting)
            line, left = indent, left[len(fitting) :]
        line += left
    return (*lines, line)


def _fitting_part(word: str, cells: int) -> str:
    """As many letters of a word as fit, but one at least."""
    kept = word[:cells]
    while len(kept) > 1 and width(kept) > cells:
        kept = kept[:-1]
    return kept or word[:1]


def _wrapped(text: str, cells: int | None) -> str:
    """Prose above and below the table may break at spaces."""
    text = printable(text)
    return text if cells is None or width(text) <= cells else "\n".join(_broken(text, cells, GAP))


def _fitting(columns: Sequence[Column], widths: list[int], cells: int) -> list[int]:
    """The indices of the columns that fit, after text columns gave way; `widths` is narrowed in place."""
    kept = list(range(len(columns)))

    def excess() -> int:
        return sum(widths[index] for index in kept) + len(GAP) * (len(kept) - 1) - cells

    droppable = sorted((index for index in kept if columns[index].keep), key=lambda index: columns[index].keep)
    # One column stays, however narrow the terminal is: its lines are clipped.
    while excess() > 0 and droppable and len(kept) > 1:
        # A little clipping of long texts is better than the loss of a column, much of it is not.
        texts = (index for index in kept if columns[index].clips)
        slack = sum(max(widths[index] - TEXT_FLOORS[columns[index].wraps], 0) for index in texts)
        if slack >= excess() and columns[droppable[0]].keep > 0:
            break
        kept.remove(droppable.pop(0))
    for floor in TEXT_FLOORS:
        for index in reversed(kept):
            if columns[index].clips and excess() > 0:
                widths[index] = max(min(widths[index], floor), widths[index] - excess())
    return kept


def draw_markdown(grid: Grid) -> str:
    """A GitHub-flavoured Markdown table, its notes above and below as paragraphs."""
    grid = beyond_text(grid)
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
    return "&emsp;" * (_indentation(cell) // 2)


def _indentation(text: str) -> int:
    return len(text) - len(text.lstrip(" "))


def draw_latex(grid: Grid) -> str:
    """A tabular of booktabs, to input into a table of a paper, in plain ASCII.

    What stands above it are comments, escaped, for a caption of the paper's own; its notes are below, in small letters.
    """
    grid = beyond_text(grid)
    lines = [f"% {_in_tex(text)}" for text in grid.above]
    lines.append(r"% \usepackage{booktabs}")
    lines.append(rf"\begin{{tabular}}{{{''.join('r' if column.number else 'l' for column in grid.columns)}}}")
    lines += [r"\toprule", _latex_row(grid.columns, [column.title for column in grid.columns]), r"\midrule"]
    for line in grid.lines:
        lines += [r"\midrule"] if line.rule_above else []
        lines.append(_latex_row(grid.columns, line.cells, bold="bold" in line.style))
    lines += [r"\bottomrule", r"\end{tabular}"]
    if grid.below:
        notes = "\\\\\n".join(_after_break(_in_tex(text)) for text in grid.below)
        lines += ["", rf"\par\smallskip{{\footnotesize\raggedright\noindent {notes}\par}}"]
    return "\n".join(lines) + "\n"


def _latex_row(columns: Sequence[Column], texts: Sequence[str], *, bold: bool = False) -> str:
    cells = []
    for text, column in zip(texts, columns, strict=True):
        bare = text.strip(" ")
        # A sign is no hyphen.
        signed = bare == "-" or (column.number and bare[:1] == "-")
        shown = f"$-${_in_tex(bare[1:])}" if signed else _in_tex(bare)
        indent = r"\quad " * (_indentation(text) // 2)
        cells.append(indent + (rf"\textbf{{{shown}}}" if bold and shown else shown))
    return _after_break(" & ".join(cells)) + r" \\"


def _in_tex(text: str) -> str:
    from gnet_inspect.views.tex import in_tex

    return in_tex(" ".join(printable(text).split()).replace("->", "\N{RIGHTWARDS ARROW}"))


def _after_break(text: str) -> str:
    """What stands behind a break, for which these would be arguments."""
    return f"{{}}{text}" if text[:1] in ("[", "*") else text


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
