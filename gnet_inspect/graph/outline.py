"""The outline of a network: its tree of parts in one walk, each part and each layer an entry, in the order of the tree.

Whatever shows, compares or sums up a network part by part reads its outline: tables, charts, diagrams, notebooks, the
difference of two networks. What an entry is called, which layers are its own and how deep it stands is decided here.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

from msgspec import Struct

from gnet_inspect.graph.nodes import Graph, Group, Node

# How far a network is opened: its stages and heads; the outermost blocks and the layers outside them; every layer.
DEPTHS = ("stage", "block", "layer")

# A block of no more layers is shown as a whole, however small the network is.
LARGE = 100

T = TypeVar("T")


class Entry(Struct, eq=False, gc=False):
    """A part of the network, or one layer: the `item`.

    `parent` is the entry it stands below, at one `depth` less. `stage` is the name of the stage or head, and `block` of
    the outermost block, that it lies in or is. A branch of one block, list or layer stands as that one, and `is_branch`
    says that it is a branch all the same.
    """

    item: Group | Node
    depth: int
    parent: "Entry | None"
    stage: str
    block: str | None
    is_branch: bool
    # Its place among the entries, and that of the first entry that is not below it.
    position: int
    end: int = 0
    # The indices of its nodes, in the order of the tree.
    indices: Sequence[int] = ()

    @property
    def name(self) -> str:
        """The path of a layer, block or list, the name of a stage or head, the label of a branch."""
        return self.item.name

    @property
    def label(self) -> str:
        """Its name below its parent's: the last part of a path, the whole of it right below a stage."""
        return self.name if self.depth < 2 else self.name.rpartition(".")[2]

    @property
    def part(self) -> Group | None:
        """The part; None for a layer."""
        return self.item if isinstance(self.item, Group) else None

    @property
    def role(self) -> str:
        """ "stage", "head", "block", "list", "branch" or "layer"."""
        return self.item.role if isinstance(self.item, Group) else "layer"

    @property
    def kind(self) -> str:
        """The class of a layer, the name of what a block is one of."""
        return self.item.kind if isinstance(self.item, Group) else self.item.op.kind

    def describe(self) -> str:
        """What it is, in words: a layer or block with its arguments, how many layers a list has; nothing of a stage."""
        if self.role in ("layer", "block"):
            return self.item.describe()
        return {"list": f"{len(self.indices)} layers", "head": "auxiliary head", "branch": "branch"}.get(self.role, "")

    def of(self, values: Sequence[T]) -> list[T]:
        """Of values that stand in the order of the graph's nodes, those of its own."""
        return [values[index] for index in self.indices]


class Line(NamedTuple):
    """An entry as a line of a table that opens a network: how far it is indented, and what it is called there."""

    entry: Entry
    level: int
    name: str


class Outline:
    """The entries of a graph, each before those below it, down to a depth: a table of stages needs no layers."""

    def __init__(self, graph: Graph, depth: str = "layer") -> None:
        self.entries: list[Entry] = []
        self._nodes, self._depth = graph.nodes, depth
        # How many layers a block may have to be shown as a whole: half of a large network's.
        self._most = max(LARGE, len(graph.nodes) // 2)
        self._order: list[int] = []
        # The ids of the blocks that are shown as what they hold.
        self._opened: set[int] = set()
        if depth != "stage":
            for part in graph.parts:
                self._measure(part)
        for part in graph.parts:
            self._open(part, None, part.name, None)

    def _measure(self, part: Group) -> tuple[int, bool]:
        """(how many layers a part has, whether there is a block below it)"""
        layers, holds = 0, False
        for child in part.children:
            if isinstance(child, Group):
                inside, deeper = self._measure(child)
                layers, holds = layers + inside, holds or deeper or child.role == "block"
            else:
                layers += 1
        if holds and layers > self._most and part.role == "block":
            self._opened.add(id(part))
        return layers, holds

    def _open(self, part: Group, parent: Entry | None, stage: str, block: str | None, is_branch: bool = False) -> None:
        """Add a part and all that is below it."""
        depth = parent.depth + 1 if parent else 0
        if block is None and part.role == "block":
            block = part.name
        entry = Entry(part, depth, parent, stage, block, is_branch, len(self.entries))
        self.entries.append(entry)
        start = len(self._order)
        if self._depth == "stage" or (self._depth == "block" and part.role == "block" and not self._is_opened(entry)):
            self._gather(part)
        else:
            self._open_children(part, entry, block)
        entry.end, entry.indices = len(self.entries), self._order[start:]

    def _open_children(self, part: Group, entry: Entry, block: str | None) -> None:
        for child in part.children:
            inner, branches = _standing(child) if isinstance(child, Group) else (child, False)
            if isinstance(inner, Group):
                self._open(inner, entry, entry.stage, block, branches)
                continue
            place = len(self.entries)
            self._order.append(inner)
            # Most entries are layers: they are made without a call of their own.
            layer = Entry(
                self._nodes[inner], entry.depth + 1, entry, entry.stage, block, branches, place, place + 1, (inner,)
            )
            self.entries.append(layer)

    def _gather(self, part: Group) -> None:
        for child in part.children:
            if isinstance(child, int):
                self._order.append(child)
            else:
                self._gather(child)

    def at(self, depth: str) -> list[Entry]:
        """The entries that make up the network at one of the depths: each layer belongs to exactly one of them."""
        # What was left closed has no entries to give.
        assert DEPTHS.index(depth) <= DEPTHS.index(self._depth)
        if depth == "layer":
            return [entry for entry in self.entries if entry.role == "layer"]
        stages = [entry for entry in self.entries if entry.parent is None]
        return stages if depth == "stage" else [inner for stage in stages for inner in self.inside(stage)]

    def inside(self, entry: Entry, depth: str = "block") -> Iterator[Entry]:
        """The outermost blocks below an entry and the layers outside them, through its lists and branches.

        At the depth of blocks also through a block that holds blocks and more than half of a large network's layers,
        because nobody learns much from it as a whole.
        """
        position = entry.position + 1
        while position < entry.end:
            found = self.entries[position]
            if found.role == "layer" or (found.role == "block" and not (depth == "block" and self._is_opened(found))):
                yield found
                position = found.end
            else:
                position += 1

    def _is_opened(self, block: Entry) -> bool:
        return id(block.item) in self._opened

    def lines(self, depth: str) -> Iterator[Line]:
        """The lines of a table at one of the depths: stages with what makes them up; at "layer" all that there is."""
        if depth == "layer":
            assert self._depth == "layer"
            yield from (Line(entry, entry.depth, entry.label) for entry in self.entries)
            return
        for stage in self.at("stage"):
            yield Line(stage, 0, stage.name)
            if depth == "block":
                yield from (Line(entry, 1, entry.name) for entry in self.inside(stage))


def _standing(part: Group) -> tuple[Group | int, bool]:
    """What stands for a part, and whether that is a branch."""
    if part.role != "branch":
        return part, False
    return part.children[0] if len(part.children) == 1 else part, True
