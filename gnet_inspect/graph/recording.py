"""What a run, or a file, shows of a network: which functions and layers are called, in which modules, on which values.

An Assembler makes a Graph of it. Nothing here knows where it comes from.
"""

from collections.abc import Iterator
from math import prod
from typing import Any

from gnet_inspect.ops import Op, Shape


class Memory:
    """What tensors lie in, while one of them is there: how many there are, and after how many records the last was
    gone; -1 before that."""

    __slots__ = ("died", "tensors")

    def __init__(self) -> None:
        self.tensors, self.died = 0, -1


class Made:
    """A value of the run: an input by its `name`, a weight by its path, an output of a record, or a `constant` that
    data was written over."""

    __slots__ = ("constant", "dtype", "index", "memory", "name", "overwritten", "record", "shape", "weight")

    def __init__(self, shape: Shape, dtype: str) -> None:
        self.shape, self.dtype = shape, dtype
        self.name = self.weight = ""
        self.record: Record | None = None
        self.index = 0
        # The tensor itself, of a run.
        self.constant: Any = None
        # What was written over its memory since it was made, by way of other tensors.
        self.overwritten: tuple[Made, ...] = ()
        # What it lies in.
        self.memory = Memory()

    @property
    def is_side(self) -> bool:
        """Whether it is made of weights alone."""
        return bool(self.weight) or (self.record is not None and self.record.is_side)

    @property
    def is_constant(self) -> bool:
        """Whether no value of the network was in it."""
        return self.constant is not None

    def copy(self) -> "Made":
        """The same value, for another tensor that holds it."""
        made = Made(self.shape, self.dtype)
        made.name, made.weight, made.record, made.index = self.name, self.weight, self.record, self.index
        made.constant, made.overwritten, made.memory = self.constant, self.overwritten, self.memory
        return made


class Record:
    """One call: of a layer at `path`, or of a function by its `name` ("" for a layer)."""

    __slots__ = (
        *("call", "is_alias", "is_side", "name", "op", "outputs", "path", "scope", "slots", "tape", "time", "values"),
    )

    def __init__(self, name: str, op: Op, scope: "Scope", path: str = "") -> None:
        self.name, self.op, self.scope, self.path = name, op, scope, path
        # What it reads, and beside that what takes the place of a weight of its layer.
        self.values: list[Made] = []
        self.slots: list[Made] = []
        self.outputs: list[Made] = []
        self.is_alias = self.is_side = False
        # How many records there were when it had run.
        self.time = 0
        # How to run it again: what is called, with values in the place of tensors.
        self.tape: Any = None
        # The number of its function among all that the run called; 0 of a layer.
        self.call = 0

    def macs(self) -> int | None:
        """Its multiply-accumulates; None where nobody can count them."""
        given = tuple(value.shape for value in self.values)
        return self.op.macs(given, tuple(made.shape for made in self.outputs))


class Scope:
    """One call of a module that is not one layer: what ran in it, in order."""

    __slots__ = ("call", "is_container", "items", "kind", "parent", "path")

    def __init__(
        self, path: str, kind: str, call: int = 0, parent: "Scope | None" = None, *, is_container: bool = False
    ) -> None:
        self.path, self.kind, self.call, self.parent = path, kind, call, parent
        self.is_container = is_container
        self.items: list[Record | Scope] = []

    def records(self) -> Iterator[Record]:
        """All that ran in it, in order."""
        for item in self.items:
            if isinstance(item, Record):
                yield item
            else:
                yield from item.records()


class Weight:
    """A parameter or buffer: its path in the state dict, its shape and dtype, and whether it is trained."""

    __slots__ = ("dtype", "is_buffer", "is_trained", "path", "persistent", "shape")

    def __init__(
        self,
        path: str,
        shape: Shape,
        dtype: str = "float",
        *,
        is_buffer: bool = False,
        is_trained: bool = True,
        persistent: bool = True,
    ) -> None:
        self.path, self.shape, self.dtype = path, shape, dtype
        self.is_buffer, self.persistent = is_buffer, persistent
        self.is_trained = is_trained and not is_buffer

    @property
    def scalars(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)
