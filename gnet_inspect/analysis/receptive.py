"""Receptive fields: what one output element sees of the network's input, how wide and where, through branches too.

A field is the hull of what is seen, the smallest rectangle around it. Along an axis it runs from a first to a last
pixel, and both are kept as functions of the output's index i. Along a chain of windows they are straight lines,
offset + i jump and, size - 1 further on, its parallel: size grows by (k - 1) jump, the offset falls by padding x jump,
and a stride multiplies the jump (Araujo et al., "Computing Receptive Fields of Convolutional Neural Networks", Distill
2019, sections "Recurrence relation" and "Alignment"). Where branches meet, the hull begins with the branch that begins
first and ends with the one that ends last, which need not be the widest.

Where outputs lie between inputs (a transposed convolution, Upsample, an adaptive pool by a broken ratio), the functions
are staircases: some outputs see more than others, the widest counts, and the jump is the mean.

Nothing is clipped: a field may reach beyond the input, into its padding, as if the maps went on. How far the outputs
that are there see is kept beside it (`first`, `last`), for what lies inside the input.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from math import ceil, floor, gcd
from typing import Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from gnet_inspect.errors import UsageError
from gnet_inspect.graph import Graph, Node, node_of
from gnet_inspect.ops import POINT, AxisWindow, Look, Shape, Shapes, Sight
from gnet_inspect.units import LARGEST_EXACT

Status = Literal["exact", "bound", "all", "unknown"]
# Fields differ from output to output, and whether one is as wide as the widest is asked of so many of them.
ASKED = 64


class Edge(Struct, frozen=True):
    """The last pixel that output i sees, origin + apart floor((step i + start) / parts), or a bound above it.

    The first pixel is the same seen from the other end of the line: minus this of -i. So one rule serves both.
    """

    origin: int
    apart: int
    step: int = 1
    start: int = 0
    parts: int = 1
    exact: bool = True

    @property
    def slope(self) -> tuple[int, int]:
        """By how much it rises from output to output, in lowest terms."""
        common = gcd(self.apart * self.step, self.parts)
        return self.apart * self.step // common, self.parts // common

    def at(self, index: int) -> int:
        """Its value at one output."""
        return self.origin + self.apart * ((self.step * index + self.start) // self.parts)

    def line(self, index: int) -> int | Fraction:
        """The straight line above the staircase, which touches it."""
        if self.parts == 1:
            return self.at(index)
        return self.origin + self.apart * Fraction(self.step * index + self.start, self.parts)

    def through(self, step: int, start: int, parts: int, count: int, exact: bool) -> "Edge":
        """The same behind a layer of `count` outputs: output i ends at input floor((step i + start) / parts)."""
        exact = exact and self.exact
        if self.parts == parts == 1:
            return Edge(self.origin + self.apart * start, self.apart * step, exact=exact)
        if self.parts == 1:
            return _edge(self.origin, self.apart, step, start, parts, exact, count)
        if parts == 1:
            step, start, parts = self.step * step, self.step * start + self.start, self.parts
        elif self.step == 1:
            # A floor of a floor is one floor.
            start, parts = start + parts * self.start, parts * self.parts
        else:
            # Stairs of stairs: never below them.
            exact = False
            step, start, parts = self.step * step, self.step * start + parts * self.start, parts * self.parts
        return _edge(self.origin, self.apart, step, start, parts, exact, count)


def _edge(origin: int, apart: int, step: int, start: int, parts: int, exact: bool, count: int) -> Edge:
    """An edge in lowest terms; a straight one keeps its step in `apart`."""
    common = gcd(step, parts)
    step, start, parts = step // common, start // common, parts // common
    while parts > LARGEST_EXACT:
        # Only to keep numbers short: a bound that is larger by nothing that shows, for each of `count` outputs.
        step, start, parts, exact = -(-step // 2), start // 2 + 1 + count, parts // 2, False
    if parts == 1:
        return Edge(origin + apart * start, apart * step, exact=exact)
    if not apart:
        return Edge(origin, 0, exact=exact)
    return Edge(origin, apart, step, start, parts, exact)


class Axis(Struct, frozen=True):
    """What `count` outputs see along one axis, of which output i lies at i in `high` and at -i in `low`."""

    low: Edge
    high: Edge
    count: int
    # The first and the last pixel that any of the outputs sees: beyond them lies padding, or what a stride leaves over.
    first: int
    last: int

    @property
    def offset(self) -> int:
        """The first pixel of output 0."""
        return -self.low.at(0)

    @property
    def size(self) -> int:
        """Of the widest field."""
        low, high = self.low, self.high
        if low.parts == high.parts == 1 and low.apart == high.apart:
            return low.origin + high.origin + 1
        if low.slope == high.slope:
            if (low.apart, low.parts) == (high.apart, high.parts):
                return high.origin + low.origin + low.apart * ((low.start + high.start) // low.parts) + 1
            return floor(low.line(0) + high.line(0)) + 1
        return max(floor(low.line(-index) + high.line(index)) for index in (0, self.count - 1)) + 1

    @property
    def jump(self) -> float:
        """From the middle of one field to the next, the mean of all."""
        if self.low.parts == self.high.parts == 1 and self.low.apart == self.high.apart:
            return self.high.apart
        (low, parts), (high, others) = self.low.slope, self.high.slope
        twice, over = low * others + high * parts, 2 * parts * others
        return twice / over if twice % over else twice // over

    @property
    def exact(self) -> bool:
        """Whether outputs that no border cuts off see just so much, some of them where they differ."""
        low, high = self.low, self.high
        if not (low.exact and high.exact):
            return False
        if low.parts == high.parts == 1:
            return low.apart == high.apart
        if low.slope != high.slope:
            return False
        most = self.size - 1
        middle = range(max(self.count // 2 - ASKED // 2, 0), min(self.count // 2 + ASKED // 2, self.count))
        inside = [index for index in middle if -low.at(-index) >= self.first and high.at(index) <= self.last]
        return any(high.at(index) + low.at(-index) == most for index in inside or middle)

    @property
    def clipped(self) -> int:
        """How much of the input the output sees that sees most of it; where all lie in padding, nothing."""
        return max(
            0,
            *(
                min(self.high.at(index), self.last) + min(self.low.at(-index), -self.first) + 1
                for index in self._turning()
            ),
        )

    def _turning(self) -> Iterator[int]:
        """The outputs about where the first is whole, and the last: more can be seen nowhere else."""
        starts = _least(self.count, lambda index: -self.low.at(-index) >= self.first)
        ends = _least(self.count, lambda index: self.high.at(index) > self.last)
        for turn in {0, starts, ends, self.count}:
            yield from range(max(turn - ASKED, 0), min(turn + ASKED, self.count))

    def through(self, window: AxisWindow, count: int) -> "Axis":
        """The same behind a layer of `count` outputs."""
        reach, step, parts, start, exact = window
        low = self.low.through(step, -start, parts, count, exact)
        high = self.high.through(step, start + reach - 1, parts, count, exact)
        return Axis(low, high, count, max(self.first, -low.at(0)), min(self.last, high.at(count - 1)))

    def gathered(self) -> "Axis":
        """All outputs as one."""
        low, high = Edge(self.low.at(0), 0, exact=self.low.exact), self.high
        high = Edge(high.at(self.count - 1), 0, exact=high.exact)
        return Axis(low, high, 1, self.first, self.last)


def _least(count: int, holds: Callable[[int], bool]) -> int:
    """The least index of so many from which on it holds; `count` where it holds of none."""
    few, many = 0, count
    while few < many:
        middle = (few + many) // 2
        if holds(middle):
            many = middle
        else:
            few = middle + 1
    return few


Axes = tuple[Axis, ...]


class Field(Struct, frozen=True):
    """Of one output element, along each spatial axis ((height, width) of images), in elements of the network's input.

    `exact`: an output that no border cuts off sees just this; `bound`: none sees more; `all`: every output sees all
    that can be seen at all (of a model: its output does, and the numbers are those before it); `unknown`.
    """

    axes: Axes | None
    status: Status
    # Of the widest field of any element, whole numbers; of these three there are none where nobody can tell.
    size: tuple[int, ...] | None = None
    # Where the field of the first output begins, below 0 in the padding.
    offset: tuple[int, ...] | None = None
    # Whole numbers too, but where outputs lie between inputs or fields differ: the mean.
    jump: tuple[float, ...] | None = None

    @property
    def clipped(self) -> tuple[int, ...] | None:
        """The part inside the input, of the output that sees most of it."""
        return tuple(axis.clipped for axis in self.axes) if self.axes else None


def _of(axes: Axes, exact: bool = True) -> Field:
    """A field with its numbers, worked out once for all nodes that hand it on."""
    first = axes[0]
    if all(axis is first for axis in axes):
        number = len(axes)
        status: Status = "exact" if exact and first.exact else "bound"
        return Field(axes, status, (first.size,) * number, (first.offset,) * number, (first.jump,) * number)
    # Axes that are the same are asked once.
    told = {id(axis): (axis.size, axis.offset, axis.jump, axis.exact) for axis in axes}
    sizes, offsets, jumps, exacts = zip(*(told[id(axis)] for axis in axes), strict=True)
    return Field(axes, "exact" if exact and all(exacts) else "bound", sizes, offsets, jumps)


ALL, UNKNOWN = Field(None, "all"), Field(None, "unknown")


class _Seen(Struct, frozen=True):
    """What is known of a value: its field, the axes of its shape along which positions lie, and those on which several
    of them are mixed: True where one axis has them all.

    Without positions there is no field; a field that is `ALL` or `UNKNOWN` has no axes.
    """

    field: Field | None = None
    spots: tuple[int, ...] = ()
    mixed: frozenset[tuple[int, bool]] = frozenset()


_NOTHING = _Seen()


def receptive_fields(graph: Graph) -> dict[str, Field | None]:
    """Each node's field by name; None once the spatial axes are gone, but `ALL` behind what mixes all positions.

    Batch norm sees a point, as it does at inference: statistics of a training step are left aside.
    """
    return {name: seen.field for name, seen in _Tracker(graph).seen.items()}


def image_fields(graph: Graph) -> dict[str, Field | None]:
    """The fields of those nodes whose positions lie as those of an image do, along all axes behind the channels in
    order; None for the others."""
    seen = _Tracker(graph).seen
    found = {}
    for node in graph.nodes:
        here = seen[node.name]
        lies = here.spots == tuple(range(2, len(node.output_shape))) and not here.mixed
        found[node.name] = here.field if lies else None
    return found


class _Tracker:
    """Follows every value of a graph from the inputs on."""

    def __init__(self, graph: Graph) -> None:
        sequences = any(node.op.ndim == 1 for node in graph.nodes)
        self.seen = {value.name: _start(value.shape, sequences) for value in graph.inputs}
        # By the ids of ops and the shapes of their inputs: what they look at, None where nobody knows, and whether that
        # is each element by itself.
        self._looks: dict[tuple[int, Shapes], tuple[tuple[Sight, ...], bool]] = {}
        # By these, and by the axes along which the positions of the one input lie: the way along them.
        self._ways: dict[tuple[int, Shapes, tuple[int, ...]], _Way | None] = {}
        for node in graph.nodes:
            self.seen[node.name] = self._behind(node)

    def _behind(self, node: Node) -> _Seen:
        key = id(node.op), node.input_shapes
        found = self._looks.get(key)
        if found is None:
            sights = node.op.sights(node.input_shapes)
            sight = sights[0] if len(sights) == 1 else None
            # What pads looks at each element by itself too, but has more of them.
            alone = sight is not None and node.output_shapes[0] == node.input_shapes[0]
            alone = alone and all(look == ((axis,), POINT) for axis, look in enumerate(sight or ()))
            found = self._looks[key] = sights[: node.op.sources], alone
        sights, alone = found
        if len(sights) == 1:
            source = self._value(node.inputs[0])
            if alone:
                return source
            if source.spots and not source.mixed and sights[0] is not None:
                straight = self._along(node, source, sights[0], key)
                if straight is not None:
                    return straight
        sources = [self._value(name) for name in node.inputs[: node.op.sources]]
        if not sights:
            return _NOTHING
        looks = [sight for sight in sights if sight is not None]
        if len(looks) < len(sights):
            return _Seen(UNKNOWN)
        if any(source.field is ALL for source in sources):
            return _Seen(ALL)
        if any(source.field is UNKNOWN for source in sources):
            return _Seen(UNKNOWN)
        return self._joined(node, looks, sources)

    def _along(self, node: Node, source: _Seen, sight: tuple[Look, ...], key: tuple[int, Shapes]) -> _Seen | None:
        """Positions of one input that stay along axes of their own, as behind most layers; None for any others."""
        known = (*key, source.spots)
        if known not in self._ways:
            self._ways[known] = _way(source.spots, sight, node.input_shapes[0], node.output_shapes[0])
        way = self._ways[known]
        if way is None:
            return None
        assert source.field is not None
        field = way.behind(source.field)
        if field is not source.field:
            _check_size(node.name, field)
        return _Seen(field, way.spots)

    def _value(self, name: str) -> _Seen:
        """What is known of a value. Of further outputs of a layer nobody is told where their positions lie."""
        if ":" not in name:
            return self.seen[name]
        seen = self.seen[node_of(name)]
        if seen is _NOTHING or seen.field in (ALL, UNKNOWN):
            return seen
        return _Seen(UNKNOWN)

    def _joined(self, node: Node, looks: list[tuple[Look, ...]], sources: list[_Seen]) -> _Seen:
        """The hull of what each source lets be seen."""
        output = node.output_shapes[0]
        passed = [
            _passed(source, look, shape, output)
            for source, look, shape in zip(sources, looks, node.input_shapes, strict=False)
            if source is not _NOTHING
        ]
        for whole in (ALL, UNKNOWN):
            if any(seen.field is whole for seen in passed):
                return _Seen(whole)
        known = {id(seen.field): seen for seen in passed if seen.field is not None}
        mixed = frozenset().union(*(seen.mixed for seen in passed))
        if not known:
            return _Seen(mixed=mixed) if mixed else _NOTHING
        spots = {seen.spots for seen in known.values()}
        if len(spots) > 1:
            return _Seen(UNKNOWN)
        axes = [seen.field.axes for seen in known.values() if seen.field and seen.field.axes]
        field = next(iter(known.values())).field if len(axes) == 1 else _of(_hull(axes))
        assert field is not None
        _check_size(node.name, field)
        return _Seen(field, spots.pop(), mixed)


def _start(shape: Shape, sequences: bool) -> _Seen:
    """An input: positions lie behind the batch and the channels; of three axes they do where a layer says so."""
    if len(shape) < 4 and not (len(shape) == 3 and sequences):
        return _NOTHING
    made: dict[int, Axis] = {}
    for size in shape[2:]:
        made.setdefault(size, Axis(Edge(0, 1), Edge(0, 1), size, 0, size - 1))
    return _Seen(_of(tuple(made[size] for size in shape[2:])), tuple(range(2, len(shape))))


def _passed(source: _Seen, looks: tuple[Look, ...], shape: Shape, output: Shape) -> _Seen:
    """What one source lets be seen behind a layer."""
    places = _places(looks, shape)
    mixed = set()
    for axis, complete in source.mixed:
        for made in places.get(axis, ()):
            if looks[made].window is None:
                return _Seen(ALL if complete else UNKNOWN)
            mixed.add((made, complete and len(places[axis]) == 1))
    if source.field is None or source.field.axes is None:
        return _Seen(mixed=frozenset(mixed)) if mixed else _NOTHING
    way = _way(source.spots, looks, shape, output)
    if way is None:
        return _scattered(source, places, shape, mixed)
    return _Seen(way.behind(source.field), way.spots, frozenset(mixed))


def _shift(looks: tuple[Look, ...], shape: Shape) -> int:
    """By how many axes a value is broadcast: of fewer axes than the output it is repeated in front."""
    return max(len(looks) - len(shape), 0) if all(look.of == (axis,) for axis, look in enumerate(looks)) else 0


def _places(looks: tuple[Look, ...], shape: Shape) -> dict[int, list[int]]:
    """By each axis of a source, the axes of the output whose elements see along it."""
    shift = _shift(looks, shape)
    places: dict[int, list[int]] = {}
    for made, look in enumerate(looks):
        for axis in look.of:
            places.setdefault(axis - shift, []).append(made)
    return places


class _Way(NamedTuple):
    """How positions pass a layer that keeps each axis of them apart: the axes of the output along which they lie, and
    for each the window through which so many outputs see; None where they are handed on."""

    spots: tuple[int, ...]
    windows: tuple[tuple[AxisWindow, int] | None, ...]

    def behind(self, field: Field) -> Field:
        """The field behind the layer. Axes that are the same behind the same windows stay one."""
        assert field.axes is not None
        made: dict[tuple[int, tuple[AxisWindow, int]], Axis] = {}
        axes = []
        for axis, window in zip(field.axes, self.windows, strict=True):
            if window is None:
                axes.append(axis)
                continue
            key = id(axis), window
            if key not in made:
                made[key] = axis.through(*window)
            axes.append(made[key])
        return _of(tuple(axes)) if made else field


def _way(spots: tuple[int, ...], looks: tuple[Look, ...], shape: Shape, output: Shape) -> _Way | None:
    """How positions along `spots` of an input pass a layer; None where they do not stay along axes of their own."""
    places, shift = _places(looks, shape), _shift(looks, shape)
    kept = [places[spot][0] for spot in spots if _is_kept(spot, places, looks, shift, shape)]
    if len(set(kept)) != len(spots):
        return None
    windows: list[tuple[AxisWindow, int] | None] = []
    for spot, place in zip(spots, kept, strict=True):
        size, count = shape[spot], output[place]
        window = looks[place].window
        if window is None:
            window = AxisWindow(size, 0)
        elif window == POINT and size == 1 < count:
            # One position stands for all of them.
            window = AxisWindow(1, 0)
        windows.append(None if window == POINT and size == count else (window, count))
    return _Way(tuple(kept), tuple(windows))


def _is_kept(spot: int, places: dict[int, list[int]], looks: tuple[Look, ...], shift: int, shape: Shape) -> bool:
    """Whether the positions along an axis are those along one axis of the output: alone, or merged with axes of one
    position each."""
    made = places.get(spot, [])
    if len(made) != 1:
        return False
    return all(axis == spot + shift or shape[axis - shift] == 1 for axis in looks[made[0]].of)


def _scattered(source: _Seen, places: dict[int, list[int]], shape: Shape, mixed: set[tuple[int, bool]]) -> _Seen:
    """Positions that no longer lie along axes of their own: on one axis all of them, or parts of them on several."""
    several = [spot for spot in source.spots if shape[spot] > 1]
    made = {place for spot in several for place in places.get(spot, ())}
    complete = len(made) == 1
    mixed |= {(place, complete) for place in made}
    return _Seen(mixed=frozenset(mixed)) if mixed else _NOTHING


def _check_size(name: str, field: Field) -> None:
    numbers = *(field.size or ()), *(field.jump or ()), *map(abs, field.offset or ())
    if max(numbers) > LARGEST_EXACT:
        raise UsageError(f"layer `{name}`: expected a receptive field that can be counted exactly, got one above 2^53")


def model_field(graph: Graph, fields: dict[str, Field | None]) -> Field | None:
    """The field of the last node before the spatial axes vanish, the hull over all ways to the output.

    Its status is the output's: `all` where what it saw then was mixed, `unknown` without numbers.
    """
    last: dict[str, Field | None] = {value.name: fields[value.name] for value in graph.inputs}
    for node in graph.nodes:
        field = fields[node.name]
        if field is None or field is ALL:
            before = _pooled(node, _gathered([last[node_of(name)] for name in node.inputs[: node.op.sources]]))
            field = replace(before, status="all") if field is ALL and before is not None else before or field
        last[node.name] = field
    return last[node_of(graph.output)]


def _pooled(node: Node, field: Field | None) -> Field | None:
    """The field of what a layer pools as a whole while it leaves the axes out: as wide as they are."""
    sizes = node.op.swallows(node.input_shapes)
    if field is None or field.axes is None or len(field.axes) != len(sizes):
        return field
    return _of(tuple(axis.through(AxisWindow(size, 0), 1) for axis, size in zip(field.axes, sizes, strict=True)))


def _gathered(fields: Iterable[Field | None]) -> Field | None:
    """Of features of several maps, which have no place in common: all that any of them sees."""
    known = list({id(field): field for field in fields if field is not None}.values())
    if len(known) < 2:
        return known[0] if known else None
    axes = [field.axes for field in known if field.axes is not None]
    if len(axes) < len(known) or len({len(of) for of in axes}) > 1:
        return UNKNOWN
    joined = tuple(_join([of[index].gathered() for of in axes]) for index in range(len(axes[0])))
    alone = all(axis.count == 1 for of in axes for axis in of)
    return _of(joined, alone and all(field.status == "exact" for field in known))


def _hull(known: Sequence[Axes]) -> Axes:
    """Of branches that meet."""
    made: dict[tuple[int, ...], Axis] = {}
    for index in range(len(known[0])):
        together = [axes[index] for axes in known]
        key = tuple(map(id, together))
        if key not in made:
            made[key] = _join(together)
    return tuple(made[tuple(id(axes[index]) for axes in known)] for index in range(len(known[0])))


def _join(axes: list[Axis]) -> Axis:
    joined = axes[0]
    for axis in axes[1:]:
        if axis is joined:
            continue
        count = axis.count
        low = _farthest(joined.low, axis.low, 1 - count, 0)
        high = _farthest(joined.high, axis.high, 0, count - 1)
        joined = Axis(low, high, count, min(joined.first, axis.first), max(joined.last, axis.last))
    return joined


def _farthest(one: Edge, other: Edge, start: int, stop: int) -> Edge:
    """Of two edges the one that lies above the other at all outputs from `start` to `stop`, or a line above both."""
    if one.parts == other.parts == 1 and one.apart == other.apart:
        return one if (one.origin, one.exact) >= (other.origin, other.exact) else other
    if _above(one, other, start, stop):
        return one
    if _above(other, one, start, stop):
        return other
    # Lines rise evenly: what lies above both at the ends lies above them between.
    first, last = (ceil(max(one.line(index), other.line(index))) for index in (start, stop))
    if start == stop:
        return Edge(first, 0, exact=False)
    return _edge(first, 1, last - first, -start * (last - first), stop - start, False, stop - start + 1)


def _above(one: Edge, other: Edge, start: int, stop: int) -> bool:
    """Whether it is nowhere below the other, as far as that is easily told."""
    # A staircase lies less than a stair below its line.
    lower = one.apart * Fraction(one.parts - 1, one.parts) if one.parts > 1 else 0
    if all(one.line(index) - lower >= other.line(index) for index in (start, stop)):
        return True
    if one.parts == other.parts == 1 or one.slope != other.slope:
        return False
    # The difference repeats itself.
    period = one.parts * other.parts // gcd(one.parts, other.parts)
    if min(period, stop - start + 1) > ASKED:
        return False
    return all(one.at(index) >= other.at(index) for index in range(start, min(start + period, stop + 1)))
