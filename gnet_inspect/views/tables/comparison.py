"""Models side by side: a row for each, their ratios in words, and where parameters and MACs sit, as bars."""

from collections.abc import Sequence

from msgspec import UnsetType

from gnet_inspect.analysis.choosing import best_first
from gnet_inspect.analysis.comparison import ACCURACY, ComparedModel, Comparison, ModelRun, known_of
from gnet_inspect.analysis.listing import best_accuracy
from gnet_inspect.analysis.memory import EXACT
from gnet_inspect.records.runs import data_name
from gnet_inspect.units import byte_count, count, dimensions, percent
from gnet_inspect.views.grid import Column, Grid, Line
from gnet_inspect.views.tables.listing import MARK, dataset_notes, error_texts, pareto_cells, pareto_note
from gnet_inspect.views.tables.run import loss_text
from gnet_inspect.views.tables.summary import CONVENTION
from gnet_inspect.views.text import bar, field_text, unknown_names

FIELD_NAME = "receptive_field"
COLUMNS = (
    Column("model", "model"),
    Column("input", "input", keep=4),
    Column("params", "params", number=True),
    Column("params_ratio", "x", number=True, keep=12),
    Column("macs", "MACs", number=True),
    Column("macs_ratio", "x", number=True, keep=11),
    Column("activation_bytes", "activations", number=True, keep=5),
    Column("activation_bytes_ratio", "x", number=True, keep=3),
    Column("peak_activation_bytes", "peak", number=True, keep=8),
    Column("peak_activation_bytes_ratio", "x", number=True, keep=6),
    Column("least_peak_activation_bytes", "least peak", number=True, keep=1),
    Column("depth", "depth", number=True, keep=9),
    Column(FIELD_NAME, "field", number=True, keep=7),
    Column("top1_error", "top-1 err %", number=True, keep=2),
    Column("top5_error", "top-5 err %", number=True, keep=10),
)
# Where a model is a run: what training came to.
TRAINED = Column(ACCURACY, "accuracy", number=True, keep=13)
SORTS = (*COLUMNS, TRAINED)
# CSV has columns for what stands below the table.
STATUS = Column("receptive_field_status", "field is")
SOURCE = Column("source", "source of the errors")
RUN = tuple(Column(name, name) for name in ("data", "epochs", "of_epochs", "best_epoch", "val_loss"))
# A share as a bar: a cell is a twentieth.
BAR_CELLS = 20
BARS = (
    Column("stage", "stage"),
    Column("params", "params", number=True),
    Column("params_bar", "", keep=-2, bar=BAR_CELLS),
    Column("macs", "MACs", number=True),
    Column("macs_bar", "", keep=-1, bar=BAR_CELLS),
)
PEAK_CONVENTION = (
    "peak: what torch's forward pass holds at once, its input apart; "
    "least peak: if each tensor were freed after its last reader"
)
FIELD = "field: the receptive field before the spatial axes vanish, in pixels of the input"


def comparison_grids(comparison: Comparison, bars: bool = True, sort: str | None = None) -> list[Grid]:
    """The table, and the bars below it, by a column or the first objective. One model alone has no ratios."""
    alone = len(comparison.models) == 1
    inputs = {model.input for model in comparison.models}
    about = f"{_whose(inputs)}, {comparison.dtype}, {comparison.mode} mode"
    compared = (f"compared with {comparison.models[0].label}", f"{about}; x: times the baseline's")
    above = (*((about,) if alone else compared), CONVENTION, PEAK_CONVENTION, FIELD)
    columns = _columns(comparison)
    shown = [index for index, column in enumerate(columns) if not (alone and column.exact.endswith("_ratio"))]
    marked = bool(comparison.objectives)
    models = _in_order(comparison, sort)
    lines = []
    for model in models:
        texts, exact = (*_texts(model), _accuracy_text(model)), (*_exact(model)[:-1], _accuracy(model))
        cells, values = [texts[index] for index in shown], [exact[index] for index in shown]
        if marked:
            cell, value = pareto_cells(model.pareto)
            cells.insert(1, cell)
            values.insert(1, value)
        lines.append(Line(tuple(cells), tuple(values), "bold" if model.pareto is True else ""))
    heads = [columns[index] for index in shown]
    below = _sentences(comparison, inputs)
    if marked:
        heads.insert(1, MARK)
        below.insert(0, pareto_note(comparison.objectives, [model.pareto for model in comparison.models]))
    table = Grid(tuple(heads), tuple(lines), above, tuple(below), ("--format csv",))
    return [table, _bars(models)] if bars else [table]


def comparison_rows(comparison: Comparison, sort: str | None = None) -> Grid:
    """One row for each model, for CSV, in the order of a column or of the objectives."""
    marks = (MARK,) if comparison.objectives else ()
    runs = (TRAINED, *RUN) if _runs(comparison) else ()
    lines = []
    for model in _in_order(comparison, sort):
        trained = [getattr(model.run, column.exact, None) for column in runs]
        mark = [pareto_cells(model.pareto)[1] for _ in marks]
        lines.append(Line((), (*_exact(model), model.totals.receptive_field_status, *trained, *mark)))
    return Grid((*COLUMNS, SOURCE, STATUS, *runs, *marks), tuple(lines))


def _runs(comparison: Comparison) -> dict[str, ModelRun]:
    """What training came to, by the labels of the models that are runs."""
    return {model.label: model.run for model in comparison.models if not isinstance(model.run, UnsetType)}


def _columns(comparison: Comparison) -> tuple[Column, ...]:
    return SORTS if _runs(comparison) else COLUMNS


def _accuracy(model: ComparedModel) -> float | None:
    return None if isinstance(model.run, UnsetType) else model.run.accuracy


def _accuracy_text(model: ComparedModel) -> str:
    """With what it is of: accuracies on two sets of data are no two of a kind."""
    if isinstance(model.run, UnsetType):
        return ""
    accuracy = "none yet" if model.run.accuracy is None else f"{model.run.accuracy:.4f}"
    return f"{accuracy} on {data_name(model.run.data)}"


def _in_order(comparison: Comparison, sort: str | None) -> list[ComparedModel]:
    """The models by a column, numbers largest first but for errors, or else by the first objective, or as they came.
    What has no value comes last."""
    models = list(comparison.models)
    if sort is None:
        if not comparison.objectives:
            return models
        return [models[place] for place in best_first(list(map(known_of, models)), comparison.objectives[0])]
    place = next(index for index, column in enumerate(SORTS) if column.exact == sort)
    fields = {model.label: min(model.totals.receptive_field or (), default=None) for model in models}
    exact = {model.label: (*_exact(model)[:-1], _accuracy(model)) for model in models}
    values = {label: fields[label] if sort == FIELD_NAME else known[place] for label, known in exact.items()}
    known = [model for model in models if values[model.label] is not None]
    falling = SORTS[place].number and not sort.endswith("_error")
    known.sort(key=lambda model: values[model.label], reverse=falling)  # type: ignore[arg-type,return-value]  # of one kind
    return [*known, *(model for model in models if values[model.label] is None)]


def ratio_text(ratio: float | None) -> str:
    """At least three digits, and at most three behind the point.

    >>> ratio_text(19.769), ratio_text(0.9999), ratio_text(0.0617), ratio_text(1234.5), ratio_text(1e-7)
    ('19.8', '1.00', '0.062', '1,234', '<0.001')
    """
    if ratio is None:
        return ""
    if 0 < ratio < 0.0005:
        return "<0.001"
    for digits, below in ((3, 0.9995), (2, 9.995), (1, 99.95)):
        if ratio < below:
            return f"{ratio:.{digits}f}"
    return f"{ratio:,.0f}"


def _whose(inputs: set[tuple[int, ...]]) -> str:
    if len(inputs) == 1:
        return f"input {dimensions(next(iter(inputs)))}"
    return "each model at its own input"


def _field(model: ComparedModel) -> str:
    """What the output sees. An extent of 907 pixels, and that before a Linear that sees all, are no two of a kind."""
    status = model.totals.receptive_field_status
    return "whole image" if status == "all" else field_text(model.totals.receptive_field, status)


def _field_sentences(models: Sequence[ComparedModel]) -> list[str]:
    """What the column of fields compares, where some output sees the whole image by a layer over all positions."""
    whole = [model for model in models if model.totals.receptive_field_status == "all"]
    before = ", ".join(f"{field_text(model.totals.receptive_field, None)} in {model.label}" for model in whole)
    if not whole:
        return []
    return [f"field: of one output, a global pool included; before a layer over all positions it is {before}"]


def _texts(model: ComparedModel) -> tuple[str, ...]:
    totals, ratios = model.totals, model.ratios
    unknown = "?" if model.unknown else ""
    return (
        model.label,
        dimensions(model.input),
        count(totals.params) + unknown,
        ratio_text(ratios.params),
        count(totals.macs) + unknown,
        ratio_text(ratios.macs),
        byte_count(totals.activation_bytes),
        ratio_text(ratios.activation_bytes),
        byte_count(totals.peak_activation_bytes) + ("" if totals.peak_activation_status == EXACT else "?"),
        ratio_text(ratios.peak_activation_bytes),
        byte_count(totals.least_peak_activation_bytes),
        str(totals.depth),
        _field(model),
        *error_texts(best_accuracy(model.published))[:2],
    )


def _exact(model: ComparedModel) -> tuple[object, ...]:
    totals, ratios, best = model.totals, model.ratios, best_accuracy(model.published)
    return (
        model.label,
        dimensions(model.input),
        totals.params,
        ratios.params,
        totals.macs,
        ratios.macs,
        totals.activation_bytes,
        ratios.activation_bytes,
        totals.peak_activation_bytes,
        ratios.peak_activation_bytes,
        totals.least_peak_activation_bytes,
        totals.depth,
        field_text(model.totals.receptive_field, None) or None,
        *((best.top1_error, best.top5_error, error_texts(best)[2]) if best else (None, None, None)),
    )


def _sentences(comparison: Comparison, inputs: set[tuple[int, ...]]) -> list[str]:
    lines = []
    baseline = comparison.models[0].label
    for model in comparison.models[1:]:
        ratios = (
            (model.ratios.params, "the parameters"),
            (model.ratios.macs, "the MACs"),
            (model.ratios.peak_activation_bytes, "the peak of activations"),
        )
        parts = [f"{_roughly(ratio)} x {what}" for ratio, what in ratios if ratio is not None]
        lines.append(f"{model.label}: {', '.join(parts)} of {baseline}")
    lines += _field_sentences(comparison.models)
    best = {model.label: best_accuracy(model.published) for model in comparison.models}
    lines += [f"errors of {label}: {error_texts(found)[2]}" for label, found in best.items() if found]
    if any(best.values()):
        lines.append("errors are published ones, of each model as it is published, at its own input")
    lines += dataset_notes(best.values())
    lines += [f"{label}: {_run_words(run)}" for label, run in _runs(comparison).items()]
    if _runs(comparison):
        lines.append("accuracy: of the best epoch of a training run, on the images that it validates by")
    if len(inputs) > 1:
        same = len({shape[1] for shape in inputs}) == 1
        lines.append(f"inputs differ, and MACs and memory grow with them{'; --input puts all at one' if same else ''}")
    lines += [f"{model.label}: {unknown_names(model.unknown)}" for model in comparison.models if model.unknown]
    return lines


def _run_words(run: ModelRun) -> str:
    """What training came to, and whether it goes on."""
    done = f"trained for {run.epochs:,} of {run.of_epochs:,} epochs on {run.data}"
    done += "" if run.epochs >= run.of_epochs else ", not finished"
    if run.best_epoch is None or run.val_loss is None:
        return done
    return f"{done}; the best is epoch {run.best_epoch:,}, with a loss of {loss_text(run.val_loss)}"


def _roughly(ratio: float) -> str:
    """As one says it: "9.8 x"."""
    return f"{ratio:,.1f}" if ratio >= 1.95 else f"{ratio:.2f}" if ratio >= 0.095 else ratio_text(ratio)


def _bars(models: Sequence[ComparedModel]) -> Grid:
    """Each stage's share of its own model."""
    lines = []
    for index, model in enumerate(models):
        totals = model.totals
        unknown = "?" if model.unknown else ""
        head = (model.label, count(totals.params) + unknown, "", count(totals.macs) + unknown, "")
        lines.append(Line(head, style="bold", rule_above=index > 0))
        for stage in model.stages:
            cells = (
                f"  {stage.name}",
                f"{percent(stage.params, totals.params)} %",
                bar(stage.params, totals.params, BAR_CELLS),
                f"{percent(stage.macs, totals.macs)} %",
                bar(stage.macs, totals.macs, BAR_CELLS),
            )
            lines.append(Line(cells))
    return Grid(BARS, tuple(lines), above=("where the parameters and the MACs sit, stage by stage",))
