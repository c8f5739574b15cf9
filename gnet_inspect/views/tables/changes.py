"""What an edit changed, in words: each total beside that of the start, and the parts that are others now."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from gnet_inspect.analysis.difference import Change
from gnet_inspect.budgets.limits import amount_text
from gnet_inspect.editing.changes import Measure
from gnet_inspect.units import percent
from gnet_inspect.views.text import field_text, line_of

NAMES = {
    "params": "parameters",
    "macs": "MACs",
    "peak_activation_bytes": "peak of activations",
    "receptive_field": "receptive field",
}
# A person reads no more of them.
MOST_CHANGES = 12


class MeasureText(Struct, frozen=True):
    """A total as people read it: `now` and `was`, what it grew by (`change`, and of what it was the `percent`), and
    whether that is "more", "less" or "same". `status` is that of the Measure; `exact` the number in full, "" of a
    field."""

    key: str
    name: str
    now: str
    was: str
    status: str
    exact: str = ""
    change: str = ""
    percent: str = ""
    direction: str = "same"


def measure_text(measure: Measure) -> MeasureText:
    """One total in words; what is a bound says so."""
    key, before, after = measure.key, measure.before, measure.after
    is_field = key == "receptive_field"
    least = "at least " if measure.status == "bound" and not is_field else ""
    now, was = least + _written(measure, after), _written(measure, before)
    exact = "" if after is None or is_field else f"{after[0]:,.0f}{' bytes' if 'bytes' in key else ''}"
    said = MeasureText(key, NAMES[key], now, was, measure.status, exact)
    if before is None or after is None or before == after:
        return said
    grown = max(after) - max(before)
    sign = "+" if grown > 0 else "-"
    part = percent(abs(grown), max(before))
    return replace(
        said,
        change=f"{sign}{amount_text(key, abs(grown))}",
        percent=f"{'' if part[0] == '<' else sign}{part} %" if max(before) else "",
        direction="more" if grown > 0 else "less",
    )


def change_lines(measures: Sequence[Measure], changes: Sequence[Change]) -> list[str]:
    """Below a table that follows a file: each total that is another one, and each part that was edited."""
    texts = [text for text in map(measure_text, measures) if text.direction != "same"]
    lines = [f"{text.name:<20}  {text.was} -> {text.now}  {text.change} ({text.percent})" for text in texts]
    edited = [change for change in changes if change.status != "affected"]
    for change in edited[:MOST_CHANGES]:
        what = f": {'; '.join(change.what)}" if change.what else ""
        lines.append(line_of(f"{change.status:<8}  {change.name}{what}", 400))
    if len(edited) > MOST_CHANGES:
        lines.append(f"and {len(edited) - MOST_CHANGES} more changes")
    affected = len(changes) - len(edited)
    if affected:
        lines.append(f"affected  {affected} part{'s' * (affected != 1)} behind that")
    return lines


def _written(measure: Measure, value: tuple[float, ...] | None) -> str:
    if measure.key == "receptive_field":
        return field_text(value, None if measure.status == "all" else measure.status) or "none"
    return "?" if value is None else amount_text(measure.key, value[0])
