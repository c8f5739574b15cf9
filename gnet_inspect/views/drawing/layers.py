"""A tangle in layers: its parts in rows, each below all that it reads, with the wires' ways between the rows.

Graphviz says in which order a row stands and where (Gansner, Koutsofios, North and Vo 1993); rows and ways are ours. A
wire that passes a row has a place of its own in it. In the channel between two rows every tail has a line of its own,
so that no two wires lie on each other but where they come from one tail or go to one head.
"""

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any

import msgspec
from msgspec import field

from gnet_inspect.errors import MissingError
from gnet_inspect.views.drawing.parts import TURN, Path, Sheet, TanglePart
from gnet_inspect.views.drawing.picture import draw_picture

# More parts are not laid out in layers: Graphviz takes the square of their number, and nobody could follow the wires.
MOST_PARTS = 150
# Axes stand on a grid, so that two of them are one, or far enough apart for two corners.
_GRID, _PITCH = 16.0, 8.0
_HELD = 20

# A place in a row: a part, or the way of a tail's wires past the row, (tail, row).
_Place = int | tuple[int, int]


class LayersPart(TanglePart, eq=False):
    """Parts in rows."""

    row_of: dict[int, int] = field(default_factory=dict)
    # Where the axis of each place is, and how far along the rows begin.
    axes: dict[Any, float] = field(default_factory=dict)
    tops: list[float] = field(default_factory=list)
    # By row and place, where the line of its wires lies in the channel behind the row.
    lines: dict[tuple[int, Any], float] = field(default_factory=dict)

    def measure(self, sheet: Sheet) -> bool:
        """Find where everything stands; False where there is no Graphviz, or no order of lines that is right."""
        self._rank()
        links = self._links()
        axes = _ask_graphviz(self, links, sheet)
        if axes is None:
            return False
        self.axes = axes
        orders = []
        for row in range(self.row_of[len(self.parts)]):
            order = self._order_lines([link for link in links if self.row_at(link[0]) == row])
            if order is None:
                return False
            orders.append(order)
        self._stack(sheet, orders)
        return True

    # --- rows ---

    def _rank(self) -> None:
        """Put each part into the row below the last of its tails."""
        end = len(self.parts)
        tails: dict[int, list[int]] = {head: [] for head in range(end + 1)}
        for tail, head in self.edges:
            tails[head].append(tail)
        self.row_of = {-1: 0}
        for index in range(end):
            self.row_of[index] = 1 + max((self.row_of[tail] for tail in tails[index]), default=0)
        self.row_of[end] = 1 + max(self.row_of.values())

    def row_at(self, place: _Place) -> int:
        return place[1] if isinstance(place, tuple) else self.row_of[place]

    def _links(self) -> list[tuple[_Place, _Place]]:
        """All wires in pieces from one row to the next."""
        found: dict[tuple[_Place, _Place], None] = {}
        for tail, head in self.edges:
            for one, other in pairwise(self._way(tail, head)):
                found[one, other] = None
        return list(found)

    def _way(self, tail: int, head: int) -> list[_Place]:
        """The places by which a wire passes from row to row."""
        between = range(self.row_of[tail] + 1, self.row_of[head])
        return [tail, *((tail, row) for row in between), head]

    # --- lines ---

    def _order_lines(self, links: Sequence[tuple[_Place, _Place]]) -> list[_Place] | None:
        """The places of a row whose wires leave their axis, in an order in which none of them lies on another's.

        Where a head stands below another tail, that tail's line comes before those of the head's own tails, because
        else what comes to the head would seem to turn into it. None where that goes round.
        """
        heads: dict[_Place, list[_Place]] = {}
        tails: dict[_Place, list[_Place]] = {}
        for tail, head in links:
            heads.setdefault(tail, []).append(head)
            tails.setdefault(head, []).append(tail)
        turning = [tail for tail, found in heads.items() if any(self.axes[head] != self.axes[tail] for head in found)]
        before: dict[_Place, set[_Place]] = {tail: set() for tail in turning}
        for tail in turning:
            for head, others in tails.items():
                if self.axes[head] == self.axes[tail]:
                    for other in others:
                        if other != tail and other in before:
                            before[other].add(tail)
        try:
            return list(TopologicalSorter(before).static_order())
        except CycleError:
            return None

    def _stack(self, sheet: Sheet, orders: Sequence[Sequence[_Place]]) -> None:
        """Find where rows begin and end, and where lines lie between them."""
        end, at = len(self.parts), 0.0
        self.tops = [0.0]
        for row, order in enumerate(orders):
            words = [self.words.get(place, "") for place in self.row_of if self.row_of[place] == row]
            at += max([sheet.zone(""), *map(sheet.zone, words)])
            for number, place in enumerate(order):
                self.lines[row, place] = at + _PITCH * number
            at += _PITCH * max(len(order) - 1, 0) + TURN
            standing = [place for place in range(end) if self.row_of[place] == row + 1]
            height = max((self.parts[place].length for place in standing), default=0.0)
            self.tops.append(at)
            at += height
        self.length = at
        # What passes rows, and what comes and goes, is a wire alone.
        passing = [axis for place, axis in self.axes.items() if isinstance(place, tuple) or not 0 <= place < end]
        axes = {place: self.axes[place] for place in range(end)}
        self.left = -min([*passing, *(axis - self.parts[place].left for place, axis in axes.items())])
        self.right = max([*passing, *(axis + self.parts[place].right for place, axis in axes.items())])
        rooms = [max(part.room, sheet.word_room(self.words.get(place, ""))) for place, part in enumerate(self.parts)]
        self.room = max([self.right, *(axis + rooms[place] for place, axis in axes.items())])

    def start_of(self, index: int) -> tuple[float, float]:
        return self.axes[index], self.tops[self.row_of[index]]

    def way_of(self, tail: int, head: int) -> Path:
        """In each channel down, along the tail's line, and down."""
        found: Path = []
        for one, other in pairwise(self._way(tail, head)):
            if self.axes[one] != self.axes[other]:
                line = self.lines[self.row_at(one), one]
                found += [(self.axes[one], line), (self.axes[other], line)]
        return found


def _ask_graphviz(part: LayersPart, links: Sequence[tuple[_Place, _Place]], sheet: Sheet) -> dict[_Place, float] | None:
    """Where the axis of each place stands, that of what comes before and behind being 0; None without Graphviz."""
    if len(part.parts) > MOST_PARTS:
        return None
    places = list(dict.fromkeys(place for link in links for place in link))
    names = {place: f"n{number}" for number, place in enumerate(places)}
    end = len(part.parts)
    lines = ['digraph { nodesep=0.5; ranksep=0.5; node [shape=box fixedsize=true height=0.3 label=""]']
    for place, name in names.items():
        width = _GRID
        if isinstance(place, int) and 0 <= place < end:
            room = max(part.parts[place].room, sheet.word_room(part.words.get(place, "")))
            width = 2 * max(part.parts[place].left, room)
        lines.append(f"{name} [width={width / 72:.4f}]")
    # What passes rows is held straight.
    for tail, head in links:
        passes = isinstance(tail, tuple) and isinstance(head, tuple)
        lines.append(f"{names[tail]} -> {names[head]} [weight={_HELD if passes else 1}]")
    rows: dict[int, list[str]] = {}
    for place, name in names.items():
        rows.setdefault(part.row_at(place), []).append(name)
    lines += [f"{{ rank=same; {'; '.join(found)} }}" for found in rows.values()]
    try:
        laid = msgspec.json.decode(draw_picture("\n".join([*lines, "}"]), "json"))
    except MissingError:
        return None
    # Where the middle of each is, "x,y" in points; the rows have no such.
    at = {each["name"]: float(each["pos"].partition(",")[0]) for each in laid["objects"] if "pos" in each}
    found = {place: at[name] for place, name in names.items()}
    middle = found[-1] if -1 in found else sum(found.values()) / len(found)
    axes: dict[_Place, float] = {place: round((x - middle) / _GRID) * _GRID for place, x in found.items()}
    axes[-1] = axes[end] = 0.0
    return axes
