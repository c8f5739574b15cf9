"""The first screen of a report: each model's figures beside the others', as bars, and what is remarkable of them."""

from collections.abc import Sequence

from msgspec import Struct, UnsetType

from gnet_inspect.analysis.comparison import ComparedModel
from gnet_inspect.analysis.listing import best_accuracy
from gnet_inspect.analysis.memory import EXACT
from gnet_inspect.analysis.remarks import error_differences, multiples, remarks
from gnet_inspect.analysis.reporting import Report
from gnet_inspect.analysis.summary import Totals
from gnet_inspect.records.runs import data_name
from gnet_inspect.units import byte_count, count
from gnet_inspect.views.pages.measured import MeasuredFigures, measured_figures
from gnet_inspect.views.pages.remarks import comparing_sentences, sentence
from gnet_inspect.views.text import clip, field_text, line_of

# What a title says in brackets is left out where the rest tells models apart.
MOST_NAME, MOST_DETAIL, MOST_SENTENCE = 40, 60, 240
AT_LEAST = "\N{GREATER-THAN OR EQUAL TO} "


class Figure(Struct, frozen=True):
    """A model's figure: what it is, in words beside it, and its part (0 to 1) of the largest; None for no bar."""

    name: str
    text: str
    detail: str
    part: float | None


class Panel(Struct, frozen=True):
    """One thing that models are compared by: a word of the glossary, its title, and a figure for each model."""

    term: str
    title: str
    figures: tuple[Figure, ...]


class Measured(Struct, frozen=True):
    """The panels of what was measured, and what is to be said of all of them."""

    about: str
    panels: tuple[Panel, ...]


class Amount(Struct, frozen=True):
    """A figure before it is compared: its amount, None where there is none."""

    amount: float | None
    text: str
    detail: str = ""


class Noted(Struct, frozen=True):
    """What stands out of one model, in sentences."""

    name: str
    sentences: tuple[str, ...]


def model_names(report: Report) -> list[str]:
    """What the page calls its models in sentences: their titles, without what these say in brackets, where that tells
    them apart and nothing was edited; else their labels."""
    titles = [model.title.partition(" (")[0] for model in report.comparison.models]
    edited = any(model.overrides for model in report.comparison.models)
    labels = [model.label for model in report.comparison.models]
    plain = len(set(titles)) == len(titles) and all(titles) and not edited
    return [line_of(name, MOST_NAME) for name in (titles if plain else labels)]


def panels(report: Report) -> list[Panel]:
    """The figures that are known of every network."""
    models, names = report.comparison.models, model_names(report)
    field = [_field(model.totals) for model in models]
    found = [
        ("params", "Parameters", [_params(model) for model in models]),
        ("macs", "MACs", [_macs(model) for model in models]),
        ("peak", "Peak of activations", [_peak(model.totals) for model in models]),
        ("depth", "Depth", [Amount(model.totals.depth, f"{model.totals.depth} layers") for model in models]),
        ("field", "Receptive field", field),
    ]
    which, errors = _errors(models)
    if any(error.amount is not None for error in errors):
        found.insert(3, (which.replace("-", ""), f"Published {which} error", errors))
    if accuracies := _accuracies(models):
        found.insert(3, ("accuracy", "Accuracy after training", accuracies))
    return [_panel(term, title, names, amounts) for term, title, amounts in found]


def measured(report: Report) -> Measured:
    """The figures that were measured, of the models that were; no panels where none was."""
    every = [
        (name, found)
        for name, model in zip(model_names(report), report.models, strict=True)
        if (found := measured_figures(model)) is not None
    ]
    names = [name for name, _ in every]
    said = {found.what for _, found in every}
    # What is the same of all is said once.
    about = said.pop() if len(said) == 1 else ""
    parts = (
        (
            "median",
            "Median latency",
            [Amount(found.seconds, found.median, "" if about else found.what) for _, found in every],
        ),
        ("rate", "Images per second", [Amount(found.images, found.rate) for _, found in every]),
        (
            "reached",
            "Share of the roofline",
            [Amount(found.share, found.reached, _warned(found)) for _, found in every],
        ),
    )
    shown = (
        _panel(term, title, names, amounts)
        for term, title, amounts in parts
        if any(amount.amount is not None for amount in amounts)
    )
    return Measured(about, tuple(shown))


def lede(report: Report) -> list[str]:
    """How the models compare with the first, in sentences."""
    names = dict(zip((model.label for model in report.comparison.models), model_names(report), strict=True))
    return comparing_sentences(multiples(report.comparison), error_differences(report.comparison), names)


def noted(report: Report) -> list[Noted]:
    """What stands out of each model."""
    found = []
    for name, model in zip(model_names(report), report.models, strict=True):
        described = {node.name: node.describe() for node in model.graph.nodes}
        facts = remarks(model.graph, model.summary)
        found.append(
            Noted(name, tuple(line_of(sentence(fact, described.__getitem__), MOST_SENTENCE) for fact in facts))
        )
    return [each for each in found if each.sentences]


def _panel(term: str, title: str, names: Sequence[str], amounts: Sequence[Amount]) -> Panel:
    known = [amount.amount for amount in amounts if amount.amount is not None]
    # One figure alone is the largest of all: a bar would say nothing.
    compared = max(known) if len(known) > 1 else None
    figures = (
        Figure(
            name,
            amount.text,
            amount.detail,
            amount.amount / compared if compared and amount.amount is not None else None,
        )
        for name, amount in zip(names, amounts, strict=True)
    )
    return Panel(term, title, tuple(figures))


def _params(model: ComparedModel) -> Amount:
    totals = model.totals
    return Amount(totals.params, _least(model) + count(totals.params), byte_count(totals.param_bytes))


def _macs(model: ComparedModel) -> Amount:
    return Amount(model.totals.macs, _least(model) + count(model.totals.macs), f"{count(model.totals.flops)} FLOPs")


def _least(model: ComparedModel) -> str:
    return AT_LEAST if model.unknown else ""


def _peak(totals: Totals) -> Amount:
    least = "" if totals.peak_activation_status == EXACT else AT_LEAST
    where = f"at {clip(totals.peak_node, MOST_DETAIL)}"
    return Amount(totals.peak_activation_bytes, least + byte_count(totals.peak_activation_bytes), where)


def _field(totals: Totals) -> Amount:
    """What one output sees. That before a layer over all positions is no extent of the output's: it is told beside."""
    status, size = totals.receptive_field_status, totals.receptive_field
    if status == "unknown" or not size:
        return Amount(None, "unknown" if status == "unknown" else "none")
    if status == "all":
        return Amount(None, "whole image", f"{field_text(size, None)} px before a layer over all positions")
    return Amount(max(size), f"{field_text(size, status)} px")


def _errors(models: Sequence[ComparedModel]) -> tuple[str, list[Amount]]:
    """Of the two errors the one that more models have, top-5 where both are as many."""
    best = [best_accuracy(model.published) for model in models]
    top5, top1 = ([getattr(item, name) if item else None for item in best] for name in ("top5_error", "top1_error"))
    errors = top1 if sum(error is not None for error in top1) > sum(error is not None for error in top5) else top5
    amounts = [
        Amount(error, "none" if error is None else f"{error:.2f} %", item.dataset if item and error is not None else "")
        for error, item in zip(errors, best, strict=True)
    ]
    return ("top-1" if errors is top1 else "top-5"), amounts


def _accuracies(models: Sequence[ComparedModel]) -> list[Amount]:
    """What runs came to; nothing where no model is one. On several sets of data no bar compares them."""
    data = {model.run.data for model in models if not isinstance(model.run, UnsetType)}
    return [_accuracy(model, len(data) == 1) for model in models] if data else []


def _accuracy(model: ComparedModel, compared: bool) -> Amount:
    if isinstance(model.run, UnsetType):
        return Amount(None, "none")
    accuracy = model.run.accuracy
    text = "none yet" if accuracy is None else f"{accuracy:.4f}"
    return Amount(accuracy if compared else None, text, f"on {line_of(data_name(model.run.data), MOST_DETAIL)}")


def _warned(found: MeasuredFigures) -> str:
    return "above it: a peak is too low, or a cache helped" if found.share is not None and found.share > 1 else ""
