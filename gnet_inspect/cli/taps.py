"""`gnet-inspect taps`: what a detector can take from a backbone."""

from functools import partial

from gnet_inspect.cli import options


def taps(
    models: options.Models,
    inputs: options.Input = None,
    batch: options.Batch = None,
    mode: options.Mode = "eval",
    edits: options.Set = None,
    until: options.Until = None,
    resize: options.Resize = False,
    arguments: options.Arguments = None,
    function: options.Function = None,
    style: options.Format = "table",
    output: options.Output = None,
) -> None:
    """The taps of a backbone: channels, stride, receptive field and cost of each resolution.

    A tap is the last value at one resolution, under the name at which --until cuts the network in other commands.

    What its columns mean: gnet-inspect glossary --of taps

    Example: gnet-inspect taps resnet50 --input 1x3x512x512
    """
    from gnet_inspect.analysis.taps import find_taps
    from gnet_inspect.cli.several import Result, emit_results
    from gnet_inspect.views.tables.taps import taps_grid, taps_rows

    options.table_format(style, output)
    flags = options.Flags(inputs, batch, mode, edits, resize, None, until, arguments, function)
    options.one_edited(models, edits)
    results = [find_taps(variant.graph) for variant in options.read_variants(models, flags)]
    shown = [
        Result(result, partial(taps_grid, result), partial(taps_rows, result), {"model": name})
        for name, result in zip(models, results, strict=True)
    ]
    emit_results(shown, style, output)
