"""Activation memory over the execution order: what torch's forward pass holds, and the least that the order needs."""

from collections.abc import Collection
from math import prod
from typing import NamedTuple

from gnet_inspect.analysis.overwriting import overwriting
from gnet_inspect.graph import INPUT, Graph
from gnet_inspect.graph.scopes import Scopes

EXACT, BOUND = "exact", "bound"


class Peak(NamedTuple):
    """The most bytes held at once, the first node at which they are, and the status: "exact", or "bound" where some
    layer makes, or keeps, nobody knows what."""

    bytes: int
    node: str
    status: str


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
    return Peak(most, graph.nodes[moments.index(most)].name if most else INPUT, EXACT if known else BOUND)


def _moments(graph: Graph, element_bytes: int) -> tuple[list[int], bool]:
    """(the bytes held while each node runs, whether it is known of all of them what they make inside)."""
    training = graph.mode == "train"
    in_place = overwriting(graph)
    storage = storages(graph, in_place)
    kept = _kept_by_autograd(graph, storage, in_place) if training else {}
    dying = _dying(graph, storage, {name for tensors, *_ in kept.values() for name in tensors})
    sizes: dict[str, int] = {}
    live, known, moments = 0, True, []
    for index, node in enumerate(graph.nodes):
        if storage[node.name] == node.name:
            sizes[node.name] = size = prod(node.output_shape) * element_bytes
            live += size
        made = node.op.temporaries(node.input_shapes, node.output_shape, training)
        known &= made is not None
        inside = made.elements * element_bytes + made.bytes if made else 0
        keeps = 0
        if node.name in kept:
            _, elements, extra = kept[node.name]
            keeps = elements * element_bytes + extra
        # What autograd keeps of a layer is among what it makes inside, or stands there after that is gone.
        moments.append(live + max(inside, keeps))
        live += keeps
        for name in dying.get(index, ()):
            live -= sizes[name]
    return moments, known


def least_peak_activation_bytes(graph: Graph, element_bytes: int) -> int:
    """The largest sum of tensors in bytes, if each were freed right after the last layer that reads it.

    The order is the one given: others are not searched. The network's input lives to its last reader, its outputs to
    the end; while a node runs, its inputs and its output are alive together. Nothing stands inside a layer, views share
    their input's memory, in-place layers get no credit, and autograd keeps nothing.
    """
    storage = storages(graph)
    last_use = dict.fromkeys(storage.values(), -1)
    for index, node in enumerate(graph.nodes):
        for name in node.inputs:
            last_use[storage[name]] = index
    for name in (graph.output, *(head.output for head in graph.heads)):
        last_use[storage[name]] = len(graph.nodes)
    dying: dict[int, list[str]] = {}
    for name, index in last_use.items():
        dying.setdefault(index, []).append(name)

    sizes = {INPUT: prod(graph.input_shape)}
    live = most = sizes[INPUT]
    for index, node in enumerate(graph.nodes):
        made = storage[node.name] == node.name
        if made:
            sizes[node.name] = prod(node.output_shape)
            live += sizes[node.name]
        most = max(most, live)
        if made and last_use[node.name] < 0:
            live -= sizes[node.name]
        live -= sum(sizes[name] for name in dying.get(index, ()))
    return most * element_bytes


def storages(graph: Graph, overwriting: Collection[str] = ()) -> dict[str, str]:
    """For the input and every node, the name whose memory holds its output; `overwriting` are nodes that write theirs
    over their input."""
    training = graph.mode == "train"
    storage = {INPUT: INPUT}
    for node in graph.nodes:
        shared = node.name in overwriting or (node.op.is_view(training) and len(node.inputs) == 1)
        storage[node.name] = storage[node.inputs[0]] if shared else node.name
    return storage


# The storages that a node keeps for the backward pass, and what it keeps of its own: elements and bytes.
_Kept = tuple[tuple[str, ...], int, int]


def _kept_by_autograd(graph: Graph, storage: dict[str, str], in_place: Collection[str]) -> dict[str, _Kept]:
    # Imported where it is asked for: a summary in eval mode starts sooner.
    from gnet_inspect.analysis.saving import kept_by_autograd

    return {
        node.name: (tensors, saved.elements, saved.bytes)
        for node, tensors, saved in kept_by_autograd(graph, storage, in_place)
    }


def _dying(graph: Graph, storage: dict[str, str], kept: Collection[str]) -> dict[int, list[str]]:
    """By the place of a node: the storages that are freed when it has run. Those that autograd keeps are not."""
    ends: dict[str, int] = {}
    for name, index in Scopes(graph).held_until().items():
        ends[storage[name]] = max(index, ends.get(storage[name], 0))
    dying: dict[int, list[str]] = {}
    for name, index in ends.items():
        if name != INPUT and name not in kept:
            dying.setdefault(index, []).append(name)
    return dying
