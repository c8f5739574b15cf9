"""torch's functions, methods and operators as ops: the normal form of each way to write one thing.

A function that has no rule here is known by its name, and by the shapes that it made in the run. It multiplies nothing
by convention if it is torch's own, and nobody can count it otherwise.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gnet_inspect.errors import GnetError
from gnet_inspect.ops import Op, Shape, Shapes, makes
from gnet_inspect.ops.called import UNCOUNTED, multiplies
from gnet_inspect.ops.functions import Function, op_of_function
from gnet_inspect.runtime.tracing.examples import kind_of
from gnet_inspect.runtime.tracing.names import is_own, name_of
from gnet_inspect.runtime.tracing.places import runs_operator


class Reading(NamedTuple):
    """What one call is: its op, the tensors it reads as values, and those in the place of weights. `part`: it is one
    output of several; `quick`: the one shape it makes, where nothing has to be run to know."""

    op: Op
    values: Sequence[Tensor]
    slots: Sequence[Tensor] = ()
    part: int | None = None
    is_alias: bool = False
    quick: Shape | None = None


class Request:
    """One call of a function, before it is run."""

    __slots__ = ("args", "func", "known", "kwargs", "name")

    def __init__(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], known: Mapping[int, Any]) -> None:
        self.func, self.args, self.kwargs, self.known = func, args, kwargs, known
        self.name = name_of(func)

    def get(self, place: int, name: str, default: Any = None) -> Any:
        """An argument by its place or its name."""
        return self.args[place] if len(self.args) > place else self.kwargs.get(name, default)

    def rest(self, place: int, name: str) -> tuple[Any, ...]:
        """Sizes or axes, which may be given one by one or as a list."""
        given = self.args[place:] if len(self.args) > place else (self.kwargs.get(name, ()),)
        found = given[0] if len(given) == 1 and isinstance(given[0], list | tuple) else given
        return tuple(found)

    @property
    def is_operator(self) -> bool:
        """Whether it was written as an operator, or works in place: `a + b`, `a += b`, `a.add_(b)`."""
        return getattr(self.func, "__name__", "").endswith("_") or runs_operator()

    def is_known(self, tensor: Any) -> bool:
        """Whether a tensor is a value of the network, or a weight."""
        return isinstance(tensor, Tensor) and id(tensor) in self.known

    def is_side(self, tensor: Any) -> bool:
        """Whether it is a weight, or made of weights alone."""
        return self.is_known(tensor) and self.known[id(tensor)].is_side

    def values(self) -> list[Tensor]:
        """Every tensor among the arguments that is known, in their order."""
        return [tensor for tensor in tensors_in((self.args, self.kwargs)) if id(tensor) in self.known]

    def parted(self, tensors: Sequence[Any]) -> tuple[list[Tensor], list[Tensor]]:
        """(the values among some arguments, what stands beside these as a weight): of what is known."""
        known = [tensor for tensor in tensors if self.is_known(tensor)]
        side = [self.is_side(tensor) for tensor in known]
        values = [tensor for tensor, beside in zip(known, side, strict=True) if not beside]
        return values, [tensor for tensor, beside in zip(known, side, strict=True) if beside]

    def readings(self, found: list[Reading] | None, outputs: Sequence[Tensor]) -> list[Reading]:
        """What was read of the call where it made just that, else what can be said of any function."""
        if found is not None and _agree(found, outputs):
            return found
        return [self._any(outputs)]

    def _any(self, outputs: Sequence[Tensor]) -> Reading:
        values = self.values()
        shapes, dtype = shapes_of(outputs), kind_of(outputs[0].dtype)
        counted: int | None = None
        counter = COUNTERS.get(self.name)
        if counter is not None:
            counted = counter(self, shapes)
        elif is_own(self.func) and not multiplies(self.name) and not self.name.startswith(UNCOUNTED):
            # Of a matrix product that has been read, and made other shapes than it says, nobody knows.
            counted = 0
        is_view = bool(values) and storage_of(values[0]) == storage_of(outputs[0])
        op = op_of_function(self.name, shapes_of(values), shapes, dtype, counted, words=_words(self), is_view=is_view)
        return Reading(op, *self.parted(values)) if isinstance(op, Function) else Reading(op, values)


def tensors_in(value: Any) -> list[Tensor]:
    """Every tensor in nested lists, tuples and dicts."""
    found: list[Tensor] = []
    _gather(value, found)
    return found


def rebuilt(value: Any, items: list[Any]) -> Any:
    """A list or tuple of the kind of `value`, of other items."""
    # What a named tuple's own constructor would ask of its items, values cannot answer.
    return type(value)._make(items) if hasattr(value, "_fields") else type(value)(items)


def _gather(value: Any, found: list[Tensor]) -> None:
    if isinstance(value, Tensor):
        found.append(value)
    elif isinstance(value, list | tuple):
        for item in value:
            if isinstance(item, Tensor):
                found.append(item)
            elif item.__class__ not in _PLAIN:
                _gather(item, found)
    elif isinstance(value, Mapping):
        for item in value.values():
            _gather(item, found)


_PLAIN = frozenset((int, float, bool, str, type(None), torch.dtype, torch.device))


def shapes_of(tensors: Sequence[Tensor]) -> Shapes:
    return tuple(tuple(tensor.shape) for tensor in tensors)


def storage_of(tensor: Tensor) -> int:
    """What tensors of one memory have in common."""
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):
        return -id(tensor)


def _agree(found: Sequence[Reading], outputs: Sequence[Tensor]) -> bool:
    """Whether readings say just the shapes that were made."""
    for reading in found:
        made = outputs if reading.part is None else [outputs[reading.part]] if reading.part < len(outputs) else []
        shapes = shapes_of(reading.values)
        if not reading.is_alias and not makes(reading.op, shapes, shapes_of(made)):
            return False
    return True


def _words(request: Request) -> str:
    """The numbers and dtypes that a function was given."""
    found = [item for item in (*request.args, *request.kwargs.values()) if type(item) in (int, float, torch.dtype)]
    return ", ".join(
        str(item).removeprefix("torch.") if isinstance(item, torch.dtype) else f"{item:g}" for item in found[:4]
    )


def opaque(kind: str, outputs: Sequence[Tensor], counted: int | None) -> Function:
    """A layer that the vocabulary does not have, as its run showed it."""
    return Function(kind, shapes_of(outputs), kind_of(outputs[0].dtype) if outputs else "float", counted)


# What reads a call as the vocabulary has it, and what counts the multiply-accumulates of one that it does not have.
Rule = Callable[[Request], list[Reading] | None]
Counter = Callable[[Request, Shapes], int | None]
RULES: dict[str, Rule] = {}
COUNTERS: dict[str, Counter] = {}


def read_call(request: Request) -> list[Reading] | None:
    """What a call is in the vocabulary; None where no rule knows. A rule that does not understand says None."""
    found = RULES.get(request.name)
    if found is None or not is_own(request.func):
        return None
    try:
        return found(request)
    except (GnetError, ValueError, TypeError, IndexError, AttributeError, KeyError):
        # An unusual way to call it: what it made in the run is known all the same.
        return None


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Keep a rule for the functions of some names."""

    def keep(found: Rule) -> Rule:
        for name in names:
            RULES[name] = found
        return found

    return keep


def with_weights(
    request: Request, op: Op, x: Tensor, slots: Sequence[Any], *, quick: bool = True
) -> list[Reading] | None:
    """A layer whose weights stand in the call: all of them weights, or made of weights."""
    held = [slot for slot in slots if slot is not None]
    if not request.is_known(x) or not all(request.is_side(slot) or not request.is_known(slot) for slot in held):
        return None
    made = op.outputs((tuple(x.shape),))
    alike = all(slot.dtype == x.dtype for slot in held)
    return [Reading(op, [x], held, quick=made[0] if quick and alike and len(made) == 1 else None)]


def spread(value: Any, axes: int) -> Any:
    """A size for each axis, where one may stand for all."""
    if isinstance(value, str | int):
        return value
    return tuple(value) * axes if len(value) == 1 else tuple(value)


def alone(request: Request, op: Op, *, quick: bool = True) -> list[Reading] | None:
    """A layer without weights on the first argument alone."""
    x = request.get(0, "input")
    if not request.is_known(x) or not x.is_floating_point():
        return None
    inplace = (
        request.kwargs.get("inplace", False)
        or request.func.__name__.endswith("_")
        or True in [item for item in request.args if type(item) is bool]
    )
    made = op.outputs((tuple(x.shape),))
    return [Reading(op, [x], quick=None if inplace or not quick else made[0])]
