"""Upsample: the input on a grid of another density."""

from fractions import Fraction
from typing import Annotated

from gnet_inspect.errors import ShapeError
from gnet_inspect.ops.arguments import Choice, Flag, Integer, Number, Optional, Pair
from gnet_inspect.ops.base import AxisWindow, OneOperator, Shape, Shapes, Window, sized, spatial
from gnet_inspect.units import LARGEST_EXACT, dimensions

# How many neighbouring inputs each mode reads along one axis, for an output that lies between two of them.
TAPS = {"nearest": 1, "nearest-exact": 1, "bilinear": 2, "bicubic": 4}
# By how much the size grows where torch goes by the sizes, whatever the factor that was given.
WITHOUT_FACTOR = {"nearest": (1, 2), "nearest-exact": (), "bilinear": (1,), "bicubic": ()}


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

    def sight(self, inputs: Shapes) -> Window:
        _, _, height, width = inputs[0]
        return self._window(0, height), self._window(1, width)

    def _window(self, index: int, size: int) -> AxisWindow:
        """What one output reads, in lowest terms of the step from output to output."""
        taps = TAPS[self.mode]
        ahead, parts = self._step(index, size).as_integer_ratio()
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

    def _step(self, index: int, size: int) -> Fraction:
        out = self._along(index, size)
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
        to = f"to {sized(self.size)}" if self.size is not None else f"x{self._factor()}" if self.scale_factor else ""
        return f"Upsample {to}, {self.mode}"
