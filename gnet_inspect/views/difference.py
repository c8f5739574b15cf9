"""How two models differ, as a reviewer reads it: a line for each part that was added, removed or changed."""

from collections.abc import Iterator
from itertools import groupby

from gnet_inspect.analysis.comparison import Comparison
from gnet_inspect.analysis.difference import Change
from gnet_inspect.units import COUNT_UNITS, Unit, column_unit, dimensions, in_unit
from gnet_inspect.views.grid import Column, Grid, Line
from gnet_inspect.views.summary import CONVENTION

DEPTHS = ("block", "layer")
COLUMNS = (
    Column("status", ""),
    Column("name", "part"),
    Column("what", "what", keep=9, widest=160),
    Column("output", "output", keep=5),
    Column("params_delta", "params", number=True, keep=10),
    Column("macs_delta", "MACs", number=True),
)
ROWS = (
    *(Column(name, name) for name in ("status", "stage", "name", "was", "kind", "what")),
    *(Column(name, name) for name in ("output_before", "output_after", "params_before", "params_after")),
    *(Column(name, name) for name in ("macs_before", "macs_after")),
)
SIGNS = {"added": "+", "removed": "-", "changed": "~", "affected": "."}
STYLES = {"added": "green", "removed": "red", "changed": "yellow", "affected": "dim"}


def difference_grid(comparison: Comparison, depth: str = "block") -> Grid:
    """The parts that differ, with what they add to or take from the totals; the lines add up to the last one."""
    changes = comparison.diff or ()
    shown = [change for change in changes if change.status in SIGNS]
    before, after = (model.totals for model in comparison.models[:2])
    params = column_unit({abs(_params(change)) for change in shown})
    macs = column_unit({abs(_macs(change)) for change in shown})
    lines: list[Line] = []
    for run in _runs(shown):
        lines.append(_line(run, params, macs))
        if depth == "layer":
            lines += [_line([layer], params, macs, level=1) for layer in run[0].layers if layer.status in SIGNS]
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
        f"from {models[0].model} to {models[1].model}",
        f"input {inputs}, {comparison.mode} mode",
        CONVENTION,
    )
    return Grid(_with_units(params, macs), tuple(lines), above, tuple(_below(comparison, changes)))


def difference_rows(comparison: Comparison) -> Grid:
    """Every part, those that are the same too, and what they count before and after, for CSV."""
    return Grid(ROWS, tuple(Line((), _exact(change)) for change in comparison.diff or ()))


def _with_units(params: Unit, macs: Unit) -> tuple[Column, ...]:
    units = {"params_delta": params[0], "macs_delta": macs[0]}
    return tuple(
        Column(column.exact, f"{column.title} ({units[column.exact]})", column.number, column.keep)
        if units.get(column.exact)
        else column
        for column in COLUMNS
    )


def _params(change: Change) -> int:
    return change.params_after - change.params_before


def _macs(change: Change) -> int:
    return change.macs_after - change.macs_before


def _runs(changes: list[Change]) -> Iterator[list[Change]]:
    """Equal changes of equal parts one after the other, such as copies of a repeat, are one line."""

    def alike(change: Change) -> object:
        shapes = change.output_before, change.output_after
        renamed = change.was is not None
        return change.status, change.stage, change.kind, change.what, _params(change), _macs(change), shapes, renamed

    for _, run in groupby(changes, alike):
        yield list(run)


def _line(run: list[Change], params: Unit, macs: Unit, level: int = 0) -> Line:
    first, last = run[0], run[-1]
    name = first.name if len(run) == 1 else f"{first.name} to {last.name}"
    if first.was:
        name += f" (was {first.was if len(run) == 1 else f'{first.was} to {last.was}'})"
    what = "; ".join(first.what) or "numbers alone"
    shapes = dict.fromkeys(shape for shape in (first.output_before, last.output_after) if shape)
    cells = (
        SIGNS[first.status],
        "  " * level + name,
        what if len(run) == 1 else f"{len(run)} x {what}",
        " -> ".join(map(dimensions, shapes)),
        _signed(sum(map(_params, run)), params),
        _signed(sum(map(_macs, run)), macs),
    )
    return Line(cells, style=STYLES[first.status] if not level else "dim")


def _signed(delta: int, unit: Unit) -> str:
    if delta == 0:
        return "0"
    return f"{'+' if delta > 0 else '-'}{in_unit(abs(delta), unit)}"


def _below(comparison: Comparison, changes: tuple[Change, ...]) -> Iterator[str]:
    before, after = (model.totals for model in comparison.models[:2])
    for label, name in (("params", "params"), ("MACs", "macs"), ("peak", "peak_activation_bytes")):
        old, new = getattr(before, name), getattr(after, name)
        share = f" ({100 * (new / old - 1):+.1f} %)" if old else ""
        yield f"{label:<7}{old:,} -> {new:,}, {_signed(new - old, COUNT_UNITS[0])}{share}"
    tally = {status: sum(change.status == status for change in changes) for status in (*SIGNS, "renamed", "same")}
    named = {"renamed": "the same under another name", "same": "the same"}
    parts = [f"{number} {named.get(status, status)}" for status, number in tally.items() if number]
    yield f"parts  {', '.join(parts)}"
    if tally["affected"]:
        yield "       affected (.): the same layers, whose numbers or shapes follow from what comes before them"
    if comparison.models[0].input != comparison.models[1].input:
        yield "the inputs differ: --input puts both at one"


def _exact(change: Change) -> tuple[object, ...]:
    shapes = (dimensions(shape) if shape else None for shape in (change.output_before, change.output_after))
    return (
        change.status,
        change.stage,
        change.name,
        change.was,
        change.kind,
        "; ".join(change.what),
        *shapes,
        change.params_before,
        change.params_after,
        change.macs_before,
        change.macs_after,
    )
