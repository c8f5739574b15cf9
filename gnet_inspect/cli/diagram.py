"""`gnet-inspect diagram`: a network as Graphviz draws it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gnet_inspect.cli import options
from gnet_inspect.errors import UsageError

if TYPE_CHECKING:
    from gnet_inspect.graph import Graph


def diagram(
    model: options.Model,
    inputs: options.Input = None,
    batch: options.Batch = None,
    depth: Annotated[
        str, typer.Option("--depth", metavar="stage|block|layer", help="How far the diagram opens.")
    ] = "block",
    only: Annotated[
        str | None,
        typer.Option("--only", metavar="NAME", help="One block, stage or head alone, opened.", show_default=False),
    ] = None,
    collapse: Annotated[
        bool, typer.Option("--collapse", help="Draw equal blocks that follow each other once, with their number.")
    ] = False,
    direction: Annotated[
        str, typer.Option("--direction", metavar="TB|LR", help="From top to bottom, or from left to right.")
    ] = "TB",
    color: Annotated[
        str, typer.Option("--color", metavar="kind|params|macs|memory|time", help="What the colours say.")
    ] = "kind",
    latency: Annotated[
        Path | None,
        typer.Option(
            "--latency", metavar="FILE", help="The times for --color time, as `latency` saves them.", show_default=False
        ),
    ] = None,
    mode: options.Mode = "eval",
    edits: options.Set = None,
    until: options.Until = None,
    resize: options.Resize = False,
    arguments: options.Arguments = None,
    function: options.Function = None,
    style: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="svg|png|pdf|dot",
            help="Default: by the file's ending, or dot on standard output.",
            show_default=False,
        ),
    ] = None,
    output: options.Output = None,
) -> None:
    """Draw a network: stages, blocks and branches, with shapes, parameters and MACs.

    BatchNorm, activations and dropout are drawn in the layer they follow. An svg has the exact figures as tooltips, and
    its text can be searched.

    Example: gnet-inspect diagram googlenet --depth layer -o googlenet.svg
    """
    from gnet_inspect.analysis.summary import summarize
    from gnet_inspect.cli.output import emit
    from gnet_inspect.graph.outline import DEPTHS
    from gnet_inspect.views.drawing.diagram import Options, drawing_of, too_large
    from gnet_inspect.views.drawing.dot import COLORS, DIRECTIONS, Style, draw_dot
    from gnet_inspect.views.drawing.picture import draw_picture

    form = _format(style, output)
    options.refuse_terminal(output, "diagram googlenet -o googlenet.svg")
    options.one_of("--depth", depth, DEPTHS)
    options.one_of("--direction", direction, DIRECTIONS)
    options.one_of("--color", color, COLORS)
    if (color == "time") != (latency is not None):
        raise UsageError("--color time needs measured times, and --latency FILE gives them: give both or neither")
    flags = options.Flags(inputs, batch, mode, edits, resize, None, until, arguments, function)
    graph = options.read_graph(model, flags)
    drawing = drawing_of(graph, summarize(graph), Options(depth, only, collapse))
    if bound := too_large(drawing, dot=form == "dot"):
        mend = "draw less with --depth, --only or --collapse" + (", or take --format dot" if form != "dot" else "")
        raise UsageError(f"expected a picture of {bound}, which would take minutes. ({mend})")
    seconds = _times(latency, graph) if latency else {}
    dot = draw_dot(drawing, Style(direction, color, seconds, in_roboto=form in ("png", "pdf")))
    emit(dot if form == "dot" else draw_picture(dot, form), output)


def _format(style: str | None, output: Path | None) -> str:
    """The format that was asked for, or that the file's ending names."""
    from gnet_inspect.views.drawing.picture import FORMATS

    if style is not None:
        return options.fitting_format(style, output, FORMATS)
    if output is None or str(output) == "-":
        return "dot"
    ending = output.suffix.lower().removeprefix(".")
    if ending not in FORMATS:
        raise UsageError(
            f"-o: expected a file that ends in {', '.join(f'.{name}' for name in FORMATS)}, got {str(output)!r}. "
            "(or say --format)"
        )
    return ending


def _times(path: Path, graph: "Graph") -> dict[str, float]:
    """Seconds by layer, of the first result of this model that has them, in a file that `latency --save` wrote."""
    from gnet_inspect.records.timing import read_measured

    record = read_measured(path, [graph])
    timed = [result.layers for result in record.results if result.model == graph.variant and result.layers]
    if not timed:
        raise UsageError(f"--latency: expected a result with layers in {str(path)!r}, got none. (latency --layers)")
    return {layer.name: layer.median_s for layer in timed[0]}
