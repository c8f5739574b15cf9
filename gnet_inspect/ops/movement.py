"""What moves elements without computing any: views, copies in another order, and padding."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Annotated, Any, ClassVar

from gnet_inspect.errors import ShapeError
from gnet_inspect.ops.arguments import Choice, Integer, Integers, Number, Optional
from gnet_inspect.ops.base import (
    COUNTED_BY_NONE,
    POINT,
    AxisWindow,
    Call,
    Family,
    Look,
    OneOperator,
    Saved,
    Shape,
    Shapes,
    Sight,
    Terms,
    Weight,
    anywhere,
    pointwise,
)
from gnet_inspect.ops.spatial import channelwise, spatial
from gnet_inspect.units import dimensions

MOVEMENT = Family("movement")


class _Movement(OneOperator, frozen=True):
    """What all of them share: no weights, nothing multiplied, nothing kept for the backward pass."""

    family: ClassVar[Family] = MOVEMENT
    reads: ClassVar[str] = "either"
    keeps_output: ClassVar[bool] = False

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return ()

    def macs(self, inputs: Shapes, outputs: Shapes) -> int:
        return 0

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        return Saved()

    def differences(self, call: Call) -> Mapping[str, Terms]:
        return COUNTED_BY_NONE


class _View(_Movement, frozen=True):
    """A movement whose output is its input's memory."""

    def aliases(self, training: bool) -> int | None:
        return 0


class Identity(_View, frozen=True):
    """torch.nn.Identity."""

    module: ClassVar[str] = "torch.nn.Identity"

    def sight(self, inputs: Shapes) -> Sight:
        return pointwise(inputs[0])


class Flatten(_View, frozen=True):
    """torch.nn.Flatten."""

    shorthand: ClassVar[str] = "flatten"
    module: ClassVar[str] = "torch.nn.Flatten"
    may_copy: ClassVar[bool] = True

    start_dim: Annotated[int, Integer(None)] = 1
    end_dim: Annotated[int, Integer(None)] = -1

    def _ends(self, shape: Shape) -> tuple[int, int]:
        return self.start_dim % len(shape), self.end_dim % len(shape)

    def output_shape(self, inputs: Shapes) -> Shape:
        shape = inputs[0]
        rank = len(shape)
        if not all(-rank <= dim < rank for dim in (self.start_dim, self.end_dim)):
            raise ShapeError(
                f"Flatten expects dims from {-rank} to {rank - 1} for {dimensions(shape)}, "
                f"got {self.start_dim} and {self.end_dim}"
            )
        start, end = self._ends(shape)
        if start > end:
            raise ShapeError(f"Flatten expects start_dim before end_dim, got {self.start_dim} and {self.end_dim}")
        return *shape[:start], prod(shape[start : end + 1]), *shape[end + 1 :]

    def sight(self, inputs: Shapes) -> Sight:
        start, end = self._ends(inputs[0])
        before = (Look((axis,)) for axis in range(start))
        behind = (Look((axis,)) for axis in range(end + 1, len(inputs[0])))
        return (*before, Look(tuple(range(start, end + 1))), *behind)


class Unflatten(_View, frozen=True):
    """torch.nn.Unflatten: one axis as several; one of their sizes may be -1."""

    module: ClassVar[str] = "torch.nn.Unflatten"

    dim: Annotated[int, Integer(None)]
    unflattened_size: Annotated[tuple[int, ...], Integers(Integer(-1, nonzero=True))]

    def output_shape(self, inputs: Shapes) -> Shape:
        shape = inputs[0]
        axis = axis_of("Unflatten", self.dim, shape)
        return *shape[:axis], *filled("Unflatten", self.unflattened_size, shape[axis]), *shape[axis + 1 :]

    def sight(self, inputs: Shapes) -> Sight:
        return _regrouped(inputs[0], self.output_shape(inputs))


class Reshape(_View, frozen=True):
    """torch.Tensor.reshape: the same elements in another shape; one size may be -1, and 0 keeps the input's at its
    place. A view where the input lies in the order of its sizes, as what most layers make does; else it may be a
    copy."""

    module: ClassVar[str] = "gnet_inspect.runtime.moving.Reshape"
    may_copy: ClassVar[bool] = True

    shape: Annotated[tuple[int, ...], Integers(Integer(-1))]

    def output_shape(self, inputs: Shapes) -> Shape:
        given = inputs[0]
        if any(size == 0 and index >= len(given) for index, size in enumerate(self.shape)):
            raise ShapeError(f"Reshape expects 0 only where {dimensions(given)} has a size, got {list(self.shape)}")
        sizes = tuple(size or given[index] for index, size in enumerate(self.shape))
        return filled("Reshape", sizes, prod(given))

    def sight(self, inputs: Shapes) -> Sight:
        return _regrouped(inputs[0], self.output_shape(inputs))

    def describe(self) -> str:
        return f"Reshape {'x'.join('same' if size == 0 else str(size) for size in self.shape)}"


class Permute(_View, frozen=True):
    """torch.permute: the axes in another order, as a view."""

    module: ClassVar[str] = "gnet_inspect.runtime.moving.Permute"
    reorders: ClassVar[bool] = True

    dims: Annotated[tuple[int, ...], Integers(Integer(None))]

    def _order(self, shape: Shape) -> tuple[int, ...]:
        return tuple(dim % len(shape) for dim in self.dims)

    def output_shape(self, inputs: Shapes) -> Shape:
        shape = inputs[0]
        if len(self.dims) != len(shape) or sorted(self._order(shape)) != list(range(len(shape))):
            raise ShapeError(f"Permute expects each axis of {dimensions(shape)} once, got {list(self.dims)}")
        return tuple(shape[axis] for axis in self._order(shape))

    def sight(self, inputs: Shapes) -> Sight:
        return tuple(Look((axis,)) for axis in self._order(inputs[0]))

    def describe(self) -> str:
        return f"Permute {' '.join(map(str, self.dims))}"


class Unsqueeze(_View, frozen=True):
    """torch.unsqueeze: one more axis, of size 1."""

    module: ClassVar[str] = "gnet_inspect.runtime.moving.Unsqueeze"

    dim: Annotated[int, Integer(None)]

    def _axis(self, shape: Shape) -> int:
        return self.dim % (len(shape) + 1)

    def output_shape(self, inputs: Shapes) -> Shape:
        shape, rank = inputs[0], len(inputs[0]) + 1
        if not -rank <= self.dim < rank:
            raise ShapeError(
                f"Unsqueeze expects dim from {-rank} to {rank - 1} for {dimensions(shape)}, got {self.dim}"
            )
        axis = self._axis(shape)
        return *shape[:axis], 1, *shape[axis:]

    def sight(self, inputs: Shapes) -> Sight:
        axis, rank = self._axis(inputs[0]), len(inputs[0])
        return (
            *(Look((index,)) for index in range(axis)),
            Look(()),
            *(Look((index,)) for index in range(axis, rank)),
        )


class Slice(_View, frozen=True):
    """Elements `start`, `start + step`, ... before `stop` along one axis, as a view; numbers below 0 count from the
    end, and a `stop` that is not there is the end."""

    module: ClassVar[str] = "gnet_inspect.runtime.moving.Slice"
    leaves_gaps: ClassVar[bool] = True

    dim: Annotated[int, Integer(None)] = 1
    start: Annotated[int, Integer(None)] = 0
    stop: Annotated[int | None, Optional(Integer(None))] = None
    step: Annotated[int, Integer(1)] = 1

    @property
    def kind(self) -> str:
        return "Slice"

    def _range(self, size: int) -> range:
        return range(*slice(self.start, self.stop, self.step).indices(size))

    def output_shape(self, inputs: Shapes) -> Shape:
        shape = inputs[0]
        axis = axis_of(self.kind, self.dim, shape)
        size = len(self._range(shape[axis]))
        if not size or self.start >= shape[axis] or (self.stop is not None and self.stop > shape[axis]):
            raise ShapeError(
                f"{self.kind} expects a part of the {shape[axis]} along axis {axis} of {dimensions(shape)}, "
                f"got {self.start} to {'the end' if self.stop is None else self.stop}"
            )
        return *shape[:axis], size, *shape[axis + 1 :]

    def sight(self, inputs: Shapes) -> Sight:
        axis = self.dim % len(inputs[0])
        window = AxisWindow(1, self.step, start=self._range(inputs[0][axis]).start)
        return tuple(Look((index,), window if index == axis else AxisWindow()) for index in range(len(inputs[0])))

    def describe(self) -> str:
        stop = "" if self.stop is None else self.stop
        step = "" if self.step == 1 else f":{self.step}"
        return f"Slice {self.start}:{stop}{step}" + ("" if self.dim == 1 else f" of axis {self.dim}")


class Roll(_Movement, frozen=True):
    """torch.roll: each of the axes `dims` shifted by its number of `shifts`; what leaves at one end enters at the
    other."""

    module: ClassVar[str] = "gnet_inspect.runtime.moving.Roll"

    shifts: Annotated[tuple[int, ...], Integers(Integer(None), single=True)]
    dims: Annotated[tuple[int, ...], Integers(Integer(None), single=True)]

    def output_shape(self, inputs: Shapes) -> Shape:
        if len(self.shifts) != len(self.dims):
            raise ShapeError(f"Roll expects a shift for each axis, got {len(self.shifts)} and {len(self.dims)}")
        for dim in self.dims:
            axis_of("Roll", dim, inputs[0])
        return inputs[0]

    def sight(self, inputs: Shapes) -> Sight:
        rolled = {dim % len(inputs[0]) for dim in self.dims}
        # One position each; behind the seam it is one from the other end.
        return tuple(Look((axis,), anywhere(size) if axis in rolled else POINT) for axis, size in enumerate(inputs[0]))


class ChannelShuffle(_Movement, frozen=True):
    """torch.nn.ChannelShuffle: channels of `groups` groups interleaved (Zhang et al., ShuffleNet, 2018)."""

    module: ClassVar[str] = "torch.nn.ChannelShuffle"

    groups: Annotated[int, Integer(1)]

    def output_shape(self, inputs: Shapes) -> Shape:
        shape = inputs[0]
        if len(shape) < 3 or shape[1] % self.groups:
            raise ShapeError(
                f"ChannelShuffle expects an input N x C x ... with C divisible by its {self.groups} groups, "
                f"got {dimensions(shape)}"
            )
        return shape

    def sight(self, inputs: Shapes) -> Sight:
        return _between_channels(inputs[0], (POINT,) * (len(inputs[0]) - 2))

    def describe(self) -> str:
        return f"ChannelShuffle {self.groups}"


class PixelShuffle(_Movement, frozen=True):
    """torch.nn.PixelShuffle: (N, C r r, H, W) -> (N, C, H r, W r) (Shi et al. 2016)."""

    module: ClassVar[str] = "torch.nn.PixelShuffle"

    upscale_factor: Annotated[int, Integer(1)]

    def output_shape(self, inputs: Shapes) -> Shape:
        batch, channels, height, width = spatial("PixelShuffle", inputs, 2)
        factor = self.upscale_factor
        if channels % factor**2:
            raise ShapeError(
                f"PixelShuffle expects channels divisible by {factor**2}, the factor squared, got {channels}"
            )
        return batch, channels // factor**2, height * factor, width * factor

    def sight(self, inputs: Shapes) -> Sight:
        # Output i reads floor(i / factor).
        window = AxisWindow(self.upscale_factor, 1, self.upscale_factor, 1 - self.upscale_factor)
        return _between_channels(inputs[0], (window, window))

    def describe(self) -> str:
        return f"PixelShuffle {self.upscale_factor}"


class PixelUnshuffle(_Movement, frozen=True):
    """torch.nn.PixelUnshuffle: (N, C, H r, W r) -> (N, C r r, H, W)."""

    module: ClassVar[str] = "torch.nn.PixelUnshuffle"

    downscale_factor: Annotated[int, Integer(1)]

    def output_shape(self, inputs: Shapes) -> Shape:
        batch, channels, height, width = spatial("PixelUnshuffle", inputs, 2)
        factor = self.downscale_factor
        if height % factor or width % factor:
            raise ShapeError(f"PixelUnshuffle expects sizes divisible by {factor}, got {height}x{width}")
        return batch, channels * factor**2, height // factor, width // factor

    def sight(self, inputs: Shapes) -> Sight:
        # Each channel has one position of the window, all of them together have all.
        window = AxisWindow(self.downscale_factor, self.downscale_factor, exact=self.downscale_factor == 1)
        return _between_channels(inputs[0], (window, window))

    def describe(self) -> str:
        return f"PixelUnshuffle {self.downscale_factor}"


class ZeroPad2d(_Movement, frozen=True):
    """torch.nn.ZeroPad2d: [left, right, top, bottom] zeros, or one number for all; negative ones cut."""

    module: ClassVar[str] = "torch.nn.ZeroPad2d"

    padding: Annotated[tuple[int, ...], Integers(Integer(None), single=True)]

    def output_shape(self, inputs: Shapes) -> Shape:
        batch, channels, height, width = spatial("ZeroPad2d", inputs, 2)
        if len(self.padding) not in (1, 4):
            raise ShapeError(f"ZeroPad2d expects one number or [left, right, top, bottom], got {list(self.padding)}")
        left, right, top, bottom = self.padding * (4 if len(self.padding) == 1 else 1)
        rows, columns = height + top + bottom, width + left + right
        if rows < 1 or columns < 1:
            raise ShapeError(f"ZeroPad2d {list(self.padding)} leaves nothing of {height}x{width}")
        return batch, channels, rows, columns

    def sight(self, inputs: Shapes) -> Sight:
        left, _, top, _ = self.padding * (4 if len(self.padding) == 1 else 1)
        return channelwise((AxisWindow(start=-top), AxisWindow(start=-left)))

    def torch_arguments(self, inputs: Shapes) -> dict[str, Any]:
        return {"padding": self.padding if len(self.padding) == 4 else self.padding[0]}

    def describe(self) -> str:
        return f"ZeroPad2d {'-'.join(map(str, self.padding))}"


class Pad(_Movement, frozen=True):
    """The axes `dims` padded behind up to a multiple, with a value or by a mode of torch.nn.functional.pad: of (N, C,
    H, W) the right and the bottom, unless they are others. By a mode torch pads the last two axes alone."""

    module: ClassVar[str] = "gnet_inspect.runtime.moving.Pad"

    multiple: Annotated[int, Integer(1)]
    dims: Annotated[tuple[int, ...], Integers(Integer(None), single=True)] = (2, 3)
    mode: Annotated[str, Choice(("constant", "reflect", "replicate"))] = "constant"
    value: Annotated[float, Number()] = 0.0

    def output_shape(self, inputs: Shapes) -> Shape:
        shape = inputs[0]
        axes = {axis_of("Pad", dim, shape) for dim in self.dims}
        if self.mode != "constant" and (axes != {2, 3} or len(shape) != 4):
            raise ShapeError(
                f'Pad expects mode "constant", or the last two axes of N x C x H x W, got "{self.mode}" for dims '
                f"{list(self.dims)} of {dimensions(shape)}"
            )
        made = tuple(
            -(-size // self.multiple) * self.multiple if axis in axes else size for axis, size in enumerate(shape)
        )
        if self.mode == "reflect" and any(made[axis] >= 2 * shape[axis] for axis in axes):
            raise ShapeError(f"Pad by reflection expects less padding than {shape[2]}x{shape[3]}, got {[*made[2:]]}")
        return made

    def sight(self, inputs: Shapes) -> Sight:
        return pointwise(inputs[0]) if self.mode == "constant" else None

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        # The gradients of the other modes go by the input, of which they need the size alone.
        return Saved(input=self.mode != "constant")

    def describe(self) -> str:
        return f"Pad to a multiple of {self.multiple}"


def _between_channels(shape: Shape, windows: Sequence[AxisWindow]) -> Sight:
    """The sight of what moves elements between channels too."""
    spatial_axes = (Look((axis,), window) for axis, window in enumerate(windows, 2))
    return (Look((0,)), Look((1,), anywhere(shape[1])), *spatial_axes)


def _regrouped(given: Shape, made: Shape) -> Sight:
    """The sight of a shape that becomes another one of as many elements, axes taken together where their products
    agree: one axis of one, one of several merged, or several, of which nobody is told which position lies where."""
    looks: list[Look] = []
    read = done = 0
    while done < len(made):
        first, start = read, done
        left, right = given[read] if read < len(given) else 1, made[done]
        read, done = min(read + 1, len(given)), done + 1
        while left != right:
            if left < right:
                left, read = left * given[read], read + 1
            else:
                right, done = right * made[done], done + 1
        if done == len(made):
            read = len(given)
        looks += _group(tuple(range(first, read)), made[start:done], left)
    return tuple(looks)


def _group(axes: tuple[int, ...], made: Shape, elements: int) -> list[Look]:
    """Axes of an input as some of the output, which have as many elements."""
    real = [size for size in made if size > 1]
    if len(real) < 2:
        # All of them lie along the one that is there; where each has one element, along the first.
        places = made.index(real[0]) if real else 0
        return [Look(axes if place == places else ()) for place in range(len(made))]
    return [Look(axes, anywhere(elements)) if size > 1 else Look(()) for size in made]


def axis_of(kind: str, dim: int, shape: Shape) -> int:
    """The axis of a shape that `dim` means. Raises ShapeError where there is none."""
    if not -len(shape) <= dim < len(shape):
        raise ShapeError(
            f"{kind} expects dim from {-len(shape)} to {len(shape) - 1} for {dimensions(shape)}, got {dim}"
        )
    return dim % len(shape)


def filled(kind: str, sizes: tuple[int, ...], elements: int) -> Shape:
    """Sizes of so many elements, with the one that is -1 worked out. Raises ShapeError where they do not fit."""
    known = prod(size for size in sizes if size != -1)
    free = sizes.count(-1)
    if free > 1 or elements % known or (not free and known != elements):
        raise ShapeError(f"{kind} expects sizes for {elements:,} elements, got {list(sizes)}")
    return tuple(elements // known if size == -1 else size for size in sizes)
