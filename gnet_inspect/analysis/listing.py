"""The catalogue with its totals. The fields are the JSON contract.

Totals of the built-in models are kept in specs/catalogue.json, each under the digest of its spec, so that listing
the whole family costs little more than reading it. A spec whose digest differs is computed anew, and a test computes
every record anew: what is kept is never stale.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gnet_inspect.analysis.summary import StageSummary, Totals, summarize
from gnet_inspect.display import Shown
from gnet_inspect.errors import some_of
from gnet_inspect.language import Spec, catalogue, parse_spec
from gnet_inspect.language.catalogue import built_in_text, specs_folder
from gnet_inspect.language.model import Published
from gnet_inspect.records import SCHEMA_VERSION
from gnet_inspect.sources.spec import build_graph, edit_texts

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


class ListedModel(Struct, frozen=True):
    """One model of the catalogue, at its own input."""

    model: str
    title: str
    year: int | None
    family: str
    input: tuple[int, ...]
    totals: Totals
    published: tuple[PublishedAccuracy, ...]
    stages: tuple[StageSummary, ...]


class Listing(Shown, Struct, frozen=True):
    """What `list --format json` prints."""

    schema_version: int
    models: tuple[ListedModel, ...]

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
        records[name] = KeptModel(_digest(text), _list_model(parse_spec(text, file)))
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
    return _list_model(parse_spec(text, file))


def _digest(text: bytes) -> str:
    from hashlib import sha256

    # Line ends are the checkout's business.
    return sha256(text.replace(b"\r\n", b"\n")).hexdigest()


def _list_model(spec: Spec) -> ListedModel:
    summary = summarize(build_graph(spec))
    return ListedModel(
        spec.name,
        spec.title or spec.name,
        spec.year,
        spec.family,
        (1, *spec.input),
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
