"""Upsample: the input on a grid of another density."""

from collections.abc import Mapping
from fractions import Fraction
from math import prod
from typing import Annotated, Any, ClassVar

from gnet_inspect.errors import ShapeError
from gnet_inspect.ops.arguments import VALUE, Choice, Flag, Integer, Number, Optional, Sizes
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
    Terms,
    Weight,
    terms,
    times,
)
from gnet_inspect.ops.spatial import channelwise, sized, spatial
from gnet_inspect.units import LARGEST_EXACT, dimensions

# How many neighbouring inputs each mode reads along one axis, for an output that lies between two of them.
TAPS = {"nearest": 1, "nearest-exact": 1, "bilinear": 2, "bicubic": 4}
# By how much the size grows where torch goes by the sizes, whatever the factor that was given.
WITHOUT_FACTOR = {"nearest": (1, 2), "nearest-exact": (), "bilinear": (1,), "bicubic": ()}


class Upsample(OneOperator, frozen=True):
    """torch.nn.Upsample on (N, C, H, W): to a size, by a factor for each axis, or with `like` to the size of another
    layer's output. No parameters, no MACs.

    Output size per axis: the size given, or floor(in * scale_factor)
    (https://pytorch.org/docs/stable/generated/torch.nn.Upsample.html).
    """

    shorthand: ClassVar[str] = "upsample"
    family: ClassVar[Family] = Family("resampling")
    arity: ClassVar[tuple[int, int]] = (1, 1)
    keeps_output: ClassVar[bool] = False

    size: Annotated[tuple[int, int] | None, Optional(Sizes(Integer(1)))] = None
    scale_factor: Annotated[tuple[float, float] | None, Optional(Sizes(Number(0, above=True)))] = None
    mode: Annotated[str, Choice(tuple(TAPS))] = "nearest"
    align_corners: Annotated[bool | None, Optional(Flag())] = None
    recompute_scale_factor: Annotated[bool | None, Optional(Flag())] = None
    like: Annotated[bool, VALUE] = False

    @property
    def module(self) -> str:  # type: ignore[override]  # torch's reads one tensor
        return "gnet_inspect.runtime.moving.UpsampleLike" if self.like else "torch.nn.Upsample"

    def torch_arguments(self, inputs: Shapes) -> dict[str, Any]:
        arguments = super().torch_arguments(inputs)
        del arguments["like"]
        return {name: arguments[name] for name in ("mode", "align_corners")} if self.like else arguments

    def output_shape(self, inputs: Shapes) -> Shape:
        batch, channels, height, width = spatial("Upsample", inputs, 2)
        given = [name for name in ("size", "scale_factor", "like") if getattr(self, name) not in (None, False)]
        if len(given) != 1:
            got = " and ".join(given) or "none of them"
            raise ShapeError(f"Upsample expects one of size, scale_factor and like, got {got}")
        if self.align_corners is not None and TAPS[self.mode] == 1:
            raise ShapeError(f'Upsample expects align_corners with "bilinear" or "bicubic" only, got "{self.mode}"')
        if self.scale_factor is None and self.recompute_scale_factor:
            raise ShapeError(
                f"Upsample expects recompute_scale_factor with a scale_factor only, got it with {given[0]}"
            )
        if self.like:
            if len(inputs[1]) != 4:
                raise ShapeError(f"Upsample expects the size of an N x C x H x W, got {dimensions(inputs[1])}")
            return batch, channels, *inputs[1][2:]
        rows, columns = self._along(0, height), self._along(1, width)
        if not rows or not columns:
            raise ShapeError(
                f"Upsample by {self._factor()} leaves nothing of {dimensions(inputs[0])}: it gives {rows}x{columns}"
            )
        return batch, channels, rows, columns

    def _along(self, index: int, size: int) -> int:
        if self.size is not None:
            return self.size[index]
        assert self.scale_factor is not None
        # No network comes near the bound: its totals are refused above it.
        return int(min(size * self.scale_factor[index], LARGEST_EXACT))

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return ()

    def macs(self, inputs: Shapes, outputs: Shapes) -> int:
        return 0

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        return Saved()

    def differences(self, call: Call) -> Mapping[str, Terms]:
        read, made = call.input_shapes[0], call.output_shapes[0]
        # Of F.interpolate ptflops counts the outputs, for which it cuts a factor to an integer.
        factor = self.scale_factor
        axes = [int(along) for along in factor] if factor else made[2:]
        places = prod(read) if factor else prod(made[:2])
        # A module of torch's is hooked on, the function by itself is not.
        hooked = 0 if self.like else prod(made[1:])
        by_thop = 0 if self.like else {"nearest": 1, "bilinear": 11, "bicubic": 259}.get(self.mode, 0)
        return dict(COUNTED_BY_NONE) | {
            # Other modes are not known to it.
            "fvcore": times({"nearest": 1, "bilinear": 4}.get(self.mode, 0), "outputs of Upsample", prod(made)),
            # By the module the outputs for the first image of a batch.
            "ptflops_pytorch": terms("Upsample as a module", hooked)
            + terms("Upsample as a function", places * prod(axes), patched=True),
            "thop": times(by_thop, "outputs of Upsample", prod(made)),
        }

    def tools_by_code(self, *, is_function: bool) -> tuple[str, ...]:
        # It cuts each of several factors to an integer, but not one for all axes.
        cut = any(along != int(along) for along in self.scale_factor or ())
        return ("ptflops_pytorch",) if cut else ()

    def sight(self, inputs: Shapes) -> Sight:
        sizes, made = inputs[0][2:], self.output_shape(inputs)[2:]
        return channelwise(self._window(index, sizes[index], made[index]) for index in (0, 1))

    @property
    def sources(self) -> int:
        return 1

    def _window(self, index: int, size: int, out: int) -> AxisWindow:
        """What one output reads, in lowest terms of the step from output to output."""
        taps = TAPS[self.mode]
        ahead, parts = self._step(index, size, out).as_integer_ratio()
        if self.mode == "nearest":
            # Output i reads floor(i ahead / parts).
            return AxisWindow(parts, ahead, parts, 1 - parts)
        if self.mode == "nearest-exact":
            # The input nearest to its middle: floor((i + 1/2) ahead / parts).
            return AxisWindow(parts, ahead, parts, ahead // 2 + 1 - parts)
        # Output i lies at i ahead, or without align_corners at i ahead + (ahead - parts) / 2, and reads what lies less
        # than so many inputs away to either side.
        middle, half = (0, False) if self.align_corners else divmod(ahead - parts, 2)
        if parts == 1 and not half:
            # Right on an input it reads that one alone.
            return AxisWindow(1, ahead, 1, middle)
        away = taps // 2 * parts
        # Where only some outputs lie right on an input, bicubic reads less there than its four.
        exact = taps == 2 or bool(half)
        return AxisWindow(2 * away - (not half), ahead, parts, middle + 1 - away, exact)

    def _step(self, index: int, size: int, out: int) -> Fraction:
        if self.align_corners:
            # A single output lies on the first input.
            return Fraction(size - 1, out - 1) if out > 1 else Fraction(0)
        by_sizes = any(out == times * size for times in WITHOUT_FACTOR[self.mode])
        if self.scale_factor is None or self.recompute_scale_factor or by_sizes:
            return Fraction(size, out)
        # torch steps by the factor given, also where it does not give a whole number of outputs.
        return 1 / Fraction(repr(self.scale_factor[index]))

    def _factor(self) -> str:
        assert self.scale_factor is not None
        first, second = self.scale_factor
        return f"{first:g}" if first == second else f"{first:g}x{second:g}"

    def describe(self) -> str:
        if self.like:
            return f"Upsample to a size given, {self.mode}"
        to = f"to {sized(self.size)}" if self.size is not None else f"x{self._factor()}" if self.scale_factor else ""
        return f"Upsample {to}, {self.mode}"
