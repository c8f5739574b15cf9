"""Receptive field and jump, through branches and through upsampling.

For a window of kernel k and stride s: field_out = field_in + (k - 1) * jump_in, jump_out = jump_in * s; where branches
meet, the largest of them. Unclipped: it may reach beyond the input, into its padding. (Araujo et al., "Computing
Receptive Fields of Convolutional Neural Networks", Distill 2019, section "Recurrence relation".)

Where outputs lie between inputs (a transposed convolution, Upsample, an adaptive pool by a broken ratio), some see more
of them than others: the widest field counts, and the jump is the mean. Neighbours then share inputs, and a later window
sees several neighbours: so what is kept for each axis is how many elements of the last whole grid m of them see
together. Along a chain the field is exact, unless a stride stands behind an upsampling, of whose outputs it then reads
some only, or a transposed convolution is both dilated and strided: there it is a bound. Field sizes are whole numbers.
"""

from collections.abc import Iterable
from math import gcd

from msgspec import Struct
from msgspec.structs import replace

from gnet_inspect.errors import UsageError
from gnet_inspect.graph import INPUT, Graph
from gnet_inspect.ops.base import POINT
from gnet_inspect.ops.base import Axis as AxisWindow
from gnet_inspect.units import LARGEST_EXACT


class Axis(Struct, frozen=True):
    """What elements see along one axis.

    m neighbours see ceil((reach + step (m - 1)) / parts) elements of a grid, of which each sees `one` elements of the
    network's input and lies `apart` from the next. Where nothing is upsampled that grid is the elements' own.
    """

    one: int
    apart: int
    reach: int = 1
    step: int = 1
    parts: int = 1

    @property
    def size(self) -> int:
        return self.one + self.apart * (-(-self.reach // self.parts) - 1)

    @property
    def jump(self) -> float:
        jump = self.apart * self.step
        return jump / self.parts if jump % self.parts else jump // self.parts

    def through(self, window: AxisWindow) -> "Axis":
        """The same behind a layer."""
        reach, step, parts = window
        if parts == self.parts == 1:
            return Axis(self.one + (reach - 1) * self.apart, self.apart * step)
        if parts == 1:
            return self._reduced(self.reach + self.step * (reach - 1), self.step * step, self.parts)
        if self.step == 1:
            # A ceiling of a ceiling is one ceiling.
            return self._reduced(reach + parts * (self.reach - 1), step, parts * self.parts)
        return self._reduced(self.step * (reach - 1) + parts * self.reach, self.step * step, parts * self.parts)

    def _reduced(self, reach: int, step: int, parts: int) -> "Axis":
        while parts > LARGEST_EXACT:
            # Only to keep numbers short: a bound that is larger by nothing that shows.
            reach, step, parts = -(-reach // 2), -(-step // 2), parts // 2
        common = gcd(step, parts)
        reach, step, parts = -(-reach // common), step // common, parts // common
        if parts == 1:
            return Axis(self.one + self.apart * (reach - 1), self.apart * step)
        return Axis(self.one, self.apart, reach, step, parts)


class Field(Struct, frozen=True):
    """Of one output element, along (height, width), in elements of the network's input."""

    axes: tuple[Axis, Axis]

    @property
    def size(self) -> tuple[int, int]:
        """Whole numbers: the widest field of any element."""
        height, width = self.axes
        return height.size, width.size

    @property
    def jump(self) -> tuple[float, float]:
        """Whole numbers too, but where outputs lie between inputs: the mean."""
        height, width = self.axes
        return height.jump, width.jump


START = Field((Axis(1, 1), Axis(1, 1)))


def receptive_fields(graph: Graph) -> dict[str, Field | None]:
    """Each node's field by name; None once the spatial axes are gone."""
    fields: dict[str, Field | None] = {INPUT: START}
    for node in graph.nodes:
        if len(node.output_shape) != 4:
            fields[node.name] = None
            continue
        inputs = node.inputs
        field = fields[inputs[0]] if len(inputs) == 1 else _largest(fields[name] for name in inputs)
        window = node.op.window(node.input_shapes)
        if window is not POINT and field is not None:
            (height, width), (rows, columns) = field.axes, window
            field = Field((height.through(rows), width.through(columns)))
            if max(*field.size, *field.jump) > LARGEST_EXACT:
                raise UsageError(
                    f"layer `{node.name}`: expected a receptive field that can be counted exactly, got one above 2^53"
                )
        fields[node.name] = field
    return fields


def model_field(graph: Graph, fields: dict[str, Field | None]) -> Field | None:
    """The field of the last node before the spatial axes vanish, the largest over all ways to the output."""
    last: dict[str, Field | None] = {INPUT: START}
    for node in graph.nodes:
        last[node.name] = fields[node.name] or _largest(last[name] for name in node.inputs)
    return last[graph.output]


def _largest(fields: Iterable[Field | None]) -> Field | None:
    known = [field for field in fields if field is not None]
    if len(known) < 2:
        return known[0] if known else None
    height, width = (_widest([field.axes[index] for field in known]) for index in (0, 1))
    return Field((height, width))


def _widest(axes: list[Axis]) -> Axis:
    """The largest field with the largest jump, whichever of them they come from."""
    farthest = max(axes, key=lambda axis: (axis.jump, axis.size))
    missing = max(axis.size for axis in axes) - farthest.size
    return replace(farthest, one=farthest.one + missing) if missing else farthest
