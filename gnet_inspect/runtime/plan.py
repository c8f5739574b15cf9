"""Graph -> execution plans: which child runs on which values, and when a value is dropped.

A scope (a block or a list) becomes a module of its own with its own plan where it is one run of layers with one
input and one output, as every block is. A scope that other layers interrupt, or from whose middle a value is read
elsewhere (a head's), keeps its module as a place for names; its members are then run by the scope around it.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gnet_inspect.graph import INPUT, Graph, Node


class Step(NamedTuple):
    """Run the child at `path` on the values in the slots `inputs`, keep the result in `output`, then empty `drop`."""

    path: tuple[str, ...]
    inputs: tuple[int, ...]
    output: int
    drop: tuple[int, ...]


class Plan(NamedTuple):
    """Steps over `slots` values; slot 0 is the input, `outputs` are the slots handed back."""

    steps: tuple[Step, ...]
    slots: int
    outputs: tuple[int, ...]


class _Call(NamedTuple):
    """A step before its slots are given: the child's path, the values it reads and the one it makes, by name."""

    path: tuple[str, ...]
    inputs: tuple[str, ...]
    output: str


class Planner:
    """The plans of one graph: of the network, and of every scope in it."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        # Outer scopes first, each with its nodes.
        self.scopes: dict[str, list[Node]] = {}
        for node in graph.nodes:
            for path in node.scopes():
                self.scopes.setdefault(path, []).append(node)
        self._place = {node.name: index for index, node in enumerate(graph.nodes)}
        self._readers = graph.readers()
        self._kept = {graph.output, *(head.output for head in graph.heads)}
        self._sources = {path: self._source(path, nodes) for path, nodes in self.scopes.items()}

    def network(self, heads: bool) -> Plan:
        """The plan of the whole network, with its heads or without; the main output comes first."""
        nodes: Sequence[Node] = self.graph.nodes
        if not heads:
            nodes = [node for node in nodes if not node.name.startswith(self.graph.head_prefixes)]
        outputs = [self.graph.output, *(head.output for head in self.graph.heads if heads)]
        return _with_slots(list(self._calls(nodes, "")), INPUT, outputs)

    def scope(self, path: str) -> Plan | None:
        """The plan of one scope; None where it cannot be run as one."""
        source = self._sources[path]
        if source is None:
            return None
        nodes = self.scopes[path]
        return _with_slots(list(self._calls(nodes, f"{path}.")), source, [nodes[-1].name])

    def _source(self, path: str, nodes: list[Node]) -> str | None:
        """The one value a scope reads, where it is one run of layers with one input and one output."""
        prefix = f"{path}."
        together = self._place[nodes[-1].name] - self._place[nodes[0].name] == len(nodes) - 1
        sources = {name for node in nodes for name in node.inputs if not name.startswith(prefix)}
        leaving = [node.name for node in nodes if self._leaves(node.name, prefix)]
        return sources.pop() if together and len(sources) == 1 and leaving == [nodes[-1].name] else None

    def _leaves(self, name: str, prefix: str) -> bool:
        """Whether a value is read outside a scope, or is an output of the network."""
        return name in self._kept or not all(reader.name.startswith(prefix) for reader in self._readers.get(name, ()))

    def _calls(self, nodes: Sequence[Node], prefix: str) -> Iterator[_Call]:
        """One call for each child of the scope `prefix`; children that cannot be run as one are opened up."""
        index = 0
        while index < len(nodes):
            node = nodes[index]
            child, dot, _ = node.name[len(prefix) :].partition(".")
            if not dot:
                yield _Call((child,), node.inputs, node.name)
                index += 1
                continue
            path = prefix + child
            end = index
            while end < len(nodes) and nodes[end].name.startswith(f"{path}."):
                end += 1
            source = self._sources[path]
            if source is not None:
                yield _Call((child,), (source,), nodes[end - 1].name)
            else:
                for call in self._calls(nodes[index:end], f"{path}."):
                    yield _Call((child, *call.path), call.inputs, call.output)
            index = end


def _with_slots(calls: list[_Call], source: str, outputs: list[str]) -> Plan:
    """Calls by name -> steps by slot; a slot is emptied after its last reader, so that its tensor can be freed."""
    last = {name: index for index, call in enumerate(calls) for name in call.inputs}
    slots = {source: 0}
    steps = []
    for index, call in enumerate(calls):
        slots[call.output] = len(slots)
        dying = {name for name in call.inputs if last[name] == index and name not in outputs}
        inputs, drop = ([slots[name] for name in names] for names in (call.inputs, sorted(dying)))
        steps.append(Step(call.path, tuple(inputs), slots[call.output], tuple(drop)))
    return Plan(tuple(steps), len(slots), tuple(slots[name] for name in outputs))
