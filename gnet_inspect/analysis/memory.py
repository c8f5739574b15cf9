"""Activation memory over the execution order, by liveness."""

from collections.abc import Collection
from math import prod

from gnet_inspect.graph import INPUT, Graph


def live_activation_bytes(graph: Graph, element_bytes: int) -> list[int]:
    """The bytes of all live tensors while each node runs, in execution order.

    A tensor lives from the node that makes it to the last node that reads it; the network's input lives to its last
    reader, its outputs to the end. While a node runs, its inputs and its output are alive together. Views (Flatten,
    Identity, Dropout in an eval graph or of p 0) share their input's memory; in-place layers get no credit.
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

    sizes = {INPUT: prod(graph.input_shape) * element_bytes}
    live = sizes[INPUT]
    moments = []
    for index, node in enumerate(graph.nodes):
        made = storage[node.name] == node.name
        if made:
            sizes[node.name] = prod(node.output_shape) * element_bytes
            live += sizes[node.name]
        moments.append(live)
        if made and last_use[node.name] < 0:
            live -= sizes[node.name]
        for name in dying.get(index, ()):
            live -= sizes[name]
    return moments


def peak_activation_bytes(graph: Graph, element_bytes: int) -> tuple[int, str]:
    """(the largest sum of live tensors in bytes, the first node at which it is reached)."""
    moments = live_activation_bytes(graph, element_bytes)
    before = prod(graph.input_shape) * element_bytes
    peak = max(moments, default=before)
    return (peak, graph.nodes[moments.index(peak)].name) if peak > before else (before, INPUT)


def storages(graph: Graph, overwriting: Collection[str] = ()) -> dict[str, str]:
    """For the input and every node, the name whose memory holds its output; `overwriting` are nodes that write theirs
    over their input."""
    training = graph.mode == "train"
    storage = {INPUT: INPUT}
    for node in graph.nodes:
        shared = node.name in overwriting or (node.op.is_view(training) and len(node.inputs) == 1)
        storage[node.name] = storage[node.inputs[0]] if shared else node.name
    return storage
