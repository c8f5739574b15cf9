"""`gnet-inspect compare`: models side by side, or how one differs from another."""

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
            help="Built-in names or paths of specs; the first is the baseline. One alone is compared with googlenet.",
            autocompletion=options.complete_model,
            show_default=False,
        ),
    ],
    diff: Annotated[
        bool, typer.Option("--diff", help="How the second of two models differs from the first, part by part.")
    ] = False,
    depth: Annotated[str, typer.Option("--depth", metavar="block|layer", help="How far --diff opens.")] = "block",
    input_shape: options.Input = None,
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
    dtype: options.Dtype = "fp32",
    resize: options.Resize = False,
    style: options.Format = "table",
    output: options.Output = None,
) -> None:
    """Models side by side: parameters, MACs, memory, depth, errors.

    Each is at its own input, unless --input puts all at one. With --diff two variants are aligned block by block: what
    was added, removed and changed, and what that does to the numbers.

    Example: gnet-inspect compare googlenet alexnet vgg16
    """
    from gnet_inspect.analysis.comparison import compare_models
    from gnet_inspect.cli.output import FORMATS, emit_result
    from gnet_inspect.graph import MODES, build_graph
    from gnet_inspect.graph.overrides import parse_overrides
    from gnet_inspect.units import DTYPE_BYTES
    from gnet_inspect.views.comparison import comparison_grids, comparison_rows
    from gnet_inspect.views.difference import DEPTHS, difference_grid, difference_rows

    options.one_of("--format", style, FORMATS)
    options.one_of("--mode", mode, MODES)
    options.one_of("--dtype", dtype, tuple(DTYPE_BYTES))
    options.one_of("--depth", depth, DEPTHS)
    overrides = parse_overrides(edits or [])
    if overrides and len(models) > 1:
        raise UsageError(f"--set: expected one model to compare with itself, edited, got {len(models)} models")
    if models.count("-") > 1:
        raise UsageError("expected one spec on standard input, got `-` twice")
    if len(models) == 1 and not overrides:
        models = [BASELINE, *models]
        if models == [BASELINE] * 2:
            raise UsageError(f"expected another model to compare {BASELINE} with. (gnet-inspect list shows them)")
    specs = [options.read_model(model) for model in models]
    variants = []
    for spec in specs:
        shape = options.read_input(spec, input_shape, batch, resize)
        variants.append((spec, build_graph(spec, shape, mode=mode, resize=resize)))
    if overrides:
        (spec, graph) = variants[0]
        edited = build_graph(spec, graph.input_shape, overrides=overrides, mode=mode, resize=resize)
        variants.append((spec, edited))
    result = compare_models(variants, dtype, diff=diff)
    if diff:
        emit_result(result, style, output, lambda: difference_grid(result, depth), lambda: difference_rows(result))
    else:
        emit_result(result, style, output, lambda: comparison_grids(result), lambda: comparison_rows(result))
