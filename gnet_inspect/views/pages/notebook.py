"""What a notebook shows of a graph that is the last line of a cell. No dependency is added for it."""

from gnet_inspect.analysis.summary import summarize
from gnet_inspect.errors import MissingError
from gnet_inspect.graph import Graph
from gnet_inspect.views.drawing.diagram import Options, drawing_of
from gnet_inspect.views.drawing.dot import Style, draw_dot
from gnet_inspect.views.drawing.picture import draw_picture


def graph_svg(graph: Graph) -> str | None:
    """The diagram of a graph at block depth; None where nothing here can draw, and the notebook shows text."""
    try:
        return draw_picture(draw_dot(drawing_of(graph, summarize(graph), Options()), Style()), "svg").decode()
    except MissingError:
        return None
