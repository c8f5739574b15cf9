"""Where the labels of a bubble chart stand: above or below their bubbles, on as little else as can be."""

from collections.abc import Iterator, Sequence
from math import sqrt
from operator import itemgetter
from typing import NamedTuple

from gnet_inspect.views.charts.placing import Box, Point

# The areas of the smallest and the largest bubble, in square pixels.
AREAS = (60, 900)
# Pixels of a chart on a narrow page: labels that are apart there are apart on a wide one. Of a letter, and of a line.
WIDTH, HEIGHT, LETTER, LINE = 620.0, 380.0, 7, 14
LINES = 3
# What it costs to stand on a label, outside of the chart, on a bubble, and a line away from the own bubble.
ON_LABEL, OUTSIDE, ON_BUBBLE, AWAY = 100.0, 50.0, 3.0, 0.5

# (alignment, dx, dy) as Vega has them: a text "left" starts at its bubble; dy is downwards.
Place = tuple[str, int, int]


class Bubble(NamedTuple):
    """A bubble on two axes of any unit, with an amount that is its area, and its label."""

    x: float
    y: float
    amount: float
    label: str


def label_places(labelled: Sequence[Bubble], others: Sequence[Bubble]) -> list[Place]:
    """The place of the label of each bubble, in their order; `others` have none, and are to be seen."""
    spots = _spots([*labelled, *others])
    bubbles = [spot.box for spot in spots]
    taken: list[Box] = []
    places = []
    for spot in spots[: len(labelled)]:
        _, place, box = min(_candidates(spot, taken, bubbles), key=itemgetter(0, 1))
        places.append(place)
        taken.append(box)
    return places


def _spots(bubbles: Sequence[Bubble]) -> list[Point]:
    """Every bubble in pixels."""
    if not bubbles:
        return []
    left, right = (edge(bubble.x for bubble in bubbles) for edge in (min, max))
    low, high = (edge(bubble.y for bubble in bubbles) for edge in (min, max))
    most = max(bubble.amount for bubble in bubbles) or 1
    return [
        Point(
            (bubble.x - left) / ((right - left) or 1) * WIDTH,
            HEIGHT - (bubble.y - low) / ((high - low) or 1) * HEIGHT,
            sqrt(AREAS[0] + (AREAS[1] - AREAS[0]) * bubble.amount / most) / 2 + 2,
            bubble.label,
        )
        for bubble in bubbles
    ]


def _candidates(spot: Point, taken: Sequence[Box], bubbles: Sequence[Box]) -> Iterator[tuple[float, Place, Box]]:
    width = LETTER * len(spot.text)
    for line in range(LINES):
        for up in (-1, 1):
            dy = up * (round(spot.radius) + 8 + LINE * line)
            for side in ("left", "right"):
                left = spot.x if side == "left" else spot.x - width
                box = Box(left, spot.y + dy - LINE / 2, left + width, spot.y + dy + LINE / 2)
                cost = ON_LABEL * sum(box.meets(other) for other in taken)
                cost += ON_BUBBLE * sum(box.meets(other) for other in bubbles)
                cost += OUTSIDE * (box.left < 0 or box.right > WIDTH) + AWAY * line
                yield cost, (side, 0, dy), box
