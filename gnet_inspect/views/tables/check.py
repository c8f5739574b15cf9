"""Budgets as a table: one row for each limit, and what the numbers come from below it."""

from collections.abc import Iterator

from gnet_inspect.budgets.judging import (
    BROKEN,
    KEPT,
    NOT_JUDGED,
    UNKNOWN,
    Check,
    Explanation,
    Finding,
    Report,
    base_text,
    bound_text,
    growth_text,
    value_text,
)
from gnet_inspect.budgets.limits import SHORT
from gnet_inspect.budgets.updating import Updated
from gnet_inspect.units import byte_count, count
from gnet_inspect.views.grid import Column, Grid, Line, picked
from gnet_inspect.views.tables.difference import difference_grid

COLUMNS = (
    Column("status", "status", whole=True),
    Column("model", "model", keep=6),
    Column("limit", "limit", whole=True),
    Column("value", "now", number=True),
    Column("bound", "expected", whole=True, keep=5),
    Column("growth", "growth", number=True, keep=4),
    Column("note", "note", keep=3, widest=72, wraps=True),
)
PARTS = (
    Column("name", "part"),
    Column("kind", "kind", keep=1),
    Column("params", "params", number=True),
    Column("macs", "MACs", number=True),
    Column("activation_bytes", "activations", number=True, keep=2),
)
UPDATED = (
    Column("model", "model"),
    Column("limit", "limit", whole=True),
    Column("value", "now", number=True),
    Column("before", "from", whole=True),
    Column("after", "to", whole=True),
    Column("note", "note", keep=3, widest=72, wraps=True),
)
_STYLES = {KEPT: "", BROKEN: "bold red", UNKNOWN: "bold yellow", NOT_JUDGED: "dim"}
ERROR = "error"
# Columns that are left out where nothing stands in them.
_WHERE_SAID = ("growth", "note")
_SHORT = {name: short for short, name in SHORT.items()}


def check_grids(report: Report) -> list[Grid]:
    """The table of all limits, and of each explanation its own."""
    return [_checks(report), *(_explained(explanation) for explanation in report.explanations)]


def finding_words(finding: Finding) -> str:
    """A limit that does not pass, in one sentence: what is, what was expected, and why.

    >>> finding_words(Finding(BROKEN, "params", "params", "<=", 7e6, 7154328, 6998552, 2.2258))
    'params 7.15 M, expected <= 7.00 M (+2.2 % from 7.00 M)'
    """
    words = f"{finding_name(finding)} {value_text(finding) or '?'}, expected {bound_text(finding)}"
    if finding.growth is not None:
        was = base_text(finding)
        words += f" ({growth_text(finding.growth)} from {was})" if was else f" ({growth_text(finding.growth)})"
    return f"{words}: {finding.note}" if finding.note else words


def finding_name(finding: Finding) -> str:
    """What is limited, by its short name."""
    short = _SHORT.get(finding.name, finding.name)
    if finding.limit == "change":
        return f"change of {short}"
    return "latency" if finding.limit == "latency" else short


def advice(check: Check, finding: Finding) -> str:
    """Where what is broken comes from, and what the budget says to whoever breaks it."""
    part = finding.where.part if finding.where is not None else ""
    return "; ".join(filter(None, (f"look at {part}" if part else "", check.message)))


def _checks(report: Report) -> Grid:
    lines = []
    for check in report.checks:
        if check.error:
            lines.append(Line((ERROR, check.model, "", "", "", "", check.error), style="bold red"))
        lines += [_line(check, finding) for finding in check.findings]
    grid = Grid(COLUMNS, tuple(lines), tuple(_above(report)), tuple(_below(report)), ("--format json",))
    # Without a base nothing grew, and where all is well there is nothing to note.
    said = [
        column.exact
        for index, column in enumerate(COLUMNS)
        if column.exact not in _WHERE_SAID or any(line.cells[index] for line in lines)
    ]
    return picked(grid, said)


def _line(check: Check, finding: Finding) -> Line:
    cells = (
        finding.status,
        check.model,
        finding_name(finding),
        value_text(finding),
        bound_text(finding),
        growth_text(finding.growth),
        finding.note,
    )
    return Line(cells, style=_STYLES[finding.status])


def _above(report: Report) -> Iterator[str]:
    where = f"budgets of {report.config}" if report.config is not None else "budgets by --max and --min"
    models = len({check.model for check in report.checks})
    yield f"{where}, {models:,} {'model' if models == 1 else 'models'}" + (
        f", growth from {report.base}" if report.base is not None else ""
    )


def _below(report: Report) -> Iterator[str]:
    """What is wrong and where, and how many limits were judged."""
    findings = [finding for check in report.checks for finding in check.findings]
    for check in report.checks:
        for place, words in _advised(check).items():
            yield f"{place}: {words}"
    counts = {status: sum(finding.status == status for finding in findings) for status in _STYLES}
    said = [f"{number:,} {status}" for status, number in counts.items() if number]
    errors = sum(bool(check.error) for check in report.checks)
    yield ", ".join(said + ([f"{errors:,} cannot be read"] if errors else []))


def _advised(check: Check) -> dict[str, str]:
    """By the place of what is broken what is said of it, once for each place."""
    found = {}
    for finding in check.findings:
        if not finding.passes:
            where = finding.where
            place = f"{where.file}:{where.line}:{where.column}" if where is not None else check.model
            words = advice(check, finding)
            if words:
                found[place] = words
    return found


def _explained(explanation: Explanation) -> Grid:
    if explanation.comparison is not None:
        return difference_grid(explanation.comparison)
    lines = (
        Line((part.name, part.kind, count(part.params), count(part.macs), byte_count(part.activation_bytes)))
        for part in explanation.parts
    )
    return Grid(PARTS, tuple(lines), (f"what {explanation.model} costs most",))


def updated_grid(updated: Updated) -> Grid:
    """What --update wrote."""
    lines = tuple(
        Line((change.model, change.limit, change.value_text, change.before, change.after, change.note))
        for change in updated.changes
    )
    changed = sum(change.after != change.before for change in updated.changes)
    below = f"{changed:,} of {len(lines):,} limits written" if changed else "nothing to write: every limit is as it was"
    return Grid(UPDATED, lines, (f"limits in {updated.config}, with a margin of {updated.margin:g} %",), (below,))
