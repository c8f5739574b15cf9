"""The arguments of a part of a network, each where it is written: what a slider or a stepper writes in its place.

An argument may be written elsewhere than at the part: `$c2.0` in a block is what the call of the block gives, a default
is the block's. Each is followed to the number itself, and says how many parts read that.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from gnet_inspect.editing.revision import Revision, written_in
from gnet_inspect.graph.outline import Outline
from gnet_inspect.language.document import path_below
from gnet_inspect.language.model import Argument, Call
from gnet_inspect.language.names import NAME_WORD
from gnet_inspect.language.places import Place, Written
from gnet_inspect.ops import VOCABULARY
from gnet_inspect.ops.arguments import Elements, Integer, Integers, Kind, Optional, Padding, Sizes

_NUMBER = re.compile(r"-?[0-9]{1,15}\Z")
_REAL = re.compile(r"-?[0-9]{0,15}\.[0-9]{1,15}\Z")
_REFERENCE = re.compile(rf"\$({NAME_WORD})(?:\.([0-9]{{1,4}}))?")
# Of a reference to a reference to a reference.
_MOST_STEPS = 64
# The roles of parts, those that have arguments first.
_SAYING = ("block", "layer", "list", "branch", "stage", "head")
# A list of more elements is no row of steppers.
_MOST_ELEMENTS = 16


class Slot(Struct, frozen=True):
    """An argument's value in the text. `kind` is "integer", "number", "flag" or "text" (which no stepper changes);
    `least` the smallest integer that may stand there. `where` says where it is written, "" at the part itself; `uses`
    how many layers and blocks of the network it reaches."""

    label: str
    text: str
    kind: str
    place: Place
    where: str = ""
    uses: int = 1
    least: int | None = None


class Part(Struct, frozen=True):
    """A part that was selected: its path, what it is, the numbers of its layers, and its arguments."""

    path: str
    role: str
    words: str
    layers: Sequence[int]
    slots: Sequence[Slot] = ()
    # Where it is written itself.
    place: Place | None = None


def part_of_layers(revision: Revision, layers: Sequence[int]) -> str:
    """The path of the part that has exactly these layers, of several that have them the one with the most to say; of
    equal parts drawn as one that of the first. "" where there is none."""
    wanted = set(layers)
    entries = [entry for entry in Outline(revision.graph).entries if wanted.issuperset(entry.indices)]
    exactly = [entry for entry in entries if len(entry.indices) == len(wanted)]
    if exactly:
        return min(exactly, key=lambda entry: _SAYING.index(entry.role)).name
    return next((entry.name for entry in entries if entry.role == "block"), "")


def part_at(revision: Revision, line: int, column: int) -> str:
    """The path of the innermost part that is written at a place, of several calls of one the first; "" for none."""
    written = written_in(revision.text)
    best, smallest = "", None
    for path, layer in revision.calls.items():
        found = written.get(layer.path)
        if found is None:
            continue
        start, place = found.key or found.value, found.value
        if (start.line, start.column) <= (line, column) <= (place.end_line, place.end_column):
            size = place.end_line - start.line, place.end_column - start.column
            if smallest is None or size < smallest:
                best, smallest = path, size
    return best


def find_part(revision: Revision, path: str) -> Part | None:
    """A part by its path, with its arguments; None where the network has none of that path. A stage that is called like
    a layer is told by its layers alone."""
    named = [entry for entry in Outline(revision.graph).entries if entry.name == path]
    if not named:
        return None
    entry = max(named, key=lambda entry: entry.depth)
    written = written_in(revision.text)
    slots = tuple(_Finder(revision, written).slots(path))
    layer = revision.calls.get(path)
    found = written.get(layer.path) if layer is not None else None
    place = _whole(found) if found is not None else None
    return Part(path, entry.role, entry.describe(), tuple(entry.indices), slots, place)


def _whole(written: Written) -> Place:
    """From the key to the end of the value."""
    start = written.key or written.value
    end = written.value
    # A block of lines ends where the next one begins.
    last = (
        (end.end_line - 1, 1) if end.end_column == 1 and end.end_line > start.line else (end.end_line, end.end_column)
    )
    return Place(start.line, start.column, *last)


class _Finder:
    def __init__(self, revision: Revision, written: Mapping[str, Written]) -> None:
        self.revision, self.calls, self.written = revision, revision.calls, written

    def slots(self, path: str) -> Iterator[Slot]:
        layer = self.calls.get(path)
        if not isinstance(layer, Call):
            return
        block = self.revision.spec.blocks.get(layer.name) if layer.is_block else None
        parameters = block.parameters if block is not None else VOCABULARY[layer.name].parameters()
        uses = self._uses_of(layer)
        for name, argument in layer.arguments.items():
            yield from self._written_at(name, argument.path, path, uses, least_of(parameters[name].kind))
        for name, parameter in block.parameters.items() if block is not None else ():
            if parameter.default is not None and name not in layer.arguments:
                yield from self._default(name, parameter.default, layer, least_of(parameter.kind))

    def _written_at(
        self, label: str, place: str, path: str, uses: int, least: int | None, where: str = "", steps: int = 0
    ) -> Iterator[Slot]:
        """The numbers of a value of the document, which reaches so many calls, that at a path among them."""
        found = self.written.get(place)
        if found is None or steps > _MOST_STEPS:
            return
        if not found.is_scalar:
            members = [path_below(place, index) for index in range(_MOST_ELEMENTS)]
            for index, member in enumerate(member for member in members if member in self.written):
                yield from self._written_at(f"{label}.{index}", member, path, uses, least, where, steps + 1)
            return
        references = list(_REFERENCE.finditer(found.text))
        if not references:
            yield Slot(label, found.text, _kind(found.text), found.value, where, uses, least)
        whole = len(references) == 1 and references[0][0] == found.text
        for reference in references:
            shown = label if whole else f"{label} by {reference[0]}"
            yield from self._read(shown, reference[1], reference[2], path, least if whole else None, steps + 1)

    def _read(
        self, label: str, name: str, element: str | None, path: str, least: int | None, steps: int
    ) -> Iterator[Slot]:
        """What a parameter holds where a call at a path reads it."""
        block = self._block_around(path)
        suffix = f".{element}" if element is not None else ""
        if block is None or name not in self.revision.spec.blocks[block[1].name].parameters:
            where = "a parameter of the model"
            yield from self._written_at(label, f"params.{name}{suffix}", "", 1, least, where, steps)
            return
        around, call = block
        if name in call.arguments:
            where = f"given to {around}"
            place = f"{call.arguments[name].path}{suffix}"
            yield from self._written_at(label, place, around, self._uses_of(call), least, where, steps)
        elif (default := self.revision.spec.blocks[call.name].parameters[name].default) is not None:
            yield from self._default(label, default, call, least, suffix, steps)

    def _block_around(self, path: str) -> tuple[str, Call] | None:
        while path:
            path = path.rpartition(".")[0]
            layer = self.calls.get(path)
            if isinstance(layer, Call) and layer.is_block:
                return path, layer
        return None

    def _uses_of(self, call: Call) -> int:
        """How many parts are made by a call: by one in a block or a repeat several."""
        return sum(layer is call for layer in self.calls.values())

    def _default(
        self, label: str, default: Argument, call: Call, least: int | None, suffix: str = "", steps: int = 0
    ) -> Iterator[Slot]:
        """A default of a block: one place for all calls that give nothing else. Defaults know the model's parameters
        alone, so what it reads is looked for there."""
        name = default.path.rpartition(".")[2]
        users = [
            layer
            for layer in self.calls.values()
            if isinstance(layer, Call) and layer.is_block and layer.name == call.name and name not in layer.arguments
        ]
        where = f"a default of {call.name}"
        yield from self._written_at(label, f"{default.path}{suffix}", "", len(users), least, where, steps)


def least_of(kind: Kind) -> int | None:
    """The smallest integer that a kind takes, or the elements of its list; None where it takes none, or any.

    >>> least_of(Optional(Sizes(Integer(0)))), least_of(Kind())
    (0, None)
    """
    if isinstance(kind, Integer):
        return kind.minimum
    if isinstance(kind, Elements):
        return max((least for each in kind.kinds if (least := least_of(each)) is not None), default=None)
    if isinstance(kind, Padding):
        return 0
    if isinstance(kind, Sizes | Integers):
        return least_of(kind.each)
    return least_of(kind.of) if isinstance(kind, Optional) else None


def _kind(text: str) -> str:
    if _NUMBER.match(text):
        return "integer"
    if _REAL.match(text):
        return "number"
    return "flag" if text in ("true", "false") else "text"
