"""`gnet-inspect list`: the catalogue."""

from gnet_inspect.cli import options


def list_models(style: options.Format = "table", output: options.Output = None) -> None:
    """The built-in models: params, MACs, year, accuracy.

    Example: gnet-inspect list --format markdown
    """
    from gnet_inspect.analysis.listing import list_catalogue
    from gnet_inspect.cli.output import FORMATS, emit_result
    from gnet_inspect.views.listing import listing_grid

    options.one_of("--format", style, FORMATS)
    result = list_catalogue()
    emit_result(result, style, output, lambda: listing_grid(result))
