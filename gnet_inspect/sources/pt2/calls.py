"""Operators of a program as ops: the normal form of each way to write one thing.

An operator that has no rule here is known by its name, and by the shapes that the file says it makes. It multiplies
nothing by convention if it is torch's own, and nobody can count it otherwise.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from gnet_inspect.errors import GnetError
from gnet_inspect.graph.recording import Made
from gnet_inspect.ops import Op, Shape, Shapes, dtype_of
from gnet_inspect.ops.called import UNCOUNTED, multiplies
from gnet_inspect.ops.functions import Function, op_of_function


class Dtype(str):
    """A dtype among arguments, by torch's word."""

    __slots__ = ()


class Output(NamedTuple):
    """An output of a call: its name, its shape (None: nothing reads it, and nothing is said of it), what it holds."""

    name: str
    shape: Shape | None
    dtype: str
    is_read: bool


class Reading(NamedTuple):
    """What one call is: its op, the values it reads, and those in the place of weights. `part`: it is one output of
    several; `is_alias`: it hands on its input."""

    op: Op
    values: Sequence[Made]
    slots: Sequence[Made] = ()
    part: int | None = None
    is_alias: bool = False


# Operators whose outputs lie in the memory of what they are given; a reshape may copy, and mostly does not.
_VIEWS = frozenset(
    (
        *("reshape", "permute", "transpose", "t", "T", "mT", "movedim", "squeeze", "unsqueeze", "flatten", "unflatten"),
        *("select", "slice", "narrow", "chunk", "split", "split_with_sizes", "tensor_split", "unbind", "diagonal"),
        *("unsafe_chunk", "unsafe_split", "expand", "expand_as", "broadcast_to", "as_strided", "detach", "alias"),
        *("contiguous", "lift_fresh", "to", "dropout", "real", "imag", "view_as_real", "view_as_complex"),
    )
)


class Call:
    """One call of an operator: the one name of it, its arguments by their names, and what it makes. `layer` is the
    class of torch.nn's layer that runs it, if one does."""

    __slots__ = ("arguments", "is_in_place", "is_own", "layer", "name", "outputs")

    def __init__(
        self, name: str, arguments: Mapping[str, Any], outputs: Sequence[Output], *, is_in_place: bool, is_own: bool
    ) -> None:
        self.name, self.arguments, self.outputs = name, arguments, outputs
        self.is_in_place, self.is_own = is_in_place, is_own
        self.layer = ""

    def get(self, name: str, default: Any = None) -> Any:
        """An argument; what was left out is the default."""
        return self.arguments.get(name, default)

    def tensor(self, name: str = "self") -> Made:
        """A tensor among the arguments, or a TypeError, which says that the rule does not understand the call."""
        found = self.arguments.get(name)
        if not isinstance(found, Made):
            raise TypeError(name)
        return found

    def maybe(self, name: str) -> Made | None:
        """The same where it may be left out."""
        return None if self.arguments.get(name) is None else self.tensor(name)

    def values(self) -> list[Made]:
        """Every value of the network, and every weight, among the arguments, in their order."""
        return [made for made in tensors_in(self.arguments.values()) if not made.is_constant]

    @property
    def is_view(self) -> bool:
        """Whether what it makes lies in the memory of its first tensor."""
        return self.name in _VIEWS and not (self.get("train", False) or (self.name == "to" and self.get("dtype")))

    @property
    def shape(self) -> Shape:
        """The shape of its first output."""
        found = self.outputs[0].shape
        if found is None:
            raise ValueError(self.name)
        return found


def tensors_in(values: Any) -> list[Made]:
    """Every tensor among arguments, and in lists of them."""
    found: list[Made] = []
    for value in values:
        if isinstance(value, Made):
            found.append(value)
        elif isinstance(value, list):
            found += tensors_in(value)
    return found


def parted(values: Sequence[Made]) -> tuple[list[Made], list[Made]]:
    """(the values, what stands beside these as a weight): of what is no constant."""
    known = [made for made in values if not made.is_constant]
    return [made for made in known if not made.is_side], [made for made in known if made.is_side]


def shapes_of(values: Sequence[Made]) -> Shapes:
    return tuple(made.shape for made in values)


# --- what reads them ---

# What reads a call as the vocabulary has it, and what counts the multiply-accumulates of one that it does not have.
Rule = Callable[[Call], list[Reading] | None]
Counter = Callable[[Call], int | None]
RULES: dict[str, Rule] = {}
COUNTERS: dict[str, Counter] = {}
# What a rule that does not understand a call raises: an argument that is not there, or is something else.
_MISFITS = (GnetError, ValueError, TypeError, AttributeError, IndexError, KeyError, ArithmeticError)


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Keep a rule for the operators of some names."""

    def keep(found: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, found))
        return found

    return keep


def counter(*names: str) -> Callable[[Counter], Counter]:
    """Keep what counts the operators of some names."""

    def keep(found: Counter) -> Counter:
        COUNTERS.update(dict.fromkeys(names, found))
        return found

    return keep


def read_call(call: Call) -> list[Reading]:
    """What a call is: in the vocabulary where that makes just what the file says, else what can be said of any
    operator."""
    shapes = [*shapes_of(call.values()), *(output.shape for output in call.outputs)]
    # Of nothing at all no layer of the vocabulary is one.
    is_empty = any(shape is not None and 0 in shape for shape in shapes)
    found = RULES.get(call.name) if call.is_own and not is_empty else None
    try:
        readings = found(call) if found is not None else None
    except _MISFITS:
        # An unusual way to call it: what it makes is known all the same.
        readings = None
    return readings if readings and _agree(readings, call) else [_any(call)]


def _agree(readings: Sequence[Reading], call: Call) -> bool:
    """Whether readings say all that is read of what the call makes, and just that."""
    said: set[int] = set()
    for reading in readings:
        places = range(len(call.outputs)) if reading.part is None else [reading.part]
        made = [call.outputs[place] for place in places if place < len(call.outputs)]
        if len(made) < len(places) or not _says(reading, made):
            return False
        said.update(places)
    return all(place in said for place, output in enumerate(call.outputs) if output.is_read)


def _says(reading: Reading, outputs: Sequence[Output]) -> bool:
    op, values = reading.op, reading.values
    held = [made.dtype for made in values]
    if op.reads in ("float", "int64") and any(dtype != op.reads for dtype in held):
        return False
    shapes = shapes_of(values)
    if not op.arity[0] <= len(shapes) <= op.arity[1]:
        return False
    try:
        made = op.outputs(shapes)
    except _MISFITS:
        return False
    # Of what nothing reads, nothing is said.
    known = [output for output in outputs if output.shape is not None]
    alike = all(output.shape in (None, shape) for output, shape in zip(outputs, made, strict=False))
    unsaid = any(output.shape is not None for output in outputs[len(made) :])
    return alike and not unsaid and all(output.dtype == dtype_of(op, held) for output in known)


def _any(call: Call) -> Reading:
    values = call.values()
    known = [output for output in call.outputs if output.shape is not None]
    shapes = tuple(output.shape for output in known if output.shape is not None)
    counted = _counted(call)
    arguments = call.arguments.values()
    is_view = call.is_view and not call.is_in_place
    words = ", ".join(map(_word, [item for item in arguments if type(item) in (int, float, Dtype)][:4]))
    dtype = known[0].dtype
    op = op_of_function(call.name, shapes_of(values), shapes, dtype, counted, words=words, is_view=is_view)
    if isinstance(op, Function):
        return Reading(op, *parted(values))
    # A table of indices is no value of the network's, but what the node holds.
    is_table = [made.is_side and made.dtype != "float" for made in values]
    tables = [made for made, beside in zip(values, is_table, strict=True) if beside]
    return Reading(op, [made for made, beside in zip(values, is_table, strict=True) if not beside], tables)


def _counted(call: Call) -> int | None:
    found = COUNTERS.get(call.name) if call.is_own else None
    if found is not None:
        try:
            return found(call)
        except _MISFITS:
            return None
    # Of a matrix product that has been read, and makes other shapes than it says, nobody knows.
    return 0 if call.is_own and not multiplies(call.name) and not call.name.startswith(UNCOUNTED) else None


def _word(item: float | str) -> str:
    return item if isinstance(item, str) else f"{item:g}"


# --- what rules share ---


def with_weights(op: Op, x: Made, slots: Sequence[Made | None], part: int | None = None) -> list[Reading] | None:
    """A layer whose weights stand in the call: all of them weights, or made of weights, of the shapes it says."""
    held = [slot for slot in slots if slot is not None]
    if x.is_constant or not all(slot.is_side or slot.is_constant for slot in held):
        return None
    says = op.weights((x.shape,))
    if len(held) > len(says) or any(slot.shape != weight.shape for slot, weight in zip(held, says, strict=False)):
        return None
    return [Reading(op, [x], [slot for slot in held if not slot.is_constant], part)]


def alone(call: Call, op: Op, name: str = "self", part: int | None = None) -> list[Reading] | None:
    """A layer without weights on one argument alone."""
    x = call.tensor(name)
    return None if x.is_constant else [Reading(op, [x], part=part)]


def spread(value: Any, axes: int) -> Any:
    """A size for each axis, where one may stand for all."""
    if isinstance(value, str | int) or value is None:
        return value
    return tuple(value) * axes if len(value) == 1 else tuple(value)


def first_of(call: Call) -> int | None:
    """Of a call with further outputs, which the kind does not make, its first."""
    return 0 if len(call.outputs) > 1 else None
