"""Sweep -> the table: the networks of the front, with what each changes of the spec, and the spec itself above them."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from gnet_inspect.search.result import LATENCY, Found, Objective, Sweep, shown_of, size_text
from gnet_inspect.units import BYTE_UNITS, COUNT_UNITS, column_unit, dimensions, duration, in_unit
from gnet_inspect.views.grid import Column, Grid, Line
from gnet_inspect.views.text import headline, inputs_text

COLUMNS = (
    Column("params", "params", number=True, keep=9),
    Column("macs", "MACs", number=True, keep=8),
    Column("activation_bytes", "activations", number=True, keep=2),
    Column("peak_activation_bytes", "peak", number=True, keep=5),
    Column("least_peak_activation_bytes", "least peak", number=True, keep=3),
    Column("receptive_field", "field", number=True, keep=6),
    Column("depth", "depth", number=True, keep=1),
    Column("layers_s", "layers' time", number=True, keep=7),
    Column("latency_s", "latency", number=True, keep=11),
    Column("distance", "distance", number=True, keep=0),
    Column("gap", "gap", number=True, keep=4),
    Column("edits", "edits", keep=10, widest=100, wraps=True),
)
# Of what one network changes so much is said; the rest is counted.
MOST_SAID = 9
BASE = "the spec itself"


def sweep_grid(result: Sweep, points: int) -> Grid:
    """The table for a terminal or for Markdown: so many networks of the front, evenly spread."""
    shown = shown_of(result.front, points)
    rows = [result.base, *shown]
    columns = [column for column in COLUMNS if _is_there(column.exact, result, rows)]
    units = {
        name: column_unit((getattr(row, name) for row in rows), BYTE_UNITS if name.endswith("_bytes") else COUNT_UNITS)
        for name in ("params", "macs", "activation_bytes", "peak_activation_bytes", "least_peak_activation_bytes")
    }
    titled = tuple(
        replace(column, title=f"{_mark(column, result.objectives)}{column.title}{_unit(units.get(column.exact))}")
        for column in columns
    )
    lines = [Line(tuple(_cell(row, column.exact, units, result) for column in columns)) for row in rows]
    lines[0] = replace(lines[0], style="dim")
    if len(lines) > 1:
        lines[1] = replace(lines[1], rule_above=True)
    return Grid(titled, tuple(lines), tuple(_above(result)), tuple(_below(result, shown)), ("--format csv",))


def sweep_rows(result: Sweep) -> Grid:
    """The same for CSV: the whole front, exact, with a column for each path."""
    paths = [path for varied in result.space for path in varied.paths]
    columns = [column for column in COLUMNS[:-1] if _is_there(column.exact, result, result.front)]
    lines = (
        Line(
            (),
            (
                *(_exact(_of(found, column.exact)) for column in columns),
                *(_value(found.edits[path]) for path in paths),
            ),
        )
        for found in result.front
    )
    return Grid((*columns, *(Column(path, path) for path in paths)), tuple(lines))


def _is_there(name: str, result: Sweep, rows: Iterable[Found]) -> bool:
    if name == "least_peak_activation_bytes":
        return name in {objective.name for objective in result.objectives} or name in result.where
    if name in ("layers_s", "gap", LATENCY):
        return any(_of(row, name) is not None for row in rows)
    return True


def _of(found: Found, name: str) -> Any:
    """What stands in a column: of what was measured, its number."""
    return found.value(name) if name == LATENCY else getattr(found, name)


def _mark(column: Column, objectives: tuple[Objective, ...]) -> str:
    """An arrow before what is to be small or large."""
    for objective in objectives:
        if objective.name in (column.exact, {"macs": "flops", "params": "param_bytes"}.get(column.exact)):
            return "\u2191 " if objective.maximize else "\u2193 "
    return ""


def _unit(unit: Any) -> str:
    return f" ({unit[0]})" if unit is not None and unit[0] else ""


def _cell(found: Found, name: str, units: Mapping[str, Any], result: Sweep) -> str:
    value = _of(found, name)
    if name == "edits":
        return edits_text(found, result) if found.edits else BASE
    if value is None:
        return ""
    if name in units:
        return in_unit(value, units[name])
    if name == "receptive_field":
        return str(value[0]) if len(set(value)) == 1 else dimensions(value)
    if name in ("layers_s", LATENCY):
        return duration(value)
    if name == "gap":
        return f"{100 * value:.2g} %"
    return f"{value:.2f}" if name == "distance" else f"{value:,}"


def edits_text(found: Found, result: Sweep) -> str:
    """What a network changes of the spec, beside what all of the space do: by the first path of each choice. Equal
    arguments of several parts are said once: "inception*.c1: 3a 32, 3b 64"."""
    by_argument: dict[str, list[tuple[str, str]]] = {}
    for varied in result.space:
        path = varied.paths[0]
        value = found.edits[path]
        if len(varied.values) > 1 and value != result.own.get(path):
            part, _, argument = path.partition(".")
            by_argument.setdefault(argument, []).append((part, _value(value)))
    texts, left = [], MOST_SAID
    for argument, parts in by_argument.items():
        start = _shared_length([part for part, _ in parts])
        said = parts[: max(left, 0)]
        left -= len(said)
        if start and argument:
            values = ", ".join(f"{part[start:]} {value}" for part, value in said)
            texts.append(f"{parts[0][0][:start]}*.{argument}: {values}" if said else "")
        else:
            texts += [f"{part}{'.' if argument else ''}{argument}={value}" for part, value in said]
    number = sum(map(len, by_argument.values()))
    text = "; ".join(filter(None, texts))
    return (f"{text} and {number - MOST_SAID} more" if number > MOST_SAID else text) or "nothing"


def _shared_length(names: list[str]) -> int:
    """How many characters several names begin with alike; 0 for one."""
    if len(names) == 1:
        return 0
    return next((place for place, signs in enumerate(zip(*names, strict=False)) if len(set(signs)) > 1), 0)


def _value(value: Any) -> str:
    """A value as a flag takes it."""
    if isinstance(value, tuple):
        return dimensions(value)
    return value if isinstance(value, str) else json.dumps(value).replace(" ", "")


def _exact(value: Any) -> Any:
    return dimensions(value) if isinstance(value, tuple) else "" if value is None else value


def _above(result: Sweep) -> list[str]:
    aims = ", ".join(f"{'most' if each.maximize else 'least'} {each.name}" for each in result.objectives)
    where = f", where {result.where}" if result.where else ""
    lines = [
        headline(result.title, result.model, ()),
        f"{inputs_text(result.input, {})}, {result.mode} mode, {result.dtype}"
        + (f", times on {result.device}" if result.device else "")
        + (f", latency on {result.measured.device}" if result.measured is not None else ""),
        f"{aims or 'nearest to the spec'}{where}: {search_words(result)}",
    ]
    alike = [varied for varied in result.space if len(varied.values) == 1]
    if alike:
        more = f" and {len(alike) - 2} more" if len(alike) > 2 else ""
        lines.append(f"all have {', '.join(f'{each.paths[0]}={_value(each.values[0])}' for each in alike[:2])}{more}")
    return lines


def search_words(result: Sweep) -> str:
    """What was searched, and what that proves."""
    if result.measured is None or result.method == "proposed":
        return _counted_words(result)
    faster = "; others may be faster" if LATENCY in {each.name for each in result.objectives} else ""
    return f"{_counted_words(result)}; {result.measured.networks:,} of the best were timed{faster}"


def _counted_words(result: Sweep) -> str:
    size = size_text(result.size)
    if result.method == "enumerated" and not result.interrupted:
        kept = f", {result.kept:,} of which meet it" if result.where else ""
        return f"all {size} networks of the space were counted{kept}"
    if result.method == "proved":
        if result.exact:
            return f"all {size} networks of the space are covered, and none is better"
        return f"all {size} networks of the space are covered, and none is better by more than {_percent(result.gap)}"
    if result.method == "proposed":
        return f"{result.kept:,} of {size} networks, as Optuna proposed them, were measured; others may be better"
    kept = f", {result.kept:,} of which meet it" if result.where else ""
    return f"{result.counted:,} of {size} networks were counted{kept}; others may be better"


def _percent(part: float | None) -> str:
    return f"{100 * (part or 0):.2g} %"


def _below(result: Sweep, shown: list[Found]) -> list[str]:
    lines = list(result.notes)
    if len(shown) < len(result.front):
        number = result.front_size or len(result.front)
        lines.append(f"{len(shown)} of the {number:,} networks that no other one beats")
    better = _beside_base(result)
    if better:
        lines.append(better)
    if any(found.gap for found in result.front):
        lines.append("gap: by how much of its own number one that is as good otherwise may be better, at most")
    if result.invalid:
        what = "combinations of values are no networks" if result.invalid > 1 else "combination of values is no network"
        lines.append(f"{result.invalid:,} {what}: layers do not fit")
    return lines


def _beside_base(result: Sweep) -> str:
    """Whether the spec itself is beaten, and by whom most."""
    if len(result.objectives) != 2 or not result.front:
        return ""
    one, other = result.objectives
    base = result.base.value(one.name), result.base.value(other.name)
    if base[0] is None or base[1] is None:
        return ""
    told = []
    for mine, its, own, bound in ((one, other, base[0], base[1]), (other, one, base[1], base[0])):
        found = [
            found.value(mine.name) or 0
            for found in result.front
            if its.sign * (found.value(its.name) or 0) <= its.sign * bound
        ]
        best = min(found, key=lambda value: mine.sign * value, default=None)
        if best is not None and own and mine.sign * best < mine.sign * own:
            told.append(
                f"{100 * (best / own - 1):+.1f} % {mine.name} at no {'less' if its.maximize else 'more'} {its.name}"
            )
    return f"against the spec: {', or '.join(told)}" if told else ""
