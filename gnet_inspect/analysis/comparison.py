"""Models side by side, each against a baseline. The fields are the JSON contract."""

from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from gnet_inspect.analysis.difference import Change, difference
from gnet_inspect.analysis.listing import PublishedAccuracy, accuracies
from gnet_inspect.analysis.summary import SCHEMA_VERSION, StageSummary, Totals, summarize
from gnet_inspect.errors import UsageError
from gnet_inspect.graph import Graph
from gnet_inspect.spec import Spec


class Ratios(Struct, frozen=True):
    """A model's totals over the baseline's; None where the baseline has nothing of it."""

    params: float | None
    macs: float | None
    flops: float | None
    param_bytes: float | None
    activation_bytes: float | None
    peak_activation_bytes: float | None
    depth: float | None


class ComparedModel(Struct, frozen=True):
    """One model at its input. `model` is its name, with its edits, and with its file where another has that name;
    `unknown` are layers that nobody can count, which the totals lack."""

    model: str
    title: str
    year: int | None
    family: str
    input: tuple[int, ...]
    totals: Totals
    ratios: Ratios
    published: tuple[PublishedAccuracy, ...]
    stages: tuple[StageSummary, ...]
    unknown: tuple[str, ...]


class Comparison(Struct, frozen=True, omit_defaults=True):
    """What `compare --format json` prints. `baseline` is the first of the models."""

    schema_version: int
    baseline: str
    mode: str
    dtype: str
    models: tuple[ComparedModel, ...]
    # How the second model differs from the first, part by part; JSON has the key where that was asked for.
    diff: tuple[Change, ...] | None = None


def compare_models(variants: Sequence[tuple[Spec, Graph]], dtype: str = "fp32", *, diff: bool = False) -> Comparison:
    """Two or more models, the first of them the baseline; with `diff` exactly two, aligned part by part.

    Raises UsageError for fewer (or, with `diff`, more) than two.
    """
    if len(variants) < 2:
        raise UsageError(f"expected two models to compare, got {len(variants)}")
    if diff and len(variants) > 2:
        raise UsageError(f"expected two models for a diff, got {len(variants)}")
    summaries = [summarize(graph, dtype) for _, graph in variants]
    labels = _labels(variants)
    models = tuple(
        ComparedModel(
            label,
            summary.title,
            spec.year,
            spec.family,
            summary.input,
            summary.totals,
            _ratios(summary.totals, summaries[0].totals),
            # What is published is about the model as it is.
            () if graph.overrides else accuracies(spec),
            summary.stages,
            summary.coverage.unknown,
        )
        for label, summary, (spec, graph) in zip(labels, summaries, variants, strict=True)
    )
    changes = difference(variants[0][1], variants[1][1]) if diff else None
    return Comparison(SCHEMA_VERSION, labels[0], summaries[0].mode, dtype, models, changes)


def _labels(variants: Sequence[tuple[Spec, Graph]]) -> list[str]:
    """Names that tell the models apart: a spec and its edited copy may have the same."""
    names = [graph.variant for _, graph in variants]
    times = Counter(names)
    return [
        f"{name} ({spec.file})" if times[name] > 1 else name for name, (spec, _) in zip(names, variants, strict=True)
    ]


def _ratios(totals: Totals, baseline: Totals) -> Ratios:
    return Ratios(*(_ratio(getattr(totals, name), getattr(baseline, name)) for name in Ratios.__struct_fields__))


def _ratio(value: int, to: int) -> float | None:
    return value / to if to else None
