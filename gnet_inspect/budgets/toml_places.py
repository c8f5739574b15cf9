"""Where each value of a TOML document is written: tomllib, which reads one, keeps no lines.

A walk over a text that tomllib has read without an error: it needs no more than to tell keys, strings, lists and tables
apart. Whoever writes in the place of a value reads the result again, and so proves both.
"""

import re
import tomllib
from collections import Counter

from msgspec import Struct


class Spot(Struct, frozen=True):
    """A value: the line of its key or header, from 1, and the characters of the text that it is, from `start` to before
    `end`; of a table that is opened by a header these are the header's."""

    line: int
    start: int
    end: int


KeyPath = tuple[str | int, ...]

_BLANKS = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BARE_VALUE = re.compile(r"[^,\]}#\r\n]+")
_STRINGS = (
    re.compile(r'"""(?:\\.|[^\\])*?""""{0,2}', re.DOTALL),
    re.compile(r"'''.*?''''{0,2}", re.DOTALL),
    re.compile(r'"(?:[^"\\\n]|\\.)*"'),
    re.compile(r"'[^'\n]*'"),
)


def places_in(text: str) -> dict[KeyPath, Spot]:
    """By its path where each value of a document stands that tomllib reads.

    >>> places_in('[[check]]\\nmodel = "a"  # mine')[("check", 0, "model")]
    Spot(line=2, start=18, end=21)
    """
    return _Walk(text).walk()


class _Walk:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.found: dict[KeyPath, Spot] = {}
        # Of each list of tables that headers make, how many were opened.
        self.opened: Counter[KeyPath] = Counter()
        self.line, self.counted = 1, 0

    def walk(self) -> dict[KeyPath, Spot]:
        table: KeyPath = ()
        while self._next():
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
        return self.found

    def _next(self) -> str:
        """The next character that says something, "" at the end."""
        blanks = _BLANKS.match(self.text, self.at)
        assert blanks is not None
        self.at = blanks.end()
        return self.text[self.at : self.at + 1]

    def _line(self) -> int:
        self.line += self.text.count("\n", self.counted, self.at)
        self.counted = self.at
        return self.line

    def _header(self) -> KeyPath:
        start, line = self.at, self._line()
        is_list = self.text.startswith("[[", start)
        self.at += 2 if is_list else 1
        path: KeyPath = ()
        for key in self._keys("]"):
            path = (*path, key)
            # A table below a list of tables belongs to the last of them.
            if path in self.opened:
                path = (*path, self.opened[path] - 1)
        self.at += 2 if is_list else 1
        if is_list:
            # The last of them was opened before: this is the next one.
            path = path[:-1] if path and isinstance(path[-1], int) else path
            self.opened[path] += 1
            path = (*path, self.opened[path] - 1)
        self.found[path] = Spot(line, start, self.at)
        return path

    def _keys(self, end: str) -> list[str]:
        """The parts of a dotted key, up to what ends it."""
        parts = []
        while self._next() != end:
            string = self._string()
            if string:
                parts.append(tomllib.loads(f"key = {string}")["key"])
            elif bare := _BARE_KEY.match(self.text, self.at):
                parts.append(bare[0])
                self.at = bare.end()
            else:
                # The dot between two parts.
                self.at += 1
        return parts

    def _string(self) -> str:
        for form in _STRINGS:
            if match := form.match(self.text, self.at):
                self.at = match.end()
                return match[0]
        return ""

    def _pair(self, table: KeyPath) -> None:
        self._next()
        line = self._line()
        path = (*table, *self._keys("="))
        self.at += 1
        self._value(path, line)

    def _value(self, path: KeyPath, line: int) -> None:
        first, start = self._next(), self.at
        if first == "[":
            self.at += 1
            index = 0
            while self._next() != "]":
                self._value((*path, index), self._line())
                index += 1
                self._comma()
            self.at += 1
        elif first == "{":
            self.at += 1
            while self._next() != "}":
                self._pair(path)
                self._comma()
            self.at += 1
        elif not self._string():
            bare = _BARE_VALUE.match(self.text, self.at)
            assert bare is not None
            self.at += len(bare[0].rstrip())
        self.found[path] = Spot(line, start, self.at)

    def _comma(self) -> None:
        if self._next() == ",":
            self.at += 1
