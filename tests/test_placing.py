"""How pictures are placed: that they show their drawing, and that nothing of one lies on something else of it.

The wires are read back from the lines, corners and arrowheads that are drawn, as whoever looks at a picture reads them.
"""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings

from gnet_inspect.analysis.summary import summarize
from gnet_inspect.graph.outline import DEPTHS
from gnet_inspect.language import catalogue, load_spec
from gnet_inspect.sources.spec import build_graph
from gnet_inspect.views.drawing.diagram import Box, Drawing, Frame, Options, drawing_of
from gnet_inspect.views.drawing.figures import Look, place_figure
from gnet_inspect.views.drawing.nesting import Framed, Item, Parallel, Series, Tangle, boxes_in, nest_boxes
from gnet_inspect.views.drawing.placed import Card, Placed, Route, Word
from gnet_inspect.views.drawing.svg import draw_svg
from gnet_inspect.views.drawing.themes import THEMES
from gnet_inspect.views.drawing.ushape import find_u
from gnet_inspect.views.drawing.wiring import Wiring, wiring_of
from tests.drawn import drawings, nested_drawing
from tests.tracing import (
    Rect,
    arc_rect,
    copies_of,
    letters_of,
    line_rect,
    meeting,
    overlapping,
    steps_of,
    traced,
    triangle_rect,
    whole_of,
    wiring_of_svg,
)

# In points: what words stand from lines and borders at least, and what is as good as nothing.
CLEAR, NOTHING = 2.0, 0.1
MODELS_OF_EVERY_FORM = ("googlenet", "densenet121", "unet", "swin_t", "mobilenet_v3_small", "inception_v3")


def check_picture(drawing: Drawing, look: Look) -> Placed:
    """Everything that is to be true of any picture."""
    placed = place_figure(drawing, look)
    wiring = wiring_of(placed.routes)
    check_cards(drawing, placed)
    check_wires(placed, wiring)
    wires = {(wire.tail, wire.head) for wire in drawing.wires}
    found = traced(placed, wiring)
    assert found == wires, f"missing {sorted(wires - found)}, extra {sorted(found - wires)}"
    check_axes(drawing, placed, look)
    for font in ("Roboto", "Arial"):
        check_words(placed, wiring, font)
    return placed


# --- cards and frames ---


def check_cards(drawing: Drawing, placed: Placed) -> None:
    """Each once, on the page, apart; frames around what is theirs and nothing else."""
    keys = [card.key for card in placed.cards]
    assert sorted(keys) == sorted([*drawing.pills(), *(box.key for box in drawing.boxes())])
    page = Rect(0, 0, placed.width, placed.height)
    cards = [whole_of(card) for card in placed.cards]
    borders = [whole_of(border) for border in placed.borders]
    for rect, thing in zip([*cards, *borders], [*placed.cards, *placed.borders], strict=True):
        assert page.holds(rect), f"{thing.key} leaves the page"
    for one, other in overlapping(cards):
        raise AssertionError(f"{keys[one]} lies on {keys[other]}")
    frames = {frame.key: {box.key for box in boxes_of(frame)} for frame in drawing.frames()}
    assert len(placed.borders) == len({border.key for border in placed.borders})
    inside: dict[str, set[str]] = {border.key: set() for border in placed.borders}
    for at, number in meeting(borders, cards):
        border = placed.borders[at]
        front = copies_of(border)[0]
        assert front.holds(cards[number]), f"{keys[number]} lies on the border of {border.key}"
        inside[border.key].add(keys[number])
    for key, found in inside.items():
        assert found == frames[key], f"{key} holds {found}, not {frames[key]}"
    for one, other in overlapping(borders):
        fronts = copies_of(placed.borders[one])[0], copies_of(placed.borders[other])[0]
        nested = fronts[0].holds(borders[other]) or fronts[1].holds(borders[one])
        assert nested, f"{placed.borders[one].key} and {placed.borders[other].key} overlap"


def boxes_of(frame: Frame) -> Iterator[Box]:
    for member in frame.members:
        if isinstance(member, Box):
            yield member
        else:
            yield from boxes_of(member)


# --- wires ---


def check_wires(placed: Placed, wiring: Wiring) -> None:
    """None goes through a card, or along its border."""
    outlines = [rect for card in placed.cards for rect in copies_of(card)]
    lines = [line_rect(line) for line in wiring.lines]
    corners = [arc_rect(arc) for arc in wiring.arcs]
    for rects in (lines, corners):
        for at, number in meeting(rects, [rect.grown(-NOTHING) for rect in outlines]):
            raise AssertionError(f"the wire {rects[at]} goes through the card {outlines[number]}")
    # What lies behind a line's end is the card that it ends at.
    for at, number in meeting(lines, [whole_of(card).grown(1.0) for card in placed.cards]):
        line, card = lines[at], whole_of(placed.cards[number])
        if line.left == line.right:
            ends = line.bottom <= card.top + NOTHING or line.top >= card.bottom - NOTHING
            ends = ends and card.left + 1 < line.left < card.right - 1
        else:
            ends = line.right <= card.left + NOTHING or line.left >= card.right - NOTHING
            ends = ends and card.top + 1 < line.top < card.bottom - 1
        assert ends, f"the wire {line} goes along {placed.cards[number].key} at {card}"


# --- words ---


def check_words(placed: Placed, wiring: Wiring, font: str) -> None:
    """None lies on another, on a card of others or on a line, or comes too near to one or to a border."""
    words = placed.all_words()
    letters = [letters_of(word, font) for word in words]
    page = Rect(0, 0, placed.width, placed.height)
    for word, rect in zip(words, letters, strict=True):
        assert page.holds(rect), f"{word.text!r} leaves the page in {font}"
    for one, other in overlapping(letters):
        raise AssertionError(f"{words[one].text!r} lies on {words[other].text!r} in {font}: {words[one]}")
    owned: dict[Word, Card] = {word: card for card in placed.cards for word in card.words}
    clear = [rect.grown(CLEAR) for rect in letters]
    for at, number in meeting(clear, [whole_of(card) for card in placed.cards]):
        word, card = words[at], placed.cards[number]
        assert owned.get(word) is card, f"{word.text!r} is too near to {card.key} in {font}: {word}"
        assert copies_of(card)[0].holds(clear[at]), f"{word.text!r} reaches the border of {card.key} in {font}"
    for at, number in meeting(clear, [rect for border in placed.borders for rect in sides_of(whole_of(border))]):
        raise AssertionError(f"{words[at].text!r} is too near to a frame's side {number} in {font}: {words[at]}")
    for at, number in meeting(clear, [line_rect(line) for line in wiring.lines]):
        raise AssertionError(f"{words[at].text!r} is too near to {wiring.lines[number]} in {font}: {words[at]}")
    heads = [triangle_rect(arrow) for arrow in wiring.arrows]
    for at, number in meeting(letters, [rect for rect in heads] + [rect for arc in wiring.arcs for rect in steps_of(arc)]):
        raise AssertionError(f"{words[at].text!r} lies on a corner or arrowhead {number} in {font}: {words[at]}")


def sides_of(rect: Rect) -> list[Rect]:
    left, top, right, bottom = rect
    return [
        Rect(left, top, left, bottom),
        Rect(right, top, right, bottom),
        Rect(left, top, right, top),
        Rect(left, bottom, right, bottom),
    ]


# --- axes ---


class Axes:
    """Where things stand across the flow."""

    def __init__(self, placed: Placed, look: Look) -> None:
        self.lies, self.columns = look.direction == "LR", look.columns
        self.cards = {card.key: whole_of(card) for card in placed.cards}
        self.routes = {(route.tail, route.head): route for route in placed.routes}
        self.placed = placed

    def span(self, rect: Rect) -> tuple[float, float]:
        return (rect.top, rect.bottom) if self.lies else (rect.left, rect.right)

    def axis(self, key: str) -> float:
        return sum(self.span(self.cards[key])) / 2

    def across(self, route: Route) -> list[float]:
        return [point[1 if self.lies else 0] for point in route.points]

    def reach(self, keys: set[str], ends: set[str], frames: list[tuple[Rect, set[str]]]) -> tuple[float, float]:
        """How far cards reach, with the frames around them and the wires between them, and from and to the ends."""
        spans = [self.span(self.cards[key]) for key in keys]
        spans += [self.span(rect) for rect, boxes in frames if boxes <= keys]
        for (tail, head), route in self.routes.items():
            if tail in keys | ends and head in keys | ends:
                spans.append((min(self.across(route)), max(self.across(route))))
        return min(span[0] for span in spans), max(span[1] for span in spans)


def check_axes(drawing: Drawing, placed: Placed, look: Look) -> None:
    """What follows each other stands on one axis, and branches stand evenly around it."""
    keys, edges = nested_drawing(drawing)
    nest = nest_boxes(keys, edges, drawing.inputs)
    grids = {box.key: box.output[2:] for box in drawing.boxes() if len(box.output) > 3}
    if find_u(nest, grids, {box.key for box in drawing.boxes() if box.role != "layer"}) is not None:
        return
    axes = Axes(placed, look)
    leaving = {tail: [head for other, head in edges if other == tail] for tail, _ in edges}
    coming = {head: [tail for tail, other in edges if other == head] for _, head in edges}
    if look.columns == 1:
        for tail, head in edges:
            if len(leaving[tail]) == len(coming[head]) == 1 and not tail in coming.get(tail, ()):
                off = axes.axis(tail) - axes.axis(head)
                assert abs(off) <= 0.5, f"{head} stands {off} beside {tail}"
    frames = [
        (whole_of(border), {box.key for frame in drawing.frames() if frame.key == border.key for box in boxes_of(frame)})
        for border in placed.borders
    ]
    for before, parallel, behind in parallels_in(nest):
        check_parallel(axes, before, parallel, behind, frames)


def parallels_in(item: Item | Series) -> Iterator[tuple[str, Parallel, str]]:
    """All parallels with the boxes right before and behind them, "" where none stands there."""
    if isinstance(item, Series):
        for index, inner in enumerate(item.items):
            if isinstance(inner, Parallel):
                before = item.items[index - 1] if index else ""
                behind = item.items[index + 1] if index + 1 < len(item.items) else ""
                yield before if isinstance(before, str) else "", inner, behind if isinstance(behind, str) else ""
            yield from parallels_in(inner)
    elif isinstance(item, Parallel):
        for branch in item.branches:
            if branch.series is not None:
                yield from parallels_in(branch.series)
    elif isinstance(item, Framed):
        yield from parallels_in(item.series)
    elif isinstance(item, Tangle):
        for part in item.parts:
            yield from parallels_in(part)


def check_parallel(
    axes: Axes, before: str, parallel: Parallel, behind: str, frames: list[tuple[Rect, set[str]]]
) -> None:
    ends = {key for key in (before, behind) if key}
    if len(ends) == 2 and abs(axes.axis(before) - axes.axis(behind)) > 0.5:
        # They may stand in two columns; that of the branches is the one or the other.
        assert axes.columns != 1, f"{before} and {behind} stand on two axes"
        return
    ways = [branch for branch in parallel.branches if not branch.is_aside]
    if len(ways) < len(parallel.branches) or sum(way.series is not None for way in ways) < 2 or not ends:
        return
    if len(ends) < 2 and has_wire(parallel):
        # Where a wire alone begins or ends is not told by what stands next to these branches.
        return
    left, right = axes.reach({key for way in ways if way.series for key in boxes_in(way.series)}, ends, frames)
    off = (left + right) / 2 - axes.axis(before or behind)
    assert abs(off) <= 0.5, f"the branches from {before} to {behind} stand {off} beside their axis"


def has_wire(item: Item | Series) -> bool:
    """Whether a way in it is a wire alone, or a lane."""
    if isinstance(item, Tangle):
        return True
    if isinstance(item, Parallel):
        return any(branch.series is None or has_wire(branch.series) for branch in item.branches)
    return isinstance(item, Series) and any(has_wire(inner) for inner in item.items)


# --- networks ---


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("model", catalogue())
def test_pictures_of_networks(model: str, depth: str) -> None:
    """Every model of the catalogue at every depth, from top to bottom and from left to right."""
    graph = build_graph(load_spec(model))
    summary = summarize(graph)
    drawing = drawing_of(graph, summary, Options(depth))
    for look in (Look(columns=1), Look(direction="LR")):
        check_picture(drawing, look)
    collapsed = drawing_of(graph, summary, Options(depth, collapse=True))
    if len(collapsed.boxes()) < len(drawing.boxes()):
        check_picture(collapsed, Look(cards="full"))


@settings(derandomize=True, database=None, max_examples=300, deadline=None)
@given(drawings())
def test_any_drawing_is_placed(drawing: Drawing) -> None:
    """Boxes that read what stands anywhere before them, with frames around any runs of them."""
    for look in (Look(columns=1, cards="full"), Look(direction="LR")):
        check_picture(drawing, look)
