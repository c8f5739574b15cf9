"""Reading one Value of a document as text, number, list or mapping: the checks every part of a spec shares."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from gnet_inspect.errors import SpecError, nearest, show
from gnet_inspect.language.document import Value
from gnet_inspect.language.names import name_fault
from gnet_inspect.ops.arguments import Kind

T = TypeVar("T")


class Reader:
    """Turns Values into plain data, with the file's name at hand for the errors."""

    def __init__(self, file: str) -> None:
        self.file = file

    def error(self, value: Value, fact: str, hint: str = "") -> SpecError:
        return SpecError(fact, file=self.file, line=value.line, path=value.path, hint=hint)

    def expected(self, value: Value, words: str, hint: str = "") -> SpecError:
        # What was written says more than what is usually forgotten there.
        hint = _written_hint(value.data, words) or hint
        return self.error(value, f"expected {words}, got {show(value.plain())}", hint)

    def kind(self, value: Value, kind: Kind) -> Any:
        try:
            return kind.read(value.plain())
        except ValueError as error:
            raise self.expected(value, str(error)) from None

    def text(self, value: Value, what: str = "text", limit: int = 10_000) -> str:
        if isinstance(value.data, str) and value.data.strip():
            if len(value.data) <= limit:
                return value.data
            raise self.error(value, f"expected {what} of at most {limit:,} characters, got {len(value.data):,}")
        hint = "quote it" if isinstance(value.data, bool | int | float) else ""
        raise self.expected(value, what, hint)

    def items(self, value: Value, words: str, each: Callable[[Value], T], least: int = 0) -> tuple[T, ...]:
        if not isinstance(value.data, list) or len(value.data) < least:
            raise self.expected(value, words)
        return tuple(each(item) for item in value.data)

    def mapping(self, value: Value, words: str) -> dict[str, Value]:
        if not isinstance(value.data, dict):
            raise self.expected(value, words)
        return value.data

    def fields(
        self,
        value: Value,
        words: str,
        required: Collection[str],
        optional: Collection[str],
        hints: Mapping[str, str] | None = None,
    ) -> dict[str, Value]:
        """A mapping whose keys are known; unknown keys are answered with their hint, or with the nearest."""
        entries = self.mapping(value, words)
        known = dict.fromkeys([*required, *optional])
        for key, item in entries.items():
            if key not in known:
                raise self.error(
                    item, f"expected a key of {words}, got `{key}`", (hints or {}).get(key) or nearest(key, known)
                )
        for key in required:
            if key not in entries:
                raise self.error(value, f"expected {words} with the key `{key}`, got none")
        return entries

    def name(self, value: Value, name: str, what: str) -> str:
        fault = name_fault(name, what)
        if fault:
            raise self.error(value, fault[0], fault[1])
        return name


_LIST_ELEMENT = r"(?:[-+]?[0-9.]+|None|null)"
# Sizes as Python, shells, papers and our own tables write them: (3, 3), 96,256, 3x3 and 96-128.
_LIST_TEXT = re.compile(
    rf"[(\[]?\s*({_LIST_ELEMENT}(?:\s*,\s*{_LIST_ELEMENT})+)\s*,?\s*[)\]]?\Z|([0-9]+(?:\s*[xX*-]\s*[0-9]+)+)\Z"
)


def _written_hint(data: object, words: str) -> str:
    """What a text that should be something else was probably meant to be."""
    if isinstance(data, list):
        # Of a list that holds Values: the first of them that tells.
        return next(filter(None, (_written_hint(item.data, words) for item in data[:8])), "")
    if not isinstance(data, str) or len(data) > 200:
        return ""
    text = data.strip()
    if text.strip("+-").replace(".", "", 1).isdecimal():
        return "a quoted number is text: remove the quotes"
    if match := _LIST_TEXT.match(text):
        elements = re.findall(_LIST_ELEMENT if match[1] else "[0-9]+", text)
        return f"write [{', '.join(elements).replace('None', 'null')}]"
    if text == "None" and "null" in words:
        return "write null"
    if "true or false" in words and text.lower() in ("yes", "on", "no", "off", "y", "n"):
        return f"write {'true' if text.lower() in ('yes', 'on', 'y') else 'false'}"
    if re.match(r"\w+:\S", text):
        return "YAML wants a space after the colon"
    return ""
