"""The catalogue with its totals. The fields are the JSON contract."""

from typing import Any

from msgspec import Struct

from gnet_inspect.analysis.summary import SCHEMA_VERSION, StageSummary, Totals, summarize
from gnet_inspect.graph import build_graph
from gnet_inspect.spec import Spec, catalogue, load_spec


class PublishedAccuracy(Struct, frozen=True):
    """A published accuracy: errors in percent, accuracies turned into errors."""

    source: str
    dataset: str
    top1_error: float | None
    top5_error: float | None
    models: int
    crops: int


class ListedModel(Struct, frozen=True):
    """One model of the catalogue."""

    model: str
    title: str
    year: int | None
    family: str
    input: tuple[int, int, int, int]
    totals: Totals
    published: tuple[PublishedAccuracy, ...]
    stages: tuple[StageSummary, ...]


class Listing(Struct, frozen=True):
    """What `list --format json` prints."""

    schema_version: int
    models: tuple[ListedModel, ...]


def list_catalogue() -> Listing:
    """Every built-in model, by name, with its totals at its own input and what its sources say of its accuracy."""
    return Listing(SCHEMA_VERSION, tuple(_listed(load_spec(name)) for name in catalogue()))


def _listed(spec: Spec) -> ListedModel:
    summary = summarize(build_graph(spec))
    return ListedModel(
        spec.name,
        spec.title or spec.name,
        spec.year,
        spec.family,
        (1, *spec.input),
        summary.totals,
        tuple(_accuracy(published.source, published.accuracy) for published in spec.published if published.accuracy),
        summary.stages,
    )


def _accuracy(source: str, figures: Any) -> PublishedAccuracy:
    return PublishedAccuracy(
        source,
        figures["dataset"],
        _error(figures, "top1"),
        _error(figures, "top5"),
        figures.get("models", 1),
        figures.get("crops", 1),
    )


def _error(figures: Any, which: str) -> float | None:
    if f"{which}_error" in figures:
        return float(figures[f"{which}_error"])
    if f"{which}_accuracy" in figures:
        return round(100 - float(figures[f"{which}_accuracy"]), 6)
    return None
