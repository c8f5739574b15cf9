"""Routes -> what is drawn of them: straight lines, quarters of circles and arrowheads.

Each is drawn once, however many wires it is part of, because a line that is drawn twice looks darker.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gnet_inspect.views.drawing.parts import ARROW, CORNER
from gnet_inspect.views.drawing.placed import Point, Route

# In points: how wide an arrowhead is, and the least radius of a corner.
ARROW_WIDTH, LEAST_CORNER = 6.4, 0.5
_TIE = 1e-6


class Line(NamedTuple):
    """A straight line, from its smaller end to its larger one."""

    start: Point
    stop: Point


class Arc(NamedTuple):
    """A quarter of a circle around a corner, from where the line ends to where it goes on."""

    start: Point
    corner: Point
    stop: Point

    @property
    def radius(self) -> float:
        return abs(self.start[0] - self.corner[0]) + abs(self.start[1] - self.corner[1])

    @property
    def turns_right(self) -> bool:
        """Whether it turns clockwise, as seen."""
        before = self.corner[0] - self.start[0], self.corner[1] - self.start[1]
        behind = self.stop[0] - self.corner[0], self.stop[1] - self.corner[1]
        return before[0] * behind[1] - before[1] * behind[0] > 0


class Wiring(NamedTuple):
    """What is drawn of all wires; an arrowhead is its tip and its two other corners."""

    lines: tuple[Line, ...]
    arcs: tuple[Arc, ...]
    arrows: tuple[tuple[Point, Point, Point], ...]


def wiring_of(routes: Iterable[Route]) -> Wiring:
    """All pieces of all routes, each once."""
    lines: dict[tuple[bool, float], list[tuple[float, float]]] = {}
    arcs: dict[Arc, None] = {}
    arrows: dict[Point, tuple[Point, Point, Point]] = {}
    for route in routes:
        for piece in pieces_of(route.points):
            if isinstance(piece, Arc):
                arcs[piece] = None
                continue
            upright = abs(piece.start[0] - piece.stop[0]) < abs(piece.start[1] - piece.stop[1])
            along = 1 if upright else 0
            ends = sorted((piece.start[along], piece.stop[along]))
            lines.setdefault((upright, piece.start[1 - along]), []).append((ends[0], ends[1]))
        tip = _rounded(route.points[-1])
        arrows[tip] = _arrowhead(route.points[-2], tip)
    joined = []
    for (upright, at), spans in lines.items():
        for start, stop in _union(spans):
            joined.append(Line((at, start), (at, stop)) if upright else Line((start, at), (stop, at)))
    return Wiring(tuple(joined), tuple(arcs), tuple(arrows.values()))


def pieces_of(points: Sequence[Point]) -> list[Line | Arc]:
    """The lines and corners of one wire, from its tail to its head, to the hundredth of a point."""
    found: list[Line | Arc] = []
    at = _rounded(points[0])
    last = len(points) - 1
    for index in range(1, last):
        before, corner, behind = points[index - 1 : index + 2]
        radius = _radius(before, corner, behind, last=index + 1 == last)
        start, stop = _rounded(_toward(corner, before, radius)), _rounded(_toward(corner, behind, radius))
        if start != at:
            found.append(Line(at, start))
        found.append(Arc(start, _rounded(corner), stop))
        at = stop
    end = _rounded(points[-1])
    return [*found, Line(at, end)] if end != at else found


def _rounded(point: Point) -> Point:
    """To the hundredth. What lies just between two is the same for all wires, however it was reckoned."""
    return round(point[0] + _TIE, 2), round(point[1] + _TIE, 2)


def _radius(before: Point, corner: Point, behind: Point, *, last: bool) -> float:
    """How round a corner is: no rounder than half of what lies on both sides of it, or than an arrowhead leaves."""
    come = abs(corner[0] - before[0]) + abs(corner[1] - before[1])
    leave = abs(behind[0] - corner[0]) + abs(behind[1] - corner[1])
    return max(min(CORNER, come / 2, leave - ARROW if last else leave / 2), LEAST_CORNER)


def _toward(point: Point, other: Point, distance: float) -> Point:
    """The point so far on the way to another one, which lies straight beside, above or below it."""
    x = max(-distance, min(distance, other[0] - point[0]))
    y = max(-distance, min(distance, other[1] - point[1]))
    return point[0] + x, point[1] + y


def _union(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """What spans cover together, as few of them as can be."""
    found: list[tuple[float, float]] = []
    for start, stop in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], stop)
        else:
            found.append((start, stop))
    return found


def _arrowhead(before: Point, tip: Point) -> tuple[Point, Point, Point]:
    x, y, half = tip[0], tip[1], ARROW_WIDTH / 2
    if abs(before[0] - x) < abs(before[1] - y):
        back = y - ARROW if before[1] < y else y + ARROW
        return tip, (x - half, back), (x + half, back)
    back = x - ARROW if before[0] < x else x + ARROW
    return tip, (back, y - half), (back, y + half)
