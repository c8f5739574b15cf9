"""What layers with windows share: their input's rank, their paddings, and how their sizes are written."""

from collections.abc import Iterable

from gnet_inspect.errors import ShapeError
from gnet_inspect.ops.base import AxisWindow, Look, Shape, Shapes, Sight
from gnet_inspect.units import dimensions

Size = tuple[int, ...]

LAYOUTS = {1: "N x C x L", 2: "N x C x H x W", 3: "N x C x D x H x W"}


def spatial(kind: str, inputs: Shapes, axes: int) -> Shape:
    """The one input, which must be (N, C) with so many spatial axes behind."""
    shape = inputs[0]
    if len(shape) != axes + 2:
        raise ShapeError(f"{kind} expects an input {LAYOUTS[axes]}, got {dimensions(shape)}")
    return shape


def windows_of(axes: Iterable[AxisWindow]) -> Sight:
    """The sight of windows over the spatial axes of (N, C, ...), which see all channels."""
    return (Look((0,)), Look((1,), None), *(Look((index,), axis) for index, axis in enumerate(axes, 2)))


def channelwise(axes: Iterable[AxisWindow]) -> Sight:
    """The same of windows in each channel by itself."""
    return (Look((0,)), Look((1,)), *(Look((index,), axis) for index, axis in enumerate(axes, 2)))


def is_symmetric(padding: Size | str, axes: int) -> bool:
    """Whether a padding is one number for each axis, as torch.nn's classes take it."""
    return not isinstance(padding, str) and len(padding) == axes


def before_and_after(
    padding: Size | str, index: int, size: int, kernel: int, stride: int, dilation: int, axes: int
) -> tuple[int, int]:
    """How much is padded before and after one of `axes` axes of an input of `size`."""
    if padding == "valid":
        return 0, 0
    if isinstance(padding, str):
        # torch's "same" looks at stride 1 alone; TensorFlow's makes ceil(size / stride) outputs, with more behind than
        # before (https://www.tensorflow.org/api_docs/python/tf/nn, "Notes on padding").
        reach = dilation * (kernel - 1)
        total = reach if padding == "same" else max((-(-size // stride) - 1) * stride + reach + 1 - size, 0)
        return total // 2, total - total // 2
    if len(padding) == 2 * axes:
        # As torch.nn.functional.pad has them: the last axis first.
        first = 2 * (axes - 1 - index)
        return padding[first], padding[first + 1]
    return padding[index], padding[index]


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


def pool_pads(
    padding: Size | str,
    index: int,
    size: int,
    kernel: int,
    stride: int,
    dilation: int,
    axes: int,
    *,
    ceil_mode: bool,
) -> tuple[int, int]:
    """The same for a pool whose padded input is a tensor of its own. With `ceil_mode` no window may begin in what is
    padded behind, as torch has it: so much is taken off there, of the input too where need be."""
    before, after = before_and_after(padding, index, size, kernel, stride, dilation, axes)
    reach = dilation * (kernel - 1) + 1
    last = -(-(size + before + after - reach) // stride) * stride
    if ceil_mode and last >= size + before:
        after = last - stride + reach - size - before
    return before, after


def sized(size: Size) -> str:
    """(3, 3) as "3x3"."""
    return "x".join(map(str, size))


def dilated(dilation: Size) -> str:
    """What stands behind a window with gaps: ", dilation 2"; one of 1 goes without saying."""
    if set(dilation) == {1}:
        return ""
    return f", dilation {dilation[0] if len(set(dilation)) == 1 else sized(dilation)}"


def strided(size: Size, stride: Size) -> str:
    """A window as papers print it: "7x7/2"; a stride of 1 goes without saying."""
    if all(step == 1 for step in stride):
        return sized(size)
    return f"{sized(size)}/{stride[0] if len(set(stride)) == 1 else sized(stride)}"
