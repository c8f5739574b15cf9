"""What notebooks show."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from html import unescape
from xml.etree import ElementTree

import msgspec
import pytest

import gnet_inspect
from gnet_inspect import analysis, records
from gnet_inspect.analysis.audit import audit, verification_of
from gnet_inspect.analysis.comparison import compare_models
from gnet_inspect.analysis.conventions import count_flops
from gnet_inspect.analysis.devices import load_device
from gnet_inspect.analysis.explanation import explain
from gnet_inspect.analysis.listing import Listing, list_catalogue
from gnet_inspect.analysis.roofline import roofline
from gnet_inspect.analysis.summary import summarize
from gnet_inspect.analysis.taps import find_taps
from gnet_inspect.analysis.training import training_memory
from gnet_inspect.display import PICTURES, TABLES, Shown
from gnet_inspect.graph import Graph
from gnet_inspect.language import Spec, catalogue, load_spec, parse_spec
from gnet_inspect.records.environment import Examination, Part
from gnet_inspect.records.timing import LayerTiming, Measurement, TimingRecord
from gnet_inspect.records.training import Mistaken
from gnet_inspect.records.verification import Check, Difference
from gnet_inspect.records.weights import LoadedWeights, Mismatch
from gnet_inspect.sources.spec import build_graph
from gnet_inspect.units import byte_count
from gnet_inspect.views.grid import Column, Grid, Line, beyond_text
from gnet_inspect.views.pages.html import MOST_ROWS, draw_cell
from gnet_inspect.views.tables.parts import parts_by_name
from gnet_inspect.views.tables.roofline import Selection as BoundSelection
from gnet_inspect.views.tables.roofline import roofline_grid
from gnet_inspect.views.tables.summary import Selection, summary_grid
from tests import runs
from tests.drawing import HOSTILE

Rows = list[list[str]]

# Structs of the public API that show no table, and why.
SHOW_NONE = {
    "Graph": "it shows its diagram",
    "Node": "a part of a Graph",
    "Spec": "what is read, no result: its text is YAML",
    "Totals": "a part of a Summary, whose table has it",
    "Coverage": "a part of a Summary, whose table has it",
    "LayerSummary": "a part of a Summary, whose table has it",
    "StageSummary": "a part of a Summary, whose table has it",
    "Look": "what a layer kind of one's own says of itself",
    "AxisWindow": "what a layer kind of one's own says of itself",
    "Family": "what a layer kind of one's own says of itself",
    "Op": "what a layer kind of one's own is",
    "Saved": "what a layer kind of one's own says of itself",
    "Temporaries": "what a layer kind of one's own says of itself",
    "Term": "what a layer kind of one's own says of itself",
    "Traffic": "what a layer kind of one's own says of itself",
    "Weight": "what a layer kind of one's own says of itself",
}
# All that a cell is made of.
TAGS = {"cell", "div", "p", "table", "thead", "tbody", "tr", "th", "td", "strong"}
HARM = "<script>alert(1)</script>&\"'\u202e\x1b[31m"


def tables(value: object) -> list[Rows]:
    """The texts of the cells of each table, heads first; parsing it proves that it is well-formed."""
    html = value._repr_html_()  # type: ignore[attr-defined]  # what shows a table has it
    tree = ElementTree.fromstring(f"<cell>{html}</cell>")
    # Nothing is run, loaded or coloured by it, and what is wide scrolls by itself.
    assert {element.tag for element in tree.iter()} <= TAGS
    assert {name for element in tree.iter() for name in element.attrib} <= {"style", "scope", "colspan", "class"}
    assert not re.search("color|url|#", " ".join(element.get("style", "") for element in tree.iter()))
    within = [div for div in tree.iter("div") if div.get("style") == "overflow-x: auto"]
    assert [list(div) for div in within] == [[table] for table in tree.iter("table")]
    return [[["".join(cell.itertext()) for cell in row] for row in table.iter("tr")] for table in tree.iter("table")]


def bold(value: object) -> Rows:
    """The rows all of whose texts are bold."""
    tree = ElementTree.fromstring(f"<cell>{value._repr_html_()}</cell>")  # type: ignore[attr-defined]
    rows = [row for row in tree.iter("tr") if row.find("td/strong") is not None]
    return [["".join(cell.itertext()) for cell in row] for row in rows]


def number(text: str) -> float:
    """A number as a table writes it."""
    return float(text.replace(",", "").replace("<", ""))


def add_up(rows: Rows, column: int) -> None:
    """Rows sum to the row above them, and those at the margin to the total, which is the last."""
    *inner, total = rows
    sums = {"": 0.0}
    above = ""
    for row in inner:
        if row[0].startswith(" "):
            sums[above] -= number(row[column])
        else:
            above = row[0]
            sums[above] = number(row[column])
            sums[""] += number(row[column])
    slack = 0.006 * (len(rows) + 1)
    assert total[0] == "total"
    assert abs(sums.pop("") - number(total[column])) < slack
    assert all(abs(left) < slack for left in sums.values())


def googlenet(**options: object) -> tuple[Spec, Graph]:
    """The spec and its graph."""
    spec = load_spec("googlenet")
    return spec, build_graph(spec, **options)  # type: ignore[arg-type]


def hostile() -> tuple[Spec, Graph]:
    """A network whose names mean harm."""
    spec = parse_spec(HOSTILE)
    return spec, build_graph(spec)


def timed(name: str = "googlenet") -> TimingRecord:
    """Two results, the first with layers."""
    layers = (LayerTiming("a", 1e-3, "Conv2d", 5e-4, "compute"), LayerTiming(f"{name}.b", 3e-3, "ReLU", 1e-3, "memory"))
    whole = Measurement(name, 1, "fp32", "eager", 5e-3, 4.9e-3, 5.2e-3, layers=layers, input=(1, 3, 8, 8))
    return TimingRecord((whole, Measurement(name, 8, "fp32", "eager", 2e-2)), device={"name": name})


def loaded(name: str = "fc") -> LoadedWeights:
    """Something of everything."""
    return LoadedWeights(
        f"{name}.pth",
        "torch",
        ("a.weight", "a.bias", f"{name}.x"),
        (f"{name}.weight", f"{name}.bias"),
        ("bn.num_batches_tracked",),
        ("c.weight",),
        (f"{name}.extra",),
        (Mismatch("d.weight", "2x2", "3x3"),),
        (f"a note of {name}",),
        (name,),
    )


def checked(name: str = "params") -> Check:
    """A check that found a difference."""
    return Check("totals", "torchinfo", ok=False, compared=3, differences=(Difference(name, 5, 6),))


# One value of each class that shows a table, of names that mean harm.
HARMFUL: dict[str, Callable[[], object]] = {
    "Summary": lambda: summarize(hostile()[1]),
    "Comparison": lambda: compare_models([hostile(), hostile()], names=[HARM, HARM]),
    "FlopCounts": lambda: count_flops(hostile()[1]),
    "TrainingMemory": lambda: training_memory(build_graph(parse_spec(HOSTILE), mode="train"), "adam"),
    "LoadedWeights": lambda: loaded(HARM),
    "Explanation": lambda: explain(hostile()[1], hostile()[1].parts[0].name),
    "Taps": lambda: find_taps(hostile()[1]),
    "Listing": lambda: Listing(2, tuple(msgspec.structs.replace(m, title=HARM) for m in list_catalogue().models[:3])),
    "Roofline": lambda: roofline(hostile()[1], load_device("a100")),
    "Verification": lambda: verification_of(None, hostile()[1], (), [checked(HARM)]),
    "TimingRecord": lambda: timed(HARM),
    "TrainedRun": lambda: runs.trained(title=HARM, folder=HARM, recipe=runs.recipe(model=HARM, data=HARM)),
    "Evaluation": lambda: runs.evaluation(
        [[2, 1], [0, 3]], (HARM, f"other {HARM}"), (Mistaken(0, HARM, HARM, f"other {HARM}", 0.1, 0.9, 2.3),)
    ),
    "Examination": lambda: Examination(2, (Part("torch", HARM, "run"), Part("x", None, "draw", HARM))),
}


def results() -> set[type]:
    """Every Struct of the public API, and each result that a command prints: those have the version of the contract."""
    found = {getattr(gnet_inspect, name) for name in gnet_inspect.__all__ if name not in _of_torch()}
    for room in (analysis, records):
        for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
            for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
                if issubclass(kind, msgspec.Struct) and "schema_version" in kind.__struct_fields__:
                    found.add(kind)
    return {kind for kind in found if inspect.isclass(kind) and issubclass(kind, msgspec.Struct)}


def _of_torch() -> set[str]:
    return {name for name, home in gnet_inspect._HOMES.items() if home.startswith("runtime")}


def test_every_result_shows_itself() -> None:
    """A new one fails here until something shows it, and has a value above whose names mean harm."""
    names = {kind.__name__ for kind in results()}
    shown = {kind.__name__ for kind in results() if issubclass(kind, Shown)}
    assert names - shown == {name for name in SHOW_NONE if name in names}
    assert shown == set(HARMFUL) == set(TABLES)
    assert set(PICTURES) == {"Graph"}
    assert set(gnet_inspect.__all__) >= set(SHOW_NONE)


@pytest.mark.parametrize("name", HARMFUL)
def test_text_from_strangers_is_text(name: str) -> None:
    """Tags, quotes, marks of direction and escapes of terminals."""
    value = HARMFUL[name]()
    assert type(value).__name__ == name
    assert tables(value)
    html = value._repr_html_()  # type: ignore[attr-defined]
    assert not re.search(r"<(script|b|img|TABLE)\b|[\u202e\x1b]", html)


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("model", catalogue())
def test_a_summary_shows_its_table(model: str, mode: str) -> None:
    """A row for each stage and block, that sum up to the row above them and to the total."""
    graph = build_graph(load_spec(model), mode=mode)
    summary = summarize(graph)
    ((_, *rows),) = tables(summary)
    stages = [row for row in rows if not row[0].startswith(" ")]
    assert [row[0] for row in stages] == [*(stage.name for stage in graph.stages), "total"]
    for column in (3, 5, 7):
        add_up(rows, column)
    assert f"{summary.totals.params:,}" in unescape(summary._repr_html_())
    # They are the terminal's rows, though told by names alone: what a block is takes its graph.
    drawn = [list(line.cells) for line in beyond_text(summary_grid(summary, graph, Selection())).lines]
    assert [[row[0], *row[2:]] for row in rows] == [[row[0], *row[2:]] for row in drawn]
    assert [row[0] for row in bold(summary)] == [row[0] for row in stages]


def test_a_block_of_most_of_a_large_network_is_what_it_holds() -> None:
    """DenseNet's features are told apart."""
    names = [part.name for part in parts_by_name(summarize(build_graph(load_spec("densenet121"))).layers)]
    assert {"features", "features.denseblock4", "features.norm5", "classifier"} <= set(names)


def test_a_summary_says_what_is_not_known() -> None:
    """A question mark for the layer, "at least" for the total."""
    graph = build_graph(load_spec("lenet5"))
    summary = summarize(graph)
    layers = tuple(msgspec.structs.replace(layer, macs=None, flops=None) for layer in summary.layers[:1])
    coverage = msgspec.structs.replace(summary.coverage, unknown=(layers[0].name,))
    partly = msgspec.structs.replace(summary, layers=(*layers, *summary.layers[1:]), coverage=coverage)
    ((_, *rows),) = tables(partly)
    (row,) = [row for row in rows if row[0].strip() == layers[0].name]
    assert row[5:7] == ["?", "?"]
    assert "at least" in partly._repr_html_()
    assert f"nobody can count {layers[0].name}" in partly._repr_html_()


def test_a_roofline_shows_its_table() -> None:
    """Stages and the total are the terminal's; rows sum up."""
    _, graph = googlenet()
    found = roofline(graph, load_device("a100"), "bf16")
    ((_, *rows),) = tables(found)
    for column in (2, 3, 5, 6, 7):
        add_up(rows, column)
    drawn = beyond_text(roofline_grid(found, graph, BoundSelection()))
    assert bold(found) == [list(line.cells) for line in drawn.lines if line.style == "bold"]


def test_a_comparison_shows_its_models() -> None:
    """A row of totals for each, and below where they sit, whose heads are the totals again."""
    other = load_spec("vgg16")
    comparison = compare_models([googlenet(), (other, build_graph(other))])
    (_, *models), (_, *bars) = tables(comparison)
    assert [row[:5] for row in models] == [
        ["googlenet", "1x3x224x224", "7.00 M", "1.00", "1.58 G"],
        ["vgg16", "1x3x224x224", "138.36 M", "19.8", "15.47 G"],
    ]
    heads = [row for row in bars if not row[0].startswith(" ")]
    assert [row[:4:3] for row in heads] == [["googlenet", "1.58 G"], ["vgg16", "15.47 G"]]
    assert bold(comparison) == heads


def test_a_difference_shows_its_parts() -> None:
    """They add up to the total, which is the difference of the totals."""
    comparison = compare_models([googlenet(), googlenet(overrides={"inception4a.c2": [96, 256]})], diff=True)
    before, after = (model.totals for model in comparison.models)
    ((_, *rows),) = tables(comparison)
    assert [row[1] for row in rows] == ["inception4a", "inception4b", "total"]
    assert sum(number(row[4]) for row in rows[:-1]) == pytest.approx(number(rows[-1][4]))
    assert number(rows[-1][4]) == pytest.approx((after.params - before.params) / 1e3)
    assert bold(comparison) == rows[-1:]


def test_flops_show_each_tool() -> None:
    """Kinds sum to the total, to the digit."""
    counts = count_flops(googlenet()[1])
    ((head, *rows),) = tables(counts)
    for column in range(1, len(head)):
        assert sum(number(row[column]) for row in rows[:-1]) == number(rows[-1][column])
    assert rows[-1][:3] == ["total", "142", "1,582,671,872"]
    assert bold(counts) == rows[-1:]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_training_memory_shows_its_parts(optimizer: str) -> None:
    """Four that sum to the total, of which saved activations are told by the layers that keep most."""
    _, graph = googlenet(mode="train")
    memory = training_memory(graph, optimizer)
    ((head, *rows),) = tables(memory)
    assert head[1] == "memory (MB)"
    assert rows[-1] == ["total", byte_count(memory.total_bytes).removesuffix(" MB"), "100.0"]
    assert [row[0] for row in bold(memory)] == [
        *("weights", "gradients", f"state of {optimizer}", "saved activations", "total")
    ]
    layers = [row for row in rows if row[0].startswith("  ")]
    assert layers[-1][0] == f"  ({len(memory.saved) - 10} others)"
    saved = next(row for row in rows if row[0] == "saved activations")
    assert sum(number(row[1]) for row in layers) == pytest.approx(number(saved[1]), abs=0.06)
    assert sum(number(row[1]) for row in bold(memory)[:-1]) == pytest.approx(number(rows[-1][1]), abs=0.03)
    # A summary that was asked for it shows the same below its own table.
    assert tables(summarize(graph, optimizer=optimizer))[1] == [head, *rows]


def test_training_memory_that_is_a_bound_says_so() -> None:
    """At the row and at the total."""
    memory = training_memory(googlenet(mode="train")[1], "sgd")
    bound = msgspec.structs.replace(memory, saved_status="bound")
    told = {row[0]: row[1] for row in bold(bound)}
    assert told["saved activations"].startswith("at least ")
    assert told["total"].startswith("at least ")
    assert not told["weights"].startswith("at least ")


def test_loaded_weights_show_every_name() -> None:
    """Each name of either side is in one row, and the total counts them."""
    ((_, *rows),) = tables(loaded())
    assert [row[1] for row in rows] == ["3", "2", "1", "1", "1", "1", "9"]
    assert bold(loaded()) == [["total", "9", ""]]
    assert "2x2, in the file 3x3" in unescape(loaded()._repr_html_())
    ((_, *rows),) = tables(LoadedWeights("a.pth", "torch", ("x",)))
    assert rows == [["loaded", "1", "x"], ["total", "1", ""]]


def test_taps_and_the_catalogue_show_their_rows() -> None:
    """They have no totals: each row stands for itself."""
    taps = find_taps(googlenet()[1])
    ((_, *rows),) = tables(taps)
    assert [row[0] for row in rows] == [tap.name for tap in taps.taps]
    ((_, *rows),) = tables(list_catalogue())
    assert [row[0] for row in rows] == list(catalogue())


def test_a_verification_shows_checks_and_figures() -> None:
    """And below them, how many values were compared and what became of the figures."""
    spec, graph = googlenet()
    figures = audit(spec)
    result = verification_of(spec, graph, figures, [Check("output shapes", "hooks", ok=True, compared=144), checked()])
    ((_, *rows),) = tables(result)
    assert len(rows) == 3 + len(figures)
    assert rows[0] == ["output shapes", "hooks", "144 values", "", "", "equal"]
    assert [row[5] for row in bold(result)] == ["differs", "differs"]
    assert "147 values compared, 1 differ; published figures: " in result._repr_html_()


def test_a_record_of_times_shows_its_layers() -> None:
    """Layer by layer, for no graph is at hand; they sum to the total."""
    (_, *results), (_, *layers) = tables(timed())
    assert [row[4] for row in results] == ["5.00 ms", "20.00 ms"]
    assert [row[2] for row in layers] == ["1.00 ms", "3.00 ms", "4.00 ms"]
    assert bold(timed()) == [["total", "", "4.00 ms", "100.0", "", ""]]


def test_an_examination_shows_what_is_missing() -> None:
    """And how to get it."""
    ((_, *rows),) = tables(Examination(2, (Part("torch", "2.13", "run"), Part("x", None, "draw", "pip install x"))))
    assert rows == [["torch", "2.13", "run", ""], ["x", "missing", "draw", "pip install x"]]


@pytest.mark.parametrize("has_total", [True, False])
def test_a_long_table_is_cut(has_total: bool) -> None:
    """To so many rows with the total; a row says how many are left out."""
    lines = [Line((f"row {index}", "1")) for index in range(MOST_ROWS + 500)]
    if has_total:
        lines.append(Line(("total", f"{len(lines)}"), style="bold", rule_above=True))

    class Long:
        def _repr_html_(self) -> str:
            return draw_cell(Grid((Column("a", "a"), Column("b", "b", number=True)), tuple(lines)))

    ((_, *rows),) = tables(Long())
    assert len(rows) == MOST_ROWS + 1
    left = rows[-2] if has_total else rows[-1]
    assert left == [f"({501 - (not has_total)} more rows, which a notebook does not show; --format csv has them all)"]
    assert rows[-1] == ["total", "2500"] if has_total else rows[-2] == ["row 1999", "1"]


def test_a_large_summary_is_bounded() -> None:
    """A network of tens of thousands of layers shows some megabyte at most."""
    stages = "".join(f"  s{index}: {{a{index}: ReLU, b{index}: ReLU}}\n" for index in range(3_000))
    summary = summarize(build_graph(parse_spec(f"name: long\ninput: [3, 8, 8]\nstages:\n{stages}")))
    html = summary._repr_html_()
    assert len(html) < 4_000_000
    ((_, *rows),) = tables(summary)
    assert rows[-1][0] == "total"
    assert rows[-2][0].startswith("(7,001 more rows")


def test_a_graph_shows_its_diagram() -> None:
    """As an svg with its blocks."""
    pytest.importorskip("pygraphviz")
    svg = build_graph(load_spec("googlenet"))._repr_svg_()
    assert svg is not None
    assert "inception3a: inception 64, 96-128, 16-32, 32" in unescape(svg)
    # As wide as the cell, and no wider than it comes.
    assert 'style="max-width:100%;height:auto"' in svg


def test_a_graph_too_large_for_a_picture_shows_nothing_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """None, upon which a notebook shows its text."""
    monkeypatch.setattr("gnet_inspect.views.drawing.diagram.MOST_BOXES", 5)
    assert build_graph(load_spec("lenet5"))._repr_svg_() is None
