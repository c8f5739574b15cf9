"""Normalisation across the channels at each position, and a fixed affine map of them."""

from collections.abc import Mapping
from math import prod
from typing import Annotated, Any, ClassVar

from gnet_inspect.errors import ShapeError
from gnet_inspect.ops.arguments import Flag, Integer, Number, Numbers
from gnet_inspect.ops.base import (
    COUNTED_BY_NONE,
    Call,
    Look,
    Saved,
    Shape,
    Shapes,
    Sight,
    Temporaries,
    Terms,
    Weight,
    pointwise,
    terms,
)
from gnet_inspect.ops.normalization import Norm, counted_as_norm
from gnet_inspect.ops.spatial import spatial


class LayerNorm2d(Norm, frozen=True):
    """torchvision's LayerNorm2d: a LayerNorm over the channels of (N, C, H, W); normalized_shape is inferred."""

    shorthand: ClassVar[str] = "layer norm"
    module: ClassVar[str] = "gnet_inspect.runtime.layers.LayerNorm2d"
    # Its channels come out last in memory.
    reorders: ClassVar[bool] = True

    eps: Annotated[float, Number(0, above=True)] = 1e-5
    elementwise_affine: Annotated[bool, Flag()] = True
    bias: Annotated[bool, Flag()] = True

    def output_shape(self, inputs: Shapes) -> Shape:
        return spatial("LayerNorm2d", inputs, 2)

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        channels = (inputs[0][1],)
        bias = (Weight("bias", channels),) if self.bias else ()
        return (Weight("weight", channels), *bias) if self.elementwise_affine else ()

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        # The mean and the inverse deviation at each position.
        return Saved(input=True, elements=self._statistics(inputs))

    def temporaries(self, inputs: Shapes, outputs: Shapes, training: bool) -> Temporaries | None:
        return Temporaries(self._statistics(inputs))

    def _statistics(self, inputs: Shapes) -> int:
        batch, _, height, width = inputs[0]
        return 2 * batch * height * width

    def sight(self, inputs: Shapes) -> Sight:
        return (Look((0,)), Look((1,), None), Look((2,)), Look((3,)))

    def differences(self, call: Call) -> Mapping[str, Terms]:
        return counted_as_norm(self, call, self.elementwise_affine)

    def torch_arguments(self, inputs: Shapes) -> dict[str, Any]:
        return {"normalized_shape": inputs[0][1]} | super().torch_arguments(inputs)


class LocalResponseNorm(Norm, frozen=True):
    """torch.nn.LocalResponseNorm, across channels; torch divides alpha by the size."""

    shorthand: ClassVar[str] = "LRN"
    module: ClassVar[str] = "gnet_inspect.runtime.layers.LocalResponseNorm"

    size: Annotated[int, Integer(1)]
    alpha: Annotated[float, Number()] = 1e-4
    beta: Annotated[float, Number()] = 0.75
    k: Annotated[float, Number()] = 1.0

    def output_shape(self, inputs: Shapes) -> Shape:
        return spatial("LocalResponseNorm", inputs, 2)

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        # torch composes it of x / (k + alpha * mean(pad(x * x))) ** beta and keeps the padded squares, the sum and its
        # power.
        batch, channels, height, width = inputs[0]
        return Saved(input=True, elements=batch * (3 * channels + self.size - 1) * height * width)

    def temporaries(self, inputs: Shapes, outputs: Shapes, training: bool) -> Temporaries | None:
        # The squares stand beside a padded copy of them, before there is an output; later three tensors in the place of
        # the output: the mean, alpha times it and the sum with k, then the mean, the sum and its power.
        batch, channels, height, width = inputs[0]
        return Temporaries(batch * max(2 * channels, channels + self.size - 1) * height * width)

    def sight(self, inputs: Shapes) -> Sight:
        return (Look((0,)), Look((1,), None), Look((2,)), Look((3,)))

    def differences(self, call: Call) -> Mapping[str, Terms]:
        batch, channels, height, width = call.input_shapes[0]
        # x.mul(x), the three-dimensional average pool over padded channels, .mul(alpha) and .add(k).
        amount = batch * (4 * channels + self.size - 1) * height * width
        return dict(COUNTED_BY_NONE) | {
            "ptflops_pytorch": terms("functions that LocalResponseNorm calls", amount, patched=True)
        }

    def describe(self) -> str:
        return f"LocalResponseNorm {self.size}"


class ChannelAffine(Norm, frozen=True):
    """x * scale + shift, one pair for each channel; no parameters, no MACs (torchvision's transform_input)."""

    module: ClassVar[str] = "gnet_inspect.runtime.layers.ChannelAffine"

    scale: Annotated[tuple[float, ...], Numbers()]
    shift: Annotated[tuple[float, ...], Numbers()]

    def output_shape(self, inputs: Shapes) -> Shape:
        shape = spatial("ChannelAffine", inputs, 2)
        if not len(self.scale) == len(self.shift) == shape[1]:
            raise ShapeError(
                f"ChannelAffine expects one scale and one shift for each of {shape[1]} channels, "
                f"got {len(self.scale)} and {len(self.shift)}"
            )
        return shape

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return tuple(
            Weight(name, (1, len(self.scale), 1, 1), trained=False, persistent=False) for name in ("scale", "shift")
        )

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        return Saved()

    def temporaries(self, inputs: Shapes, outputs: Shapes, training: bool) -> Temporaries | None:
        # The product, before the sum.
        return Temporaries(prod(outputs[0]))

    def sight(self, inputs: Shapes) -> Sight:
        return pointwise(inputs[0])

    def differences(self, call: Call) -> Mapping[str, Terms]:
        return COUNTED_BY_NONE
