"""A series in columns, so that a picture fits a page: it breaks where one wire leads from one box to the next."""

from collections.abc import Sequence
from math import inf, log
from typing import TYPE_CHECKING

from gnet_inspect.views.drawing.parts import (
    ARROW,
    CardPart,
    FramedPart,
    ParallelPart,
    Part,
    Path,
    Ports,
    SeriesPart,
    Sheet,
    join_ports,
)

if TYPE_CHECKING:
    from gnet_inspect.views.drawing.placing import Arrangement

# The ratio of width to height of a page that stands, and of one that lies.
ASPECTS = {False: 0.71, True: 1.41}
# What stands between columns, with the wire that leads from one to the next, and how far that runs above and below.
BETWEEN, RETURN = 44.0, 18.0
MOST_COLUMNS = 12
# A last column of less than this share of the longest is a remnant; it counts as much as being e times off the ratio.
_LEAST_LAST, _UNLIKE = 0.25, 1.0
# Frames of one column are equally wide, where none has to grow by more.
GROWTH = 1.4


def place_in_columns(sheet: Sheet, part: Part, arrangement: "Arrangement", *, lies: bool) -> None:
    """Put a series on a sheet, in the number of columns that is asked for or brings it next to the ratio wanted."""
    assert isinstance(part, SeriesPart)
    wanted = arrangement.aspect or ASPECTS[lies]
    if lies:
        wanted = 1 / wanted
    best: tuple[float, list[SeriesPart]] = (inf, [])
    for number in [arrangement.columns] if arrangement.columns else range(1, MOST_COLUMNS + 1):
        columns = _break_series(part, number)
        if len(columns) < number and not arrangement.columns:
            break
        across = sum(column.left + column.room for column in columns) + BETWEEN * (len(columns) - 1)
        along = max(column.length for column in columns) + (2 * RETURN if len(columns) > 1 else 0)
        off = abs(log(across / along / wanted))
        if len(columns) > 1 and columns[-1].length < _LEAST_LAST * along:
            off += _UNLIKE
        if off < best[0]:
            best = off, columns
    _put_columns(sheet, best[1], lies=lies)


def _break_series(part: SeriesPart, number: int) -> list[SeriesPart]:
    """At most so many columns, the longest of them as short as can be."""
    breaks = [index for index in range(1, len(part.parts)) if _may_break(part.parts, index)]
    pieces = [(start, stop) for start, stop in zip([0, *breaks], [*breaks, len(part.parts)], strict=True)]
    low = max(_length(part, *piece) for piece in pieces)
    high = part.length
    best = _fill(part, pieces, high)
    for _ in range(24):
        middle = (low + high) / 2
        found = _fill(part, pieces, middle)
        if len(found) <= number:
            best, high = found, middle
        else:
            low = middle
    return [_column(part, start, stop) for start, stop in best]


def _may_break(parts: Sequence[Part], index: int) -> bool:
    """Whether one wire leads from a part to the next, and goes to one box or frame; what comes in or goes out does not
    stand alone."""
    before = parts[index - 1]
    if index in (1, len(parts) - 1):
        return False
    one = isinstance(before, ParallelPart) and sum(way.ends for way in before.ways) == 1
    return (one or isinstance(before, CardPart | FramedPart)) and isinstance(parts[index], CardPart | FramedPart)


def _length(part: SeriesPart, start: int, stop: int) -> float:
    """How long a run of its parts is; before the first one stands no gap."""
    return sum(part.parts[index].length for index in range(start, stop)) + sum(part.gaps[start + 1 : stop])


def _fill(part: SeriesPart, pieces: Sequence[tuple[int, int]], most: float) -> list[tuple[int, int]]:
    """Columns of at most a length, as full as can be."""
    found: list[tuple[int, int]] = []
    start, stop, length = 0, 0, 0.0
    for first, last in pieces:
        more = _length(part, first, last) + (part.gaps[first] if stop > start else 0.0)
        if stop > start and length + more > most + 1e-6:
            found.append((start, stop))
            start, length = first, _length(part, first, last)
        else:
            length += more
        stop = last
    return [*found, (start, stop)]


def _column(part: SeriesPart, start: int, stop: int) -> SeriesPart:
    parts = part.parts[start:stop]
    words = ["", *part.words[start + 1 : stop]]
    return SeriesPart(
        max(inner.left for inner in parts),
        max(inner.right for inner in parts),
        max(inner.room for inner in parts),
        _length(part, start, stop),
        parts,
        [0.0, *part.gaps[start + 1 : stop]],
        words,
        part.words[start],
    )


def _put_columns(sheet: Sheet, columns: Sequence[SeriesPart], *, lies: bool) -> None:
    # Words lie along a wire that lies.
    words = [column.first_word for column in columns if column.first_word]
    above = max([RETURN, *(sheet.zone(word) + ARROW for word in words)]) if lies else RETURN
    found = Ports([], [], [])
    u = 0.0
    before: tuple[float, float, float] | None = None
    for column in columns:
        level_frames([part for part in column.parts if isinstance(part, FramedPart)])
        axis = u + column.left
        ports = column.place(sheet, axis, 0.0)
        if before is None:
            found = ports
        else:
            last_axis, bottom, edge = before
            between = edge + BETWEEN / 2
            way: Path = [
                (last_axis, bottom + RETURN),
                (between, bottom + RETURN),
                (between, -above),
                (axis, -above),
            ]
            found.exits = [(tail, [*path, *way]) for tail, path in found.exits]
            if column.first_word:
                sheet.put_word(axis, -above, 0.0, column.first_word)
            found = join_ports(sheet, found, ports)
        before = axis, column.length, axis + max(column.room, sheet.word_room(column.first_word))
        u = before[2] + BETWEEN


def level_frames(frames: Sequence[FramedPart]) -> None:
    """Make the frames of a column equally wide, where that lets none grow by much."""
    left = max((frame.left for frame in frames), default=0.0)
    right = max((frame.right for frame in frames), default=0.0)
    for frame in frames:
        if left + right <= GROWTH * (frame.left + frame.right):
            frame.left, frame.right, frame.room = left, right, right
