"""Taps -> the table: one line for each value that can be taken, with what it costs to get there."""

from gnet_inspect.analysis.taps import Tap, Taps
from gnet_inspect.units import column_unit, dimensions, in_unit
from gnet_inspect.views.grid import Column, Grid, Line
from gnet_inspect.views.text import field_text, headline, inputs_text, unknown_names

RULE = "tap: the last value at one resolution; params and MACs: of the network up to there, which --until TAP gives"
COLUMNS = (
    Column("name", "tap", keep=9),
    Column("stage", "stage", keep=1),
    Column("output_shape", "output", keep=8),
    Column("channels", "channels", number=True, keep=7),
    Column("stride", "stride", number=True, keep=6),
    Column("jump", "jump", number=True, keep=2),
    Column("receptive_field", "field", number=True, keep=3),
    Column("params", "params", number=True, keep=5),
    Column("macs", "MACs", number=True, keep=4),
)
STATUS = Column("receptive_field_status", "field is")


def taps_grid(result: Taps) -> Grid:
    """The table for a terminal or for Markdown."""
    units = [column_unit(getattr(tap, name) for tap in result.taps) for name in ("params", "macs")]
    titles = [f" ({unit})" if unit else "" for unit, _ in units]
    columns = (*COLUMNS[:-2], *(_titled(column, title) for column, title in zip(COLUMNS[-2:], titles, strict=True)))
    lines = tuple(
        Line((*_texts(tap), in_unit(tap.params, units[0]), in_unit(tap.macs, units[1]))) for tap in result.taps
    )
    above = (
        headline(result.title, result.model, result.overrides),
        f"{inputs_text(result.input, result.inputs)}, {result.mode} mode",
        RULE,
    )
    return Grid(columns, lines, above, tuple(_sentences(result)))


def taps_rows(result: Taps) -> Grid:
    """The same for CSV: exact numbers, a stride that is none is empty."""
    lines = (
        Line(
            (),
            (
                tap.name,
                tap.stage,
                dimensions(tap.output_shape),
                tap.channels,
                _number(tap.stride, ""),
                _number(tap.jump, ""),
                dimensions(tap.receptive_field or ()),  # type: ignore[arg-type]  # of whole numbers, but for resampling
                tap.params,
                tap.macs,
                tap.receptive_field_status,
            ),
        )
        for tap in result.taps
    )
    return Grid((*COLUMNS, STATUS), tuple(lines))


def _titled(column: Column, more: str) -> Column:
    return Column(column.exact, f"{column.title}{more}", column.number, column.keep)


def _texts(tap: Tap) -> tuple[str, ...]:
    return (
        tap.name,
        tap.stage,
        dimensions(tap.output_shape),
        f"{tap.channels:,}",
        _number(tap.stride),
        _number(tap.jump),
        field_text(tap.receptive_field, tap.receptive_field_status),
    )


def _number(numbers: tuple[float | None, ...] | None, unknown: str = "?") -> str:
    """One number for all axes where they have the same.

    >>> _number((4, 4)), _number((4, 2)), _number((4, None)), _number(None)
    ('4', '4x2', '4x?', '?')
    """
    texts = [unknown if number is None else f"{number:g}" for number in numbers or (None,)]
    return texts[0] if len(set(texts)) == 1 else "x".join(texts)


def _sentences(result: Taps) -> list[str]:
    """What stands below: how to go on, what is not there, and what the numbers lack."""
    lines = []
    if not result.taps:
        lines.append("no taps: nothing of this network has a height and a width")
    if any(None in tap.stride for tap in result.taps):
        lines.append(
            "stride ?: the input's size is no multiple of the output's; jump: pixels from one output to the next"
        )
    if result.unknown:
        lines.append(f"MACs are at least these: {unknown_names(result.unknown)}")
    return lines
