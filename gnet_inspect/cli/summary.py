"""`gnet-inspect summary`: the table of a model."""

from functools import partial
from typing import Annotated

import typer

from gnet_inspect.cli import options
from gnet_inspect.errors import UsageError


def summary(
    models: options.Models,
    inputs: options.Input = None,
    batch: options.Batch = None,
    depth: Annotated[
        str,
        typer.Option("--depth", metavar="stage|block|layer", help="How far the table opens; 1, 2 and 3 mean the same."),
    ] = "block",
    columns: Annotated[str | None, options.columns_option("summary")] = None,
    sort: Annotated[
        str | None,
        typer.Option("--sort", metavar="COLUMN", help="Sort the rows; numbers largest first.", show_default=False),
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            "--filter",
            metavar="GLOB",
            help="Rows whose name or type matches, such as 'inception4*'.",
            show_default=False,
        ),
    ] = None,
    top: Annotated[int | None, typer.Option("--top", metavar="K", help="The first K rows.", show_default=False)] = None,
    mode: options.Mode = "eval",
    optimizer: Annotated[
        str | None,
        typer.Option(
            "--optimizer",
            metavar="sgd|momentum|adam",
            help="With --mode train: what a training step keeps in memory.",
            show_default=False,
        ),
    ] = None,
    edits: options.Set = None,
    frozen: options.Freeze = None,
    dtype: options.Dtype = "fp32",
    until: options.Until = None,
    resize: options.Resize = False,
    arguments: options.Arguments = None,
    function: options.Function = None,
    watched: Annotated[
        bool, typer.Option("--watch", help="Print it again whenever the spec's file is saved, with what changed.")
    ] = False,
    style: options.Format = "table",
    output: options.Output = None,
) -> None:
    """Shapes, parameters, MACs and memory, by stage, block or layer.

    Of several models the tables stand below each other; compare puts totals beside each other.

    Example: gnet-inspect summary googlenet --input 1x3x224x224 --depth layer --sort macs --top 10
    """
    from gnet_inspect.analysis.summary import summarize
    from gnet_inspect.cli.output import say
    from gnet_inspect.cli.several import Result, emit_results
    from gnet_inspect.graph import Graph
    from gnet_inspect.graph.outline import DEPTHS
    from gnet_inspect.units import DTYPE_BYTES
    from gnet_inspect.views.grid import check_columns
    from gnet_inspect.views.tables.summary import COLUMNS, Selection, matches, summary_grid, summary_rows

    options.table_format(style, output)
    options.one_of("--dtype", dtype, tuple(DTYPE_BYTES))
    options.positive("--top", top)
    selection = Selection(
        depth=options.one_of("--depth", depth, DEPTHS),
        columns=options.split_words(columns),
        sort=sort,
        pattern=pattern,
        top=top,
    )
    check_columns("--columns", selection.columns, COLUMNS.values())
    check_columns("--sort", [sort] if sort else [], COLUMNS.values())
    if optimizer is not None:
        _check_training(optimizer, mode, dtype)
    options.one_edited(models, edits)
    flags = options.Flags(inputs, batch, mode, edits, resize, frozen, until, arguments, function)

    def read() -> list[Graph]:
        return [variant.graph for variant in options.read_variants(models, flags)]

    def emit(graphs: list[Graph]) -> None:
        found = [(summarize(graph, dtype, optimizer=optimizer), graph) for graph in graphs]
        emit_results(
            [
                Result(
                    result,
                    partial(summary_grid, result, graph, selection),
                    partial(summary_rows, result, graph, selection),
                    {"model": name},
                )
                for name, (result, graph) in zip(models, found, strict=True)
            ],
            style,
            output,
            options.shorter(depth, top),
        )
        if pattern is not None and not any(matches(result, graph, selection) for result, graph in found):
            say(f"--filter: nothing matches {pattern!r}")

    if watched:
        from gnet_inspect.cli.watching import check_watched, watch

        watch(check_watched(models, style, output), lambda: read()[0], lambda graph: emit([graph]))
    else:
        emit(read())


def _check_training(optimizer: str, mode: str, dtype: str) -> None:
    from gnet_inspect.analysis.training import DTYPES, OPTIMIZERS

    options.one_of("--optimizer", optimizer, tuple(OPTIMIZERS))
    options.one_of("--dtype", dtype, DTYPES)
    if mode != "train":
        raise UsageError("--optimizer: expected --mode train, for only training keeps gradients. (add --mode train)")
