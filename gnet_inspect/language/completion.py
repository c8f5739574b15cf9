"""What may stand at a place of a spec's text: the words that an editor offers there, from the schema.

The text is one that somebody is writing: it need be no YAML yet. What stands before the place says where in the
document that is (by PyYAML's tokens, which need no whole document), the schema says what may stand there, and the names
that the rest of the text has (of blocks, their parameters, layers before) are added to its words.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import yaml
from msgspec import Struct

from gnet_inspect.language.document import MAX_BYTES
from gnet_inspect.language.places import Written, places_of
from gnet_inspect.language.schema import VALUE_NAME, json_schema

# Stands in the text where the cursor is; no spec has it, because it is of Unicode's private area.
_CURSOR = "\ue000"
# The beginning of a name, a reference or a number that stands right before the cursor.
_WORD = re.compile(r"[$\w.\-]{0,200}\Z")
# How the schema calls what stands over a block's arguments.
_BLOCK = "a block's arguments"
MOST = 400


class Option(Struct, frozen=True):
    """A word that may stand there: what is written in its place (with `kind` "class" or "block" its arguments, too),
    what it is, and what is said of it."""

    label: str
    insert: str
    kind: str
    detail: str = ""


class Completion(Struct, frozen=True):
    """The options at a place, and how many characters before the cursor they take the place of."""

    options: tuple[Option, ...] = ()
    replaced: int = 0


class _Frame(Struct):
    """A list or mapping around the cursor, and where in it that is."""

    is_mapping: bool
    key: str | None = None
    index: int = 0
    # A list whose dashes stand as far left as the key above it has no token of its own.
    is_indentless: bool = False
    used: list[str] = []


class _Place(Struct):
    """Where in the document the cursor is: the path of what is around it, or of the value that it begins."""

    path: tuple[str | int, ...]
    is_key: bool
    used: Sequence[str] = ()


def complete(text: str, offset: int) -> Completion:
    """What may stand at a place: `offset` counts the characters before it."""
    if len(text) > MAX_BYTES:
        return Completion()
    before = text[:offset]
    match = _WORD.search(before, max(len(before) - 200, 0))
    word = match[0] if match else ""
    place = _place_of(before[: len(before) - len(word)])
    if place is None:
        return Completion()
    found = _Offers(text, text.count("\n", 0, offset) + 1).at(place)
    fitting = {option.label: option for option in found if _fits(option.label, word)}
    return Completion(tuple(fitting.values())[:MOST], len(word))


def _fits(label: str, word: str) -> bool:
    return word.lower() in label.lower()


# --- where the cursor is ---


def _place_of(before: str) -> _Place | None:
    """None where what stands before is no YAML, or the cursor is in a comment or in quotes."""
    frames: list[_Frame] = []
    expects_key = False
    for token in _tokens(f"{before}{_CURSOR}: "):
        if isinstance(token, yaml.ScalarToken):
            if token.value == _CURSOR:
                return _found(frames, expects_key)
            if expects_key and frames:
                frames[-1].key = token.value
                frames[-1].used = [*frames[-1].used, token.value]
            expects_key = False
        elif isinstance(token, yaml.KeyToken):
            while frames and frames[-1].is_indentless:
                frames.pop()
            if frames and not frames[-1].is_mapping:
                # A pair in a list: [a: 1].
                frames.append(_Frame(True, is_indentless=True))
            expects_key = True
        else:
            expects_key = expects_key and isinstance(token, yaml.AnchorToken | yaml.TagToken)
            _move(frames, token)
    return None


def _move(frames: list[_Frame], token: Any) -> None:
    """Open, go on in, or leave a list or mapping."""
    if isinstance(token, yaml.BlockMappingStartToken | yaml.FlowMappingStartToken):
        frames.append(_Frame(True))
    elif isinstance(token, yaml.BlockSequenceStartToken):
        frames.append(_Frame(False, index=-1))
    elif isinstance(token, yaml.FlowSequenceStartToken):
        frames.append(_Frame(False))
    elif isinstance(token, yaml.BlockEntryToken):
        if not frames or frames[-1].is_mapping:
            frames.append(_Frame(False, index=-1, is_indentless=True))
        frames[-1].index += 1
    elif isinstance(token, yaml.FlowEntryToken):
        if frames and frames[-1].is_indentless:
            frames.pop()
        if frames and frames[-1].is_mapping:
            frames[-1].key = None
        elif frames:
            frames[-1].index += 1
    elif isinstance(token, yaml.BlockEndToken | yaml.FlowMappingEndToken | yaml.FlowSequenceEndToken):
        while frames and frames[-1].is_indentless:
            frames.pop()
        if frames:
            frames.pop()


def _found(frames: list[_Frame], is_key: bool) -> _Place:
    *around, last = frames or [_Frame(True)]
    path = [frame.key or "" if frame.is_mapping else frame.index for frame in around]
    if is_key or (last.is_mapping and last.key is None):
        return _Place(tuple(path), True, tuple(last.used))
    path.append(last.key or "" if last.is_mapping else last.index)
    return _Place(tuple(path), False)


def _tokens(text: str) -> Iterator[Any]:
    loader = yaml.CLoader if yaml.__with_libyaml__ else yaml.Loader
    try:
        yield from yaml.scan(text, Loader=loader)
    except yaml.YAMLError:
        return  # the cursor was not reached: nothing is offered


# --- what may stand there ---


class _Offers:
    """The words of the schema and of one text."""

    def __init__(self, text: str, line: int) -> None:
        self.schema, self.line = json_schema(), line
        self.written = places_of(text)
        self.blocks = {
            path.split(".")[1]: None for path in self.written if path.startswith("blocks.") and path.count(".") == 1
        }

    def at(self, place: _Place) -> Iterator[Option]:
        schemas = self._below(self.schema, place.path)
        if place.is_key:
            yield from self._keys(schemas, place)
        else:
            yield from self._values(schemas, place.path)
            # A mapping may begin here, too.
            if isinstance(place.path[-1], int):
                yield from self._keys(schemas, _Place(place.path, True))

    # --- the schema ---

    def _below(self, schema: dict[str, Any], path: Iterable[str | int]) -> list[dict[str, Any]]:
        """What the schema lets stand at a path."""
        found = self._open(schema)
        for key in path:
            found = [inner for outer in found for inner in self._member(outer, key)]
        return found

    def _open(self, schema: dict[str, Any]) -> list[dict[str, Any]]:
        """A schema as those that it leaves to choose from."""
        if "$ref" in schema:
            return self._open(self.schema["definitions"][schema["$ref"].rpartition("/")[2]])
        choice = schema.get("anyOf", []) if "properties" not in schema else []
        if not choice:
            return [schema]
        return [{**opened, **_said(schema)} for option in choice for opened in self._open(option)]

    def _member(self, schema: dict[str, Any], key: str | int) -> list[dict[str, Any]]:
        if isinstance(key, int):
            return self._open(schema["items"]) if schema.get("items") else []
        inner = schema.get("properties", {}).get(key)
        if inner is None:
            more = schema.get("additionalProperties")
            if not isinstance(more, dict):
                return []
            inner = self._arguments(key) if more.get("description") == _BLOCK else more
        return self._open(inner)

    def _arguments(self, block: str) -> dict[str, Any]:
        """A block's call: its parameters, as the text has them."""
        return {"type": "object", "properties": {name: {} for name in self._parameters(block)}}

    def _parameters(self, block: str) -> list[str]:
        head = f"blocks.{block}.params."
        return [written.text for path, written in self.written.items() if path.startswith(head)]

    # --- words ---

    def _keys(self, schemas: Iterable[dict[str, Any]], place: _Place) -> Iterator[Option]:
        for schema in schemas:
            required = schema.get("required", [])
            properties = schema.get("properties", {})
            for name in sorted(properties, key=lambda name: name not in required):
                if name not in place.used:
                    yield Option(name, f"{name}: ", "key", _words(properties[name], name in required))
            if self._is_layer(schema):
                for block in self.blocks:
                    yield Option(block, f"{block}: ", "block", "a block of this spec")

    def _is_layer(self, schema: dict[str, Any]) -> bool:
        more = schema.get("additionalProperties")
        return isinstance(more, dict) and more.get("description") == _BLOCK

    def _values(self, schemas: Iterable[dict[str, Any]], path: tuple[str | int, ...]) -> Iterator[Option]:
        numbers = False
        for schema in schemas:
            for value in schema.get("enum", []):
                yield Option(str(value), str(value), "value", _words(schema, False))
            if schema.get("type") == "boolean":
                yield from (Option(word, word, "value", _words(schema, False)) for word in ("true", "false"))
            if self._is_layer(schema):
                yield from self._layers(schema)
            numbers = numbers or not schema or schema.get("pattern", "").startswith(r"^\$")
            if schema.get("pattern") == VALUE_NAME["pattern"]:
                yield from self._before(path)
        if numbers:
            yield from self._references(path)

    def _layers(self, schema: dict[str, Any]) -> Iterator[Option]:
        """A layer with the arguments that it must be given: a class, or a block of the text."""
        for block in self.blocks:
            given = ", ".join(f"{name}: " for name in self._parameters(block) if not self._has_default(block, name))
            yield Option(block, f"{{{block}: {{{given}}}}}" if given else block, "block", "a block of this spec")
        for name, layer in schema["properties"].items():
            required = [key for key in layer.get("required", []) if key != "branches"]
            if required:
                given = ", ".join(f"{key}: " for key in required)
                yield Option(name, f"{{{name}: {{{given}}}}}", "class", layer.get("description", ""))

    def _has_default(self, block: str, name: str) -> bool:
        return f"blocks.{block}.defaults.{name}" in self.written

    def _references(self, path: tuple[str | int, ...]) -> Iterator[Option]:
        """The parameters that are visible: a block's own, elsewhere the model's."""
        if path[:1] == ("blocks",) and len(path) > 1:
            names = self._parameters(str(path[1]))
        else:
            names = [key.removeprefix("params.") for key in self.written if key.startswith("params.")]
            names = [name for name in names if "." not in name]
        yield from (Option(f"${name}", f"${name}", "parameter", "a parameter") for name in names)

    def _before(self, path: tuple[str | int, ...]) -> Iterator[Option]:
        """The layers that stand before this one and may be named: those of the same block, list or network."""
        scope = ".".join(map(str, path[:3])) + "." if path[:1] == ("blocks",) else "stages."
        depth = 1 if path[:1] == ("blocks",) else 2
        for name, written in self.written.items():
            if name.startswith(scope) and _line_of(written) < self.line:
                parts = name.removeprefix(scope).split(".")
                if len(parts) == depth:
                    yield Option(parts[-1], parts[-1], "layer", "a layer or block before this one")


def _line_of(written: Written) -> int:
    return (written.key or written.value).line


def _said(schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": schema["description"]} if "description" in schema else {}


def _words(schema: dict[str, Any], required: bool) -> str:
    """What an editor says beside a word."""
    said = str(schema.get("description", ""))
    if "default" in schema:
        return ", ".join(filter(None, (said, f"default {schema['default']}")))
    return said or ("required" if required else "")
