"""The layers whose weights multiply: convolutions of one to three axes, transposed ones, and Linear."""

from collections.abc import Mapping
from math import prod
from typing import Annotated, Any, ClassVar

from msgspec.structs import replace

from gnet_inspect.errors import ShapeError
from gnet_inspect.ops.arguments import AXES, Flag, Integer, Padding, PerAxis, Sizes
from gnet_inspect.ops.base import (
    AxisWindow,
    Call,
    Family,
    Look,
    OneOperator,
    Op,
    Saved,
    Shape,
    Shapes,
    Sight,
    Temporaries,
    Terms,
    Weight,
    Window,
    counted_as_macs,
    features_last,
    terms,
)
from gnet_inspect.ops.spatial import (
    Size,
    before_and_after,
    dilated,
    is_symmetric,
    sized,
    spatial,
    strided,
    windows_of,
)
from gnet_inspect.units import dimensions

CONVOLUTION, LINEAR = Family("convolution"), Family("linear")
# Kernel, stride, padding and dilation along an axis on which nothing but the point itself is seen.
_AT_EACH_POINT = (1, 1, 0, 1)


class _Convolution(Op, frozen=True):
    """What Conv1d, Conv2d and Conv3d are; in_channels is inferred.

    Output size per axis: floor((in + padding_before + padding_after - dilation * (kernel - 1) - 1) / stride) + 1
    (https://pytorch.org/docs/stable/generated/torch.nn.Conv2d.html). MACs: output elements x in_channels / groups x
    kernel area, biases not counted.
    """

    shorthand: ClassVar[str] = "conv"
    family: ClassVar[Family] = CONVOLUTION
    depth: ClassVar[int] = 1
    keeps_output: ClassVar[bool] = False
    ndim: ClassVar[int]
    may_copy: ClassVar[bool] = False

    out_channels: Annotated[int, Integer(1)]
    kernel_size: Annotated[Size, PerAxis(Sizes(Integer(1)))]
    stride: Annotated[Size, PerAxis(Sizes(Integer(1)))] = (1, 1)
    padding: Annotated[Size | str, PerAxis(Padding())] = (0, 0)
    dilation: Annotated[Size, PerAxis(Sizes(Integer(1)))] = (1, 1)
    groups: Annotated[int, Integer(1)] = 1
    bias: Annotated[bool, Flag()] = True

    @property
    def module(self) -> str:  # type: ignore[override]  # what torch cannot pad by itself has a class of ours
        return f"torch.nn.{self.kind}" if self._pads_itself() else f"gnet_inspect.runtime.padded.Padded{self.kind}"

    def _pads_itself(self) -> bool:
        """Whether torch.nn's class knows this padding."""
        return self.padding in ("same", "valid") or is_symmetric(self.padding, self.ndim)

    @property
    def sliding_window(self) -> Window:
        return Window(self.kernel_size, self.stride)

    def channel_counts(self, inputs: Shapes, outputs: Shapes) -> tuple[int, int]:
        return inputs[0][1], self.out_channels

    @property
    def channel_groups(self) -> int:
        return self.groups

    def densely(self, out_channels: int) -> "_Convolution":
        return replace(self, out_channels=out_channels, groups=1)

    def joined_with(self, other: Op) -> "_Convolution | None":
        if type(other) is not type(self) or self.groups != 1 or other.groups != 1:
            return None
        if not (is_symmetric(self.padding, self.ndim) and is_symmetric(other.padding, self.ndim)):
            return None
        # Along each axis one of them looks at a point, and at each of them.
        axes = list(zip(self._axis_arguments(), other._axis_arguments(), strict=True))
        if any(_AT_EACH_POINT not in pair for pair in axes):
            return None
        kept = [first if second == _AT_EACH_POINT else second for first, second in axes]
        kernel, stride, padding, dilation = (tuple(column) for column in zip(*kept, strict=True))
        return replace(other, kernel_size=kernel, stride=stride, padding=padding, dilation=dilation)

    def _axis_arguments(self) -> "list[tuple[int, int, int, int]]":
        """Kernel, stride, padding and dilation along each axis, of a padding that is one number for each."""
        assert not isinstance(self.padding, str)
        return list(zip(self.kernel_size, self.stride, self.padding, self.dilation, strict=True))

    def output_shape(self, inputs: Shapes) -> Shape:
        batch, channels, *sizes = spatial(self.kind, inputs, self.ndim)
        _check_groups(self.kind, self.groups, channels, self.out_channels)
        if self.padding == "same" and any(step != 1 for step in self.stride):
            raise ShapeError(f'{self.kind} with padding "same" expects stride 1, got {sized(self.stride)}')
        return batch, self.out_channels, *(self._along(index, size) for index, size in enumerate(sizes))

    def _along(self, index: int, size: int) -> int:
        reach = self.dilation[index] * (self.kernel_size[index] - 1)
        padded = size + sum(self._pads(index, size))
        if padded <= reach:
            raise ShapeError(
                f"{self.kind} kernel {sized(self.kernel_size)} covers {reach + 1} along {AXES[self.ndim][index]}, "
                f"more than the padded input's {padded} ({size} + {padded - size})"
            )
        return (padded - reach - 1) // self.stride[index] + 1

    def _pads(self, index: int, size: int) -> tuple[int, int]:
        """The padding before and after one axis."""
        kernel, stride, dilation = self.kernel_size[index], self.stride[index], self.dilation[index]
        return before_and_after(self.padding, index, size, kernel, stride, dilation, self.ndim)

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        weight = Weight("weight", (self.out_channels, inputs[0][1] // self.groups, *self.kernel_size))
        return (weight, Weight("bias", (self.out_channels,))) if self.bias else (weight,)

    def macs(self, inputs: Shapes, outputs: Shapes) -> int:
        # Every output position multiplies each of the layer's weights once.
        per_position = self.out_channels * (inputs[0][1] // self.groups) * prod(self.kernel_size)
        return outputs[0][0] * prod(outputs[0][2:]) * per_position

    def backward_macs(self, inputs: Shapes, outputs: Shapes, trained: bool, wanted: tuple[bool, ...]) -> int:
        return self.macs(inputs, outputs) * (trained + wanted[0])

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        copied = self._copied(inputs)
        return Saved(elements=copied) if copied else Saved(input=True)

    def temporaries(self, inputs: Shapes, outputs: Shapes, training: bool) -> Temporaries | None:
        return Temporaries(self._copied(inputs))

    def _copied(self, inputs: Shapes) -> int:
        """Elements of the copy of its input that is made where torch's operator cannot pad alike on both sides: with
        one more row or column for "same" around an even kernel, else with the whole padding. Autograd keeps it in the
        input's place. 0 where none is made."""
        batch, channels, *sizes = inputs[0]
        pads = [sum(self._pads(index, size)) for index, size in enumerate(sizes)]
        more = [pad % 2 for pad in pads] if self._pads_itself() else pads
        if not any(more):
            return 0
        return batch * channels * prod(size + extra for size, extra in zip(sizes, more, strict=True))

    def sight(self, inputs: Shapes) -> Sight:
        return windows_of(self._window(index, size) for index, size in enumerate(inputs[0][2:]))

    def _window(self, index: int, size: int) -> AxisWindow:
        reach = self.dilation[index] * (self.kernel_size[index] - 1) + 1
        return AxisWindow(reach, self.stride[index], start=-self._pads(index, size)[0])

    def differences(self, call: Call) -> Mapping[str, Terms]:
        if not self._pads_itself():
            return self._counted_behind_padding(call)
        biases = terms("biases", prod(call.output_shapes[0]) if self.bias else 0)
        unknown = isinstance(self.padding, str)
        return counted_as_macs(call) | {
            # A padding in words makes another operator of a convolution, which fvcore does not know.
            "fvcore": terms("convolutions with a padding in words are not known", -(call.macs or 0) if unknown else 0),
            "torchinfo": biases,
            "ptflops_pytorch": biases,
            "ptflops_aten": biases,
        }

    def _counted_behind_padding(self, call: Call) -> Mapping[str, Terms]:
        """A class of ours is no module that ptflops's hooks and thop know."""
        biases = terms("biases", prod(call.output_shapes[0]) if self.bias else 0)
        unknown = terms("convolutions padded by hand are not known", -(call.macs or 0))
        return counted_as_macs(call) | {
            "torchinfo": biases,
            "ptflops_pytorch": unknown,
            "ptflops_aten": biases,
            "thop": unknown,
        }

    def torch_arguments(self, inputs: Shapes) -> dict[str, Any]:
        return {"in_channels": inputs[0][1]} | super().torch_arguments(inputs)

    def describe(self) -> str:
        text = f"{self.kind} {strided(self.kernel_size, self.stride)}, {self.out_channels}"
        text += f", groups {self.groups}" if self.groups != 1 else ""
        return text + dilated(self.dilation)

    def sketch(self, outputs: Shapes) -> str:
        if 1 < self.groups == self.out_channels:
            return super().sketch(outputs).replace("conv", "depthwise", 1).replace(f", groups {self.groups}", "")
        return super().sketch(outputs)


class Conv1d(_Convolution, frozen=True):
    """torch.nn.Conv1d; in_channels is inferred."""

    ndim: ClassVar[int] = 1
    stride: Annotated[Size, PerAxis(Sizes(Integer(1)))] = (1,)
    padding: Annotated[Size | str, PerAxis(Padding())] = (0,)
    dilation: Annotated[Size, PerAxis(Sizes(Integer(1)))] = (1,)


class Conv2d(_Convolution, frozen=True):
    """torch.nn.Conv2d; in_channels is inferred."""

    ndim: ClassVar[int] = 2


class Conv3d(_Convolution, frozen=True):
    """torch.nn.Conv3d; in_channels is inferred."""

    ndim: ClassVar[int] = 3
    stride: Annotated[Size, PerAxis(Sizes(Integer(1)))] = (1, 1, 1)
    padding: Annotated[Size | str, PerAxis(Padding())] = (0, 0, 0)
    dilation: Annotated[Size, PerAxis(Sizes(Integer(1)))] = (1, 1, 1)


class _TransposedConvolution(OneOperator, frozen=True):
    """What ConvTranspose1d, ConvTranspose2d and ConvTranspose3d are; in_channels is inferred.

    Output size per axis: (in - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1
    (https://pytorch.org/docs/stable/generated/torch.nn.ConvTranspose2d.html). MACs: input elements x out_channels /
    groups x kernel area, for every input is multiplied by each of its weights once; biases not counted.
    """

    shorthand: ClassVar[str] = "up-conv"
    family: ClassVar[Family] = CONVOLUTION
    depth: ClassVar[int] = 1
    keeps_output: ClassVar[bool] = False
    ndim: ClassVar[int]

    out_channels: Annotated[int, Integer(1)]
    kernel_size: Annotated[Size, PerAxis(Sizes(Integer(1)))]
    stride: Annotated[Size, PerAxis(Sizes(Integer(1)))] = (1, 1)
    padding: Annotated[Size, PerAxis(Sizes(Integer(0)))] = (0, 0)
    output_padding: Annotated[Size, PerAxis(Sizes(Integer(0)))] = (0, 0)
    groups: Annotated[int, Integer(1)] = 1
    bias: Annotated[bool, Flag()] = True
    dilation: Annotated[Size, PerAxis(Sizes(Integer(1)))] = (1, 1)

    @property
    def module(self) -> str:  # type: ignore[override]  # named after the class
        return f"torch.nn.{self.kind}"

    @property
    def sliding_window(self) -> Window:
        return Window(self.kernel_size, self.stride)

    def channel_counts(self, inputs: Shapes, outputs: Shapes) -> tuple[int, int]:
        return inputs[0][1], self.out_channels

    def output_shape(self, inputs: Shapes) -> Shape:
        batch, channels, *sizes = spatial(self.kind, inputs, self.ndim)
        _check_groups(self.kind, self.groups, channels, self.out_channels)
        return batch, self.out_channels, *(self._along(index, size) for index, size in enumerate(sizes))

    def _along(self, index: int, size: int) -> int:
        axis = AXES[self.ndim][index]
        stride, dilation, extra = self.stride[index], self.dilation[index], self.output_padding[index]
        if extra >= max(stride, dilation):
            raise ShapeError(
                f"{self.kind} expects an output_padding smaller than its stride or its dilation, "
                f"got {extra} along {axis} with stride {stride} and dilation {dilation}"
            )
        full = (size - 1) * stride + dilation * (self.kernel_size[index] - 1) + extra + 1
        cut = 2 * self.padding[index]
        if full <= cut:
            raise ShapeError(
                f"{self.kind} {strided(self.kernel_size, self.stride)} leaves nothing along {axis}: "
                f"its padding takes {cut} off the {full} it makes of the input's {size}"
            )
        return full - cut

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        weight = Weight("weight", (inputs[0][1], self.out_channels // self.groups, *self.kernel_size))
        return (weight, Weight("bias", (self.out_channels,))) if self.bias else (weight,)

    def macs(self, inputs: Shapes, outputs: Shapes) -> int:
        # Every input position multiplies each of the layer's weights once.
        per_position = inputs[0][1] * (self.out_channels // self.groups) * prod(self.kernel_size)
        return inputs[0][0] * prod(inputs[0][2:]) * per_position

    def backward_macs(self, inputs: Shapes, outputs: Shapes, trained: bool, wanted: tuple[bool, ...]) -> int:
        return self.macs(inputs, outputs) * (trained + wanted[0])

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        return Saved(input=True)

    def sight(self, inputs: Shapes) -> Sight:
        return windows_of(map(self._window, range(self.ndim)))

    def _window(self, index: int) -> AxisWindow:
        # Inputs lie a stride apart under the kernel that one output looks back through.
        kernel, stride, dilation = self.kernel_size[index], self.stride[index], self.dilation[index]
        reach = dilation * (kernel - 1) + 1
        # The taps of a dilated kernel may meet no input where it ends; a stride beyond it leaves outputs without any.
        exact = stride == 1 or (dilation == 1 and kernel >= stride)
        return AxisWindow(reach, 1, stride, self.padding[index] + 1 - reach, exact)

    def differences(self, call: Call) -> Mapping[str, Terms]:
        biases = terms("biases", prod(call.output_shapes[0]) if self.bias else 0)
        macs, made, read = call.macs or 0, prod(call.output_shapes[0][2:]), prod(call.input_shapes[0][2:])
        # torchinfo and thop multiply the weights at each position of the output, where they are used at the input's.
        at_outputs = terms("transposed convolutions by their outputs", macs * made // read - macs)
        return counted_as_macs(call) | {
            "torchinfo": at_outputs + biases,
            "ptflops_pytorch": biases,
            "ptflops_aten": biases,
            "thop": at_outputs,
        }

    def torch_arguments(self, inputs: Shapes) -> dict[str, Any]:
        return {"in_channels": inputs[0][1]} | super().torch_arguments(inputs)

    def describe(self) -> str:
        text = f"{self.kind} {strided(self.kernel_size, self.stride)}, {self.out_channels}"
        text += f", groups {self.groups}" if self.groups != 1 else ""
        return text + dilated(self.dilation)


class ConvTranspose1d(_TransposedConvolution, frozen=True):
    """torch.nn.ConvTranspose1d; in_channels is inferred."""

    ndim: ClassVar[int] = 1
    stride: Annotated[Size, PerAxis(Sizes(Integer(1)))] = (1,)
    padding: Annotated[Size, PerAxis(Sizes(Integer(0)))] = (0,)
    output_padding: Annotated[Size, PerAxis(Sizes(Integer(0)))] = (0,)
    dilation: Annotated[Size, PerAxis(Sizes(Integer(1)))] = (1,)


class ConvTranspose2d(_TransposedConvolution, frozen=True):
    """torch.nn.ConvTranspose2d; in_channels is inferred."""

    ndim: ClassVar[int] = 2


class ConvTranspose3d(_TransposedConvolution, frozen=True):
    """torch.nn.ConvTranspose3d; in_channels is inferred."""

    ndim: ClassVar[int] = 3
    stride: Annotated[Size, PerAxis(Sizes(Integer(1)))] = (1, 1, 1)
    padding: Annotated[Size, PerAxis(Sizes(Integer(0)))] = (0, 0, 0)
    output_padding: Annotated[Size, PerAxis(Sizes(Integer(0)))] = (0, 0, 0)
    dilation: Annotated[Size, PerAxis(Sizes(Integer(1)))] = (1, 1, 1)


def _check_groups(kind: str, groups: int, channels: int, out_channels: int) -> None:
    if channels % groups or out_channels % groups:
        raise ShapeError(
            f"{kind} with groups {groups} expects in_channels and out_channels divisible by it, "
            f"got {channels} and {out_channels}"
        )


class Linear(OneOperator, frozen=True):
    """torch.nn.Linear along the last axis of (N, F), (N, L, F), ...; in_features is inferred. MACs: rows x in_features
    x out_features."""

    family: ClassVar[Family] = LINEAR
    depth: ClassVar[int] = 1
    module: ClassVar[str] = "torch.nn.Linear"
    keeps_output: ClassVar[bool] = False
    may_copy: ClassVar[bool] = True

    out_features: Annotated[int, Integer(1)]
    bias: Annotated[bool, Flag()] = True

    def channel_counts(self, inputs: Shapes, outputs: Shapes) -> tuple[int, int]:
        return inputs[0][-1], self.out_features

    def axis_names(self, rank: int) -> tuple[str, ...]:
        return features_last(rank)

    def output_shape(self, inputs: Shapes) -> Shape:
        shape = inputs[0]
        if len(shape) < 2:
            raise ShapeError(f"Linear expects an input N x F or N x ... x F, got {dimensions(shape)}")
        return *shape[:-1], self.out_features

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        weight = Weight("weight", (self.out_features, inputs[0][-1]))
        return (weight, Weight("bias", (self.out_features,))) if self.bias else (weight,)

    def macs(self, inputs: Shapes, outputs: Shapes) -> int:
        return prod(inputs[0]) * self.out_features

    def backward_macs(self, inputs: Shapes, outputs: Shapes, trained: bool, wanted: tuple[bool, ...]) -> int:
        return self.macs(inputs, outputs) * (trained + wanted[0])

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        return Saved(input=True)

    def saved_frozen(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        # The gradient of the input is made of the weight alone.
        return Saved()

    def sight(self, inputs: Shapes) -> Sight:
        last = len(inputs[0]) - 1
        return (*(Look((axis,)) for axis in range(last)), Look((last,), None))

    def differences(self, call: Call) -> Mapping[str, Terms]:
        shape, biases = call.input_shapes[0], terms("biases", prod(call.output_shapes[0]) if self.bias else 0)
        # torchinfo takes notice of the batch alone.
        rows = prod(shape[1:-1])
        torchinfo = terms("linear layers, once for each image", (call.macs or 0) // rows - (call.macs or 0))
        torchinfo += terms("biases", shape[0] * self.out_features if self.bias else 0)
        return counted_as_macs(call) | {"torchinfo": torchinfo, "ptflops_pytorch": biases, "ptflops_aten": biases}

    def torch_arguments(self, inputs: Shapes) -> dict[str, Any]:
        return {"in_features": inputs[0][-1]} | super().torch_arguments(inputs)

    def tools_by_order(self, call: Call) -> tuple[str, ...]:
        # Of rows in another order torch makes a product and a sum.
        return ("ptflops_aten",) if self.bias and len(call.input_shapes[0]) > 2 else ()

    def describe(self) -> str:
        return f"Linear {self.out_features}"
