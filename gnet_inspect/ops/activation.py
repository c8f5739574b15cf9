"""Activations, each on every element by itself, Softmax along one axis; and what drops values in training."""

from collections.abc import Mapping
from math import prod
from typing import Annotated, ClassVar

from gnet_inspect.errors import ShapeError
from gnet_inspect.ops.arguments import Choice, Flag, Integer, Number
from gnet_inspect.ops.base import (
    COUNTED_BY_NONE,
    NO_TEMPORARIES,
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
    pointwise,
    terms,
)
from gnet_inspect.units import dimensions


class _Activation(OneOperator, frozen=True):
    """What all activations share. `hooked` and `patched`: whether ptflops's pytorch backend counts its inputs by the
    module, and by the function that the module calls."""

    hooked: ClassVar[bool] = False
    patched: ClassVar[bool] = False

    @property
    def family(self) -> Family:  # type: ignore[override]  # each folds under its own name
        return Family("activation", self.kind)

    @property
    def module(self) -> str:  # type: ignore[override]  # named after the class
        return f"torch.nn.{self.kind}"

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return ()

    def macs(self, inputs: Shapes, outputs: Shapes) -> int:
        return 0

    def sight(self, inputs: Shapes) -> Sight:
        return pointwise(inputs[0])

    def differences(self, call: Call) -> Mapping[str, Terms]:
        read = prod(call.input_shapes[0])
        hooked = terms("activations as modules", read if self.hooked else 0)
        patched = terms("activations as functions", read if self.patched else 0, patched=True)
        return dict(COUNTED_BY_NONE) | {"ptflops_pytorch": hooked + patched}


class _InPlace(_Activation, frozen=True):
    """An activation with torch's `inplace`; the module honours it where nothing else reads the input."""

    inplace: Annotated[bool, Flag()] = False

    def overwrites(self) -> bool:
        return self.inplace


class _KeepsInput(_InPlace, frozen=True):
    """An activation whose gradient takes its input: written in place it keeps a copy of it, which saves nothing."""

    keeps_output: ClassVar[bool] = False

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        return Saved(elements=prod(inputs[0])) if in_place else Saved(input=True)


class _KeepsOutput(_Activation, frozen=True):
    """An activation whose gradient takes its output."""

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        return Saved(output=True)


class ReLU(_InPlace, frozen=True):
    """torch.nn.ReLU."""

    hooked: ClassVar[bool] = True
    patched: ClassVar[bool] = True

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        return Saved(output=True)


class ReLU6(_KeepsInput, frozen=True):
    """torch.nn.ReLU6."""

    # F.hardtanh, which it runs, is not patched.
    hooked: ClassVar[bool] = True
    keeps_output: ClassVar[bool] = True


class SiLU(_KeepsInput, frozen=True):
    """torch.nn.SiLU."""

    patched: ClassVar[bool] = True


class Hardswish(_KeepsInput, frozen=True):
    """torch.nn.Hardswish."""


class Hardsigmoid(_KeepsInput, frozen=True):
    """torch.nn.Hardsigmoid."""


class Mish(_KeepsInput, frozen=True):
    """torch.nn.Mish."""


class ELU(_InPlace, frozen=True):
    """torch.nn.ELU."""

    hooked: ClassVar[bool] = True
    patched: ClassVar[bool] = True

    alpha: Annotated[float, Number()] = 1.0
    inplace: Annotated[bool, Flag()] = False

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        return Saved(output=True) if in_place else Saved(input=True)


class LeakyReLU(_Activation, frozen=True):
    """torch.nn.LeakyReLU."""

    # F.leaky_relu is not patched.
    hooked: ClassVar[bool] = True

    negative_slope: Annotated[float, Number()] = 0.01
    inplace: Annotated[bool, Flag()] = False

    def overwrites(self) -> bool:
        # torch computes no gradient of an in-place LeakyReLU whose slope is below 0.
        return self.inplace and self.negative_slope >= 0

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        return Saved(output=True) if in_place else Saved(input=True)

    def describe(self) -> str:
        return f"LeakyReLU {self.negative_slope:g}"


class PReLU(_Activation, frozen=True):
    """torch.nn.PReLU: one learned slope, or with `num_parameters` one for each channel."""

    hooked: ClassVar[bool] = True
    patched: ClassVar[bool] = True
    keeps_output: ClassVar[bool] = False

    num_parameters: Annotated[int, Integer(1)] = 1
    init: Annotated[float, Number()] = 0.25

    def output_shape(self, inputs: Shapes) -> Shape:
        shape = inputs[0]
        if self.num_parameters != 1 and (len(shape) < 2 or shape[1] != self.num_parameters):
            raise ShapeError(
                f"PReLU with {self.num_parameters} parameters expects as many channels, got {dimensions(shape)}"
            )
        return shape

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return (Weight("weight", (self.num_parameters,)),)

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        return Saved(input=True)

    def differences(self, call: Call) -> Mapping[str, Terms]:
        read, batch = prod(call.input_shapes[0]), call.input_shapes[0][0]
        return dict(super().differences(call)) | {
            "torchinfo": terms("PReLU parameters, once for each image", self.num_parameters * batch),
            "thop": terms("PReLU elements", read),
        }


class Sigmoid(_KeepsOutput, frozen=True):
    """torch.nn.Sigmoid."""


class Tanh(_KeepsOutput, frozen=True):
    """torch.nn.Tanh."""


class Softplus(_Activation, frozen=True):
    """torch.nn.Softplus."""

    keeps_output: ClassVar[bool] = False

    beta: Annotated[float, Number()] = 1.0
    threshold: Annotated[float, Number()] = 20.0

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        return Saved(input=True)


class GELU(_Activation, frozen=True):
    """torch.nn.GELU."""

    hooked: ClassVar[bool] = True
    patched: ClassVar[bool] = True
    keeps_output: ClassVar[bool] = False

    approximate: Annotated[str, Choice(("none", "tanh"))] = "none"

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        return Saved(input=True)


class Softmax(OneOperator, frozen=True):
    """torch.nn.Softmax; its default here is the channels, which is what torch falls back to with a warning."""

    module: ClassVar[str] = "torch.nn.Softmax"

    dim: Annotated[int, Integer(None)] = 1

    def output_shape(self, inputs: Shapes) -> Shape:
        rank = len(inputs[0])
        if not -rank <= self.dim < rank:
            raise ShapeError(
                f"Softmax expects dim from {-rank} to {rank - 1} for {dimensions(inputs[0])}, got {self.dim}"
            )
        return inputs[0]

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return ()

    def macs(self, inputs: Shapes, outputs: Shapes) -> int:
        return 0

    def sight(self, inputs: Shapes) -> Sight:
        # Along its axis every output sees every input.
        rank = len(inputs[0])
        return tuple(Look((axis,), None) if axis == self.dim % rank else Look((axis,)) for axis in range(rank))

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        return Saved(output=True)

    def differences(self, call: Call) -> Mapping[str, Terms]:
        read = prod(call.input_shapes[0])
        # An exponential, an addition and a division for each element; the first needs no addition.
        return dict(COUNTED_BY_NONE) | {
            "ptflops_pytorch": terms("activations as functions", read, patched=True),
            "thop": terms("Softmax", 3 * read - read // call.input_shapes[0][self.dim]),
        }

    def tools_by_code(self, *, is_function: bool) -> tuple[str, ...]:
        # It may have been torch.nn.functional's, which ptflops has patched.
        return ("ptflops_pytorch",) if is_function else ()

    def differences_of_function(self, call: Call) -> Mapping[str, Terms]:
        # ptflops has patched torch.nn.functional's, not torch's own.
        return COUNTED_BY_NONE


class Dropout(Op, frozen=True):
    """torch.nn.Dropout: the identity at inference."""

    family: ClassVar[Family] = Family("dropout", "Dropout")
    module: ClassVar[str] = "torch.nn.Dropout"
    keeps_output: ClassVar[bool] = False
    may_copy: ClassVar[bool] = False

    p: Annotated[float, Number(0, 1)] = 0.5
    inplace: Annotated[bool, Flag()] = False

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return ()

    def macs(self, inputs: Shapes, outputs: Shapes) -> int:
        return 0

    def sight(self, inputs: Shapes) -> Sight:
        return pointwise(inputs[0])

    def aliases(self, training: bool) -> int | None:
        # What drops nothing hands its input on in training, too.
        return 0 if not training or self.p == 0 else None

    def overwrites(self) -> bool:
        return self.inplace

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        # Its mask, on a CPU of the input's dtype; what drops everything multiplies by one zero.
        return Saved(elements=self._mask(inputs))

    def temporaries(self, inputs: Shapes, outputs: Shapes, training: bool) -> Temporaries | None:
        return Temporaries(self._mask(inputs)) if training else NO_TEMPORARIES

    def _mask(self, inputs: Shapes) -> int:
        return 0 if self.p == 0 else 1 if self.p == 1 else prod(inputs[0])

    def differences(self, call: Call) -> Mapping[str, Terms]:
        return COUNTED_BY_NONE

    def describe(self) -> str:
        return f"Dropout {self.p:g}"


class StochasticDepth(Op, frozen=True):
    """torchvision.ops.StochasticDepth (Huang et al. 2016): in training a whole row (or the whole batch) is zeroed with
    the probability `p` and the others divided by 1 - p; the identity at inference."""

    family: ClassVar[Family] = Family("dropout", "StochasticDepth")
    module: ClassVar[str] = "gnet_inspect.runtime.layers.StochasticDepth"
    keeps_output: ClassVar[bool] = False
    may_copy: ClassVar[bool] = False

    p: Annotated[float, Number(0, 1)]
    mode: Annotated[str, Choice(("row", "batch"))] = "row"

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return ()

    def macs(self, inputs: Shapes, outputs: Shapes) -> int:
        return 0

    def sight(self, inputs: Shapes) -> Sight:
        return pointwise(inputs[0])

    def aliases(self, training: bool) -> int | None:
        return 0 if not training or self.p == 0 else None

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        return Saved(elements=self._noise(inputs))

    def temporaries(self, inputs: Shapes, outputs: Shapes, training: bool) -> Temporaries | None:
        return Temporaries(self._noise(inputs)) if training else NO_TEMPORARIES

    def _noise(self, inputs: Shapes) -> int:
        """One number for each row, or one."""
        return 0 if self.p == 0 else inputs[0][0] if self.mode == "row" else 1

    def differences(self, call: Call) -> Mapping[str, Terms]:
        return COUNTED_BY_NONE

    def describe(self) -> str:
        return f"StochasticDepth {self.p:g}"
