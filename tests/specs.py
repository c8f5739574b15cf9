"""Small specs the tests share."""

from gnet_inspect.graph import Graph, build_graph
from gnet_inspect.spec import parse_spec

HEADER = "name: test\ninput: [3, 32, 32]\n"


def graph_of(text: str, **options: object) -> Graph:
    """The graph of a spec given without its header."""
    return build_graph(parse_spec(HEADER + text), **options)  # type: ignore[arg-type]  # the test's own options


def names(graph: Graph) -> list[str]:
    """The nodes' names in execution order."""
    return [node.name for node in graph.nodes]
