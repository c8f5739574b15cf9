"""A design space: a spec, and the values that some of its arguments may take."""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from fnmatch import fnmatchcase
from math import log10, prod
from typing import Any

from msgspec import Struct

from gnet_inspect.errors import UsageError, nearest, show
from gnet_inspect.graph import Graph, Value
from gnet_inspect.language import Spec
from gnet_inspect.language.document import Value as Written
from gnet_inspect.ops import Shape
from gnet_inspect.sources.spec.overrides import parse_overrides
from gnet_inspect.units import dimensions

MOST_VALUES = 1_000
MOST_CHOICES = 2_000
_NUMBER = r"\s*(-?[0-9]{1,15}(?:\.[0-9]{1,15})?)\s*"
_RANGE = re.compile(rf"{_NUMBER}:{_NUMBER}(?::{_NUMBER})?\Z")
# Python writes no number of more than 4,300 digits.
MOST_DIGITS = 4_000
# Commas between values, and none inside of lists, layers or quoted texts.
_OPENING, _CLOSING = "[{(", "]})"


class Choice(Struct, frozen=True):
    """What varies together: the paths that are given the same value, and the values, as YAML and read."""

    paths: tuple[str, ...]
    texts: tuple[str, ...]
    values: tuple[Any, ...]

    @property
    def name(self) -> str:
        """The first of its paths."""
        return self.paths[0]


class Space(Struct, frozen=True):
    """The networks of a spec at all values of its choices, in the order in which they are counted: the last choice
    changes first. `fixed` are edits that all of them share; `own` has what the spec itself says of each choice."""

    spec: Spec
    choices: tuple[Choice, ...]
    inputs: tuple[Value, ...]
    fixed: Mapping[str, Written] = {}
    mode: str = "eval"
    own: tuple[Any, ...] = ()

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of values of each choice."""
        return tuple(len(choice.values) for choice in self.choices)

    @property
    def size(self) -> int:
        """The number of its networks."""
        return prod(self.sizes)

    def base(self, index: int) -> int | None:
        """The place of the spec's own value of a choice; None where it has another one."""
        values = self.choices[index].values
        return values.index(self.own[index]) if self.own[index] in values else None

    def away(self, index: int) -> list[float]:
        """How far each value of a choice is from the spec's own: 0, to 1 for the farthest; of what are no numbers all
        others are far."""
        values, own = self.choices[index].values, self.own[index]
        if len(values) == 1:
            # All networks have it.
            return [0.0]
        flat = [_numbers(value) for value in values]
        if _numbers(own) is not None and all(
            each is not None and len(each) == len(_numbers(own) or ()) for each in flat
        ):
            found = [
                sum(abs(one - other) for one, other in zip(each or (), _numbers(own) or (), strict=True))
                for each in flat
            ]
            most = max(found)
            return [each / most if most else 0.0 for each in found]
        return [float(value != own) for value in values]

    def edits(self, places: Sequence[int]) -> dict[str, str]:
        """The edits of one network, by the places of its values: YAML by path."""
        return {
            path: choice.texts[place]
            for choice, place in zip(self.choices, places, strict=True)
            for path in choice.paths
        }

    def places(self, edits: Mapping[str, Any]) -> list[int]:
        """The places of the values of one network, by its edits as values."""
        return [_place(choice.values, edits[choice.name]) for choice in self.choices]

    def overrides(self, places: Sequence[int]) -> dict[str, Written]:
        """The same as a spec takes them, without the size of the input; with the fixed ones."""
        names = {value.name for value in self.inputs}
        edits = {path: text for path, text in self.edits(places).items() if path not in names}
        return {**self.fixed, **parse_overrides(f"{path}={text}" for path, text in edits.items())}

    def input_values(self, places: Sequence[int]) -> tuple[Value, ...]:
        """The inputs of one network."""
        found = {value.name: value for value in self.inputs}
        for choice, place in zip(self.choices, places, strict=True):
            for path in choice.paths:
                if path in found:
                    own = found[path]
                    found[path] = Value(path, (own.shape[0], *choice.values[place]), own.dtype)
        return tuple(found.values())


def read_space(
    spec: Spec,
    graph: Graph,
    arguments: Mapping[str, object],
    vary: Sequence[str],
    ties: Sequence[str] = (),
    fixed: Mapping[str, Written] | None = None,
) -> Space:
    """The space of `--vary PATH=VALUES` and `--tie A=B`.

    `graph` is the spec's own network, at the input and in the mode that is asked for, and `arguments` are its arguments
    and their elements by path. Raises UsageError.
    """
    inputs = {value.name: value for value in graph.inputs}
    found: dict[str, Choice] = {}
    for item in vary:
        pattern, equals, text = item.partition("=")
        pattern = pattern.strip()
        if not equals or not pattern or not text.strip():
            raise UsageError(
                f"--vary: expected PATH=VALUES, got {item!r}. (for example --vary inception3a.c1=32:96:16)"
            )
        # The paths of a glob are given the same values, which are read once.
        read: Choice | None = None
        for path in _matching(pattern, [*inputs, *arguments]):
            if path in found:
                raise UsageError(f"--vary: expected each path once, got `{path}` again, by {item!r}")
            if path in inputs:
                found[path] = _choice(path, text, inputs[path])
            else:
                read = read or _choice(path, text, None)
                found[path] = Choice((path,), read.texts, read.values)
    if not found:
        raise UsageError("expected something to vary, as --vary inception3a.c1=32:96:16, got nothing")
    if len(found) > MOST_CHOICES:
        raise UsageError(f"--vary: expected at most {MOST_CHOICES:,} arguments, got {len(found):,}")
    overlaps = [path for path in found for other in found if path.startswith(f"{other}.")]
    if overlaps:
        raise UsageError(f"--vary: expected arguments or elements of them, got both: `{overlaps[0]}` and what it is in")
    choices = _tied(found, ties, [*inputs, *arguments])
    if sum(log10(len(choice.values)) for choice in choices) > MOST_DIGITS:
        raise UsageError(f"--vary: expected a space of fewer than 10^{MOST_DIGITS:,} networks, got more")
    own = tuple(
        inputs[choice.name].shape[1:] if choice.name in inputs else _plain(arguments.get(choice.name))
        for choice in choices
    )
    return Space(spec, choices, graph.inputs, dict(fixed or {}), graph.mode, own)


def _place(values: Sequence[Any], value: Any) -> int:
    # In Python true is 1.
    return next(
        at for at, one in enumerate(values) if one == value and isinstance(one, bool) == isinstance(value, bool)
    )


def _plain(value: object) -> object:
    """An argument as YAML has it."""
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _numbers(value: object) -> list[float] | None:
    """A number, or a list of them; None for anything else."""
    items = value if isinstance(value, list | tuple) else [value]
    numbers = [float(item) for item in items if isinstance(item, int | float)]
    return numbers if len(numbers) == len(items) else None


def _matching(pattern: str, paths: Sequence[str], flag: str = "--vary") -> list[str]:
    """The paths that a glob meets, part by part between their dots; one that is none is taken as it is, and refused by
    the spec where it meets nothing."""
    if not any(sign in pattern for sign in "*?["):
        return [pattern]
    parts = pattern.split(".")
    met = [
        path
        for path in dict.fromkeys(paths)
        if path.count(".") == len(parts) - 1 and all(map(fnmatchcase, path.split("."), parts))
    ]
    if not met:
        around = [
            path.split(".")[-1]
            for path in dict.fromkeys(paths)
            if path.count(".") == len(parts) - 1 and all(map(fnmatchcase, path.split(".")[:-1], parts[:-1]))
        ]
        where = f"there, {nearest(parts[-1], around)}" if around else "nothing is there: summary MODEL shows its parts"
        raise UsageError(f"{flag}: expected a glob that meets arguments, got {pattern!r}. ({where})")
    return met


def _choice(path: str, text: str, given: Value | None) -> Choice:
    texts = list(_texts(path, text))
    if len(texts) > MOST_VALUES:
        raise UsageError(f"--vary: `{path}`: expected at most {MOST_VALUES:,} values, got {len(texts):,}")
    values: list[Any] = []
    for item in texts:
        try:
            read = _input_shape(path, item, given) if given is not None else _read(path, item)
        except UsageError as error:
            raise UsageError(str(error).replace("--set:", "--vary:", 1)) from None
        # In Python true is 1.
        if any(read == value and isinstance(read, bool) == isinstance(value, bool) for value in values):
            raise UsageError(f"--vary: `{path}`: expected values that differ, got {item} twice")
        values.append(read)
    return Choice((path,), tuple(texts), tuple(values))


def _read(path: str, text: str) -> Any:
    """A value as `--set` reads it, plain."""
    return parse_overrides([f"{path}={text}"])[path].plain()


def _texts(path: str, text: str) -> Iterator[str]:
    match = _RANGE.match(text)
    if match is None:
        yield from _split(path, text)
        return
    # Decimal: three steps of 0.1 are 0.3.
    first, last, step = Decimal(match[1]), Decimal(match[2]), Decimal(match[3] or 1)
    if step == 0 or (last - first) * step < 0:
        raise UsageError(
            f"--vary: `{path}`: expected START:STOP:STEP that goes from start to stop, which is among the values, "
            f"got {text.strip()!r}"
        )
    number = (last - first) // step + 1
    if number > MOST_VALUES:
        raise UsageError(f"--vary: `{path}`: expected at most {MOST_VALUES:,} values, got those of {text.strip()!r}")
    for place in range(int(number)):
        yield str(first + place * step)


def _split(path: str, text: str) -> Iterator[str]:
    depth, item, quote = 0, "", ""
    for sign in f"{text},":
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        depth += (sign in _OPENING and not quote) - (sign in _CLOSING and not quote)
        if sign == "," and not depth and not quote:
            if not item.strip():
                raise UsageError(f"--vary: `{path}`: expected a value between commas, got {text!r}")
            yield item.strip()
            item = ""
        else:
            item += sign
    if item:
        raise UsageError(f"--vary: `{path}`: expected lists that are closed, got {text!r}")


def _input_shape(path: str, text: str, given: Value | None) -> Shape:
    """The shape of an input without its batch: "192" and "160x192" are an image's height and width."""
    assert given is not None
    own = given.shape[1:]
    try:
        numbers = tuple(int(part) for part in text.lower().split("x"))
    except ValueError:
        numbers = ()
    if numbers and min(numbers) > 0:
        if len(numbers) == len(own):
            return numbers
        if len(own) == 3 and len(numbers) <= 2:
            return (own[0], numbers[0], numbers[-1])
    raise UsageError(
        f"--vary: `{path}`: expected the size of an input like {dimensions(own)}, or an image's height and width, "
        f"got {show(text)}"
    )


def _tied(found: Mapping[str, Choice], ties: Sequence[str], paths: Sequence[str]) -> tuple[Choice, ...]:
    """The choices with those that are tied made one. A path that is tied to one that varies takes its values."""
    choices = dict(found)
    for item in ties:
        names = [name.strip() for name in item.split("=")]
        if len(names) < 2 or not all(names):
            raise UsageError(f"--tie: expected A=B, paths that are given one value, got {item!r}")
        first, *rest = [path for name in names for path in _matching(name, paths, "--tie")]
        if first not in choices:
            raise UsageError(f"--tie: expected a path that --vary has first, got `{first}`. ({nearest(first, found)})")
        head = choices[first]
        for path in rest:
            other = choices.get(path)
            if other is head:
                continue
            if other is not None and other.values != head.values:
                raise UsageError(f"--tie: expected `{path}` and `{first}` with the same values, got different ones")
            joined = Choice((*head.paths, *(other.paths if other else (path,))), head.texts, head.values)
            choices.update(dict.fromkeys(joined.paths, joined))
            head = joined
    # Each once; values may be lists, by which no key can be made.
    return tuple({id(choice): choice for choice in choices.values()}.values())
