"""Roofline + Graph -> the table of least times: stages, blocks or layers, whose rows sum to the row above them."""

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from gnet_inspect.analysis.devices import Device
from gnet_inspect.analysis.roofline import COMPUTE, MEMORY, NOTHING, UNKNOWN, LayerBound, Roofline, RooflineTotals
from gnet_inspect.graph import Graph
from gnet_inspect.graph.outline import Entry, Outline
from gnet_inspect.units import (
    BYTE_UNITS,
    COUNT_UNITS,
    TIME_UNITS,
    Unit,
    byte_count,
    column_unit,
    count,
    dimensions,
    duration,
    in_unit,
    percent,
    picoseconds,
)
from gnet_inspect.views.grid import Column, Grid, Line, bar_column, share_bar
from gnet_inspect.views.tables.parts import parts_by_name
from gnet_inspect.views.text import coverage_line, headline, inputs_text

CONVENTION = (
    "FLOPs: 2 for each MAC of convolutions, linear layers and matrix products, computed directly; moved: weights, "
    "inputs and output of each layer, once"
)
COLUMNS = {
    column.exact: column
    for column in (
        Column("name", "layer"),
        Column("kind", "type", keep=4),
        Column("flops", "FLOPs", True, keep=6),
        Column("bytes", "moved", True, keep=5),
        Column("intensity", "FLOP/B", True, keep=7),
        Column("compute_s", "compute", True, keep=3),
        Column("memory_s", "memory", True, keep=2),
        Column("roofline_s", "least time", True),
        Column("share", "%", True, keep=8),
        Column("bound", "bound", keep=9),
    )
}
# What CSV has beside them, and without a share: every column of numbers but the intensity can be summed.
PLACES = (Column("stage", "stage"), Column("block", "block"))
TIMES = ("compute_s", "memory_s", "roofline_s")
SUMMED = ("flops", "bytes", *TIMES)


class Selection(Struct, frozen=True):
    """Which rows are shown. With a sort or a top they are a flat list."""

    depth: str = "block"
    sort: str | None = None
    top: int | None = None

    @property
    def flat(self) -> bool:
        return self.sort is not None or self.top is not None


class Row(Struct):
    """One row before it is drawn: sums over its layers. `memory_bound_s` is the part of `roofline_s` that memory
    bounds; `kind` is what the table's type says, `type_name` the layer's class or the block's name."""

    name: str
    kind: str
    type_name: str
    flops: int = 0
    bytes: int = 0
    compute_s: float = 0.0
    memory_s: float = 0.0
    roofline_s: float = 0.0
    memory_bound_s: float = 0.0
    stage: str = ""
    block: str | None = None
    level: int = 0
    style: str = ""
    rule_above: bool = False
    # A layer nobody can count: what it computes is not known, which is not nothing.
    unknown: bool = False

    @property
    def intensity(self) -> float:
        return self.flops / self.bytes if self.bytes else 0.0

    @property
    def bound(self) -> str:
        """What bounds the larger part of its time."""
        if self.unknown:
            return UNKNOWN
        if not self.roofline_s:
            return NOTHING
        return MEMORY if 2 * self.memory_bound_s > self.roofline_s else COMPUTE

    @property
    def bound_text(self) -> str:
        """That, with its part of the time where something else bounds the rest; nothing of a view."""
        if self.bound in (NOTHING, UNKNOWN):
            return "" if self.bound == NOTHING else "?"
        part = self.memory_bound_s if self.bound == MEMORY else self.roofline_s - self.memory_bound_s
        share = percent(part, self.roofline_s)
        return self.bound if share == "100.0" else f"{self.bound} {share} %"


def roofline_grid(found: Roofline, graph: Graph, selection: Selection) -> Grid:
    """The table for a terminal or for Markdown."""
    maker = _RowMaker(found, graph, selection.depth)
    rows = maker.flat(selection) if selection.flat else maker.tree(selection.depth)
    return _grid(rows, maker.rows, found)


def roofline_table(found: Roofline) -> Grid:
    """The table at the depth of blocks of a roofline whose graph is not at hand: parts are told by their layers."""
    layers = [_layer(layer, layer.kind) for layer in found.layers]
    rows = []
    for part in parts_by_name(found.layers):
        inside, style = [layers[index] for index in part.indices], "" if part.level else "bold"
        if part.is_layer and len(inside) == 1:
            rows.append(replace(inside[0], level=part.level))
        else:
            rows.append(_sum(inside, part.name, part.kind, level=part.level, style=style))
    return _grid(rows, layers, found)


def _grid(rows: list[Row], layers: list[Row], found: Roofline) -> Grid:
    """The table of some rows, and of the total of all layers."""
    rows = [*rows, _sum(layers, "total", style="bold", rule_above=True)]
    drawn = [drawn for name in COLUMNS for drawn in _draw_columns(name, rows, found.totals)]
    columns, texts = zip(*drawn, strict=True)
    cells = zip(*texts, strict=True)
    lines = [Line(line, style=row.style, rule_above=row.rule_above) for line, row in zip(cells, rows, strict=True)]
    return Grid(columns, tuple(lines), notes_above(found), notes_below(found))


def roofline_rows(found: Roofline, graph: Graph, selection: Selection) -> Grid:
    """The same for CSV: exact values, in seconds and bytes, of the rows at one depth, without subtotals."""
    rows, _ = _RowMaker(found, graph, selection.depth).selected(selection)
    kept = [column for name, column in COLUMNS.items() if name not in ("name", "kind", "share")]
    columns = (COLUMNS["name"], COLUMNS["kind"], *PLACES, *kept)
    values = attrgetter("name", "type_name", *(column.exact for column in columns[2:]))
    return Grid(columns, tuple(Line((), values(row)) for row in rows))


# For CSV alone.
TOTALS = tuple(
    Column(name, name)
    for name in ("model", "device", "input", "roofline_s", "bound", "layers_s", "needed_bytes", "fits")
)
# Behind the time of what the device cannot hold.
TOO_LARGE = "*"


class Totals(Struct, frozen=True):
    """Results of models on devices, each by the name it was given by: those of the first model on all devices, and so
    on."""

    models: Sequence[str]
    devices: Sequence[str]
    results: Sequence[Roofline]

    def rows(self) -> Iterator[tuple[str, Sequence[Roofline]]]:
        """Each model with its edits, and its results on the devices."""
        for place, model in enumerate(self.models):
            row = self.results[place * len(self.devices) :][: len(self.devices)]
            yield " ".join((model, *row[0].overrides)), row


def totals_rows(totals: Totals) -> Grid:
    """The totals for CSV: one row for each model on each device."""
    lines = []
    for model, row in totals.rows():
        for device, found in zip(totals.devices, row, strict=True):
            whole = found.totals
            values = (whole.roofline_s, whole.bound, whole.layers_s, whole.needed_bytes, str(whole.fits).lower())
            lines.append(Line((), (model, device, dimensions(found.input), *values)))
    return Grid(TOTALS, tuple(lines))


def totals_grid(totals: Totals) -> Grid:
    """The networks' own bounds beside each other: a row for each model and a column for each device."""
    rows = list(totals.rows())
    on_devices = list(zip(*(row for _, row in rows), strict=True))
    units = [
        column_unit({picoseconds(found.totals.roofline_s) for found in all_of}, TIME_UNITS) for all_of in on_devices
    ]
    # A terminal that is too narrow has the first devices.
    kept = range(len(units) + 1, 1, -1)
    headed = zip(totals.devices, units, kept, strict=True)
    times = (Column(device, f"{device} ({unit})", True, keep=keep) for device, (unit, _), keep in headed)
    lines = []
    for model, row in rows:
        cells = (
            _in_time(found.totals.roofline_s, unit) + ("" if found.totals.fits else TOO_LARGE)
            for found, unit in zip(row, units, strict=True)
        )
        lines.append(Line((model, dimensions(row[0].input), *cells)))
    first = totals.results[0]
    above = f"the least time of each network on each device, from cold caches, in {first.dtype} and {first.mode} mode"
    below = []
    if not all(found.totals.fits for found in totals.results):
        below.append(f"{TOO_LARGE} weights, input and activations at the peak do not fit into the device's memory")
    below += [f"{name}: {found.device.title}" for name, (found, *_) in zip(totals.devices, on_devices, strict=True)]
    columns = (Column("model", "model", whole=True), Column("input", "input", keep=1), *times)
    return Grid(columns, tuple(lines), (above,), tuple(below), ("--format csv",))


def devices_grid(devices: Sequence[Device]) -> Grid:
    """The devices beside each other: their peaks in TFLOP/s (a blank where there is none), bandwidth and memory."""
    dtypes = list(dict.fromkeys(dtype for device in devices for dtype in device.peak_flops_per_s))
    columns = (
        Column("name", "device"),
        Column("title", "title", keep=2),
        *(Column(dtype, dtype, True) for dtype in dtypes),
        Column("bandwidth_bytes_per_s", "GB/s", True),
        Column("memory_bytes", "memory", True),
        Column("source", "source", keep=1, widest=120),
    )
    lines = [Line(_device_cells(device, dtypes), _device_values(device, dtypes)) for device in devices]
    note = "Peaks in TFLOP/s (int8: TOP/s), dense: without sparsity. --on takes a YAML file of your own device, too."
    return Grid(columns, tuple(lines), below=(note,))


def _device_cells(device: Device, dtypes: Sequence[str]) -> tuple[str, ...]:
    peaks = (device.peak_flops_per_s.get(dtype) for dtype in dtypes)
    return (
        device.name,
        device.title,
        *("" if peak is None else _in_tera(peak) for peak in peaks),
        f"{device.bandwidth_bytes_per_s / 1e9:,.1f}",
        byte_count(device.memory_bytes),
        device.source,
    )


def _device_values(device: Device, dtypes: Sequence[str]) -> tuple[object, ...]:
    peaks = (device.peak_flops_per_s.get(dtype) for dtype in dtypes)
    rates = (device.bandwidth_bytes_per_s, device.memory_bytes)
    return (device.name, device.title, *peaks, *rates, device.source)


def _in_tera(rate: float) -> str:
    """Two decimals, or where these would be zeros two digits.

    >>> _in_tera(1.979e15), _in_tera(9.6e8)
    ('1,979.00', '0.00096')
    """
    return f"{rate / 1e12:,.2f}" if rate >= 1e10 else f"{rate / 1e12:.2g}"


# --- rows ---


class _RowMaker:
    """Rows of one result, along the outline of its graph."""

    def __init__(self, found: Roofline, graph: Graph, depth: str) -> None:
        words = (node.describe() for node in graph.nodes)
        self.rows, self.outline = list(map(_layer, found.layers, words)), Outline(graph, depth)

    def tree(self, depth: str) -> list[Row]:
        return [
            replace(self._row(entry), name=name, level=level, style="" if level else "bold")
            for entry, level, name in self.outline.lines(depth)
        ]

    def flat(self, selection: Selection) -> list[Row]:
        """The selected rows, and the rest as one: they add up to the total, whatever was selected."""
        chosen, left = self.selected(selection)
        return [*chosen, _sum(left, f"({len(left)} others)", style="dim")] if left else chosen

    def selected(self, selection: Selection) -> tuple[list[Row], list[Row]]:
        """(the rows that were asked for, in their order; the others)."""
        rows = list(map(self._row, self.outline.at(selection.depth)))
        if selection.sort:
            column = COLUMNS[selection.sort]
            key = attrgetter("roofline_s" if selection.sort == "share" else selection.sort)
            rows.sort(key=key, reverse=column.number)
        cut = len(rows) if selection.top is None else selection.top
        return rows[:cut], rows[cut:]

    def _row(self, entry: Entry) -> Row:
        rows = entry.of(self.rows)
        if entry.part is None:
            return rows[0]
        block = entry.block if entry.role == "block" else None
        return _sum(rows, entry.name, kind=entry.describe(), type_name=entry.kind, stage=entry.stage, block=block)


def _layer(layer: LayerBound, words: str) -> Row:
    return Row(
        layer.name,
        words,
        layer.kind,
        layer.flops,
        layer.bytes,
        layer.compute_s,
        layer.memory_s,
        layer.roofline_s,
        layer.roofline_s if layer.bound == MEMORY else 0.0,
        layer.stage,
        layer.block,
        unknown=layer.bound == UNKNOWN,
    )


def _sum(rows: Sequence[Row], name: str, kind: str = "", type_name: str = "", **rest: Any) -> Row:
    sums = {field: sum(map(attrgetter(field), rows)) for field in (*SUMMED, "memory_bound_s")}
    return Row(name, kind, type_name, **sums, **rest)


# --- cells ---


def _draw_columns(name: str, rows: list[Row], totals: RooflineTotals) -> Iterator[tuple[Column, list[str]]]:
    """A column, and beside the share its bars; the total is no part of itself."""
    yield _draw_column(name, rows, totals)
    if name == "share":
        yield bar_column(COLUMNS[name]), [*(share_bar(row.roofline_s, totals.layers_s) for row in rows[:-1]), ""]


def _draw_column(name: str, rows: list[Row], totals: RooflineTotals) -> tuple[Column, list[str]]:
    column = COLUMNS[name]
    if name in SUMMED:
        unit = _unit(name, rows)
        draw = _in_time if name in TIMES else in_unit
        texts = [draw(getattr(row, name), unit) for row in rows]
        if unit[0]:
            column = replace(column, title=f"{column.title} ({unit[0]})")
    elif name == "share":
        texts = [percent(row.roofline_s, totals.layers_s) for row in rows]
    else:
        texts = list(map(_TEXTS[name], rows))
    if name in ("flops", "compute_s", "intensity"):
        texts = ["?" if row.unknown else text for row, text in zip(rows, texts, strict=True)]
    return column, texts


_TEXTS: dict[str, Callable[[Row], str]] = {
    "name": lambda row: "  " * row.level + row.name,
    "kind": lambda row: row.kind,
    "intensity": lambda row: f"{row.intensity:,.2f}" if row.flops else "0",
    "bound": lambda row: row.bound_text,
}


def _unit(name: str, rows: list[Row]) -> Unit:
    """The unit of a column; all times have that of the least times, so that they can be compared."""
    if name in TIMES:
        return column_unit({picoseconds(row.roofline_s) for row in rows}, TIME_UNITS)
    return column_unit({getattr(row, name) for row in rows}, BYTE_UNITS if name == "bytes" else COUNT_UNITS)


def _in_time(seconds: float, unit: Unit) -> str:
    return in_unit(picoseconds(seconds), unit)


# --- what is said above and below ---


def notes_above(found: Roofline) -> tuple[str, ...]:
    """What a result is of, on which device, and by which convention."""
    return (
        headline(found.title, found.model, found.overrides),
        f"{inputs_text(found.input, found.inputs)} (batch {found.input[0]}), {found.dtype}, {found.mode} mode",
        device_line(found),
        source_line(found),
        CONVENTION,
    )


def device_line(found: Roofline) -> str:
    """The device's peaks in the dtype that was asked for, and where they meet."""
    device, totals = found.device, found.totals
    return (
        f"on {device.title}: {rate(totals.peak_flops_per_s, found.dtype)} in {found.dtype}, "
        f"{byte_count(round(device.bandwidth_bytes_per_s))}/s, {byte_count(device.memory_bytes)}; "
        f"ridge at {totals.ridge_intensity:,.1f} FLOP/B"
    )


def rate(flops_per_s: float, dtype: str) -> str:
    """A number of operations per second."""
    return f"{count(round(flops_per_s))}{operations(dtype)}/s"


def operations(dtype: str) -> str:
    """What a multiplication or an addition is called: those of integers do not float."""
    return "OP" if dtype == "int8" else "FLOP"


def source_line(found: Roofline) -> str:
    """Whether the peaks were measured, where they are from, and what is noted on those that are used."""
    device = found.device
    used = {found.dtype: found.dtype, "bandwidth_bytes_per_s": "bandwidth", "memory_bytes": "memory"}
    notes = [f"{said}: {device.notes[name]}" for name, said in used.items() if name in device.notes]
    kind = {"datasheet": "peaks of a datasheet", "measured": "measured peaks"}[device.kind]
    return f"{kind}: {'; '.join([device.source, *notes])}"


def notes_below(found: Roofline) -> tuple[str, ...]:
    """The two totals with what they mean, and what memory has to hold."""
    totals = found.totals
    network = (
        f"network      at least {duration(totals.roofline_s)} from cold caches, bound by {totals.bound}: all FLOPs at "
        f"the peak take {duration(totals.compute_s)}; weights, input and output through memory once "
        f"({byte_count(totals.least_bytes)}) take {duration(totals.least_memory_s)}"
    )
    layers = (
        f"layers       {duration(totals.layers_s)} is the sum of the layers' own bounds, each tensor through memory "
        f"once for each layer; {percent(totals.memory_bound_share, 1)} % of it is bound by memory. Fused layers and "
        "caches can save some of that, down to the network's bound"
    )
    memory = (
        f"memory       {byte_count(totals.needed_bytes)} ({byte_count(totals.weight_bytes)} of weights and "
        f"{byte_count(totals.peak_activation_bytes)} of activations at the peak, beside the input) "
        f"{'fit into' if totals.fits else 'DO NOT FIT into'} the device's {byte_count(found.device.memory_bytes)}"
    )
    return network, layers, memory, coverage_line(found.coverage)
