"""Graph -> Graph with some nodes changed, removed or added: what the passes of `graph.optimize` are written in.

A pass says what becomes of which node. Here the new nodes get their shapes and numbers, in the same way as those of a
spec, and the tree of stages and blocks its new indices.
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from gnet_inspect.graph.maker import GraphMaker
from gnet_inspect.graph.nodes import Graph, Group, Node
from gnet_inspect.ops import Op
from gnet_inspect.spelling import free_name

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
    return _Rebuilder(graph, rewrite).rebuild()


def functions_as_layers(graph: Graph) -> Graph:
    """The graph of a program with each function as the layers that do the same, the last under its own name, so that a
    module can be built of it.

    A function stays one where no layers do the same, or where it reads weights, because nothing says that its layer
    would hold them.
    """
    taken = {node.name for node in graph.nodes}
    where = places(graph)
    changed: dict[str, Node] = {}
    added: dict[Place, list[Node]] = {}
    for node in graph.nodes:
        layers = node.op.layers(node.input_shapes) if not (node.module or node.held) else ()
        read = node.inputs
        for op in layers[:-1]:
            word = "pool" if op.family.name == "pooling" else op.kind.lower()
            name = free_name(f"{node.name}_{word}", taken, "_")
            taken.add(name)
            added.setdefault(where[node.name], []).append(replace(node, name=name, op=op, inputs=read, module=name))
            read = (name,)
        if layers:
            changed[node.name] = replace(node, op=layers[-1], inputs=read, module=node.name)
    return rewritten(graph, Rewrite(changed=changed, added=added)) if changed else graph


def places(graph: Graph) -> dict[str, Place]:
    """The place in the tree of the node that makes a value, by the value's name."""
    return {value: place for place, index in _walk(graph.parts, ()) for value in graph.nodes[index].values()}


def _walk(children: Sequence[Group | int], place: Place) -> Iterator[tuple[Place, int]]:
    for position, child in enumerate(children):
        here = (*place, position)
        if isinstance(child, Group):
            yield from _walk(child.children, here)
        else:
            yield here, child


class _Rebuilder:
    """One rewrite being carried out: every node that stays is called anew, in the order of the tree."""

    def __init__(self, graph: Graph, rewrite: Rewrite) -> None:
        self.graph, self.rewrite = graph, rewrite
        self.maker = GraphMaker(graph.inputs)
        # By the path of each layer that was called, what it does.
        self._layers: dict[str, Op] = {}
        self._before = {node.name: node.op for node in graph.nodes}

    def rebuild(self) -> Graph:
        parts = [self._part(part, (place,)) for place, part in enumerate(self.graph.parts)]
        graph = self.graph
        return self.maker.graph(
            model=graph.model,
            title=graph.title,
            mode=graph.mode,
            outputs=[replace(output, value=self._read(output.value)) for output in graph.outputs],
            parts=[part for part in parts if part],
            origin=graph.origin,
            names_outputs=graph.names_outputs,
            overrides=graph.overrides,
            left_heads=graph.left_heads,
            unreached=graph.unreached,
        )

    def _part(self, group: Group, place: Place) -> Group | None:
        """The same part with its new nodes; None where it is left empty."""
        self.maker.open(group.role, group.name, group.kind, (group.arguments, group.text, group.template))
        for position, child in enumerate(group.children):
            here = (*place, position)
            for node in self.rewrite.added.get(here, ()):
                self._call(node)
            if isinstance(child, Group):
                self.maker.add(self._part(child, here))
            elif self.graph.nodes[child].name not in self.rewrite.removed:
                self._call(self.rewrite.changed.get(self.graph.nodes[child].name, self.graph.nodes[child]))
        return self.maker.close()

    def _call(self, node: Node) -> None:
        inputs = tuple(map(self._read, node.inputs))
        module = node.module
        if node.is_repeated and self._layers.get(module) != node.op:
            # The first call of its layer is gone, or this one does something else now: it has a layer of its own.
            module = node.name
        self._layers[module] = node.op
        # What a layer that does something else now holds, follows from that.
        held = node.held if self._before.get(node.name) == node.op else None
        self.maker.call(
            node.name, node.op, inputs, module=module, sources=node.sources, is_frozen=node.is_frozen, held=held
        )

    def _read(self, name: str) -> str:
        """What is read instead of a name: itself, or what the removed node of that name stood for."""
        while name in self.rewrite.removed:
            name = self.rewrite.removed[name]
        return name
