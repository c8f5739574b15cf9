"""Activation memory over the execution order: what torch's forward pass holds, and the least that the order needs."""

from collections.abc import Collection
from math import prod
from typing import NamedTuple

from gnet_inspect.analysis.overwriting import overwriting
from gnet_inspect.graph import Graph, Node
from gnet_inspect.graph.scopes import Scopes
from gnet_inspect.ops import Shapes, dtype_of
from gnet_inspect.units import FIXED_BYTES

EXACT, BOUND = "exact", "bound"


class Peak(NamedTuple):
    """The most bytes held at once, the first node at which they are, and the status: "exact", or "bound" where some
    layer makes, or keeps, nobody knows what."""

    bytes: int
    node: str
    status: str


class Course(NamedTuple):
    """By the place of a node, the tensors that are made while it runs, and those that are freed when it has run: by the
    names of the values that were first in their memory. It depends on how layers are joined, and on no size."""

    made: list[list[str]]
    freed: dict[int, list[str]]


def held_course(graph: Graph) -> Course:
    """What torch's eager forward pass of an eval graph holds, and when."""
    storage = held_storages(graph, overwriting(graph))
    return Course(_made(graph, storage), _dying(graph, storage, ()))


def least_course(graph: Graph) -> Course:
    """The same if each tensor were freed after its last reader; the network's inputs are there from the start."""
    storage = storages(graph)
    made = _made(graph, storage)
    last_use = dict.fromkeys(storage.values(), -1)
    for index, node in enumerate(graph.nodes):
        # What nobody reads is freed at once.
        last_use.update(dict.fromkeys(made[index], index))
        for name in node.inputs:
            last_use[storage[name]] = index
    for output in graph.outputs:
        last_use[storage[output.value]] = len(graph.nodes)
    freed: dict[int, list[str]] = {}
    for name, index in last_use.items():
        freed.setdefault(index, []).append(name)
    return Course(made, freed)


def _made(graph: Graph, storage: dict[str, str]) -> list[list[str]]:
    return [[name for name in node.values() if storage[name] == name] for node in graph.nodes]


def live_activation_bytes(graph: Graph, element_bytes: int) -> list[int]:
    """The most bytes of tensors that torch's eager forward pass holds while each node runs, in execution order.

    It is the pass of the module that `build_module` builds, of an eval graph without autograd, of a training graph with
    it. Held are the inputs of the layer that runs, its output, and what it makes inside; every value that is read
    later; what was handed to a block, until that block returns; and in training all that autograd has kept so far. The
    network's own input is left out at every moment, because it is the caller's, and so are weights, and what a kernel
    takes within one operator. Views share their input's memory, and so does a layer that overwrites its input.
    """
    return _moments(graph, element_bytes)[0]


def activation_peak(graph: Graph, element_bytes: int) -> Peak:
    """The largest sum of what torch's eager forward pass holds at once."""
    moments, known = _moments(graph, element_bytes)
    most = max(moments, default=0)
    where = graph.nodes[moments.index(most)].name if most else graph.inputs[0].name
    return Peak(most, where, EXACT if known else BOUND)


def _moments(graph: Graph, element_bytes: int) -> tuple[list[int], bool]:
    """(the bytes held while each node runs, whether it is known of all of them what they make inside)."""
    training = graph.mode == "train"
    in_place = overwriting(graph)
    storage = held_storages(graph, in_place)
    kept = _kept_by_autograd(graph, storage, in_place) if training else {}
    course = Course(
        _made(graph, storage), _dying(graph, storage, {name for found in kept.values() if found for name in found[0]})
    )
    sizes, disordered = value_bytes(graph, element_bytes), may_lie_otherwise(graph)
    live, known, moments = 0, graph.run is None or graph.run.is_known, []
    # By the ids of ops and the shapes of their inputs: large networks repeat themselves.
    asked: dict[tuple[int, Shapes], int | None] = {}
    for index, node in enumerate(graph.nodes):
        live += sum([sizes[name] for name in course.made[index]])
        # A copy that may be there is not counted.
        if disordered:
            known &= not may_be_copied(node, disordered)
        key = id(node.op), node.input_shapes
        if key not in asked:
            made = node.op.temporaries(node.input_shapes, node.output_shapes, training)
            asked[key] = None if made is None else made.elements * element_bytes + made.bytes
        inside = asked[key]
        known &= inside is not None
        keeps = 0
        if training and node.name in kept:
            found = kept[node.name]
            known &= found is not None
            keeps = found[1] * element_bytes + found[2] if found else 0
        # What autograd keeps of a layer is among what it makes inside, or stands there after that is gone.
        moments.append(live + max(inside or 0, keeps))
        live += keeps
        for name in course.freed.get(index, ()):
            live -= sizes[name]
    return moments, known


def least_peak_activation_bytes(graph: Graph, element_bytes: int) -> int:
    """The largest sum of tensors in bytes, if each were freed right after the last layer that reads it.

    The order is the one given: others are not searched. The network's input lives to its last reader, its outputs to
    the end; while a node runs, its inputs and its output are alive together. Nothing stands inside a layer, views share
    their input's memory, in-place layers get no credit, and autograd keeps nothing.
    """
    course, sizes = least_course(graph), value_bytes(graph, element_bytes)
    live = most = sum(sizes[value.name] for value in graph.inputs)
    # An input that nobody reads is the caller's to free.
    for index in range(len(graph.nodes)):
        live += sum([sizes[name] for name in course.made[index]])
        most = max(most, live)
        for name in course.freed.get(index, ()):
            live -= sizes[name]
    return most


def value_bytes(graph: Graph, element_bytes: int) -> dict[str, int]:
    """The bytes of every value: of int64 and bool as those have them, whatever the network's dtype; none where it is a
    weight that is handed out."""
    dtypes = {value.name: value.dtype for value in graph.inputs if value.dtype != "float"}
    sizes = {name: prod(shape) * element_bytes for name, shape in graph.shapes().items()}
    for node in graph.nodes:
        # Most networks hold numbers of their own dtype alone.
        if dtypes or node.op.gives:
            found = dtype_of(node.op, [dtypes.get(name, "float") for name in node.inputs])
            if found != "float":
                dtypes.update(dict.fromkeys(node.values(), found))
    sizes.update((name, sizes[name] // element_bytes * FIXED_BYTES[dtype]) for name, dtype in dtypes.items())
    sizes.update((node.name, 0) for node in graph.nodes if node.op.hands_out_weight)
    return sizes


def may_lie_otherwise(graph: Graph) -> set[str]:
    """The values that may lie in memory in another order than their sizes say, or with gaps, so that to reshape them
    may copy. What is computed of a tensor with gaps has none; the order is handed on."""
    if not any(node.op.reorders or node.op.leaves_gaps for node in graph.nodes):
        return set()
    reordered: set[str] = set()
    gapped: set[str] = set()
    for node in graph.nodes:
        op = node.op
        if op.reorders or not (op.puts_in_order or reordered.isdisjoint(node.inputs)):
            reordered.add(node.name)
        shared = op.aliases(graph.mode == "train")
        if op.leaves_gaps or (shared is not None and node.inputs[shared] in gapped):
            gapped.add(node.name)
    return reordered | gapped


def may_be_copied(node: Node, disordered: Collection[str]) -> bool:
    """Whether torch may copy what a node reads first: a copy that is not counted."""
    return node.op.may_copy and any(name in disordered for name in node.inputs)


def storages(graph: Graph, overwriting: Collection[str] = ()) -> dict[str, str]:
    """For every value the name of the one whose memory holds it; `overwriting` are nodes that write theirs over their
    input."""
    training = graph.mode == "train"
    storage = {value.name: value.name for value in graph.inputs}
    for node in graph.nodes:
        shared = 0 if node.name in overwriting else node.op.aliases(training)
        storage[node.name] = node.name if shared is None else storage[node.inputs[shared]]
        if len(node.output_shapes) > 1:
            storage.update((name, name) for name in node.values()[1:])
    return storage


def held_storages(graph: Graph, overwriting: Collection[str]) -> dict[str, str]:
    """The same as a run has them: as the network's own code had them where that was traced."""
    if graph.run is None:
        return storages(graph, overwriting)
    names = graph.shapes()
    return {name: graph.run.shares.get(name, name) for name in names}


# The storages that a node keeps for the backward pass, and what it keeps of its own: elements and bytes.
_Kept = tuple[tuple[str, ...], int, int]


def _kept_by_autograd(graph: Graph, storage: dict[str, str], in_place: Collection[str]) -> dict[str, _Kept | None]:
    # Imported where it is asked for: a summary in eval mode starts sooner.
    from gnet_inspect.analysis.saving import kept_by_autograd

    return {
        node.name: (tensors, saved.elements, saved.bytes) if saved else None
        for node, tensors, saved in kept_by_autograd(graph, storage, in_place)
    }


def _held_until(graph: Graph) -> dict[str, int]:
    """The place of the last node that runs while a value is held: as the network's own code had it in the run that was
    traced, or as the scopes of a built module have it."""
    if graph.run is None or not graph.run.until:
        return Scopes(graph).held_until()
    return dict(graph.run.until) | {output.value: len(graph.nodes) for output in graph.outputs}


def _dying(graph: Graph, storage: dict[str, str], kept: Collection[str]) -> dict[int, list[str]]:
    """By the place of a node: the storages that are freed when it has run. Those that autograd keeps are not."""
    ends: dict[str, int] = {}
    for name, index in _held_until(graph).items():
        ends[storage[name]] = max(index, ends.get(storage[name], 0))
    given = {value.name for value in graph.inputs}
    dying: dict[int, list[str]] = {}
    for name, index in ends.items():
        if name not in given and name not in kept:
            dying.setdefault(index, []).append(name)
    return dying
