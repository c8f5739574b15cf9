"""What is read of an ONNX file, as plain records, and its bounds: the file is a stranger's.

Of a tensor that is a weight nothing is kept but its name, its sizes and its type; what gives shapes and axes is small,
and is kept with its values.
"""

from typing import Any, NoReturn

from msgspec import Struct

from gnet_inspect.errors import SpecError
from gnet_inspect.ops import Shape

ENDING = ".onnx"
# Of protobuf's fields, which take some 100 bytes each where they are read, of messages in messages, and of axes.
MAX_FIELDS = 4_000_000
MAX_NESTING = 16
MAX_RANK = 64
# Of a tensor of so many bytes the values are kept: it may be a shape, axes, or the factors of a resize.
LARGEST_VALUES = 4_096
OLDEST_OPSET = 9


class Tensor(Struct):
    """A tensor that stands in the file: its type by ONNX's number, and its values where they are kept, as an array of
    numpy's."""

    name: str
    shape: Shape
    kind: int
    values: Any = None


class Given(Struct):
    """An input or an output of the network: a size is a number, the name of one that is free, or "" where nothing is
    said of it. `shape` is None where not even its rank is known."""

    name: str
    shape: tuple[int | str, ...] | None
    kind: int


class Call(Struct):
    """One node of the file: its place in it, its operator, what it reads ("" where an input is left out) and makes.

    `node` is it itself, for ONNX's own shape inference; `scopes` are the paths of the modules it lies in, the root's
    first, and `classes` their classes, where the exporter wrote these down.
    """

    index: int
    name: str
    kind: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    node: Any
    scopes: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Where it lies in the file, as errors say it."""
        return f"graph.node.{self.index}"

    @property
    def words(self) -> str:
        """What it is called in a sentence."""
        kind = f"{self.domain}.{self.kind}" if self.domain else self.kind
        return f"{kind} {self.name!r}" if self.name else kind


class Model(Struct):
    """A file that was read: its inputs without those that are weights, its weights by name, its calls in the order of
    the file, and what it says of the values between them."""

    file: str
    title: str
    inputs: tuple[Given, ...]
    outputs: tuple[Given, ...]
    calls: tuple[Call, ...]
    weights: dict[str, Tensor]
    told: dict[str, Given]
    opsets: dict[str, int]

    def refuse(self, call: Call, fact: str, hint: str = "") -> NoReturn:
        """Raise SpecError about a node."""
        raise SpecError(f"{call.words}: {fact}", file=self.file, path=call.path, hint=hint)
