"""One limit on one total: "params <= 7 M", and whether a network keeps it."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal

from msgspec import Struct

from gnet_inspect.analysis.memory import EXACT
from gnet_inspect.analysis.summary import Summary
from gnet_inspect.errors import UsageError, nearest, show
from gnet_inspect.units import BYTE_UNITS, COUNT_UNITS, byte_count, count

# Short names beside the JSON's.
SHORT = {"peak": "peak_activation_bytes", "activations": "activation_bytes", "field": "receptive_field"}
OPERATORS = ("<=", ">=", "<", ">", "==")
_LIMIT = re.compile(r"\s*(<=|>=|==|<|>)\s*([0-9][0-9_,]*(?:\.[0-9]+)?)\s*([A-Za-z%]*)\s*\Z")
_UNITS = {
    "bytes": {name.lower(): size for name, size in BYTE_UNITS},
    "count": {name.lower(): size for name, size in COUNT_UNITS},
}


class Limit(Struct, frozen=True):
    """A total, by its JSON name, and what it is held to."""

    name: str
    operator: str
    bound: float

    def __str__(self) -> str:
        return f"{self.operator} {amount_text(self.name, self.bound)}"


class Judged(Struct, frozen=True):
    """A limit and the total: `holds` is None where a bound of the total does not tell, or nobody knows it."""

    limit: Limit
    value: float | None
    holds: bool | None


def limit_names() -> tuple[str, ...]:
    """What totals that may be limited are called."""
    return (*total_names(), *SHORT)


def total_names() -> tuple[str, ...]:
    """The totals that may be limited, by their JSON names."""
    return tuple(_TOTALS)


def parse_limit(name: str, text: str) -> Limit:
    """`name` with "<= 7 M" or ">= 224": powers of 1000, of bytes with B behind them. Raises UsageError.

    >>> str(parse_limit("params", "<= 7 M")), parse_limit("peak", "< 1.5 MB").bound
    ('<= 7.00 M', 1500000.0)
    """
    key = SHORT.get(name, name)
    if key not in _TOTALS:
        raise UsageError(f"expected a total to limit, got {show(name)}. ({nearest(name, limit_names())})")
    match = _LIMIT.match(text)
    units = _UNITS["bytes" if key.endswith("_bytes") else "count"]
    unit = match[3].lower() if match else ""
    if unit not in units and f"{unit}b" in units and key.endswith("_bytes"):
        # 7 M of bytes, as people write it.
        unit = f"{unit}b"
    if match is None or (unit and unit not in units):
        example = "<= 7 MB" if key.endswith("_bytes") else "<= 7 M"
        known = ", ".join(name for name in units if name)
        raise UsageError(
            f"{name}: expected an operator ({', '.join(OPERATORS)}), a number and a unit ({known}, or none), "
            f"got {show(text)}. (for example {example!r})"
        )
    return Limit(key, match[1], float(Decimal(re.sub("[_,]", "", match[2])) * units.get(unit, 1)))


def total_of(name: str, summary: Summary) -> tuple[float | None, str]:
    """A total by its JSON name, and whether it is "exact", a "least" or a "most"; None where nobody knows it."""
    return _TOTALS[name](summary)


def judge(limit: Limit, summary: Summary) -> Judged:
    """Whether a network keeps a limit: a least above an upper limit breaks it, one above a lower limit keeps it."""
    value, exact = total_of(limit.name, summary)
    if value is None:
        return Judged(limit, None, None)
    holds = _OPERATORS[limit.operator](value, limit.bound)
    if exact == "exact":
        return Judged(limit, value, holds)
    # A least is the truth or below it; a most the truth or above.
    rises = limit.operator in (">=", ">")
    certain = (exact == "least" and holds == rises) or (exact == "most" and holds != rises)
    if limit.operator == "==":
        certain = False
    return Judged(limit, value, holds if certain else None)


def amount_text(name: str, value: float) -> str:
    """A total's value in words."""
    if name in ("receptive_field", "depth", "coverage"):
        return f"{value:g}"
    return byte_count(round(value)) if name.endswith("_bytes") else count(round(value))


_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<=": lambda value, bound: value <= bound,
    ">=": lambda value, bound: value >= bound,
    "<": lambda value, bound: value < bound,
    ">": lambda value, bound: value > bound,
    "==": lambda value, bound: value == bound,
}


def _known(value: float | None) -> tuple[float | None, str]:
    return value, "exact"


def _counted(value: int, summary: Summary) -> tuple[float | None, str]:
    return value, "least" if summary.coverage.unknown else "exact"


def _field(summary: Summary) -> tuple[float | None, str]:
    """The smaller of its two axes; behind what mixes all positions the field of the last map."""
    size, status = summary.totals.receptive_field, summary.totals.receptive_field_status
    if size is None or status == "unknown":
        return None, "exact"
    return min(size), "most" if status == "bound" else "exact"


def _peak(summary: Summary) -> tuple[float | None, str]:
    totals = summary.totals
    return totals.peak_activation_bytes, "exact" if totals.peak_activation_status == EXACT else "least"


# By the JSON name of a total: its value, and whether that is "exact", a "least" or a "most".
_TOTALS: Mapping[str, Callable[[Summary], tuple[float | None, str]]] = {
    "params": lambda summary: _known(summary.totals.params),
    "trainable_params": lambda summary: _known(summary.totals.trainable_params),
    "buffers": lambda summary: _known(summary.totals.buffers),
    "param_bytes": lambda summary: _known(summary.totals.param_bytes),
    "macs": lambda summary: _counted(summary.totals.macs, summary),
    "flops": lambda summary: _counted(summary.totals.flops, summary),
    "activation_bytes": lambda summary: _known(summary.totals.activation_bytes),
    "peak_activation_bytes": _peak,
    "least_peak_activation_bytes": lambda summary: _known(summary.totals.least_peak_activation_bytes),
    "receptive_field": _field,
    "depth": lambda summary: _known(summary.totals.depth),
    "coverage": lambda summary: _known(100 * summary.coverage.counted / max(summary.coverage.nodes, 1)),
}
