"""The kinds of value a layer's argument can take: one object says how it is read, described and drawn in JSON Schema.

A kind's `read` returns the value in its one normal form (a pair is always a tuple) or raises ValueError; the caller
knows where the value stood and makes the error of it. `words` completes the sentence "expected ...".
"""

from math import isfinite
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

# No size in a network comes near it, and products of a few of these stay exact and fast.
LARGEST_INTEGER = 2**31 - 1


class TooLargeError(ValueError):
    """The right kind of number, but larger than any size in a network."""


class Kind(Struct, frozen=True):
    """One kind of argument."""

    @property
    def words(self) -> str:
        """What completes "expected ..."."""
        raise NotImplementedError

    @property
    def plural(self) -> str:
        """The same for several of them."""
        raise NotImplementedError

    def read(self, value: object) -> Any:
        raise NotImplementedError

    def schema(self) -> dict[str, Any]:
        """What JSON Schema says of it: every kind that an argument of the vocabulary has."""
        raise NotImplementedError

    def element(self) -> "Kind | None":
        """The kind of one element where a list is allowed, else None."""
        return None

    def _refuse(self, cause: ValueError | None = None) -> ValueError:
        return cause if isinstance(cause, TooLargeError) else ValueError(self.words)


class Integer(Kind, frozen=True):
    minimum: int | None = 1
    nonzero: bool = False

    @property
    def words(self) -> str:
        if self.nonzero:
            return "an integer other than 0"
        return {None: "an integer", 0: "a non-negative integer", 1: "a positive integer"}.get(
            self.minimum, f"an integer of at least {self.minimum}"
        )

    @property
    def plural(self) -> str:
        return self.words.partition(" ")[2].replace("integer", "integers", 1)

    def read(self, value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            low = -LARGEST_INTEGER if self.minimum is None else self.minimum
            if low <= value <= LARGEST_INTEGER and not (self.nonzero and value == 0):
                return value
            if value > LARGEST_INTEGER:
                raise TooLargeError(f"{self.words} of at most {LARGEST_INTEGER:,}")
        raise self._refuse()

    def schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "integer", "maximum": LARGEST_INTEGER}
        if self.minimum is not None:
            schema["minimum"] = self.minimum
        return schema | ({"not": {"const": 0}} if self.nonzero else {})


# The spatial axes of a layer by their number, in torch's order.
AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
_GROUPS = {1: "a list", 2: "a pair", 3: "a triple"}


class Sizes(Kind, frozen=True):
    """One value for all spatial axes, or one for each of them; read as a tuple in torch's order."""

    each: Kind = Integer(1)
    axes: int = 2

    @property
    def words(self) -> str:
        one = self.each.of if isinstance(self.each, Optional) else self.each
        return f"{one.words} or {_GROUPS[self.axes]} [{', '.join(AXES[self.axes])}] of {self.each.plural}"

    @property
    def plural(self) -> str:
        return f"{self.each.plural} or {_GROUPS[self.axes].partition(' ')[2]}s of them"

    def read(self, value: object) -> tuple[Any, ...]:
        if value is None:
            raise self._refuse()
        try:
            if isinstance(value, list | tuple):
                if len(value) != self.axes:
                    raise self._refuse()
                return tuple(self.each.read(item) for item in value)
            one = self.each.read(value)
        except ValueError as error:
            raise self._refuse(error) from None
        return (one,) * self.axes

    def schema(self) -> dict[str, Any]:
        each = self.each.schema()
        one = self.each.of.schema() if isinstance(self.each, Optional) else each
        return {"anyOf": [one, {"type": "array", "items": each, "minItems": self.axes, "maxItems": self.axes}]}

    def element(self) -> Kind:
        return self.each


class PerAxis(Kind, frozen=True):
    """What an op's field of several spatial axes is annotated with: its class says how many, and makes the kind."""

    kind: Kind

    def of(self, axes: int) -> Kind:
        """The kind of a class with so many spatial axes."""
        return _spread(self.kind, axes)


def _spread(kind: Kind, axes: int) -> Kind:
    if isinstance(kind, Optional):
        return Optional(_spread(kind.of, axes))
    return replace(kind, axes=axes) if isinstance(kind, Sizes | Padding) else kind


class Optional(Kind, frozen=True):
    """The same, or null."""

    of: Kind

    @property
    def words(self) -> str:
        return f"{self.of.words} or null"

    @property
    def plural(self) -> str:
        return f"{self.of.plural} or nulls"

    def read(self, value: object) -> Any:
        if value is None:
            return None
        try:
            return self.of.read(value)
        except ValueError as error:
            raise self._refuse(error) from None

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.of.schema(), {"type": "null"}]}

    def element(self) -> Kind | None:
        return self.of.element()


class Padding(Kind, frozen=True):
    """Zeros around the input: one number or one for each axis, the same before and after; two for each axis, the last
    axis first ([left, right, top, bottom], as torch.nn.functional.pad has them); "same_tf", TensorFlow's "same"; and
    where `words_of_torch` torch's own "same" and "valid"."""

    axes: int = 2
    words_of_torch: bool = True

    @property
    def options(self) -> tuple[str, ...]:
        """The paddings that are words."""
        return ("same", "valid", "same_tf") if self.words_of_torch else ("same_tf",)

    @property
    def words(self) -> str:
        both = ", ".join(f"before {axis}, after {axis}" for axis in reversed(AXES[self.axes]))
        both = "left, right, top, bottom" if self.axes == 2 else both
        *most, last = (f'"{option}"' for option in self.options)
        words = f"{', '.join(most)} or {last}" if most else last
        one = f"a non-negative integer, {_GROUPS[self.axes]} [{', '.join(AXES[self.axes])}] of them, [{both}]"
        return f"{one}{', ' if most else ' or '}{words}"

    @property
    def plural(self) -> str:
        return "paddings"

    def read(self, value: object) -> tuple[int, ...] | str:
        if isinstance(value, str) and value in self.options:
            return value
        try:
            if isinstance(value, list | tuple) and len(value) == 2 * self.axes:
                return tuple(Integer(0).read(item) for item in value)
            return Sizes(Integer(0), self.axes).read(value)
        except ValueError as error:
            raise self._refuse(error) from None

    def schema(self) -> dict[str, Any]:
        both = {"type": "array", "items": Integer(0).schema(), "minItems": 2 * self.axes, "maxItems": 2 * self.axes}
        return {"anyOf": [*Sizes(Integer(0), self.axes).schema()["anyOf"], both, {"enum": list(self.options)}]}

    def element(self) -> Kind:
        return Integer(0)


class Number(Kind, frozen=True):
    low: float | None = None
    high: float | None = None
    # Whether `low` itself is left out.
    above: bool = False

    @property
    def words(self) -> str:
        if self.above:
            return f"a number above {self.low:g}"
        if self.low is not None and self.high is not None:
            return f"a number from {self.low:g} to {self.high:g}"
        return "a number" if self.low is None else f"a number of at least {self.low:g}"

    @property
    def plural(self) -> str:
        return self.words.replace("a number", "numbers", 1)

    def read(self, value: object) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            number = float(value)
            fits = self.low is None or (number > self.low if self.above else number >= self.low)
            if isfinite(number) and fits and (self.high is None or number <= self.high):
                return number
        raise self._refuse()

    def schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "number"}
        if self.low is not None:
            schema["exclusiveMinimum" if self.above else "minimum"] = self.low
        if self.high is not None:
            schema["maximum"] = self.high
        return schema


class Flag(Kind, frozen=True):
    @property
    def words(self) -> str:
        return "true or false"

    @property
    def plural(self) -> str:
        return "flags (true or false)"

    def read(self, value: object) -> bool:
        if isinstance(value, bool):
            return value
        raise self._refuse()

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


class Choice(Kind, frozen=True):
    options: tuple[str, ...]

    @property
    def words(self) -> str:
        return "one of " + ", ".join(f'"{option}"' for option in self.options)

    @property
    def plural(self) -> str:
        return "any of " + ", ".join(f'"{option}"' for option in self.options)

    def read(self, value: object) -> str:
        if isinstance(value, str) and value in self.options:
            return value
        raise self._refuse()

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.options)}


class NumberOr(Kind, frozen=True):
    """A number, or one of some words."""

    options: tuple[str, ...]

    @property
    def words(self) -> str:
        return f"a number or {Choice(self.options).words}"

    @property
    def plural(self) -> str:
        return f"numbers or {Choice(self.options).plural}"

    def read(self, value: object) -> float | str:
        try:
            return Choice(self.options).read(value) if isinstance(value, str) else Number().read(value)
        except ValueError:
            raise self._refuse() from None

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [Number().schema(), Choice(self.options).schema()]}


class Numbers(Kind, frozen=True):
    """A list of numbers, one for each channel."""

    @property
    def words(self) -> str:
        return "a list of numbers, one for each channel"

    @property
    def plural(self) -> str:
        return "lists of numbers"

    def read(self, value: object) -> tuple[float, ...]:
        if isinstance(value, list | tuple) and value:
            try:
                return tuple(Number().read(item) for item in value)
            except ValueError as error:
                raise self._refuse(error) from None
        raise self._refuse()

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": {"type": "number"}, "minItems": 1}

    def element(self) -> Kind:
        return Number()


class Integers(Kind, frozen=True):
    """A list of integers, of any length from one on; read as a tuple. With `single` one number stands for a list of
    it."""

    each: Integer = Integer(1)
    single: bool = False

    @property
    def words(self) -> str:
        return f"{f'{self.each.words} or ' if self.single else ''}a list of {self.each.plural}"

    @property
    def plural(self) -> str:
        return "lists of integers"

    def read(self, value: object) -> tuple[int, ...]:
        try:
            if isinstance(value, list | tuple) and value:
                return tuple(self.each.read(item) for item in value)
            if self.single:
                return (self.each.read(value),)
        except ValueError as error:
            raise self._refuse(error) from None
        raise self._refuse()

    def schema(self) -> dict[str, Any]:
        several = {"type": "array", "items": self.each.schema(), "minItems": 1}
        return {"anyOf": [self.each.schema(), several]} if self.single else several

    def element(self) -> Kind:
        return self.each


class Elements(Kind, frozen=True):
    """A list of exactly so many, each of its own kind: what a parameter is whose elements are used (`$c2.0`)."""

    kinds: tuple[Kind, ...]

    @property
    def words(self) -> str:
        return self._several("a pair", "a list of ")

    @property
    def plural(self) -> str:
        return self._several("pairs", "lists of ")

    def _several(self, pair: str, more: str) -> str:
        number = len(self.kinds)
        if len({kind.words for kind in self.kinds}) > 1:
            return f"{more}{number}: " + ", then ".join(kind.words for kind in self.kinds)
        name = pair if number == 2 else f"{more}{number}"
        return f"{name} of {self.kinds[0].plural}" if number == 2 else f"{name} {self.kinds[0].plural}"

    def read(self, value: object) -> tuple[Any, ...]:
        if isinstance(value, list | tuple) and len(value) == len(self.kinds):
            try:
                return tuple(kind.read(item) for kind, item in zip(self.kinds, value, strict=True))
            except ValueError as error:
                raise self._refuse(error) from None
        raise self._refuse()

    def element(self) -> Kind:
        return self.kinds[0]


class Every(Kind, frozen=True):
    """What several uses of one parameter demand together; a value takes the first one's form."""

    kinds: tuple[Kind, ...]

    @property
    def words(self) -> str:
        return self.kinds[0].words

    @property
    def plural(self) -> str:
        return self.kinds[0].plural

    def read(self, value: object) -> Any:
        forms = [kind.read(value) for kind in self.kinds]
        return forms[0]

    def element(self) -> Kind | None:
        return self.kinds[0].element()


def together(kinds: list[Kind]) -> Kind:
    """One kind for all of them, each once; what demands several things demands them one by one.

    >>> together([together([Integer(), Number()]), Number()]).kinds
    (Integer(minimum=1, nonzero=False), Number(low=None, high=None, above=False))
    """
    # By identity first: a parameter that goes to many calls of a block has the same kind in each of them.
    same = {id(kind): kind for kind in kinds}.values()
    if len(same) == 1:
        return kinds[0]
    distinct = list(
        dict.fromkeys(part for kind in same for part in (kind.kinds if isinstance(kind, Every) else (kind,)))
    )
    if not distinct:
        return AnyValue()
    return distinct[0] if len(distinct) == 1 else Every(tuple(distinct))


class AnyValue(Kind, frozen=True):
    """A parameter nothing constrains."""

    @property
    def words(self) -> str:
        return "a number, a list, a flag or a layer"

    @property
    def plural(self) -> str:
        return "values"

    def read(self, value: object) -> Any:
        return tuple(value) if isinstance(value, list) else value


class LayerKind(Kind, frozen=True):
    """A parameter that holds a layer."""

    @property
    def words(self) -> str:
        return "a layer"

    @property
    def plural(self) -> str:
        return "layers"

    def read(self, value: object) -> Any:
        return value


LAYER = LayerKind()


class ValueKind(Kind, frozen=True):
    """A parameter that holds what a layer gave: a tensor, by that layer's name. A class that has one takes the tensor
    as a further input, and keeps of the argument only that it was given."""

    @property
    def words(self) -> str:
        return "the name of a layer or block before this one"

    @property
    def plural(self) -> str:
        return "names of layers"

    def read(self, value: object) -> bool:
        return bool(value)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "description": "the name of a layer or block before this one"}


VALUE = ValueKind()


def is_value(kind: Kind) -> bool:
    """Whether a kind holds what a layer gave."""
    return isinstance(kind, ValueKind)
