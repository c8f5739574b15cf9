"""Explanations: each printed formula is worked out anew here, and each saving counted on networks that have it."""

import csv
import io
import json
import re
from fractions import Fraction
from pathlib import Path

import pytest

from gnet_inspect import build_graph, load_spec, parse_spec, summarize
from gnet_inspect.analysis.alternatives import Alternative, alternatives_of
from gnet_inspect.analysis.explanation import Explanation, LayerExplanation, PartExplanation, Working, explain
from gnet_inspect.errors import UsageError
from gnet_inspect.graph import Graph
from gnet_inspect.graph.outline import Outline
from gnet_inspect.language import catalogue
from gnet_inspect.views.tables.explain import WAY_WORDS
from tests.arithmetic import skeleton, worked
from tests.conftest import Run

INCEPTIONS = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")


def check_working(working: Working, known: int | None) -> None:
    """Its arithmetic comes to the number, which is the known one, and its formula is of the same build."""
    assert working.value == known
    if working.numbers:
        assert worked(working.numbers) == known, working
        assert skeleton(working.formula) == skeleton(working.numbers), working


def part_of(model: str, name: str, **edits: object) -> Explanation:
    """A part of a model of the catalogue."""
    return explain(build_graph(load_spec(model), overrides=edits), name)


# --- formulas ---


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("model", catalogue())
def test_every_formula_of_the_catalogue_comes_to_what_is_counted(model: str, mode: str) -> None:
    """Of every layer of every stage: sizes, parameters and MACs, as the summary has them."""
    graph = build_graph(load_spec(model), mode=mode)
    counted = {layer.name: layer for layer in summarize(graph).layers}
    outline, seen = Outline(graph), set[str]()
    # A stage may be called as a layer of it.
    for entry in (*outline.at("stage"), *outline.at("block")):
        if entry.name in seen or seen.issuperset(node.name for node in entry.of(graph.nodes)):
            continue
        for layer in explain(graph, entry.name).layers:
            found = counted[layer.name]
            seen.add(layer.name)
            by_quantity = {working.quantity: working for working in layer.workings}
            check_working(by_quantity.pop("macs"), found.macs)
            if found.params:
                working = by_quantity.pop("params")
                assert working.numbers
                check_working(working, found.params)
            for quantity, working in by_quantity.items():
                assert working.value in found.output_shape
                check_working(working, working.value)
                assert quantity != "params"
            if found.macs:
                assert layer.workings[-1].numbers
    assert seen == {*counted}


# --- parts ---


def test_the_parts_of_a_part_add_up_to_it() -> None:
    """In every block of the catalogue, and in every stage; fields go on from what is read."""
    for model in ("googlenet", "resnet50", "inception_v3", "densenet121", "mobilenet_v2", "squeezenet1_0"):
        graph = build_graph(load_spec(model))
        totals = summarize(graph).totals
        for entry in Outline(graph, "block").entries:
            found = explain(graph, entry.name)
            assert (found.network_params, found.network_macs) == (totals.params, totals.macs)
            if found.parts:
                sums = sum(part.params for part in found.parts), sum(part.macs for part in found.parts)
                assert sums == (found.params, found.macs), entry.name


def test_a_branch_of_an_inception_adds_what_its_kernel_sees() -> None:
    """(k - 1) x jump, the jump 16 where 224 pixels have become 14."""
    parts = {part.name.rpartition(".")[2]: part for part in part_of("googlenet", "inception4a").parts}
    assert list(parts) == ["branch1", "branch2", "branch3", "branch4", "output"]
    for name, kernel in (("branch1", 1), ("branch2", 3), ("branch3", 5), ("branch4", 3)):
        part = parts[name]
        assert part.jump == (16, 16)
        assert part.field_before is not None
        assert part.field_after == tuple(size + (kernel - 1) * 16 for size in part.field_before)
    assert [parts[f"branch{number}"].output_shape[1] for number in range(1, 5)] == [192, 208, 48, 64]


@pytest.mark.parametrize(
    ("model", "part", "layers"),
    [
        ("googlenet", "inception4a", 14),
        ("googlenet", "inception4a.branch2", 4),
        ("googlenet", "inception4a.branch2.1.conv", 1),
        ("googlenet", "stem", 10),
        ("resnet50", "layer2", 42),
        ("resnet50", "layer2.0", 12),
        # A layer of the name of its stage.
        ("resnet50", "conv1", 1),
        ("densenet121", "features.denseblock1", 42),
    ],
)
def test_a_part_is_found_by_its_path(model: str, part: str, layers: int) -> None:
    """As --until finds it, and a branch by where its layers lie."""
    found = part_of(model, part)
    assert (found.part, len(found.layers)) == (part, layers)
    assert all(layer.name == part or layer.name.startswith(f"{part}.") for layer in found.layers) or part == "stem"


def test_a_size_that_was_asked_for_is_not_worked_out() -> None:
    """The features of a Linear, on tokens and on rows; those of an adaptive pool are another's than the input's."""
    (linear,) = part_of("vit_b_16", "encoder.layers.encoder_layer_0.mlp.0").layers
    assert [working.quantity for working in linear.workings] == ["params", "macs"]
    (pool,) = part_of("googlenet", "avgpool").layers
    assert [(working.quantity, working.formula) for working in pool.workings] == [
        ("H', W'", "output_size"),
        ("macs", ""),
    ]


def test_a_part_in_a_part_of_its_name_counts_once() -> None:
    """A list that is called as its stage is."""
    found = explain(
        build_graph(parse_spec("{name: m, input: [4, 8, 8], stages: {a: {a: [ReLU, ReLU], b: ReLU}}}")), "a"
    )
    assert [layer.name for layer in found.layers] == ["a.0", "a.1", "b"]


def test_a_layer_that_runs_again_counts_its_weights_once() -> None:
    """In its first call; the second has no formula of them."""
    text = "{name: m, input: [4, 8, 8], stages: {a: {c: {Conv2d: {out_channels: 4, kernel_size: 1}}, d: {share: c}}}}"
    first, again = explain(build_graph(parse_spec(text)), "a").layers
    assert [working.quantity for working in first.workings] == ["H', W'", "params", "macs"]
    assert [working.quantity for working in again.workings] == ["H', W'", "macs"]


# --- what is saved ---


def without(found: Explanation, way: str) -> tuple[int, int]:
    """(MACs, parameters) of a part with the plainer layers in the place of those that are built in a way."""
    chosen = [item for item in found.alternatives if item.way == way]
    return (
        found.macs + sum(item.macs_instead - item.macs for item in chosen),
        found.params + sum(item.params_instead - item.params for item in chosen),
    )


@pytest.mark.parametrize("block", INCEPTIONS)
def test_an_inception_without_reductions_is_that_of_googlenet_naive(block: str) -> None:
    """Which is a network of its own, of Figure 2(a)."""
    naive = part_of("googlenet_naive", f"inception{block}")
    found = part_of("googlenet", f"inception{block}")
    assert without(found, "reduction") == (naive.macs, naive.params)
    assert naive.alternatives == ()
    assert len(found.alternatives) == 2


def test_a_reduction_saves_what_one_counts_by_hand() -> None:
    """inception3a of the paper's Table 1: 16 channels before 32 kernels of 5x5 on 192 channels at 28x28."""
    five = part_of("googlenet", "inception3a").alternatives[1]
    assert (five.layers, five.instead) == (
        ("inception3a.branch3.0.conv", "inception3a.branch3.1.conv"),
        "Conv2d 5x5, 32 on 192 channels",
    )
    assert five.macs == 28 * 28 * (16 * 192 + 32 * 16 * 25) == 12_443_648
    assert five.macs_instead == 28 * 28 * 32 * 192 * 25 == 120_422_400
    assert (five.params, five.params_instead) == (16 * 192 + 16 + 32 * 16 * 25 + 32, 32 * 192 * 25 + 32)


def test_a_bottleneck_is_beside_the_convolution_between_its_outer_channels() -> None:
    """ResNet-50: 256 to 64 to 64 to 256 beside 3x3 on 256, with the norms between; its reduction is not told twice."""
    (found,) = part_of("resnet50", "layer1.1").alternatives
    assert (found.way, found.what) == ("bottleneck", "Conv2d 1x1, 64 -> Conv2d 3x3, 64 -> Conv2d 1x1, 256")
    assert found.macs == 56 * 56 * (64 * 256 + 64 * 64 * 9 + 256 * 64)
    assert found.macs_instead == 56 * 56 * 256 * 256 * 9
    assert (found.params, found.params_instead) == (64 * 256 + 64 * 64 * 9 + 256 * 64 + 4 * 64, 256 * 256 * 9)
    # The first block of the network reads as few channels as it makes.
    assert part_of("resnet50", "layer1.0").alternatives == ()
    assert part_of("resnet18", "layer1").alternatives == ()


def test_a_grouped_bottleneck_is_a_reduction_alone() -> None:
    """ResNeXt: its 3x3 stays in groups, on twice the channels."""
    (found,) = part_of("resnext50_32x4d", "layer1.1").alternatives
    assert (found.way, found.instead) == ("reduction", "Conv2d 3x3, 128, groups 32 on 256 channels")


def test_a_separable_convolution_is_beside_the_whole_one() -> None:
    """MobileNet, section 3.1: a part of 1/N + 1/k^2 of the multiply-accumulates, N channels made."""
    found = [item for item in part_of("mobilenet_v2", "features.2").alternatives if item.way == "separable"]
    assert len(found) == 1
    assert Fraction(found[0].macs, found[0].macs_instead) == Fraction(1, 24) + Fraction(1, 9)


def test_factorised_convolutions_are_beside_the_square_one() -> None:
    """1x7 and 7x1: two sevenths, where as many channels are in the middle as go in and out."""
    found = [item for item in part_of("inception_v3", "Mixed_6e").alternatives if item.way == "factorised"]
    assert len(found) == 3
    assert all(Fraction(item.macs, item.macs_instead) == Fraction(2, 7) for item in found)
    assert found[0].instead == "Conv2d 7x7, 192 on 192 channels"


def test_a_squeeze_in_front_of_two_branches_is_one_reduction() -> None:
    """SqueezeNet's fire: both of them would read all channels."""
    (found,) = part_of("squeezenet1_0", "features.4").alternatives
    assert found.layers == ("features.4.squeeze", "features.4.expand1x1", "features.4.expand3x3")
    assert found.instead == "Conv2d 1x1, 64 and Conv2d 3x3, 64 on 128 channels"
    assert found.macs_instead == 54 * 54 * 64 * 128 * (1 + 9)


def graph_of(layers: str) -> Graph:
    """A network of 64 channels with these layers."""
    return build_graph(parse_spec(f"{{name: m, input: [64, 8, 8], stages: {{a: {{{layers}}}}}}}"))


REDUCED = (
    "r: {Conv2d: {out_channels: 8, kernel_size: 1}}, b: BatchNorm2d, c: {Conv2d: {out_channels: 64, kernel_size: 3}}"
)


@pytest.mark.parametrize(
    ("layers", "ways"),
    [
        (REDUCED, ["reduction"]),
        # More channels are no reduction.
        (REDUCED.replace("8,", "128,", 1), []),
        # A stride that the plainer layer would not have.
        (REDUCED.replace("kernel_size: 1", "kernel_size: 1, stride: 2"), []),
        # What is reduced is a 1x1 that needs no reduction, or nothing.
        (REDUCED.replace("kernel_size: 3", "kernel_size: 1"), []),
        ("r: {Conv2d: {out_channels: 8, kernel_size: 1}}", []),
        # A pool in between sees other things than all channels.
        (REDUCED.replace("BatchNorm2d", "{MaxPool2d: {kernel_size: 3, stride: 1}}"), []),
        (REDUCED.replace("kernel_size: 3", "kernel_size: 3, groups: 8"), []),
        (f"{REDUCED}, e: {{Conv2d: {{out_channels: 128, kernel_size: 1}}}}", ["bottleneck"]),
    ],
)
def test_what_is_no_saving_is_none(layers: str, ways: list[str]) -> None:
    """Nothing is compared with what is something else."""
    graph = graph_of(layers)
    assert [item.way for item in alternatives_of(graph, range(len(graph.nodes)))] == ways


def test_layers_whose_weights_count_elsewhere_are_not_compared() -> None:
    """The second run of a reduction holds none: without it nothing would be saved twice."""
    text = "{name: m, input: [64, 8, 8], stages: {a: {r: {Conv2d: {out_channels: 8, kernel_size: 1}}, "
    text += "c: {Conv2d: {out_channels: 64, kernel_size: 3, padding: 1}}, again: {share: r}, more: {share: c}}}}"
    graph = build_graph(parse_spec(text))
    assert [item.layers for item in alternatives_of(graph, range(4))] == [("r", "c")]


def test_a_layer_outside_is_no_part_of_a_saving() -> None:
    """A reduction whose convolution lies elsewhere, and one whose output is read elsewhere too."""
    graph = graph_of(REDUCED)
    assert alternatives_of(graph, [0, 1]) == ()
    text = "{name: m, input: [64, 8, 8], stages: {a: {r: {Conv2d: {out_channels: 8, kernel_size: 1}}, "
    text += "j: {concat: [{c: {Conv2d: {out_channels: 8, kernel_size: 3, padding: 1}}}, []]}}}}"
    read_twice = build_graph(parse_spec(text))
    assert alternatives_of(read_twice, range(len(read_twice.nodes))) == ()
    returned = parse_spec(
        f"{{name: m, input: [64, 8, 8], outputs: {{main: c, reduced: b}}, stages: {{a: {{{REDUCED}}}}}}}"
    )
    assert alternatives_of(build_graph(returned), range(3)) == ()


@pytest.mark.parametrize("model", catalogue())
def test_savings_of_the_catalogue_hold_together(model: str) -> None:
    """No layer stands in two of a way, and all are counted as in the summary."""
    graph = build_graph(load_spec(model))
    by_name = {node.name: node for node in graph.nodes}
    found = alternatives_of(graph, range(len(graph.nodes)))
    for way in {item.way for item in found}:
        names = [name for item in found if item.way == way for name in item.layers]
        assert len(names) == len(set(names))
    for item in found:
        assert item.macs == sum(by_name[name].macs or 0 for name in item.layers)
        assert item.macs_instead
        assert item.params >= sum(by_name[name].params for name in item.layers)


# --- the command ---


def test_json_has_the_keys_of_the_contract(run: Run) -> None:
    """Of the explanation and of all in it."""
    found = json.loads(run("explain", "googlenet", "inception4a", "--set", "classes=10", "--format", "json").out)
    keys = [name for name in Explanation.__struct_fields__ if name not in ("inputs", "unknown")]
    assert [key for key in found if key != "unknown"] == keys
    assert found["overrides"] == ["classes=10"]
    for records, kind in (
        (found["parts"], PartExplanation),
        (found["layers"], LayerExplanation),
        (found["layers"][0]["workings"], Working),
        (found["alternatives"], Alternative),
    ):
        assert [list(record) for record in records] == [list(kind.__struct_fields__)] * len(records)


def test_csv_has_a_row_for_each_number(run: Run) -> None:
    """And in front the part it is of, where there are several."""
    rows = list(csv.DictReader(io.StringIO(run("explain", "googlenet", "inception4a", "--format", "csv").out)))
    assert list(rows[0]) == ["name", "type", "quantity", "formula", "numbers", "value"]
    assert sum(int(row["value"]) for row in rows if row["quantity"] == "macs") == 73_608_192
    assert all(worked(row["numbers"]) == int(row["value"]) for row in rows if row["numbers"])
    both = run("explain", "googlenet", "conv1", "conv2", "--format", "csv").out
    assert {row["part"] for row in csv.DictReader(io.StringIO(both))} == {"conv1", "conv2"}


def test_the_page_says_what_commands_say(run: Run) -> None:
    """Each that it names runs; the block that saves nothing is one."""
    text = (Path(__file__).parent.parent / "docs" / "explaining.md").read_text(encoding="utf-8")
    commands = [line for line in re.findall(r"`gnet-inspect ([^`]+)`", text) if "MODEL" not in line]
    assert len(commands) == 3
    for command in commands:
        assert run(*command.split()).code == 0
    (found,) = part_of("densenet121", commands[-1].split()[-1]).alternatives
    assert found.macs > found.macs_instead
    assert [line.split(" | ")[0].strip("| ") for line in text.splitlines() if line.startswith("| ")][1:] == [
        WAY_WORDS[way].removesuffix(" convolution") for way in ("reduction", "bottleneck", "separable", "factorised")
    ]


def test_several_parts_are_below_each_other(run: Run) -> None:
    """Each as it is alone."""
    alone = [run("explain", "googlenet", part).out for part in ("conv1", "inception5b")]
    assert run("explain", "googlenet", "conv1", "inception5b").out == "\n".join(alone)
    assert len(json.loads(run("explain", "lenet5", "c1", "c3", "--format", "json").out)["results"]) == 2


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_it_fits_a_terminal(width: int, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """And loses no part of any arithmetic."""
    monkeypatch.setenv("COLUMNS", str(width))
    text = run("explain", "googlenet", "inception4a").out
    assert max(map(len, text.splitlines())) <= width
    if width >= 60:
        assert "208*96*3*3 + 208" in text
        assert "192 + 208 + 48 + 64" in text


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (["googlenet", "inception4"], []),
        (["googlenet", "inceptoin4a"], ["error: PART: expected the name of a layer", "did you mean `inception4a`"]),
        (["googlenet"], ["expected a PART of 'googlenet' to explain", "gnet-inspect explain googlenet inception3a"]),
        (["googlenet"], ["\nstem: conv1, maxpool1, norm1", "\ninception4: inception4a, "]),
        (["lenet5"], ["(gnet-inspect explain lenet5 c1)"]),
        (["resnet50"], ["(gnet-inspect explain resnet50 layer1.0)"]),
        (["googlenet", "conv1", "--dtype", "fp23"], ["--dtype: expected fp32"]),
        (["googlenet", "aux1"], ["PART: expected"]),
    ],
)
def test_what_is_no_part_is_answered(arguments: list[str], messages: list[str], run: Run) -> None:
    """With what exists that is nearest, or with all there is and a line to type."""
    result = run("explain", *arguments)
    assert result.code == (2 if messages else 0)
    assert (not result.out) == bool(messages)
    assert all(message in result.err for message in messages)


def test_the_flags_that_others_have(run: Run) -> None:
    """An input, a batch, a mode with heads, edits."""
    text = run("explain", "googlenet", "conv1", "--batch", "8", "--input", "64").out
    assert "8*32*32*64*3*7*7" in text
    assert "N*H'*W'*C'*C*k*k" in text
    assert run("explain", "googlenet", "aux1", "--mode", "train").code == 0
    edited = run("explain", "googlenet", "inception4a", "--set", "inception4a.c2=[96,256]").out
    assert "256*96*3*3 + 256" in edited


def test_parts_that_are_not_there_are_an_error_in_python() -> None:
    """And so is what is no Graph."""
    graph = build_graph(load_spec("lenet5"))
    for wrong in ("c9", ""):
        with pytest.raises(UsageError, match="expected the name of a layer"):
            explain(graph, wrong)
    with pytest.raises(UsageError, match="expected a dtype"):
        explain(graph, "c1", "fp12")
