"""What a picture shows, read from what is drawn of it: which cards its wires join, what lies on what."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import cos, pi, sin
from typing import NamedTuple, TypeVar

from gnet_inspect.views.drawing.lettering import text_width
from gnet_inspect.views.drawing.parts import STACKED
from gnet_inspect.views.drawing.placed import TYPES, Border, Card, Placed, Point, Word
from gnet_inspect.views.drawing.wiring import Arc, Line, Wiring

# How wide Arial sets the letters from the space to the tilde, in thousandths of an em: it stands in for Roboto where a
# viewer shows no font of an svg, and is up to a tenth wider ("ReLU"). Other letters are taken to be as much wider.
ARIAL = [
    *(278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278),
    *(556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556),
    *(1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778),
    *(667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556),
    *(333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556),
    *(556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584),
]
WIDER = 1.1
# How far letters reach above and below their base line, as shares of their size.
ABOVE, BELOW = 0.74, 0.21
# In points: what two numbers may differ by that are meant to be equal, in what is drawn to the hundredth.
NEAR = 0.011


class Rect(NamedTuple):
    """Where something stands."""

    left: float
    top: float
    right: float
    bottom: float

    def grown(self, by: float) -> "Rect":
        return Rect(self.left - by, self.top - by, self.right + by, self.bottom + by)

    def meets(self, other: "Rect") -> bool:
        """Whether they have more than a border in common."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def holds(self, other: "Rect") -> bool:
        return (
            self.left <= other.left
            and other.right <= self.right
            and self.top <= other.top
            and other.bottom <= self.bottom
        )


def copies_of(thing: Card | Border) -> list[Rect]:
    """A card or frame, and what looks out behind it where it stands for several."""
    shifts = [0.0, STACKED, 2 * STACKED] if thing.times > 1 else [0.0]
    return [Rect(thing.x + by, thing.y + by, thing.x + thing.width + by, thing.y + thing.height + by) for by in shifts]


def whole_of(thing: Card | Border) -> Rect:
    """A card or frame with all copies."""
    behind = 2 * STACKED if thing.times > 1 else 0.0
    return Rect(thing.x, thing.y, thing.x + thing.width + behind, thing.y + thing.height + behind)


def letters_of(word: Word, font: str) -> Rect:
    """Where the letters of a word stand, in Roboto or in Arial."""
    size = TYPES[word.kind].size
    width = word.width if font == "Roboto" else arial_width(word.text, size)
    left = word.x - width * {"start": 0.0, "middle": 0.5, "end": 1.0}[word.anchor]
    return Rect(left, word.y - ABOVE * size, left + width, word.y + BELOW * size)


def arial_width(text: str, size: float) -> float:
    known = [letter for letter in text if " " <= letter <= "~"]
    others = "".join(letter for letter in text if not " " <= letter <= "~")
    return size * sum(ARIAL[ord(letter) - ord(" ")] for letter in known) / 1000 + WIDER * text_width(others, size)


def line_rect(line: Line) -> Rect:
    return Rect(*line.start, *line.stop)


def arc_rect(arc: Arc) -> Rect:
    """The square that a corner lies in."""
    xs, ys = sorted((arc.start[0], arc.stop[0])), sorted((arc.start[1], arc.stop[1]))
    return Rect(xs[0], ys[0], xs[1], ys[1])


def steps_of(arc: Arc) -> list[Rect]:
    """A corner as small pieces of its quarter of a circle."""
    (x0, y0), (cx, cy), (x1, y1) = arc
    # From the middle of the circle, which lies across from the corner.
    mx, my = x0 + x1 - cx, y0 + y1 - cy
    points = []
    for step in range(6):
        one, other = cos(step * pi / 10), sin(step * pi / 10)
        points.append((mx + one * (x0 - mx) + other * (x1 - mx), my + one * (y0 - my) + other * (y1 - my)))
    return [Rect(min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1])) for a, b in pairwise(points)]


def triangle_rect(arrow: tuple[Point, Point, Point]) -> Rect:
    xs, ys = [point[0] for point in arrow], [point[1] for point in arrow]
    return Rect(min(xs), min(ys), max(xs), max(ys))


# --- what meets what ---


def meeting(ones: Sequence[Rect], others: Sequence[Rect]) -> Iterator[tuple[int, int]]:
    """The pairs of rectangles that meet, by a grid of squares."""
    side = 60.0

    def squares(rect: Rect) -> Iterator[tuple[int, int]]:
        for x in range(int(rect.left // side), int(rect.right // side) + 1):
            for y in range(int(rect.top // side), int(rect.bottom // side) + 1):
                yield x, y

    found: dict[tuple[int, int], list[int]] = {}
    for number, rect in enumerate(others):
        for square in squares(rect):
            found.setdefault(square, []).append(number)
    seen = set()
    for number, rect in enumerate(ones):
        for square in squares(rect):
            for other in found.get(square, ()):
                if (number, other) not in seen and rect.meets(others[other]):
                    seen.add((number, other))
                    yield number, other


def overlapping(rects: Sequence[Rect]) -> list[tuple[int, int]]:
    """The pairs of some rectangles that meet."""
    return [(one, other) for one, other in meeting(rects, rects) if one < other]


# --- the wires of an svg, read back ---


def wiring_of_svg(svg: str) -> Wiring:
    """What an svg's paths draw of wires. An arc's corner is where it would be without being round."""
    (drawn,) = re.findall(r'<path class="wires"[^>]* d="([^"]*)"', svg)
    (heads,) = re.findall(r'<path class="arrows"[^>]* d="([^"]*)"', svg)
    lines, arcs = [], []
    for written in re.findall(r"M[^M]+", drawn):
        straight = re.fullmatch(r"M(\S+) (\S+)L(\S+) (\S+)", written)
        if straight:
            a, b, c, d = map(float, straight.groups())
            lines.append(Line((a, b), (c, d)))
            continue
        curved = re.fullmatch(r"M(\S+) (\S+)A(\S+) (\S+) 0 0 ([01]) (\S+) (\S+)", written)
        assert curved, written
        a, b, rx, ry, sweep, c, d = map(float, curved.groups())
        assert rx == ry
        assert abs(abs(c - a) - rx) <= 2 * NEAR, written
        assert abs(abs(d - b) - rx) <= 2 * NEAR, written
        # Clockwise to the right and down, or to the left and up, it starts level; else it starts upright.
        level = ((c - a) * (d - b) > 0) == bool(sweep)
        arcs.append(Arc((a, b), (c, b) if level else (a, d), (c, d)))
    arrows = []
    for written in re.findall(r"M[^M]+", heads):
        triangle = re.fullmatch(r"M(\S+) (\S+)L(\S+) (\S+)L(\S+) (\S+)z", written)
        assert triangle, written
        a, b, c, d, e, f = map(float, triangle.groups())
        arrows.append(((a, b), (c, d), (e, f)))
    return Wiring(tuple(lines), tuple(arcs), tuple(arrows))


# --- following what is drawn ---

Direction = tuple[int, int]
T = TypeVar("T")


class _Place(NamedTuple):
    """A point that one comes to, and where to."""

    at: Point
    to: Direction


def traced(placed: Placed, wiring: Wiring) -> set[tuple[str, str]]:
    """From which card to which what is drawn leads.

    Whoever follows a line goes straight on, also where another crosses it, and may turn where a corner begins that goes
    on in the same direction: in that of the corner's own wire or against it, because nobody sees which.
    """
    return _Tracer(placed, wiring).pairs()


class _Tracer:
    def __init__(self, placed: Placed, wiring: Wiring) -> None:
        # By direction and the coordinate across it, lines and beginnings of corners in order.
        self.spans: dict[tuple[bool, int], list[tuple[float, float]]] = {}
        for line in wiring.lines:
            upright = line.start[0] == line.stop[0]
            assert upright or line.start[1] == line.stop[1], f"{line} is neither upright nor level"
            along = 1 if upright else 0
            self.spans.setdefault((upright, _key(line.start[1 - along])), []).append(
                (line.start[along], line.stop[along])
            )
        for (upright, at), spans in self.spans.items():
            spans.sort()
            for (_, stop), (start, _) in pairwise(spans):
                assert stop < start, f"lines at {at / 100} ({'x' if upright else 'y'}) are drawn twice: {stop}, {start}"
        self.turns: dict[tuple[Direction, int], list[tuple[float, _Place]]] = {}
        for arc in wiring.arcs:
            for one, other in ((arc.start, arc.stop), (arc.stop, arc.start)):
                to = _direction(one, arc.corner)
                place = _Place(other, _direction(arc.corner, other))
                self.turns.setdefault((to, _key(_across(one, to))), []).append((_along(one, to), place))
        for found in self.turns.values():
            found.sort()
        self.borders = _Borders(placed.cards)
        self.ends: dict[tuple[Direction, int], list[tuple[float, str]]] = {}
        self.tips = set()
        for tip, one, other in wiring.arrows:
            to = _direction(((one[0] + other[0]) / 2, (one[1] + other[1]) / 2), tip)
            card = self.borders.at(tip)
            assert card, f"an arrowhead at {tip}, where no card's border is"
            self.ends.setdefault((to, _key(_across(tip, to))), []).append((_along(tip, to), card))
            self.tips.add((_key(tip[0]), _key(tip[1])))
        for ends in self.ends.values():
            ends.sort()

    def pairs(self) -> set[tuple[str, str]]:
        found = set()
        for (upright, at), spans in self.spans.items():
            for start, stop in spans:
                for end, sign in ((start, 1), (stop, -1)):
                    point = (at / 100, end) if upright else (end, at / 100)
                    tail = self.borders.at(point)
                    if tail and (_key(point[0]), _key(point[1])) not in self.tips:
                        to = (0, sign) if upright else (sign, 0)
                        heads = self._reached(_Place(point, to))
                        found |= {(tail, head) for head in heads}
        return found

    def _reached(self, first: _Place) -> set[str]:
        seen, waiting, found = set(), [first], set()
        while waiting:
            place = waiting.pop()
            key = _key(place.at[0]), _key(place.at[1]), place.to
            if key not in seen:
                seen.add(key)
                heads, turns = self._ahead(place)
                assert heads or turns, f"a line leads nowhere from {place}"
                found.update(heads)
                waiting += turns
        return found

    def _ahead(self, place: _Place) -> tuple[list[str], list[_Place]]:
        """The cards that a line leads to straight on, and the other ends of corners on the way."""
        across, at = _key(_across(place.at, place.to)), _along(place.at, place.to)
        reach = at
        upright = place.to[0] == 0
        spans, forward = self.spans.get((upright, across), []), sum(place.to) > 0
        behind = bisect_right(spans, (at if forward else -at) + NEAR, key=lambda span: span[0])
        for start, stop in spans[max(0, behind - 2) : behind + 1]:
            low, high = (start, stop) if forward else (-stop, -start)
            if low - NEAR <= at <= high + NEAR:
                reach = max(reach, high)
        heads = _within(self.ends.get((place.to, across), []), at, reach)
        turns = _within(self.turns.get((place.to, across), []), at, reach)
        return heads, turns


def _within(found: list[tuple[float, T]], low: float, high: float) -> list[T]:
    """What lies between two points of a line, of things in their order."""
    first = bisect_left(found, low - NEAR, key=lambda item: item[0])
    stop = bisect_right(found, high + NEAR, key=lambda item: item[0])
    return [what for _, what in found[first:stop]]


def _key(value: float) -> int:
    return round(value * 100)


def _direction(start: Point, stop: Point) -> Direction:
    x, y = stop[0] - start[0], stop[1] - start[1]
    assert min(abs(x), abs(y)) < NEAR, (start, stop)
    assert max(abs(x), abs(y)) > NEAR, (start, stop)
    return (0, 1 if y > 0 else -1) if abs(y) > abs(x) else (1 if x > 0 else -1, 0)


def _across(point: Point, to: Direction) -> float:
    return point[0] if to[0] == 0 else point[1]


def _along(point: Point, to: Direction) -> float:
    """How far it is in a direction."""
    return point[0] * to[0] + point[1] * to[1]


class _Borders:
    """Finds the card on whose border a point lies, copies behind it included; "" where none is."""

    def __init__(self, cards: Sequence[Card]) -> None:
        self.sides: dict[tuple[bool, int], list[tuple[float, float, str]]] = {}
        for card in cards:
            for rect in copies_of(card):
                for x in (rect.left, rect.right):
                    self._add((True, _key(x)), rect.top, rect.bottom, card.key)
                for y in (rect.top, rect.bottom):
                    self._add((False, _key(y)), rect.left, rect.right, card.key)

    def _add(self, side: tuple[bool, int], start: float, stop: float, key: str) -> None:
        self.sides.setdefault(side, []).append((start, stop, key))

    def at(self, point: Point) -> str:
        found = ""
        for upright, across, along in ((True, point[0], point[1]), (False, point[1], point[0])):
            for near in (-1, 0, 1):
                for start, stop, key in self.sides.get((upright, _key(across) + near), ()):
                    if start - NEAR <= along <= stop + NEAR:
                        assert found in ("", key), f"{point} is on the borders of {found} and {key}"
                        found = key
        return found
