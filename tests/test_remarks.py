"""What is remarkable: only where the numbers say so, and as much as they say."""

import pytest
from msgspec.structs import replace

from gnet_inspect import build_graph, load_spec, summarize
from gnet_inspect.analysis.comparison import Comparison, compare_models
from gnet_inspect.analysis.remarks import (
    ErrorDifference,
    PeakPlace,
    Remark,
    Reuse,
    Share,
    WeightsOverPeak,
    error_differences,
    multiples,
    remarks,
)
from gnet_inspect.graph import Graph
from gnet_inspect.language import catalogue
from gnet_inspect.ops import Opaque


def compared(*models: str) -> Comparison:
    """Built-in models side by side."""
    specs = [load_spec(model) for model in models]
    return compare_models([(spec, build_graph(spec)) for spec in specs])


def foreign(model: str) -> Graph:
    """A network whose second layer nobody can count."""
    known = build_graph(load_spec(model))
    odd = replace(known.nodes[1], op=Opaque("Odd", known.nodes[1].output_shape), macs=None)
    return replace(known, nodes=(known.nodes[0], odd, *known.nodes[2:]))


def of(graph: Graph) -> tuple[Remark, ...]:
    """The remarks on a graph."""
    return remarks(graph, summarize(graph))


def test_ratios_are_to_the_first() -> None:
    """As everybody says it: VGG-16 has 19.8 x the parameters and 9.8 x the work of GoogLeNet."""
    found = {fact.measure: fact for fact in multiples(compared("googlenet", "vgg16"))}
    assert {measure: round(fact.ratio, 1) for measure, fact in found.items()} == {
        "params": 19.8,
        "macs": 9.8,
        "peak_activation_bytes": 2.7,
    }
    assert not any(fact.at_least for fact in found.values())
    assert [(fact.model, fact.baseline) for fact in found.values()] == 3 * [("vgg16", "googlenet")]


def test_a_ratio_of_what_is_counted_in_part_is_a_least() -> None:
    """Above the line; below it there is nothing to say."""
    spec, odd = load_spec("lenet5"), foreign("alexnet")
    known = build_graph(spec)
    above = multiples(compare_models([(spec, known), (None, odd)]))
    assert [(fact.measure, fact.at_least) for fact in above] == [
        ("params", True),
        ("macs", True),
        ("peak_activation_bytes", True),
    ]
    assert multiples(compare_models([(None, odd), (spec, known)])) == ()


def test_nothing_is_no_baseline() -> None:
    """A ratio to no parameters is none."""
    known = compared("lenet5", "alexnet")
    baseline = replace(known.models[0], totals=replace(known.models[0].totals, params=0))
    found = multiples(replace(known, models=(baseline, known.models[1])))
    assert [fact.measure for fact in found] == ["macs", "peak_activation_bytes"]


def test_errors_are_compared_on_one_data_set() -> None:
    """In points; where either has none, or has it of other images, there is no difference."""
    known = compared("googlenet", "vgg16", "lenet5")
    (found,) = error_differences(known)
    assert isinstance(found, ErrorDifference)
    assert (found.model, found.which, round(found.points, 3), found.dataset) == ("vgg16", "top-5", -1.482, "ImageNet")
    elsewhere = tuple(replace(item, dataset="another") for item in known.models[1].published)
    assert (
        error_differences(replace(known, models=(known.models[0], replace(known.models[1], published=elsewhere)))) == ()
    )
    without = tuple(replace(item, top5_error=None) for item in known.models[1].published)
    (rest,) = error_differences(replace(known, models=(known.models[0], replace(known.models[1], published=without))))
    assert (rest.which, round(rest.points, 2)) == ("top-1", -2.89)


def test_where_it_sits() -> None:
    """Two of five stages of GoogLeNet have most of its work; one layer of VGG-16 most of its parameters."""
    google = [fact for fact in of(build_graph(load_spec("googlenet"))) if isinstance(fact, Share)]
    assert [(fact.measure, fact.role, fact.parts, fact.among) for fact in google] == [
        ("macs", "stage", ("inception4", "stem"), 5),
        ("params", "stage", ("inception4", "inception5"), 5),
        ("macs", "kind", ("Conv2d 3x3",), 5),
    ]
    assert google[0].share == pytest.approx((549_880_000 + 477_680_000) / 1_582_671_872, abs=1e-4)
    # One of two halves has a little more than the other: that is nothing.
    unet = of(build_graph(load_spec("unet")))
    assert [fact.role for fact in unet if isinstance(fact, Share) and fact.measure == "macs"] == ["kind"]
    vgg = of(build_graph(load_spec("vgg16")))
    assert Share("params", 102_764_544 / 138_357_544, "layer", ("classifier.0",), 16) in vgg


@pytest.mark.parametrize("model", catalogue())
def test_facts_are_true(model: str) -> None:
    """Of every model: each is computed once more from the layers, and none is beside the point."""
    spec = load_spec(model)
    graph = build_graph(spec, (2, *spec.input))
    summary = summarize(graph)
    found = remarks(graph, summary)
    assert found
    for fact in found:
        if isinstance(fact, Share):
            parts = [
                getattr(layer, fact.measure)
                for layer, node in zip(summary.layers, graph.nodes, strict=True)
                if (layer.name if fact.role == "layer" else layer.stage) in fact.parts
                or (fact.role == "kind" and node.op.kind == fact.parts[0].partition(" ")[0])
            ]
            whole = getattr(summary.totals, fact.measure)
            assert fact.share <= sum(parts) / whole + 1e-12 if fact.role == "kind" else fact.share == sum(parts) / whole
            assert 0.25 <= fact.share <= 1
            assert len(fact.parts) < fact.among
        elif isinstance(fact, PeakPlace):
            assert summary.layers[fact.place - 1].name == fact.layer == summary.totals.peak_node
        elif isinstance(fact, WeightsOverPeak):
            assert fact.ratio == summary.totals.param_bytes / summary.totals.peak_activation_bytes
        else:
            assert isinstance(fact, Reuse)
            assert fact.times == pytest.approx(summary.totals.macs / summary.totals.params / 2)


def test_what_nobody_can_count_is_no_ground() -> None:
    """No share and no peak of a network that is counted in part; nothing of one that does nothing."""
    assert of(foreign("alexnet")) == ()
    single = load_spec("lenet5")
    graph = build_graph(single)
    idle = tuple(replace(node, macs=0, params=0) for node in graph.nodes)
    assert all(isinstance(fact, PeakPlace) for fact in of(replace(graph, nodes=idle)))
