"""Graph -> Graph with some nodes changed, removed or added: what the passes of `graph.optimize` are written in.

A pass says what becomes of which node. Here the new nodes get their shapes and numbers, in the same way as those of a
spec, and the tree of stages and blocks its new indices.
"""

from collections.abc import Iterator, Sequence
from math import prod

from msgspec import Struct
from msgspec.structs import replace

from gnet_inspect.errors import UsageError
from gnet_inspect.graph.nodes import INPUT, Graph, Group, Node
from gnet_inspect.units import LARGEST_EXACT

# The way to a child of the tree: its index among the stages, then among the children of each group.
Place = tuple[int, ...]


class Rewrite(Struct, frozen=True):
    """What becomes of a graph's nodes.

    `changed`: by name, nodes with another op or other inputs. `removed`: by name, what their readers read instead.
    `added`: nodes that come right before the child of the tree at that place. Shapes and numbers of changed and added
    nodes follow from their ops and inputs, whatever they hold.
    """

    changed: dict[str, Node] = {}
    removed: dict[str, str] = {}
    added: dict[Place, list[Node]] = {}


def rewritten(graph: Graph, rewrite: Rewrite) -> Graph:
    """The graph with a rewrite carried out; nodes stay in the order of the tree."""
    return _Rebuilder(graph, rewrite).graph_made()


def places(graph: Graph) -> dict[str, Place]:
    """The place of every node in the tree, by its name."""
    return {graph.nodes[index].name: place for place, index in _walk(_top(graph), ())}


def _top(graph: Graph) -> Sequence[Group | int]:
    """The outermost children; a graph without stages has its nodes there."""
    return graph.stages or range(len(graph.nodes))


def _walk(children: Sequence[Group | int], place: Place) -> Iterator[tuple[Place, int]]:
    for position, child in enumerate(children):
        here = (*place, position)
        if isinstance(child, Group):
            yield from _walk(child.children, here)
        else:
            yield here, child


class _Rebuilder:
    """One rewrite being carried out."""

    def __init__(self, graph: Graph, rewrite: Rewrite) -> None:
        self.graph, self.rewrite = graph, rewrite
        self.nodes: list[Node] = []
        self.shapes = {INPUT: graph.input_shape}

    def graph_made(self) -> Graph:
        top = self._children(_top(self.graph), ())
        stages = tuple(child for child in top if isinstance(child, Group)) if self.graph.stages else ()
        return replace(self.graph, nodes=tuple(self.nodes), output=self._read(self.graph.output), stages=stages)

    def _children(self, children: Sequence[Group | int], place: Place) -> tuple[Group | int, ...]:
        """The same children with new indices; a group that is left empty goes."""
        found: list[Group | int] = []
        for position, child in enumerate(children):
            here = (*place, position)
            found.extend(self._put(self._inferred(node)) for node in self.rewrite.added.get(here, ()))
            if isinstance(child, Group):
                inner = self._children(child.children, here)
                if inner:
                    found.append(replace(child, children=inner))
            elif self.graph.nodes[child].name not in self.rewrite.removed:
                found.append(self._put(self._kept(self.graph.nodes[child])))
        return tuple(found)

    def _put(self, node: Node) -> int:
        self.nodes.append(node)
        self.shapes[node.name] = node.output_shape
        return len(self.nodes) - 1

    def _kept(self, node: Node) -> Node:
        changed = self.rewrite.changed.get(node.name)
        if changed is not None:
            return self._inferred(changed)
        inputs = tuple(map(self._read, node.inputs))
        return node if inputs == node.inputs else replace(node, inputs=inputs)

    def _inferred(self, node: Node) -> Node:
        """A node with what follows from its op and its inputs."""
        op, inputs = node.op, tuple(map(self._read, node.inputs))
        shapes = tuple(self.shapes[name] for name in inputs)
        output = op.output_shape(shapes)
        params, macs, buffers = op.params(shapes), op.macs(shapes, output), op.buffers(shapes)
        if 8 * max(params, macs, prod(output)) > LARGEST_EXACT:
            raise UsageError(
                f"layer `{node.name}`: expected a layer that can be counted exactly, got totals above 2^53"
            )
        return replace(
            node,
            inputs=inputs,
            input_shapes=shapes,
            output_shape=output,
            params=params,
            macs=macs,
            buffers=buffers,
        )

    def _read(self, name: str) -> str:
        """What is read instead of a name: itself, or what the removed node of that name stood for."""
        while name in self.rewrite.removed:
            name = self.rewrite.removed[name]
        return name
