"""How two models differ, as a reviewer reads it: a line for each part that was added, removed or changed."""

from collections.abc import Iterator
from itertools import groupby

from msgspec.structs import replace

from gnet_inspect.analysis.comparison import Comparison
from gnet_inspect.analysis.difference import Change
from gnet_inspect.errors import some_of
from gnet_inspect.units import Unit, column_unit, dimensions, in_unit
from gnet_inspect.views.grid import Column, Grid, Line
from gnet_inspect.views.tables.summary import CONVENTION
from gnet_inspect.views.text import unknown_names

DEPTHS = ("block", "layer")
COLUMNS = (
    Column("status", ""),
    Column("name", "part"),
    Column("what", "what", keep=9, widest=240),
    Column("output", "output", keep=5),
    Column("params_delta", "params", number=True, keep=10),
    Column("macs_delta", "MACs", number=True),
)
ROWS = tuple(
    Column(name, name)
    for name in (
        *("status", "stage", "stage_was", "name", "was", "kind", "what", "output_before", "output_after"),
        *("params_before", "params_after", "macs_before", "macs_after"),
    )
)
SIGNS = {"added": "+", "removed": "-", "changed": "~", "moved": ">", "affected": "."}
STYLES = {"added": "green", "removed": "red", "changed": "yellow", "moved": "yellow", "affected": "dim"}
# So many new names are told; JSON and CSV have all.
MOST_RENAMED = 5


def difference_grid(comparison: Comparison, depth: str = "block") -> Grid:
    """The parts that differ, with what they add to or take from the totals; the lines add up to the last one."""
    changes = comparison.diff or ()
    before, after = (model.totals for model in comparison.models[:2])
    runs = [run for run in _runs(changes) if run[0].status in SIGNS]
    drawn = [change for run in runs for change in run]
    if depth == "layer":
        drawn += [layer for run in runs for layer in run[0].layers]
    params = column_unit({abs(_params(change)) for change in drawn} | {abs(after.params - before.params)})
    macs = column_unit({abs(_macs(change)) for change in drawn} | {abs(after.macs - before.macs)})
    lines: list[Line] = []
    for run in runs:
        lines.append(_line(run, params, macs))
        if depth == "layer":
            lines += [_line([layer], params, macs, inside=True) for layer in run[0].layers if layer.status in SIGNS]
    total = (
        "",
        "total",
        "",
        "",
        _signed(after.params - before.params, params),
        _signed(after.macs - before.macs, macs),
    )
    lines.append(Line(total, style="bold", rule_above=True))
    models = comparison.models
    inputs = " and ".join(dict.fromkeys(dimensions(model.input) for model in models))
    above = (
        f"from {models[0].label} to {models[1].label}",
        f"input {inputs}, {comparison.dtype}, {comparison.mode} mode",
        CONVENTION,
    )
    units = {"params_delta": params[0], "macs_delta": macs[0]}
    columns = tuple(
        replace(column, title=f"{column.title} ({units[column.exact]})") if units.get(column.exact) else column
        for column in COLUMNS
    )
    return Grid(columns, tuple(lines), above, tuple(_below(comparison, changes)))


def difference_rows(comparison: Comparison) -> Grid:
    """Every part, those that are the same too, and what they count before and after, for CSV."""
    lines = (
        Line((), tuple(_exact(getattr(change, column.exact)) for column in ROWS)) for change in comparison.diff or ()
    )
    return Grid(ROWS, tuple(lines))


def _params(change: Change) -> int:
    return change.params_after - change.params_before


def _macs(change: Change) -> int:
    return change.macs_after - change.macs_before


def _runs(changes: tuple[Change, ...]) -> Iterator[list[Change]]:
    """Equal changes of equal parts right behind each other, such as copies of a repeat, are one line."""

    def alike(change: Change) -> object:
        shapes = change.output_before, change.output_after
        renamed = change.was is not None
        inside = [(layer.name, layer.what, _params(layer), _macs(layer)) for layer in change.layers]
        told = change.status, change.stage, change.kind, change.what, _params(change), _macs(change)
        return *told, shapes, renamed, inside

    for _, run in groupby(changes, alike):
        yield list(run)


def _line(run: list[Change], params: Unit, macs: Unit, inside: bool = False) -> Line:
    first, last = run[0], run[-1]
    name = first.name if len(run) == 1 else f"{first.name} to {last.name}"
    if first.was:
        name += f" (was {first.was if len(run) == 1 else f'{first.was} to {last.was}'})"
    what = "; ".join(first.what) or {"moved": "the same, elsewhere", "affected": "numbers alone"}.get(first.status, "")
    shapes = dict.fromkeys(shape for shape in (first.output_before, last.output_after) if shape)
    cells = (
        SIGNS[first.status],
        ("  " if inside else "") + name,
        what if len(run) == 1 else f"{len(run)} x {what}",
        " -> ".join(map(dimensions, shapes)),
        _signed(sum(map(_params, run)), params),
        _signed(sum(map(_macs, run)), macs),
    )
    return Line(cells, style="dim" if inside else STYLES[first.status])


def _signed(delta: int, unit: Unit) -> str:
    if delta == 0:
        return "0"
    return f"{'+' if delta > 0 else '-'}{in_unit(abs(delta), unit)}"


def _below(comparison: Comparison, changes: tuple[Change, ...]) -> Iterator[str]:
    before, after = comparison.models[:2]
    yield f"params {_from_to(before.totals.params, after.totals.params)}"
    yield f"MACs   {_from_to(before.totals.macs, after.totals.macs)}"
    peak, other = (model.totals.peak_activation_bytes for model in (before, after))
    yield f"peak   {_from_to(peak, other, ' bytes')}"
    least, other = (model.totals.least_peak_activation_bytes for model in (before, after))
    yield f"least  {_from_to(least, other, ' bytes')}: the peak if each tensor were freed after its last reader"
    tally = {status: sum(change.status == status for change in changes) for status in (*SIGNS, "renamed", "same")}
    named = {"renamed": "the same under another name", "same": "the same"}
    parts = [f"{number:,} {named.get(status, status)}" for status, number in tally.items() if number]
    yield f"parts  {', '.join(parts)}"
    if set(tally.items()) >= {(status, 0) for status in (*SIGNS, "renamed")}:
        yield "the two networks are the same"
    if tally["affected"]:
        yield "affected (.): the same layers, whose numbers or shapes follow from what comes before them"
    if tally["renamed"]:
        names = (f"{change.was} -> {change.name}" for change in changes if change.status == "renamed")
        yield f"other names, so other keys in a state dict: {some_of(names, MOST_RENAMED)}"
    stages = dict.fromkeys(f"{change.stage_was} -> {change.stage}" for change in changes if change.stage_was)
    if stages:
        yield f"other stages: {some_of(stages, MOST_RENAMED)}"
    for model in (before, after):
        if model.unknown:
            yield f"{model.label}: {unknown_names(model.unknown)}"
    if before.input != after.input:
        yield "the inputs differ" + ("; --input puts both at one" if before.input[1] == after.input[1] else "")


def _from_to(old: int, new: int, unit: str = "") -> str:
    if old == new:
        return f"{old:,}{unit}, the same"
    share = f" ({_percent(new / old - 1)})" if old else ""
    return f"{old:,} -> {new:,}{unit}, {'+' if new > old else '-'}{abs(new - old):,}{share}"


def _percent(share: float) -> str:
    text = f"{100 * share:+.1f} %"
    return f"{text[0]}<0.1 %" if text[1:] == "0.0 %" else text


def _exact(value: object) -> object:
    if not isinstance(value, tuple):
        return value
    return "; ".join(value) if value and isinstance(value[0], str) else dimensions(value) or None
