"""`gnet-inspect diagram`: a network as a picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gnet_inspect.cli import options
from gnet_inspect.errors import UsageError

if TYPE_CHECKING:
    from gnet_inspect.graph import Graph
    from gnet_inspect.views.drawing.diagram import Drawing
    from gnet_inspect.views.drawing.figures import Look
    from gnet_inspect.views.drawing.placed import Placed

ENGINES = ("own", "graphviz")
# In points: a picture that is narrower or wider is none.
NARROWEST, WIDEST = 20.0, 20_000.0
MOST_COLUMNS = 100


def diagram(
    model: options.Model,
    inputs: options.Input = None,
    batch: options.Batch = None,
    depth: Annotated[
        str | None,
        typer.Option(
            "--depth",
            metavar="stage|block|layer",
            help="How far the diagram opens; 1, 2 and 3 mean the same. [default: to layers, where these are at most "
            "150, else to blocks]",
            show_default=False,
        ),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option("--only", metavar="NAME", help="One block, stage or head alone, opened.", show_default=False),
    ] = None,
    collapse: Annotated[
        bool,
        typer.Option(
            "--collapse/--no-collapse", help="Draw equal blocks that follow each other once, with their number."
        ),
    ] = True,
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
    style: Annotated[
        str,
        typer.Option(
            "--style",
            metavar="screen|paper|dark",
            help="For a screen, for a page (no title, no legend), for a dark screen.",
        ),
    ] = "screen",
    cards: Annotated[
        str | None,
        typer.Option(
            "--cards",
            metavar="full|compact",
            help="Name, kind and figures in each box, or its kind alone. [default: full up to 40 layers]",
            show_default=False,
        ),
    ] = None,
    columns: Annotated[
        int | None, typer.Option("--columns", metavar="N", help="In so many columns.", show_default=False)
    ] = None,
    aspect: Annotated[
        str | None,
        typer.Option(
            "--aspect",
            metavar="W:H",
            help="In as many columns as bring it next to this ratio. [default: 0.71, a page; LR 1.41]",
            show_default=False,
        ),
    ] = None,
    title: Annotated[
        str | None, typer.Option("--title", metavar="TEXT", help="Another title above it.", show_default=False)
    ] = None,
    no_title: Annotated[bool, typer.Option("--no-title", help="No title above it.")] = False,
    no_legend: Annotated[bool, typer.Option("--no-legend", help="No legend above it.")] = False,
    no_shapes: Annotated[bool, typer.Option("--no-shapes", help="No shapes beside wires.")] = False,
    transparent: Annotated[bool, typer.Option("--transparent", help="No ground behind it.")] = False,
    width: Annotated[
        float | None,
        typer.Option(
            "--width",
            metavar="PT",
            help="So wide in print, in points (72 to an inch); the size of the smallest letters is told.",
            show_default=False,
        ),
    ] = None,
    engine: Annotated[
        str, typer.Option("--engine", metavar="own|graphviz", help="What places the boxes of an svg, png or pdf.")
    ] = "own",
    mode: options.Mode = "eval",
    edits: options.Set = None,
    until: options.Until = None,
    resize: options.Resize = False,
    arguments: options.Arguments = None,
    function: options.Function = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="svg|png|pdf|tex|dot",
            help="Default: by the file's ending, or dot on standard output.",
            show_default=False,
        ),
    ] = None,
    output: options.Output = None,
) -> None:
    """Draw a network: blocks, branches and skips, with shapes, parameters and MACs.

    BatchNorm, activations and dropout are drawn in the layer they follow. An svg has the exact figures as tooltips, and
    its text can be searched; a png or pdf needs the extra `pictures`; tex is a tikzpicture to \\input.

    Example: gnet-inspect diagram googlenet -o googlenet.svg
    """
    from gnet_inspect.analysis.summary import summarize
    from gnet_inspect.cli.output import emit
    from gnet_inspect.graph.outline import DEPTHS
    from gnet_inspect.views.drawing.diagram import Options, drawing_of
    from gnet_inspect.views.drawing.figures import Look, place_figure, write_figure
    from gnet_inspect.views.drawing.heat import COLORS
    from gnet_inspect.views.drawing.themes import THEMES

    chosen = _format(form, output)
    options.refuse_terminal(output, ["diagram", model, "-o", f"{options.own_name(model)}.svg"])
    if depth is not None:
        options.one_of("--depth", depth, DEPTHS)
    options.one_of("--direction", direction, ("TB", "LR"))
    options.one_of("--color", color, COLORS)
    options.one_of("--style", style, tuple(THEMES))
    options.one_of("--engine", engine, ENGINES)
    if cards is not None:
        options.one_of("--cards", cards, ("full", "compact"))
    if (color == "time") != (latency is not None):
        raise UsageError("--color time needs measured times, and --latency FILE gives them: give both or neither")
    look = Look(
        direction=direction,
        color=color,
        style=style,
        cards=cards or "",
        columns=_columns(columns),
        aspect=_aspect(aspect),
        title=_title(title, no_title),
        legend=False if no_legend else None,
        shapes=not no_shapes,
        transparent=transparent,
        width=_width(width),
    )
    by_graphviz = engine == "graphviz" or chosen == "dot"
    _refuse_unknown_to_graphviz(look, chosen, by_graphviz=by_graphviz)
    flags = options.Flags(inputs, batch, mode, edits, resize, None, until, arguments, function)
    graph = options.read_graph(model, flags)
    drawing = drawing_of(graph, summarize(graph), Options(depth or "", only, collapse))
    _check_size(drawing, chosen, by_graphviz=by_graphviz)
    seconds = _times(latency, graph) if latency else {}
    from msgspec.structs import replace

    from gnet_inspect.cli.progress import show_work

    look = replace(look, seconds=seconds)
    with show_work() as tell:
        tell(0, f"placing {len(drawing.boxes()):,} boxes")
        if by_graphviz:
            placed, picture = None, _draw_by_graphviz(drawing, direction, color, seconds, chosen)
        else:
            placed = place_figure(drawing, look, in_roboto=chosen != "svg")
            tell(0, "drawing them")
            picture = write_figure(placed, drawing, look, chosen)
    emit(picture, output)
    if placed is not None:
        _tell(placed, look)


def _draw_by_graphviz(
    drawing: "Drawing", direction: str, color: str, seconds: Mapping[str, float], form: str
) -> str | bytes:
    from gnet_inspect.views.drawing.dot import Style, draw_dot
    from gnet_inspect.views.drawing.picture import draw_picture

    dot = draw_dot(drawing, Style(direction, color, seconds, in_roboto=form in ("png", "pdf")))
    return dot if form == "dot" else draw_picture(dot, form)


def _refuse_unknown_to_graphviz(look: "Look", form: str, *, by_graphviz: bool) -> None:
    """What Graphviz cannot do is refused rather than left out in silence."""
    if not by_graphviz:
        return
    if form == "tex":
        raise UsageError("--engine graphviz writes svg, png, pdf and dot; tex is placed by --engine own")
    given = {
        "--style": look.style != "screen",
        "--cards": bool(look.cards),
        "--columns": bool(look.columns),
        "--aspect": bool(look.aspect),
        "--title": look.title is not None,
        "--no-legend": look.legend is not None,
        "--no-shapes": not look.shapes,
        "--transparent": look.transparent,
        "--width": bool(look.width),
    }
    if name := next((name for name, is_given in given.items() if is_given), ""):
        name = "--no-title" if name == "--title" and look.title == "" else name
        what = "dot is Graphviz's own, which" if form == "dot" else "--engine graphviz"
        raise UsageError(f"{name}: {what} does not know it. (say --format svg, or -o FILE.svg, and no --engine)")


def _check_size(drawing: "Drawing", form: str, *, by_graphviz: bool) -> None:
    from gnet_inspect.views.drawing.diagram import too_large

    bound = too_large(drawing, "dot" if form == "dot" else "graphviz" if by_graphviz else "")
    if bound:
        others = "" if form == "dot" else ", or take --format dot"
        raise UsageError(
            f"expected a picture of {bound}, which nobody could read. "
            f"(draw less with --depth, --only or --collapse{others})"
        )


def _tell(placed: "Placed", look: "Look") -> None:
    """Say on standard error what became of a width and of a number of columns."""
    from gnet_inspect.cli.output import say
    from gnet_inspect.views.drawing.figures import smallest_letters

    if look.columns and placed.columns < look.columns:
        why = f"it can be broken into {placed.columns}, between blocks" if placed.columns else "a U has none"
        say(f"--columns: expected {look.columns}, and {why}")
    if not look.width:
        return
    smallest = smallest_letters(placed, look)
    hint = (
        " (too small for print: fewer boxes, --cards compact, --no-shapes or a larger --width)" if smallest < 5 else ""
    )
    say(f"smallest letters: {smallest:.1f} pt at a width of {look.width:g} pt{hint}")


def _columns(columns: int | None) -> int:
    if columns is not None and not 1 <= columns <= MOST_COLUMNS:
        raise UsageError(f"--columns: expected a number from 1 to {MOST_COLUMNS}, got {columns}")
    return columns or 0


def _aspect(text: str | None) -> float:
    """A ratio of width to height, as W:H or as one number."""
    if text is None:
        return 0.0
    across, _, along = text.partition(":")
    try:
        ratio = float(across) / float(along or 1)
    except (ValueError, ZeroDivisionError):
        ratio = 0.0
    if not 0.01 <= ratio <= 100:
        raise UsageError(f"--aspect: expected width to height, as 16:9 or 1.78, got {text!r}")
    return ratio


def _title(title: str | None, no_title: bool) -> str | None:
    if title is not None and no_title:
        raise UsageError("--title and --no-title: give one of them")
    return "" if no_title else title


def _width(width: float | None) -> float:
    if width is not None and not NARROWEST <= width <= WIDEST:
        raise UsageError(f"--width: expected from {NARROWEST:g} to {WIDEST:,.0f} points, got {width:g}")
    return width or 0.0


def _format(form: str | None, output: Path | None) -> str:
    """The format that was asked for, or that the file's ending names."""
    from gnet_inspect.views.drawing.figures import FORMS

    formats = (*FORMS, "dot")
    if form is not None:
        return options.fitting_format(form, output, formats)
    if output is None or str(output) == "-":
        return "dot"
    ending = output.suffix.lower().removeprefix(".")
    if ending not in formats:
        raise UsageError(
            f"-o: expected a file that ends in {', '.join(f'.{name}' for name in formats)}, got {str(output)!r}. "
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
