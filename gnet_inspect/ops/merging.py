"""Where branches meet and part: concat along the channels, the element-wise sum, and slices of channels."""

from math import prod
from typing import Annotated

from gnet_inspect.errors import ShapeError
from gnet_inspect.ops.arguments import Number
from gnet_inspect.ops.base import OneOperator, Op, Shape, Shapes, Temporaries
from gnet_inspect.units import dimensions


def _listed(inputs: Shapes) -> str:
    return ", ".join(map(dimensions, inputs[:8])) + (", ..." if len(inputs) > 8 else "")


class Concat(OneOperator, frozen=True):
    """torch.cat(inputs, dim=1): all sizes but the channels must agree."""

    @property
    def kind(self) -> str:
        return "concat"

    def output_shape(self, inputs: Shapes) -> Shape:
        first = inputs[0]
        if any(len(shape) != len(first) or shape[2:] != first[2:] for shape in inputs):
            raise ShapeError(f"concat expects branches that agree in all but the channels, got {_listed(inputs)}")
        return first[0], sum(shape[1] for shape in inputs), *first[2:]

    def describe(self) -> str:
        return "concat"


class ActivatedConcat(Concat, frozen=True):
    """A concat that applies ReLU, while it copies, to the branches that `relu` marks: one flag for each input.

    No spec can say it: `graph.optimize` makes it, of a concat and the activations before it.
    """

    relu: tuple[bool, ...]

    def output_shape(self, inputs: Shapes) -> Shape:
        if len(self.relu) != len(inputs):
            raise ShapeError(f"concat expects a flag for each of {len(inputs)} branches, got {len(self.relu)}")
        return super().output_shape(inputs)

    def describe(self) -> str:
        return f"concat with {sum(self.relu)} ReLU"


class Channels(OneOperator, frozen=True):
    """torch.narrow(input, 1, start, stop - start): some neighbouring channels, as a view of the input's memory.

    No spec can say it: `graph.optimize` makes it, where one convolution takes the place of several.
    """

    start: int
    stop: int

    @property
    def kind(self) -> str:
        return "slice"

    def output_shape(self, inputs: Shapes) -> Shape:
        first = inputs[0]
        if not 0 <= self.start < self.stop <= first[1]:
            raise ShapeError(f"slice expects channels of the input's {first[1]}, got {self.start} to {self.stop}")
        return first[0], self.stop - self.start, *first[2:]

    def is_view(self, training: bool) -> bool:
        return True

    def describe(self) -> str:
        return f"slice {self.start}:{self.stop}"


class Add(Op, frozen=True):
    """The element-wise sum: input 0 + scale x each other one; all shapes must be equal (nothing is broadcast)."""

    scale: Annotated[float, Number()] = 1.0

    @property
    def kind(self) -> str:
        return "add"

    def output_shape(self, inputs: Shapes) -> Shape:
        if any(shape != inputs[0] for shape in inputs):
            raise ShapeError(f"add expects branches of equal shape, got {_listed(inputs)}")
        return inputs[0]

    def temporaries(self, inputs: Shapes, output: Shape, training: bool) -> Temporaries | None:
        # Two at a time: the sum so far, from the third input on, and what is multiplied before it is added.
        return Temporaries(((len(inputs) > 2) + (self.scale != 1)) * prod(output))

    def describe(self) -> str:
        return "add" if self.scale == 1 else f"add, scale {self.scale:g}"
