"""The layers with weights that multiply: Conv2d, ConvTranspose2d and Linear."""

from typing import Annotated, Any

from gnet_inspect.errors import ShapeError
from gnet_inspect.ops.arguments import Flag, Integer, Padding, Pair
from gnet_inspect.ops.base import OneOperator, Op, Saved, Shape, Shapes, Temporaries, Window, sized, spatial, strided
from gnet_inspect.units import dimensions

Size = tuple[int, int]


class Conv2d(Op, frozen=True):
    """torch.nn.Conv2d; in_channels is inferred.

    Output size per axis: floor((in + padding_before + padding_after - dilation * (kernel - 1) - 1) / stride) + 1
    (https://pytorch.org/docs/stable/generated/torch.nn.Conv2d.html). MACs: output elements x in_channels / groups x
    kernel area, biases not counted.
    """

    out_channels: Annotated[int, Integer(1)]
    kernel_size: Annotated[Size, Pair(Integer(1))]
    stride: Annotated[Size, Pair(Integer(1))] = (1, 1)
    padding: Annotated[Size | str, Padding()] = (0, 0)
    dilation: Annotated[Size, Pair(Integer(1))] = (1, 1)
    groups: Annotated[int, Integer(1)] = 1
    bias: Annotated[bool, Flag()] = True

    def output_shape(self, inputs: Shapes) -> Shape:
        batch, channels, height, width = spatial("Conv2d", inputs)
        _check_groups("Conv2d", self.groups, channels, self.out_channels)
        if self.padding == "same" and self.stride != (1, 1):
            raise ShapeError(f'Conv2d with padding "same" expects stride 1, got {sized(self.stride)}')
        return batch, self.out_channels, self._along("height", 0, height), self._along("width", 1, width)

    def _along(self, axis: str, index: int, size: int) -> int:
        reach = self.dilation[index] * (self.kernel_size[index] - 1)
        padded = size + self._total_padding(index)
        if padded <= reach:
            raise ShapeError(
                f"Conv2d kernel {sized(self.kernel_size)} covers {reach + 1} along {axis}, "
                f"more than the padded input's {padded} ({size} + {padded - size})"
            )
        return (padded - reach - 1) // self.stride[index] + 1

    def _total_padding(self, index: int) -> int:
        """Padding before and after together, along height (0) or width (1)."""
        if self.padding == "valid":
            return 0
        if self.padding == "same":
            return self.dilation[index] * (self.kernel_size[index] - 1)
        return 2 * int(self.padding[index])

    def _weights(self, inputs: Shapes) -> int:
        area = self.kernel_size[0] * self.kernel_size[1]
        return self.out_channels * (inputs[0][1] // self.groups) * area

    def params(self, inputs: Shapes) -> int:
        return self._weights(inputs) + (self.out_channels if self.bias else 0)

    def macs(self, inputs: Shapes, output: Shape) -> int:
        # Every output position multiplies each of the layer's weights once.
        return output[0] * output[2] * output[3] * self._weights(inputs)

    def saved(self, inputs: Shapes, output: Shape, in_place: bool) -> Saved:
        copied = self._copied(inputs)
        return Saved(elements=copied) if copied else Saved(input=True)

    def temporaries(self, inputs: Shapes, output: Shape, training: bool) -> Temporaries | None:
        return Temporaries(self._copied(inputs))

    def _copied(self, inputs: Shapes) -> int:
        """Elements of the copy that torch makes of its input, with one more row or column, for "same" around an even
        kernel, and that autograd keeps in the input's place; 0 where it makes none."""
        more_rows, more_columns = self._total_padding(0) % 2, self._total_padding(1) % 2
        if not more_rows and not more_columns:
            return 0
        batch, channels, height, width = inputs[0]
        return batch * channels * (height + more_rows) * (width + more_columns)

    def window(self, inputs: Shapes) -> Window:
        reach = [self.dilation[index] * (self.kernel_size[index] - 1) + 1 for index in (0, 1)]
        return (reach[0], self.stride[0], 1), (reach[1], self.stride[1], 1)

    def torch_arguments(self, inputs: Shapes) -> dict[str, Any]:
        return {"in_channels": inputs[0][1]} | super().torch_arguments(inputs)

    def describe(self) -> str:
        text = f"Conv2d {strided(self.kernel_size, self.stride)}, {self.out_channels}"
        return text + (f", groups {self.groups}" if self.groups != 1 else "")


class ConvTranspose2d(OneOperator, frozen=True):
    """torch.nn.ConvTranspose2d; in_channels is inferred.

    Output size per axis: (in - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1
    (https://pytorch.org/docs/stable/generated/torch.nn.ConvTranspose2d.html). MACs: input elements x out_channels /
    groups x kernel area, for every input is multiplied by each of its weights once; biases not counted.
    """

    out_channels: Annotated[int, Integer(1)]
    kernel_size: Annotated[Size, Pair(Integer(1))]
    stride: Annotated[Size, Pair(Integer(1))] = (1, 1)
    padding: Annotated[Size, Pair(Integer(0))] = (0, 0)
    output_padding: Annotated[Size, Pair(Integer(0))] = (0, 0)
    groups: Annotated[int, Integer(1)] = 1
    bias: Annotated[bool, Flag()] = True
    dilation: Annotated[Size, Pair(Integer(1))] = (1, 1)

    def output_shape(self, inputs: Shapes) -> Shape:
        batch, channels, height, width = spatial("ConvTranspose2d", inputs)
        _check_groups("ConvTranspose2d", self.groups, channels, self.out_channels)
        return batch, self.out_channels, self._along("height", 0, height), self._along("width", 1, width)

    def _along(self, axis: str, index: int, size: int) -> int:
        stride, dilation, extra = self.stride[index], self.dilation[index], self.output_padding[index]
        if extra >= max(stride, dilation):
            raise ShapeError(
                f"ConvTranspose2d expects an output_padding smaller than its stride or its dilation, "
                f"got {extra} along {axis} with stride {stride} and dilation {dilation}"
            )
        full = (size - 1) * stride + dilation * (self.kernel_size[index] - 1) + extra + 1
        cut = 2 * self.padding[index]
        if full <= cut:
            raise ShapeError(
                f"ConvTranspose2d {strided(self.kernel_size, self.stride)} leaves nothing along {axis}: "
                f"its padding takes {cut} off the {full} it makes of the input's {size}"
            )
        return full - cut

    def _weights(self, inputs: Shapes) -> int:
        return inputs[0][1] * (self.out_channels // self.groups) * self.kernel_size[0] * self.kernel_size[1]

    def params(self, inputs: Shapes) -> int:
        return self._weights(inputs) + (self.out_channels if self.bias else 0)

    def macs(self, inputs: Shapes, output: Shape) -> int:
        # Every input position multiplies each of the layer's weights once.
        return inputs[0][0] * inputs[0][2] * inputs[0][3] * self._weights(inputs)

    def saved(self, inputs: Shapes, output: Shape, in_place: bool) -> Saved:
        return Saved(input=True)

    def window(self, inputs: Shapes) -> Window:
        # Inputs lie a stride apart under the kernel that one output looks back through.
        reach = [self.dilation[index] * (self.kernel_size[index] - 1) + 1 for index in (0, 1)]
        return (reach[0], 1, self.stride[0]), (reach[1], 1, self.stride[1])

    def torch_arguments(self, inputs: Shapes) -> dict[str, Any]:
        return {"in_channels": inputs[0][1]} | super().torch_arguments(inputs)

    def describe(self) -> str:
        text = f"ConvTranspose2d {strided(self.kernel_size, self.stride)}, {self.out_channels}"
        return text + (f", groups {self.groups}" if self.groups != 1 else "")


def _check_groups(kind: str, groups: int, channels: int, out_channels: int) -> None:
    if channels % groups or out_channels % groups:
        raise ShapeError(
            f"{kind} with groups {groups} expects in_channels and out_channels divisible by it, "
            f"got {channels} and {out_channels}"
        )


class Linear(OneOperator, frozen=True):
    """torch.nn.Linear on (N, F); in_features is inferred. MACs: N x in_features x out_features."""

    out_features: Annotated[int, Integer(1)]
    bias: Annotated[bool, Flag()] = True

    def output_shape(self, inputs: Shapes) -> Shape:
        shape = inputs[0]
        if len(shape) != 2:
            # torch would multiply along the last axis, the width: never what a convolutional network means.
            raise ShapeError(f"Linear expects an input N x F, got {dimensions(shape)}; put a Flatten in front of it")
        return shape[0], self.out_features

    def params(self, inputs: Shapes) -> int:
        return inputs[0][1] * self.out_features + (self.out_features if self.bias else 0)

    def macs(self, inputs: Shapes, output: Shape) -> int:
        return inputs[0][0] * inputs[0][1] * self.out_features

    def saved(self, inputs: Shapes, output: Shape, in_place: bool) -> Saved:
        return Saved(input=True)

    def torch_arguments(self, inputs: Shapes) -> dict[str, Any]:
        return {"in_features": inputs[0][1]} | super().torch_arguments(inputs)

    def describe(self) -> str:
        return f"Linear {self.out_features}"


# The layers whose multiplications are counted; a network's depth counts them too.
WEIGHTED = (Conv2d, ConvTranspose2d, Linear)
