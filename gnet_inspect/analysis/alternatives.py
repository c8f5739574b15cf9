"""What blocks are built to save: some of their layers, beside the plainer ones that they stand for.

Four ways of building are found by what the layers do, whatever they are called:

- a reduction: a 1x1 convolution to fewer channels, in front of convolutions that would else read all of them;
- a bottleneck: a reduction, a convolution, and a 1x1 to more channels again, in the place of the one convolution
  between the channels outside; its reduction is not told apart from it;
- a depthwise separable convolution: one that sees each channel by itself, and a 1x1 that mixes them, in the place of
  the convolution that does both;
- a factorised convolution: a 7x1 and a 1x7 in the place of the 7x7.

The plainer layers are called like any others, by the one maker of nodes, on what the first of these layers reads; where
they would not give what the last of them gives, there is nothing to compare. BatchNorm and activations between two of
the layers go with them; those behind the last one are the same in either case.
"""

from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from gnet_inspect.errors import ShapeError
from gnet_inspect.graph import Graph, Node
from gnet_inspect.graph.maker import GraphMaker
from gnet_inspect.graph.nodes import INPUT, Value
from gnet_inspect.ops import Op, Shapes

# The ways of building, in the order in which they are told.
WAYS = ("bottleneck", "reduction", "separable", "factorised")


class Alternative(Struct, frozen=True):
    """Some layers, by their names and in words, and the plainer ones that do the same with all channels or the whole
    window at once: what either have in parameters and MACs. `way` is one of WAYS."""

    way: str
    layers: tuple[str, ...]
    what: str
    instead: str
    params: int
    params_instead: int
    macs: int
    macs_instead: int


class _Run(Struct, frozen=True):
    """Layers of a graph, first to last with what lies between them, and the ops that would stand in their place; `ends`
    are the places of the layers whose outputs these give."""

    way: str
    nodes: tuple[Node, ...]
    ops: tuple[Op, ...]
    ends: tuple[int, ...]


def alternatives_of(graph: Graph, members: Sequence[int]) -> tuple[Alternative, ...]:
    """Those among some nodes of a graph, in its order; of each way no layer stands in two."""
    finder = _Finder(graph, members)
    found: list[Alternative] = []
    taken: dict[str, set[str]] = {way: set() for way in WAYS}
    taken["reduction"] = taken["bottleneck"]
    for way in WAYS:
        for index in members:
            run = finder.runs[way](graph.nodes[index])
            if run is None or not taken[way].isdisjoint(node.name for node in run.nodes):
                continue
            alternative = _compared(run)
            if alternative is not None:
                taken[way].update(node.name for node in run.nodes)
                found.append(alternative)
    return tuple(found)


def _compared(run: _Run) -> Alternative | None:
    """The layers beside those that would stand in their place; None where these give something else, and where weights
    of the layers count elsewhere too, so that nobody can say what goes with them."""
    if any(node.is_repeated or node.held is not None for node in run.nodes):
        return None
    first = run.nodes[0]
    maker = GraphMaker([Value(INPUT, first.input_shapes[0])])
    try:
        for place, op in enumerate(run.ops):
            maker.call(f"instead{place}", op, (INPUT,))
    except ShapeError:
        return None
    given: list[Shapes] = [run.nodes[place].output_shapes for place in run.ends]
    if [node.output_shapes for node in maker.nodes] != given:
        return None
    weighted = [node for node in run.nodes if node.op.depth]
    side_by_side = " and ".join(run.nodes[place].op.describe() for place in run.ends)
    before = [node.op.describe() for node in weighted[: len(weighted) - len(run.ends)]]
    return Alternative(
        run.way,
        tuple(node.name for node in weighted),
        " -> ".join([*before, side_by_side]),
        f"{' and '.join(op.describe() for op in run.ops)} on {_channels(first)[0]} channels",
        sum(node.params for node in run.nodes),
        sum(node.params for node in maker.nodes),
        sum(node.macs or 0 for node in run.nodes),
        sum(node.macs or 0 for node in maker.nodes),
    )


class _Finder:
    """Looks for ways of building that begin at a node; all of their layers lie among some nodes."""

    def __init__(self, graph: Graph, members: Sequence[int]) -> None:
        inside = {graph.nodes[index].name for index in members}
        self._readers = {
            value: readers if all(node.name in inside for node in readers) else []
            for value, readers in graph.readers().items()
        }
        self._returned = {output.value for output in graph.outputs}
        self.runs: dict[str, Callable[[Node], _Run | None]] = {
            "reduction": self._reduction,
            "bottleneck": self._bottleneck,
            "separable": self._separable,
            "factorised": self._factorised,
        }

    def _behind(self, node: Node) -> tuple[list[Node], list[Node]]:
        """(the norms and activations that a node's output goes through; the layers that read what these give). None of
        either where the network returns one of the values, or a layer outside reads it."""
        between: list[Node] = []
        consumers: list[Node] = []
        values = [node.name]
        while values:
            value = values.pop()
            readers = self._readers.get(value, [])
            if value in self._returned or not readers:
                return [], []
            for reader in readers:
                if reader.op.family.folds_as and reader.op.arity == (1, 1):
                    between.append(reader)
                    values.append(reader.name)
                else:
                    consumers.append(reader)
        return between, consumers

    def _next(self, node: Node) -> tuple[list[Node], Node | None]:
        """The same where one convolution reads it."""
        between, consumers = self._behind(node)
        one = consumers[0] if len(consumers) == 1 else None
        return between, one if one is not None and _is_convolution(one) else None

    def _reduction(self, node: Node) -> _Run | None:
        if not _is_reducing(node):
            return None
        between, consumers = self._behind(node)
        # What sees each channel by itself has no use of fewer.
        if not consumers or not all(_is_convolution(item) and not _is_depthwise(item) for item in consumers):
            return None
        if all(_is_point(item) for item in consumers) or any(len(item.inputs) > 1 for item in consumers):
            return None
        ends = tuple(range(1 + len(between), 1 + len(between) + len(consumers)))
        ops = tuple(item.op for item in consumers)
        return _Run("reduction", (node, *between, *consumers), ops, ends)

    def _bottleneck(self, node: Node) -> _Run | None:
        if not _is_reducing(node):
            return None
        between, middle = self._next(node)
        if middle is None or _is_point(middle) or middle.op.channel_groups != 1:
            return None
        after, last = self._next(middle)
        if last is None or not _is_point(last) or _channels(last)[1] <= _channels(last)[0]:
            return None
        return self._run("bottleneck", [node, *between, middle, *after, last], middle.op.densely(_channels(last)[1]))

    def _separable(self, node: Node) -> _Run | None:
        if not (_is_convolution(node) and _is_depthwise(node)):
            return None
        between, last = self._next(node)
        if last is None or not _is_point(last):
            return None
        return self._run("separable", [node, *between, last], node.op.densely(_channels(last)[1]))

    def _factorised(self, node: Node) -> _Run | None:
        if not _is_convolution(node):
            return None
        between, last = self._next(node)
        if last is None or not (_is_along_some(node) and _is_along_some(last)):
            return None
        return self._run("factorised", [node, *between, last], node.op.joined_with(last.op))

    def _run(self, way: str, nodes: list[Node], op: Op | None) -> _Run | None:
        return None if op is None else _Run(way, tuple(nodes), (op,), (len(nodes) - 1,))


def _is_convolution(node: Node) -> bool:
    """Whether it moves a window of weights, in groups of channels."""
    op = node.op
    return bool(op.depth) and op.sliding_window is not None and op.channel_groups is not None


def _window(node: Node) -> tuple[int, ...]:
    window = node.op.sliding_window
    return window.size if window is not None else ()


def _channels(node: Node) -> tuple[int, int]:
    return node.op.channel_counts(node.input_shapes, node.output_shapes) or (0, 0)


def _is_point(node: Node) -> bool:
    """Whether it is a 1x1 convolution of all channels."""
    return _is_convolution(node) and set(_window(node)) == {1} and node.op.channel_groups == 1


def _is_along_some(node: Node) -> bool:
    """Whether its window is 1 along some axes, and not along all."""
    return 1 in _window(node) and set(_window(node)) != {1}


def _is_depthwise(node: Node) -> bool:
    """Whether it sees each of several channels by itself."""
    return 1 < _channels(node)[0] == node.op.channel_groups


def _is_reducing(node: Node) -> bool:
    read, made = _channels(node)
    return _is_point(node) and made < read


def sums_by_way(alternatives: Sequence[Alternative]) -> Iterator[tuple[str, list[Alternative]]]:
    """The alternatives of each way that there is."""
    for way in WAYS:
        found = [item for item in alternatives if item.way == way]
        if found:
            yield way, found
