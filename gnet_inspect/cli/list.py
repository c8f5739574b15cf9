"""`gnet-inspect list`: the catalogue."""

from typing import TYPE_CHECKING, Annotated

import typer

from gnet_inspect.cli import options
from gnet_inspect.errors import UsageError

if TYPE_CHECKING:
    from gnet_inspect.analysis.listing import Listing


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
    where: options.Where = None,
    minimize: options.Minimize = None,
    maximize: options.Maximize = None,
    sort: Annotated[
        str | None,
        typer.Option(
            "--sort",
            metavar="COLUMN",
            help="model, title, year, family, params, macs, depth, top1_error, top5_error, peak_activation_bytes and "
            "other totals. Default: family, or the first objective. What each is: gnet-inspect glossary --of list.",
            show_default=False,
        ),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="SHAPE",
            help="Totals at this input, as 3x192x192 or 192. Default: each model's own.",
            show_default=False,
        ),
    ] = None,
    columns: Annotated[str | None, options.columns_option("list")] = None,
    style: options.Format = "table",
    output: options.Output = None,
) -> None:
    """The built-in models: params, MACs, depth, year, published errors.

    --where keeps those of which a condition holds: names of totals, numbers with units, and/or/not. --minimize and
    --maximize mark those that no other one is better than, by all of these.

    Example: gnet-inspect list --where 'macs < 1G and params < 5M' --minimize top1_error,macs
    """
    from gnet_inspect.analysis.listing import NUMBERS, keep_where, mark_best
    from gnet_inspect.cli.output import emit_result, say
    from gnet_inspect.views.grid import check_columns, picked
    from gnet_inspect.views.tables.listing import COLUMNS, MARK, MORE, SORTS, left_out, listing_grid, sorted_listing

    options.table_format(style, output)
    if sort is not None:
        options.one_of("--sort", sort, SORTS)
    names = options.split_words(columns)
    objectives = options.read_objectives(minimize, maximize, NUMBERS)
    check_columns("--columns", names, (*COLUMNS, *MORE, *([MARK] if objectives else [])))
    condition = options.read_condition(where, SORTS)
    families = options.split_words(family)
    listing = _list(inputs, families, pattern)
    if condition is not None:
        with options.naming("--where"):
            listing = keep_where(listing, condition.text, condition.holds)
    if objectives:
        listing = mark_best(listing, objectives)
    result = sorted_listing(listing, sort or "family") if sort or not objectives else listing
    more = {*names, *(condition.names if condition else ())}
    flags = {"--family NAME": family, "--filter GLOB": pattern, "--where CONDITION": where}
    shorter = [flag for flag, given in flags.items() if given is None]
    emit_result(result, style, output, lambda: picked(listing_grid(result, more), names), shorter=shorter)
    if style == "csv":
        # It has no place for what is not listed.
        for note in left_out(result):
            say(f"list: {note}")
    if not result.models:
        asked = " and matches the filter" if condition is None else ", matches the filter and meets the condition"
        say(f"list: no model is of these families{asked}")


def _list(inputs: list[str] | None, families: tuple[str, ...], pattern: str | None) -> "Listing":
    """The models of some families whose names match, at their own inputs, which is quick, or at another one."""
    from gnet_inspect.analysis.listing import list_at, list_catalogue, select_models

    kept = list_catalogue()
    for chosen in families:
        options.one_of("--family", chosen, tuple(sorted({model.family for model in kept.models})))
    selected = select_models(kept, families, pattern)
    if inputs is None:
        return selected
    from gnet_inspect.cli.progress import show_work

    with show_work() as tell:
        tell(0, "counting at another input")
        listing = list_at(
            [model.model for model in selected.models], lambda spec: options.read_inputs(spec.inputs, inputs, None)
        )
    if not listing.models and listing.unfit:
        raise UsageError(f"no model that was asked for can take the input: {listing.unfit[0].reason}")
    return listing
