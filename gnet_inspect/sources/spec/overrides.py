"""Edits of a spec by path: `inception4a.c2=[96, 256]`, `maxpool4.kernel_size=3`, `classes=10`."""

from collections.abc import Iterable, Mapping
from typing import Any

from gnet_inspect.errors import SpecError, UsageError, expect, nearest, show
from gnet_inspect.language.document import Value, path_below, plain_value, read_document
from gnet_inspect.language.layers import MAX_LAYER_DEPTH, LayerReader, Scope
from gnet_inspect.language.model import Argument, Spec
from gnet_inspect.ops.arguments import Elements, Kind

LABEL = "override"


class OverrideError(UsageError):
    """An edit that does not fit. `path` and `fact` are kept for those who know where the edit is written."""

    def __init__(self, path: str, fact: str) -> None:
        self.path, self.fact = path, fact
        super().__init__(f"{LABEL}: `{path}`: {fact}")


def parse_overrides(items: Iterable[str]) -> dict[str, Value]:
    """The values of `--set PATH=VALUE`; VALUE is YAML. Raises UsageError."""
    found: dict[str, Value] = {}
    for item in items:
        path, equals, text = item.partition("=")
        path = path.strip()
        if not equals or not path:
            raise UsageError(f"--set: expected PATH=VALUE, got {item!r}. (for example --set classes=10)")
        if path in found:
            raise UsageError(f"--set: expected each path once, got `{path}` again")
        try:
            value = read_document(text, "--set") if text.strip() else Value(None, None)
        except SpecError as error:
            raise UsageError(f"--set: `{path}`: {error.fact}") from None
        found[path] = _relabelled(value, path)
    return found


def _relabelled(value: Value, path: str) -> Value:
    """The value under its override's path, with no lines: there is no file to find them in."""
    data: Any = value.data
    if isinstance(data, dict):
        data = {key: _relabelled(item, path_below(path, key)) for key, item in data.items()}
    elif isinstance(data, list):
        data = [_relabelled(item, path_below(path, index)) for index, item in enumerate(data)]
    return Value(data, None, path)


def override_values(overrides: Mapping[str, object] | None) -> dict[str, Value]:
    """Plain Python values (or Values already read from flags) as Values. Raises UsageError."""
    expect(overrides, (Mapping, type(None)), "overrides as a mapping from paths to values")
    found = {}
    for path, value in (overrides or {}).items():
        expect(path, str, "the path of an override as text")
        try:
            found[path] = value if isinstance(value, Value) else plain_value(value, path)
        except TypeError as error:
            raise OverrideError(path, f"expected a number, a list, a flag or a layer: {error}") from None
    return found


class Edits:
    """The overrides of one expansion: applied where a call of their path is met, and accounted for at the end."""

    def __init__(self, spec: Spec, overrides: Mapping[str, Value]) -> None:
        self.spec = spec
        self.given = overrides
        self.unused = dict(overrides)
        # By the path of the call: argument -> [(element or None, the override's full path, value)].
        self.by_call: dict[str, dict[str, list[tuple[int | None, str, Value]]]] = {}
        # What the expansion met, for the error about what does not exist: path of a call -> (its name, its arguments).
        self.met: dict[str, tuple[str, Iterable[str]]] = {}
        for path, value in overrides.items():
            for call, argument, element in _readings(path):
                self.by_call.setdefault(call, {}).setdefault(argument, []).append((element, path, value))

    def __bool__(self) -> bool:
        return bool(self.by_call)

    def at(self, call: str, name: str, kinds: Mapping[str, Kind]) -> dict[str, list[tuple[int | None, str, Value]]]:
        """The edits of the call at that path, by argument."""
        self.met[call] = (name, kinds)
        edits = self.by_call.get(call, {})
        return {argument: found for argument, found in edits.items() if argument in kinds}

    def apply(self, found: list[tuple[int | None, str, Value]], kind: Kind, current: Any) -> Argument | None:
        """The edited argument: a whole value, or `current` with some elements replaced; None where none fits."""
        result: Argument | None = None
        for element, path, value in sorted(found, key=lambda edit: edit[0] is not None):
            if element is None:
                result = self._reader().argument(value, kind, Scope([], hint="an edit is a plain value"))
            else:
                base = current if result is None else result.data
                if not isinstance(base, tuple):
                    # One number for both axes is a pair of it (`kernel_size.0`).
                    base = kind.read(base) if kind.element() is not None and base is not None else base
                if not isinstance(base, tuple):
                    raise OverrideError(
                        path, f"expected an element of a list, but `{path.rpartition('.')[0]}` is {show(base)}"
                    )
                if element >= len(base):
                    raise OverrideError(path, f"expected an element from 0 to {len(base) - 1}, got {element}")
                each = kind.kinds[element] if isinstance(kind, Elements) else kind.element()
                data = value.plain()
                try:
                    (each or kind).read(data)
                except ValueError as error:
                    raise OverrideError(path, f"expected {error}, got {show(data)}") from None
                result = Argument((*base[:element], data, *base[element + 1 :]), None, path, open=True)
            self.unused.pop(path, None)
        return result

    def _reader(self) -> LayerReader:
        # Only its membership test and its finished blocks are used here: nothing is left to read.
        reader = LayerReader(LABEL, dict.fromkeys(self.spec.blocks, Value(None, None)), Scope(list(self.spec.params)))
        reader.blocks = dict(self.spec.blocks)
        return reader

    def check_all_used(self) -> None:
        """Raise OverrideError for the first override that met nothing, naming what exists."""
        for path in self.unused:
            raise OverrideError(path, self._missing(path))

    def _missing(self, path: str) -> str:
        if path in self.met:
            name, arguments = self.met[path]
            known = ", ".join(f"`{path}.{argument}`" for argument in arguments) or "it has none"
            return f"expected the path of an argument, got that of a layer ({name}). (its arguments: {known})"
        members = sorted(
            {f"{path}.{name[len(path) + 1 :].partition('.')[0]}" for name in self.met if name.startswith(f"{path}.")}
        )
        if members:
            shown = ", ".join(f"`{member}`" for member in members[:8]) + (", ..." if len(members) > 8 else "")
            return f"expected the path of an argument, got that of a list. (its members: {shown})"
        call, _, argument = path.rpartition(".")
        if call in self.met and call:
            name, arguments = self.met[call]
            hint = nearest(argument, arguments) or f"{name} takes no arguments"
            return f"expected an argument of `{call}` ({name}), got `{argument}`. ({hint})"
        # What is there below the longest part of the path that exists.
        there = {call for name in self.met for call in _scopes(name)}
        call = max((scope for scope in _scopes(path) if scope in there and scope != path), key=len, default="")
        inside = f"{call}." if call else ""
        got = path[: len(inside)] + path[len(inside) :].partition(".")[0]
        known_names = {
            inside + name[len(inside) :].partition(".")[0] for name in self.met if name.startswith(inside)
        } - {inside}
        hint = nearest(got, known_names | set(() if call else self.spec.params))
        if path.partition(".")[0] in {head.name for head in self.spec.heads}:
            hint = "heads are there in training mode only: --mode train"
        return (
            "expected a parameter of the model or the path of an argument, "
            f"got `{path}`, but `{got}` does not exist. ({hint})"
        )


def _scopes(path: str) -> list[str]:
    """A path and the paths of what it lies in, as far as layers nest: "a", "a.b" and "a.b.c" for "a.b.c"."""
    parts = path.split(".", MAX_LAYER_DEPTH + 1)[: MAX_LAYER_DEPTH + 1]
    return [".".join(parts[: length + 1]) for length in range(len(parts))]


def _readings(path: str) -> Iterable[tuple[str, str, int | None]]:
    """How a path may be read: (call, argument, element). `a.b.0` is argument `0` of a.b, or element 0 of a's b."""
    call, _, argument = path.rpartition(".")
    yield call, argument, None
    if argument.isdecimal() and call and len(argument) < 5:
        outer, _, name = call.rpartition(".")
        yield outer, name, int(argument)
