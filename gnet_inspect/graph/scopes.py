"""In which scope each layer of a graph runs, and how long each scope holds which value.

A scope (a block or a list) runs as one, by a plan of its own, where it is one run of layers with few inputs and one
output, as every block is. A scope that other layers interrupt, or from whose middle a value is read elsewhere (a
head's), only lends its name: its members are run by the scope around it.

A scope lets go of a value after the last of its calls that reads it. What it hands to a scope inside, it holds until
that one returns, because the caller of a function holds the arguments. The module that `runtime.module` builds runs by
these calls, and the peak of memory (`analysis.memory`) is counted by them.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gnet_inspect.graph.nodes import Graph, Node, node_of

# Of so many values that a scope reads from outside it may be a function; one that reads more is opened up.
MOST_SOURCES = 8


class Call(NamedTuple):
    """What one scope does in one step: it runs the child at `path` below it on some values, makes `outputs` of them,
    and then lets go of the values `dropped`. `scope` is the child's own path where that is a scope, "" for a layer."""

    path: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    dropped: tuple[str, ...]
    scope: str


# A call before it is known what it drops: its path, inputs, outputs and scope.
_Step = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], str]


class _Scope:
    """One scope while its graph is read. `sources` are the values it reads from outside, `leaving` those of its own
    that are read outside; how many more than few there are makes no difference, so no more are kept."""

    __slots__ = ("count", "depth", "first", "last", "leaving", "parent", "path", "sources")

    def __init__(self, path: str, parent: "_Scope | None", first: int) -> None:
        self.path, self.parent = path, parent
        self.depth: int = parent.depth + 1 if parent else 0
        self.first, self.last, self.count = first, first, 0
        self.sources: tuple[str, ...] = ()
        self.leaving: tuple[str, ...] = ()

    def read(self, name: str) -> None:
        """Note a value from outside."""
        if len(self.sources) <= MOST_SOURCES and name not in self.sources:
            self.sources += (name,)

    def give(self, name: str) -> None:
        """Note a value that is read outside."""
        if len(self.leaving) < 2 and name not in self.leaving:
            self.leaving += (name,)


class Scopes:
    """The scopes of one graph: which of them run as one, and the calls that they and the network are made of."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._place = {node.name: index for index, node in enumerate(graph.nodes)}
        self._root = _Scope("", None, 0)
        # Outer scopes first.
        self._scopes: dict[str, _Scope] = {"": self._root}
        # By each node, and by each input of the network.
        self._homes: dict[str, _Scope] = {value.name: self._root for value in graph.inputs}
        self._place_nodes()
        self._note_readers()

    def network(self, heads: bool) -> list[Call]:
        """The calls of the whole network, with its heads or without."""
        return _with_drops(self._network_steps(heads), self.outputs(heads))

    def outputs(self, heads: bool) -> list[str]:
        """What the network hands back: its output, then each head's."""
        return [output.value for output in self.graph.outputs if heads or output.weight is None]

    def sources(self, path: str) -> tuple[str, ...] | None:
        """The values that a scope reads from outside, in the order in which it first does, where it runs as one; None
        where it does not."""
        return self._sources(self._scopes[path])

    def scope(self, path: str) -> list[Call]:
        """The calls of a scope that runs as one; its last is the one that makes its output."""
        scope = self._scopes[path]
        return _with_drops(self._scope_steps(scope), [self.graph.nodes[scope.last].name])

    def held_until(self) -> dict[str, int]:
        """By each value but the network's inputs: the place of the last node that runs while some scope holds it; what
        the network returns is held beyond the last node."""
        ends: dict[str, int] = {}
        heads = bool(self.graph.heads)
        self._hold(self._network_steps(heads), len(self.graph.nodes) - 1, ends)
        ends.update(dict.fromkeys(self.outputs(heads), len(self.graph.nodes)))
        for value in self.graph.inputs:
            ends.pop(value.name, None)
        return ends

    def _hold(self, steps: Iterator[_Step], last: int, ends: dict[str, int]) -> None:
        """Note how long a scope whose last node is at `last` holds what it reads and makes."""
        for _, inputs, outputs, inner in steps:
            if inner:
                scope = self._scopes[inner]
                self._hold(self._scope_steps(scope), scope.last, ends)
            # What nothing reads stays until the scope returns.
            for name in outputs:
                ends[name] = last
            # The last that reads a value has the last word; an outer scope has it after those inside. A first output
            # is called as its node.
            place = self._place[outputs[0]]
            for name in inputs:
                ends[name] = place

    def _network_steps(self, heads: bool) -> Iterator[_Step]:
        nodes: Sequence[Node] = self.graph.nodes
        if not heads and self.graph.heads:
            nodes = [node for node in nodes if not node.name.startswith(self.graph.head_prefixes)]
        return self._steps(nodes, self._root)

    def _scope_steps(self, scope: _Scope) -> Iterator[_Step]:
        return self._steps(self.graph.nodes[scope.first : scope.last + 1], scope)

    def _place_nodes(self) -> None:
        """Put each node into its innermost scope, and count what every scope holds."""
        path, scope = "", self._root
        for index, node in enumerate(self.graph.nodes):
            home = node.name.rpartition(".")[0]
            if home != path:
                path, scope = home, self._entered(home, index)
            scope.count += 1
            scope.last = index
            self._homes[node.name] = scope
        for scope in reversed(self._scopes.values()):
            if scope.parent is not None:
                scope.parent.count += scope.count
                scope.parent.last = max(scope.parent.last, scope.last)

    def _entered(self, path: str, index: int) -> _Scope:
        found = self._scopes.get(path)
        if found is not None:
            return found
        scope = self._root
        parts = path.split(".")
        for length in range(1, len(parts) + 1):
            inner = ".".join(parts[:length])
            known = self._scopes.get(inner)
            if known is None:
                known = self._scopes[inner] = _Scope(inner, scope, index)
            scope = known
        return scope

    def _note_readers(self) -> None:
        """Let every scope know what crosses its border."""
        for node in self.graph.nodes:
            reader = self._homes[node.name]
            for name in node.inputs:
                maker = self._homes[node_of(name)]
                if maker is not reader:
                    _cross(name, maker, reader)
        for name in self.outputs(heads=True):
            _cross(name, self._homes[node_of(name)], self._root)

    def _sources(self, scope: _Scope) -> tuple[str, ...] | None:
        together = scope.last - scope.first == scope.count - 1
        few = 0 < len(scope.sources) <= MOST_SOURCES
        alone = scope.leaving == (self.graph.nodes[scope.last].name,)
        return scope.sources if together and few and alone else None

    def _steps(self, nodes: Sequence[Node], within: _Scope) -> Iterator[_Step]:
        """One step for each child of a scope; children that do not run as one are opened up."""
        index = 0
        while index < len(nodes):
            node = nodes[index]
            child = self._homes[node.name]
            if child is within:
                yield (node.module.rpartition(".")[2],), node.inputs, node.values(), ""
                index += 1
                continue
            while child.depth > within.depth + 1 and child.parent is not None:
                child = child.parent
            name = child.path.rpartition(".")[2]
            sources = self._sources(child)
            if sources is not None:
                index += child.count
                yield (name,), sources, (nodes[index - 1].name,), child.path
                continue
            start = index
            while index < len(nodes) and nodes[index].name.startswith(f"{child.path}."):
                index += 1
            for path, inputs, outputs, scope in self._steps(nodes[start:index], child):
                yield (name, *path), inputs, outputs, scope


def _cross(name: str, maker: _Scope, reader: _Scope) -> None:
    """Note a value in each scope that it leaves, and in each that it enters, on the way from where it is made."""
    outer, inner = maker, reader
    while outer is not inner:
        if inner.depth >= outer.depth:
            inner.read(name)
            assert inner.parent is not None  # scopes of one depth have their root in common
            inner = inner.parent
        else:
            outer.give(name)
            assert outer.parent is not None
            outer = outer.parent


def _with_drops(steps: Iterator[_Step], outputs: list[str]) -> list[Call]:
    """The calls of steps: each with the values that no later one reads and that are not handed back."""
    found = list(steps)
    last = {name: index for index, (_, inputs, *_) in enumerate(found) for name in inputs}
    last.update(dict.fromkeys(outputs, len(found)))
    calls = []
    for index, (path, inputs, made, scope) in enumerate(found):
        dropped = tuple(name for name in inputs if last[name] == index)
        # Of several outputs those that nobody reads go at once.
        dropped += tuple(name for name in made[1:] if name not in last)
        calls.append(Call(path, inputs, made, tuple(sorted(set(dropped))) if len(dropped) > 1 else dropped, scope))
    return calls
