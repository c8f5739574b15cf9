"""`gnet-inspect list`: the catalogue."""

from typing import Annotated

import typer

from gnet_inspect.cli import options


def list_models(
    family: Annotated[
        str | None,
        typer.Option("--family", metavar="A,B,...", help="Models of these families only.", show_default=False),
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            "--filter",
            metavar="GLOB",
            help="Models whose name or title matches, such as 'vgg*_bn'.",
            show_default=False,
        ),
    ] = None,
    sort: Annotated[
        str,
        typer.Option(
            "--sort",
            metavar="COLUMN",
            help="model, title, year, family, params, macs, depth, top1_error, top5_error. What each is: gnet-inspect "
            "glossary --of list.",
        ),
    ] = "family",
    columns: Annotated[str | None, options.columns_option("list")] = None,
    style: options.Format = "table",
    output: options.Output = None,
) -> None:
    """The built-in models: params, MACs, depth, year, published errors.

    Example: gnet-inspect list --family inception,vgg --sort macs
    """
    from gnet_inspect.analysis.listing import list_catalogue, select_models
    from gnet_inspect.cli.output import emit_result, say
    from gnet_inspect.views.grid import check_columns, picked
    from gnet_inspect.views.tables.listing import COLUMNS, SORTS, listing_grid, sorted_listing

    options.table_format(style, output)
    options.one_of("--sort", sort, SORTS)
    names = options.split_words(columns)
    check_columns("--columns", names, COLUMNS)
    listing = list_catalogue()
    families = options.split_words(family)
    for chosen in families:
        options.one_of("--family", chosen, tuple(sorted({model.family for model in listing.models})))
    result = sorted_listing(select_models(listing, families, pattern), sort)
    shorter = [flag for flag, given in (("--family NAME", family), ("--filter GLOB", pattern)) if given is None]
    emit_result(result, style, output, lambda: picked(listing_grid(result), names), shorter=shorter)
    if not result.models:
        say("list: no model is of these families and matches the filter")
