"""Models side by side, each against a baseline. The fields are the JSON contract."""

from collections import Counter
from collections.abc import Sequence

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from gnet_inspect.analysis.choosing import Known, Objective, pareto_marks
from gnet_inspect.analysis.difference import Change, difference
from gnet_inspect.analysis.listing import PublishedAccuracy, accuracies, known_values
from gnet_inspect.analysis.memory import EXACT
from gnet_inspect.analysis.summary import StageSummary, Summary, Totals, summarize
from gnet_inspect.display import Shown
from gnet_inspect.errors import UsageError, show, some_of
from gnet_inspect.graph import Graph
from gnet_inspect.language import Spec
from gnet_inspect.records import SCHEMA_VERSION
from gnet_inspect.records.runs import Run

# Ratios of what is not known where nobody can count some layer.
COUNTED = ("params", "macs", "flops", "param_bytes")
# What runs are chosen by beside totals.
ACCURACY = "accuracy"


class Ratios(Struct, frozen=True):
    """A model's totals over the baseline's; None where the baseline has nothing of it, or where nobody can count some
    layer of one of the two. A peak that is only a bound has no ratio either."""

    params: float | None
    macs: float | None
    flops: float | None
    param_bytes: float | None
    activation_bytes: float | None
    peak_activation_bytes: float | None
    depth: float | None


class ModelRun(Struct, frozen=True):
    """What a run has come to: on which data, after how many epochs of how many, and the accuracy (from 0 to 1) and the
    loss of the best one on the images that it validates by; None before the first epoch."""

    data: str
    epochs: int
    of_epochs: int
    best_epoch: int | None
    accuracy: float | None
    val_loss: float | None


class ComparedModel(Struct, frozen=True, omit_defaults=True):
    """One model at its input. `label` tells it apart from the others: its name and edits, and where that does not do,
    what it was called by. `unknown` are layers that nobody can count, which the totals lack."""

    model: str
    label: str
    overrides: tuple[str, ...]
    title: str
    year: int | None
    family: str
    input: tuple[int, ...]
    totals: Totals
    ratios: Ratios
    published: tuple[PublishedAccuracy, ...]
    stages: tuple[StageSummary, ...]
    unknown: tuple[str, ...]
    # Whether no other of the models is better by all objectives, null where one is not known of it; JSON has the key
    # where there are objectives.
    pareto: bool | UnsetType | None = UNSET
    # What training came to; JSON has the key of a model that is a run.
    run: ModelRun | UnsetType = UNSET


class Comparison(Shown, Struct, frozen=True, omit_defaults=True):
    """What `compare --format json` prints. `baseline` is the first of the models."""

    schema_version: int
    baseline: str
    mode: str
    dtype: str
    models: tuple[ComparedModel, ...]
    # How the second model differs from the first, part by part; JSON has the key where that was asked for.
    diff: tuple[Change, ...] | None = None
    # What the marks come from; JSON has the key where there are such.
    objectives: tuple[Objective, ...] = ()

    def _brief(self) -> str:
        names = some_of(" ".join([model.model, *model.overrides]) for model in self.models)
        if self.diff is None:
            return f"of {names}"
        return f"of {names}: {sum(change.status != 'same' for change in self.diff):,} parts differ"


def compare_models(
    variants: Sequence[tuple[Spec | None, Graph]],
    dtype: str = "fp32",
    *,
    diff: bool = False,
    names: Sequence[str] | None = None,
    runs: Sequence[Run | None] = (),
) -> Comparison:
    """Two or more models, the first of them the baseline; with `diff` exactly two, aligned part by part. A graph that
    comes from elsewhere has None for a spec, and nothing published.

    `names` are what the models were called by (built-in names or paths), for those that have the same name inside;
    `runs` what training came to, None for a model that is no run. Raises UsageError for fewer (or, with `diff`, more)
    than two, and for graphs of both modes.

    >>> from gnet_inspect import build_graph, load_spec
    >>> specs = [load_spec("googlenet"), load_spec("vgg16")]
    >>> comparison = compare_models([(spec, build_graph(spec)) for spec in specs])
    >>> round(comparison.models[1].ratios.params, 1)
    19.8
    """
    if len(variants) < 2:
        raise UsageError(f"expected two models to compare, got {len(variants)}")
    if diff and len(variants) > 2:
        raise UsageError(f"expected two models for a diff, got {len(variants)}")
    if len({graph.mode for _, graph in variants}) > 1:
        raise UsageError("expected graphs of one mode to compare, got eval and train")
    return side_by_side(variants, dtype, names, diff=diff, runs=runs)


def side_by_side(
    variants: Sequence[tuple[Spec | None, Graph]],
    dtype: str,
    names: Sequence[str] | None = None,
    *,
    diff: bool = False,
    runs: Sequence[Run | None] = (),
) -> Comparison:
    """The same of any number of models, one alone too, whose graphs are known to fit."""
    summaries = [summarize(graph, dtype) for _, graph in variants]
    labels = _labels([graph.variant for _, graph in variants], names or [_called(*each) for each in variants])
    models = tuple(
        ComparedModel(
            summary.model,
            label,
            graph.overrides,
            summary.title,
            spec.year if spec else None,
            spec.family if spec else "",
            summary.input,
            summary.totals,
            _ratios(summary, summaries[0]),
            # What is published is about the model as it is, trained by who published it.
            accuracies(spec) if spec and not graph.overrides and run is None else (),
            summary.stages,
            summary.coverage.unknown,
            run=UNSET if run is None else _model_run(run),
        )
        for label, summary, (spec, graph), run in zip(
            labels, summaries, variants, runs or [None] * len(variants), strict=True
        )
    )
    changes = difference(variants[0][1], variants[1][1]) if diff else None
    return Comparison(SCHEMA_VERSION, models[0].model, summaries[0].mode, dtype, models, changes)


def known_of(model: ComparedModel) -> Known:
    """What choices go by of one of the models, by JSON name."""
    accuracy = None if isinstance(model.run, UnsetType) else model.run.accuracy
    return {**known_values(model, counted=not model.unknown), ACCURACY: accuracy}


def mark_compared(comparison: Comparison, objectives: Sequence[Objective]) -> Comparison:
    """The models in their order, which begins with the baseline, each with the mark whether no other is better by all
    objectives."""
    marks = pareto_marks(list(map(known_of, comparison.models)), objectives)
    models = (replace(model, pareto=mark) for model, mark in zip(comparison.models, marks, strict=True))
    return replace(comparison, models=tuple(models), objectives=tuple(objectives))


def check_choice(comparison: Comparison, flag: str) -> None:
    """Raise UsageError where accuracies cannot order these models: where none is a run, or where they are of several
    sets of data."""
    runs = [model.run for model in comparison.models if not isinstance(model.run, UnsetType)]
    data = dict.fromkeys(run.data for run in runs)
    if not runs:
        raise UsageError(
            f"{flag} {ACCURACY}: expected a run among the models, got none. (gnet-inspect train makes one)"
        )
    if len(data) > 1:
        raise UsageError(f"{flag} {ACCURACY}: expected runs on the same data, got {some_of(map(show, data))}")


def _model_run(run: Run) -> ModelRun:
    best = (None, None, None) if run.best is None else (run.best.epoch, run.best.val_accuracy, run.best.val_loss)
    return ModelRun(run.recipe.data, run.done, run.recipe.epochs, *best)


def _called(spec: Spec | None, graph: Graph) -> str:
    return spec.file if spec else graph.model


def _labels(variants: Sequence[str], names: Sequence[str]) -> list[str]:
    """What tells the models apart: a spec and its edited copy may have the same name, and one may be given twice."""
    times = Counter(variants)
    labels = [
        f"{variant} ({'built-in' if name == variant else name})" if times[variant] > 1 else variant
        for variant, name in zip(variants, names, strict=True)
    ]
    times = Counter(labels)
    seen: Counter[str] = Counter()
    for index, label in enumerate(labels):
        seen[label] += 1
        labels[index] = f"{label} #{seen[label]}" if times[label] > 1 else label
    return labels


def _ratios(summary: Summary, baseline: Summary) -> Ratios:
    totals, others = summary.totals, baseline.totals
    unknown = set(COUNTED) if summary.coverage.unknown or baseline.coverage.unknown else set()
    if not totals.peak_activation_status == others.peak_activation_status == EXACT:
        unknown.add("peak_activation_bytes")
    return Ratios(
        *(
            None if name in unknown else _ratio(getattr(totals, name), getattr(others, name))
            for name in Ratios.__struct_fields__
        )
    )


def _ratio(value: int, to: int) -> float | None:
    return value / to if to else None
