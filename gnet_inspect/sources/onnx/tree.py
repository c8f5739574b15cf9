"""Where a node lies: in the modules that its exporter wrote down, or by its name, "/layer1/layer1.0/conv1/Conv"."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from gnet_inspect.graph.recording import Record, Scope
from gnet_inspect.sources.bounds import MAX_CHARACTERS, MAX_NAME
from gnet_inspect.sources.onnx.form import Call

# How many parts a name may have, as in a graph's file.
_DEPTH = 60
_OTHER = re.compile(r"[^\w.\-]+")
# Modules of torch's that are several functions, and lists of others.
_SEVERAL = ("MultiheadAttention", "LSTM", "GRU", "RNN")
_LISTS = ("Sequential", "ModuleList")
_NODES_OF_A_LAYER = 2


class Part(NamedTuple):
    """A module that a node lies in: its path and its class, "" where only names are known."""

    path: str
    kind: str


class Place(NamedTuple):
    """Where one node lies: in modules, the outermost first, of which the last may be a layer of torch's own."""

    parts: tuple[Part, ...]
    layer: Part | None
    kind: str


NOWHERE = Place((), None, "")


def places_of(calls: Iterable[Call]) -> dict[int, Place]:
    """Where each node lies, by its place in the file, as far as the file tells; nowhere, where so long paths are told
    that a graph could not have them."""
    found: dict[int, Place] = {}
    inside: Counter[str] = Counter()
    characters = 0
    for call in calls:
        found[call.index] = NOWHERE
        characters += _paths_of(call)
        if characters > MAX_CHARACTERS:
            continue
        if len(call.scopes) > 1 and len(call.scopes) == len(call.classes):
            found[call.index] = _written(call.scopes, call.classes)
            continue
        place = found[call.index] = _named(call)
        if place.layer is not None and call.kind != "Constant":
            inside[place.layer.path] += 1
    # By names alone a module of many nodes is no layer, which has one, or a product and a sum.
    return {
        index: place._replace(layer=None)
        if place.layer is not None and not place.layer.kind and inside[place.layer.path] > _NODES_OF_A_LAYER
        else place
        for index, place in found.items()
    }


def _paths_of(call: Call) -> int:
    """At most so many characters the paths of a node have together: each step of a name is in all that follow it."""
    return sum(map(len, call.scopes)) if call.scopes else call.name.count("/") * len(call.name)


def _written(scopes: Sequence[str], classes: Sequence[str]) -> Place:
    """As torch's exporter wrote it: paths of modules, the root's first, and at last a name of the function."""
    parts = [
        Part(path, kind.rpartition(".")[2])
        for scope, kind in zip(scopes[1:-1], classes[1:-1], strict=True)
        if (path := cleaned(scope))
    ]
    layer = None
    if parts and classes[-2].startswith("torch.nn.modules.") and parts[-1].kind not in (*_SEVERAL, *_LISTS):
        layer = parts[-1]
    return Place(tuple(parts), layer, classes[0].rpartition(".")[2])


def _named(call: Call) -> Place:
    """By slashes: torch's older exporter says the path from the list on in each step ("layer1.0" behind "layer1")."""
    if "/" not in call.name:
        return NOWHERE
    paths: list[str] = []
    before = ""
    for step in call.name.strip("/").split("/")[:-1]:
        own = step.removeprefix(f"{before}.") if before else step
        before = step
        path = cleaned(f"{paths[-1]}.{own}" if paths else own)
        if not path or path.count(".") >= _DEPTH or len(path) > MAX_NAME:
            return NOWHERE
        paths.append(path)
    parts = tuple(Part(path, "") for path in paths)
    return Place(parts, parts[-1] if parts else None, "")


def cleaned(name: str) -> str:
    """A name as paths are written: words with dots between them.

    >>> cleaned("/features/0/Conv_output_0"), cleaned("onnx::Conv_12")
    ('features.0.Conv_output_0', 'onnx_Conv_12')
    """
    text = name.strip("/").replace("/", ".")
    text = _OTHER.sub("_", text)
    path = ".".join(part for part in text.split(".") if part)
    return path[:MAX_NAME] if path.count(".") < _DEPTH else path.replace(".", "_")[:MAX_NAME]


class Tree:
    """Puts records into the scopes of one run of the network."""

    def __init__(self, root: Scope, containers: Iterable[str]) -> None:
        self.root, self.containers = root, set(containers)
        self._open: list[Scope] = [root]
        self._times: dict[str, int] = {}
        self.depth = 0

    def put(self, record: Record, parts: Sequence[Part]) -> None:
        """Put a record where it lies, behind all that is there."""
        same = 0
        while same < min(len(parts), len(self._open) - 1) and self._open[same + 1].path == parts[same].path:
            same += 1
        del self._open[same + 1 :]
        for part in parts[same:]:
            number = self._times[part.path] = self._times.get(part.path, -1) + 1
            is_list = part.kind in _LISTS or (not part.kind and part.path in self.containers)
            scope = Scope(part.path, part.kind, number, self._open[-1], is_container=is_list)
            self._open[-1].items.append(scope)
            self._open.append(scope)
        record.scope = self._open[-1]
        self._open[-1].items.append(record)


def lists_in(places: Mapping[int, Place]) -> set[str]:
    """The paths whose parts are all numbered: of a list of modules, where nothing else says so."""
    inside: dict[str, bool] = {}
    for place in places.values():
        for outer, inner in zip(place.parts, place.parts[1:], strict=False):
            step = inner.path.removeprefix(f"{outer.path}.")
            inside[outer.path] = inside.get(outer.path, True) and step.isdecimal()
    return {path for path, numbered in inside.items() if numbered}
