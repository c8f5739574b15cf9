"""Where in a spec a broken limit comes from: the part that grew most, or costs most, and the line it is written on."""

from collections.abc import Callable, Mapping

from gnet_inspect.analysis.difference import difference
from gnet_inspect.analysis.summary import Summary
from gnet_inspect.budgets.judging import Finding, Where
from gnet_inspect.graph import Graph
from gnet_inspect.graph.outline import Entry, Outline
from gnet_inspect.language.model import Layer
from gnet_inspect.language.places import Written

# By the name of a total that is a sum over parts: their number that adds up to it.
_ADDENDS: Mapping[str, str] = {
    **dict.fromkeys(("params", "trainable_params", "param_bytes"), "params"),
    **dict.fromkeys(("macs", "flops", "median_s"), "macs"),
    **{name: name for name in ("buffers", "activation_bytes")},
}
# Those of which a change of a part says what they were.
_COMPARED = ("params", "macs")


def culprit(finding: Finding, graph: Graph, summary: Summary, before: Graph | None) -> str:
    """The path of the part that a limit is broken by: the one that grew most from what the network was, else the one
    that costs most; "" where no part is to blame, as of a depth, or of too little of something."""
    if finding.name == "coverage":
        return _around(graph, summary.coverage.unknown[0]) if summary.coverage.unknown else ""
    if finding.operator in (">=", ">"):
        return ""
    if finding.name in ("peak_activation_bytes", "least_peak_activation_bytes"):
        return _around(graph, summary.totals.peak_node)
    number = _ADDENDS.get(finding.name)
    if number is None:
        return ""
    grown = _grown_most(before, graph, number) if before is not None and number in _COMPARED else ""
    return grown or _largest(
        graph, lambda entry: sum(getattr(layer, number) or 0 for layer in entry.of(summary.layers))
    )


def _grown_most(before: Graph, after: Graph, number: str) -> str:
    deltas = {
        change.name: getattr(change, f"{number}_after") - getattr(change, f"{number}_before")
        for change in difference(before, after)
        if change.output_after is not None
    }
    most = max(deltas.values(), default=0)
    return next(name for name, delta in deltas.items() if delta == most) if most > 0 else ""


def _largest(graph: Graph, cost: Callable[[Entry], int]) -> str:
    entries = Outline(graph, "block").at("block")
    return max(entries, key=cost).name if entries else ""


def _around(graph: Graph, layer: str) -> str:
    """The outermost block, or the layer itself, that a layer lies in."""
    names = [node.name for node in graph.nodes]
    if layer not in names:
        return ""
    index = names.index(layer)
    return next(entry.name for entry in Outline(graph, "block").at("block") if index in entry.indices)


def place_of(part: str, calls: Mapping[str, Layer], written: Mapping[str, Written]) -> tuple[int, int, str]:
    """(line, column, the part that is written there) of a part in the text of a spec, by what of it was called for each
    part and by where its values stand; where the network begins for what has no place of its own."""
    path = part.partition("@")[0]
    while path:
        layer = calls.get(path)
        found = written.get(layer.path) if layer is not None else None
        if found is not None:
            start = found.key or found.value
            return start.line, start.column, path
        path = path.rpartition(".")[0]
    stages = written.get("stages")
    key = stages.key if stages is not None else None
    return (key.line, key.column, "") if key is not None else (1, 1, "")


def in_file(file: str, part: str, calls: Mapping[str, Layer], written: Mapping[str, Written]) -> Where:
    """`place_of` in a file."""
    line, column, found = place_of(part, calls, written)
    return Where(file, line, column, found)
