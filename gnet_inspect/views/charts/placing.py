"""Where the labels of a plot stand: beside their points and on nothing else. In pixels, y downwards."""

from collections.abc import Iterator, Sequence
from math import cos, hypot, pi, sin

from msgspec import Struct

# A bound on how wide a letter is, in parts of the font's size: Roboto's are narrower on average.
LETTER = 0.57
# How far from a point its label is tried, and at which angles: to the right and below first, where no roof is.
DISTANCES = (8, 16, 30, 48, 70, 96, 126)
ANGLES = (0.25, 0.0, 0.75, 1.0, 0.4, 0.6, -0.25, -0.75, 0.5, -0.5)

# Beside a line that leads up or down its label may stand on either side.
STEEP = 0.5
# Between a point's edge and what counts as its line: the roof that it stands on is as near.
GAP = 4


class Box(Struct, frozen=True):
    """A rectangle that is taken."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "Box") -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def inside(self, other: "Box") -> bool:
        return (
            other.left <= self.left
            and self.right <= other.right
            and other.top <= self.top
            and self.bottom <= other.bottom
        )


class Point(Struct, frozen=True):
    """A point to be labelled: its place and its radius."""

    x: float
    y: float
    radius: float
    text: str

    @property
    def box(self) -> Box:
        return Box(self.x - self.radius, self.y - self.radius, self.x + self.radius, self.y + self.radius)


class Label(Struct, frozen=True):
    """Where a label starts ("left") or ends ("right"); a line leads from there to its point."""

    x: float
    y: float
    side: str
    point: Point


def place_labels(points: Sequence[Point], taken: Sequence[Box], plot: Box, font_size: float) -> list[Label]:
    """A label for each point that has room for one; `taken` is what no label may cover.

    Each takes the first place that is free. Of three orders of the points the one that leaves room for most is taken,
    and of those the one for the first of them.
    """
    across = sorted(points, key=lambda point: point.x)
    tried = [_place(order, taken, plot, font_size) for order in (points, across, across[::-1])]

    def worth(labels: list[Label]) -> tuple[int, list[bool]]:
        placed = [label.point for label in labels]
        return len(labels), [point in placed for point in points]

    return max(tried, key=worth)


def _place(points: Sequence[Point], taken: Sequence[Box], plot: Box, font_size: float) -> list[Label]:
    labels = []
    boxes = list(taken)
    for point in points:
        for label in _candidates(point):
            text, line = _text_box(label, font_size), _leader_boxes(label)
            if text.inside(plot) and not any(part.meets(box) for part in (text, *line) for box in boxes):
                labels.append(label)
                boxes += [text, *line]
                break
    return labels


def line_boxes(start: tuple[float, float], end: tuple[float, float], half: float) -> list[Box]:
    """Small boxes along a line that reach `half` beyond it."""
    steps = max(int(hypot(end[0] - start[0], end[1] - start[1]) / (2 * half)), 1)
    places = (
        (start[0] + (end[0] - start[0]) * step / steps, start[1] + (end[1] - start[1]) * step / steps)
        for step in range(steps + 1)
    )
    return [Box(x - half, y - half, x + half, y + half) for x, y in places]


def text_width(text: str, font_size: float) -> float:
    """A bound on how wide a text is."""
    return LETTER * font_size * len(text)


def _candidates(point: Point) -> Iterator[Label]:
    for distance in DISTANCES:
        for angle in ANGLES:
            reach = point.radius + distance
            x, y = point.x + reach * cos(angle * pi), point.y + reach * sin(angle * pi)
            sides = ("left", "right") if x >= point.x else ("right", "left")
            for side in sides if abs(cos(angle * pi)) < STEEP else sides[:1]:
                yield Label(x, y, side, point)


def _text_box(label: Label, font_size: float) -> Box:
    width = text_width(label.point.text, font_size)
    left = label.x if label.side == "left" else label.x - width
    return Box(left - 2, label.y - 0.7 * font_size, left + width + 2, label.y + 0.7 * font_size)


def _leader_boxes(label: Label) -> list[Box]:
    """The line from the edge of a point to its label."""
    point = label.point
    part = (point.radius + GAP) / hypot(label.x - point.x, label.y - point.y)
    start = (point.x + (label.x - point.x) * part, point.y + (label.y - point.y) * part)
    return line_boxes(start, (label.x, label.y), 1)
