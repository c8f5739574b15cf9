"""What a notebook shows of a graph that is the last line of a cell. No dependency is added for it."""

from gnet_inspect.analysis.summary import summarize
from gnet_inspect.graph import Graph
from gnet_inspect.views.drawing.diagram import Options, drawing_of, too_large
from gnet_inspect.views.drawing.figures import Look, draw_figure


def graph_svg(graph: Graph) -> str | None:
    """The diagram of a graph, opened as far as one can read it and as wide as the cell; None where it is too large, and
    the notebook shows text."""
    drawing = drawing_of(graph, summarize(graph), Options("", collapse=True))
    return None if too_large(drawing) else draw_figure(drawing, Look(), "svg").decode()
