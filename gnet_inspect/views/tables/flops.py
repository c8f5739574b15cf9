"""FlopCounts -> the table of kinds, one column for each tool, with what makes the columns differ below it."""

from gnet_inspect.analysis.conventions import CONVENTIONS, FlopCounts, FlopTotals, KindFlops
from gnet_inspect.views.grid import Column, Grid, Line
from gnet_inspect.views.text import backward_lines, coverage_line, headline, inputs_text

UNITS = (
    "each column as its tool prints it for the built module: torch counts 2 for each multiply-accumulate, all others 1 "
    "(fvcore says FLOPs, torchinfo mult-adds, ptflops and thop MACs)"
)
# The lowest is dropped first where the terminal is narrow; what is left out stands below the table all the same.
KEEP = {"torch": 3, "fvcore": 7, "torchinfo": 6, "ptflops_pytorch": 5, "ptflops_aten": 1, "thop": 4}
COLUMNS = (
    Column("kind", "kind"),
    Column("count", "layers", number=True, keep=2),
    Column("macs", "MACs", number=True),
    *(Column(tool.key, tool.name, number=True, keep=KEEP[tool.key]) for tool in CONVENTIONS),
)
WAYS = ("--columns", "--format csv")
NUMBERS = tuple(column.exact for column in COLUMNS[1:])


def flops_grid(counts: FlopCounts) -> Grid:
    """The table for a terminal or for Markdown: exact integers, for they are what is compared."""
    lines = [Line((row.kind, *_texts(row))) for row in counts.kinds]
    lines.append(Line(("total", *_texts(counts.totals)), style="bold", rule_above=True))
    above = (
        headline(counts.title, counts.model, counts.overrides),
        f"{inputs_text(counts.input, counts.inputs)} (batch {counts.input[0]}), {counts.mode} mode",
        UNITS,
    )
    return Grid(COLUMNS, tuple(lines), above, (*_explanations(counts), *counts.notes, *_last_lines(counts)), WAYS)


def flops_rows(counts: FlopCounts) -> Grid:
    """The same for CSV: kinds alone, so that every column can be summed."""
    lines = [Line((), (row.kind, *(getattr(row, name) for name in NUMBERS))) for row in counts.kinds]
    return Grid(COLUMNS, tuple(lines))


def _last_lines(counts: FlopCounts) -> list[str]:
    backward = backward_lines(counts.backward_macs, counts.backward_status)
    return [*backward, coverage_line(counts.coverage)]


def _texts(row: KindFlops | FlopTotals) -> list[str]:
    """The numbers of a row; what nobody can count is not zero."""
    values = (getattr(row, name) for name in NUMBERS)
    return ["?" if value is None else f"{value:,}" for value in values]


def _explanations(counts: FlopCounts) -> list[str]:
    """An equation for each tool whose total is not MACs."""
    width = max(len(tool.name) for tool in CONVENTIONS)
    lines = []
    for tool in CONVENTIONS:
        terms = [item for item in counts.differences if item.tool == tool.key]
        if terms:
            reasons = "".join(f" {'-' if item.amount < 0 else '+'} {abs(item.amount):,} ({item.why})" for item in terms)
            total = getattr(counts.totals, tool.key)
            whole = "?" if total is None else f"{total:,}"
            rest = ", and what is not known of it" if total is None else ""
            lines.append(f"{tool.name:{width}}  {whole} = MACs{reasons}{rest}")
    return lines
