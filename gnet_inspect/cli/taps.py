"""`gnet-inspect taps`: what a detector can take from a backbone."""

from gnet_inspect.cli import options


def taps(
    model: options.Model,
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
    from gnet_inspect.cli.output import emit_result
    from gnet_inspect.views.tables.taps import taps_grid, taps_rows

    options.table_format(style, output)
    flags = options.Flags(inputs, batch, mode, edits, resize, None, until, arguments, function)
    result = find_taps(options.read_graph(model, flags))
    emit_result(result, style, output, lambda: taps_grid(result), lambda: taps_rows(result))
