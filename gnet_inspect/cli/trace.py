"""`gnet-inspect trace`: a network as a file that every static command reads."""

from pathlib import Path
from typing import Annotated

import typer

from gnet_inspect.cli import options
from gnet_inspect.errors import UsageError


def trace(
    model: options.Model,
    inputs: options.Input = None,
    batch: options.Batch = None,
    mode: options.Mode = "eval",
    edits: options.Set = None,
    frozen: options.Freeze = None,
    until: options.Until = None,
    resize: options.Resize = False,
    arguments: options.Arguments = None,
    function: options.Function = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.graph.json",
            help="Where the graph is written, whole or not at all. Default: standard output.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a network's graph to a file, which is read without torch and without its code.

    A module in Python is run once, by shapes alone. The file holds layers with their arguments, no weights.

    Example: gnet-inspect trace torchvision:resnet18 -o resnet18.graph.json
    """
    from gnet_inspect.cli.models import GRAPH_ENDING
    from gnet_inspect.cli.output import emit
    from gnet_inspect.sources.file import write_graph

    if output is not None and options.names_a_file(output) and not output.name.endswith(GRAPH_ENDING):
        raise UsageError(
            f"-o: expected a file that ends in {GRAPH_ENDING}, got {str(output)!r}. (other commands know it by that)"
        )
    flags = options.Flags(inputs, batch, mode, edits, resize, frozen, until, arguments, function)
    emit(write_graph(options.read_graph(model, flags)).decode(), output)
