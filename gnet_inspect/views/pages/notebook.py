"""What a notebook shows of a summary or a graph that is the last line of a cell. No dependency is added for it."""

from itertools import groupby
from operator import attrgetter

from gnet_inspect.analysis.summary import LayerSummary, Summary, summarize
from gnet_inspect.errors import MissingError
from gnet_inspect.graph import Graph
from gnet_inspect.units import BYTE_UNITS, column_unit, dimensions, in_unit, percent
from gnet_inspect.views.drawing.diagram import Options, drawing_of
from gnet_inspect.views.drawing.dot import Style, draw_dot
from gnet_inspect.views.drawing.picture import draw_picture
from gnet_inspect.views.grid import Column, Grid, Line
from gnet_inspect.views.pages.html import draw_html
from gnet_inspect.views.tables.summary import notes_above, notes_below


def summary_html(summary: Summary) -> str:
    """The table of a summary, stage by stage and block by block."""
    units = [column_unit({getattr(layer, name) for layer in summary.layers}) for name in ("params", "macs")]
    units.append(column_unit({layer.activation_bytes for layer in summary.layers}, BYTE_UNITS))
    titles = [
        f"{title} ({unit[0]})" if unit[0] else title
        for title, unit in zip(("params", "MACs", "activations"), units, strict=True)
    ]
    columns = (
        Column("name", "layer"),
        Column("kind", "type"),
        Column("output_shape", "output"),
        Column("params", titles[0], number=True),
        Column("params_percent", "%", number=True),
        Column("macs", titles[1], number=True),
        Column("macs_percent", "%", number=True),
        Column("activation_bytes", titles[2], number=True),
    )

    def line(name: str, kind: str, layers: list[LayerSummary], style: str = "") -> Line:
        params, macs, activations = (
            sum(map(attrgetter(what), layers)) for what in ("params", "macs", "activation_bytes")
        )
        cells = (
            name,
            kind,
            dimensions(layers[-1].output_shape),
            in_unit(params, units[0]),
            percent(params, summary.totals.params),
            in_unit(macs, units[1]),
            percent(macs, summary.totals.macs),
            in_unit(activations, units[2]),
        )
        return Line(cells, style=style)

    lines = []
    stages: dict[str, list[LayerSummary]] = {}
    for layer in summary.layers:
        # A head may run in the middle of a stage.
        stages.setdefault(layer.stage, []).append(layer)
    for stage, inside in stages.items():
        lines.append(line(stage, "", inside, "bold"))
        for block, run in groupby(inside, lambda layer: layer.block or layer.name):
            layers = list(run)
            kind = f"{len(layers)} layers" if layers[0].block else layers[0].kind
            lines.append(line(f"  {block}", kind, layers))
    return draw_html(Grid(columns, tuple(lines), notes_above(summary), notes_below(summary)))


def graph_svg(graph: Graph) -> str | None:
    """The diagram of a graph at block depth; None where nothing here can draw, and the notebook shows text."""
    try:
        return draw_picture(draw_dot(drawing_of(graph, summarize(graph), Options()), Style()), "svg").decode()
    except MissingError:
        return None
