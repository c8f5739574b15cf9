"""Where branches meet: concat along the channels, and the element-wise sum."""

from typing import Annotated

from gnet_inspect.errors import ShapeError
from gnet_inspect.ops.arguments import Number
from gnet_inspect.ops.base import Op, Shape, Shapes
from gnet_inspect.units import dimensions


def _listed(inputs: Shapes) -> str:
    return ", ".join(map(dimensions, inputs[:8])) + (", ..." if len(inputs) > 8 else "")


class Concat(Op, frozen=True):
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

    def describe(self) -> str:
        return "add" if self.scale == 1 else f"add, scale {self.scale:g}"
