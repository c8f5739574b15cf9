"""`gnet-inspect check`: do networks keep their budgets?"""

import os
from collections.abc import Sequence
from pathlib import Path
from shlex import join
from typing import TYPE_CHECKING, Annotated

import typer

from gnet_inspect.cli import options
from gnet_inspect.errors import SpecError, UsageError, show, some_of

if TYPE_CHECKING:
    from gnet_inspect.analysis.summary import Summary
    from gnet_inspect.budgets.config import Budget, Config
    from gnet_inspect.budgets.judging import Before, Check, Explanation, Finding, Report, Where
    from gnet_inspect.budgets.limits import Limit
    from gnet_inspect.cli.bases import Asked, Base, Was
    from gnet_inspect.cli.models import Variant
    from gnet_inspect.graph import Graph
    from gnet_inspect.records.timing import Measurement

FORMATS = ("table", "json", "markdown", "github", "junit", "sarif")
UPDATE_FORMATS = ("table", "json", "markdown")
# So many parts are told of those that cost most.
MOST_PARTS = 5
# What --update leaves, in percent.
MARGIN = 5.0
MOST_MARGIN = 1000.0


def check(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL...]",
            help="The models of the config that are checked, all where none is named; with --max or --min any.",
            autocompletion=options.complete_model,
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="What has the budgets. Default: gnet-inspect.toml, or [tool.gnet-inspect] of pyproject.toml, here.",
            show_default=False,
        ),
    ] = None,
    most: Annotated[
        list[str] | None,
        typer.Option(
            "--max",
            metavar="NAME=AMOUNT",
            help="An upper limit without a config: params=7M, macs=1.6G, peak=7MB. May be given several times.",
            show_default=False,
        ),
    ] = None,
    least: Annotated[
        list[str] | None,
        typer.Option(
            "--min",
            metavar="NAME=AMOUNT",
            help="A lower limit without a config: receptive_field=224, coverage=100. May be given several times.",
            show_default=False,
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            "--base",
            metavar="REF|FILE",
            help="What the models were: a revision of git; or a file: what --format json wrote, or of one model its "
            "spec or FILE.graph.json. `change` and `latency` of a config are judged against it.",
            show_default=False,
        ),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="SHAPE",
            help="Without a config: 1x3x224x224 or 224, NAME=SHAPE for each of several. Default: the spec's own.",
            show_default=False,
        ),
    ] = None,
    mode: Annotated[
        str, typer.Option("--mode", metavar="eval|train", help="Without a config: train adds the auxiliary heads.")
    ] = "eval",
    dtype: Annotated[
        str,
        typer.Option(
            "--dtype", metavar="fp32|fp16|bf16|fp64|int8", help="Without a config: what bytes are counted in."
        ),
    ] = "fp32",
    update: Annotated[
        bool, typer.Option("--update", help="Write the limits that hold now, and a margin, into the config.")
    ] = False,
    margin: Annotated[
        float | None,
        typer.Option("--margin", metavar="PERCENT", help="The margin of --update. Default: 5.", show_default=False),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="Of what is broken the parts that grew, or without --base those that cost most."
        ),
    ] = False,
    style: Annotated[
        str, typer.Option("--format", metavar="|".join(FORMATS), help="How the result is written.")
    ] = "table",
    output: options.Output = None,
) -> None:
    """Do networks keep their budgets? Exits 1 where a limit is broken, or nobody knows whether it is kept.

    Limits stand in [[check]] tables of a config: docs/budgets.md. No torch is needed, but for `latency`. Where
    $GITHUB_STEP_SUMMARY is set, the result is appended there as Markdown, too.

    What its columns mean: gnet-inspect glossary --of check

    Example: gnet-inspect check --base origin/main --explain; without a config: gnet-inspect check googlenet --max
    params=7M
    """
    options.fitting_format(style, output, UPDATE_FORMATS if update else FORMATS)
    options.one_stdin(models or [])
    if margin is not None and not update:
        raise UsageError("--margin is what --update leaves, and there is no --update")
    if update:
        refused = {"--max": most, "--min": least, "--base": base, "--input": inputs, "--explain": explain}
        for flag, given in refused.items():
            if given:
                raise UsageError(f"{flag}: expected no --update beside it, which writes limits and judges none")
        _refuse_setting(inputs, mode, dtype)
        _update(models or [], config, _margin(margin), style, output)
        return
    by_flags = bool(most or least)
    if by_flags:
        found, asked = None, _asked_by_flags(models or [], config, most or [], least or [], (inputs, mode, dtype))
    else:
        _refuse_setting(inputs, mode, dtype)
        found = _config(config, models or [])
        asked = _asked_by_config(found, models or [])
    report = _judge(found, asked, base, explain)
    _emit(report, style, output)
    if not report.ok:
        raise typer.Exit(2 if any(one.error for one in report.checks) else 1)


# --- what is asked ---


def _asked_by_flags(
    models: list[str],
    config: Path | None,
    most: list[str],
    least: list[str],
    at: tuple[list[str] | None, str, str],
) -> "list[Asked]":
    """The models of the command line, each held to the limits of the flags."""
    from gnet_inspect.budgets.config import Budget
    from gnet_inspect.cli.bases import Asked
    from gnet_inspect.units import DTYPE_BYTES

    inputs, mode, dtype = at
    if config is not None:
        raise UsageError("--config: expected limits in a config, or by --max and --min, got both")
    if not models:
        raise UsageError("--max and --min: expected a MODEL to check. (gnet-inspect check MODEL --max params=7M)")
    options.one_of("--mode", mode, options.MODES)
    options.one_of("--dtype", dtype, tuple(DTYPE_BYTES))
    limits = tuple(
        _limit(flag, operator, text)
        for flag, operator, texts in (("--max", "<=", most), ("--min", ">=", least))
        for text in texts
    )
    budgets = [Budget(model, limits, tuple(inputs or ()), mode=mode, dtype=dtype) for model in models]
    return [Asked(budget, budget.model, _file_of(budget.model, Path())) for budget in budgets]


def _limit(flag: str, operator: str, text: str) -> "Limit":
    from gnet_inspect.budgets.limits import parse_limit

    name, equals, amount = text.partition("=")
    if not equals:
        raise UsageError(f"{flag}: expected NAME=AMOUNT, as params=7M, got {show(text)}")
    try:
        return parse_limit(name.strip(), f"{operator} {amount}")
    except UsageError as error:
        error.say_of(flag)
        raise


def _refuse_setting(inputs: list[str] | None, mode: str, dtype: str) -> None:
    """A config says itself at what its models are counted."""
    for flag, name, given in (
        ("--input", "input", bool(inputs)),
        ("--mode", "mode", mode != "eval"),
        ("--dtype", "dtype", dtype != "fp32"),
    ):
        if given:
            raise UsageError(f"{flag}: expected --max or --min beside it. (a config has `{name}` in its [[check]])")


def _first(models: list[str]) -> str:
    """How to come by limits; and what tells whether a spec is right, which people ask for by this word, too."""
    named = join(models) or "MODEL"
    return (
        'write gnet-inspect.toml with [[check]], model = "specs/mine.yaml" and params = "<= 7 M"; `gnet-inspect check '
        f"{named} --update` writes a first one, `gnet-inspect check {named} --max params=7M` needs none; `gnet-inspect "
        f"validate {named}` tells whether a spec is right"
    )


def _config(path: Path | None, models: list[str]) -> "Config":
    from gnet_inspect.budgets.config import find_config, read_config

    found = find_config(Path()) if path is None else read_config(path)
    if found is None:
        raise UsageError(
            f"expected budgets in gnet-inspect.toml or pyproject.toml, got neither here. ({_first(models)})"
        )
    return found


def _asked_by_config(config: "Config", models: list[str]) -> "list[Asked]":
    """The budgets of a config, those of some models where some are named. Raises UsageError where there are none."""
    asked = [_asked(budget, config) for budget in config.budgets]
    if models:
        asked = [one for model in dict.fromkeys(models) for one in _those_of(model, asked, config)]
    if not asked:
        raise UsageError(f"expected budgets in {show(str(config.path))}, got none. ({_first(models)})")
    for one in asked:
        if one.budget.limits_nothing:
            raise SpecError(
                f"expected limits of {show(one.budget.model)}, got none",
                file=str(config.path),
                line=one.budget.line,
                path=f"check.{one.budget.index}",
                hint="gnet-inspect check --update writes those that hold now",
            )
    return asked


def _those_of(model: str, asked: "list[Asked]", config: "Config") -> "list[Asked]":
    wanted = {budget.index for budget in config.of(model, _file_of(model, Path()))}
    found = [one for one in asked if one.budget.index in wanted]
    if not found:
        known = some_of(dict.fromkeys(show(one.budget.model) for one in asked)) or "none"
        raise UsageError(
            f"expected a model that {str(config.path)!r} has budgets of, got {show(model)}: it has {known}. "
            f"(gnet-inspect check {model} --update writes some)"
        )
    return found


def _asked(budget: "Budget", config: "Config") -> "Asked":
    """A budget with its model as it is read from where the command runs: paths in a config go out from its folder."""
    from gnet_inspect.cli.bases import Asked

    folder = config.path.parent
    path = _file_of(budget.model, folder)
    if path is not None:
        # Where it is the file of a name that a built-in model has, too, the folder before it says so.
        shown = os.path.relpath(path)
        return Asked(budget, shown if os.path.dirname(shown) else os.path.join(".", shown), path)
    file, colon, name = budget.model.partition(".py:")
    if colon:
        return Asked(budget, f"./{os.path.relpath(folder / f'{file}.py')}:{name}", None)
    return Asked(budget, budget.model, None)


def _file_of(model: str, folder: Path) -> Path | None:
    """The file that a MODEL is; None for a built-in name, a module in Python and standard input."""
    from gnet_inspect.cli.models import is_python
    from gnet_inspect.language import catalogue

    if model == "-" or model in catalogue() or is_python(model):
        return None
    return folder / model


# --- what is written ---


def _margin(margin: float | None) -> float:
    if margin is None:
        return MARGIN
    if not 0 <= margin <= MOST_MARGIN:
        raise UsageError(f"--margin: expected a share of 0 to {MOST_MARGIN:g} %, got {margin:g}")
    return margin


def _update(models: list[str], config: Path | None, margin: float, style: str, output: Path | None) -> None:
    """Write the limits that hold now: of the models named (new ones too), or of all that the config has."""
    from gnet_inspect.analysis.summary import summarize
    from gnet_inspect.budgets.config import FILES, find_config, parse_config, read_text
    from gnet_inspect.budgets.updating import Counted, update_text, updated_of
    from gnet_inspect.cli.output import emit_result, write_whole
    from gnet_inspect.views.tables.check import updated_grid

    existing = find_config(Path()) if config is None else None
    path = config or (existing.path if existing is not None else Path(FILES[0]))
    text = read_text(path) if config is not None or path.exists() else ""
    found = parse_config(text, path)
    asked = [_asked(budget, found) for budget in found.budgets]
    if models:
        asked = [one for model in dict.fromkeys(models) for one in _known_or_new(model, asked, found)]
    if not asked:
        raise UsageError(
            f"--update: expected a MODEL to write limits of, or a config that has some. ({_first(models)})"
        )
    counted = []
    for one in asked:
        (variant,) = options.read_variants([one.model], one.flags)
        counted.append(Counted(one.budget, summarize(variant.graph, one.budget.dtype)))
    after, changes = update_text(text, path, counted, margin)
    if after != text:
        write_whole(path, after)
    updated = updated_of(os.path.relpath(path), margin, changes)
    emit_result(updated, style, output, lambda: updated_grid(updated))


def _known_or_new(model: str, asked: "list[Asked]", config: "Config") -> "list[Asked]":
    """The budgets of a model, or one that its limits are written into, with the path that it has from the config."""
    from gnet_inspect.budgets.config import Budget
    from gnet_inspect.cli.bases import Asked

    if model == "-":
        raise UsageError("--update: expected a MODEL that stands in a config, got a spec on standard input")
    path = _file_of(model, Path())
    wanted = {budget.index for budget in config.of(model, path)}
    new = Asked(Budget(_seen_from(config.path.parent, model, path), (), index=-1), model, path)
    return [one for one in asked if one.budget.index in wanted] or [new]


def _seen_from(folder: Path, model: str, path: Path | None) -> str:
    """A MODEL as a config in a folder writes it."""
    file, colon, name = model.partition(".py:")
    if path is None and not colon:
        return model
    shown = Path(os.path.relpath(f"{file}.py" if path is None else path, folder)).as_posix()
    # As it is read again: a name alone may be that of a built-in model.
    shown = shown if "/" in shown else f"./{shown}"
    return shown if path is not None else f"{shown}:{name}"


# --- what is judged ---


def _judge(config: "Config | None", asked: "list[Asked]", base: str | None, explain: bool) -> "Report":
    from gnet_inspect.budgets.judging import report_of
    from gnet_inspect.cli.bases import open_base

    folder = config.path.parent if config is not None else Path()
    opened = open_base(base, asked, folder) if base is not None else None
    checks, explanations = [], []
    for one in asked:
        found, explained = _check(one, config, opened, explain)
        checks.append(found)
        explanations += [explained] if explained is not None else []
    shown = os.path.relpath(config.path) if config is not None else None
    return report_of(shown, base, tuple(checks), tuple(explanations))


def _check(
    asked: "Asked", config: "Config | None", base: "Base | None", explain: bool
) -> "tuple[Check, Explanation | None]":
    """One budget judged, and what its numbers come from."""
    from gnet_inspect.analysis.summary import summarize
    from gnet_inspect.budgets.judging import Check, amounts_of, judge_change, judge_limits
    from gnet_inspect.cli.bases import Was

    budget = asked.budget
    own = _own_place(budget, config)
    try:
        (variant,) = options.read_variants([asked.model], asked.flags)
    except (SpecError, UsageError) as error:
        return _unreadable(asked, error, own), None
    graph = variant.graph
    summary = summarize(graph, budget.dtype)
    was = Was(note="needs --base") if base is None else base.of(asked, graph)
    before = _before(was, graph, budget.dtype)
    findings = [*judge_limits(budget, summary, before), *judge_change(budget, summary, before)]
    if budget.latency is not None:
        findings.append(_judge_latency(asked, variant, was, budget.latency))
    totals, bounds = amounts_of(summary)
    check = Check(
        budget.model,
        all(finding.passes for finding in findings),
        graph.input_shape,
        budget.mode,
        budget.dtype,
        budget.message,
        tuple(_placed(finding, asked, variant, summary, before, own) for finding in findings),
        totals,
        bounds,
        where=own,
    )
    wanted = explain and (not check.ok or (before.graph is not None and before.graph != graph))
    return check, _explain(asked, variant, was, base) if wanted else None


def _own_place(budget: "Budget", config: "Config | None") -> "Where | None":
    from gnet_inspect.budgets.judging import Where

    if config is None or budget.line is None:
        return None
    return Where(_from_root(config.path), budget.line)


def _unreadable(asked: "Asked", error: SpecError | UsageError, own: "Where | None") -> "Check":
    """The check of a model that is none, said where its text is wrong."""
    from gnet_inspect.budgets.judging import Check, Where
    from gnet_inspect.cli import say_error

    say_error(error)
    where = own
    if isinstance(error, SpecError) and error.line is not None and asked.path is not None:
        where = Where(_from_root(asked.path), error.line, error.column or 1, error.path)
    fact = error.fact if isinstance(error, SpecError) else error.message
    budget = asked.budget
    return Check(budget.model, False, (), budget.mode, budget.dtype, budget.message, error=fact, where=where)


def _before(was: "Was", graph: "Graph", dtype: str) -> "Before":
    """What the model was whose network is `graph` now, counted."""
    from gnet_inspect.analysis.summary import summarize
    from gnet_inspect.budgets.judging import Before, amounts_of
    from gnet_inspect.units import dimensions

    if was.variant is None:
        return Before(was.check.totals, was.check.bounds) if was.check is not None else Before(note=was.note)
    then = was.variant.graph
    totals, bounds = amounts_of(summarize(then, dtype))
    differs = f"its input was {dimensions(then.input_shape)}" if then.input_shape != graph.input_shape else ""
    return Before(totals, bounds, then, differs)


def _from_root(path: Path) -> str:
    """A path from the root of what CI checked out, or else from here, as annotations name files."""
    full, root = Path(os.path.abspath(path)), os.environ.get("GITHUB_WORKSPACE")
    if root and full.is_relative_to(root):
        return full.relative_to(root).as_posix()
    return Path(os.path.relpath(full)).as_posix()


def _placed(
    finding: "Finding", asked: "Asked", variant: "Variant", summary: "Summary", before: "Before", own: "Where | None"
) -> "Finding":
    """What is broken with the place that it comes from: in the spec, else in the config. The spec is expanded anew only
    once something is broken."""
    from msgspec.structs import replace

    from gnet_inspect.budgets.places import culprit, in_file
    from gnet_inspect.language.places import places_of
    from gnet_inspect.sources.spec import expand_spec

    if finding.passes:
        return finding
    graph = variant.graph
    part = culprit(finding, graph, summary, before.graph)
    if variant.spec is None or asked.path is None:
        line = asked.budget.lines.get(finding.limit)
        return replace(finding, where=own and replace(own, line=line or own.line, part=part))
    calls = expand_spec(variant.spec, graph.named_inputs, mode=graph.mode).calls
    text = options.read_text(asked.model)[0].decode("utf-8-sig")
    return replace(finding, where=in_file(_from_root(asked.path), part, calls, places_of(text)))


def _judge_latency(asked: "Asked", variant: "Variant", was: "Was", bound: float) -> "Finding":
    """Base against head, in turns; nothing is measured where they are one network."""
    from gnet_inspect.budgets.judging import KEPT, judge_latency, latency_not_judged
    from gnet_inspect.cli.models import FILES

    if was.variant is None:
        note = was.note or "a report has no network to measure: name a revision, or the spec that it was"
        return latency_not_judged(bound, note)
    if asked.model.endswith(tuple(FILES)) or was.variant.spec is None:
        return latency_not_judged(bound, "a network's file is not run")
    if was.variant.graph == variant.graph:
        return latency_not_judged(bound, "the same network: nothing to measure", KEPT)
    base, head = _measure((was.variant, variant), asked.budget)
    return judge_latency(bound, base, head)


def _measure(variants: "Sequence[Variant]", budget: "Budget") -> "Sequence[Measurement]":
    from gnet_inspect.cli.latency import need_torch

    need_torch("check: `latency`")
    import torch

    from gnet_inspect.cli.progress import show_progress
    from gnet_inspect.runtime.latency import Job, Protocol, time_networks
    from gnet_inspect.runtime.latency.setting import Setting, pick_device

    setting = Setting(pick_device("auto"), budget.dtype, mode=budget.mode, threads=torch.get_num_threads())
    jobs = [Job(variant.graph, setting, variant.traced) for variant in variants]
    protocol = Protocol()
    with show_progress(len(jobs) * protocol.min_time) as progress:
        return time_networks(jobs, protocol, progress).results


def _explain(asked: "Asked", variant: "Variant", was: "Was", base: "Base | None") -> "Explanation":
    from gnet_inspect.analysis.comparison import compare_models
    from gnet_inspect.analysis.summary import summarize
    from gnet_inspect.budgets.judging import Explanation, parts_of

    budget = asked.budget
    if was.variant is None or base is None:
        return Explanation(
            budget.model, parts=parts_of(variant.graph, summarize(variant.graph, budget.dtype), MOST_PARTS)
        )
    names = [f"{budget.model} at {base.name}", budget.model]
    both = [(was.variant.spec, was.variant.graph), (variant.spec, variant.graph)]
    return Explanation(budget.model, compare_models(both, budget.dtype, diff=True, names=names))


# --- what is told ---


def _emit(report: "Report", style: str, output: Path | None) -> None:
    """The report in the format that was asked for, and as Markdown where a job's summary is written."""
    from gnet_inspect.cli.output import emit, emit_result
    from gnet_inspect.views.tables.check import check_grids

    if style in UPDATE_FORMATS:
        emit_result(report, style, output, lambda: check_grids(report))
    else:
        emit(_drawn(report, style), output)
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        _append_summary(report, summary)


def _drawn(report: "Report", style: str) -> str:
    """The report for a program that runs checks."""
    from gnet_inspect import __version__
    from gnet_inspect.views.ci.github import draw_annotations
    from gnet_inspect.views.ci.junit import draw_junit
    from gnet_inspect.views.ci.sarif import draw_sarif

    if style == "github":
        return draw_annotations(report)
    return draw_junit(report) if style == "junit" else draw_sarif(report, __version__)


def _append_summary(report: "Report", file: str) -> None:
    """Add the report to what a job of GitHub's shows when it ends: that needs no token, in a fork neither."""
    from gnet_inspect.cli.output import say
    from gnet_inspect.views.grid import draw_markdown
    from gnet_inspect.views.tables.check import check_grids

    try:
        with open(file, "a", encoding="utf-8") as summary:
            summary.write("\n".join(map(draw_markdown, check_grids(report))) + "\n")
    except OSError as error:
        # The verdict stands without it, and is worth more.
        say(f"warning: cannot write to $GITHUB_STEP_SUMMARY, {file!r}: {error.strerror}")
