"""How two models differ, as a reviewer reads it: a line for each thing that was done, and to which parts."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from gnet_inspect.analysis.comparison import Comparison
from gnet_inspect.analysis.difference import Change
from gnet_inspect.errors import some_of
from gnet_inspect.ops import KINDS
from gnet_inspect.units import Unit, column_unit, dimensions, in_unit
from gnet_inspect.views.grid import Column, Grid, Line
from gnet_inspect.views.tables.summary import CONVENTION
from gnet_inspect.views.text import unknown_names

DEPTHS = ("block", "layer")
COLUMNS = (
    Column("status", "", whole=True),
    # What changed is what is asked for: where it finds no room it goes on below.
    Column("name", "part", widest=48, wraps=True),
    Column("what", "what", widest=96, wraps=True),
    Column("output", "output", keep=5, wraps=True),
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
# So many new names, and so many parts of one change, are told; JSON and CSV have all.
MOST_RENAMED = 5
MOST_PARTS = 6
WORDS = {"moved": "the same, elsewhere", "affected": "numbers alone"}


def difference_grid(comparison: Comparison, depth: str = "block") -> Grid:
    """The parts that differ, with what they add to or take from the totals; the lines add up to the last one."""
    changes = comparison.diff or ()
    before, after = (model.totals for model in comparison.models[:2])
    groups = _grouped(changes, inside=depth == "layer")
    params = _unit((_sum_params(row.changes) for group in groups for row in group), after.params - before.params)
    macs = _unit((_sum_macs(row.changes) for group in groups for row in group), after.macs - before.macs)
    lines = [_line(row, params, macs, inside=row is not first) for first, *inside in groups for row in (first, *inside)]
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
    return Grid(columns, tuple(lines), above, tuple(_below(comparison, changes)), ("--format csv",))


def difference_rows(comparison: Comparison) -> Grid:
    """Every part, those that are the same too, and what they count before and after, for CSV."""
    lines = (
        Line((), tuple(_exact(getattr(change, column.exact)) for column in ROWS)) for change in comparison.diff or ()
    )
    return Grid(ROWS, tuple(lines))


class _Row(NamedTuple):
    """What was done alike to some parts, as one row."""

    changes: list[Change]
    # The places of these parts among those they are told of.
    places: list[int]


def _grouped(changes: Sequence[Change], *, inside: bool) -> list[list[_Row]]:
    """For each thing that was done its row, wherever its parts are, and with `inside` the rows of their layers."""
    groups = []
    for row in _alike(changes):
        layers = [layer for change in row.changes for layer in change.layers] if inside else []
        groups.append([row, *_alike(layers)])
    return groups


def _alike(changes: Sequence[Change]) -> Iterable[_Row]:
    """A row for all changes that read the same, where the first of them stands."""
    rows: dict[tuple[str, str], _Row] = {}
    for place, change in enumerate(changes):
        if change.status in SIGNS:
            row = rows.setdefault((change.status, _words(change)), _Row([], []))
            row.changes.append(change)
            row.places.append(place)
    return rows.values()


def _words(change: Change) -> str:
    return "; ".join(change.what) or WORDS.get(change.status, "")


def _sum_params(changes: Iterable[Change]) -> int:
    return sum(change.params_after - change.params_before for change in changes)


def _sum_macs(changes: Iterable[Change]) -> int:
    return sum(change.macs_after - change.macs_before for change in changes)


def _unit(deltas: Iterable[int], total: int) -> Unit:
    return column_unit({*map(abs, deltas), abs(total)})


def _line(row: _Row, params: Unit, macs: Unit, *, inside: bool) -> Line:
    first = row.changes[0]
    what = _words(first)
    shapes = {(change.output_before, change.output_after) for change in row.changes}
    output = dict.fromkeys(filter(None, shapes.pop())) if len(shapes) == 1 else {}
    cells = (
        SIGNS[first.status],
        ("  " if inside else "") + _names(row),
        what if len(row.changes) == 1 else f"{len(row.changes):,} {_noun(row.changes)}: {what}",
        " -> ".join(map(dimensions, output)),
        _signed(_sum_params(row.changes), params),
        _signed(_sum_macs(row.changes), macs),
    )
    return Line(cells, style="dim" if inside else STYLES[first.status])


def _noun(changes: Iterable[Change]) -> str:
    """What several parts are."""
    nouns = {"heads" if change.kind == "head" else "layers" if change.kind in KINDS else "blocks" for change in changes}
    return nouns.pop() if len(nouns) == 1 else "parts"


def _names(row: _Row) -> str:
    """The parts by their names, each once; of three and more right behind each other the first and the last."""
    runs: list[list[Change]] = []
    before = None
    for place, change in dict(zip(row.places, row.changes, strict=True)).items():
        if before is not None and place == before + 1 and (change.was is None) == (runs[-1][-1].was is None):
            runs[-1].append(change)
        else:
            runs.append([change])
        before = place
    told = []
    for run in runs:
        told += [_name(run[0], run[-1])] if len(run) > 2 else [_name(change, change) for change in run]
    return some_of(dict.fromkeys(told), MOST_PARTS)


def _name(first: Change, last: Change) -> str:
    name, was = first.name, first.was
    if first is not last:
        name, was = f"{name} to {last.name}", was and f"{was} to {last.was}"
    return f"{name} (was {was})" if was else name


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
