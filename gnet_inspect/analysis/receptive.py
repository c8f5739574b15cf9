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
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from gnet_inspect.errors import UsageError
from gnet_inspect.graph import INPUT, Graph, Node
from gnet_inspect.ops import Shape
from gnet_inspect.ops.base import POINT, AxisWindow, Window
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
        """How much of the input the output sees that sees most of it."""
        return max(
            (
                min(self.high.at(index), self.last) + min(self.low.at(-index), -self.first) + 1
                for index in self._turning()
            ),
            default=0,
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


class Field(Struct, frozen=True):
    """Of one output element, along (height, width), in elements of the network's input.

    `exact`: an output that no border cuts off sees just this; `bound`: none sees more; `all`: every output sees all
    that can be seen at all (of a model: its output does, and the numbers are those before it); `unknown`.
    """

    axes: tuple[Axis, Axis] | None
    status: Status
    # Of the widest field of any element, whole numbers; of these three there are none where nobody can tell.
    size: tuple[int, int] | None = None
    # Where the field of output (0, 0) begins, below 0 in the padding.
    offset: tuple[int, int] | None = None
    # Whole numbers too, but where outputs lie between inputs or fields differ: the mean.
    jump: tuple[float, float] | None = None

    @property
    def clipped(self) -> tuple[int, int] | None:
        """The part inside the input, of the output that sees most of it."""
        return (self.axes[0].clipped, self.axes[1].clipped) if self.axes else None


def _of(axes: tuple[Axis, Axis], exact: bool = True) -> Field:
    """A field with its numbers, worked out once for all nodes that hand it on."""
    height, width = axes
    rows = height.size, height.offset, height.jump, height.exact
    columns = rows if width is height else (width.size, width.offset, width.jump, width.exact)
    (size, offset, jump, told), (across, left, over, also) = rows, columns
    status: Status = "exact" if exact and told and also else "bound"
    return Field(axes, status, (size, across), (offset, left), (jump, over))


ALL, UNKNOWN = Field(None, "all"), Field(None, "unknown")


def receptive_fields(graph: Graph) -> dict[str, Field | None]:
    """Each node's field by name; None once the spatial axes are gone, but `ALL` behind what mixes all positions.

    Batch norm sees a point, as it does at inference: statistics of a training step are left aside.
    """
    fields: dict[str, Field | None] = {INPUT: _start(graph.input_shape)}
    # Whether the features of an (N, F) come from several positions, which a Linear mixes. A map has several.
    spread: dict[str, bool] = {}
    for node in graph.nodes:
        name = node.name
        if len(node.output_shape) != 4:
            spread[name] = any(
                spread[source] if len(shape) != 4 else shape[2] * shape[3] > 1
                for source, shape in zip(node.inputs, node.input_shapes, strict=True)
            )
        fields[name] = _field(node, [fields[source] for source in node.inputs], spread.get(name, True))
    return fields


def _start(shape: Shape) -> Field:
    height, width = (Axis(Edge(0, 1), Edge(0, 1), size, 0, size - 1) for size in shape[2:])
    return _of((height, height if shape[2] == shape[3] else width))


def _field(node: Node, sources: list[Field | None], spread: bool) -> Field | None:
    sight = node.op.sight(node.input_shapes)
    if sight is POINT and len(sources) == 1 and len(node.output_shape) == 4:
        return sources[0]
    if sight == "unknown":
        return UNKNOWN
    if any(field is ALL for field in sources):
        return ALL
    if any(field is UNKNOWN for field in sources):
        return UNKNOWN
    if sight == "all" and spread:
        return ALL
    if len(node.output_shape) != 4:
        return None
    known = [field.axes for field in sources if field is not None and field.axes is not None]
    axes = known[0] if len(known) == 1 else _hull(known)
    if sight != "all":
        axes = _seen_through(axes, sight, node.output_shape)
    field = _of(axes)
    _check_size(node.name, field)
    return field


def _seen_through(axes: tuple[Axis, Axis], window: Window, output: Shape) -> tuple[Axis, Axis]:
    if window is POINT:
        return axes
    height = axes[0].through(window[0], output[2])
    if axes[0] is axes[1] and window[0] == window[1] and output[2] == output[3]:
        return height, height
    return height, axes[1].through(window[1], output[3])


def _check_size(name: str, field: Field) -> None:
    numbers = *(field.size or ()), *(field.jump or ()), *map(abs, field.offset or ())
    if max(numbers) > LARGEST_EXACT:
        raise UsageError(f"layer `{name}`: expected a receptive field that can be counted exactly, got one above 2^53")


def model_field(graph: Graph, fields: dict[str, Field | None]) -> Field | None:
    """The field of the last node before the spatial axes vanish, the hull over all ways to the output.

    Its status is the output's: `all` where what it saw then was mixed, `unknown` without numbers.
    """
    last: dict[str, Field | None] = {INPUT: fields[INPUT]}
    for node in graph.nodes:
        field = fields[node.name]
        if field is None or field is ALL:
            before = _gathered([last[name] for name in node.inputs])
            field = replace(before, status="all") if field is ALL and before is not None else before
        last[node.name] = field
    return last[graph.output]


def _gathered(fields: Iterable[Field | None]) -> Field | None:
    """Of features of several maps, which have no place in common: all that any of them sees."""
    known = list({id(field): field for field in fields if field is not None}.values())
    if len(known) < 2:
        return known[0] if known else None
    axes = [field.axes for field in known if field.axes is not None]
    if len(axes) < len(known):
        return UNKNOWN
    height, width = (_join([pair[index].gathered() for pair in axes]) for index in (0, 1))
    alone = all(axis.count == 1 for pair in axes for axis in pair)
    return _of((height, width), alone and all(field.status == "exact" for field in known))


def _hull(known: Sequence[tuple[Axis, Axis]]) -> tuple[Axis, Axis]:
    """Of branches that meet."""
    height = _join([axes[0] for axes in known])
    if all(axes[0] is axes[1] for axes in known):
        return height, height
    return height, _join([axes[1] for axes in known])


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
