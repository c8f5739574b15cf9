"""Weights that are not trained: which parts of a network a fine-tuning leaves as they are."""

from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase

from msgspec.structs import replace

from gnet_inspect.errors import UsageError, did_you_mean, expect, some_of
from gnet_inspect.graph.nodes import Graph, Node


def freeze(graph: Graph, parts: Collection[str]) -> Graph:
    """The network with the parameters of some parts not trained, as `requires_grad_(False)` on them makes it.

    `parts` are globs of the paths of layers, blocks and lists: "conv1", "inception3*", "layers.*.attention".
    A pattern that meets no parameters is an error. BatchNorm's running statistics are no parameters: a frozen one still
    updates them in training.

    >>> from gnet_inspect import build_graph, freeze, load_spec, summarize
    >>> totals = summarize(freeze(build_graph(load_spec("lenet5")), ["c*"])).totals
    >>> totals.trainable_params, totals.frozen_params
    (11014, 50692)
    """
    expect(graph, Graph, "a Graph (build_graph gives one)")
    met: dict[str, bool] = dict.fromkeys(parts, False)
    frozen: dict[str, bool] = {}

    def is_frozen(node: Node) -> bool:
        path = node.module or node.name
        if path not in frozen:
            matching = parts_with(path, met)
            for part in matching:
                met[part] |= node.params > 0
            frozen[path] = bool(matching)
        return frozen[path]

    nodes = tuple(
        replace(node, is_frozen=True, frozen=node.params) if is_frozen(node) else node for node in graph.nodes
    )
    missed = [part for part, found in met.items() if not found]
    if missed:
        raise nothing_met(missed[0], (node.name for node in graph.nodes if node.params))
    return replace(graph, nodes=nodes)


def parts_with(path: str, parts: Collection[str]) -> list[str]:
    """Those of the globs that meet a path, or a block or list that it lies in."""
    steps = path.split(".")
    paths = {".".join(steps[:length]) for length in range(1, len(steps) + 1)}
    return [part for part in parts if any(fnmatchcase(name, part) for name in paths)]


def nothing_met(part: str, names: Iterable[str]) -> UsageError:
    """The error for a glob that meets none of the names of what has parameters."""
    known = dict.fromkeys(name.partition(".")[0] for name in names)
    mend = did_you_mean(part, known) or f"known: {some_of(known)}"
    return UsageError(
        f"expected the path of layers with parameters to freeze, or a glob of some, got {part!r}. ({mend})"
    )
