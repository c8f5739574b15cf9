"""What stands in a graph where nobody knows a layer."""

from typing import ClassVar

from gnet_inspect.ops.base import Family, Op, Shape, Shapes, Weight


class Opaque(Op, frozen=True):
    """A layer outside the vocabulary, met in a traced module: shown as such, never counted as zero in silence. `held`
    are the tensors it has."""

    family: ClassVar[Family] = Family("unknown")
    arity: ClassVar[tuple[int, int]] = (0, 2**31)

    type_name: str
    shape: Shape
    held: tuple[Weight, ...] = ()

    @property
    def kind(self) -> str:
        return self.type_name

    def output_shape(self, inputs: Shapes) -> Shape:
        return self.shape

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return self.held
