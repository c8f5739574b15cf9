"""Normalisation, activations and the other layers that keep their input's shape; and Flatten."""

from math import prod
from typing import Annotated, Any, ClassVar

from gnet_inspect.errors import ShapeError
from gnet_inspect.ops.arguments import Choice, Flag, Integer, Number, Numbers, Optional
from gnet_inspect.ops.base import (
    NO_TEMPORARIES,
    POINT,
    Op,
    PointOp,
    PointOperator,
    Saved,
    Shape,
    Shapes,
    Sight,
    Temporaries,
    spatial,
    whole,
)
from gnet_inspect.units import dimensions


class BatchNorm2d(PointOp, frozen=True):
    """torch.nn.BatchNorm2d; num_features is inferred. Its statistics are buffers: 2 C and one step counter."""

    eps: Annotated[float, Number(0, above=True)] = 1e-5
    momentum: Annotated[float | None, Optional(Number(0, 1))] = 0.1
    affine: Annotated[bool, Flag()] = True
    track_running_stats: Annotated[bool, Flag()] = True

    def output_shape(self, inputs: Shapes) -> Shape:
        shape = spatial("BatchNorm2d", inputs)
        if not self.track_running_stats and shape[0] * shape[2] * shape[3] == 1:
            raise ShapeError(
                "BatchNorm2d without running statistics expects more than one value per channel, "
                f"got {dimensions(shape)}"
            )
        return shape

    def sight(self, inputs: Shapes) -> Sight:
        # Without running statistics it works them out of the whole map. Those of a training step are left aside.
        return POINT if self.track_running_stats else (whole(inputs[0][2]), whole(inputs[0][3]))

    def params(self, inputs: Shapes) -> int:
        return 2 * inputs[0][1] if self.affine else 0

    def buffers(self, inputs: Shapes) -> int:
        return 2 * inputs[0][1] + 1 if self.track_running_stats else 0

    def saved(self, inputs: Shapes, output: Shape, in_place: bool) -> Saved:
        # Beside the input the batch's mean and inverse deviation.
        return Saved(input=True, elements=2 * inputs[0][1])

    def temporaries(self, inputs: Shapes, output: Shape, training: bool) -> Temporaries | None:
        # The batch's statistics, where it is them that it divides by.
        return NO_TEMPORARIES if self.track_running_stats and not training else Temporaries(2 * inputs[0][1])

    def torch_arguments(self, inputs: Shapes) -> dict[str, Any]:
        return {"num_features": inputs[0][1]} | super().torch_arguments(inputs)


class LocalResponseNorm(PointOp, frozen=True):
    """torch.nn.LocalResponseNorm, across channels; torch divides alpha by the size."""

    size: Annotated[int, Integer(1)]
    alpha: Annotated[float, Number()] = 1e-4
    beta: Annotated[float, Number()] = 0.75
    k: Annotated[float, Number()] = 1.0

    def output_shape(self, inputs: Shapes) -> Shape:
        return spatial("LocalResponseNorm", inputs)

    def saved(self, inputs: Shapes, output: Shape, in_place: bool) -> Saved:
        # torch composes it of x / (k + alpha * mean(pad(x * x))) ** beta and keeps the padded squares, the sum and its
        # power.
        batch, channels, height, width = inputs[0]
        return Saved(input=True, elements=batch * (3 * channels + self.size - 1) * height * width)

    def temporaries(self, inputs: Shapes, output: Shape, training: bool) -> Temporaries | None:
        # The squares stand beside a padded copy of them, before there is an output; later three tensors in the place of
        # the output: the mean, alpha times it and the sum with k, then the mean, the sum and its power.
        batch, channels, height, width = inputs[0]
        return Temporaries(batch * max(2 * channels, channels + self.size - 1) * height * width)

    def describe(self) -> str:
        return f"LocalResponseNorm {self.size}"


class ChannelAffine(PointOp, frozen=True):
    """x * scale + shift, one pair for each channel; no parameters, no MACs (torchvision's transform_input)."""

    scale: Annotated[tuple[float, ...], Numbers()]
    shift: Annotated[tuple[float, ...], Numbers()]

    def output_shape(self, inputs: Shapes) -> Shape:
        shape = spatial("ChannelAffine", inputs)
        if not len(self.scale) == len(self.shift) == shape[1]:
            raise ShapeError(
                f"ChannelAffine expects one scale and one shift for each of {shape[1]} channels, "
                f"got {len(self.scale)} and {len(self.shift)}"
            )
        return shape

    def buffers(self, inputs: Shapes) -> int:
        return len(self.scale) + len(self.shift)

    def temporaries(self, inputs: Shapes, output: Shape, training: bool) -> Temporaries | None:
        # The product, before the sum.
        return Temporaries(prod(output))


class _InPlace(PointOperator, frozen=True):
    """An activation with torch's `inplace`; the module honours it where nothing else reads the input."""

    inplace: Annotated[bool, Flag()] = False

    def overwrites(self) -> bool:
        return self.inplace


class _KeepsInput(_InPlace, frozen=True):
    """An activation whose gradient takes its input: written in place it keeps a copy of it, which saves nothing."""

    def saved(self, inputs: Shapes, output: Shape, in_place: bool) -> Saved:
        return Saved(elements=prod(inputs[0])) if in_place else Saved(input=True)


class ReLU(_InPlace, frozen=True):
    """torch.nn.ReLU."""

    def saved(self, inputs: Shapes, output: Shape, in_place: bool) -> Saved:
        return Saved(output=True)


class ReLU6(_KeepsInput, frozen=True):
    """torch.nn.ReLU6."""


class SiLU(_KeepsInput, frozen=True):
    """torch.nn.SiLU."""


class LeakyReLU(PointOperator, frozen=True):
    """torch.nn.LeakyReLU."""

    negative_slope: Annotated[float, Number()] = 0.01
    inplace: Annotated[bool, Flag()] = False

    def overwrites(self) -> bool:
        # torch computes no gradient of an in-place LeakyReLU whose slope is below 0.
        return self.inplace and self.negative_slope >= 0

    def saved(self, inputs: Shapes, output: Shape, in_place: bool) -> Saved:
        return Saved(output=True) if in_place else Saved(input=True)

    def describe(self) -> str:
        return f"LeakyReLU {self.negative_slope:g}"


class Sigmoid(PointOperator, frozen=True):
    """torch.nn.Sigmoid."""

    def saved(self, inputs: Shapes, output: Shape, in_place: bool) -> Saved:
        return Saved(output=True)


class Tanh(PointOperator, frozen=True):
    """torch.nn.Tanh."""

    def saved(self, inputs: Shapes, output: Shape, in_place: bool) -> Saved:
        return Saved(output=True)


class GELU(PointOperator, frozen=True):
    """torch.nn.GELU."""

    approximate: Annotated[str, Choice(("none", "tanh"))] = "none"

    def saved(self, inputs: Shapes, output: Shape, in_place: bool) -> Saved:
        return Saved(input=True)


class Softmax(PointOperator, frozen=True):
    """torch.nn.Softmax; its default here is the channels, which is what torch falls back to with a warning."""

    dim: Annotated[int, Integer(None)] = 1

    def output_shape(self, inputs: Shapes) -> Shape:
        rank = len(inputs[0])
        if not -rank <= self.dim < rank:
            raise ShapeError(
                f"Softmax expects dim from {-rank} to {rank - 1} for {dimensions(inputs[0])}, got {self.dim}"
            )
        return inputs[0]

    def sight(self, inputs: Shapes) -> Sight:
        shape = inputs[0]
        axis = self.dim % len(shape)
        if len(shape) != 4:
            # Along the features it mixes the positions that they were flattened from.
            return "all" if axis == 1 else POINT
        # Along a spatial axis every output sees every input.
        height, width = POINT
        return whole(shape[2]) if axis == 2 else height, whole(shape[3]) if axis == 3 else width

    def saved(self, inputs: Shapes, output: Shape, in_place: bool) -> Saved:
        return Saved(output=True)


class Dropout(PointOp, frozen=True):
    """torch.nn.Dropout: the identity at inference."""

    p: Annotated[float, Number(0, 1)] = 0.5
    inplace: Annotated[bool, Flag()] = False

    def is_view(self, training: bool) -> bool:
        # What drops nothing hands its input on in training, too.
        return not training or self.p == 0

    def overwrites(self) -> bool:
        return self.inplace

    def saved(self, inputs: Shapes, output: Shape, in_place: bool) -> Saved:
        # Its mask, on a CPU of the input's dtype; what drops everything multiplies by one zero.
        return Saved(elements=self._mask(inputs))

    def temporaries(self, inputs: Shapes, output: Shape, training: bool) -> Temporaries | None:
        return Temporaries(self._mask(inputs)) if training else NO_TEMPORARIES

    def _mask(self, inputs: Shapes) -> int:
        return 0 if self.p == 0 else 1 if self.p == 1 else prod(inputs[0])

    def describe(self) -> str:
        return f"Dropout {self.p:g}"


class Identity(PointOperator, frozen=True):
    """torch.nn.Identity."""

    def is_view(self, training: bool) -> bool:
        return True


class Flatten(PointOperator, frozen=True):
    """torch.nn.Flatten, as far as the result is (N, F) or stays (N, C, H, W)."""

    start_dim: Annotated[int, Integer(None)] = 1
    end_dim: Annotated[int, Integer(None)] = -1

    def is_view(self, training: bool) -> bool:
        return True

    def output_shape(self, inputs: Shapes) -> Shape:
        shape = inputs[0]
        rank = len(shape)
        if not all(-rank <= dim < rank for dim in (self.start_dim, self.end_dim)):
            raise ShapeError(
                f"Flatten expects dims from {-rank} to {rank - 1} for {dimensions(shape)}, "
                f"got {self.start_dim} and {self.end_dim}"
            )
        start, end = self.start_dim % rank, self.end_dim % rank
        if start > end:
            raise ShapeError(f"Flatten expects start_dim before end_dim, got {self.start_dim} and {self.end_dim}")
        flat = (*shape[:start], prod(shape[start : end + 1]), *shape[end + 1 :])
        if len(flat) not in (2, 4) or start == 0 < end:
            raise ShapeError(
                f"Flatten of {dimensions(shape)} from {self.start_dim} to {self.end_dim} gives {dimensions(flat)}; "
                "a network here passes N x C x H x W or N x F on"
            )
        return flat


class Opaque(Op, frozen=True):
    """A layer outside the vocabulary, met in a traced module: shown as such, never counted as zero in silence."""

    type_name: str
    shape: Shape
    counted: ClassVar[bool] = False

    @property
    def kind(self) -> str:
        return self.type_name

    def output_shape(self, inputs: Shapes) -> Shape:
        return self.shape
