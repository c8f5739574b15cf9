"""`gnet-inspect compare`: models side by side, or how one differs from another."""

from functools import partial
from typing import Annotated

import typer

from gnet_inspect.cli import options
from gnet_inspect.errors import UsageError

BASELINE = "googlenet"


def compare(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="Built-in names, paths of specs or folders of runs; the first is the baseline. One alone is compared "
            "with googlenet, or, with --set, with itself as it is.",
            autocompletion=options.complete_model,
            show_default=False,
        ),
    ],
    diff: Annotated[
        bool, typer.Option("--diff", help="How the second of two models differs from the first, part by part.")
    ] = False,
    depth: Annotated[
        str | None,
        typer.Option(
            "--depth", metavar="block|layer", help="How far --diff opens. Default: block.", show_default=False
        ),
    ] = None,
    bars: Annotated[
        bool, typer.Option("--bars/--no-bars", help="Where parameters and MACs sit, stage by stage.")
    ] = True,
    sort: Annotated[
        str | None,
        typer.Option(
            "--sort",
            metavar="COLUMN",
            help="Order the models by a column's JSON name, such as macs; numbers largest first, errors smallest. The "
            "baseline stays the first that is given.",
            show_default=False,
        ),
    ] = None,
    minimize: options.Minimize = None,
    maximize: options.Maximize = None,
    inputs: options.Input = None,
    batch: options.Batch = None,
    mode: options.Mode = "eval",
    edits: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUE",
            help="Compare the one MODEL that is given with itself, edited so. May be given several times.",
            show_default=False,
        ),
    ] = None,
    frozen: options.Freeze = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
            metavar="LAYER",
            help="The one MODEL that is given, and its edited copy, up to a layer, block, list or stage alone.",
            show_default=False,
        ),
    ] = None,
    dtype: options.Dtype = "fp32",
    resize: options.Resize = False,
    arguments: options.Arguments = None,
    function: options.Function = None,
    style: options.Format = "table",
    output: options.Output = None,
) -> None:
    """Models side by side: parameters, MACs, memory, depth, errors.

    Each is at its own input, unless --input puts all at one. With --diff two variants are aligned block by block: what
    was added, removed and changed, and what that does to the numbers.

    What its columns mean: gnet-inspect glossary --of compare

    Example: gnet-inspect compare googlenet alexnet vgg16; what 1x1 reductions save: gnet-inspect compare googlenet
    googlenet_naive
    """
    from gnet_inspect.analysis.comparison import ACCURACY, check_choice, compare_models, mark_compared
    from gnet_inspect.analysis.listing import NUMBERS
    from gnet_inspect.cli.output import emit_result
    from gnet_inspect.units import DTYPE_BYTES
    from gnet_inspect.views.grid import check_columns
    from gnet_inspect.views.tables.comparison import SORTS, comparison_grids, comparison_rows
    from gnet_inspect.views.tables.difference import DEPTHS, difference_grid, difference_rows

    options.table_format(style, output)
    options.one_of("--dtype", dtype, tuple(DTYPE_BYTES))
    opened = options.one_of("--depth", depth or "block", DEPTHS)
    if depth is not None and not diff:
        raise UsageError("--depth says how far --diff opens, and there is no --diff")
    check_columns("--sort", [sort] if sort else [], SORTS)
    objectives = options.read_objectives(minimize, maximize, (*NUMBERS, ACCURACY))
    if diff and (sort or objectives):
        flag = "--sort" if sort else "--minimize" if minimize is not None else "--maximize"
        raise UsageError(f"{flag} orders models, and --diff has the parts of two. (leave out one of them)")
    if until is not None and len(models) > 1:
        raise UsageError(f"--until: expected one model to cut, got {len(models)} models")
    names = _name_models(models, bool(edits))
    # The baseline that nobody gave stays whole.
    added = names[:1] if until is not None and not edits else []
    flags = options.Flags(inputs, batch, mode, edits, resize, frozen, until, arguments, function)
    variants = options.read_variants(added, flags._replace(edits=None, until=None))
    variants += options.read_variants(names[len(added) :], flags)
    runs = [variant.run for variant in variants]
    models_read = [(variant.spec, variant.graph) for variant in variants]
    result = compare_models(models_read, dtype, diff=diff, names=names, runs=runs)
    for objective in objectives:
        if objective.name == ACCURACY:
            check_choice(result, f"--{objective.goal}")
    if sort == ACCURACY:
        check_choice(result, "--sort")
    if diff:
        emit_result(result, style, output, lambda: difference_grid(result, opened), lambda: difference_rows(result))
    else:
        chosen = mark_compared(result, objectives) if objectives else result
        grids, rows = partial(comparison_grids, chosen, bars, sort), partial(comparison_rows, chosen, sort)
        emit_result(chosen, style, output, grids, rows)


def _name_models(models: list[str], edited: bool) -> list[str]:
    """The models to compare, by the names they are given by: the baseline is put before one alone."""
    options.one_stdin(models)
    if edited:
        if len(models) > 1:
            raise UsageError(f"--set: expected one model to compare with itself, edited, got {len(models)} models")
        return models * 2
    if models == [BASELINE]:
        raise UsageError(f"expected another model to compare {BASELINE} with. (gnet-inspect list shows them)")
    return models if len(models) > 1 else [BASELINE, *models]
