"""A value of a file while it is read: its shape, its type, and what it is made of."""

from typing import Any

from gnet_inspect.graph.recording import Made
from gnet_inspect.ops import Shape
from gnet_inspect.sources.onnx.form import LARGEST_VALUES

# ONNX's numbers of types (TensorProto.DataType), by what the graph's words are for what they hold.
_INDICES = (2, 3, 4, 5, 6, 7, 12, 13)
BOOL, FLOAT, INT32, INT64, STRING = 9, 1, 6, 7, 8
# Of an element so many bits: FLOAT, FLOAT16, DOUBLE, BFLOAT16, four of 8 bits, and so on.
BITS = {
    1: 32,
    10: 16,
    11: 64,
    16: 16,
    6: 32,
    7: 64,
    12: 32,
    13: 64,
    4: 16,
    5: 16,
    2: 8,
    3: 8,
    9: 8,
    14: 64,
    15: 128,
    17: 8,
    18: 8,
    19: 8,
    20: 8,
    21: 4,
    22: 4,
    23: 4,
    24: 8,
    25: 2,
    26: 2,
}
FLOATS = frozenset((1, 10, 11, 16, 17, 18, 19, 20, 23, 24))
# What a quantised tensor is held in.
SMALL = frozenset((2, 3, 4, 5, 17, 18, 19, 20, 21, 22, 23, 25, 26))


class Value:
    """One value: an input, a constant of the file, or what a node makes.

    `made` is what the graph is assembled of; a constant has none before somebody reads it as a value. `values` are its
    numbers where it is a small constant; `is_constant`: no input of the network is in it. `weight` is the name of the
    tensor of the file that it is, and `stored` the type of that, where it is made of one.
    """

    __slots__ = ("_tensor", "is_constant", "kind", "made", "name", "shape", "stored", "values", "weight")

    def __init__(
        self,
        name: str,
        shape: Shape,
        kind: int,
        *,
        made: Made | None = None,
        values: Any = None,
        weight: str = "",
        is_constant: bool = False,
    ) -> None:
        self.name, self.shape, self.kind = name, shape, kind
        self.made, self.values, self.weight, self.is_constant = made, values, weight, is_constant
        self.stored = kind
        self._tensor: Any = None

    @property
    def dtype(self) -> str:
        """What it holds, in the graph's words: what is quantised stands for numbers."""
        return dtype_of_kind(self.kind)

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        count = 1
        for size in self.shape:
            count *= size
        return count

    @property
    def signature(self) -> bytes | None:
        """What tells it from others of its shape: the numbers that a rule may ask for."""
        return None if self.values is None else self.values.tobytes()

    def tensor(self) -> Any:
        """It as a tensor of ONNX's, where its numbers are known."""
        if self._tensor is None and self.values is not None:
            import onnx

            made = onnx.TensorProto()
            made.data_type, made.raw_data = self.kind, self.values.tobytes()
            made.dims.extend(self.shape)
            self._tensor = made
        return self._tensor

    def integers(self) -> tuple[int, ...] | None:
        """The numbers of a small constant, all of them integers."""
        if self.values is None or len(self.shape) > 1 or self.values.dtype.kind not in "iub":
            return None
        return tuple(map(int, self.values.ravel()))

    def numbers(self) -> tuple[float, ...] | None:
        """The numbers of a small constant."""
        if self.values is None or self.values.dtype.kind not in "iubf" or self.elements > LARGEST_VALUES:
            return None
        return tuple(map(float, self.values.ravel()))


def dtype_of_kind(kind: int) -> str:
    """What a type of ONNX's holds, in the graph's words."""
    if kind == BOOL:
        return "bool"
    return "int64" if kind in (INT32, INT64, 12, 13) else "float"
