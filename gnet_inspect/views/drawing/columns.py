"""A series in columns, so that a picture fits a page: it breaks where one wire leads from one box to the next."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from math import log
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
MOST_COLUMNS = 40
# A last column of less than this share of the longest is a remnant; it counts as much as being e times off the ratio.
_LEAST_LAST, _UNLIKE = 0.25, 1.0
# Frames of one column are equally wide, where none has to grow by more.
GROWTH = 1.4


def place_in_columns(sheet: Sheet, part: Part, arrangement: "Arrangement", *, lies: bool) -> int:
    """Put a series on a sheet, in the number of columns that is asked for or brings it next to the ratio wanted; gives
    how many it could be broken into."""
    assert isinstance(part, SeriesPart)
    wanted = arrangement.aspect or ASPECTS[lies]
    if lies:
        wanted = 1 / wanted
    breaker = _Breaker(part)

    def off(number: int) -> float:
        columns = breaker.columns(number)
        along = max(column.length for column in columns) + (2 * RETURN if len(columns) > 1 else 0)
        remnant = len(columns) > 1 and columns[-1].length < _LEAST_LAST * along
        return abs(log(_ratio(columns) / wanted)) + (_UNLIKE if remnant else 0.0)

    # More columns are wider and lower: between the last that is too narrow and the first that is wide enough.
    few, many = 1, MOST_COLUMNS
    while few < many and not arrangement.columns:
        middle = (few + many) // 2
        if _ratio(breaker.columns(middle)) < wanted:
            few = middle + 1
        else:
            many = middle
    around = [number for number in range(few - 2, few + 2) if 1 <= number <= MOST_COLUMNS]
    columns = breaker.columns(arrangement.columns or min(around, key=off))
    _put_columns(sheet, columns, lies=lies)
    return len(columns)


def _ratio(columns: Sequence[SeriesPart]) -> float:
    """How wide columns are together for how long they are."""
    across = sum(column.left + column.room for column in columns) + BETWEEN * (len(columns) - 1)
    return across / (max(column.length for column in columns) + (2 * RETURN if len(columns) > 1 else 0))


class _Breaker:
    """Breaks a series into columns where it may be broken."""

    def __init__(self, part: SeriesPart) -> None:
        self.part = part
        self.found: dict[int, list[SeriesPart]] = {}
        breaks = [index for index in range(1, len(part.parts)) if _may_break(part.parts, index)]
        # The places of the parts that pieces begin with, and of the first behind each.
        self.firsts, self.lasts = [0, *breaks], [*breaks, len(part.parts)]
        # Where pieces begin and end, in the series as one column.
        ends = list(accumulate(gap + each.length for gap, each in zip(part.gaps, part.parts, strict=True)))
        self.starts = [ends[first] - part.parts[first].length for first in self.firsts]
        self.stops = [ends[last - 1] for last in self.lasts]

    def columns(self, number: int) -> list[SeriesPart]:
        """At most so many columns, the longest of them as short as can be."""
        if number not in self.found:
            pieces = zip(self.starts, self.stops, strict=True)
            low, high = max(stop - start for start, stop in pieces), self.part.length
            best = self._fill(high)
            while high - low > 0.5:
                middle = (low + high) / 2
                runs = self._fill(middle)
                if len(runs) <= number:
                    best, high = runs, middle
                else:
                    low = middle
            self.found[number] = [_column(self.part, start, stop) for start, stop in best]
        return self.found[number]

    def _fill(self, most: float) -> list[tuple[int, int]]:
        """Columns of at most a length, as full as can be, as runs of the series' parts."""
        runs = []
        piece = 0
        while piece < len(self.starts):
            behind = max(bisect_right(self.stops, self.starts[piece] + most + 1e-6), piece + 1)
            runs.append((self.firsts[piece], self.lasts[behind - 1]))
            piece = behind
        return runs


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
