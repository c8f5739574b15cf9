"""What is remarkable of a network, and of networks side by side: facts that follow from their numbers, as plain data.

A fact is only stated where its numbers are. A ratio whose upper number is a least is a least itself (`at_least`); one
whose lower number is a least would be no bound from below, and a share of a total that is not known is none: neither is
there. Models of unlike images, or of other data sets, have no difference of errors.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec import Struct

from gnet_inspect.analysis.comparison import ComparedModel, Comparison
from gnet_inspect.analysis.listing import best_accuracy
from gnet_inspect.analysis.memory import EXACT
from gnet_inspect.analysis.summary import Summary
from gnet_inspect.graph import Graph, Node
from gnet_inspect.units import dimensions

# A layer with this share of a network stands out; of stages, as few as hold this much, where that is so many times what
# as many would hold if all were alike; of kinds of layers, one that does this much.
LAYER_SHARE, STAGES_SHARE, UNLIKE, KIND_SHARE = 0.25, 0.5, 1.4, 0.5
# What models are compared by.
COMPARED = ("params", "macs", "peak_activation_bytes")


class Multiple(Struct, frozen=True):
    """A model has so many times the baseline's amount of something ("params", "macs", "peak_activation_bytes")."""

    model: str
    baseline: str
    measure: str
    ratio: float
    at_least: bool


class ErrorDifference(Struct, frozen=True):
    """The published error ("top-1" or "top-5") of a model less the baseline's, in points, on one data set."""

    model: str
    baseline: str
    which: str
    points: float
    dataset: str


class Share(Struct, frozen=True):
    """So much (0 to 1) of all of a model's "params" or "macs" is in few of its parts: the largest first, of all that
    there are `among` ("layer", "stage", or "kind" of layer) it has any in."""

    measure: str
    share: float
    role: str
    parts: tuple[str, ...]
    among: int


class PeakPlace(Struct, frozen=True):
    """Where the most memory is held: the layer, its place from 1 on, and how many layers there are."""

    layer: str
    place: int
    among: int


class WeightsOverPeak(Struct, frozen=True):
    """How many times the memory of a network's activations at their peak its parameters take."""

    ratio: float


class Reuse(Struct, frozen=True):
    """How many multiply-accumulates a parameter takes part in, on average, for one image or sequence."""

    times: float


Remark = Share | PeakPlace | WeightsOverPeak | Reuse


def multiples(comparison: Comparison) -> tuple[Multiple, ...]:
    """Every model but the first against the first."""
    baseline, *others = comparison.models
    return tuple(found for model in others for measure in COMPARED for found in _multiple(model, baseline, measure))


def error_differences(comparison: Comparison) -> tuple[ErrorDifference, ...]:
    """The published top-5 errors of every model but the first against the first's; top-1 where there is no top-5."""
    baseline, *others = comparison.models
    return tuple(found for model in others for found in _difference(model, baseline))


def remarks(graph: Graph, summary: Summary) -> tuple[Remark, ...]:
    """What stands out of one network, the most telling first."""
    return (
        *_shares(summary, "macs"),
        *_shares(summary, "params"),
        *_kinds(graph, summary),
        *_memory(summary),
        *_reuse(graph, summary),
    )


def _multiple(model: ComparedModel, baseline: ComparedModel, measure: str) -> Iterable[Multiple]:
    mine, theirs = getattr(model.totals, measure), getattr(baseline.totals, measure)
    if theirs and not _is_least(baseline, measure):
        yield Multiple(model.label, baseline.label, measure, mine / theirs, _is_least(model, measure))


def _is_least(model: ComparedModel, measure: str) -> bool:
    """Whether a total lacks what nobody can count."""
    if measure == "peak_activation_bytes":
        return model.totals.peak_activation_status != EXACT
    return bool(model.unknown)


def _difference(model: ComparedModel, baseline: ComparedModel) -> Iterable[ErrorDifference]:
    mine, theirs = best_accuracy(model.published), best_accuracy(baseline.published)
    if mine is None or theirs is None or mine.dataset != theirs.dataset:
        return
    for which, ours, other in (
        ("top-5", mine.top5_error, theirs.top5_error),
        ("top-1", mine.top1_error, theirs.top1_error),
    ):
        if ours is not None and other is not None:
            yield ErrorDifference(model.label, baseline.label, which, ours - other, mine.dataset)
            return


def _shares(summary: Summary, measure: str) -> Iterable[Share]:
    """The one layer that stands out, or the few stages that do."""
    whole = getattr(summary.totals, measure)
    if not whole or summary.coverage.unknown:
        return
    layers = [(getattr(layer, measure), layer.name) for layer in summary.layers if getattr(layer, measure)]
    most, name = max(layers, key=lambda layer: layer[0])
    if len(layers) > 1 and most >= LAYER_SHARE * whole:
        yield Share(measure, most / whole, "layer", (name,), len(layers))
        return
    stages = [(getattr(stage, measure), stage.name) for stage in summary.stages if getattr(stage, measure)]
    found, amount = _fewest(stages, STAGES_SHARE * whole)
    if amount / whole >= UNLIKE * len(found) / len(stages):
        yield Share(measure, amount / whole, "stage", found, len(stages))


def _fewest(parts: Sequence[tuple[int, str]], enough: float) -> tuple[tuple[str, ...], int]:
    """The fewest parts that hold enough, the largest first, and what they hold."""
    names: list[str] = []
    held = 0
    for amount, name in sorted(parts, key=lambda part: -part[0]):
        if held >= enough:
            break
        names.append(name)
        held += amount
    return tuple(names), held


def _kinds(graph: Graph, summary: Summary) -> Iterable[Share]:
    """The kind of layer, of convolutions with its window, that does most of the work."""
    if not summary.totals.macs or summary.coverage.unknown:
        return
    work: Counter[str] = Counter()
    for node in graph.nodes:
        if node.macs:
            work[_kind(node)] += node.macs
    ((kind, macs),) = work.most_common(1)
    if len(work) > 1 and macs >= KIND_SHARE * summary.totals.macs:
        yield Share("macs", macs / summary.totals.macs, "kind", (kind,), len(work))


def _kind(node: Node) -> str:
    window = node.op.sliding_window
    return f"{node.op.kind} {dimensions(window.size)}" if window else node.op.kind


def _memory(summary: Summary) -> Iterable[Remark]:
    totals = summary.totals
    if totals.peak_activation_status != EXACT or not totals.peak_activation_bytes:
        return
    names = [layer.name for layer in summary.layers]
    yield PeakPlace(totals.peak_node, names.index(totals.peak_node) + 1, len(names))
    if totals.params and not summary.coverage.unknown:
        yield WeightsOverPeak(totals.param_bytes / totals.peak_activation_bytes)


def _reuse(graph: Graph, summary: Summary) -> Iterable[Reuse]:
    totals = summary.totals
    if totals.params and totals.macs and not summary.coverage.unknown:
        yield Reuse(totals.macs / totals.params / graph.batch)
