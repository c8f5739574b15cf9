"""A verification as a table: what was compared with what, every difference, and the audit of published figures."""

from gnet_inspect.errors import show
from gnet_inspect.graph import Graph
from gnet_inspect.records.verification import AuditRow, Check, Verification
from gnet_inspect.units import dimensions
from gnet_inspect.views.grid import Column, Grid, Line
from gnet_inspect.views.text import headline, inputs_text

COLUMNS = (
    Column("what", "what", widest=100),
    Column("against", "against", keep=5, widest=100),
    Column("compared", "compared", number=True, keep=7),
    Column("exact", "exact", number=True, keep=6),
    Column("deviation", "deviation", number=True, keep=4),
    Column("verdict", "verdict", keep=9),
)
NOTE, NETWORK = Column("note", "note"), Column("network", "network")
STYLES = {"differs": "bold red", "disagrees": "bold red", "not run": "yellow", "erratum": "yellow"}
VERDICTS = ("agrees", "close", "variant", "erratum", "disagrees", "not run")
# Past this many differences of one check a table helps nobody; the JSON has them all.
MOST_DIFFERENCES = 10


def verification_grid(result: Verification, graph: Graph | None = None) -> Grid:
    """Checks first, then the published figures by source; what explains them stands below. Without its graph the
    table says nothing of the input."""
    lines: list[Line] = []
    for check in result.checks:
        lines += _check_lines(check)
    lines += [_audit_line(row) for row in result.published]
    above: tuple[str, ...] = (headline(result.model, result.model, result.overrides),)
    if graph is not None:
        above = (
            headline(graph.title, graph.model, graph.overrides),
            f"{inputs_text(graph.input_shape, graph.named_inputs)}, {graph.mode} mode",
        )
    if result.published:
        above += (
            "published figures are those of the unedited model at its own input, unless a row names another network",
        )
    return Grid(COLUMNS, tuple(lines), above, (*_readings(result), *_explanations(result), _conclusion(result)))


def verification_rows(result: Verification) -> Grid:
    """The same for CSV, with the notes in a column of their own."""
    lines = []
    for c in result.checks:
        lines.append(Line((), (c.what, c.against, c.compared, None, None, _verdict(c), c.note, "")))
        lines += [
            Line((), (f"{c.what} of {d.name}", c.against, show(d.got), show(d.expected), None, "differs", "", ""))
            for d in c.differences
        ]
    for r in result.published:
        exact = dimensions(r.exact) if isinstance(r.exact, tuple) else r.exact
        network = "; ".join(_network(r, edits=True))
        values = (f"{r.what} of {r.row}", r.source, r.published, exact, r.deviation, r.verdict, r.note, network)
        lines.append(Line((), values))
    return Grid((*COLUMNS, NOTE, NETWORK), tuple(lines))


def _verdict(check: Check) -> str:
    return {True: "equal", False: "differs", None: "not run"}[check.ok]


def _check_lines(check: Check) -> list[Line]:
    verdict = _verdict(check)
    compared = f"{check.compared:,} values" if check.ok is not None else ""
    lines = [Line((check.what, check.against, compared, "", "", verdict), style=STYLES.get(verdict, ""))]
    if check.ok is False and check.note:
        lines.append(Line((f"  {check.note}", "", "", "", "", verdict), style=STYLES["differs"]))
    for item in check.differences[:MOST_DIFFERENCES]:
        texts = (
            f"  {item.name}: ours {show(item.expected)}, theirs {show(item.got)}",
            check.against,
            "",
            "",
            "",
            "differs",
        )
        lines.append(Line(texts, style=STYLES["differs"]))
    left = len(check.differences) - MOST_DIFFERENCES
    if left > 0:
        lines.append(
            Line((f"  ({left} more: --format json)", check.against, "", "", "", "differs"), style=STYLES["differs"])
        )
    return lines


def _audit_line(row: AuditRow) -> Line:
    # "+ 0.0" turns a rounded -0.0 into 0.0.
    deviation = "" if row.deviation is None else f"{round(row.deviation, 1) + 0.0:+.1f} %"
    network = ", ".join(_network(row, edits=False))
    what = f"{row.what} of {row.row}" + (f" ({network})" if network else "")
    texts = (what, row.source, row.published, _exact(row.exact), deviation, row.verdict)
    return Line(texts, style=STYLES.get(row.verdict, ""))


def _exact(value: float | tuple[int, ...] | None) -> str:
    if isinstance(value, tuple):
        return dimensions(value)
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def _network(item: AuditRow, edits: bool) -> list[str]:
    """In what the network of a figure is not the model as it is; its edits in full, or that there are some."""
    parts = []
    if item.overrides:
        parts.append(f"with {' '.join(item.overrides)}" if edits else "edited")
    if item.mode == "train":
        parts.append("with heads")
    if item.input:
        parts.append(f"at {dimensions(item.input)}")
    return parts


def _readings(result: Verification) -> list[str]:
    """How each source's figures are to be read, where that needs saying."""
    lines = []
    for item in result.sources:
        parts = [f"{letter} is {size:,}" for letter, size in item.units.items()]
        if item.params_are == "weights":
            parts.append("parameters are weights alone, without biases and BatchNorm")
        if item.params_are == "folded":
            parts.append("parameters are those with BatchNorm folded into biases")
        if item.macs_are != "multiply-accumulates":
            parts.append(f"multiply-accumulates are as {item.macs_are} counts them")
        if item.overrides:
            parts.append(f"with {' '.join(item.overrides)}")
        lines.append(f"{item.source}: {'; '.join(filter(None, [*parts, item.note]))}")
    return lines


def _explanations(result: Verification) -> list[str]:
    """Each erratum, variant and note once, under the rows it explains, with the verdict that asks for it most."""
    said: dict[tuple[str, str], str] = {}
    for row in result.published:
        if row.note:
            name = f"total of {row.source}" if row.row == "total" else row.row
            before = said.get((name, row.note), VERDICTS[0])
            said[name, row.note] = max(before, row.verdict, key=VERDICTS.index)
    # Of a check that came out right, what a tool prints wrongly; of one that was not run, why.
    checks = [f"{check.against}: {check.note}" for check in result.checks if check.note and check.ok is not False]
    return [*checks, *(f"{verdict}: {name}: {note}" for (name, note), verdict in said.items())]


def _conclusion(result: Verification) -> str:
    checks = [check for check in result.checks if check.ok is not None]
    verdicts = [row.verdict for row in result.published]
    parts = []
    if checks:
        differing = sum(len(check.differences) for check in checks)
        parts.append(f"{sum(check.compared for check in checks):,} values compared, {differing} differ")
    if verdicts:
        counted = [(verdict, verdicts.count(verdict)) for verdict in VERDICTS]
        parts.append("published figures: " + ", ".join(f"{number} {verdict}" for verdict, number in counted if number))
    return "; ".join(parts) or "nothing to compare"
