"""Summary + Graph -> the table people read: stages, blocks or layers, sums that add up, units chosen per column.

One invariant holds at every depth and for every selection: the rows of a level sum to the row above them, and each
column to its total.
"""

from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import cached_property, partial
from operator import attrgetter, itemgetter
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from gnet_inspect.analysis.memory import EXACT
from gnet_inspect.analysis.summary import LayerSummary, Summary, Totals, TrainingMemory, bytes_moved
from gnet_inspect.errors import some_of
from gnet_inspect.graph import Graph
from gnet_inspect.graph.cutting import is_cut
from gnet_inspect.graph.outline import Entry, Outline
from gnet_inspect.units import (
    BYTE_UNITS,
    COUNT_UNITS,
    Unit,
    byte_count,
    column_unit,
    count,
    dimensions,
    in_unit,
    percent,
)
from gnet_inspect.views.grid import Column, Grid, Line, bar_column, share_bar
from gnet_inspect.views.tables.parts import parts_by_name
from gnet_inspect.views.text import (
    at_least,
    backward_lines,
    coverage_line,
    field_lines,
    field_text,
    headline,
    inputs_text,
)

CONVENTION = (
    "MACs: multiply-accumulates of convolutions, linear layers and matrix products, biases not counted; 1 MAC = 2 FLOPs"
)

COLUMNS = {
    column.exact: column
    for column in (
        Column("name", "layer"),
        Column("kind", "type", keep=8),
        Column("stage", "stage", keep=1),
        Column("block", "block", keep=1),
        Column("inputs", "inputs", keep=2),
        Column("input_shapes", "input", keep=3),
        Column("output_shape", "output", keep=9),
        Column("params", "params", True, keep=10),
        Column("params_percent", "%", True, keep=5),
        Column("buffers", "buffers", True, keep=1),
        Column("macs", "MACs", True),
        Column("macs_percent", "%", True, keep=7),
        Column("flops", "FLOPs", True, keep=2),
        Column("activation_bytes", "activations", True, keep=6),
        Column("receptive_field", "field", True, keep=4),
        Column("receptive_field_status", "field is", keep=1),
        Column("offset", "offset", True, keep=1),
        Column("jump", "jump", True, keep=1),
        Column("intensity", "FLOP/B", True, keep=3),
    )
}
COUNTED = ("params", "buffers", "macs", "flops", "activation_bytes")
# What is not known of a layer outside the vocabulary.
COSTS = ("macs", "macs_percent", "flops", "intensity")
SHARES = {"params_percent": "params", "macs_percent": "macs"}
TABLE_COLUMNS = ("name", "kind", "output_shape", "params", "params_percent", "macs", "macs_percent", "activation_bytes")
LAYER_COLUMNS = ("name", "kind", "inputs", *TABLE_COLUMNS[2:], "receptive_field")
CSV_COLUMNS = tuple(name for name in COLUMNS if name not in SHARES)


class Sums(Struct):
    """What a row that stands for several layers shows: LayerSummary's fields, None where there is no one value."""

    params: int
    buffers: int
    macs: int
    flops: int
    activation_bytes: int
    stage: str | None = None
    block: str | None = None
    inputs: tuple[str, ...] | None = None
    input_shapes: tuple[tuple[int, ...], ...] | None = None
    output_shape: tuple[int, ...] | None = None
    receptive_field: tuple[float, ...] | None = None
    receptive_field_status: str | None = None
    offset: tuple[float, ...] | None = None
    jump: tuple[float, ...] | None = None
    intensity: float | None = None


class Row(Struct):
    """One row before it is drawn: its texts, its numbers, and its place in the tree."""

    name: str
    kind: str
    numbers: LayerSummary | Sums
    # What --filter matches beside the name: the layer's class or the block's name.
    type_name: str = ""
    level: int = 0
    style: str = ""
    rule_above: bool = False
    # A layer nobody can count: what it costs is not known, which is not nothing.
    unknown: bool = False


class Selection(Struct, frozen=True):
    """Which rows and columns are shown. With a sort, a pattern or a top the rows are a flat list."""

    depth: str = "block"
    columns: tuple[str, ...] = ()
    sort: str | None = None
    pattern: str | None = None
    top: int | None = None

    @property
    def flat(self) -> bool:
        return self.sort is not None or self.pattern is not None or self.top is not None


def summary_grid(summary: Summary, graph: Graph, selection: Selection) -> Grid:
    """The table for a terminal or for Markdown."""
    names = selection.columns or (LAYER_COLUMNS if selection.depth == "layer" else TABLE_COLUMNS)
    if selection.flat and not selection.columns and selection.depth != "stage":
        names = (names[0], "stage", *names[1:])
    maker = _RowMaker(summary, graph, selection.depth)
    rows = maker.flat(selection) if selection.flat else maker.tree(selection.depth)
    return _grid(names, rows, summary)


def summary_table(summary: Summary) -> Grid:
    """The table at the depth of blocks of a summary whose graph is not at hand: parts are told by their layers."""
    rows = []
    for part in parts_by_name(summary.layers):
        layers = [summary.layers[index] for index in part.indices]
        last = layers[-1]
        if part.is_layer and len(layers) == 1:
            rows.append(Row(part.name, part.kind, last, level=part.level, unknown=last.macs is None))
            continue
        sums = _sums(layers)
        sums.output_shape = last.output_shape
        rows.append(Row(part.name, part.kind, sums, level=part.level, style="" if part.level else "bold"))
    return _grid(TABLE_COLUMNS, rows, summary)


def _grid(names: Sequence[str], rows: list[Row], summary: Summary) -> Grid:
    """The table of some rows, and of their total."""
    rows = [*rows, _total_row(summary)]
    drawn = [drawn for name in names for drawn in _draw_columns(name, rows, summary)]
    columns, texts = zip(*drawn, strict=True)
    cells = zip(*texts, strict=True)
    lines = [Line(line, style=row.style, rule_above=row.rule_above) for line, row in zip(cells, rows, strict=True)]
    return Grid(columns, tuple(lines), notes_above(summary), notes_below(summary), ("--columns",))


def summary_rows(summary: Summary, graph: Graph, selection: Selection) -> Grid:
    """The same for CSV: exact values of the rows at one depth, without subtotals: every column can be summed."""
    names = selection.columns or CSV_COLUMNS
    rows = _RowMaker(summary, graph, selection.depth).selected(selection)[0]
    for row in rows:
        row.kind = row.type_name
    columns = [[_written(value, name) for value in _values(name, rows, summary)] for name in names]
    lines = tuple(Line((), values) for values in zip(*columns, strict=True))
    return Grid(tuple(COLUMNS[name] for name in names), lines)


def matches(summary: Summary, graph: Graph, selection: Selection) -> bool:
    """Whether any row is selected."""
    return bool(_RowMaker(summary, graph, selection.depth).selected(selection)[0])


# --- rows ---


class _RowMaker:
    """Rows of one summary, along the outline of its graph."""

    def __init__(self, summary: Summary, graph: Graph, depth: str) -> None:
        self.summary, self.outline = summary, Outline(graph, depth)

    @cached_property
    def moved(self) -> list[int]:
        """The bytes that each layer moves: sums of groups in groups ask for them again and again."""
        return [bytes_moved(layer, self.summary.dtype) for layer in self.summary.layers]

    def tree(self, depth: str) -> list[Row]:
        rows: list[Row] = []
        for entry, level, name in self.outline.lines(depth):
            row = self._row(entry, level, name)
            if entry.parent is None:
                row.style = "bold"
            elif entry.is_branch and depth == "layer":
                # Here every entry has its row.
                whole = rows[entry.parent.position].numbers.macs or 0
                row.kind = f"{row.kind} ({percent(row.numbers.macs or 0, whole)} % of MACs)"
            rows.append(row)
        return rows

    def flat(self, selection: Selection) -> list[Row]:
        """The selected rows, and the rest as one: they add up to the total, whatever was selected."""
        chosen, left = self.selected(selection)
        if left:
            sums = _sums([row.numbers for row in left])
            chosen.append(Row(f"({len(left)} others)", "", sums, style="dim"))
        return chosen

    def selected(self, selection: Selection) -> tuple[list[Row], list[Row]]:
        """(the rows that were asked for, in their order; the others)."""
        rows = [self._row(entry, 0, entry.name) for entry in self.outline.at(selection.depth)]
        chosen = [row for row in rows if _matches(row, selection.pattern)]
        if selection.sort:
            values = _values(selection.sort, chosen, self.summary)
            keyed = sorted(
                zip(map(_sort_key, values), chosen, strict=True),
                key=itemgetter(0),
                reverse=COLUMNS[selection.sort].number,
            )
            chosen = [row for _, row in keyed]
        chosen = chosen[: selection.top]
        kept = set(map(id, chosen))
        return chosen, [row for row in rows if id(row) not in kept]

    def _row(self, entry: Entry, level: int, name: str) -> Row:
        layers = entry.of(self.summary.layers)
        first, last = layers[0], layers[-1]
        if entry.part is None:
            style = "dim" if level > 1 and not last.params else ""
            return Row(name, entry.describe(), last, entry.kind, level, style, unknown=last.macs is None)
        sums = _sums(layers)
        sums.stage, sums.inputs, sums.input_shapes = entry.stage, first.inputs, first.input_shapes
        sums.block = entry.block if entry.role == "block" else None
        sums.output_shape, sums.offset, sums.jump = last.output_shape, last.offset, last.jump
        sums.receptive_field, sums.receptive_field_status = last.receptive_field, last.receptive_field_status
        sums.intensity = sums.flops / sum(entry.of(self.moved))
        return Row(name, entry.describe(), sums, entry.kind, level)


def _matches(row: Row, pattern: str | None) -> bool:
    texts = (row.name, row.kind, row.type_name, row.numbers.stage or "")
    return pattern is None or any(fnmatchcase(text, pattern) for text in texts)


def _sort_key(value: Any) -> tuple[bool, Any]:
    """Rows without a value come last in a falling order; sizes of two axes compare by the first."""
    return value is not None, value


_counted = attrgetter(*COUNTED)


def _sums(parts: Sequence[LayerSummary | Sums]) -> Sums:
    # What nobody can count is None.
    return Sums(*(sum(filter(None, column)) for column in zip(*map(_counted, parts), strict=True)))


def _total_row(summary: Summary) -> Row:
    return Row("total", "", Sums(*(getattr(summary.totals, name) for name in COUNTED)), style="bold", rule_above=True)


# --- cells ---


def _values(name: str, rows: list[Row], summary: Summary) -> list[Any]:
    """One column's values, unwritten: numbers, shapes and names as they are."""
    if name in ("name", "kind"):
        return list(map(attrgetter(name), rows))
    if name in SHARES:
        whole = getattr(summary.totals, SHARES[name])
        parts = map(attrgetter(f"numbers.{SHARES[name]}"), rows)
        return [100 * (part or 0) / whole if whole else 0.0 for part in parts]
    return list(map(attrgetter(f"numbers.{name}"), rows))


def _draw_columns(name: str, rows: list[Row], summary: Summary) -> Iterator[tuple[Column, list[str]]]:
    """A column, and beside a share its bars; the total is no part of itself."""
    yield _draw_column(name, rows, summary)
    if name in SHARES:
        parts, whole = _values(SHARES[name], rows, summary)[:-1], getattr(summary.totals, SHARES[name])
        bars = {part: share_bar(part, whole) for part in dict.fromkeys(parts)}
        yield bar_column(COLUMNS[name]), [*map(bars.__getitem__, parts), ""]


def _draw_column(name: str, rows: list[Row], summary: Summary) -> tuple[Column, list[str]]:
    """One column with its texts; every distinct value is written once, for large networks repeat themselves."""
    column = COLUMNS[name]
    if name == "name":
        return column, ["  " * row.level + row.name for row in rows]
    values = _values(SHARES.get(name, name), rows, summary)
    if name == "receptive_field":
        statuses = _values("receptive_field_status", rows, summary)
        return column, [field_text(size, status) for size, status in zip(values, statuses, strict=True)]
    draw: Callable[[Any], str]
    if name in SHARES:
        whole = getattr(summary.totals, SHARES[name])
        draw = partial(_share, whole=whole)
    elif name in COUNTED:
        known = {value for value in values if value is not None}
        unit = column_unit(known, BYTE_UNITS if name == "activation_bytes" else COUNT_UNITS)
        draw = partial(_in_unit, unit=unit)
        if unit[0]:
            column = replace(column, title=f"{column.title} ({unit[0]})")
    else:
        draw = partial(_text, name=name)
    texts = {value: draw(value) for value in dict.fromkeys(values)}
    drawn = [texts[value] for value in values]
    if name in COSTS:
        drawn = ["?" if row.unknown else text for row, text in zip(rows, drawn, strict=True)]
    return column, drawn


def _share(value: int | None, whole: int) -> str:
    return "?" if value is None else percent(value, whole)


def _in_unit(value: int | None, unit: Unit) -> str:
    return "?" if value is None else in_unit(value, unit)


def _text(value: Any, name: str) -> str:
    if value is None:
        return ""
    if name == "intensity":
        return f"{value:.2f}"
    return str(_written(value, name))


def _written(value: Any, name: str) -> object:
    """A value as CSV writes it: integers as they are, shapes as 1x64x56x56."""
    if value is None:
        return None
    if name == "inputs":
        return ", ".join(value)
    if name == "input_shapes":
        return ", ".join(map(dimensions, value))
    if name == "offset":
        # A minus in front would be a formula to a spreadsheet.
        return str(list(value))
    if name in ("output_shape", "receptive_field", "jump"):
        return "x".join(f"{size:g}" if isinstance(size, float) else str(size) for size in value)
    return value


# --- what is said above and below ---


def notes_above(summary: Summary) -> tuple[str, ...]:
    """What a summary is of, and by which convention."""
    given = inputs_text(summary.input, summary.inputs)
    return (
        headline(summary.title, summary.model, summary.overrides),
        f"{given} (batch {summary.input[0]}), {summary.dtype}, {summary.mode} mode",
        CONVENTION,
    )


def notes_below(summary: Summary) -> tuple[str, ...]:
    """The totals in words, and how many layers were counted."""
    totals, least = summary.totals, at_least(summary.coverage)
    lines = [
        f"params       {totals.params:,} ({byte_count(totals.param_bytes)})"
        + (f", and {totals.buffers:,} in buffers" if totals.buffers else ""),
        *_frozen_lines(totals),
        *_unreached_lines(summary),
        f"MACs         {least}{totals.macs:,} ({count(totals.macs)}), {least}{count(totals.flops)} FLOPs",
        *backward_lines(totals.backward_macs, totals.backward_status),
        f"activations  {byte_count(totals.activation_bytes)} in all",
        _peak_line(totals, summary.mode),
    ]
    if summary.training:
        lines.append(_training_line(summary.training))
    lines += field_lines(totals, len(summary.layers[-1].output_shape) == 4)
    lines.append(f"depth        {totals.depth} convolutions and linear layers on the longest path")
    lines.append(coverage_line(summary.coverage))
    lines += [f"note         {note}" for note in summary.notes]
    return tuple(lines)


def _peak_line(totals: Totals, mode: str) -> str:
    """Both peaks, and what each of them means."""
    peak, least = byte_count(totals.peak_activation_bytes), byte_count(totals.least_peak_activation_bytes)
    bound = "" if totals.peak_activation_status == EXACT else "at least "
    forward = "torch's forward pass" + (" with what autograd keeps" if mode == "train" else "")
    return (
        f"peak         {bound}{peak} held at once in {forward}, at {totals.peak_node}; "
        f"{least} if each tensor were freed after its last reader"
    )


def _frozen_lines(totals: Totals) -> list[str]:
    """What is trained and what is not, where something is not."""
    if not totals.frozen_params:
        return []
    return [f"trained      {totals.trainable_params:,}, and {totals.frozen_params:,} frozen"]


def _unreached_lines(summary: Summary) -> list[str]:
    """The parameters that the network has and this graph does not read, by the outermost parts that hold them."""
    if not summary.unreached:
        return []
    parts = some_of(dict.fromkeys(layer.name.partition(".")[0] for layer in summary.unreached))
    what = "this mode leaves out" if not any(map(is_cut, summary.overrides)) else "lie behind what is here"
    return [f"unreached    {summary.totals.unreached_params:,} more in {parts}, which {what}"]


def _training_line(training: TrainingMemory) -> str:
    least = "at least " if training.saved_status == "bound" else ""
    state = f"{training.optimizer}'s state {byte_count(training.optimizer_bytes)}"
    return (
        f"training     weights {byte_count(training.weights_bytes)}, gradients {byte_count(training.gradient_bytes)}, "
        f"{state if training.optimizer_bytes else f'no state of {training.optimizer}'}, "
        f"saved activations {least}{byte_count(training.saved_bytes)}: "
        f"{least}{byte_count(training.total_bytes)} in all, "
        "without workspaces and the allocator's slack"
    )
