"""Peak activation memory by liveness."""

from math import prod

from gnet_inspect.graph import INPUT, Graph


def peak_activation_bytes(graph: Graph, element_bytes: int) -> tuple[int, str]:
    """(the largest sum of live tensors in bytes, the node at which it is reached).

    A tensor lives from the node that makes it to the last node that reads it; the network's input lives to its last
    reader, its outputs to the end. While a node runs, its inputs and its output are alive together. Views (Flatten,
    Identity, Dropout in an eval graph) share their input's memory; in-place layers get no credit.
    """
    storage = _storages(graph)
    last_use = dict.fromkeys(storage.values(), -1)
    for index, node in enumerate(graph.nodes):
        for name in node.inputs:
            last_use[storage[name]] = index
    for name in (graph.output, *(head.output for head in graph.heads)):
        last_use[storage[name]] = len(graph.nodes)

    sizes = {INPUT: prod(graph.input_shape) * element_bytes}
    live = peak = sizes[INPUT]
    where = INPUT
    dying: dict[int, list[str]] = {}
    for name, index in last_use.items():
        dying.setdefault(index, []).append(name)
    for index, node in enumerate(graph.nodes):
        if storage[node.name] == node.name:
            sizes[node.name] = prod(node.output_shape) * element_bytes
            live += sizes[node.name]
            if live > peak:
                peak, where = live, node.name
            if last_use[node.name] < 0:
                live -= sizes[node.name]
        for name in dying.get(index, ()):
            live -= sizes[name]
    return peak, where


def _storages(graph: Graph) -> dict[str, str]:
    """For the input and every node, the name whose memory holds its output."""
    training = graph.mode == "train"
    storage = {INPUT: INPUT}
    for node in graph.nodes:
        shared = node.op.is_view(training) and len(node.inputs) == 1
        storage[node.name] = storage[node.inputs[0]] if shared else node.name
    return storage
