"""The catalogue with its totals. The fields are the JSON contract.

Totals of the built-in models are kept in specs/catalogue.json, each under the digest of its spec, so that listing
the whole family costs little more than reading it. A spec whose digest differs is computed anew, and a test computes
every record anew: what is kept is never stale.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from gnet_inspect.analysis.choosing import Known, Objective, best_first, pareto_marks
from gnet_inspect.analysis.memory import EXACT
from gnet_inspect.analysis.summary import StageSummary, Totals, summarize
from gnet_inspect.display import Shown
from gnet_inspect.errors import GnetError, some_of
from gnet_inspect.language import Spec, catalogue, load_spec, parse_spec
from gnet_inspect.language.catalogue import built_in_text, specs_folder
from gnet_inspect.language.model import Published
from gnet_inspect.ops import Shape
from gnet_inspect.records import SCHEMA_VERSION
from gnet_inspect.sources.spec import build_graph, edit_texts

if TYPE_CHECKING:
    from gnet_inspect.analysis.comparison import ComparedModel

# The kept totals lie beside the specs.
KEPT = "catalogue.json"


class PublishedAccuracy(Struct, frozen=True):
    """A published accuracy: errors in percent, accuracies turned into errors. `crops` is None where the source does not
    average crops but slides over whole images, or does not say. `overrides` and `input` are those of the network that
    it is of, where that is another one than the listed one: edits as --set takes them, an input with a batch of 1."""

    source: str
    dataset: str
    top1_error: float | None
    top5_error: float | None
    models: int
    crops: int | None
    overrides: tuple[str, ...] = ()
    input: tuple[int, ...] = ()


class ListedModel(Struct, frozen=True, omit_defaults=True):
    """One model of the catalogue, at its own input or at the one that was asked for."""

    model: str
    title: str
    year: int | None
    family: str
    input: tuple[int, ...]
    totals: Totals
    published: tuple[PublishedAccuracy, ...]
    stages: tuple[StageSummary, ...]
    # Whether no other of the listed models is better by all objectives, null where one is not known of it; JSON has the
    # key where there are objectives.
    pareto: bool | UnsetType | None = UNSET


class Unfit(Struct, frozen=True):
    """A model that is not listed, because it cannot take the input that was asked for."""

    model: str
    reason: str


class Listing(Shown, Struct, frozen=True, omit_defaults=True):
    """What `list --format json` prints. It has the keys behind `models` where they were asked for: the condition that
    all of these meet, the models of which it is `undecided` because something of them is not known, the objectives that
    their order and their marks come from, and the models that cannot take the input."""

    schema_version: int
    models: tuple[ListedModel, ...]
    where: str | UnsetType = UNSET
    undecided: tuple[str, ...] | UnsetType = UNSET
    objectives: tuple[Objective, ...] = ()
    unfit: tuple[Unfit, ...] | UnsetType = UNSET

    def _brief(self) -> str:
        return f"of {len(self.models)} models: {some_of(model.model for model in self.models)}"


class KeptModel(Struct, frozen=True):
    """A record of specs/catalogue.json: the digest of the spec's text, and what was listed of it."""

    digest: str
    listed: ListedModel


def list_catalogue() -> Listing:
    """Every built-in model, by name, with its totals at its own input and what its sources say of its accuracy."""
    kept = _kept()
    return Listing(SCHEMA_VERSION, tuple(_known(name, kept) for name in catalogue()))


def list_at(names: Iterable[str], input_of: Callable[[Spec], Mapping[str, Shape]]) -> Listing:
    """Built-in models at the inputs that `input_of` says of each by name, batch first. Whoever cannot take its own
    (`input_of` or the building of the network raises an error of this package's) is among the `unfit`."""
    models, unfit = [], []
    for name in names:
        spec = load_spec(name)
        try:
            models.append(_list_model(spec, input_of(spec)))
        except GnetError as error:
            unfit.append(Unfit(name, str(error)))
    return Listing(SCHEMA_VERSION, tuple(models), unfit=tuple(unfit))


def known_values(model: "ListedModel | ComparedModel", counted: bool = True) -> dict[str, float | str | None]:
    """What choices go by: a model's totals and best published errors by their JSON names, None where they are not
    known, and where a total is no more than a bound, as counts are unless all layers were `counted`."""
    totals, best = model.totals, best_accuracy(model.published)
    field, status = totals.receptive_field, totals.receptive_field_status
    return {
        "model": model.model,
        "title": model.title,
        "family": model.family,
        "year": model.year,
        "params": totals.params if counted else None,
        "macs": totals.macs if counted else None,
        "flops": totals.flops if counted else None,
        "param_bytes": totals.param_bytes if counted else None,
        "activation_bytes": totals.activation_bytes,
        "peak_activation_bytes": totals.peak_activation_bytes if totals.peak_activation_status == EXACT else None,
        "least_peak_activation_bytes": totals.least_peak_activation_bytes,
        "receptive_field": None if field is None or status in ("bound", "unknown") else min(field),
        "depth": totals.depth,
        "top1_error": best.top1_error if best else None,
        "top5_error": best.top5_error if best else None,
    }


# The keys of `known_values`: what conditions may ask for, and of these what objectives may.
TEXTS = ("model", "title", "family")
NUMBERS = (
    *("year", "params", "macs", "flops", "param_bytes", "activation_bytes", "peak_activation_bytes"),
    *("least_peak_activation_bytes", "receptive_field", "depth", "top1_error", "top5_error"),
)


def keep_where(listing: Listing, text: str, holds: Callable[[Known], bool | None]) -> Listing:
    """The models of which a condition holds, which `text` says."""
    held = [(model, holds(known_values(model))) for model in listing.models]
    return replace(
        listing,
        models=tuple(model for model, found in held if found),
        where=text,
        undecided=tuple(model.model for model, found in held if found is None),
    )


def mark_best(listing: Listing, objectives: Sequence[Objective]) -> Listing:
    """The models by the first objective, each with the mark whether no other is better by all of them."""
    known = list(map(known_values, listing.models))
    marks = pareto_marks(known, objectives)
    order = best_first(known, objectives[0])
    models = tuple(replace(listing.models[place], pareto=marks[place]) for place in order)
    return replace(listing, models=models, objectives=tuple(objectives))


def select_models(listing: Listing, families: tuple[str, ...] = (), pattern: str | None = None) -> Listing:
    """The models of some families (all, if none is named) whose name or title matches a glob pattern."""
    return replace(
        listing,
        models=tuple(
            model
            for model in listing.models
            if (not families or model.family in families)
            and (pattern is None or fnmatchcase(model.model, pattern) or fnmatchcase(model.title, pattern))
        ),
    )


def keep_catalogue() -> str:
    """The text of specs/catalogue.json, computed anew."""
    records = {}
    for name in catalogue():
        text, file = built_in_text(name)
        records[name] = KeptModel(_digest(text), _list_model(parse_spec(text, file), None))
    lines = (
        f"{msgspec.json.encode(name).decode()}: {msgspec.json.encode(record).decode()}"
        for name, record in records.items()
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


def accuracies(spec: Spec) -> tuple[PublishedAccuracy, ...]:
    """What the sources of a spec say of its accuracy, in their order."""
    return tuple(_accuracy(spec, published, published.accuracy) for published in spec.published if published.accuracy)


def best_accuracy(published: Iterable[PublishedAccuracy]) -> PublishedAccuracy | None:
    """The one to show: of the listed network, of one model on one crop of each image, with both errors and on whole
    ImageNet if there is such; of these the lowest top-5 error."""
    single = [item for item in published if item.models == item.crops == 1 and not (item.overrides or item.input)]
    return min(single, key=_rank, default=None)


def _rank(item: PublishedAccuracy) -> tuple[bool, bool, float]:
    incomplete = item.top1_error is None or item.top5_error is None
    error = item.top5_error if item.top5_error is not None else item.top1_error
    return incomplete, item.dataset != "ImageNet", 100.0 if error is None else error


def _kept() -> dict[str, KeptModel]:
    """The kept records; none where the file is missing or was written by another version of the records."""
    try:
        return msgspec.json.decode((specs_folder() / KEPT).read_bytes(), type=dict[str, KeptModel])
    except (OSError, msgspec.DecodeError):
        return {}


def _known(name: str, kept: dict[str, KeptModel]) -> ListedModel:
    text, file = built_in_text(name)
    record = kept.get(name)
    if record is not None and record.digest == _digest(text):
        return record.listed
    return _list_model(parse_spec(text, file), None)


def _digest(text: bytes) -> str:
    from hashlib import sha256

    # Line ends are the checkout's business.
    return sha256(text.replace(b"\r\n", b"\n")).hexdigest()


def _list_model(spec: Spec, inputs: Mapping[str, Shape] | None) -> ListedModel:
    summary = summarize(build_graph(spec, inputs))
    return ListedModel(
        spec.name,
        spec.title or spec.name,
        spec.year,
        spec.family,
        summary.input,
        summary.totals,
        accuracies(spec),
        summary.stages,
    )


def _accuracy(spec: Spec, published: Published, figures: Any) -> PublishedAccuracy:
    return PublishedAccuracy(
        published.source,
        figures["dataset"],
        _error(figures, "top1"),
        _error(figures, "top5"),
        figures.get("models", 1),
        figures.get("crops"),
        edit_texts(published.overrides),
        (1, *published.input) if published.input and published.input != spec.input else (),
    )


def _error(figures: Any, which: str) -> float | None:
    if f"{which}_error" in figures:
        return float(figures[f"{which}_error"])
    if f"{which}_accuracy" in figures:
        return round(100 - float(figures[f"{which}_accuracy"]), 6)
    return None
