"""Drawing -> Placed: where everything of a picture stands, whatever draws it.

A series stands on one axis; from a fork to its join branches stand abreast around it, and what only skips runs beside
it. All is computed across and along the flow, so that a picture from left to right is one from top to bottom with its
axes exchanged; letters alone keep their direction.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from math import ceil, inf

from msgspec import Struct

from gnet_inspect.views.drawing.captions import Caption, Captions
from gnet_inspect.views.drawing.columns import GROWTH, level_frames, place_in_columns
from gnet_inspect.views.drawing.diagram import Box, Drawing, Frame
from gnet_inspect.views.drawing.layers import LayersPart
from gnet_inspect.views.drawing.lettering import text_width
from gnet_inspect.views.drawing.nesting import (
    Framed,
    Item,
    Parallel,
    Series,
    Tangle,
    boxes_in,
    frame_runs,
    nest_boxes,
)
from gnet_inspect.views.drawing.parts import (
    ARROW,
    BESIDE,
    CORNER,
    GAP,
    LANE,
    PADDING,
    STACKED,
    TURN,
    WITH_WORD,
    WITHOUT_WORD,
    CardPart,
    FramedPart,
    LanesPart,
    ParallelPart,
    Part,
    Path,
    SeriesPart,
    Way,
)
from gnet_inspect.views.drawing.placed import TYPES, Border, Card, Placed, Route, Word, shifted
from gnet_inspect.views.drawing.themes import JOINT, class_of
from gnet_inspect.views.drawing.ushape import (
    Level,
    Placement,
    Step,
    UShape,
    find_u,
    place_u,
)

# In points: a frame's header, with figures on one line and on two.
HEADER, HIGH_HEADER = 24.0, 32.0
# How far a word stands from its wire, and how high it is.
ASIDE, WORD = 5.0, 10.5
# How much wider the fonts set such words that stand in for Roboto where a viewer shows no font of an svg.
WIDER = 1.05
CARD_HEIGHT, COMPACT_HEIGHT, PILL_HEIGHT, CIRCLE = 51.0, 22.0, 20.0, 20.0
# Cards are as wide as their text and so much, and up to a multiple, so that neighbours are equal.
CARD_PADDING, CARD_STEP, PILL_PADDING, LEAST_PILL = 26.0, 24.0, 24.0, 56.0
# The share of all cards that are as wide as the narrowest of them that fits all of these.
_COMMON = 0.8


class Arrangement(Struct, frozen=True):
    """How a drawing is arranged: its direction, whether shapes stand beside wires, and in how many columns, or to which
    ratio of width to height (0: what suits the direction)."""

    direction: str = "TB"
    shapes: bool = True
    columns: int = 0
    aspect: float = 0.0


# A stage of more boxes is not framed, nor a block of more, or of half of all, that holds blocks: no column could end
# within.
LONGEST_STAGE, LARGEST_OUTER = 9, 40
# At most so many boxes are drawn as full cards, where nobody says how.
MOST_FULL = 40


def is_compact(drawing: Drawing, cards: str) -> bool:
    """Whether cards say their kind alone: where many layers are drawn."""
    layers = sum(box.role == "layer" for box in drawing.boxes())
    return cards == "compact" or (not cards and layers > MOST_FULL)


def place_drawing(drawing: Drawing, captions: Captions, arrangement: Arrangement) -> Placed:
    """Everything of a drawing in its place."""
    return _Placer(drawing, captions, arrangement).place()


class _Placer:
    """Measures what a drawing has, and is the sheet that it is put on."""

    def __init__(self, drawing: Drawing, captions: Captions, arrangement: Arrangement) -> None:
        self.drawing, self.captions, self.arrangement = drawing, captions, arrangement
        self.lies = arrangement.direction == "LR"
        self.boxes = {box.key: box for box in drawing.boxes()}
        self.frames = {frame.key: frame for frame in drawing.frames()}
        self.pills = drawing.pills()
        self.wires = {(wire.tail, wire.head): wire for wire in drawing.wires}
        self.coming: dict[str, dict[str, None]] = {}
        self.leaving: dict[str, str] = {}
        for wire in drawing.wires:
            self.coming.setdefault(wire.head, {})[wire.label] = None
            self.leaving.setdefault(wire.tail, wire.label)
        self.cards: list[Card] = []
        self.borders: list[Border] = []
        self.routes: list[Route] = []
        self.labels: list[Word] = []
        # By box that stands in a series how far its card reaches to its right.
        self.halves: dict[str, float] = {}
        # The boxes that wires of a U enter or leave by their sides.
        self.taken: set[str] = set()
        # Whether what is measured stands in the column up of a U.
        self.rises = False

    def place(self) -> Placed:
        keys = [*self.drawing.inputs, *self.boxes]
        keys += [pill for pill in self.pills if pill not in self.drawing.inputs]
        nest = nest_boxes(keys, list(self.wires), self.drawing.inputs)
        frames = _frames_to_draw(self.drawing)
        self.drawn = frame_runs(nest, frames)
        shape = find_u(nest, self._grids(), {key for key, box in self.boxes.items() if box.role != "layer"})
        rising = {} if shape is None or self.lies else _frames_up(shape, frames, self.drawn, self.frames)
        self.drawn |= set(rising)
        self.scope = _scopes(self.drawing, self.drawn)
        self.caption = {key: self._caption(box) for key, box in self.boxes.items()}
        self.widths = self._card_widths()
        if shape is not None:
            place_u(self, self._plan_u(shape, rising), self._put_across)
            return self._framed_sheet(0)
        return self._framed_sheet(place_in_columns(self, self.measure(nest), self.arrangement, lies=self.lies))

    def _grids(self) -> dict[str, tuple[int, ...]]:
        """By box the height and width of the maps that it hands on."""
        return {key: box.output[2:] for key, box in self.boxes.items() if len(box.output) > 3}

    def _framed_sheet(self, columns: int) -> Placed:
        """What was put, from its top left corner."""
        things = [(x, y, x, y) for route in self.routes for x, y in route.points]
        drawn: list[Card | Border] = [*self.cards, *self.borders]
        for thing in drawn:
            behind = 2 * STACKED if thing.times > 1 else 0.0
            things.append((thing.x, thing.y, thing.x + thing.width + behind, thing.y + thing.height + behind))
        things += [(word.left, word.y - WORD, word.left + WIDER * word.width, word.y + 2) for word in self.labels]
        left, top = min(area[0] for area in things), min(area[1] for area in things)
        right, bottom = max(area[2] for area in things), max(area[3] for area in things)
        return shifted(
            Placed(
                right - left,
                bottom - top,
                tuple(self.cards),
                tuple(self.borders),
                tuple(self.routes),
                tuple(self.labels),
                columns=columns,
            ),
            -left,
            -top,
        )

    # --- what stands where, as words ---

    def _caption(self, box: Box) -> Caption:
        return self.captions.card(box, self._title(box))

    def _title(self, member: Box | Frame) -> str:
        """What a box or frame is called inside the frames that are drawn around it."""
        scope, own, around, times = self.scope[member.key]
        # What frames that are not drawn would have said, and what the one that is drawn says already.
        title = member.title if scope == own else f"{own.removeprefix(scope).removeprefix('.')}.{member.title}"
        shorter = title.removeprefix(f"{around}.")
        # A number alone is no name.
        shown = title if shorter[:1].isdigit() else shorter
        return f"{shown} ×{times}" if times > 1 else shown

    def word_behind(self, key: str) -> str:
        """What stands beside the wire that leaves a box: what folds into a joint, and the shape where that changes."""
        shape = self.leaving.get(key, "")
        changed = shape and shape not in self.coming.get(key, {})
        return self._shape(shape if changed else "", self._folded(key))

    def word_into(self, tail: str, head: str) -> str:
        """What stands beside a wire that enters a join: what folds into a joint that it leaves, and the shape."""
        wire = self.wires.get((tail, head))
        return self._shape(wire.label, self._folded(tail)) if wire is not None else ""

    def _folded(self, key: str) -> str:
        """What folds into a joint, which has no line for it as a card has."""
        box = self.boxes.get(key)
        return " + ".join(box.folded) if box is not None and class_of(box) == JOINT else ""

    def _shape(self, shape: str, before: str = "") -> str:
        if not self.arrangement.shapes:
            shape = ""
        return self.captions.text("  ".join(filter(None, (before, shape.replace("x", "×")))), "shape")

    def zone(self, word: str) -> float:
        if not word:
            return WITHOUT_WORD
        return WIDER * _width(word, "shape") + 2 * ASIDE if self.lies else WITH_WORD

    def gap(self, word: str) -> float:
        """What stands between two cards."""
        return max(GAP, self.zone(word) + ARROW + 2) if self.lies and word else GAP

    def word_room(self, word: str) -> float:
        if not word:
            return 0.0
        return ASIDE + (WORD if self.lies else WIDER * _width(word, "shape"))

    # --- measuring ---

    def _size(self, across: float, along: float) -> tuple[float, float]:
        """Width and height as (across, along) the flow, and back."""
        return (along, across) if self.lies else (across, along)

    def _card_widths(self) -> dict[str, float]:
        """By box how wide its card is: most are equally wide."""
        found = {}
        for key, box in self.boxes.items():
            if self.form(key) != "card":
                continue
            text = max((_width(line, kind) for line, kind in self.caption[key].lines), default=0.0)
            step = CARD_STEP / 2 if self.captions.compact and box.role == "layer" else CARD_STEP
            found[key] = ceil((text + CARD_PADDING) / step) * step
        ordered = sorted(found.values())
        common = ordered[int(_COMMON * (len(ordered) - 1))] if ordered else 0.0
        return {key: max(width, common) for key, width in found.items()}

    def form(self, key: str) -> str:
        """How a box is drawn: as a card, a pill or a circle."""
        box = self.boxes.get(key)
        if box is None or class_of(box) == JOINT:
            return "circle" if box is not None and box.sign else "pill"
        return "card"

    def measure(self, item: Item | Series, joint: str = "") -> Part:
        """The part of an item; `joint` is the box that follows it, "" where none does."""
        if isinstance(item, str):
            return self._measure_card(item)
        if isinstance(item, Series):
            return self._measure_series(item)
        if isinstance(item, Parallel):
            return self._measure_parallel(item, joint)
        if isinstance(item, Framed):
            return self._measure_framed(item)
        return self._measure_tangle(item)

    def _measure_card(self, key: str) -> CardPart:
        form, box = self.form(key), self.boxes.get(key)
        if form == "circle":
            width = height = CIRCLE
        elif form == "pill":
            text = self.captions.joint(box) if box is not None else self._pill_text(key)
            width = max(_width(text, "kind" if box else "pill") + PILL_PADDING, LEAST_PILL if box is None else 0.0)
            height = PILL_HEIGHT
        else:
            assert box is not None
            width = self.widths[key]
            height = COMPACT_HEIGHT if self.captions.compact and box.role == "layer" else CARD_HEIGHT
            if box.times > 1:
                width, height = width + 2 * STACKED, height + 2 * STACKED
        across, along = self._size(width, height)
        return CardPart(across / 2, across / 2, across / 2, along, key)

    def _pill_text(self, key: str) -> str:
        return self.captions.text(key, "pill")

    def _measure_series(self, series: Series) -> SeriesPart:
        parts = self._parts(series.items)
        words = [self._word_before(series.items, index) for index in range(len(parts))]
        gaps = [self._gap_before(series.items, index, word) for index, word in enumerate(words)]
        return SeriesPart(
            max((part.left for part in parts), default=0.0),
            max((part.right for part in parts), default=0.0),
            max((*(part.room for part in parts), *map(self.word_room, words)), default=0.0),
            sum(gaps) + sum(part.length for part in parts),
            parts,
            gaps,
            words,
        )

    def _parts(self, items: Sequence[Item]) -> list[Part]:
        """The parts of items that follow each other; their cards first, because skips lead around these."""
        cards = {item: self._measure_card(item) for item in items if isinstance(item, str)}
        self._level([card for key, card in cards.items() if self.form(key) == "card"])
        self.halves |= {key: card.right for key, card in cards.items()}
        found: list[Part] = []
        for item, behind in zip(items, [*items[1:], None], strict=True):
            joint = behind if isinstance(behind, str) else ""
            found.append(cards[item] if isinstance(item, str) else self.measure(item, joint))
        return found

    def _level(self, cards: Sequence[CardPart]) -> None:
        """Make the cards of a chain equally wide (or high, where it lies)."""
        if not self.lies:
            most = max((card.left for card in cards), default=0.0)
            for card in cards:
                card.left = card.right = card.room = most

    def _word_before(self, items: Sequence[Item], index: int) -> str:
        if not index or not (box := _last_box(items[index - 1])):
            return ""
        return self.word_behind(box)

    def _gap_before(self, items: Sequence[Item], index: int, word: str) -> float:
        if not index:
            return 0.0
        before, item = items[index - 1], items[index]
        if isinstance(item, Parallel | Tangle):
            return self.zone(word) if word else 0.0
        if isinstance(before, Tangle) or (isinstance(before, Parallel) and not _single_way(before)):
            # What joins has its way within the part before.
            return 0.0
        return self.gap(word)

    def _measure_parallel(self, parallel: Parallel, joint: str) -> ParallelPart:
        ways: list[Way] = []
        asides: list[Way] = []
        for branch in parallel.branches:
            part = self._measure_series(branch.series) if branch.series is not None else None
            way = Way(part, "", branch.starts, branch.ends)
            last = _last_box(branch.series.items[-1]) if branch.series is not None and branch.ends else ""
            if last and _single_way(parallel) is None:
                # What follows may stand elsewhere: in another part of a tangle, or across a U.
                way.word = self.word_into(last, joint) if joint else self.word_behind(last)
            (asides if branch.is_aside else ways).append(way)
        made = ParallelPart()
        beside = sum(way.part is not None for way in ways) < 2
        if beside:
            self._arrange_beside(made, ways, asides, joint)
        else:
            self._arrange_abreast(made, ways, joint)
        if asides:
            self._arrange_asides(made, asides)
        made.ways = [*ways, *asides]
        self._finish_parallel(made, joint)
        return made

    def _arrange_abreast(self, made: ParallelPart, ways: Sequence[Way], joint: str) -> None:
        """Branches in columns around the axis, their ends at one height."""
        sizes = [self._extent(way) for way in ways]
        gaps = [BESIDE] * (len(ways) - 1)
        made.left, made.right = _spread(ways, sizes, gaps)
        # What reaches far to one side may stand next to the axis, where no corner has room.
        more = _more_beside(-ways[0].u), _more_beside(ways[-1].u)
        if any(more):
            gaps[0] += more[0]
            gaps[-1] += more[1]
            made.left, made.right = _spread(ways, sizes, gaps)
        _snap(ways)
        made.room = max(way.u + size[2] for way, size in zip(ways, sizes, strict=True))
        made.fork = WITHOUT_WORD
        longest = max(way.part.length for way in ways if way.part is not None)
        made.bottom = made.fork + TURN + longest
        for way in ways:
            way.v = made.bottom - (way.part.length if way.part is not None else longest)
        half = self._half(joint)
        made.by_sides = (
            self.form(joint) == "circle" and len(ways) == 2 and min(abs(way.u) for way in ways) >= half + TURN
            if joint and joint not in self.taken
            else False
        )

    def _extent(self, way: Way) -> tuple[float, float, float]:
        """How far a way reaches to its left, and to its right without and with words."""
        room = self.word_room(way.word)
        if way.part is None:
            return LANE / 2, LANE / 2, max(LANE / 2, room)
        return way.part.left, way.part.right, max(way.part.room, room)

    def _arrange_beside(self, made: ParallelPart, ways: Sequence[Way], asides: Sequence[Way], joint: str) -> None:
        """One branch on the axis, or the wire alone; what skips it runs on its right."""
        main = next((way for way in ways if way.part is not None), ways[0])
        left, right, room = self._extent(main)
        made.left, made.right, made.room = left, max(right, 0.0), max(room, 0.0)
        forks = len(ways) > 1 or any(way.starts for way in asides)
        made.fork = WITHOUT_WORD if forks else 0.0
        length = main.part.length if main.part is not None else 0.0
        main.v = made.fork + (TURN if forks else ARROW)
        made.bottom = main.v + length
        made.by_sides = bool(joint) and joint not in self.taken
        for way in ways:
            if way is not main:
                way.u = max(made.room, self._half(joint)) + LANE
                if joint and self.form(joint) != "circle":
                    way.word = self._skip_word(joint, main)
                made.right = way.u
                made.room = max(way.u + self.word_room(way.word), way.u)

    def _skip_word(self, joint: str, main: Way) -> str:
        """The shape on a wire that skips: that of what enters the joint and is none of the branch's."""
        words = [self._shape(shape) for shape in self.coming.get(joint, ())]
        others = [word for word in words if word != main.word]
        return others[0] if others else (words[0] if words else "")

    def _arrange_asides(self, made: ParallelPart, asides: Sequence[Way]) -> None:
        """What begins or ends here, on the right of all else."""
        longest = max(way.part.length for way in asides if way.part is not None)
        made.bottom = max(made.bottom, made.fork + TURN + longest)
        for way in asides:
            left, right, room = self._extent(way)
            assert way.part is not None
            way.u = made.room + BESIDE + left
            way.v = made.fork + TURN if way.starts else made.bottom - way.part.length
            made.right, made.room = way.u + right, way.u + room

    def _finish_parallel(self, made: ParallelPart, joint: str) -> None:
        """What lies between the ends of its ways and what follows."""
        joining = [way for way in made.ways if way.ends]
        zone = max(self.zone(way.word) if way.part is not None else WITHOUT_WORD for way in joining)
        word = any(way.word for way in joining if way.part is not None)
        if len(joining) == 1 and joining[0].part is not None:
            made.merge = made.length = made.bottom
        elif made.by_sides:
            on_axis = any(way.u == 0 for way in joining)
            made.merge = made.length = made.bottom + (max(GAP, zone + ARROW) if on_axis else zone)
        else:
            made.merge = made.bottom + zone
            aside = len(joining) > 1 or any(way.u for way in joining)
            made.length = made.merge + (TURN if joint else CORNER) if aside else made.bottom + (zone if word else 0.0)

    def _half(self, joint: str) -> float:
        """How far the box that follows reaches to its right; what is no box does not reach anywhere."""
        return self.halves[joint] if joint else 0.0

    def _measure_framed(self, item: Framed) -> FramedPart:
        frame = self.frames[item.frame]
        inner = self._measure_series(item.series)
        header = self.captions.header(frame, self._title(frame))
        made = FramedPart(key=item.frame, inner=inner, header=header, times=frame.times)
        wide_name = _width(header, "name") + 2 * PADDING
        lead = 2.0 if isinstance(item.series.items[0], Parallel | Tangle) else PADDING
        behind = made.behind
        made.lead = behind if self.rises else 0.0
        left, right = inner.left + PADDING, max(inner.right, inner.room) + PADDING
        if self.lies:
            made.left, made.right = left + HEADER, right + behind
            made.before = lead + PADDING + made.lead
            made.figures, widest = self._figures_beside(frame, inf)
            least = wide_name + widest + 2 * PADDING
            made.length = max(inner.length + made.before - made.lead + PADDING, least) + behind
        else:
            made.figures, widest = self._figures_beside(frame, right - 2 * PADDING)
            made.before = (HIGH_HEADER if len(made.figures) > 1 else HEADER) + lead + made.lead
            made.left = max(left, wide_name)
            made.right = max(right, widest + 2 * PADDING) + behind
            made.length = inner.length + made.before - made.lead + PADDING + behind
        made.room = made.right
        return made

    def _figures_beside(self, frame: Frame, free: float) -> tuple[tuple[str, ...], float]:
        """The figures of a frame's header, on one line where so much is free, else one below the other; how wide."""
        figures = self.captions.frame_figures(frame)
        line = " · ".join(figures)
        shown = figures if _width(line, "number") > free else (line,) if line else ()
        return shown, max((_width(each, "number") for each in shown), default=0.0)

    def _measure_tangle(self, item: Tangle) -> Part:
        """Where each part reads the one before it, a column with lanes for the rest; else rows."""
        parts = [self._measure_series(part) for part in item.parts]
        lasts = {index: _last_box(part.items[-1]) for index, part in enumerate(item.parts)}
        words = {index: word for index, key in lasts.items() if key and (word := self.word_behind(key))}
        layers = LayersPart(parts=parts, edges=item.edges, words=words)
        if not item.is_chain and layers.measure(self):
            return layers
        lanes = LanesPart(parts=parts, edges=item.edges, words=words)
        lanes.measure(self)
        return lanes

    # --- a U ---

    def _plan_u(self, shape: UShape, rising: Mapping[str, tuple[int, int]]) -> Placement:
        """A U, measured; `rising` are the frames in its column up, by key with the places of their ends."""
        falling = [item for level in shape.levels for item in level.down] + shape.down
        forks = [sum(len(level.down) for level in shape.levels[: depth + 1]) - 1 for depth in range(len(shape.levels))]
        up = shape.column_up()
        self.taken = {_last_box(falling[fork]) for fork in forks} | {str(level.up[0]) for level in shape.levels}
        if shape.bottom:
            self.taken.add(_last_box(shape.bottom[-1]))
        self._level_column(falling)
        self._level_column(up)
        down_steps = self._steps(falling)
        level_frames([step.part for step in down_steps if isinstance(step.part, FramedPart)])
        self.rises = True
        up_flow = self._steps(up)
        self.rises = False
        # As seen from the top: the room above a step is the one before what follows it.
        steps = [
            Step(step.part, above.gap, above.word) if above is not None else Step(step.part)
            for step, above in zip(reversed(up_flow), [None, *reversed(up_flow)], strict=False)
        ]
        joins, at = [], len(shape.up)
        for level in reversed(shape.levels):
            joins.append(len(up) - 1 - at)
            at += len(level.up)
        bottom = self._measure_series(Series(shape.bottom)) if shape.bottom else None
        across = [[self._measure_card(key) for key in level.across] for level in shape.levels]
        words = [self._word_across(falling[fork], level) for fork, level in zip(forks, shape.levels, strict=True)]
        last = _last_box(falling[-1])
        word_up = _last_box((shape.bottom or falling)[-1])
        made = Placement(
            down_steps,
            steps,
            forks,
            joins[::-1],
            bottom,
            across,
            words,
            self.word_behind(last) if last and shape.bottom else "",
            self.word_behind(word_up) if word_up else "",
        )
        for key, (first, last_place) in rising.items():
            self._plan_frame(made, key, len(up) - 1 - last_place, len(up) - 1 - first)
        level_frames([framed for framed, _, _ in made.frames])
        return made

    def _level_column(self, items: Sequence[Item]) -> None:
        """Make all cards of a column equally wide, those inside of frames, too, where that lets none grow by much."""
        widths = [self.widths[key] for item in items for key in boxes_in(item) if key in self.widths]
        most = max(widths, default=0.0)
        if widths and most <= GROWTH * min(widths):
            self.widths |= {key: most for item in items for key in boxes_in(item) if key in self.widths}

    def _steps(self, items: Sequence[Item]) -> list[Step]:
        """The items of a column with what stands before each."""
        words = [self._word_before(items, index) for index in range(len(items))]
        gaps = [self._gap_before(items, index, word) for index, word in enumerate(words)]
        return [Step(*step) for step in zip(self._parts(items), gaps, words, strict=True)]

    def _word_across(self, fork: Item, level: Level) -> str:
        head = level.across[0] if level.across else str(level.up[0])
        return self.word_into(_last_box(fork), head)

    def _plan_frame(self, plan: Placement, key: str, high: int, low: int) -> None:
        """A frame around steps of the column up, and around what stands beside their joins."""
        frame = self.frames[key]
        header = self.captions.header(frame, self._title(frame))
        left = max(plan.up[index].part.left for index in range(high, low + 1))
        for join, cards in zip(plan.joins, plan.across, strict=True):
            if high <= join <= low:
                left = max(left, plan.up[join].part.left + sum(card.left + card.right + GAP for card in cards))
        right = max(
            (
                *(plan.up[index].part.room for index in range(high, low + 1)),
                *(self.word_room(plan.up[index].word) for index in range(high + 1, low + 1)),
            )
        )
        shown, widest = self._figures_beside(frame, right - PADDING)
        framed = FramedPart(
            left=max(left, _width(header, "name") + PADDING) + PADDING,
            right=max(right, widest + PADDING) + PADDING,
            key=key,
            header=header,
            figures=shown,
            before=(HIGH_HEADER if len(shown) > 1 else HEADER) + 6,
            times=frame.times,
        )
        plan.up[high].gap += framed.before
        if low + 1 < len(plan.up):
            plan.up[low + 1].gap += PADDING + framed.behind
        plan.frames.append((framed, high, low))

    def _put_across(self, start: float, stop: float, middle: float, text: str) -> None:
        if not text:
            return
        if self.lies:
            self.labels.append(Word(middle + ASIDE, (start + stop) / 2, text, "shape"))
        else:
            self.labels.append(Word((start + stop) / 2, middle - 4, text, "shape", "middle"))

    # --- the sheet ---

    def _at(self, u: float, v: float) -> tuple[float, float]:
        return (v, u) if self.lies else (u, v)

    def put_card(self, key: str, u: float, v: float, across: float, along: float) -> None:
        x, y = self._at(u, v)
        width, height = self._size(across, along)
        box, form = self.boxes.get(key), self.form(key)
        if box is None:
            words = [(self._pill_text(key), "pill")]
        elif form == "pill":
            words = [(self.captions.joint(box), "kind")]
        else:
            words = [] if form == "circle" else list(self.caption[key].lines)
        behind = 2 * STACKED if box is not None and box.times > 1 else 0.0
        width, height = width - behind, height - behind
        bar = 2.0 if form == "card" else 0.0
        lines = _stacked(words, height, compact=form != "card" or height < CARD_HEIGHT)
        placed = tuple(Word(x + width / 2 + bar, y + base, text, kind, "middle") for base, (text, kind) in lines)
        step = self.caption[key].step if key in self.caption else None
        times, sign = (box.times, box.sign) if box is not None else (1, "")
        self.cards.append(Card(key, x, y, width, height, form, placed, times, step, sign))

    def put_border(
        self, part: FramedPart, u: float, v: float, across: float, along: float, *, below: bool = False
    ) -> None:
        x, y = self._at(u, v)
        width, height = self._size(across, along)
        # In a column that goes up the header is where values come in, too.
        base = y + height - part.before + part.lead if below and not self.lies else y
        words = [Word(x + PADDING, base + 16.5, part.header, "name")]
        for index, line in enumerate(part.figures):
            words.append(Word(x + width - PADDING, base + 16 + 11 * index, line, "number", "end"))
        self.borders.append(Border(part.key, x, y, width, height, tuple(words), part.times))

    def put_route(self, tail: str, head: str, path: Path) -> None:
        # The nesting leads to its end what nobody reads, and to its beginning what reads nothing.
        if (tail, head) in self.wires:
            self.routes.append(Route(tail, head, tuple(self._at(*point) for point in straightened(path))))

    def put_word(self, u: float, start: float, stop: float, text: str) -> None:
        middle = (start + stop) / 2
        if self.lies:
            self.labels.append(Word(start + ASIDE, u + ASIDE + WORD - 2.5, text, "shape"))
        else:
            self.labels.append(Word(u + ASIDE, middle + 3, text, "shape"))


def straightened(path: Path) -> Path:
    """A way without points that are no corners of it."""
    found: Path = []
    for point in path:
        if found and abs(point[0] - found[-1][0]) < 1e-6 and abs(point[1] - found[-1][1]) < 1e-6:
            continue
        if len(found) > 1 and _in_line(found[-2], found[-1], point):
            found[-1] = point
        else:
            found.append(point)
    return found


def _in_line(one: tuple[float, float], two: tuple[float, float], three: tuple[float, float]) -> bool:
    return (abs(one[0] - two[0]) < 1e-6 and abs(two[0] - three[0]) < 1e-6) or (
        abs(one[1] - two[1]) < 1e-6 and abs(two[1] - three[1]) < 1e-6
    )


def _stacked(words: Sequence[tuple[str, str]], height: float, *, compact: bool) -> list[tuple[float, tuple[str, str]]]:
    """The lines of a card with how far below its top each has its base line."""
    if compact:
        return [(height / 2 + TYPES[kind].size * 0.36, (text, kind)) for text, kind in words[:1]]
    steps = {1: [30.0], 2: [22.5, 36.0], 3: [16.5, 30.0, 42.0]}[len(words)] if words else []
    return list(zip(steps, words, strict=True))


def _width(text: str, kind: str) -> float:
    return text_width(text, TYPES[kind].size, TYPES[kind].weight)


def _spread(
    ways: Sequence[Way], sizes: Sequence[tuple[float, float, float]], gaps: Sequence[float]
) -> tuple[float, float]:
    """Put ways beside each other around the axis; gives how far they reach to its left and right."""
    at, before = 0.0, 0.0
    for index, (way, (left, _, room)) in enumerate(zip(ways, sizes, strict=True)):
        at = before + gaps[index - 1] + left if index else 0.0
        way.u, before = at, at + room
    # A wire alone takes a lane beside what it runs along, and nothing on its other side.
    left = sizes[0][0] if ways[0].part is not None else 0.0
    right = sizes[-1][1] if ways[-1].part is not None else 0.0
    middle = (ways[0].u - left + ways[-1].u + right) / 2
    for way in ways:
        way.u -= middle
    return left - ways[0].u, ways[-1].u + right


def _more_beside(out: float) -> float:
    """What is to be put between an outer way and the next one, so that it stands on the axis or has room for corners:
    `out` is how far outside of the axis it stands, and half of what is put there is added to that."""
    if abs(out) >= 2 * CORNER:
        return 0.0
    return -2 * out if out <= BESIDE / 4 else 2 * (2 * CORNER - out)


def _snap(ways: Sequence[Way]) -> None:
    """Put the one of the inner ways on the axis that is next to it, where that moves it by no more than there is room:
    a corner needs some, too."""
    nearest = min(ways[1:-1], key=lambda way: abs(way.u), default=None)
    if nearest is not None and abs(nearest.u) <= BESIDE / 2:
        nearest.u = 0.0


def _last_box(item: Item | Series) -> str:
    """The box that an item ends with, "" where it ends with several."""
    if isinstance(item, str):
        return item
    if isinstance(item, Framed):
        return _last_box(item.series.items[-1])
    if isinstance(item, Series):
        return _last_box(item.items[-1])
    if isinstance(item, Parallel) and (way := _single_way(item)) is not None:
        return _last_box(way)
    return ""


def _single_way(parallel: Parallel) -> Series | None:
    """The one way that goes on, where all beside it end there; None where several join."""
    joining = [branch for branch in parallel.branches if branch.ends]
    return joining[0].series if len(joining) == 1 else None


def _frames_to_draw(drawing: Drawing) -> dict[str, list[str]]:
    """By frame the boxes in it. Stages are framed where nothing in them is and none is long, because columns end
    between frames; and no frame is drawn around a box alone, or around all that there is."""
    frames = drawing.frames()
    opened = any(frame.role == "block" or len(frame.members) > LONGEST_STAGE for frame in frames)
    wanted = [
        frame
        for frame in frames
        # A stage of a traced network that is called like its ends is no part that anybody wrote.
        if frame.role != "stage" or drawing.is_part or not (opened or ".." in frame.name)
    ]
    found = {frame.key: [box.key for box in frame.boxes()] for frame in wanted}
    if drawing.is_part:
        return found
    every, outer = len(drawing.boxes()), {frame.key for frame in frames if any(_frames_in(frame))}
    return {
        key: boxes
        for key, boxes in found.items()
        if 1 < len(boxes) < every and not (key in outer and len(boxes) > min(LARGEST_OUTER, every / 2))
    }


def _frames_in(frame: Frame) -> Iterator[Frame]:
    return (member for member in frame.members if isinstance(member, Frame))


def _frames_up(
    shape: UShape, frames: Mapping[str, Sequence[str]], drawn: Collection[str], every: Mapping[str, Frame]
) -> dict[str, tuple[int, int]]:
    """The frames around boxes of a U's column up, with what stands beside the joins among them: by key the places of
    the first and the last in the order of values."""
    places = {item: index for index, item in enumerate(shape.column_up()) if isinstance(item, str)}
    beside = {key: str(level.up[0]) for level in shape.levels for key in level.across}
    found: dict[str, tuple[int, int]] = {}
    for frame, boxes in frames.items():
        standing = sorted(places[key] for key in boxes if key in places)
        others = [key for key in boxes if key not in places]
        if (
            every[frame].role == "stage"
            or frame in drawn
            or len(standing) < 2
            or any(beside.get(key) not in boxes for key in others)
            # What stands beside one of its joins would lie in it, too.
            or any(join in boxes and key not in boxes for key, join in beside.items())
        ):
            continue
        first, last = standing[0], standing[-1]
        free = all(last < other[0] or other[1] < first for other in found.values())
        if free and last - first + 1 == len(standing) and last + 1 < len(shape.column_up()):
            found[frame] = first, last
    return found


def _scopes(drawing: Drawing, drawn: set[str]) -> dict[str, tuple[str, str, str, int]]:
    """By box and frame: the path of the block that is drawn around it, that of the block that it is in, the name of the
    stage that is drawn around it, and how many it stands for where no frame that is drawn says so."""
    found: dict[str, tuple[str, str, str, int]] = {}

    def walk(members: Sequence[Box | Frame], scope: str, own: str, stage: str, times: int) -> None:
        for member in members:
            found[member.key] = (scope, own, stage, times)
            if isinstance(member, Frame):
                is_drawn, is_block = member.key in drawn, member.role == "block"
                inner = member.name if is_block else ""
                around = member.name if is_drawn and not is_block else ""
                beyond = times if is_drawn else times * member.times
                walk(member.members, inner if is_drawn else scope, inner, around, beyond)

    walk(drawing.members, "", "", "", 1)
    return found
