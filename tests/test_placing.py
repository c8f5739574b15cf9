"""How pictures are placed: that they show their drawing, and that nothing of one lies on something else of it.

The wires are read back from the lines, corners and arrowheads that are drawn, as whoever looks at a picture reads them.
"""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256

import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from gnet_inspect.analysis.summary import Summary, summarize
from gnet_inspect.graph import Graph
from gnet_inspect.graph.outline import DEPTHS, Outline
from gnet_inspect.language import catalogue, load_spec
from gnet_inspect.sources.spec import build_graph
from gnet_inspect.views.drawing.diagram import MOST_BOXES, Box, Drawing, Frame, Options, drawing_of
from gnet_inspect.views.drawing.figures import Look, place_figure
from gnet_inspect.views.drawing.nesting import DEEPEST, Framed, Item, Parallel, Series, Tangle, boxes_in, nest_boxes
from gnet_inspect.views.drawing.placed import Card, Placed, Route, Word
from gnet_inspect.views.drawing.svg import draw_svg
from gnet_inspect.views.drawing.themes import JOINT, THEMES, class_of
from gnet_inspect.views.drawing.ushape import find_u
from gnet_inspect.views.drawing.wiring import Wiring, wiring_of
from tests.amount import at_least
from tests.conftest import AUXILIARIES
from tests.drawn import (
    FAMILIES,
    Edge,
    box_of,
    drawing_from,
    drawings,
    nested_drawing,
    nested_edges,
    nested_skips,
    round_drawings,
    tangled_skips,
    u_drawings,
)
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
from tests.work import lines_run

# In points: what words stand from lines and borders at least, and what is as good as nothing.
CLEAR, NOTHING = 2.0, 0.1
# Networks with what is hard to place: heads, dense blocks, a U, learned tensors, gates, branches of branches.
SHOWN = ("googlenet", "densenet121", "unet", "swin_t", "mobilenet_v3_small", "inception_v3")
MORE_LOOKS = (
    Look(),
    Look(columns=2, cards="full"),
    Look(aspect=1.0, color="macs"),
    Look(color="params", cards="compact"),
    Look(style="paper"),
    Look(shapes=False),
)
# Twice as much for twice the size is linear; a sort adds a little.
GROWTH = 2.2
PROFILE = settings(derandomize=True, database=None, deadline=None)


def check_picture(drawing: Drawing, look: Look) -> Placed:
    """Everything that is to be true of any picture."""
    placed = place_figure(drawing, look)
    check_placed(drawing, look, placed)
    return placed


def check_placed(drawing: Drawing, look: Look, placed: Placed) -> None:
    wiring = wiring_of(placed.routes)
    check_cards(drawing, placed)
    check_wires(placed, wiring)
    check_edges(drawing, placed, wiring)
    check_joints(drawing, placed)
    check_axes(drawing, placed, look)
    for font in ("Roboto", "Arial"):
        check_words(placed, wiring, font)


def check_edges(drawing: Drawing, placed: Placed, wiring: Wiring) -> None:
    """What is drawn leads from card to card as the drawing's wires do."""
    wires, found = wires_of(drawing), traced(placed, wiring)
    assert found == wires, f"missing {sorted(wires - found)}, extra {sorted(found - wires)}"


def wires_of(drawing: Drawing) -> set[tuple[str, str]]:
    return {(wire.tail, wire.head) for wire in drawing.wires}


# --- cards and frames ---


def check_cards(drawing: Drawing, placed: Placed) -> None:
    """Each once, on the page, apart; frames around what is theirs and nothing else."""
    keys = [card.key for card in placed.cards]
    assert sorted(keys) == sorted([*drawing.pills(), *(box.key for box in drawing.boxes())])
    page = Rect(0, 0, placed.width, placed.height)
    cards = [whole_of(card) for card in placed.cards]
    borders = [whole_of(border) for border in placed.borders]
    for rect, key in zip([*cards, *borders], [*keys, *(border.key for border in placed.borders)], strict=True):
        assert page.holds(rect), f"{key} leaves the page"
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


def check_joints(drawing: Drawing, placed: Placed) -> None:
    """What folds into a joint, which has no line for it, is said for each beside a wire that leaves it."""
    read = {wire.tail for wire in drawing.wires}
    joints = [box for box in drawing.boxes() if box.key in read and class_of(box) == JOINT]
    for folded, times in Counter(" + ".join(box.folded) for box in joints if box.folded).items():
        said = sum(re.split("  ", word.text)[0] == folded for word in placed.labels)
        assert said >= times, f"{folded} is said {said} times for {times} joints"


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
    pieces = [triangle_rect(arrow) for arrow in wiring.arrows]
    pieces += [rect for arc in wiring.arcs for rect in steps_of(arc)]
    for at, number in meeting(letters, pieces):
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
        """How far cards reach, with the frames around some of them and the wires between them and their ends."""
        spans = [self.span(self.cards[key]) for key in keys]
        spans += [self.span(rect) for rect, boxes in frames if boxes < keys]
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
            if len(leaving[tail]) == len(coming[head]) == 1 and tail not in coming.get(tail, ()):
                off = axes.axis(tail) - axes.axis(head)
                assert abs(off) <= 0.5, f"{head} stands {off} beside {tail}"
    frames = [
        (
            whole_of(border),
            {box.key for frame in drawing.frames() if frame.key == border.key for box in boxes_of(frame)},
        )
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


def summarized(model: str, mode: str = "eval") -> tuple[Graph, Summary]:
    graph = build_graph(load_spec(model), mode=mode)
    return graph, summarize(graph)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("model", catalogue())
def test_pictures_of_networks(model: str, depth: str) -> None:
    """Every model of the catalogue at every depth, in both directions, with cards of both sizes; where equal blocks are
    drawn once, too."""
    graph, summary = summarized(model)
    drawing = drawing_of(graph, summary, Options(depth))
    check_picture(drawing, Look(columns=1, cards="compact"))
    check_picture(drawing, Look(direction="LR", cards="full"))
    collapsed = drawing_of(graph, summary, Options(depth, collapse=True))
    if collapsed != drawing:
        check_picture(collapsed, Look(cards="full"))


@pytest.mark.parametrize("model", SHOWN)
def test_pictures_of_every_look(model: str) -> None:
    """Some models in all looks: columns to fit a page, other ratios, heat in the cards, for print, without shapes."""
    graph, summary = summarized(model)
    for depth in ("block", "layer"):
        drawing = drawing_of(graph, summary, Options(depth))
        for direction in ("TB", "LR"):
            for more in MORE_LOOKS:
                check_picture(drawing, replace(more, direction=direction))


@pytest.mark.parametrize("model", ["googlenet", *AUXILIARIES])
def test_pictures_of_networks_with_heads(model: str) -> None:
    """Heads stand beside what they do not lead to."""
    graph, summary = summarized(model, "train")
    assert len(graph.outputs) > 1
    for depth in DEPTHS:
        for look in (Look(), Look(direction="LR", columns=1)):
            check_picture(drawing_of(graph, summary, Options(depth)), look)


@pytest.mark.parametrize("model", SHOWN)
def test_pictures_of_blocks(model: str) -> None:
    """One block of every kind alone."""
    graph, summary = summarized(model)
    first: dict[str, str] = {}
    for entry in Outline(graph).entries:
        if entry.role == "block":
            first.setdefault(entry.kind, entry.name)
    for name in first.values():
        drawing = drawing_of(graph, summary, Options("layer", only=name))
        for look in (Look(), Look(direction="LR", cards="compact")):
            check_picture(drawing, look)


@pytest.mark.parametrize("model", SHOWN)
def test_an_svg_draws_the_wires(model: str) -> None:
    """Read back from its paths they are the drawing's."""
    graph, summary = summarized(model)
    drawing = drawing_of(graph, summary, Options("layer"))
    placed = place_figure(drawing, Look())
    svg = draw_svg(placed, drawing, THEMES["screen"], embed=False)
    assert traced(placed, wiring_of_svg(svg)) == wires_of(drawing)


def test_the_same_drawing_is_the_same_picture() -> None:
    """Whatever was drawn before, and in whichever process sets have which order."""
    placed = [place_figure(drawing_of(*summarized("googlenet"), Options("layer")), Look()) for _ in range(2)]
    assert placed[0] == placed[1]
    script = (
        "from tests.test_placing import *; "
        "print(hash_of(place_figure(drawing_of(*summarized('shufflenet_v2_x1_0'), Options('layer')), Look())))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", script], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def hash_of(placed: Placed) -> str:
    return sha256(repr(placed).encode()).hexdigest()


# --- drawings that no network made ---


@settings(PROFILE, max_examples=at_least(100))
@given(drawings())
def test_any_drawing_is_placed(drawing: Drawing) -> None:
    """Boxes that read what stands anywhere before them, with frames around any runs of them."""
    check_picture(drawing, Look(columns=1, cards="full"))
    check_picture(drawing, Look(direction="LR"))
    check_picture(drawing, Look(style="paper"))


@settings(PROFILE, max_examples=at_least(80))
@given(u_drawings())
def test_any_u_is_placed(drawing: Drawing) -> None:
    """What goes down and up again, with anything on the wires across, beside them and at the bottom."""
    check_picture(drawing, Look(cards="full"))
    check_picture(drawing, Look(direction="LR", style="paper"))


@settings(PROFILE, max_examples=60)
@given(round_drawings())
def test_values_that_go_round_are_drawn(drawing: Drawing) -> None:
    """As a tangle of all boxes, with every edge."""
    (tangle,) = nest_of(drawing).items
    assert isinstance(tangle, Tangle)
    check_picture(drawing, Look())
    check_picture(drawing, Look(direction="LR"))


@settings(PROFILE, max_examples=60)
@given(drawings())
def test_an_svg_draws_the_wires_of_any_drawing(drawing: Drawing) -> None:
    placed = place_figure(drawing, Look())
    svg = draw_svg(placed, drawing, THEMES["screen"], embed=False)
    assert traced(placed, wiring_of_svg(svg)) == wires_of(drawing)


# --- nesting ---


@settings(PROFILE, max_examples=at_least(80))
@given(nested_edges())
def test_what_is_series_parallel_is_no_tangle(edges: list[Edge]) -> None:
    keys = [str(number) for number in range(max(head for _, head in edges) + 1)]
    nest = nest_boxes(keys, [(str(tail), str(head)) for tail, head in edges], ["0"])
    assert sorted(boxes_in(nest)) == sorted(keys)
    assert not list(tangles_in(nest))


@settings(PROFILE, max_examples=at_least(80))
@given(drawings())
def test_every_box_is_nested_once(drawing: Drawing) -> None:
    assert sorted(boxes_in(nest_of(drawing))) == sorted([*drawing.pills(), *(box.key for box in drawing.boxes())])


@pytest.mark.parametrize("make", [nested_skips, tangled_skips])
def test_no_nesting_is_without_bound(make: Callable[[int], Drawing]) -> None:
    """300 wires around wires are nested as far as one can read, and all are drawn."""
    drawing = make(604)
    assert depth_of(nest_of(drawing)) <= DEEPEST + 2
    check_picture(drawing, Look())


def nest_of(drawing: Drawing) -> Series:
    keys, edges = nested_drawing(drawing)
    return nest_boxes(keys, edges, drawing.inputs)


def tangles_in(item: Item | Series) -> Iterator[Tangle]:
    if isinstance(item, Tangle):
        yield item
    for inner in inside_of(item):
        yield from tangles_in(inner)


def depth_of(item: Item | Series) -> int:
    """How many parallels and tangles are nested."""
    return max(map(depth_of, inside_of(item)), default=0) + isinstance(item, Parallel | Tangle)


def inside_of(item: Item | Series) -> "Sequence[Item | Series]":
    if isinstance(item, Series):
        return item.items
    if isinstance(item, Parallel):
        return [branch.series for branch in item.branches if branch.series is not None]
    if isinstance(item, Framed):
        return [item.series]
    return item.parts if isinstance(item, Tangle) else []


# --- cost ---


@pytest.mark.parametrize("name", FAMILIES)
def test_the_work_grows_in_step_with_the_drawing(name: str) -> None:
    """Twice the boxes take twice the lines of Python; skips nest first, until they are as deep as one nests."""
    few = 2 * DEEPEST + 40 if name in ("nested_skips", "tangled_skips") else 48
    place_figure(FAMILIES[name](few), Look())
    counts = [lines_run(lambda n=n: place_figure(FAMILIES[name](n), Look())) for n in (few, 2 * few, 4 * few)]  # type: ignore[misc]
    assert counts[2] - counts[1] <= GROWTH * (counts[1] - counts[0]) + 2_000, counts


@pytest.mark.parametrize("name", FAMILIES)
def test_as_many_boxes_as_a_picture_may_have_are_placed(name: str) -> None:
    drawing = FAMILIES[name](MOST_BOXES)
    placed = place_figure(drawing, Look())
    assert len(placed.cards) == MOST_BOXES + len(drawing.pills())
    assert traced(placed, wiring_of(placed.routes)) == wires_of(drawing)


# --- that these tests can fail ---


WRONG: dict[str, Callable[[Placed], Placed]] = {
    # A wire that is not drawn, and one that is not the drawing's.
    "missing .*'b1', 'b2'": lambda placed: replace(placed, routes=tuple(r for r in placed.routes if r.head != "b2")),
    "extra .*'b0', 'b3'": lambda placed: replace(
        placed,
        routes=(
            *placed.routes,
            Route("b0", "b3", (*of(placed, "b0", "b1").points[:1], *of(placed, "b1", "b3").points[1:])),
        ),
    ),
    # A card on another, off the page, out of its frame, off its axis.
    "lies on": lambda placed: with_card(placed, "b2", 60, 0),
    "leaves the page": lambda placed: with_card(placed, "b2", -900, 0),
    "holds": lambda placed: replace(placed, borders=tuple(replace(border, height=90.0) for border in placed.borders)),
    "stands .* beside": lambda placed: with_card(placed, "b0", 3, 0),
    "stand .* beside": lambda placed: with_card(placed, "b2", -6, 0),
    # A wire over a card, and beside its side.
    "goes through": lambda placed: with_wire(placed, 0.5),
    "goes along": lambda placed: with_wire(placed, 0.0),
    # A word on its wire, on another word, and next to a frame's side.
    "is too near to Line": lambda placed: with_word(placed, -5, 0),
    "lies on '": lambda placed: replace(placed, labels=(*placed.labels, placed.labels[0])),
    "frame's side": lambda placed: replace(placed, borders=tuple(replace(b, y=b.y + 12) for b in placed.borders)),
}


@pytest.mark.parametrize("said", WRONG)
def test_what_is_wrong_is_seen(said: str) -> None:
    """One thing is done to a picture, and a check says so."""
    boxes = [replace(box_of(number), title=f"conv{number}") for number in range(5)]
    edges = [(0, 1), (1, 2), (1, 3), (2, 4), (3, 4)]
    drawing, look = drawing_from(boxes, edges, [(1, 5)], [("input", 0)], [(4, "output")]), Look(columns=1)
    placed = WRONG[said](check_picture(drawing, look))
    wiring = wiring_of(placed.routes)
    found = []
    checks: tuple[Callable[[], None], ...] = (
        lambda: check_cards(drawing, placed),
        lambda: check_wires(placed, wiring),
        lambda: check_edges(drawing, placed, wiring),
        lambda: check_axes(drawing, placed, look),
        lambda: check_words(placed, wiring, "Roboto"),
    )
    for check in checks:
        try:
            check()
        except AssertionError as error:
            found.append(str(error))
    assert any(re.search(said, message) for message in found), found


def of(placed: Placed, tail: str, head: str) -> Route:
    return next(route for route in placed.routes if (route.tail, route.head) == (tail, head))


def with_card(placed: Placed, key: str, x: float, y: float) -> Placed:
    """One card is moved, without its words and wires."""
    cards = tuple(replace(card, x=card.x + x, y=card.y + y) if card.key == key else card for card in placed.cards)
    return replace(placed, cards=cards)


def with_wire(placed: Placed, across: float) -> Placed:
    """There is a wire past a card, at a share of its width."""
    card = next(card for card in placed.cards if card.key == "b2")
    x = card.x + across * card.width
    return replace(placed, routes=(*placed.routes, Route("b1", "b4", ((x, card.y - 3), (x, card.y + 30)))))


def with_word(placed: Placed, x: float, y: float) -> Placed:
    label = placed.labels[0]
    return replace(placed, labels=(replace(label, x=label.x + x, y=label.y + y), *placed.labels[1:]))
