"""Graph -> Taps: the values that a detector or a segmenter takes from a backbone. The fields are the JSON contract.

A tap is the last value at one resolution: what a block, or a layer outside of blocks, gives before the next one halves
or doubles the height or the width. A convolution without padding takes off a border, and makes no new resolution. Asked
are the values through which everything passes on its way to the output, and those that stages, and blocks and lists in
them, hand on, but for what runs beside one another (the branches of an ASPP). So an encoder with skip connections has
its taps, and so has the decoder behind it. A pool to a fixed size ends them: what lies behind it has no stride.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import prod

from msgspec import Struct

from gnet_inspect.analysis.receptive import Status, receptive_fields
from gnet_inspect.display import Shown, network_words
from gnet_inspect.errors import expect, some_of
from gnet_inspect.graph import Graph, Group, Node, node_of
from gnet_inspect.graph.cutting import Ends, indices, needed, parts_of
from gnet_inspect.graph.outline import Outline
from gnet_inspect.ops import Shape, Sight
from gnet_inspect.records import SCHEMA_VERSION

# Of more parts it is not asked which of them run beside one another: taps are then what everything passes through.
MOST_PARTS = 1_000

# Sizes that differ by no more are one resolution.
SAME = 1.5

# For each spatial axis of the input, the axis of a value that it lies along.
Spots = tuple[int, ...]


class Tap(Struct, frozen=True):
    """One value to take. `name` is that of the layer, block, list or stage that gives it, in `stage`: `--until NAME`
    cuts there, and `params` and `macs` are those of the network that is left then. `stride` is the input's size over
    its own along each axis, None where that is no whole number; `jump` is how many pixels lie between two of its
    elements, None where every element sees all of the image."""

    name: str
    stage: str
    output_shape: Shape
    channels: int
    stride: tuple[int | None, ...]
    jump: tuple[int | float, ...] | None
    receptive_field: tuple[int | float, ...] | None
    receptive_field_status: Status | None
    params: int
    macs: int


class Taps(Shown, Struct, frozen=True, omit_defaults=True):
    """What `taps --format json` prints. `unknown` are layers before the last tap that nobody can count."""

    schema_version: int
    model: str
    title: str
    mode: str
    input: Shape
    taps: tuple[Tap, ...]
    unknown: tuple[str, ...]
    overrides: tuple[str, ...] = ()
    # All inputs by their names; JSON has the key where there are several.
    inputs: Mapping[str, Shape] = {}

    def _brief(self) -> str:
        network = network_words(self.model, self.overrides, self.input, self.mode)
        return f"{network}: {some_of(tap.name for tap in self.taps) or 'none'}"


def find_taps(graph: Graph) -> Taps:
    """The taps of a network, in its order; none where its input has no height and width.

    >>> from gnet_inspect import build_graph, load_spec
    >>> [(tap.name, tap.channels, tap.stride[0]) for tap in find_taps(build_graph(load_spec("resnet50"))).taps]
    [('relu', 64, 2), ('layer1', 256, 4), ('layer2', 512, 8), ('layer3', 1024, 16), ('layer4', 2048, 32)]
    """
    expect(graph, Graph, "a Graph (build_graph gives one)")
    by_name = {node.name: node for node in graph.nodes}
    spots = _spots(graph)
    names, fields, sums = _names(graph), receptive_fields(graph), _Sums(graph)
    taps = []
    for node in _last_of_each(graph, spots):
        field, where = fields[node.name], spots[node.name]
        assert where is not None  # others are no taps
        params, macs = sums.up_to(node.name)
        taps.append(
            Tap(
                names.get(node.name, node.name),
                node.stage,
                node.output_shape,
                prod(node.output_shape[1:]) // prod(node.output_shape[axis] for axis in where),
                tuple(map(_stride, graph.input_shape[2:], (node.output_shape[axis] for axis in where))),
                field.jump if field and field.jump and all(field.jump) else None,
                field.size if field else None,
                field.status if field else None,
                params,
                macs,
            )
        )
    unknown = tuple(name for name in by_name if name in sums.seen and by_name[name].macs is None)
    return Taps(
        SCHEMA_VERSION,
        graph.model,
        graph.title,
        graph.mode,
        graph.input_shape,
        tuple(taps),
        unknown,
        graph.overrides,
        graph.named_inputs,
    )


def _stride(whole: int, size: int) -> int | None:
    return whole // size if whole % size == 0 else None


# --- which values ---


def _last_of_each(graph: Graph, spots: dict[str, Spots | None]) -> Iterator[Node]:
    """The last candidate of each run of one resolution; what has but one position is none."""
    first: Shape = ()
    held: Node | None = None
    for node in _candidates(graph):
        where = spots[node.name]
        size = tuple(node.output_shape[axis] for axis in where) if where else ()
        if not _is_same(first, size):
            if held is not None:
                yield held
            first = size
        held = node if size and max(size) > 1 else None
    if held is not None:
        yield held


def _is_same(one: Shape, other: Shape) -> bool:
    """Whether two sizes are of one resolution."""
    pairs = zip(one, other, strict=False)
    return len(one) == len(other) and all(max(pair) <= SAME * min(pair) for pair in pairs)


def _candidates(graph: Graph) -> list[Node]:
    """The ends of blocks, and the layers outside of them, that everything passes through; and the ends of parts that
    run one after the other. In their order."""
    inner = needed(graph, [graph.output])
    passed = set(_passed_by_all(graph, inner))
    given = Ends(graph)
    through = {node_of(given.of(entry.indices)) for entry in Outline(graph, "block").at("block")} & passed
    ends = {node_of(value) for value in _ends(graph, given)} & inner - through
    if len(ends) <= MOST_PARTS:
        through |= _in_a_row(graph, ends)
    return [node for node in graph.nodes if node.name in through]


def _passed_by_all(graph: Graph, inner: set[str]) -> Iterator[str]:
    """The nodes that no way from the inputs to the output leaves out: none reads past them."""
    fed = {value.name for value in graph.inputs}
    last: dict[str, int] = {}
    for index, node in enumerate(graph.nodes):
        if node.name in inner:
            last.update((node_of(name), index) for name in node.inputs)
    open_until = max((last.get(name, 0) for name in fed), default=0)
    for index, node in enumerate(graph.nodes):
        # What reads no input, as a learned tensor, leads no way past anything.
        if node.name not in inner or fed.isdisjoint(map(node_of, node.inputs)):
            continue
        fed.add(node.name)
        if open_until <= index and len(node.output_shapes) == 1:
            yield node.name
        open_until = max(open_until, last.get(node.name, index))


def _ends(graph: Graph, given: Ends) -> Iterator[str]:
    """What stages, and the blocks and lists right in them, give."""
    for part in graph.parts:
        if part.role == "stage":
            inner = [child for child in part.children if isinstance(child, Group) and child.role in ("block", "list")]
            yield from (given.of(indices(each)) for each in (part, *inner))


def _in_a_row(graph: Graph, ends: set[str]) -> set[str]:
    """Those of some nodes each of which comes before or behind each other one, and not beside it."""
    bits = {name: 1 << place for place, name in enumerate(node.name for node in graph.nodes if node.name in ends)}
    before: dict[str, int] = {}
    for node in graph.nodes:
        found = 0
        for name in map(node_of, node.inputs):
            found |= before.get(name, 0) | bits.get(name, 0)
        before[node.name] = found
    behind = dict.fromkeys(bits, 0)
    for name, bit in bits.items():
        for other in bits:
            if before[other] & bit:
                behind[name] += 1
    return {name for name in bits if behind[name] + before[name].bit_count() == len(bits) - 1}


# --- what is said of them ---


def _names(graph: Graph) -> dict[str, str]:
    """By the name of a node, that of the outermost block or list, else of the stage, which gives its value: a name that
    nothing else has."""
    given, parts = Ends(graph), list(parts_of(graph.parts))
    times = Counter([*(part.name for part in parts), *(node.name for node in graph.nodes)])
    found: dict[str, str] = {}
    for part in sorted(parts, key=lambda part: part.role in ("stage", "head")):
        if times[part.name] == 1:
            found.setdefault(given.of(indices(part)), part.name)
    return found


class _Sums:
    """Parameters and MACs of what a value needs, for values each of which needs the one before."""

    def __init__(self, graph: Graph) -> None:
        self.seen: set[str] = set()
        self._nodes = {node.name: node for node in graph.nodes}
        self._homes: set[str] = set()
        self._params = self._macs = 0

    def up_to(self, name: str) -> tuple[int, int]:
        queue = [name]
        while queue:
            node = self._nodes.get(queue.pop())
            if node is None or node.name in self.seen:
                continue
            self.seen.add(node.name)
            self._macs += node.macs or 0
            if node.module not in self._homes:
                # The weights of a layer are counted with whichever of its calls is there.
                self._params += self._nodes.get(node.module, node).params
            if node.module:
                self._homes.add(node.module)
            queue += map(node_of, node.inputs)
        return self._params, self._macs


def _spots(graph: Graph) -> dict[str, Spots | None]:
    """By each node, where its first output has the input's height and width; None where they are gone or not known."""
    found: dict[str, Spots | None] = {
        value.name: tuple(range(2, len(value.shape))) if len(value.shape) > 2 and value.dtype == "float" else None
        for value in graph.inputs[:1]
    }
    for node in graph.nodes:
        found[node.name] = None
        for name, sight in zip(node.inputs, _sights(node), strict=False):
            where = found.get(name)
            if where is not None and not _is_fixed(node, where):
                found[node.name] = _moved(where, sight, len(node.output_shape))
                break
    return found


def _sights(node: Node) -> Sequence[Sight]:
    return node.op.sights(node.input_shapes)[: node.op.sources]


def _moved(where: Spots, sight: Sight, rank: int) -> Spots | None:
    """The axes of an output that lie along some of an input's, each along one and no other."""
    if sight is None:
        return None
    found = [[axis for axis in range(min(rank, len(sight))) if spot in sight[axis].of] for spot in where]
    if any(len(axes) != 1 or len(sight[axes[0]].of) != 1 for axes in found):
        return None
    return tuple(axes[0] for axes in found)


def _is_fixed(node: Node, where: Spots) -> bool:
    """Whether a pool makes the same sizes of larger inputs, too."""
    if node.op.family.name != "pooling":
        return False
    larger = tuple(2 * size if axis in where else size for axis, size in enumerate(node.input_shapes[0]))
    return node.op.outputs((larger, *node.input_shapes[1:])) == node.output_shapes
