"""The catalogue as a table."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from msgspec import UnsetType
from msgspec.structs import replace

from gnet_inspect.analysis.choosing import Objective, objective_words
from gnet_inspect.analysis.listing import (
    NUMBERS,
    TEXTS,
    ListedModel,
    Listing,
    PublishedAccuracy,
    best_accuracy,
    known_values,
)
from gnet_inspect.analysis.memory import EXACT
from gnet_inspect.units import byte_count, count, dimensions
from gnet_inspect.views.grid import Column, Grid, Line
from gnet_inspect.views.text import field_text

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
# Totals that --columns may name, and that are shown where a choice goes by them.
MORE = (
    Column("flops", "FLOPs", number=True, keep=8),
    Column("param_bytes", "param bytes", number=True, keep=8),
    Column("activation_bytes", "activations", number=True, keep=8),
    Column("peak_activation_bytes", "peak", number=True, keep=8),
    Column("least_peak_activation_bytes", "least peak", number=True, keep=8),
    Column("receptive_field", "field", number=True, keep=8),
)
MARK = Column("pareto", "Pareto", keep=11)
# Errors stand small first, years and totals large first; a family by its years, so that its members stand together.
SORTS = (*TEXTS, *NUMBERS)
FALLING = tuple(name for name in NUMBERS if not name.endswith("_error"))


def sorted_listing(listing: Listing, column: str) -> Listing:
    """The models in the order of one column; those without a value come last."""

    def key(model: ListedModel) -> tuple[bool, Any]:
        if column == "family":
            return not model.family, (model.family, model.year or 0, model.model)
        value = known_values(model)[column]
        missing = value is None
        return missing, 0 if missing else -value if column in FALLING else value  # type: ignore[operator]  # numbers

    return replace(listing, models=tuple(sorted(listing.models, key=key)))


def listing_grid(listing: Listing, more: Collection[str] = ()) -> Grid:
    """One row for each model; of the totals that stand in no table as it is, those that are named are shown, too."""
    chosen = {each.name for each in listing.objectives} | {*more}
    name, *others = COLUMNS
    shown = (*([MARK] if listing.objectives else []), *others, *(each for each in MORE if each.exact in chosen))
    # What the choice goes by is the last to be dropped.
    columns = (name, *(replace(each, keep=MARK.keep) if each.exact in chosen else each for each in shown))
    lines = []
    for model in listing.models:
        texts, exact = _texts(model), _exact(model)
        cells = tuple(texts[column.exact] for column in columns)
        values = tuple(exact[column.exact] for column in columns)
        lines.append(Line(cells, values, "bold" if model.pareto is True else ""))
    return Grid(columns, tuple(lines), below=tuple(_notes(listing)), ways=("--columns", "--format csv"))


Mark = bool | UnsetType | None


def pareto_cells(mark: Mark) -> tuple[str, str | None]:
    """The mark of a model as tables show it, and as CSV does."""
    if mark is None or isinstance(mark, UnsetType):
        return ("?" if mark is None else ""), None
    return ("yes", "true") if mark else ("", "false")


def pareto_note(objectives: Sequence[Objective], marks: Sequence[Mark]) -> str:
    """What the marks say, and that some models have none because something of them is not known."""
    note = (
        f"Pareto: by {objective_words(objectives)}; yes where no other of these models is as good in all of that and "
        f"better in some: {marks.count(True)} of {len(marks)}"
    )
    return (
        f"{note}; ? where something of that is not known, and such a model does not compete" if None in marks else note
    )


def left_out(listing: Listing) -> list[str]:
    """Which models are not listed for want of a number."""
    notes = []
    if listing.undecided:
        notes.append(f"not listed, because something of them is not known: {', '.join(listing.undecided)}")
    if listing.unfit:
        names = ", ".join(each.model for each in listing.unfit)
        notes.append(f"not listed, because they cannot take the input (--format json says why): {names}")
    return notes


def _notes(listing: Listing) -> Iterator[str]:
    if listing.where:
        yield f"where {listing.where}"
    yield from left_out(listing)
    if listing.objectives:
        yield pareto_note(listing.objectives, [model.pareto for model in listing.models])
    own = isinstance(listing.unfit, UnsetType)
    where = "at each model's own input" if own else "at the input that is shown"
    yield (
        f"MACs of convolutions, linear layers and matrix products {where}; depth: convolutions and linear layers on "
        "the longest path."
    )
    yield ERRORS if own else f"{ERRORS} They are of each model at its own input."
    yield from dataset_notes(best_accuracy(model.published) for model in listing.models)


ERRORS = (
    "Errors are published ones, of one model on one crop of each image: those that name both and are of all of "
    "ImageNet, where there are such; of these the lowest. `--format json` has all."
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


def _texts(model: ListedModel) -> dict[str, str]:
    """What the table shows, by the name of the column."""
    totals = model.totals
    top1, top5, source = error_texts(best_accuracy(model.published))
    return {
        "model": model.model,
        "pareto": pareto_cells(model.pareto)[0],
        "title": model.title,
        "year": str(model.year or ""),
        "family": model.family,
        "input": dimensions(model.input),
        "params": count(totals.params),
        "macs": count(totals.macs),
        "depth": str(totals.depth),
        "top1_error": top1,
        "top5_error": top5,
        "source": source,
        "flops": count(totals.flops),
        "param_bytes": byte_count(totals.param_bytes),
        "activation_bytes": byte_count(totals.activation_bytes),
        "peak_activation_bytes": byte_count(totals.peak_activation_bytes)
        + ("" if totals.peak_activation_status == EXACT else "?"),
        "least_peak_activation_bytes": byte_count(totals.least_peak_activation_bytes),
        "receptive_field": field_text(totals.receptive_field, totals.receptive_field_status),
    }


def _exact(model: ListedModel) -> dict[str, object]:
    return {
        **known_values(model),
        "pareto": pareto_cells(model.pareto)[1],
        "input": dimensions(model.input),
        "source": error_texts(best_accuracy(model.published))[2] or None,
    }
