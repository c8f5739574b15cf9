"""Pooling, by torch's rule to the letter (ATen/native/Pool.h, pooling_output_shape; the pages of torch.nn's pools)."""

from collections.abc import Mapping, Sequence
from math import gcd, prod
from typing import Annotated, Any, ClassVar

from gnet_inspect.errors import ShapeError
from gnet_inspect.ops.arguments import AXES, Flag, Integer, Optional, Padding, PerAxis, Sizes
from gnet_inspect.ops.base import (
    COUNTED_BY_NONE,
    AxisWindow,
    Call,
    Family,
    OneOperator,
    Saved,
    Shape,
    Shapes,
    Sight,
    Temporaries,
    Terms,
    Weight,
    Window,
    terms,
)
from gnet_inspect.ops.spatial import (
    Size,
    before_and_after,
    channelwise,
    is_symmetric,
    pool_pads,
    pooled,
    sized,
    spatial,
    strided,
)
from gnet_inspect.units import INDEX_BYTES

POOLING = Family("pooling")


class _Pooling(OneOperator, frozen=True):
    """What all pools share: no weights, nothing multiplied."""

    family: ClassVar[Family] = POOLING
    keeps_output: ClassVar[bool] = False
    ndim: ClassVar[int]

    def channel_counts(self, inputs: Shapes, outputs: Shapes) -> tuple[int, int]:
        return inputs[0][1], outputs[0][1]

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return ()

    def macs(self, inputs: Shapes, outputs: Shapes) -> int:
        return 0


def _counted_as_pool(call: Call) -> dict[str, Terms]:
    """ptflops's pytorch backend counts the inputs of a pool by its module, and once more by its function."""
    read = prod(call.input_shapes[0])
    return dict(COUNTED_BY_NONE) | {
        "ptflops_pytorch": terms("pools as modules", read) + terms("pools as functions", read, patched=True)
    }


def _counted_behind_padding(read: int) -> dict[str, Terms]:
    """A pool of ours is no module that a tool knows; ptflops's pytorch backend counts its inputs by the function."""
    return dict(COUNTED_BY_NONE) | {"ptflops_pytorch": terms("pools as functions", read, patched=True)}


class _Pool(_Pooling, frozen=True):
    """What MaxPool2d and AvgPool2d share, with those of one and three axes."""

    may_copy: ClassVar[bool] = False

    kernel_size: Annotated[Size, PerAxis(Sizes(Integer(1)))]
    stride: Annotated[Size | None, PerAxis(Optional(Sizes(Integer(1))))] = None
    padding: Annotated[Size | str, PerAxis(Padding(words_of_torch=False))] = (0, 0)

    @property
    def module(self) -> str:  # type: ignore[override]  # what torch cannot pad by itself has a class of ours
        return f"torch.nn.{self.kind}" if self._pads_itself() else f"gnet_inspect.runtime.padded.Padded{self.kind}"

    @property
    def step(self) -> Size:
        """The stride; torch's default is the kernel's size."""
        return self.stride or self.kernel_size

    @property
    def sliding_window(self) -> Window:
        return Window(self.kernel_size, self.step)

    def _pads_itself(self) -> bool:
        return is_symmetric(self.padding, self.ndim)

    def _dilation(self) -> Size:
        return (1,) * self.ndim

    def _ceil(self) -> bool:
        return False

    def output_shape(self, inputs: Shapes) -> Shape:
        batch, channels, *sizes = spatial(self.kind, inputs, self.ndim)
        self._check_padding()
        return batch, channels, *(self._along(index, size) for index, size in enumerate(sizes))

    def _check_padding(self) -> None:
        """Raise ShapeError for a padding that torch refuses, of more than half a kernel on both sides, and for two
        numbers of which one is all that a kernel covers, so that a window may have no input."""
        if isinstance(self.padding, str):
            return
        for index, kernel in enumerate(self.kernel_size):
            most = max(before_and_after(self.padding, index, 0, kernel, 1, 1, self.ndim))
            if self._pads_itself() and 2 * most > kernel:
                raise ShapeError(
                    f"{self.kind} expects padding of at most half its kernel {sized(self.kernel_size)}, "
                    f"got {sized(self.padding)}"
                )
            reach = self._dilation()[index] * (kernel - 1) + 1
            if not self._pads_itself() and most >= reach:
                raise ShapeError(
                    f"{self.kind} expects padding below the {reach} that its kernel {sized(self.kernel_size)} covers, "
                    f"got {', '.join(map(str, self.padding))}"
                )

    def _pads(self, index: int, size: int) -> tuple[int, int]:
        kernel, step, dilation = self.kernel_size[index], self.step[index], self._dilation()[index]
        if self._pads_itself():
            return before_and_after(self.padding, index, size, kernel, step, dilation, self.ndim)
        return pool_pads(self.padding, index, size, kernel, step, dilation, self.ndim, ceil_mode=self._ceil())

    def _padded(self, inputs: Shapes) -> int:
        """Elements of the copy of its input that is padded before the pool; 0 where torch's pads by itself, or nothing
        is to be padded."""
        batch, channels, *sizes = inputs[0]
        return batch * channels * self._padded_area(sizes)

    def _padded_area(self, sizes: Sequence[int]) -> int:
        pads = [self._pads(index, size) for index, size in enumerate(sizes)]
        if self._pads_itself() or not any(map(any, pads)):
            return 0
        return prod(size + before + after for size, (before, after) in zip(sizes, pads, strict=True))

    def _along(self, index: int, size: int) -> int:
        kernel, stride, dilation = self.kernel_size[index], self.step[index], self._dilation()[index]
        before, after = self._pads(index, size)
        if self._pads_itself():
            windows = pooled(size, kernel, stride, before, dilation, self._ceil())
        else:
            # The padded input is a tensor of its own, whose pool has no padding.
            windows = pooled(size + before + after, kernel, stride, 0, dilation, self._ceil())
        if windows < 1:
            raise ShapeError(
                f"{self.kind} {strided(self.kernel_size, self.step)} has no window along {AXES[self.ndim][index]}: "
                f"the input's {size} + {before + after} of padding is too small"
            )
        return windows

    def sight(self, inputs: Shapes) -> Sight:
        return channelwise(self._window(index, size) for index, size in enumerate(inputs[0][2:]))

    def _window(self, index: int, size: int) -> AxisWindow:
        reach = self._dilation()[index] * (self.kernel_size[index] - 1) + 1
        return AxisWindow(reach, self.step[index], start=-self._pads(index, size)[0])

    def describe(self) -> str:
        return f"{self.kind} {strided(self.kernel_size, self.step)}" + (", ceil" if self._ceil() else "")


class _MaxPool(_Pool, frozen=True):
    """What MaxPool1d, MaxPool2d and MaxPool3d are, without return_indices."""

    shorthand: ClassVar[str] = "max pool"

    dilation: Annotated[Size, PerAxis(Sizes(Integer(1)))] = (1, 1)
    ceil_mode: Annotated[bool, Flag()] = False

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        # The input is only asked for its shape in the backward pass, but it is kept whole, beside the maxima's places.
        padded = self._padded(inputs)
        return Saved(input=not padded, elements=padded, bytes=INDEX_BYTES * prod(outputs[0]))

    def temporaries(self, inputs: Shapes, outputs: Shapes, training: bool) -> Temporaries | None:
        # The maxima's places, which torch finds out at inference, too.
        return Temporaries(self._padded(inputs), INDEX_BYTES * prod(outputs[0]))

    def differences(self, call: Call) -> Mapping[str, Terms]:
        return (
            _counted_as_pool(call)
            if self._pads_itself()
            else _counted_behind_padding(self._padded(call.input_shapes) or prod(call.input_shapes[0]))
        )

    def _dilation(self) -> Size:
        return self.dilation

    def _ceil(self) -> bool:
        return self.ceil_mode


class MaxPool1d(_MaxPool, frozen=True):
    """torch.nn.MaxPool1d, without return_indices."""

    ndim: ClassVar[int] = 1
    padding: Annotated[Size | str, PerAxis(Padding(words_of_torch=False))] = (0,)
    dilation: Annotated[Size, PerAxis(Sizes(Integer(1)))] = (1,)


class MaxPool2d(_MaxPool, frozen=True):
    """torch.nn.MaxPool2d, without return_indices."""

    ndim: ClassVar[int] = 2


class MaxPool3d(_MaxPool, frozen=True):
    """torch.nn.MaxPool3d, without return_indices."""

    ndim: ClassVar[int] = 3
    padding: Annotated[Size | str, PerAxis(Padding(words_of_torch=False))] = (0, 0, 0)
    dilation: Annotated[Size, PerAxis(Sizes(Integer(1)))] = (1, 1, 1)


class _AvgPool(_Pool, frozen=True):
    """What AvgPool1d, AvgPool2d and AvgPool3d share."""

    shorthand: ClassVar[str] = "avg pool"

    ceil_mode: Annotated[bool, Flag()] = False
    count_include_pad: Annotated[bool, Flag()] = True

    def _shares(self, inputs: Shapes, outputs: Shapes) -> tuple[int, int]:
        """Elements of a padded map of ones, and of its pool: the share of each window that is input, by which is
        divided where a padding of two sides does not count. 0 of both where none are made."""
        counts = self.padding != "same_tf" and self.count_include_pad
        area = self._padded_area(inputs[0][2:])
        return (0, 0) if counts or self._divisor() is not None or not area else (area, prod(outputs[0][2:]))

    def _divisor(self) -> int | None:
        return None

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        padded = self._padded(inputs)
        return Saved(input=not padded, elements=padded + self._shares(inputs, outputs)[1])

    def temporaries(self, inputs: Shapes, outputs: Shapes, training: bool) -> Temporaries | None:
        padded, (ones, shares) = self._padded(inputs), self._shares(inputs, outputs)
        # The ones, with their padding and their pool; by then the padded input is gone, unless autograd keeps it.
        mapped = prod(inputs[0][2:]) + ones + shares if ones else 0
        return Temporaries(padded + mapped if training else max(padded, mapped))

    def differences(self, call: Call) -> Mapping[str, Terms]:
        if not self._pads_itself():
            shares = self._shares(call.input_shapes, call.output_shapes)[0]
            return _counted_behind_padding((self._padded(call.input_shapes) or prod(call.input_shapes[0])) + shares)
        return _counted_as_pool(call) | {"thop": terms("outputs of average pools", prod(call.output_shapes[0]))}

    def _ceil(self) -> bool:
        return self.ceil_mode


class AvgPool1d(_AvgPool, frozen=True):
    """torch.nn.AvgPool1d."""

    ndim: ClassVar[int] = 1
    padding: Annotated[Size | str, PerAxis(Padding(words_of_torch=False))] = (0,)


class AvgPool2d(_AvgPool, frozen=True):
    """torch.nn.AvgPool2d."""

    ndim: ClassVar[int] = 2
    divisor_override: Annotated[int | None, Optional(Integer(None, nonzero=True))] = None

    def _divisor(self) -> int | None:
        return self.divisor_override


class AvgPool3d(_AvgPool, frozen=True):
    """torch.nn.AvgPool3d."""

    ndim: ClassVar[int] = 3
    padding: Annotated[Size | str, PerAxis(Padding(words_of_torch=False))] = (0, 0, 0)
    divisor_override: Annotated[int | None, Optional(Integer(None, nonzero=True))] = None

    def output_shape(self, inputs: Shapes) -> Shape:
        shape = super().output_shape(inputs)
        # torch asks it of the input alone, its own padding aside (ATen/native/Pool.h, pool3d_shape_check).
        pads = (
            [0] * 3
            if self._pads_itself()
            else [sum(self._pads(index, size)) for index, size in enumerate(inputs[0][2:])]
        )
        given = tuple(size + pad for size, pad in zip(inputs[0][2:], pads, strict=True))
        if any(size < kernel for size, kernel in zip(given, self.kernel_size, strict=True)):
            least = sized(self.kernel_size)
            raise ShapeError(f"AvgPool3d expects an input of at least its kernel {least}, got {sized(given)}")
        return shape

    def _divisor(self) -> int | None:
        return self.divisor_override


class _AdaptivePool(_Pooling, frozen=True):
    """Output i pools the inputs floor(i in / out) to ceil((i + 1) in / out)."""

    may_copy: ClassVar[bool] = False

    output_size: Annotated[tuple[int | None, ...], PerAxis(Sizes(Optional(Integer(1))))]

    @property
    def module(self) -> str:  # type: ignore[override]  # named after the class
        return f"torch.nn.{self.kind}"

    def output_shape(self, inputs: Shapes) -> Shape:
        batch, channels, *sizes = spatial(self.kind, inputs, self.ndim)
        return batch, channels, *(out or size for out, size in zip(self.output_size, sizes, strict=True))

    def sight(self, inputs: Shapes) -> Sight:
        return channelwise(
            _adaptive(size, out or size) for size, out in zip(inputs[0][2:], self.output_size, strict=True)
        )

    def torch_arguments(self, inputs: Shapes) -> dict[str, Any]:
        size = self.output_size
        return {"output_size": size if len(size) > 1 else size[0] or inputs[0][2]}

    def describe(self) -> str:
        known = {name: size for name, size in zip(AXES[self.ndim], self.output_size, strict=True) if size is not None}
        if not known:
            return f"{self.kind} to the input's size"
        if len(known) == self.ndim:
            return f"{self.kind} {sized(tuple(known.values()))}"
        return f"{self.kind} to {' and '.join(f'{size} {_DIRECTION[name]}' for name, size in known.items())}"

    def sketch(self, outputs: Shapes) -> str:
        if set(self.output_size) == {1}:
            return f"global {self.shorthand}"
        words = super().sketch(outputs)
        return words if " to " in words else words.replace(self.shorthand, f"{self.shorthand} to", 1)


class _AdaptiveAvgPool(_AdaptivePool, frozen=True):
    shorthand: ClassVar[str] = "avg pool"

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        # To a single output torch takes the mean, which needs no more than shapes.
        return Saved(input=prod(outputs[0][2:]) != 1)

    def differences(self, call: Call) -> Mapping[str, Terms]:
        (read,), (made,) = call.input_shapes[:1], call.output_shapes[:1]
        area = prod(size / out for size, out in zip(read[2:], made[2:], strict=True))
        return _counted_as_pool(call) | {
            # It knows the pool of two axes alone.
            "fvcore": terms("inputs of adaptive pools", prod(read) if self.ndim == 2 else 0),
            # In double precision, cut to an integer for each layer.
            "thop": terms("outputs of adaptive pools x (window + 1)", int((area + 1) * prod(made))),
        }


class AdaptiveAvgPool1d(_AdaptiveAvgPool, frozen=True):
    """torch.nn.AdaptiveAvgPool1d: output i averages the inputs floor(i in / out) to ceil((i + 1) in / out)."""

    ndim: ClassVar[int] = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool, frozen=True):
    """torch.nn.AdaptiveAvgPool2d: output i averages the inputs floor(i in / out) to ceil((i + 1) in / out)."""

    ndim: ClassVar[int] = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool, frozen=True):
    """torch.nn.AdaptiveAvgPool3d: output i averages the inputs floor(i in / out) to ceil((i + 1) in / out)."""

    ndim: ClassVar[int] = 3


class _AdaptiveMaxPool(_AdaptivePool, frozen=True):
    shorthand: ClassVar[str] = "max pool"

    def temporaries(self, inputs: Shapes, outputs: Shapes, training: bool) -> Temporaries | None:
        return Temporaries(bytes=INDEX_BYTES * prod(outputs[0]))

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        return Saved(input=True, bytes=INDEX_BYTES * prod(outputs[0]))

    def differences(self, call: Call) -> Mapping[str, Terms]:
        return _counted_as_pool(call)


class AdaptiveMaxPool1d(_AdaptiveMaxPool, frozen=True):
    """torch.nn.AdaptiveMaxPool1d, without return_indices."""

    ndim: ClassVar[int] = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool, frozen=True):
    """torch.nn.AdaptiveMaxPool2d, without return_indices."""

    ndim: ClassVar[int] = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool, frozen=True):
    """torch.nn.AdaptiveMaxPool3d, without return_indices."""

    ndim: ClassVar[int] = 3


_DIRECTION = {"length": "long", "depth": "deep", "height": "high", "width": "wide"}


def _adaptive(size: int, out: int) -> AxisWindow:
    """The window of an adaptive pool: with size / out = a / p in lowest terms, output i averages floor(i a / p) to
    ceil((i + 1) a / p) - 1, the inputs g with i a - p < g p < (i + 1) a.

    >>> _adaptive(14, 4)[:4], _adaptive(7, 1)[:4], _adaptive(7, 5)[:4]
    ((8, 7, 2, -1), (7, 7, 1, 0), (11, 7, 5, -4))
    """
    common = gcd(size, out)
    step, parts = size // common, out // common
    return AxisWindow(step + parts - 1, step, parts, 1 - parts)
