"""YAML text -> a tree of values that know their line, from PyYAML's parser events.

Composed here rather than by PyYAML because specs are data from strangers: duplicate keys are refused, nesting and
size are bounded before anything recurses (libyaml's own composer dies on 100,000 nested brackets), no tag is obeyed,
and scalars are YAML 1.2's (`1e-3` is a number; `on` and `no` are strings).
"""

import re
from collections.abc import Iterator
from itertools import islice
from math import isfinite
from typing import Any

import yaml
from msgspec import Struct

from gnet_inspect.errors import SpecError

MAX_BYTES = 2_000_000
MAX_DEPTH = 64
MAX_VALUES = 200_000
# libyaml compares each of them with all others, and specs have no tags.
MAX_DIRECTIVES = 100
# A path is written for each value: of one that is longer its beginning and its end are kept.
_LONGEST_PATH = 400

_INTEGER = re.compile(r"[-+]?[0-9]+\Z|0x[0-9a-fA-F]+\Z|0o[0-7]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
# What Python's tuples of sizes hold.
_ELEMENT = re.compile(r"\s*([-+.0-9]{1,24}|None|null)\s*\Z")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class Value(Struct):
    """One value of the document: a scalar, a list of Values or a dict of Values, and the line it stands on.

    In a mapping the line is that of the key; a value given by a flag has none.
    """

    data: Any
    line: int | None
    path: str = ""
    # A scalar as it is written: "1.50" for 1.5.
    text: str = ""

    def plain(self) -> Any:
        """The value without its lines."""
        if isinstance(self.data, dict):
            return {key: value.plain() for key, value in self.data.items()}
        if isinstance(self.data, list):
            return [value.plain() for value in self.data]
        return self.data


def read_document(text: bytes | str, file: str, what: str = "a spec") -> Value:
    """Parse one YAML document. `file` is the name errors give it, `what` what it should hold. Raises SpecError."""
    return _Composer(decoded(text, file), file).document(what)


def plain_value(data: object, path: str, depth: int = 0) -> Value:
    """A Python value (an override from the API) as a Value. Raises TypeError for anything YAML could not say."""
    if depth > MAX_DEPTH:
        raise TypeError(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(data, dict):
        if not all(isinstance(key, str) for key in data):
            raise TypeError("keys must be strings")
        entries = {key: plain_value(item, path_below(path, key), depth + 1) for key, item in data.items()}
        return Value(entries, None, path)
    if isinstance(data, list | tuple):
        items = [plain_value(item, path_below(path, index), depth + 1) for index, item in enumerate(data)]
        return Value(items, None, path)
    if data is None or isinstance(data, bool | int | float | str):
        return Value(data, None, path)
    raise TypeError(f"a {type(data).__name__} is no number, list, flag or layer")


def decoded(text: bytes | str, file: str) -> str:
    """A spec's text as one of Unicode. Raises SpecError for what is none, or is too long."""
    if len(text) > MAX_BYTES:
        raise SpecError(f"expected at most {MAX_BYTES:,} bytes, got more", file=file)
    if isinstance(text, str):
        surrogate = re.search("[\ud800-\udfff]", text)
        if surrogate:
            line = text[: surrogate.start()].count("\n") + 1
            raise SpecError(f"expected Unicode text, got the half character {surrogate[0]!r}", file=file, line=line)
        return text
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text[: error.start].count(b"\n") + 1
        raise SpecError(f"expected UTF-8 text, got the byte 0x{text[error.start]:02x}", file=file, line=line) from None


def path_below(path: str, key: object) -> str:
    """The path of what stands under a key or number of a value; "..." stands for the middle of a very long one.

    >>> path_below("stages", "body"), path_below("stages.body", 0)
    ('stages.body', 'stages.body.0')
    """
    inner = f"{path}.{key}" if path else str(key)
    if len(inner) <= _LONGEST_PATH:
        return inner
    return f"{inner[: _LONGEST_PATH // 2]}...{inner[-_LONGEST_PATH // 2 :]}"


def _line(event: Any) -> int:
    line: int = event.start_mark.line
    return line + 1


class _PythonTuple:
    """Notices `(3, 3)` among the members of a list or mapping: YAML cuts it at its comma, into `(3` and `3)`."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.path = ""

    def open(self, text: str, path: str) -> None:
        self.parts, self.path = ([text[1:].strip()] if _ELEMENT.match(text[1:]) else []), path

    def is_closed_by(self, text: str) -> bool:
        """Whether it ends with that member; a member that is none of its elements says that there was no tuple."""
        part, bracket, rest = text.partition(")")
        self.parts = [*self.parts, part.strip()] if _ELEMENT.match(part) and not rest and len(self.parts) < 8 else []
        return bool(self.parts and bracket)

    def fault(self) -> tuple[str, str]:
        """(fact, hint)."""
        inside = ", ".join(self.parts)
        return f"expected a list in square brackets, got ({inside})", f"write [{inside.replace('None', 'null')}]"


class _Composer:
    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.count = 0
        # Of all scalars and keys, aliases written out: as many as the text has, where there are none.
        self.characters = 0
        # An anchor's value, and the values, levels and characters that it takes.
        self.anchors: dict[str, tuple[Value, int, int, int]] = {}
        self.open_anchors: set[str] = set()
        # The deepest level reached since it was last reset: what an anchor's value is high.
        self.deepest = 0
        self._check_directives()
        loader = yaml.CLoader if yaml.__with_libyaml__ else yaml.Loader
        self.events: Iterator[Any] = yaml.parse(text, Loader=loader)

    def document(self, what: str) -> Value:
        try:
            for event in self.events:
                if isinstance(event, yaml.DocumentStartEvent):
                    value = self._value(self._next(), "", 0)
                    self._next()
                    self._only(self._next())
                    return value
        except yaml.YAMLError as error:
            raise self._syntax_error(error) from None
        raise SpecError(f"expected {what}, got an empty document", file=self.file, line=1)

    def _check_directives(self) -> None:
        found = re.finditer("(?:^|[\n\r\x85\u2028\u2029])%", self.text) if "%" in self.text else iter(())
        if next(islice(found, MAX_DIRECTIVES, None), None):
            fact = f"expected at most {MAX_DIRECTIVES} lines that begin with %, got more"
            raise SpecError(fact, file=self.file, hint="YAML's directives are not used in specs")

    def _next(self) -> Any:
        return next(self.events)

    def _only(self, event: Any) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            raise self._error(event, "", "expected one YAML document, got a second one")

    def _error(self, event: Any, path: str, fact: str, hint: str = "") -> SpecError:
        column: int = event.start_mark.column + 1
        return SpecError(fact, file=self.file, line=_line(event), path=path, hint=hint, column=column)

    def _syntax_error(self, error: yaml.YAMLError) -> SpecError:
        forbidden = yaml.reader.Reader.NON_PRINTABLE.search(self.text)
        if isinstance(error, yaml.reader.ReaderError) and forbidden:
            line = self.text[: forbidden.start()].count("\n") + 1
            return SpecError(f"expected printable text, got the character {forbidden[0]!r}", file=self.file, line=line)
        mark, opened = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
        fact = f"expected valid YAML, got: {getattr(error, 'problem', None) or 'something unreadable'}"
        if getattr(error, "context", None):
            fact += f" {error.context}" + (f" that begins on line {opened.line + 1}" if opened else "")  # type: ignore[attr-defined]  # a MarkedYAMLError
        # A mistake at the end of the text is marked on the line after it.
        last = self.text.count("\n") + 1
        hint = (
            "indent with spaces"
            if mark and self.text.split("\n")[min(mark.line, last - 1)][: mark.column + 1].endswith("\t")
            else ""
        )
        if mark is None:
            return SpecError(fact, file=self.file, hint=hint)
        column = mark.column + 1 if mark.line < last else None
        return SpecError(fact, file=self.file, line=min(mark.line + 1, last), hint=hint, column=column)

    def _check_bounds(self, event: Any, path: str, depth: int) -> None:
        if self.count > MAX_VALUES:
            raise self._error(event, path, f"expected at most {MAX_VALUES:,} values in a document")
        if self.characters > MAX_BYTES:
            fact = f"expected at most {MAX_BYTES:,} characters in a document, each alias as long as what it stands for"
            raise self._error(event, path, fact)
        if depth > MAX_DEPTH:
            raise self._error(event, "", f"expected at most {MAX_DEPTH} levels of nesting")
        self.deepest = max(self.deepest, depth)

    def _value(self, event: Any, path: str, depth: int) -> Value:
        self.count += 1
        self._check_bounds(event, path, depth)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path, depth)
        if event.tag is not None and event.tag != "!":
            raise self._error(
                event, path, f"expected plain data, got the tag {event.tag!r}", "tags are not used in specs"
            )
        before, characters, deepest = self.count, self.characters, self.deepest
        self.deepest = depth
        if event.anchor is not None:
            self.open_anchors.add(event.anchor)
        if isinstance(event, yaml.ScalarEvent):
            value = Value(self._scalar(event, path), _line(event), path, event.value)
            self.characters += len(event.value)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._list(event, path, depth)
        else:
            value = self._mapping(event, path, depth)
        if event.anchor is not None:
            self.open_anchors.discard(event.anchor)
            size, length = self.count - before + 1, self.characters - characters
            self.anchors[event.anchor] = value, size, self.deepest - depth, length
        self.deepest = max(self.deepest, deepest)
        return value

    def _alias(self, event: Any, path: str, depth: int) -> Value:
        if event.anchor in self.open_anchors or event.anchor not in self.anchors:
            known = "inside itself" if event.anchor in self.open_anchors else "nowhere defined above"
            raise self._error(event, path, f"expected an anchor defined above, got *{event.anchor}, {known}")
        value, size, height, length = self.anchors[event.anchor]
        # An alias counts as often as it is used: nested aliases cannot grow past the bounds.
        self.count += size
        self.characters += length
        self._check_bounds(event, path, depth + height)
        return Value(value.data, _line(event), path)

    def _list(self, event: Any, path: str, depth: int) -> Value:
        items: list[Value] = []
        bracketed = _PythonTuple()
        while not isinstance(item := self._next(), yaml.SequenceEndEvent):
            inner = path_below(path, len(items))
            items.append(self._value(item, inner, depth + 1))
            text = items[-1].text
            if bracketed.parts and bracketed.is_closed_by(text):
                raise self._error(item, bracketed.path, *bracketed.fault())
            if text[:1] == "(":
                bracketed.open(text, inner)
        return Value(items, _line(event), path)

    def _mapping(self, event: Any, path: str, depth: int) -> Value:
        entries: dict[str, Value] = {}
        bracketed = _PythonTuple()
        while not isinstance(key_event := self._next(), yaml.MappingEndEvent):
            key = self._key(key_event, path)
            line = _line(key_event)
            inner = path_below(path, key)
            if bracketed.parts and bracketed.is_closed_by(key):
                raise self._error(key_event, bracketed.path, *bracketed.fault())
            self.characters += len(key)
            if key in entries:
                raise self._error(
                    key_event, inner, f"expected each key once, got `{key}` again (first on line {entries[key].line})"
                )
            value = self._value(self._next(), inner, depth + 1)
            if value.text[:1] == "(":
                bracketed.open(value.text, inner)
            entries[key] = Value(value.data, line, inner, value.text)
        return Value(entries, _line(event), path)

    def _key(self, event: Any, path: str) -> str:
        if isinstance(event, yaml.ScalarEvent) and event.tag in (None, "!"):
            return str(event.value)
        raise self._error(event, path, "expected a name as the key, got a list, a mapping, an alias or a tag")

    def _scalar(self, event: Any, path: str) -> Any:
        text: str = event.value
        if not event.implicit[0]:
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.match(text):
            if len(text) > 19:
                raise self._error(event, path, f"expected a number of at most 19 digits, got {len(text)}")
            return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
        if _FLOAT.match(text):
            number = float(text)
            if not isfinite(number):
                raise self._error(event, path, f"expected a finite number, got {text[:40]}")
            return number
        return text
