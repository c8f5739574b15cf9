"""Limits written anew into a config, each in the place of its value: comments, order and layout stay.

What is written is read again, and held to what was meant: a config that cannot be changed so is left as it is.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from math import ceil, floor, log10
from pathlib import Path
from typing import Any

from msgspec import Struct

from gnet_inspect.analysis.summary import Summary
from gnet_inspect.budgets.config import Budget, prefix_of
from gnet_inspect.budgets.limits import SHORT, Limit, amount_text, limit_names, parse_limit, total_of
from gnet_inspect.budgets.toml_places import KeyPath, places_in
from gnet_inspect.errors import SpecError, show
from gnet_inspect.records import SCHEMA_VERSION
from gnet_inspect.units import BYTE_UNITS, COUNT_UNITS

# What a model gets that has no limits: with an upper or a lower one each.
FIRST = {"params": "<=", "macs": "<=", "peak": "<=", "receptive_field": ">="}
# So many digits of a bound are written.
DIGITS = 3
# Nobody means less of these than there is.
_WITHOUT_MARGIN = ("coverage",)
_PLAIN = ("receptive_field", "depth", "coverage")


class LimitChange(Struct, frozen=True):
    """A limit as it was written ("" for none) and as it is now; `note` says why it was left alone."""

    model: str
    limit: str
    value: int | float | None
    value_text: str
    before: str
    after: str
    note: str = ""


class Updated(Struct, frozen=True):
    """What `check --update --format json` prints."""

    schema_version: int
    config: str
    margin: float
    changes: tuple[LimitChange, ...]


class Counted(Struct, frozen=True):
    """A budget and its model's totals; that of a model that has none yet is at no place, index -1."""

    budget: Budget
    summary: Summary


def update_text(
    text: str, path: Path, counted: Sequence[Counted], margin: float
) -> tuple[str, tuple[LimitChange, ...]]:
    """(the text of a config with the limits that hold, each with a margin in percent; what was changed). Limits of
    change and latency stay as they are, and so do those of totals that nobody knows.

    Raises SpecError where the text is written so that this cannot be done.
    """
    document = tomllib.loads(text)
    changes: list[LimitChange] = []
    # By its path each value that is to be another one, and what is to be in its place.
    written: dict[KeyPath, object] = {}
    for one in counted:
        if one.budget.index < 0:
            continue
        at: KeyPath = (*prefix_of(path), "check", one.budget.index)
        table = _at(document, at)
        names = [name for name in table if name in limit_names()]
        for name in names or (FIRST if one.budget.limits_nothing else ()):
            change, value = _changed(one, name, table.get(name), margin)
            changes.append(change)
            if change.after != change.before:
                written[(*at, name)] = value
    new = [one for one in counted if one.budget.index < 0]
    result = _with_values(text, written, str(path))
    expected = _expected(document, written)
    for one in new:
        lines, added = _new_table(one, path, margin)
        changes += added
        result = f"{result.rstrip()}\n\n{lines}" if result.strip() else lines
        _append(expected, path, lines)
    _check(result, expected, str(path))
    return result, tuple(changes)


def _changed(one: Counted, name: str, before: object, margin: float) -> tuple[LimitChange, object]:
    """What a limit becomes, and the value that is written for it."""
    key = SHORT.get(name, name)
    value, status = total_of(key, one.summary)
    text = "" if before is None else str(before)
    operator = _limit_of(name, before).operator if before is not None else FIRST[name]
    shown = "?" if value is None else amount_text(key, value)
    if value is None or status != "exact":
        note = "left alone: it is not known" if value is None else f"left alone: known is only that it is at {status}"
        return LimitChange(one.budget.model, name, value, shown, text, text, note), before
    bound = bound_with_margin(key, operator, value, margin)
    after: object = int(bound) if isinstance(before, int | float) else f"{operator} {written_amount(key, bound)}"
    if isinstance(before, str) and parse_limit(name, before) == parse_limit(name, str(after)):
        after = before
    return LimitChange(one.budget.model, name, value, shown, text, str(after)), after


def _limit_of(name: str, value: object) -> Limit:
    if isinstance(value, str):
        return parse_limit(name, value)
    return parse_limit(name, f"{'>=' if name == 'coverage' else '<='} {value}")


def bound_with_margin(name: str, operator: str, value: float, margin: float) -> int:
    """The bound that a total keeps with so many percent to spare, in few digits, rounded to the side that it keeps.

    >>> bound_with_margin("params", "<=", 6998552, 5), bound_with_margin("receptive_field", ">=", 907, 5)
    (7350000, 861)
    """
    share = 0.0 if operator == "==" or name in _WITHOUT_MARGIN else margin / 100
    if operator == "==":
        return round(value)
    rises = operator in ("<=", "<")
    wanted = value * (1 + share) if rises else value * (1 - share)
    step = 1 if name in _PLAIN or wanted < 10**DIGITS else 10 ** (floor(log10(wanted)) + 1 - DIGITS)
    bound = (ceil if rises else floor)(round(wanted / step, 9)) * step
    # A strict limit is not kept by the total itself.
    if operator == "<" and bound <= value:
        bound += step
    return bound - step if operator == ">" and bound >= value else bound


def written_amount(name: str, bound: int) -> str:
    """A bound as people write it, to the last digit.

    >>> written_amount("params", 7350000), written_amount("peak_activation_bytes", 10_100_000)
    ('7.35 M', '10.1 MB')
    """
    if name in _PLAIN:
        return str(bound)
    units = BYTE_UNITS if name.endswith("_bytes") else COUNT_UNITS
    unit, size = next((unit for unit in reversed(units) if bound >= unit[1]), units[0])
    whole, rest = divmod(bound, size)
    digits = f"{rest:0{len(str(size)) - 1}d}".rstrip("0") if rest else ""
    return f"{whole}{'.' if digits else ''}{digits}{f' {unit}' if unit else ''}"


# --- the text ---


def _with_values(text: str, written: Mapping[KeyPath, object], file: str) -> str:
    """The text with other values in the places of some, and with lines for those that have none."""
    places = places_in(text)
    edits: list[tuple[int, int, str]] = []
    for path, value in written.items():
        found = places.get(path)
        if found is not None:
            edits.append((found.start, found.end, _literal(value, text[found.start : found.end])))
            continue
        model = places.get((*path[:-1], "model"))
        header = places.get(path[:-1])
        if model is None or header is None or not text.startswith("[[", header.start):
            raise SpecError(
                f"expected a [[check]] table to write `{path[-1]}` into, got one in braces",
                file=file,
                line=header.line if header else None,
                path=".".join(map(str, path[:-1])),
                hint="write its first limits by hand",
            )
        end = text.find("\n", model.end)
        end = len(text) if end < 0 else end
        edits.append((end, end, f"\n{path[-1]} = {_literal(value, '')}"))
    # From the end, so that places stay; what goes into one place keeps its order.
    edits.sort(key=lambda edit: edit[0])
    for start, end, shown in reversed(edits):
        text = f"{text[:start]}{shown}{text[end:]}"
    return text


def _literal(value: object, before: str) -> str:
    """A value as TOML has it, in the quotes of the one before."""
    if not isinstance(value, str):
        return str(value)
    return f"'{value}'" if before.startswith("'") and not before.startswith("'''") else json.dumps(value)


def _new_table(one: Counted, path: Path, margin: float) -> tuple[str, list[LimitChange]]:
    """The text of a table for a model that has none."""
    header = ".".join((*prefix_of(path), "check"))
    lines, changes = [f"[[{header}]]", f"model = {json.dumps(one.budget.model, ensure_ascii=False)}"], []
    for name in FIRST:
        change, value = _changed(one, name, None, margin)
        changes.append(change)
        if change.after:
            lines.append(f"{name} = {_literal(value, '')}")
    return "\n".join(lines) + "\n", changes


# --- the proof ---


def _at(document: Any, path: KeyPath) -> Any:
    for key in path:
        document = document[key]
    return document


def _expected(document: dict[str, Any], written: Mapping[KeyPath, object]) -> dict[str, Any]:
    """What a document says once these values are written; it is changed in place."""
    for path, value in written.items():
        _at(document, path[:-1])[path[-1]] = value
    return document


def _append(document: dict[str, Any], path: Path, lines: str) -> None:
    """Put the table that these lines are behind the others of a document."""
    around = document
    for name in prefix_of(path):
        around = around.setdefault(name, {})
    (table,) = _at(tomllib.loads(lines), (*prefix_of(path), "check"))
    around.setdefault("check", []).append(table)


def _check(text: str, expected: object, file: str) -> None:
    try:
        is_meant = tomllib.loads(text) == expected
    except tomllib.TOMLDecodeError:
        is_meant = False
    if not is_meant:
        raise SpecError(
            f"expected a config whose limits can be written in their places, got {show(file)}, which is left as it was",
            file=file,
            hint="write [[check]] tables, one key on each line",
        )


def updated_of(config: str, margin: float, changes: tuple[LimitChange, ...]) -> Updated:
    """What was written where."""
    return Updated(SCHEMA_VERSION, config, margin, changes)
