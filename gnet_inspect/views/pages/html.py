"""A table as HTML: what notebooks and reports show."""

from html import escape

from gnet_inspect.errors import printable
from gnet_inspect.views.grid import Grid
from gnet_inspect.views.text import clip

# Colours of a terminal's lines as classes of rows, for a page that has a style for them.
MARKS = {"red": "bad", "yellow": "warn"}


def draw_html(grid: Grid) -> str:
    """One table with its notes above and below; text from strangers is text."""
    parts = [f"<p>{_said(text, bold=index == 0)}</p>" for index, text in enumerate(grid.above)]
    head = "".join(
        f'<th scope="col" style="{_align(column.number)}">{_said(column.title)}</th>' for column in grid.columns
    )
    parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>")
    for line in grid.lines:
        bold = "bold" in line.style
        marked = next((f' class="{name}"' for color, name in MARKS.items() if color in line.style), "")
        cells = "".join(
            f'<td style="{_align(column.number)}">{_said(clip(cell, column.widest), bold)}</td>'
            for column, cell in zip(grid.columns, line.cells, strict=True)
        )
        parts.append(f"<tr{marked}>{cells}</tr>")
    parts.append("</tbody></table>")
    parts += [f"<p>{_said(text)}</p>" for text in grid.below]
    return "".join(parts)


def _align(number: bool) -> str:
    return f"text-align: {'right' if number else 'left'}; white-space: pre"


def _said(text: str, bold: bool = False) -> str:
    said = escape(printable(text))
    return f"<strong>{said}</strong>" if bold else said
