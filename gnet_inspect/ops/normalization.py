"""Normalisation: over a batch, a layer, groups of channels, an instance."""

from collections.abc import Mapping
from math import prod
from typing import Annotated, Any, ClassVar

from gnet_inspect.errors import ShapeError
from gnet_inspect.ops.arguments import Flag, Integer, Number, Optional
from gnet_inspect.ops.base import (
    COUNTED_BY_NONE,
    NO_TEMPORARIES,
    POINT,
    Call,
    Family,
    Look,
    Op,
    Saved,
    Shape,
    Shapes,
    Sight,
    Temporaries,
    Terms,
    Weight,
    features_last,
    terms,
    times,
)
from gnet_inspect.ops.spatial import LAYOUTS, spatial
from gnet_inspect.units import dimensions

NORMALISATION = Family("normalisation")


class Norm(Op, frozen=True):
    """What all normalisations share: nothing of them is a multiply-accumulate by convention."""

    family: ClassVar[Family] = NORMALISATION
    keeps_output: ClassVar[bool] = False
    may_copy: ClassVar[bool] = False

    @property
    def module(self) -> str:  # type: ignore[override]  # named after the class
        return f"torch.nn.{self.kind}"

    def macs(self, inputs: Shapes, outputs: Shapes) -> int:
        return 0


def _pair_and_statistics(channels: int, affine: bool, tracked: bool) -> tuple[Weight, ...]:
    pair = tuple(Weight(name, (channels,)) for name in ("weight", "bias")) if affine else ()
    if not tracked:
        return pair
    statistics = (Weight(name, (channels,), trained=False) for name in ("running_mean", "running_var"))
    return (*pair, *statistics, Weight("num_batches_tracked", (), trained=False, counter=True))


def once_for_each_image(kind: str, op: Norm, call: Call) -> Terms:
    """torchinfo takes no notice of the positions that parameters are used at."""
    held = sum(weight.elements for weight in op.weights(call.input_shapes) if weight.trained)
    return terms(f"{kind} parameters, once for each image", held * call.input_shapes[0][0])


def counted_as_norm(op: Norm, call: Call, affine: bool) -> dict[str, Terms]:
    """What fvcore and torchinfo count of a normalisation over what it is given. fvcore knows up to five axes."""
    shape = call.input_shapes[0]
    found = dict(COUNTED_BY_NONE) | {"torchinfo": once_for_each_image(op.kind, op, call)}
    found["fvcore"] = times(4 + affine, f"{op.kind} elements", prod(shape))
    return found if len(shape) <= 5 else {tool: why for tool, why in found.items() if tool != "fvcore"}


class _BatchNorm(Norm, frozen=True):
    """What BatchNorm1d, BatchNorm2d and BatchNorm3d are; num_features is inferred. Its statistics are buffers: 2 C and
    one step counter."""

    shorthand: ClassVar[str] = "batch norm"
    family: ClassVar[Family] = Family("normalisation", "BN")
    # The ranks it takes.
    ranks: ClassVar[tuple[int, ...]]
    layout: ClassVar[str]

    eps: Annotated[float, Number(0, above=True)] = 1e-5
    momentum: Annotated[float | None, Optional(Number(0, 1))] = 0.1
    affine: Annotated[bool, Flag()] = True
    track_running_stats: Annotated[bool, Flag()] = True

    def output_shape(self, inputs: Shapes) -> Shape:
        shape = inputs[0]
        if len(shape) not in self.ranks:
            raise ShapeError(f"{self.kind} expects an input {self.layout}, got {dimensions(shape)}")
        if not self.track_running_stats and self.refuses_training(inputs):
            raise ShapeError(
                f"{self.kind} without running statistics expects more than one value per channel, "
                f"got {dimensions(shape)}"
            )
        return shape

    def refuses_training(self, inputs: Shapes) -> bool:
        return inputs[0][0] * prod(inputs[0][2:]) == 1

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return _pair_and_statistics(inputs[0][1], self.affine, self.track_running_stats)

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        # Beside the input the batch's mean and inverse deviation.
        return Saved(input=True, elements=2 * inputs[0][1])

    def temporaries(self, inputs: Shapes, outputs: Shapes, training: bool) -> Temporaries | None:
        # The batch's statistics, where it is them that it divides by.
        return NO_TEMPORARIES if self.track_running_stats and not training else Temporaries(2 * inputs[0][1])

    def sight(self, inputs: Shapes) -> Sight:
        # Without running statistics it works them out of all maps of the batch; those of a training step are left
        # aside.
        window = POINT if self.track_running_stats else None
        return (Look((0,), window), Look((1,)), *(Look((axis,), window) for axis in range(2, len(inputs[0]))))

    def differences(self, call: Call) -> Mapping[str, Terms]:
        read, affine, fixed = prod(call.input_shapes[0]), self.affine, self.track_running_stats
        # Each element once, once more with an affine pair; three more where the statistics are to be worked out.
        what = "BatchNorm elements" + ("" if fixed else " without running statistics")
        return dict(COUNTED_BY_NONE) | {
            "fvcore": times((1 if fixed else 4) + affine, what, read),
            "torchinfo": once_for_each_image("BatchNorm", self, call),
            "ptflops_pytorch": times(1 + affine, "BatchNorm elements", read),
            "thop": times(2 + 2 * affine, "BatchNorm elements", read),
        }

    def torch_arguments(self, inputs: Shapes) -> dict[str, Any]:
        return {"num_features": inputs[0][1]} | super().torch_arguments(inputs)


class BatchNorm1d(_BatchNorm, frozen=True):
    """torch.nn.BatchNorm1d on (N, C) or (N, C, L); num_features is inferred."""

    ranks: ClassVar[tuple[int, ...]] = (2, 3)
    layout: ClassVar[str] = f"N x C or {LAYOUTS[1]}"


class BatchNorm2d(_BatchNorm, frozen=True):
    """torch.nn.BatchNorm2d; num_features is inferred. Its statistics are buffers: 2 C and one step counter."""

    ranks: ClassVar[tuple[int, ...]] = (4,)
    layout: ClassVar[str] = LAYOUTS[2]


class BatchNorm3d(_BatchNorm, frozen=True):
    """torch.nn.BatchNorm3d; num_features is inferred."""

    ranks: ClassVar[tuple[int, ...]] = (5,)
    layout: ClassVar[str] = LAYOUTS[3]


class _InstanceNorm(Norm, frozen=True):
    """What InstanceNorm1d, InstanceNorm2d and InstanceNorm3d are; num_features is inferred. Every output sees its whole
    channel."""

    may_copy: ClassVar[bool] = True

    eps: Annotated[float, Number(0, above=True)] = 1e-5
    momentum: Annotated[float | None, Optional(Number(0, 1))] = 0.1
    affine: Annotated[bool, Flag()] = False
    track_running_stats: Annotated[bool, Flag()] = False

    def output_shape(self, inputs: Shapes) -> Shape:
        shape = spatial(self.kind, inputs, self.ndim)
        if prod(shape[2:]) == 1 and not self.track_running_stats:
            raise ShapeError(f"{self.kind} expects more than one value per channel, got {dimensions(shape)}")
        return shape

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return _pair_and_statistics(inputs[0][1], self.affine, self.track_running_stats)

    def refuses_training(self, inputs: Shapes) -> bool:
        return prod(inputs[0][2:]) == 1

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        # A BatchNorm of N C channels: mean and inverse deviation, and of weights and statistics a copy for each image.
        rows = inputs[0][0] * inputs[0][1]
        return Saved(input=True, elements=rows * (2 + self.affine + 2 * self.track_running_stats))

    def temporaries(self, inputs: Shapes, outputs: Shapes, training: bool) -> Temporaries | None:
        batch, channels = inputs[0][:2]
        fixed = self.track_running_stats and not training
        # In training the running mean, and then the variance, is averaged over the images.
        averaged = channels if self.track_running_stats and training else 0
        copies = 2 * self.affine + 2 * self.track_running_stats + 2 * (not fixed)
        return Temporaries(batch * channels * copies + averaged)

    def sight(self, inputs: Shapes) -> Sight:
        whole = POINT if self.track_running_stats else None
        return (Look((0,)), Look((1,)), *(Look((axis,), whole) for axis in range(2, len(inputs[0]))))

    def differences(self, call: Call) -> Mapping[str, Terms]:
        affine, read = self.affine, prod(call.input_shapes[0])
        return counted_as_norm(self, call, affine) | {
            "ptflops_pytorch": times(1 + affine, f"{self.kind} elements", read),
            "thop": times(2 + 2 * affine, f"{self.kind} elements", read),
        }

    def torch_arguments(self, inputs: Shapes) -> dict[str, Any]:
        return {"num_features": inputs[0][1]} | super().torch_arguments(inputs)


class InstanceNorm1d(_InstanceNorm, frozen=True):
    """torch.nn.InstanceNorm1d; num_features is inferred."""

    ndim: ClassVar[int] = 1


class InstanceNorm2d(_InstanceNorm, frozen=True):
    """torch.nn.InstanceNorm2d; num_features is inferred."""

    ndim: ClassVar[int] = 2


class InstanceNorm3d(_InstanceNorm, frozen=True):
    """torch.nn.InstanceNorm3d; num_features is inferred."""

    ndim: ClassVar[int] = 3


class GroupNorm(Norm, frozen=True):
    """torch.nn.GroupNorm on (N, C, ...); num_channels is inferred. Every output sees all positions of its group."""

    may_copy: ClassVar[bool] = True

    num_groups: Annotated[int, Integer(1)]
    eps: Annotated[float, Number(0, above=True)] = 1e-5
    affine: Annotated[bool, Flag()] = True

    def output_shape(self, inputs: Shapes) -> Shape:
        shape = inputs[0]
        if len(shape) < 2 or shape[1] % self.num_groups:
            raise ShapeError(
                f"GroupNorm expects an input N x C with C divisible by its {self.num_groups} groups, "
                f"got {dimensions(shape)}"
            )
        if prod(shape) == self.num_groups:
            raise ShapeError(f"GroupNorm expects more than one value per group, got {dimensions(shape)}")
        return shape

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return _pair_and_statistics(inputs[0][1], self.affine, False)

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        # The mean and the inverse deviation of each group.
        return Saved(input=True, elements=2 * inputs[0][0] * self.num_groups)

    def temporaries(self, inputs: Shapes, outputs: Shapes, training: bool) -> Temporaries | None:
        return Temporaries(2 * inputs[0][0] * self.num_groups)

    def sight(self, inputs: Shapes) -> Sight:
        return (Look((0,)), *(Look((axis,), None) for axis in range(1, len(inputs[0]))))

    def differences(self, call: Call) -> Mapping[str, Terms]:
        elements = times(1 + self.affine, "GroupNorm elements", prod(call.input_shapes[0]))
        return counted_as_norm(self, call, self.affine) | {"ptflops_pytorch": elements}

    def torch_arguments(self, inputs: Shapes) -> dict[str, Any]:
        arguments = super().torch_arguments(inputs)
        return {"num_groups": arguments.pop("num_groups"), "num_channels": inputs[0][1]} | arguments

    def describe(self) -> str:
        return f"GroupNorm {self.num_groups}"


class _LastAxesNorm(Norm, frozen=True):
    """What LayerNorm and RMSNorm share: they normalise over the last `axes` axes together."""

    axes: Annotated[int, Integer(1)] = 1

    def axis_names(self, rank: int) -> tuple[str, ...]:
        return features_last(rank)

    def output_shape(self, inputs: Shapes) -> Shape:
        if self.axes >= len(inputs[0]):
            raise ShapeError(
                f"{self.kind} over the last {self.axes} axes expects an input with more, got {dimensions(inputs[0])}"
            )
        return inputs[0]

    def sight(self, inputs: Shapes) -> Sight:
        first = len(inputs[0]) - self.axes
        return tuple(Look((axis,), POINT if axis < first else None) for axis in range(len(inputs[0])))

    def torch_arguments(self, inputs: Shapes) -> dict[str, Any]:
        arguments = super().torch_arguments(inputs)
        del arguments["axes"]
        return {"normalized_shape": inputs[0][-self.axes :]} | arguments


class LayerNorm(_LastAxesNorm, frozen=True):
    """torch.nn.LayerNorm over the last `axes` axes (one unless said); normalized_shape is inferred."""

    shorthand: ClassVar[str] = "layer norm"

    eps: Annotated[float, Number(0, above=True)] = 1e-5
    elementwise_affine: Annotated[bool, Flag()] = True
    bias: Annotated[bool, Flag()] = True

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        if not self.elementwise_affine:
            return ()
        shape = inputs[0][-self.axes :]
        return (Weight("weight", shape), Weight("bias", shape)) if self.bias else (Weight("weight", shape),)

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        # The mean and the inverse deviation of each row.
        return Saved(input=True, elements=2 * prod(inputs[0][: -self.axes]))

    def temporaries(self, inputs: Shapes, outputs: Shapes, training: bool) -> Temporaries | None:
        return Temporaries(2 * prod(inputs[0][: -self.axes]))

    def differences(self, call: Call) -> Mapping[str, Terms]:
        affine, read = self.elementwise_affine, prod(call.input_shapes[0])
        return counted_as_norm(self, call, affine) | {
            "ptflops_pytorch": terms("LayerNorm elements", read),
            "thop": times(2 + 2 * affine, "LayerNorm elements", read),
        }


class RMSNorm(_LastAxesNorm, frozen=True):
    """torch.nn.RMSNorm over the last `axes` axes (one unless said); normalized_shape is inferred."""

    may_copy: ClassVar[bool] = True

    eps: Annotated[float | None, Optional(Number(0, above=True))] = None
    elementwise_affine: Annotated[bool, Flag()] = True

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return (Weight("weight", inputs[0][-self.axes :]),) if self.elementwise_affine else ()

    def differences(self, call: Call) -> Mapping[str, Terms]:
        return dict(COUNTED_BY_NONE) | {"torchinfo": once_for_each_image("RMSNorm", self, call)}
