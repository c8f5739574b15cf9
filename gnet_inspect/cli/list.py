"""`gnet-inspect list`: the catalogue."""

from gnet_inspect.cli import options


def list_models(style: options.Format = "table", output: options.Output = None) -> None:
    """The built-in models: params, MACs, year, accuracy.

    Example: gnet-inspect list --format markdown
    """
    from gnet_inspect.analysis.listing import list_catalogue
    from gnet_inspect.cli.output import FORMATS, emit, emit_grid
    from gnet_inspect.views.listing import listing_grid

    options.one_of("--format", style, FORMATS)
    result = list_catalogue()
    if style == "json":
        from gnet_inspect.views.json import draw_json

        emit(draw_json(result), output)
    else:
        emit_grid(listing_grid(result), style, output)
