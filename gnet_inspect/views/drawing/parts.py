"""The parts of a picture, measured: how much room each takes around its axis, and how it is put in its place.

All is computed across (u) and along (v) the flow. A part begins at its axis and ends there; between its ends lie the
ways of its wires. Where a way is joined with the next, a wire from box to box is whole.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from math import inf
from typing import Protocol

from msgspec import Struct, field

# In points. A wire's corner and its arrowhead, and what both take together.
CORNER, ARROW = 7.0, 6.5
TURN = CORNER + ARROW + 1.5
# What stands between two cards of a chain.
GAP = 22.0
# Before wires part or join: with a word beside the wire, and without.
WITH_WORD, WITHOUT_WORD = 17.0, 9.0
# Between branches that stand abreast, and between wires that run beside each other.
BESIDE, LANE = 16.0, 14.0
# What is free inside of a frame's border.
PADDING = 10.0
# How far the copies of a run look out behind it.
STACKED = 3.0

Path = list[tuple[float, float]]


def shifts_of(times: int) -> list[float]:
    """How far copies lie behind what stands for them, the hindmost first."""
    return [2 * STACKED, STACKED, 0.0] if times > 1 else [0.0]


class Sheet(Protocol):
    """What parts are put on."""

    def put_card(self, key: str, u: float, v: float, across: float, along: float) -> None: ...

    def put_border(
        self, part: "FramedPart", u: float, v: float, across: float, along: float, *, below: bool = False
    ) -> None: ...

    def put_route(self, tail: str, head: str, path: Path) -> None: ...

    def put_word(self, u: float, start: float, stop: float, text: str) -> None: ...

    def zone(self, word: str) -> float:
        """What a word beside a wire takes along it; less where there is none."""
        ...

    def word_room(self, word: str) -> float:
        """How far a word beside a wire reaches from it; 0 where there is none."""
        ...


class Ports(Struct):
    """The ways at the ends of what was placed: from its start to a box, from a box to its end, and right through."""

    entries: list[tuple[str, Path]]
    exits: list[tuple[str, Path]]
    throughs: list[Path]


def join_ports(sheet: Sheet, before: Ports, behind: Ports) -> Ports:
    """What two parts that follow each other have at their ends; the wires between them are put on the sheet."""
    for tail, path in before.exits:
        for head, rest in behind.entries:
            sheet.put_route(tail, head, [*path, *rest])
    return Ports(
        before.entries + [(head, [*way, *path]) for way in before.throughs for head, path in behind.entries],
        behind.exits + [(tail, [*path, *way]) for tail, path in before.exits for way in behind.throughs],
        [[*way, *rest] for way in before.throughs for rest in behind.throughs],
    )


class Part(Struct, eq=False):
    """How far it reaches to both sides of its axis, to the right also with the words of its wires (`room`), and how
    long it is along it."""

    left: float = 0.0
    right: float = 0.0
    room: float = 0.0
    length: float = 0.0

    def place(self, sheet: Sheet, u: float, v: float) -> Ports:
        """Put it on the sheet with its start at a point of its axis."""
        raise NotImplementedError


class CardPart(Part, eq=False):
    """One box or pill."""

    key: str = ""

    def place(self, sheet: Sheet, u: float, v: float) -> Ports:
        sheet.put_card(self.key, u - self.left, v, self.left + self.right, self.length)
        return Ports([(self.key, [(u, v)])], [(self.key, [(u, v + self.length)])], [])


class SeriesPart(Part, eq=False):
    """Parts on one axis. Before each stands a gap, and in it the word of its wire."""

    parts: Sequence[Part] = ()
    gaps: Sequence[float] = ()
    words: Sequence[str] = ()
    # The word of the wire that leads to the first, where that comes from another column.
    first_word: str = ""

    def place(self, sheet: Sheet, u: float, v: float) -> Ports:
        found, at = Ports([], [], [[(u, v)]]), v
        for index, part in enumerate(self.parts):
            start, at = at, at + self.gaps[index]
            if self.words[index]:
                sheet.put_word(u, start, at, self.words[index])
            entered = part.place(sheet, u, at)
            before = self.parts[index - 1] if index else None
            found = follow(sheet, found, (before, part), entered, (u, at, at + part.length / 2))
            at += part.length
        return found


def follow(
    sheet: Sheet, found: Ports, pair: "tuple[Part | None, Part]", entered: Ports, at: tuple[float, float, float]
) -> Ports:
    """What lies so far joined with a part that follows another one. A card is entered `at` its axis, its start along
    the flow and its middle: what comes out of branches comes to its sides, but for what comes down on its axis."""
    before, part = pair
    if not isinstance(part, CardPart) or not isinstance(before, ParallelPart):
        return join_ports(sheet, found, entered)
    u, start, middle = at

    def led(path: Path) -> Path:
        across = path[-1][0]
        if abs(across - u) < 0.01:
            return [*path, (u, start)]
        return [*path[:-1], (across, middle), (u + part.right if across > u else u - part.left, middle)]

    for tail, path in found.exits:
        sheet.put_route(tail, part.key, led(path))
    return Ports(found.entries + [(part.key, led(path)) for path in found.throughs], entered.exits, [])


class Way(Struct, eq=False):
    """One way of a parallel: its part, None for a wire alone, with the word at its end, and where it stands. One that
    does not start comes from no fork, one that does not end goes to no join."""

    part: Part | None
    word: str = ""
    starts: bool = True
    ends: bool = True
    u: float = 0.0
    v: float = 0.0


class ParallelPart(Part, eq=False):
    """Ways between a fork and a join, with what leads from the one to them, and from them to the other."""

    ways: Sequence[Way] = ()
    # Where the wires of the fork part, where the longest way ends, and where the wires of the join meet.
    fork: float = 0.0
    bottom: float = 0.0
    merge: float = 0.0
    # Whether the card that follows is entered by its sides.
    by_sides: bool = False

    def place(self, sheet: Sheet, u: float, v: float) -> Ports:
        found = Ports([], [], [])
        for way in self.ways:
            lead: Path = [(u, v)]
            if way.u:
                lead += [(u, v + self.fork), (u + way.u, v + self.fork)]
            trail = self._trail(way, u, v)
            if way.part is None:
                found.throughs.append([*lead, *trail])
                if way.word:
                    middle, half = v + (self.fork + self.bottom) / 2, sheet.zone(way.word) / 2
                    sheet.put_word(u + way.u, middle - half, middle + half, way.word)
                continue
            ports = way.part.place(sheet, u + way.u, v + way.v)
            found.entries += [(head, [*lead, *path]) for head, path in ports.entries if way.starts]
            found.exits += [(tail, [*path, *trail]) for tail, path in ports.exits if way.ends]
            found.throughs += [[*lead, *path, *trail] for path in ports.throughs if way.starts and way.ends]
            if way.word:
                end = v + way.v + way.part.length
                sheet.put_word(u + way.u, end, end + sheet.zone(way.word), way.word)
        return found

    def _trail(self, way: Way, u: float, v: float) -> Path:
        end = (u + way.u, v + self.length)
        if not way.u or self.by_sides:
            return [end]
        return [(end[0], v + self.merge), (u, v + self.merge), (u, end[1])]


class FramedPart(Part, eq=False):
    """A frame around a series, whose inner end lies `before` behind the border that wires enter by.

    Where it stands for several, their borders look out behind it, as seen: where values go up these are passed first,
    which is its `lead`.
    """

    key: str = ""
    inner: SeriesPart = field(default_factory=SeriesPart)
    before: float = 0.0
    header: str = ""
    figures: tuple[str, ...] = ()
    times: int = 1
    lead: float = 0.0

    @property
    def behind(self) -> float:
        """How far its copies look out."""
        return 2 * STACKED if self.times > 1 else 0.0

    def place(self, sheet: Sheet, u: float, v: float) -> Ports:
        across, along = self.left + self.right - self.behind, self.length - self.behind
        sheet.put_border(self, u - self.left, v + self.lead, across, along)
        ports = self.inner.place(sheet, u, v + self.before)
        start, end = (u, v), (u, v + self.length)
        return Ports(
            [(head, [start, *path]) for head, path in ports.entries],
            [(tail, [*path, end]) for tail, path in ports.exits],
            [[start, *path, end] for path in ports.throughs],
        )


class _Skyline:
    """How many spans lie on each other, where each lies on all before it that it overlaps."""

    def __init__(self) -> None:
        self.starts, self.heights = [-inf], [0]

    def add(self, low: float, high: float) -> int:
        """How many spans lie below a new one."""
        first, stop = bisect_right(self.starts, low) - 1, bisect_left(self.starts, high)
        height, behind = max(self.heights[first:stop]), self.heights[stop - 1]
        if self.starts[first] < low:
            first += 1
        again = stop == len(self.starts) or self.starts[stop] > high
        self.starts[first:stop] = [low, high] if again else [low]
        self.heights[first:stop] = [height + 1, behind] if again else [height + 1]
        return height


class TanglePart(Part, eq=False):
    """Parts of which some read more than the one before them, or are read by more than the one behind them.

    In `edges` -1 is what comes before, and the number of parts what comes behind.
    """

    parts: Sequence[Part] = ()
    edges: Sequence[tuple[int, int]] = ()
    # By part, what is written where it ends.
    words: Mapping[int, str] = field(default_factory=dict)

    def start_of(self, index: int) -> tuple[float, float]:
        """Where a part begins, from the beginning of the tangle."""
        raise NotImplementedError

    def way_of(self, tail: int, head: int) -> Path:
        """The corners of the way from the end of one part to the beginning of another one."""
        raise NotImplementedError

    def place(self, sheet: Sheet, u: float, v: float) -> Ports:
        found = Ports([], [], [])
        end = len(self.parts)
        ends = {-1: Ports([], [("", [(u, v)])], []), end: Ports([("", [(u, v + self.length)])], [], [])}
        for index, part in enumerate(self.parts):
            across, along = self.start_of(index)
            ends[index] = part.place(sheet, u + across, v + along)
            if word := self.words.get(index):
                stop = v + along + part.length
                sheet.put_word(u + across, stop, stop + sheet.zone(word), word)
        ways = {(tail, head): [(u + x, v + y) for x, y in self.way_of(tail, head)] for tail, head in self.edges}
        for (tail, head), way in ways.items():
            for left, path in ends[tail].exits:
                for right, rest in ends[head].entries:
                    self._put(sheet, found, (left, right), [*path, *way, *rest])
        self._pass_through(sheet, found, ends, ways)
        return found

    def _pass_through(
        self, sheet: Sheet, found: Ports, ends: Mapping[int, Ports], ways: Mapping[tuple[int, int], Path]
    ) -> None:
        """Wires that pass a part on a branch without a box; such a part has one tail and one head, which are boxes."""
        for index in range(len(self.parts)):
            for through in ends[index].throughs:
                (before,) = [tail for tail, head in self.edges if head == index]
                (behind,) = [head for tail, head in self.edges if tail == index]
                lead, trail = ways[before, index], ways[index, behind]
                for left, path in ends[before].exits:
                    for right, rest in ends[behind].entries:
                        self._put(sheet, found, (left, right), [*path, *lead, *through, *trail, *rest])

    @staticmethod
    def _put(sheet: Sheet, found: Ports, ends: tuple[str, str], path: Path) -> None:
        tail, head = ends
        if tail and head:
            sheet.put_route(tail, head, path)
        elif head:
            found.entries.append((head, path))
        elif tail:
            found.exits.append((tail, path))
        else:
            found.throughs.append(path)


class LanesPart(TanglePart, eq=False):
    """Parts of a tangle one below the other on the axis, and lanes beside them for each wire that skips one.

    A tail has one lane, whatever it leads to; lanes that overlap along the flow stand beside each other, longer ones
    outside.
    """

    tops: list[float] = []
    # Before each part, and before the end: where wires leave what stands before, and where they come back.
    taps: list[tuple[float, float]] = []
    lanes: dict[int, float] = field(default_factory=dict)

    def measure(self, sheet: Sheet) -> None:
        """Find where everything stands."""
        entered = {head for tail, head in self.edges if head != tail + 1}
        self.tops, self.taps, at = [], [], 0.0
        for index in range(len(self.parts) + 1):
            out = at + sheet.zone(self.words.get(index - 1, ""))
            into = out + (LANE if index in entered else 0.0)
            self.taps.append((out, into))
            at = into + TURN
            if index < len(self.parts):
                self.tops.append(at)
                at += self.parts[index].length
        self.length = at
        self.left = max(part.left for part in self.parts)
        first = max(part.room for part in self.parts)
        if self.words:
            first = max(first, *(sheet.word_room(word) for word in self.words.values()))
        self.lanes = {tail: first + LANE * (1 + lane) for tail, lane in self._share_lanes().items()}
        self.right = max((*self.lanes.values(), *(part.right for part in self.parts)))
        self.room = max(self.right, first)

    def _share_lanes(self) -> dict[int, int]:
        """The number of each tail's lane."""
        spans: dict[int, tuple[float, float]] = {}
        for tail, head in self.edges:
            if head != tail + 1:
                out, into = self.taps[tail + 1][0], self.taps[head][1]
                low, high = spans.get(tail, (out, out))
                spans[tail] = min(low, into), max(high, into)
        skyline = _Skyline()
        ordered = sorted(spans.items(), key=lambda item: (item[1][1] - item[1][0], item[0]))
        return {tail: skyline.add(low - CORNER / 2, high + CORNER / 2) for tail, (low, high) in ordered}

    def start_of(self, index: int) -> tuple[float, float]:
        return 0.0, self.tops[index]

    def way_of(self, tail: int, head: int) -> Path:
        if head == tail + 1:
            return []
        out, into, lane = self.taps[tail + 1][0], self.taps[head][1], self.lanes[tail]
        return [(0.0, out), (lane, out), (lane, into), (0.0, into)]
