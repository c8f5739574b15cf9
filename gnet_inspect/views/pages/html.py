"""A table as HTML: what notebooks and reports show."""

import re
from collections.abc import Collection, Sequence
from html import escape

from gnet_inspect.errors import printable
from gnet_inspect.views.grid import Column, Grid, Line, beyond_text
from gnet_inspect.views.text import clip

# Colours of a terminal's lines as classes of rows, for a page that has a style for them.
MARKS = {"red": "bad", "yellow": "warn"}

# A notebook keeps what its cells show: of a longer table the cell has so many rows, and the total.
MOST_ROWS = 2_000
# A cell has the page's colours, and as many styles as it needs to look alike in every notebook.
TABLE = "border-collapse: collapse; margin: 0.6em 0; width: auto"
PADDING = "padding: 0.15em 0.5em"
RULE = "border-top: 1px solid"
NOTE = "margin: 0.15em 0"
# A longer text takes several lines there rather than the place of what stands beside it.
LONG = 32
WRAPPED = "white-space: pre-wrap; min-width: 14em; max-width: 19em"
# A note with a name in front is lined up with its neighbours, as in a terminal.
NAMED = re.compile(r"[A-Za-z][^ ]*(?: [^ ]+)? {2,}")


def draw_html(grid: Grid) -> str:
    """One table with its notes above and below; text from strangers is text."""
    grid = beyond_text(grid)
    parts = [f"<p>{_said(text, bold=index == 0)}</p>" for index, text in enumerate(grid.above)]
    parts.append(f"<table><thead><tr>{_head(grid.columns)}</tr></thead><tbody>")
    parts += [f"<tr{_marked(line)}>{_cells(grid.columns, line)}</tr>" for line in grid.lines]
    parts.append("</tbody></table>")
    parts += [f"<p>{_said(text)}</p>" for text in grid.below]
    return "".join(parts)


def draw_cell(*grids: Grid) -> str:
    """Tables as the cell of a notebook shows them: each scrolls sideways by itself, and has a bounded height."""
    return "".join(f'<div style="margin-bottom: 1.2em">{_in_cell(grid)}</div>' for grid in grids)


def _in_cell(grid: Grid) -> str:
    grid = beyond_text(grid)
    columns, lines = grid.columns, grid.lines
    parts = [_note(text, (), bold=index == 0) for index, text in enumerate(grid.above)]
    parts.append('<div style="overflow-x: auto">')
    parts.append(f'<table style="{TABLE}"><thead><tr>{_head(columns, PADDING)}</tr></thead><tbody>')
    shown, last = lines, lines[:0]
    if len(lines) > MOST_ROWS:
        # The total stays, which ends a table that has one.
        last = lines[-1:] if lines[-1].rule_above else ()
        shown = lines[: MOST_ROWS - len(last)]
    parts += [_row(columns, line, index == 0) for index, line in enumerate(shown)]
    left = len(lines) - len(shown) - len(last)
    if left:
        said = f"({left:,} more rows, which a notebook does not show; --format csv has them all)"
        parts.append(f'<tr><td colspan="{len(columns)}" style="{_align(False)}; {PADDING}">{said}</td></tr>')
    parts += [_row(columns, line) for line in last]
    parts.append("</tbody></table></div>")
    indents = {named.end() for named in map(NAMED.match, grid.below) if named}
    parts += [_note(text, indents) for text in grid.below]
    return "".join(parts)


def _row(columns: Sequence[Column], line: Line, first: bool = False) -> str:
    rule = f"; {RULE}" if line.rule_above or first else ""
    return f"<tr{_marked(line)}>{_cells(columns, line, PADDING + rule, wraps=True)}</tr>"


def _note(text: str, indents: Collection[int], bold: bool = False) -> str:
    """A note; one whose name fills the place of names is lined up with the others, too."""
    name, lined_up = text.partition(" ")[0], ""
    named = NAMED.match(text) if indents else None
    indent = named.end() if named else len(name) + 1
    if indent in indents:
        lined_up = (
            f"; white-space: pre-wrap; font-family: monospace; padding-left: {indent}ch; text-indent: -{indent}ch"
        )
    return f'<p style="{NOTE}{lined_up}">{_said(text, bold)}</p>'


def _head(columns: Sequence[Column], more: str = "") -> str:
    return "".join(
        f'<th scope="col" style="{_align(column.number, more)}">{_said(column.title)}</th>' for column in columns
    )


def _cells(columns: Sequence[Column], line: Line, more: str = "", wraps: bool = False) -> str:
    bold = "bold" in line.style
    return "".join(
        f'<td style="{_align(column.number, more, wraps and column.clips and len(cell) > LONG)}">'
        f"{_said(clip(cell, column.widest), bold)}</td>"
        for column, cell in zip(columns, line.cells, strict=True)
    )


def _marked(line: Line) -> str:
    return next((f' class="{name}"' for color, name in MARKS.items() if color in line.style), "")


def _align(number: bool, more: str = "", wraps: bool = False) -> str:
    spaces = WRAPPED if wraps else "white-space: pre"
    return f"text-align: {'right' if number else 'left'}; {spaces}" + (f"; {more}" if more else "")


def _said(text: str, bold: bool = False) -> str:
    said = escape(printable(text))
    return f"<strong>{said}</strong>" if bold else said
