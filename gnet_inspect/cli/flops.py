"""`gnet-inspect flops`: a network in the conventions of the tools people use."""

from functools import partial
from typing import Annotated

from gnet_inspect.cli import options


def flops(
    models: options.Models,
    inputs: options.Input = None,
    batch: options.Batch = None,
    mode: options.Mode = "eval",
    edits: options.Set = None,
    until: options.Until = None,
    resize: options.Resize = False,
    arguments: options.Arguments = None,
    function: options.Function = None,
    columns: Annotated[str | None, options.columns_option("flops")] = None,
    style: options.Format = "table",
    output: options.Output = None,
) -> None:
    """What torch, fvcore, torchinfo, ptflops and thop count, and why.

    One row for each kind of layer, one column for each tool's convention; totals equal to what that tool prints when it
    runs the built module. None of them is run, nor needs to be installed.

    What its columns mean: gnet-inspect glossary --of flops

    Example: gnet-inspect flops googlenet_torchvision --batch 8
    """
    from gnet_inspect.analysis.conventions import count_flops
    from gnet_inspect.cli.several import Result, emit_results
    from gnet_inspect.views.grid import check_columns, picked
    from gnet_inspect.views.tables.flops import COLUMNS, flops_grid, flops_rows

    options.table_format(style, output)
    names = options.split_words(columns)
    check_columns("--columns", names, COLUMNS)
    flags = options.Flags(inputs, batch, mode, edits, resize, None, until, arguments, function)
    options.one_edited(models, edits)
    results = [count_flops(variant.graph) for variant in options.read_variants(models, flags)]
    shown = [
        Result(
            result,
            partial(lambda found: picked(flops_grid(found), names), result),
            partial(lambda found: picked(flops_rows(found), names), result),
            {"model": name},
        )
        for name, result in zip(models, results, strict=True)
    ]
    emit_results(shown, style, output)
