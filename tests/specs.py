"""Small specs the tests share."""

from gnet_inspect.graph import Graph
from gnet_inspect.language import parse_spec
from gnet_inspect.sources.spec import build_graph

HEADER = "name: test\ninput: [3, 32, 32]\n"


def graph_of(text: str, **options: object) -> Graph:
    """The graph of a spec given without its header."""
    return build_graph(parse_spec(HEADER + text), **options)  # type: ignore[arg-type]  # the test's own options


def names(graph: Graph) -> list[str]:
    """The nodes' names in execution order."""
    return [node.name for node in graph.nodes]
