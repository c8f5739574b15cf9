"""The kinds of value a layer's argument can take: one object says how it is read, described and drawn in JSON Schema.

A kind's `read` returns the value in its one normal form (a pair is always a tuple) or raises ValueError; the caller
knows where the value stood and makes the error of it. `words` completes the sentence "expected ...".
"""

from math import isfinite
from typing import Any

from msgspec import Struct

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


class Pair(Kind, frozen=True):
    """One integer for both axes, or [height, width]; read as a tuple (height, width)."""

    each: Kind = Integer(1)

    @property
    def words(self) -> str:
        one = self.each.of if isinstance(self.each, Optional) else self.each
        return f"{one.words} or a pair [height, width] of {self.each.plural}"

    @property
    def plural(self) -> str:
        return f"{self.each.plural} or pairs of them"

    def read(self, value: object) -> tuple[Any, Any]:
        if value is None:
            raise self._refuse()
        try:
            if isinstance(value, list | tuple):
                height, width = value
                return self.each.read(height), self.each.read(width)
            one = self.each.read(value)
        except ValueError as error:
            raise self._refuse(error) from None
        return one, one

    def schema(self) -> dict[str, Any]:
        each = self.each.schema()
        one = self.each.of.schema() if isinstance(self.each, Optional) else each
        return {"anyOf": [one, {"type": "array", "items": each, "minItems": 2, "maxItems": 2}]}

    def element(self) -> Kind:
        return self.each


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
    """Conv2d's: a pair, or torch's words "same" and "valid"."""

    pair: Pair = Pair(Integer(0))

    @property
    def words(self) -> str:
        return 'a non-negative integer, a pair [height, width] of them, "same" or "valid"'

    @property
    def plural(self) -> str:
        return "paddings"

    def read(self, value: object) -> tuple[int, int] | str:
        if value in ("same", "valid"):
            return str(value)
        try:
            return self.pair.read(value)
        except ValueError as error:
            raise self._refuse(error) from None

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [*self.pair.schema()["anyOf"], {"enum": ["same", "valid"]}]}

    def element(self) -> Kind:
        return self.pair.element()


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
