"""What Python shows of the public types: one short line, and a table where a result is printed."""

import inspect
import re
from collections.abc import Callable

import pytest
from msgspec.structs import replace

import gnet_inspect
from gnet_inspect import build_graph, load_spec, parse_spec, register, summarize
from gnet_inspect.display import LONGEST, TABLES, Brief, Shown, network_words
from gnet_inspect.graph import Graph
from gnet_inspect.ops import KINDS, VOCABULARY, Op, Shape, Shapes, Weight
from gnet_inspect.records.timing import TimingRecord
from gnet_inspect.records.weights import LoadedWeights
from tests import test_notebook
from tests.test_notebook import HARMFUL

GOOGLENET = build_graph(load_spec("googlenet"))
# What a layer kind says of itself is shown as the call that makes it: these are short.
CALLS: dict[str, Callable[[], object]] = {
    "AxisWindow": lambda: gnet_inspect.AxisWindow(3, 2),
    "Family": lambda: gnet_inspect.Family("convolution"),
    "Look": lambda: gnet_inspect.Look((2,), gnet_inspect.AxisWindow(3, 2)),
    "Saved": lambda: gnet_inspect.Saved(input=True),
    "Temporaries": lambda: gnet_inspect.Temporaries(10),
    "Term": lambda: gnet_inspect.Term("biases", 64),
    "Traffic": lambda: gnet_inspect.Traffic(1, 2, 3),
    "Weight": lambda: gnet_inspect.Weight("weight", (64, 3, 7, 7)),
    "Op": lambda: GOOGLENET.nodes[0].op,
}
# What everything else says, of GoogLeNet or of what test_notebook makes.
LINES: dict[str, tuple[Callable[[], object], str]] = {
    "Graph": (lambda: GOOGLENET, "<Graph googlenet 1x3x224x224: 7.00 M params, 1.58 G MACs, 142 nodes>"),
    "Node": (
        lambda: GOOGLENET.nodes[0],
        "<Node conv1.conv: Conv2d 7x7/2, 64, 1x3x224x224 -> 1x64x112x112>",
    ),
    "Spec": (
        lambda: load_spec("googlenet"),
        "<Spec googlenet 3x224x224: GoogLeNet (Inception v1), 5 stages, 2 blocks, 2 heads>",
    ),
    "Summary": (
        lambda: summarize(GOOGLENET),
        "<Summary googlenet 1x3x224x224: 7.00 M params, 1.58 G MACs, 142 layers>",
    ),
    "Totals": (
        lambda: summarize(GOOGLENET).totals,
        "<Totals 7.00 M params, 1.58 G MACs, 9.63 MB of activations at the peak>",
    ),
    "Coverage": (lambda: summarize(GOOGLENET).coverage, "<Coverage 142 of 142 nodes>"),
    "LayerSummary": (
        lambda: summarize(GOOGLENET).layers[0],
        "<LayerSummary conv1.conv: Conv2d, 1x64x112x112, 9.47 K params, 118.01 M MACs>",
    ),
    "StageSummary": (
        lambda: summarize(GOOGLENET).stages[0],
        "<StageSummary stem: 1x192x28x28, 124.42 K params, 477.68 M MACs>",
    ),
    "FlopCounts": (
        lambda: gnet_inspect.count_flops(GOOGLENET),
        "<FlopCounts googlenet 1x3x224x224: 1.58 G MACs in 9 kinds of layers>",
    ),
    "Comparison": (
        lambda: gnet_inspect.compare_models([(load_spec("googlenet"), GOOGLENET)] * 2, diff=True),
        "<Comparison of googlenet, googlenet: 0 parts differ>",
    ),
    "TrainingMemory": (
        lambda: gnet_inspect.training_memory(build_graph(load_spec("googlenet"), mode="train"), "adam"),
        "<TrainingMemory adam: 262.37 MB, 53.51 MB of weights, 48.32 MB saved>",
    ),
    "LoadedWeights": (test_notebook.loaded, "<LoadedWeights fc.pth: 3 loaded, 1 missing, 1 unexpected, 1 mismatched>"),
}


def public_types() -> list[str]:
    """The names of the public classes, but errors, which Python shows as errors."""
    names = set(gnet_inspect.__all__) - test_notebook._of_torch()
    found = {name: getattr(gnet_inspect, name) for name in names}
    return [name for name, kind in found.items() if inspect.isclass(kind) and not issubclass(kind, Exception)]


def check(line: str) -> None:
    """One line of a bounded length, that acts on no terminal."""
    assert line.isprintable()
    assert len(line) <= LONGEST


def test_every_public_type_is_here() -> None:
    """A new one fails here until it has a line."""
    assert set(public_types()) == {*CALLS, *LINES}
    results = {name for name in LINES if issubclass(getattr(gnet_inspect, name), Shown)}
    assert results == {name for name in TABLES if name in LINES}
    assert all(issubclass(getattr(gnet_inspect, name), Brief) for name in LINES)


@pytest.mark.parametrize("name", LINES)
def test_a_value_is_one_line(name: str) -> None:
    """With its class and what one asks first."""
    make, line = LINES[name]
    value = make()
    assert type(value) is getattr(gnet_inspect, name)
    assert repr(value) == line
    check(line)
    if not isinstance(value, Shown):
        assert str(value) == line


@pytest.mark.parametrize("name", CALLS)
def test_what_a_layer_kind_says_is_the_call_that_makes_it(name: str) -> None:
    """On a line."""
    line = repr(CALLS[name]())
    assert re.match(r"\w+\(", line)
    check(line)


def test_every_layer_of_the_catalogue_is_a_line() -> None:
    """Its call, and its node."""
    for model in gnet_inspect.catalogue():
        for node in build_graph(load_spec(model), mode="train").nodes:
            check(repr(node.op))
            check(repr(node))


def test_a_variant_and_what_is_not_known_say_so() -> None:
    """Edits, the batch, the mode; "at least" where a layer is not counted."""
    graph = build_graph(load_spec("lenet5"), (2, 1, 32, 32), mode="train", overrides={"f6.out_features": 80})
    assert repr(summarize(graph)).startswith("<Summary lenet5 f6.out_features=80 2x1x32x32 train: ")
    assert network_words("a", (), (1, 2)) == "a 1x2"

    class Unheard(Op, frozen=True):
        """A kind that does not say what it costs."""

        def output_shape(self, inputs: Shapes) -> Shape:
            return inputs[0]

        def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
            return ()

    register(Unheard)
    try:
        unknown = build_graph(parse_spec("name: x\ninput: [3, 8, 8]\nstages: {s: {a: Unheard}}\n"))
        for value in (unknown, summarize(unknown), gnet_inspect.count_flops(unknown)):
            assert "at least 0 MACs" in repr(value)
        assert "? MACs" in repr(summarize(unknown).layers[0])
    finally:
        del VOCABULARY["Unheard"], KINDS["Unheard"]


@pytest.mark.parametrize("name", HARMFUL)
def test_a_result_is_printed_as_its_tables(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With heads and rules, whole where nothing bounds it and as wide as COLUMNS where that does; text from strangers
    is text, on the short line too."""
    value = HARMFUL[name]()
    check(repr(value))
    assert repr(value).startswith(f"<{name} ")
    monkeypatch.delenv("COLUMNS", raising=False)
    text = str(value)
    assert all(line.isprintable() for line in text.splitlines())
    if isinstance(value, LoadedWeights):
        return  # sentences, one for each thing that there is to say
    assert re.search(r"^-{10,}$", text, re.MULTILINE)
    monkeypatch.setenv("COLUMNS", "60")
    rows = [line for line in str(value).splitlines() if re.fullmatch("-{10,}", line)]
    assert rows
    assert max(map(len, rows)) <= 60


def test_a_summary_prints_what_the_command_prints() -> None:
    """The same head, rows of the same numbers, and the same lines below."""
    from gnet_inspect.views.tables.results import draw_tables
    from gnet_inspect.views.tables.summary import Selection, summary_grid

    value = summarize(GOOGLENET)
    ours, theirs = str(value).splitlines(), draw_tables(summary_grid(value, GOOGLENET, Selection())).splitlines()
    assert len(ours) == len(theirs)
    assert ours[:3] == theirs[:3]
    assert ours[-9:] == theirs[-9:]


def test_nothing_goes_through_a_whole_graph() -> None:
    """A network of many thousand layers is a line, and so is a record of nothing."""
    text = "name: x\ninput: [3, 8, 8]\nstages: {s: {x: [{repeat: {times: 20000, layer: ReLU}}]}}\n"
    graph = build_graph(parse_spec(text))
    assert isinstance(graph, Graph)
    for value in (graph, summarize(graph), replace(graph, model="a\x1b" * 5_000)):
        check(repr(value))
    assert repr(TimingRecord(())) == "<TimingRecord of nothing>"


def test_outputs_are_shapes() -> None:
    """Of tensors a line says no more."""
    torch = pytest.importorskip("torch")
    from gnet_inspect import Outputs

    value = Outputs(torch.zeros(2, 10), {"aux1": torch.zeros(2, 5)})
    assert repr(value) == "<Outputs logits 2x10, aux1 2x5>"
    assert repr(Outputs({"mask": torch.zeros(1, 3)}, {})) == "<Outputs mask 1x3>"
