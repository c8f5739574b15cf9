"""Pooling, by torch's rule to the letter (ATen/native/Pool.h, pooling_output_shape; the pages of torch.nn's pools)."""

from math import gcd, prod
from typing import Annotated

from gnet_inspect.errors import ShapeError
from gnet_inspect.ops.arguments import Flag, Integer, Optional, Pair
from gnet_inspect.ops.base import Axis, OneOperator, Saved, Shape, Shapes, Temporaries, Window, sized, spatial, strided

Size = tuple[int, int]
INDEX_BYTES = 8  # an int64, whatever the network's dtype


def pooled(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """How many windows fit along one axis.

    floor((size + 2 padding - dilation (kernel - 1) - 1) / stride) + 1, or the ceiling with `ceil_mode`, where the last
    window must start inside the input or its left padding (torch.nn.MaxPool2d, note on ceil_mode).

    >>> pooled(112, 3, 2, 0, 1, True), pooled(112, 3, 2, 0, 1, False)
    (56, 55)
    """
    free = size + 2 * padding - dilation * (kernel - 1) - 1
    windows = (free + (stride - 1 if ceil_mode else 0)) // stride + 1
    if ceil_mode and (windows - 1) * stride >= size + padding:
        windows -= 1
    return windows


class _Pool(OneOperator, frozen=True):
    """What MaxPool2d and AvgPool2d share."""

    kernel_size: Annotated[Size, Pair(Integer(1))]
    stride: Annotated[Size | None, Optional(Pair(Integer(1)))] = None
    padding: Annotated[Size, Pair(Integer(0))] = (0, 0)

    @property
    def step(self) -> Size:
        """The stride; torch's default is the kernel's size."""
        return self.stride or self.kernel_size

    def _dilation(self) -> Size:
        return 1, 1

    def _ceil(self) -> bool:
        return False

    def output_shape(self, inputs: Shapes) -> Shape:
        batch, channels, height, width = spatial(self.kind, inputs)
        if any(2 * pad > kernel for pad, kernel in zip(self.padding, self.kernel_size, strict=True)):
            raise ShapeError(
                f"{self.kind} expects padding of at most half its kernel {sized(self.kernel_size)}, "
                f"got {sized(self.padding)}"
            )
        return batch, channels, self._along("height", 0, height), self._along("width", 1, width)

    def _along(self, axis: str, index: int, size: int) -> int:
        kernel, stride, padding = self.kernel_size[index], self.step[index], self.padding[index]
        windows = pooled(size, kernel, stride, padding, self._dilation()[index], self._ceil())
        if windows < 1:
            raise ShapeError(
                f"{self.kind} {strided(self.kernel_size, self.step)} has no window along {axis}: "
                f"the input's {size} + {2 * padding} of padding is too small"
            )
        return windows

    def window(self, inputs: Shapes) -> Window:
        reach = [self._dilation()[index] * (self.kernel_size[index] - 1) + 1 for index in (0, 1)]
        return (reach[0], self.step[0], 1), (reach[1], self.step[1], 1)

    def describe(self) -> str:
        return f"{self.kind} {strided(self.kernel_size, self.step)}" + (", ceil" if self._ceil() else "")


class MaxPool2d(_Pool, frozen=True):
    """torch.nn.MaxPool2d, without return_indices."""

    dilation: Annotated[Size, Pair(Integer(1))] = (1, 1)
    ceil_mode: Annotated[bool, Flag()] = False

    def saved(self, inputs: Shapes, output: Shape, in_place: bool) -> Saved:
        # The input is only asked for its shape in the backward pass, but it is kept whole, beside the maxima's places.
        return Saved(input=True, bytes=INDEX_BYTES * prod(output))

    def temporaries(self, inputs: Shapes, output: Shape, training: bool) -> Temporaries | None:
        # The maxima's places, which torch finds out at inference, too.
        return Temporaries(bytes=INDEX_BYTES * prod(output))

    def _dilation(self) -> Size:
        return self.dilation

    def _ceil(self) -> bool:
        return self.ceil_mode


class AvgPool2d(_Pool, frozen=True):
    """torch.nn.AvgPool2d."""

    ceil_mode: Annotated[bool, Flag()] = False
    count_include_pad: Annotated[bool, Flag()] = True
    divisor_override: Annotated[int | None, Optional(Integer(None, nonzero=True))] = None

    def saved(self, inputs: Shapes, output: Shape, in_place: bool) -> Saved:
        return Saved(input=True)

    def _ceil(self) -> bool:
        return self.ceil_mode


class AdaptiveAvgPool2d(OneOperator, frozen=True):
    """torch.nn.AdaptiveAvgPool2d: output i averages the inputs floor(i in / out) to ceil((i + 1) in / out)."""

    output_size: Annotated[tuple[int | None, int | None], Pair(Optional(Integer(1)))]

    def output_shape(self, inputs: Shapes) -> Shape:
        batch, channels, height, width = spatial("AdaptiveAvgPool2d", inputs)
        return batch, channels, self.output_size[0] or height, self.output_size[1] or width

    def window(self, inputs: Shapes) -> Window:
        (_, _, height, width), (rows, columns) = inputs[0], self.output_size
        return _adaptive(height, rows or height), _adaptive(width, columns or width)

    def saved(self, inputs: Shapes, output: Shape, in_place: bool) -> Saved:
        # To a single output torch takes the mean, which needs no more than shapes.
        return Saved(input=output[2:] != (1, 1))

    def describe(self) -> str:
        return "AdaptiveAvgPool2d " + "x".join("same" if size is None else str(size) for size in self.output_size)


def _adaptive(size: int, out: int) -> Axis:
    """The window of an adaptive pool: with size / out = a / p in lowest terms, output i averages floor(i a / p) to
    ceil((i + 1) a / p), and i a mod p takes every value from 0 to p - 1, so that m of them see ceil((m a + p - 1) / p).

    >>> _adaptive(14, 4), _adaptive(7, 1), _adaptive(7, 5)
    ((8, 7, 2), (7, 7, 1), (11, 7, 5))
    """
    common = gcd(size, out)
    step, parts = size // common, out // common
    return step + parts - 1, step, parts
