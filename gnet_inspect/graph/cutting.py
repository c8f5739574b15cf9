"""The network up to a layer: what is left of it as a backbone."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from gnet_inspect.errors import UsageError, expect, nearest, quoted
from gnet_inspect.graph.maker import GraphMaker
from gnet_inspect.graph.nodes import Graph, Group, Node, Output, Run, Unreached, node_of

# How an edit begins that is a cut.
UNTIL = "until "


def is_cut(edit: str) -> bool:
    """Whether an edit of a graph, as `overrides` has it, is a cut."""
    return edit.startswith(UNTIL)


def cut(graph: Graph, layer: str) -> Graph:
    """The network that ends where a layer does: with the layers that its value needs, and no others.

    `layer` is the name of a layer, or of a block, list or stage: then it is what that gives to what lies behind it. The
    layers that are gone are among `unreached`, since a checkpoint of the whole has their weights. Raises UsageError
    where there is nothing of that name.

    >>> from gnet_inspect import build_graph, cut, load_spec
    >>> backbone = cut(build_graph(load_spec("resnet50")), "layer4")
    >>> backbone.nodes[-1].name, backbone.nodes[-1].output_shape
    ('layer4.2.relu3', (1, 2048, 7, 7))
    """
    expect(graph, Graph, "a Graph (build_graph gives one)")
    expect(layer, str, "the name of a layer")
    value = value_of(graph, layer)
    kept = needed(graph, [value])
    nodes = [node for node in graph.nodes if node.name in kept]
    read = {name for node in nodes for name in node.inputs}
    # A network of learned tensors alone reads no input, and is given one all the same.
    inputs = [given for given in graph.inputs if given.name in read] or graph.inputs
    maker = GraphMaker(inputs)
    homes = _call_again(maker, graph, nodes)
    places = {node.name: place for place, node in enumerate(nodes)}
    moved = {index: places[node.name] for index, node in enumerate(graph.nodes) if node.name in kept}
    gone = [
        Unreached(node.name, node.params)
        for node in graph.nodes
        if node.params and node.name not in kept and node.module not in homes
    ]
    heads = tuple(head.name for head in graph.heads)
    return maker.graph(
        model=graph.model,
        title=graph.title,
        mode=graph.mode,
        outputs=[Output("output", value)],
        parts=[part for group in graph.parts if (part := _part(group, moved))],
        origin=graph.origin,
        overrides=(*graph.overrides, f"{UNTIL}{layer}"),
        left_heads=(*graph.left_heads, *heads),
        unreached=(*graph.unreached, *gone),
        # How long a program that stops there would hold what is not known.
        run=None if graph.run is None else Run(uncounted=graph.run.uncounted),
        notes=graph.notes,
    )


def value_of(graph: Graph, layer: str) -> str:
    """The value that a layer, block, list or stage gives. Raises UsageError where there is none of that name."""
    by_name = {node.name: node for node in graph.nodes}
    if node_of(layer) in by_name and layer in by_name[node_of(layer)].values():
        return layer
    return Ends(graph).of(members_of(graph, layer))


def members_of(graph: Graph, name: str) -> list[int]:
    """The places of the nodes that a name is of: of a layer, block, list or stage, or of all whose paths begin with it.
    Raises UsageError where there is none."""
    for index, node in enumerate(graph.nodes):
        if node.name == name:
            return [index]
    # A list that goes on in another stage is there in parts.
    members = [index for part in parts_of(graph.parts) if part.name == name for index in indices(part)]
    if not members:
        members = [index for index, node in enumerate(graph.nodes) if node.name.startswith(f"{name}.")]
    if not members:
        known = dict.fromkeys([*(part.name for part in parts_of(graph.parts)), *(node.name for node in graph.nodes)])
        raise UsageError(
            f"expected the name of a layer, block, list or stage, got {quoted(name)}. ({nearest(name, known)})"
        )
    return members


class Ends:
    """What the parts of one graph give to what lies behind them."""

    def __init__(self, graph: Graph) -> None:
        self._nodes = graph.nodes
        self._returned = {output.value for output in graph.outputs}
        # By each value, the places of the nodes that read it.
        self._readers: dict[str, list[int]] = {}
        for index, node in enumerate(graph.nodes):
            for name in node.inputs:
                self._readers.setdefault(name, []).append(index)

    def of(self, members: Sequence[int]) -> str:
        """The last value of some nodes that others read, or that the network returns; else that of the last of them."""
        inside = set(members)
        for index in sorted(inside, reverse=True):
            for value in reversed(self._nodes[index].values()):
                if value in self._returned or not inside.issuperset(self._readers.get(value, ())):
                    return value
        return self._nodes[max(inside)].name


def needed(graph: Graph, values: Iterable[str]) -> set[str]:
    """The names of the nodes that some values need."""
    found = set(map(node_of, values))
    for node in reversed(graph.nodes):
        if node.name in found:
            found.update(map(node_of, node.inputs))
    return found


def _call_again(maker: GraphMaker, graph: Graph, nodes: list[Node]) -> Mapping[str, str]:
    """Call what is left in its order; by the path of each layer, the call that counts its weights now."""
    first = {node.name: node for node in graph.nodes}
    homes: dict[str, str] = {}
    for node in nodes:
        home, held = node.module, node.held
        if node.module:
            home = homes.setdefault(node.module, node.name)
            if home == node.name and node.is_repeated:
                # The first call of its layer is gone: it is the first now, and counts what that held.
                held = first[node.module].held if node.module in first else None
        maker.stage, maker.block = node.stage, node.block
        maker.call(
            node.name, node.op, node.inputs, module=home, sources=node.sources, is_frozen=node.is_frozen, held=held
        )
    return homes


def _part(group: Group, moved: Mapping[int, int]) -> Group | None:
    """A part with what is left of it; None where that is nothing."""
    children: list[Group | int] = []
    for child in group.children:
        if isinstance(child, Group):
            inner = _part(child, moved)
            children += [inner] if inner else []
        elif child in moved:
            children.append(moved[child])
    return replace(group, children=tuple(children)) if children else None


def parts_of(parts: tuple[Group | int, ...]) -> Iterator[Group]:
    """All parts but branches, which have labels, outer ones first."""
    for part in parts:
        if isinstance(part, Group):
            if part.role != "branch":
                yield part
            yield from parts_of(part.children)


def indices(part: Group) -> list[int]:
    """The places of the nodes in a part."""
    found: list[int] = []
    for child in part.children:
        found += indices(child) if isinstance(child, Group) else [child]
    return found
