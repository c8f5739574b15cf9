"""Which layers overwrite their input: the built module does it, and memory in training counts with it."""

from gnet_inspect.graph import Graph, Node


def overwriting(graph: Graph) -> set[str]:
    """Names of the nodes that overwrite their input: those with `inplace`, where that changes no number.

    In a network that runs by its own code they are those that did. In one that is built here nothing else reads it,
    under this name or as a view of it; the layer that made it does not need it for the backward pass; and it was made
    in the same scope, so that calling a block by itself changes no tensor of the caller's.
    """
    if graph.run is not None:
        shares = graph.run.shares
        return {
            node.name
            for node in graph.nodes
            if node.inputs
            and node.name in shares
            and shares[node.name] == shares.get(node.inputs[0], node.inputs[0])
            and node.op.aliases(graph.mode == "train") is None
        }
    readers = graph.readers()
    makers = {node.name: node.op for node in graph.nodes}
    kept = {output.value for output in graph.outputs}

    def free(node: Node) -> bool:
        name = node.inputs[0]
        maker = makers.get(name)
        return (
            maker is not None
            and len(readers[name]) == 1
            and name not in kept
            and name.rpartition(".")[0] == node.name.rpartition(".")[0]
            and not maker.keeps_output
            and maker.aliases(training=False) is None
        )

    return {node.name for node in graph.nodes if node.op.overwrites() and free(node)}
