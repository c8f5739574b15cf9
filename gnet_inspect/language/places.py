"""Where each value of a document is written: lines and columns, for whoever points at them or writes in their place.

Apart from the reading of specs, which needs no more than lines: what asks for places has the text at hand, and most
who read a spec never ask.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml
from msgspec import Struct
from msgspec.structs import replace

from gnet_inspect.language.document import MAX_VALUES, path_below


class Place(Struct, frozen=True):
    """A stretch of a text: the line and column of its first character and of the one behind its last, from 1.

    Columns count characters (code points), as an editor shows them.
    """

    line: int
    column: int
    end_line: int
    end_column: int


class Written(Struct, frozen=True):
    """How a value stands in the text: where its key is (None for a member of a list), where it is itself, and a scalar
    as it is written ("" for a list or a mapping)."""

    key: Place | None
    value: Place
    text: str = ""
    is_scalar: bool = False


# What stands in front of a value on its line.
_MARKS = re.compile(r"(?:[&!][^\s]*[ \t]+)+")


class _Open(Struct):
    """A list or mapping whose end was not met yet."""

    path: str
    start: Any
    key_place: Place | None
    is_mapping: bool
    key: str | None = None
    next_key: Place | None = None
    count: int = 0


def places_of(text: str) -> dict[str, Written]:
    """By its path where each value stands; of a text that is no YAML what stands before the mistake.

    What an alias stands for is written where its anchor is, and has that place alone.
    """
    return _Finder(text).find()


class _Finder:
    def __init__(self, text: str) -> None:
        self.text = text
        self.found: dict[str, Written] = {}
        self.open: list[_Open] = []

    def find(self) -> dict[str, Written]:
        for event in _events(self.text):
            self._meet(event)
            if len(self.found) > MAX_VALUES:
                break
        return self.found

    def _meet(self, event: Any) -> None:
        if isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            closed = self.open.pop()
            self.found[closed.path] = Written(closed.key_place, _between(closed.start, event.end_mark))
        elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
            path, key = self._next()
            is_mapping = isinstance(event, yaml.MappingStartEvent)
            self.open.append(_Open(path, event.start_mark, key, is_mapping))
        elif isinstance(event, yaml.ScalarEvent):
            place = self._own(event)
            if self._is_key():
                self.open[-1].key, self.open[-1].next_key = event.value, place
                return
            path, key = self._next()
            self.found[path] = Written(key, place, event.value, is_scalar=True)
        elif isinstance(event, yaml.AliasEvent):
            path, key = self._next()
            self.found[path] = Written(key, _between(event.start_mark, event.end_mark))

    def _own(self, event: Any) -> Place:
        """Where a scalar is itself, behind its anchor: that stays where another number is written."""
        place = _between(event.start_mark, event.end_mark)
        if event.anchor is None and event.tag is None:
            return place
        start = event.start_mark.index
        marked = _MARKS.match(self.text, start)
        return replace(place, column=place.column + marked.end() - start) if marked else place

    def _is_key(self) -> bool:
        return bool(self.open) and self.open[-1].is_mapping and self.open[-1].key is None

    def _next(self) -> tuple[str, Place | None]:
        """The path of the value that stands here, and where its key is."""
        if not self.open:
            return "", None
        around = self.open[-1]
        if around.is_mapping:
            # A list as a key is no name: nothing is found below it.
            key, around.key = around.key or "", None
            return path_below(around.path, key), around.next_key
        around.count += 1
        return path_below(around.path, around.count - 1), None


def _events(text: str) -> Iterator[Any]:
    loader = yaml.CLoader if yaml.__with_libyaml__ else yaml.Loader
    try:
        yield from yaml.parse(text, Loader=loader)
    except yaml.YAMLError:
        return  # whoever reads the text says what is wrong with it


def _between(start: Any, end: Any) -> Place:
    return Place(start.line + 1, start.column + 1, end.line + 1, end.column + 1)
