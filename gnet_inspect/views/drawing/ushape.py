"""A network that goes down and up again, as a U: one column down, one up, and what skips goes straight across.

It is a series with a parallel of two ways, of which one is a wire, or all but one, and the other goes to a smaller grid
and comes back; that way holds the next level. Found from the nesting and the shapes, whatever the network is called.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

from msgspec import Struct, field

from gnet_inspect.views.drawing.nesting import Framed, Item, Parallel, Series, boxes_in
from gnet_inspect.views.drawing.parts import (
    CORNER,
    GAP,
    PADDING,
    TURN,
    WITHOUT_WORD,
    CardPart,
    FramedPart,
    Part,
    Path,
    Ports,
    SeriesPart,
    Sheet,
    follow,
    join_ports,
)

# At most so many boxes stand on a wire that goes across.
MOST_ACROSS = 2
# In points: between the columns at least, and around what stands between them.
LEAST_BETWEEN, AROUND = 90.0, 28.0


class Level(Struct, eq=False):
    """What stands at one level of a U: in the column down up to the fork, and in the column up from the join on; and
    the boxes on the wire that goes across from the one to the other."""

    down: list[Item]
    up: list[Item]
    across: list[str] = field(default_factory=list)


class UShape(Struct, eq=False):
    """The levels from the top, and below them what goes on down, stands at the bottom and comes up."""

    levels: list[Level]
    down: list[Item]
    bottom: list[Item]
    up: list[Item]

    def column_up(self) -> list[Item]:
        """What stands in the column up, in the order of its values."""
        found = list(self.up)
        for level in reversed(self.levels):
            found += level.up
        return found


Grid = Mapping[str, tuple[int, ...]]


def find_u(series: Series, grids: Grid, whole: Collection[str]) -> UShape | None:
    """The U that a series is, None where it is none. `grids` are the spatial sizes of what boxes hand on; those that
    are `whole` blocks may come up to a larger one inside."""
    levels: list[Level] = []
    items = list(series.items)
    while (index := _level_at(items, grids, whole)) is not None:
        parallel = items[index]
        found = _ways(parallel) if isinstance(parallel, Parallel) else None
        assert found is not None
        deep, across = found
        levels.append(Level(items[:index], items[index + 1 :], across))
        items = list(deep.items)
    if not levels:
        return None
    sizes = [_size(item, grids) for item in items]
    # Where nothing has a grid all is the bottom.
    least = min((size for size in sizes if size), default=0)
    first = next(index for index, size in enumerate(sizes) if size == least)
    rise = next((index for index in range(first, len(sizes)) if sizes[index] > least), len(sizes))
    down, bottom = items[: first + 1], items[first + 1 : rise]
    if not bottom:
        down, bottom = items[:first], items[first:rise]
    return UShape(levels, down, bottom, items[rise:])


def _level_at(items: Sequence[Item], grids: Grid, whole: Collection[str]) -> int | None:
    """Where the parallel of a level stands in a series."""
    for index, item in enumerate(items):
        if not isinstance(item, Parallel) or not index or index + 1 == len(items):
            continue
        ways, join = _ways(item), items[index + 1]
        if ways is None or not isinstance(join, str):
            continue
        fork = _last_card(items[index - 1])
        inside = [area for key in boxes_in(ways[0]) if (area := _area(key, grids))]
        if not fork or not inside or not _area(fork, grids):
            continue
        least, ends = min(inside), _size(ways[0].items[-1], grids)
        if join in whole:
            ends = max(ends, _area(join, grids))
        if least < _area(fork, grids) and ends > least:
            return index
    return None


def _ways(parallel: Parallel) -> tuple[Series, list[str]] | None:
    """The long way of two, and the boxes of the short one; None where it is not like that."""
    if len(parallel.branches) != 2 or any(branch.is_aside for branch in parallel.branches):
        return None
    ordered = sorted(parallel.branches, key=lambda branch: 0 if branch.series is None else len(branch.series.items))
    short, long = ordered[0].series, ordered[1].series
    if long is None:
        return None
    across = [item for item in short.items if isinstance(item, str)] if short is not None else []
    if short is not None and (len(across) < len(short.items) or len(across) > MOST_ACROSS):
        return None
    return long, across


def _area(key: str, grids: Grid) -> int:
    area = 1
    for size in grids.get(key, ()):
        area *= size
    return area if grids.get(key) else 0


def _size(item: Item, grids: Grid) -> int:
    """The area of what an item ends with."""
    keys = list(boxes_in(item))
    return _area(keys[-1], grids) if keys else 0


def _last_card(item: Item) -> str:
    """The box that an item ends with, "" where it ends with several."""
    while isinstance(item, Framed):
        item = item.series.items[-1]
    return item if isinstance(item, str) else ""


class Step(Struct, eq=False):
    """An item of a column: its part, and the word and the room between it and the one before it."""

    part: Part
    gap: float = 0.0
    word: str = ""
    # Where it begins, as seen: from the top.
    at: float = 0.0


class Placement(Struct, eq=False):
    """A U, measured: both columns from the top, where forks and joins stand in them, what stands at the bottom, and
    what stands on the wires across."""

    down: list[Step]
    # The column up as seen, from the top: the last of it first.
    up: list[Step]
    forks: list[int]
    joins: list[int]
    bottom: SeriesPart | None
    across: list[list[CardPart]]
    words_across: list[str]
    word_down: str = ""
    word_up: str = ""
    # Frames in the column up: by key, the places of its first and last card as seen, and what stands in the header.
    frames: list[tuple[FramedPart, int, int]] = field(default_factory=list)


def place_u(sheet: Sheet, plan: Placement, put_across: Callable[[float, float, float, str], None]) -> None:
    """Put a U on a sheet. `put_across` writes a word on a wire from one column to the other."""
    _make_room_across(plan)
    _level_rows(plan)
    left_edge = max(max(step.part.room, sheet.word_room(step.word)) for step in plan.down)
    right_edge = max(step.part.left for step in plan.up)
    for framed, _, _ in plan.frames:
        right_edge = max(right_edge, framed.left)
    wide, shift = 0.0, 0.0
    if (low := plan.bottom) is not None:
        wide = low.left + low.right + 2 * max(AROUND, low.room - low.right + CORNER)
        shift = (low.left - low.right) / 2
    for cards, word in zip(plan.across, plan.words_across, strict=True):
        taken = sum(card.left + card.right + GAP for card in cards)
        wide = max(wide, taken + sheet.word_room(word) + 2 * AROUND)
    between = max(LEAST_BETWEEN, wide)
    axis, other = 0.0, left_edge + between + right_edge
    down, forked = _put_down(sheet, plan, axis)
    bottom = _put_bottom(sheet, plan, down, axis, (left_edge + other - right_edge) / 2 + shift, other)
    _put_up(sheet, plan, bottom, forked, other, put_across)


def _make_room_across(plan: Placement) -> None:
    """Give a join so much room as what stands beside it takes along the flow, where others reach as far."""
    lefts = [step.part.left for step in plan.up]
    for join, cards in zip(plan.joins, plan.across, strict=True):
        lefts[join] += sum(card.left + card.right + GAP for card in cards)
    for join, cards in zip(plan.joins, plan.across, strict=True):
        part = plan.up[join].part
        more = _longest(cards) / 2 - part.length / 2
        reach = [left for index, left in enumerate(lefts) if index != join]
        framed = any(join in (high, low) for _, high, low in plan.frames)
        if more > 0 and (framed or max(reach, default=0.0) + CORNER > part.left + GAP):
            plan.up[join].gap += more
            if join + 1 < len(plan.up):
                plan.up[join + 1].gap += more


def _level_rows(plan: Placement) -> None:
    """Give both columns so much room between their steps that each fork stands beside its join."""
    at_fork, at_join = 0.0, 0.0
    first_down = first_up = 0
    for fork, join in zip(plan.forks, plan.joins, strict=True):
        down = _natural(plan.down, first_down, fork, at_fork, _from_top(plan.down[fork].part))
        up = _natural(plan.up, first_up, join, at_join, plan.up[join].part.length / 2)
        target = max(down, up)
        _stretch(plan.down, first_down, fork, target - down)
        _stretch(plan.up, first_up, join, target - up)
        at_fork = plan.down[fork].part.length - _from_top(plan.down[fork].part)
        at_join = plan.up[join].part.length / 2
        first_down, first_up = fork + 1, join + 1
    for steps in (plan.down, plan.up):
        at = 0.0
        for step in steps:
            at += step.gap
            step.at = at
            at += step.part.length


def _natural(steps: Sequence[Step], first: int, last: int, before: float, to_center: float) -> float:
    """How far it is from the last fork's middle, or the top, to that of the next."""
    gaps = sum(step.gap for step in steps[first : last + 1])
    return before + gaps + sum(step.part.length for step in steps[first:last]) + to_center


def _stretch(steps: Sequence[Step], first: int, last: int, more: float) -> None:
    """Share room out among the gaps of a run; the first gap of a column is none."""
    gaps = [step for step in steps[first : last + 1] if step.gap > 0 or first > 0]
    if not gaps:
        steps[first].gap += more
    for step in gaps:
        step.gap += more / len(gaps)


def _from_top(part: Part) -> float:
    """How far below the beginning of a part the middle of its last card is."""
    if isinstance(part, FramedPart):
        parts = part.inner.parts
        return part.before + sum(part.inner.gaps) + sum(each.length for each in parts[:-1]) + _from_top(parts[-1])
    return part.length / 2


def _last_part(part: Part) -> Part:
    return _last_part(part.inner.parts[-1]) if isinstance(part, FramedPart) else part


def _put_down(sheet: Sheet, plan: Placement, axis: float) -> tuple[Ports, list[tuple[str, float, float]]]:
    """The column down; gives what leaves it, and of each fork its box, its side and its middle."""
    found = Ports([], [], [[(axis, 0.0)]])
    forked = []
    for index, step in enumerate(plan.down):
        if step.word:
            sheet.put_word(axis, step.at - step.gap, step.at, step.word)
        ports = step.part.place(sheet, axis, step.at)
        before = plan.down[index - 1].part if index else None
        found = follow(sheet, found, (before, step.part), ports, (axis, step.at, step.at + step.part.length / 2))
        if index in plan.forks:
            card = _last_part(step.part)
            assert isinstance(card, CardPart)
            forked.append((card.key, axis + card.right, step.at + _from_top(step.part)))
    return found, forked


def _lowest_across(plan: Placement, level: int) -> float:
    """How far down what stands on a wire across reaches."""
    step = plan.up[plan.joins[level]]
    return step.at + step.part.length / 2 + _longest(plan.across[level]) / 2


def _longest(cards: Sequence[CardPart]) -> float:
    return max((card.length for card in cards), default=0.0)


def _put_bottom(sheet: Sheet, plan: Placement, down: Ports, left: float, middle: float, right: float) -> Ports:
    """What stands between the columns, below them; gives what leaves it, on the axis of the column up."""
    low_left = plan.down[-1].at + plan.down[-1].part.length
    low_right = plan.up[-1].at + plan.up[-1].part.length
    low = max(low_left, low_right, *(_lowest_across(plan, level) for level in range(len(plan.joins))))
    if plan.bottom is None:
        turn = low + TURN
        if plan.word_down:
            sheet.put_word(left, low_left, low_left + sheet.zone(plan.word_down), plan.word_down)
            turn = max(turn, low_left + sheet.zone(plan.word_down) + CORNER)
        down.exits = [(tail, [*path, (left, turn), (right, turn)]) for tail, path in down.exits]
        return down
    top = low + WITHOUT_WORD
    if plan.word_down:
        sheet.put_word(left, low_left, low_left + sheet.zone(plan.word_down), plan.word_down)
        top = max(top, low_left + sheet.zone(plan.word_down) + CORNER)
    parts = plan.bottom.parts
    first, last = parts[0], parts[-1]
    start, stop = top + first.length / 2, top + plan.bottom.length - last.length / 2
    ports = plan.bottom.place(sheet, middle, top)
    if isinstance(first, CardPart):
        ports.entries = [(key, [(left, start), (middle - first.left, start)]) for key, _ in ports.entries]
    else:
        down.exits = [(tail, [*path, (left, top - CORNER), (middle, top - CORNER)]) for tail, path in down.exits]
    found = join_ports(sheet, down, ports)
    if isinstance(last, CardPart):
        found.exits = [(tail, [(middle + last.right, stop), (right, stop)]) for tail, _ in found.exits]
    else:
        under = top + plan.bottom.length + CORNER
        found.exits = [(tail, [*path, (middle, under), (right, under)]) for tail, path in found.exits]
    return found


class Flipped:
    """A sheet on which what goes down goes up."""

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet

    def put_card(self, key: str, u: float, v: float, across: float, along: float) -> None:
        self.sheet.put_card(key, u, -v - along, across, along)

    def put_border(
        self, part: FramedPart, u: float, v: float, across: float, along: float, *, below: bool = False
    ) -> None:
        self.sheet.put_border(part, u, -v - along, across, along, below=not below)

    def put_route(self, tail: str, head: str, path: Path) -> None:
        self.sheet.put_route(tail, head, [(u, -v) for u, v in path])

    def put_word(self, u: float, start: float, stop: float, text: str) -> None:
        self.sheet.put_word(u, -stop, -start, text)

    def zone(self, word: str) -> float:
        return self.sheet.zone(word)

    def word_room(self, word: str) -> float:
        return self.sheet.word_room(word)


def _put_up(
    sheet: Sheet,
    plan: Placement,
    found: Ports,
    forked: Sequence[tuple[str, float, float]],
    axis: float,
    put_across: Callable[[float, float, float, str], None],
) -> None:
    """The column up, and what comes across to it."""
    flipped = Flipped(sheet)
    levels = {index: level for level, index in enumerate(plan.joins)}
    last = len(plan.up) - 1
    if plan.word_up:
        low = plan.up[last].at + plan.up[last].part.length
        for framed, high, place in plan.frames:
            if place == last:
                low = _span_of(plan, framed, high, place)[1] + framed.behind
        sheet.put_word(axis, low, low + sheet.zone(plan.word_up), plan.word_up)
    _put_frames(sheet, plan, axis)
    for index in range(last, -1, -1):
        step = plan.up[index]
        bottom = step.at + step.part.length
        ports = step.part.place(flipped, axis, -bottom)
        flat = Ports(
            [(key, [(u, -v) for u, v in path]) for key, path in ports.entries],
            [(key, [(u, -v) for u, v in path]) for key, path in ports.exits],
            [[(u, -v) for u, v in path] for path in ports.throughs],
        )
        before = plan.up[index + 1].part if index < last else None
        found = follow(sheet, found, (before, step.part), flat, (axis, bottom, step.at + step.part.length / 2))
        if index in levels:
            assert isinstance(step.part, CardPart)
            _put_skip(sheet, plan, levels[index], forked[levels[index]], step.part, axis, put_across)
        if index and (word := step.word):
            room = plan.up[index - 1]
            start, stop = room.at + room.part.length, step.at
            for framed, high, low in plan.frames:
                top, bottom = _span_of(plan, framed, high, low)
                if high == index:
                    stop = top
                if low == index - 1:
                    start = bottom + framed.behind
            sheet.put_word(axis, start, stop, word)


def _put_frames(sheet: Sheet, plan: Placement, axis: float) -> None:
    for framed, high, low in plan.frames:
        top, bottom = _span_of(plan, framed, high, low)
        sheet.put_border(framed, axis - framed.left, top, framed.left + framed.right, bottom - top)


def _span_of(plan: Placement, framed: FramedPart, high: int, low: int) -> tuple[float, float]:
    """From where to where a frame in the column up reaches, without its copies."""
    top, bottom = plan.up[high].at, plan.up[low].at + plan.up[low].part.length
    for join, cards in zip(plan.joins, plan.across, strict=True):
        if high <= join <= low:
            middle, half = plan.up[join].at + plan.up[join].part.length / 2, _longest(cards) / 2
            top, bottom = min(top, middle - half), max(bottom, middle + half)
    return top - framed.before, bottom + PADDING


def _put_skip(
    sheet: Sheet,
    plan: Placement,
    level: int,
    fork: tuple[str, float, float],
    join: CardPart,
    axis: float,
    put_across: Callable[[float, float, float, str], None],
) -> None:
    """The wire from a fork straight across to its join, and what stands on it: next to the join."""
    tail, start, middle = fork
    stop = axis - join.left
    cards = plan.across[level]
    at = stop - sum(card.left + card.right + GAP for card in cards)
    put_across(start, at, middle, plan.words_across[level])
    for card in cards:
        sheet.put_card(card.key, at, middle - card.length / 2, card.left + card.right, card.length)
        sheet.put_route(tail, card.key, [(start, middle), (at, middle)])
        tail, start = card.key, at + card.left + card.right
        at = start + GAP
    sheet.put_route(tail, join.key, [(start, middle), (stop, middle)])
