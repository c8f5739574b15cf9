"""Graph -> Explanation: where the shapes and costs of a part of a network come from. The fields are the JSON contract.

How a number is worked out is what the layer's op does to work it out (`ops.written`); what a block is built to save is
counted on the plainer layers in its place (`analysis.alternatives`).
"""

from collections.abc import Iterator, Mapping, Sequence
from math import prod

from msgspec import Struct

from gnet_inspect.analysis.alternatives import Alternative, alternatives_of
from gnet_inspect.analysis.receptive import Field, Status, receptive_fields
from gnet_inspect.display import Shown, network_words
from gnet_inspect.errors import UsageError, expect
from gnet_inspect.graph import Graph, Node, node_of
from gnet_inspect.graph.cutting import members_of
from gnet_inspect.graph.outline import Entry, Outline
from gnet_inspect.ops import Shape, Shapes
from gnet_inspect.ops.written import Workings, in_numbers, in_symbols, work_out
from gnet_inspect.records import SCHEMA_VERSION
from gnet_inspect.units import DTYPE_BYTES, count

Size = tuple[int | float, ...]
# A branch of more layers is not told layer by layer.
MOST_TOLD = 6


class Working(Struct, frozen=True):
    """How one number of a layer is worked out. `quantity` is "params", "macs", or the axes of its output that are
    worked out so ("H', W'"); `formula` has names, `numbers` what they stand for, and both are "" where the layer does
    not say: the value is known all the same, or None where nobody can count it."""

    quantity: str
    formula: str
    numbers: str
    value: int | None


class LayerExplanation(Struct, frozen=True):
    """One layer of the part. Its params are 0 where an earlier call counts them."""

    name: str
    kind: str
    type: str
    input_shapes: Shapes
    output_shape: Shape
    params: int
    macs: int | None
    workings: tuple[Working, ...]


class PartExplanation(Struct, frozen=True):
    """A part of the part: a branch, a block or a layer, with its layers by name and their sums. `field_before` is the
    receptive field of what it reads first, `field_after` that of what it gives, None where there is none; `jump` is how
    many pixels lie between two neighbours of what it reads."""

    name: str
    role: str
    type: str
    layers: tuple[str, ...]
    output_shape: Shape
    params: int
    macs: int
    activation_bytes: int
    field_before: Size | None
    field_after: Size | None
    field_after_status: Status | None
    jump: Size | None


class Explanation(Shown, Struct, frozen=True, omit_defaults=True):
    """What `explain --format json` prints. `network_params` and `network_macs` are those of the whole network,
    `unknown` the layers that nobody can count."""

    schema_version: int
    model: str
    title: str
    mode: str
    dtype: str
    input: Shape
    part: str
    type: str
    params: int
    macs: int
    network_params: int
    network_macs: int
    parts: tuple[PartExplanation, ...]
    layers: tuple[LayerExplanation, ...]
    alternatives: tuple[Alternative, ...]
    unknown: tuple[str, ...]
    # The edits made to the model; JSON has the key where there are any.
    overrides: tuple[str, ...] = ()
    # All inputs by their names; JSON has the key where there are several.
    inputs: Mapping[str, Shape] = {}

    def _brief(self) -> str:
        network = network_words(self.model, self.overrides, self.input, self.mode)
        return f"{network} {self.part}: {count(self.params)} params, {count(self.macs)} MACs, {len(self.layers)} layers"


def explain(graph: Graph, part: str, dtype: str = "fp32") -> Explanation:
    """Where the shapes and costs of a layer, block, branch, list or stage come from, layer by layer and branch by
    branch. Raises UsageError where there is nothing of that name.

    >>> from gnet_inspect import build_graph, load_spec
    >>> found = explain(build_graph(load_spec("googlenet")), "inception4a.branch2.1.conv")
    >>> [(working.quantity, working.numbers) for working in found.layers[0].workings]
    [("H', W'", 'floor((14 + 2*1 - 3)/1) + 1'), ('params', '208*96*3*3 + 208'), ('macs', '14*14*208*96*3*3')]
    """
    expect(graph, Graph, "a Graph (build_graph gives one)")
    expect(part, str, "the name of a layer")
    if dtype not in DTYPE_BYTES:
        raise UsageError(f"expected a dtype of {', '.join(DTYPE_BYTES)}, got {dtype!r}")
    outline = Outline(graph)
    tops = _entries_of(graph, outline, part)
    members = sorted(index for entry in tops for index in entry.indices)
    nodes = [graph.nodes[index] for index in members]
    fields = receptive_fields(graph)
    return Explanation(
        schema_version=SCHEMA_VERSION,
        model=graph.model,
        title=graph.title,
        mode=graph.mode,
        dtype=dtype,
        input=graph.input_shape,
        part=part,
        type=tops[0].describe() if len(tops) == 1 else f"{len(nodes)} layers",
        params=sum(node.params for node in nodes),
        macs=sum(node.macs or 0 for node in nodes),
        network_params=sum(node.params for node in graph.nodes),
        network_macs=sum(node.macs or 0 for node in graph.nodes),
        parts=tuple(_part(graph, entry, fields, DTYPE_BYTES[dtype]) for entry in _consists_of(outline, tops)),
        layers=tuple(_layers(nodes)),
        alternatives=alternatives_of(graph, members),
        unknown=tuple(node.name for node in nodes if node.macs is None),
        overrides=graph.overrides,
        inputs=graph.named_inputs,
    )


def parts_to_explain(graph: Graph) -> Iterator[tuple[str, list[str]]]:
    """Each stage with the blocks and layers that make it up: what somebody may ask about."""
    outline = Outline(graph, "block")
    for stage in outline.at("stage"):
        yield stage.name, [entry.name for entry in outline.inside(stage)]


def worth_explaining(graph: Graph) -> str:
    """A part of which there is much to say: the first block of several branches, else the first block, else layer, that
    multiplies."""
    outline = Outline(graph)
    branched = [entry.parent.block for entry in outline.entries if entry.is_branch and entry.parent is not None]
    costly = [entry for entry in outline.at("block") if any(node.macs for node in entry.of(graph.nodes))]
    blocks = [entry.name for entry in costly if entry.part is not None]
    names = [*filter(None, branched), *blocks, *(entry.name for entry in costly)]
    return names[0] if names else graph.nodes[0].name


# --- parts ---


def _entries_of(graph: Graph, outline: Outline, name: str) -> list[Entry]:
    """The outermost entries that make up a part. Raises UsageError where there are none."""
    members = members_of(graph, name)
    is_layer = any(graph.nodes[index].name == name for index in members)
    named = [entry for entry in outline.entries if entry.name == name and (entry.role == "layer") == is_layer]
    named = [entry for entry in named if entry.role != "branch"]
    found: list[Entry] = []
    for entry in named or [entry for entry in outline.entries if entry.name.startswith(f"{name}.")]:
        if not found or entry.position >= found[-1].end:
            found.append(entry)
    return found


def _consists_of(outline: Outline, tops: list[Entry]) -> list[Entry]:
    """The parts right below a part, through parts of one part; none of a layer."""
    while len(tops) == 1 and tops[0].part is not None:
        tops = [entry for entry in outline.entries if entry.parent is tops[0]]
    return tops if len(tops) > 1 else []


def _part(graph: Graph, entry: Entry, fields: Mapping[str, Field | None], width: int) -> PartExplanation:
    nodes = entry.of(graph.nodes)
    before = fields.get(node_of(nodes[0].inputs[0])) if nodes[0].inputs else None
    after = fields[nodes[-1].name]
    return PartExplanation(
        entry.name,
        "branch" if entry.is_branch else entry.role,
        _words(entry, nodes),
        tuple(node.name for node in nodes),
        nodes[-1].output_shape,
        sum(node.params for node in nodes),
        sum(node.macs or 0 for node in nodes),
        sum(prod(node.output_shape) for node in nodes) * width,
        before.size if before else None,
        after.size if after else None,
        after.status if after else None,
        before.jump if before else None,
    )


def _words(entry: Entry, nodes: Sequence[Node]) -> str:
    """What a part is; a branch is its layers, without the norms and activations that follow them."""
    told = [node.describe() for node in nodes if not node.op.family.folds_as]
    return " -> ".join(told) if entry.is_branch and 0 < len(told) <= MOST_TOLD else entry.describe()


# --- layers ---


def _layers(nodes: Sequence[Node]) -> Iterator[LayerExplanation]:
    """Each with how its numbers are worked out, which is done once for equal layers."""
    known: dict[tuple[int, Shapes], Workings] = {}
    for node in nodes:
        key = id(node.op), node.input_shapes
        if key not in known:
            known[key] = work_out(node.op, node.input_shapes)
        yield _layer(node, known[key])


def _layer(node: Node, found: Workings) -> LayerExplanation:
    return LayerExplanation(
        node.name,
        node.op.kind,
        node.describe(),
        node.input_shapes,
        node.output_shape,
        node.params,
        node.macs,
        (*_of_output(node, found), *_of_params(node, found), _working("macs", found.macs)),
    )


def _working(quantity: str, value: int | None) -> Working:
    if value is None:
        return Working(quantity, "", "", None)
    return Working(quantity, in_symbols(value), in_numbers(value), int(value))


def _of_output(node: Node, found: Workings) -> Iterator[Working]:
    """The sizes of the output that are worked out of others; axes of which the numbers are the same as one."""
    by_numbers: dict[tuple[str, int], list[int]] = {}
    given = node.input_shapes[0] if node.input_shapes else ()
    for place, size in enumerate(found.outputs[0]):
        # Of an axis that is as long as the layer was asked for there is nothing to tell, but how it is another's.
        is_other = place > 1 and given[place : place + 1] != (size,) and in_symbols(size) != found.axes[place]
        if _is_worked_out(size) or is_other:
            by_numbers.setdefault((in_numbers(size), int(size)), []).append(place)
    for places in by_numbers.values():
        names = ", ".join(found.axes[place] for place in places)
        yield _working(names, found.outputs[0][places[0]])


def _is_worked_out(size: int) -> bool:
    """Whether it is more than a size that is handed on or was asked for."""
    numbers = in_numbers(size)
    return bool(numbers) and numbers != str(int(size))


def _of_params(node: Node, found: Workings) -> Iterator[Working]:
    if node.is_repeated:
        return
    if found.params == node.params:
        if node.params:
            yield _working("params", found.params)
    else:
        # Weights that are not what the layer itself says: of a traced network they count where they are read first.
        yield Working("params", "", "", node.params)
