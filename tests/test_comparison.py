"""Models side by side, and how one differs from another."""

import io
import json
import sys
from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from gnet_inspect.analysis.alignment import align
from gnet_inspect.analysis.comparison import Comparison, compare_models
from gnet_inspect.analysis.difference import Change, difference
from gnet_inspect.errors import SpecError, UsageError
from gnet_inspect.graph import Graph, build_graph
from gnet_inspect.spec import catalogue, load_spec, parse_spec
from gnet_inspect.views.comparison import bar
from tests.conftest import Run
from tests.specs import HEADER
from tests.strategies import specs, to_yaml

CHAIN = """
blocks:
  unit:
    params: [out]
    layers: {conv: {Conv2d: {out_channels: $out, kernel_size: 3, padding: 1}}, relu: ReLU}
stages:
  s:
    a: {unit: {out: 4}}
    b: {unit: {out: 8}}
    c: {unit: {out: 8}}
    join: {concat: [{}, {d: ReLU}]}
"""


def graph(text: str, **options: Any) -> Graph:
    """A graph of a spec without its header."""
    return build_graph(parse_spec(HEADER + text), **options)


def shown(before: Graph, after: Graph) -> list[tuple[str, str, tuple[str, ...]]]:
    """(status, name, what) of every part that is not the same."""
    return [(item.status, item.name, item.what) for item in difference(before, after) if item.status != "same"]


def compared(*models: str, **options: Any) -> Comparison:
    """Built-in models at their own inputs."""
    specs = [load_spec(model) for model in models]
    return compare_models([(spec, build_graph(spec)) for spec in specs], **options)


def test_ratios_are_to_the_baseline() -> None:
    """VGG-16 has 19.8 x the parameters and 9.8 x the MACs of GoogLeNet, whose own ratios are 1."""
    comparison = compared("googlenet", "vgg16")
    first, second = comparison.models
    assert comparison.baseline == "googlenet"
    assert {getattr(first.ratios, name) for name in first.ratios.__struct_fields__} == {1.0}
    assert second.ratios.params == 138_357_544 / 6_998_552
    assert second.ratios.macs == 15_470_264_320 / 1_582_671_872
    assert second.ratios.depth == 16 / 22


def test_a_ratio_to_nothing_is_none() -> None:
    """A baseline without weights has no ratio of parameters."""
    spec = parse_spec(HEADER + "stages: {s: {a: ReLU}}")
    other = load_spec("lenet5")
    ratios = compare_models([(spec, build_graph(spec)), (other, build_graph(other))]).models[1].ratios
    assert (ratios.params, ratios.macs, ratios.depth) == (None, None, None)
    assert ratios.activation_bytes


def test_one_model_alone_is_compared_with_googlenet(run: Run) -> None:
    """And JSON has the keys of the contract."""
    found = json.loads(run("compare", "vgg16", "--format", "json").out)
    assert list(found)[:2] == ["schema_version", "baseline"]
    assert [model["model"] for model in found["models"]] == ["googlenet", "vgg16"]
    for model in found["models"]:
        assert {"model", "input", "totals", "ratios", "published", "stages"} <= set(model)
        for what in ("params", "macs"):
            assert sum(stage[what] for stage in model["stages"]) == model["totals"][what]
    assert "diff" not in found


def test_models_are_at_their_own_inputs_or_all_at_one(run: Run) -> None:
    """What is said above and below tells which."""
    own = run("compare", "googlenet", "inception_v3").out
    assert "each model at its own input" in own
    assert "inputs differ, and MACs and memory grow with them" in own
    one = run("compare", "googlenet", "inception_v3", "--input", "2x3x299x299").out
    assert "input 2x3x299x299" in one
    assert "inputs differ" not in one
    refused = run("compare", "lenet5", "googlenet", "--input", "1x3x224x224")
    assert refused.code == 2
    assert "lenet5.yaml" in refused.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["googlenet"], "expected another model to compare googlenet with"),
        (["vgg16", "nin", "--set", "classes=10"], "--set: expected one model to compare with itself, edited, got 2"),
        (["vgg16", "nin", "alexnet", "--diff"], "expected two models for a diff, got 3"),
        (["vgg16", "--depth", "stage"], "--depth: expected block, layer, got 'stage'"),
        (["-", "-"], "expected one spec on standard input, got `-` twice"),
        (["vgg"], "expected a built-in model or a spec file, got 'vgg'"),
    ],
)
def test_refusals_say_what_was_expected(run: Run, arguments: list[str], message: str) -> None:
    """On standard error, with exit code 2."""
    result = run("compare", *arguments)
    assert (result.code, result.out) == (2, "")
    assert message in result.err


def test_fewer_than_two_models_are_refused() -> None:
    """From Python, too."""
    with pytest.raises(UsageError, match="expected two models to compare, got 1"):
        compared("googlenet")


def test_a_spec_and_its_copy_are_told_apart_by_their_files(run: Run, write_spec: Callable[[str], str]) -> None:
    """Both have the same name inside."""
    path = write_spec(run("show", "lenet5").out)
    found = json.loads(run("compare", "lenet5", path, "--format", "json").out)
    assert [model["model"] for model in found["models"]] == ["lenet5 (lenet5.yaml)", f"lenet5 ({path})"]


def test_edits_are_compared_with_the_model_as_it_is(run: Run) -> None:
    """`--set` makes the second model; what is published of the first is not said of it."""
    found = json.loads(run("compare", "googlenet", "--set", "classes=10", "--format", "json").out)
    assert [model["model"] for model in found["models"]] == ["googlenet", "googlenet classes=10"]
    assert found["models"][0]["published"]
    assert not found["models"][1]["published"]


def test_a_bar_is_a_share_to_an_eighth_of_a_cell() -> None:
    """Nothing for nothing, the least for the least, all for all."""
    assert [bar(part, 100, 2) for part in (0, 0, 1, 50, 75, 100)] == ["", "", "▏", "█", "█▌", "██"]


def test_an_encoding_without_blocks_gets_them_in_ascii(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar is one character a cell there, never an escape."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    run("compare", "alexnet")
    stream.seek(0)
    text = stream.read()
    assert "classifier   96.0 %  ####" in text
    assert "\\u" not in text


# --- the difference ---


def test_a_network_does_not_differ_from_itself() -> None:
    """Every part is the same."""
    for model in ("googlenet", "vgg16", "resnet50"):
        built = build_graph(load_spec(model))
        assert {change.status for change in difference(built, built)} == {"same"}


def test_a_changed_argument_is_named_and_what_follows_is_affected() -> None:
    """The block says which argument, its layers which of theirs, and the next block what it reads now."""
    before, after = graph(CHAIN), graph(CHAIN, overrides={"b.out": 16})
    assert shown(before, after) == [
        ("changed", "b", ("out 8 -> 16",)),
        ("affected", "c", ("input 1x8x32x32 -> 1x16x32x32",)),
    ]
    change = next(item for item in difference(before, after) if item.name == "b")
    assert [(layer.status, layer.name, layer.what) for layer in change.layers] == [
        ("changed", "conv", ("out_channels 8 -> 16",)),
        ("affected", "relu", ("input 1x8x32x32 -> 1x16x32x32",)),
    ]


def test_additions_and_removals_leave_the_rest_alone() -> None:
    """A block put in, and one taken out, whose neighbours read the same shapes."""
    longer = CHAIN.replace("    c: {unit: {out: 8}}\n", "    c: {unit: {out: 8}}\n    e: {unit: {out: 8}}\n")
    assert shown(graph(CHAIN), graph(longer)) == [("added", "e", ("unit 8",))]
    assert shown(graph(longer), graph(CHAIN)) == [("removed", "e", ("unit 8",))]


def test_a_layer_put_into_a_numbered_list_renames_the_rest() -> None:
    """What follows is the same under another name."""
    text = (
        "stages: {s: {f: [{Conv2d: {out_channels: 4, kernel_size: 1}}, %s{Conv2d: {out_channels: 2, kernel_size: 1}}]}}"
    )
    changes = difference(graph(text % ""), graph(text % "ReLU, "))
    assert [(item.status, item.name, item.was) for item in changes] == [
        ("same", "f.0", None),
        ("added", "f.1", None),
        ("renamed", "f.2", "f.1"),
    ]


def test_an_edited_template_is_described_by_its_layers() -> None:
    """The arguments of the blocks say nothing of it."""
    edited = CHAIN.replace("kernel_size: 3, padding: 1", "kernel_size: 1").replace(
        "relu: ReLU", "relu: ReLU, act: Tanh"
    )
    (first, *_) = shown(graph(CHAIN), graph(edited))
    assert first == ("changed", "a", ("kernel_size 3 -> 1 (conv)", "padding 1 -> 0 (conv)", "added Tanh (act)"))


def test_another_kind_under_the_same_name_is_a_change() -> None:
    """Described by both."""
    assert shown(graph("stages: {s: {a: ReLU}}"), graph("stages: {s: {a: {Softmax: {dim: 1}}}}")) == [
        ("changed", "a", ("ReLU -> Softmax",))
    ]


def test_a_part_that_reads_from_elsewhere_is_changed() -> None:
    """The same layers, connected differently."""
    text = "stages: {s: {a: ReLU, b: Tanh, join: {add: [%s]}}}"
    inside = "{x: Sigmoid}, {y: GELU%s}"
    before = graph(text % (inside % ""))
    after = graph(text % "{x: Sigmoid, y: GELU}, {}")
    assert ("changed", "y", ("reads b -> x",)) in shown(before, after)


def test_blocks_renamed_inside_are_changed() -> None:
    """A state dict of the one does not load into the other."""
    renamed = CHAIN.replace("{conv: {Conv2d", "{convolution: {Conv2d")
    assert shown(graph(CHAIN), graph(renamed))[0] == ("changed", "a", ("renamed (conv -> convolution)",))


@pytest.mark.parametrize(
    ("before", "after"), [*combinations(["googlenet", "googlenet_d2l", "vgg11", "resnet18", "nin"], 2)]
)
def test_a_difference_adds_up_to_both_totals(before: str, after: str) -> None:
    """Whatever is compared: parameters and MACs before and after."""
    check_sums(*(build_graph(load_spec(model)) for model in (before, after)))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_drawn_networks_add_up_too(data: st.DataObject) -> None:
    """And each is the same as itself, in reverse too."""
    try:
        graphs = [build_graph(parse_spec(to_yaml(data.draw(specs(faults=False))))) for _ in range(2)]
    except SpecError:
        reject()
    check_sums(*graphs)
    check_sums(*reversed(graphs))
    assert {change.status for change in difference(graphs[0], graphs[0])} <= {"same"}


def check_sums(before: Graph, after: Graph) -> None:
    """Every layer of both networks is in exactly one part; parts are in order on either side."""
    changes = difference(before, after)
    for side, network in (("before", before), ("after", after)):
        for what in ("params", "macs"):
            assert sum(getattr(item, f"{what}_{side}") for item in changes) == sum(
                getattr(node, what) for node in network.nodes
            )
    old = [item.was or item.name for item in changes if item.output_before]
    new = [item.name for item in changes if item.output_after]
    for names, network in ((old, before), (new, after)):
        order = [node.name for node in network.nodes]
        places = [
            next(i for i, name in enumerate(order) if name == part or name.startswith(f"{part}.")) for part in names
        ]
        assert places == sorted(places)
    for item in changes:
        assert inner(item)


def inner(change: Change) -> bool:
    """The layers of a changed block account for its own difference."""
    if not change.layers:
        return True
    for what in ("params", "macs"):
        own = getattr(change, f"{what}_after") - getattr(change, f"{what}_before")
        inside = sum(getattr(item, f"{what}_after") - getattr(item, f"{what}_before") for item in change.layers)
        if own != inside:
            return False
    return True


# --- alignment ---


def longest_common(one: str, other: str) -> int:
    """The length of the longest common subsequence, the slow way."""
    if not one or not other:
        return 0
    if one[0] == other[0]:
        return 1 + longest_common(one[1:], other[1:])
    return max(longest_common(one[1:], other), longest_common(one, other[1:]))


@given(st.text("abc", max_size=7), st.text("abc", max_size=7))
def test_alignment_is_the_best_and_keeps_both_orders(one: str, other: str) -> None:
    """With equal letters alike and nothing else, it is the longest common subsequence."""
    pairs = align(one, other, lambda a, b: float(a == b), str)
    assert "".join(a for a, _ in pairs if a) == one
    assert "".join(b for _, b in pairs if b) == other
    assert all(a == b for a, b in pairs if a and b)
    assert sum(bool(a and b) for a, b in pairs) == longest_common(one, other)


def test_long_sequences_are_cut_at_equal_items() -> None:
    """Ten thousand items on either side: in a second, with what was put in and taken out found."""
    old = list(range(10_000))
    new = [item for item in old if item % 100 != 50]
    new.insert(5_000, -1)
    new.insert(0, -2)
    new.append(-3)
    pairs = align([-4, *old, -5], new, lambda a, b: float(a == b), lambda item: item)
    assert [a for a, b in pairs if b is None] == [-4, *range(50, 10_000, 100), -5]
    assert [b for a, b in pairs if a is None] == [-2, -1, -3]


def test_sequences_with_nothing_in_common_are_replaced() -> None:
    """However long."""
    pairs = align(list(range(2_000)), list(range(-1, -2_001, -1)), lambda a, b: float(a == b), lambda item: item)
    assert len(pairs) == 4_000
    assert not [pair for pair in pairs if None not in pair]


# --- the list ---


def test_the_list_is_sorted_and_filtered(run: Run) -> None:
    """By family, by a glob over names and titles, by any column; small errors and large networks come first."""

    def models(*arguments: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(run("list", "--format", "json", *arguments).out)["models"]
        return found

    assert [model["model"] for model in models()] == catalogue()
    assert {model["family"] for model in models("--family", "vgg,nin")} == {"vgg", "nin"}
    assert [model["model"] for model in models("--filter", "*_bn", "--sort", "depth")] == [
        "vgg19_bn",
        "vgg16_bn",
        "vgg13_bn",
        "vgg11_bn",
    ]
    params = [model["totals"]["params"] for model in models("--sort", "params")]
    assert params == sorted(params, reverse=True)
    assert models("--sort", "top5_error")[0]["model"] == "resnet152"
    assert models("--sort", "top5_error")[-1]["model"] in ("googlenet_naive", "lenet5", "nin")
    nothing = run("list", "--filter", "x*")
    assert (nothing.code, nothing.err.strip()) == (0, "--filter: nothing matches 'x*'")
    assert run("list", "--family", "vg").code == 2
    assert run("list", "--sort", "size").code == 2
