"""Small specs the tests share, and the models of the catalogue, expanded once."""

from functools import cache

from gnet_inspect.graph import Graph
from gnet_inspect.language import Spec, load_spec, parse_spec
from gnet_inspect.sources.spec import build_graph

HEADER = "name: test\ninput: [3, 32, 32]\n"
# Models made of what another one of the catalogue is made of, more often or with other numbers of channels. Each one
# is verified against torch layer by layer (tests/test_catalogue.py); what a kind of layer or a wiring alone decides is
# tried on the others.
RELATIVES = (
    *("resnet34", "resnet101", "resnet152", "wide_resnet50_2", "squeezenet1_0", "mobilenet_v3_small"),
    *(f"vgg{depth}{norm}" for depth in (13, 16, 19) for norm in ("", "_bn")),
    *("inception_resnet_v1", "inception_resnet_v2_paper"),
)


def graph_of(text: str, **options: object) -> Graph:
    """The graph of a spec given without its header."""
    return build_graph(parse_spec(HEADER + text), **options)  # type: ignore[arg-type]  # the test's own options


def names(graph: Graph) -> list[str]:
    """The nodes' names in execution order."""
    return [node.name for node in graph.nodes]


@cache
def model_spec(model: str) -> Spec:
    """The spec of a built-in model, read once: it is frozen."""
    return load_spec(model)


@cache
def model_graph(model: str, mode: str = "eval", classes: int | None = None) -> Graph:
    """The graph of a built-in model, expanded once: it is frozen."""
    return build_graph(model_spec(model), mode=mode, overrides={} if classes is None else {"classes": classes})
