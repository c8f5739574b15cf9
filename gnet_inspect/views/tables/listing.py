"""The catalogue as a table."""

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from gnet_inspect.analysis.listing import ListedModel, Listing, PublishedAccuracy, best_accuracy
from gnet_inspect.units import count, dimensions
from gnet_inspect.views.grid import Column, Grid, Line

COLUMNS = (
    Column("model", "model"),
    Column("title", "title", keep=4),
    Column("year", "year", number=True, keep=6),
    Column("family", "family", keep=2),
    Column("input", "input", keep=3),
    Column("params", "params", number=True, keep=10),
    Column("macs", "MACs", number=True, keep=9),
    Column("depth", "depth", number=True, keep=5),
    Column("top1_error", "top-1 err %", number=True, keep=7),
    Column("top5_error", "top-5 err %", number=True, keep=8),
    Column("source", "source of the errors", keep=1, widest=100),
)
SORTS = ("model", "title", "year", "family", "params", "macs", "depth", "top1_error", "top5_error")
# Large networks and late years first, small errors first; a family by its years, so that its members stand together.
FALLING = ("year", "params", "macs", "depth")


def sorted_listing(listing: Listing, column: str) -> Listing:
    """The models in the order of one column; those without a value come last."""

    def key(model: ListedModel) -> tuple[bool, Any]:
        if column == "family":
            return not model.family, (model.family, model.year or 0, model.model)
        value = _exact(model)[column]
        missing = value is None
        return missing, 0 if missing else -value if column in FALLING else value  # type: ignore[operator]  # numbers

    return replace(listing, models=tuple(sorted(listing.models, key=key)))


def listing_grid(listing: Listing) -> Grid:
    """One row for each model."""
    notes = dataset_notes(best_accuracy(model.published) for model in listing.models)
    return Grid(
        COLUMNS,
        tuple(Line(_texts(model), tuple(_exact(model).values())) for model in listing.models),
        below=(*NOTES, *notes),
        ways=("--columns", "--format csv"),
    )


ERRORS = (
    "Errors are published ones, of one model on one crop of each image: those that name both and are of all of "
    "ImageNet, where there are such; of these the lowest. `--format json` has all."
)
NOTES = (
    (
        "MACs of convolutions, linear layers and matrix products at each model's own input; depth: convolutions and "
        "linear layers on the longest path."
    ),
    ERRORS,
)
ELSEWHERE = "*"


def error_texts(best: PublishedAccuracy | None) -> tuple[str, str, str]:
    """(top-1, top-5, source) of a published accuracy as tables show them; those of other images than ImageNet's whole
    validation set have a mark."""
    if best is None:
        return "", "", ""
    whole = best.dataset == "ImageNet"
    top1, top5 = (
        "" if error is None else f"{error:.2f}{'' if whole else ELSEWHERE}"
        for error in (best.top1_error, best.top5_error)
    )
    return top1, top5, best.source if whole else f"{best.source} ({best.dataset})"


def dataset_notes(found: Iterable[PublishedAccuracy | None]) -> list[str]:
    """What the mark of `error_texts` stands for, where a table has it."""
    others = dict.fromkeys(best.dataset for best in found if best and best.dataset != "ImageNet")
    return [f"{ELSEWHERE} {', '.join(others)}"] if others else []


def _texts(model: ListedModel) -> tuple[str, ...]:
    totals = model.totals
    return (
        model.model,
        model.title,
        str(model.year or ""),
        model.family,
        dimensions(model.input),
        count(totals.params),
        count(totals.macs),
        str(totals.depth),
        *error_texts(best_accuracy(model.published)),
    )


def _exact(model: ListedModel) -> dict[str, object]:
    best = best_accuracy(model.published)
    return {
        "model": model.model,
        "title": model.title,
        "year": model.year,
        "family": model.family,
        "input": dimensions(model.input),
        "params": model.totals.params,
        "macs": model.totals.macs,
        "depth": model.totals.depth,
        "top1_error": best.top1_error if best else None,
        "top5_error": best.top5_error if best else None,
        "source": error_texts(best)[2] or None,
    }
