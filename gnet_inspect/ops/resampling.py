"""Upsample: the input on a grid of another density."""

from fractions import Fraction
from typing import Annotated

from gnet_inspect.errors import ShapeError
from gnet_inspect.ops.arguments import Choice, Flag, Integer, Number, Optional, Pair
from gnet_inspect.ops.base import Axis, OneOperator, Shape, Shapes, Window, sized, spatial
from gnet_inspect.units import LARGEST_EXACT, dimensions

# How many neighbouring inputs each mode reads along one axis, for an output that lies between two of them.
TAPS = {"nearest": 1, "nearest-exact": 1, "bilinear": 2, "bicubic": 4}


class Upsample(OneOperator, frozen=True):
    """torch.nn.Upsample on (N, C, H, W): to a size, or by a factor for each axis. No parameters, no MACs.

    Output size per axis: the size given, or floor(in * scale_factor)
    (https://pytorch.org/docs/stable/generated/torch.nn.Upsample.html).
    """

    size: Annotated[tuple[int, int] | None, Optional(Pair(Integer(1)))] = None
    scale_factor: Annotated[tuple[float, float] | None, Optional(Pair(Number(0, above=True)))] = None
    mode: Annotated[str, Choice(tuple(TAPS))] = "nearest"
    align_corners: Annotated[bool | None, Optional(Flag())] = None
    recompute_scale_factor: Annotated[bool | None, Optional(Flag())] = None

    def output_shape(self, inputs: Shapes) -> Shape:
        batch, channels, height, width = spatial("Upsample", inputs)
        if (self.size is None) == (self.scale_factor is None):
            raise ShapeError(
                f"Upsample expects either size or scale_factor, got {'neither' if self.size is None else 'both'}"
            )
        if self.align_corners is not None and TAPS[self.mode] == 1:
            raise ShapeError(f'Upsample expects align_corners with "bilinear" or "bicubic" only, got "{self.mode}"')
        if self.size is not None and self.recompute_scale_factor:
            raise ShapeError("Upsample expects recompute_scale_factor with a scale_factor only, got it with a size")
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

    def window(self, inputs: Shapes) -> Window:
        _, _, height, width = inputs[0]
        return self._window(0, height), self._window(1, width)

    def _window(self, index: int, size: int) -> Axis:
        """How far one output looks, in lowest terms of the step from output to output."""
        out, taps = self._along(index, size), TAPS[self.mode]
        if self.align_corners:
            # A single output lies on the first input.
            step = Fraction(size - 1, out - 1) if out > 1 else Fraction(0)
        elif self.scale_factor is None or self.recompute_scale_factor:
            step = Fraction(size, out)
        else:
            # torch steps by the factor given, also where it does not give a whole number of outputs.
            step = 1 / Fraction(repr(self.scale_factor[index]))
        ahead, parts = step.as_integer_ratio()
        # An output right on an input reads that one alone. Without align_corners, which puts the first one there, it
        # takes two odd numbers: output i lies at ((2 i + 1) ahead - parts) / (2 parts).
        meets = taps > 1 and (bool(self.align_corners) or (ahead % 2 and parts % 2))
        reach = 1 if meets and parts == 1 else taps * parts - bool(meets)
        return reach, ahead, parts

    def _factor(self) -> str:
        assert self.scale_factor is not None
        first, second = self.scale_factor
        return f"{first:g}" if first == second else f"{first:g}x{second:g}"

    def describe(self) -> str:
        to = f"to {sized(self.size)}" if self.size is not None else f"x{self._factor()}" if self.scale_factor else ""
        return f"Upsample {to}, {self.mode}"
