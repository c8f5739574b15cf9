"""How one network differs from another, and how two sequences are aligned."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gnet_inspect.analysis.alignment import align
from gnet_inspect.analysis.difference import Change, difference
from gnet_inspect.errors import SpecError
from gnet_inspect.graph import Graph
from gnet_inspect.language import load_spec, parse_spec
from gnet_inspect.sources.spec import build_graph
from tests.conftest import Run
from tests.specs import HEADER
from tests.strategies import specs, to_yaml
from tests.work import at_most_calls

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


def test_arguments_do_not_hide_an_edit_of_the_template() -> None:
    """What they do not account for is listed behind them."""
    edited = CHAIN.replace("padding: 1}}, relu", "padding: 1, bias: false}}, bn: BatchNorm2d, relu")
    edited = edited.replace("a: {unit: {out: 4}}", "a: {unit: {out: 6}}")
    (first, *_) = shown(graph(CHAIN), graph(edited))
    assert first == ("changed", "a", ("out 4 -> 6", "bias true -> false (conv)", "added BatchNorm2d (bn)"))


def test_values_print_as_they_are() -> None:
    """A pair of equal numbers is one in a kernel, and two in a block's argument; null is null."""
    text = """
blocks:
  b:
    params: [c]
    layers: [{Conv2d: {out_channels: $c.0, kernel_size: 1}}, {Conv2d: {out_channels: $c.1, kernel_size: %s}}]
stages: {s: {x: {b: {c: %s}}, p: {AdaptiveAvgPool2d: {output_size: %s}}}}
"""
    before = graph(text % ("[1, 1]", "[8, 4]", "[4, 4]"))
    after = graph(text % ("[1, 3]", "[8, 8]", "[null, 4]"))
    assert shown(before, after)[0][2] == ("c 8-4 -> 8-8", "kernel_size 1 -> 1x3 (1)")
    assert shown(before, after)[1][2] == ("output_size 4 -> nullx4",)


def test_a_parameter_that_only_one_template_has() -> None:
    """With its value where that is not the default; a default says nothing."""
    text = """
blocks: {b: {params: [%s], defaults: {%s}, layers: {c: {Conv2d: {out_channels: 4, kernel_size: %s}}}}}
stages: {s: {x: {b: {%s}}}}
"""
    plain = graph(text % ("", "", "1", ""))
    assert shown(plain, graph(text % ("k", "k: 1", "$k", "k: 3"))) == [
        ("changed", "x", ("with k 3", "kernel_size 1 -> 3 (c)"))
    ]
    assert shown(plain, graph(text % ("k", "k: 1", "$k", ""))) == []


def test_inputs_of_a_concat_and_an_add_are_counted() -> None:
    """One branch more, even where it is the identity."""
    text = "stages: {s: {j: {add: [{x: ReLU}, {y: Tanh}%s]}}}"
    assert shown(graph(text % ""), graph(text % ", {}")) == [("changed", "j", ("inputs 2 -> 3",))]


def test_a_moved_layer_is_moved() -> None:
    """The same layer under the same name in another place; what it passes is told by where it stands now."""
    text = "stages: {s: {%s}}"
    before, after = "a: ReLU, b: Tanh, c: GELU", "b: Tanh, a: ReLU, c: GELU"
    assert shown(graph(text % before), graph(text % after)) == [("moved", "a", ())]


def test_the_weight_of_a_head_is_compared() -> None:
    """It changes no number, and yet what is trained."""
    spec = parse_spec(
        HEADER + CHAIN + "heads: {h: {from: a, weight: 0.3, layers: {f: Flatten, l: {Linear: {out_features: 2}}}}}"
    )
    heavier = replace(spec, heads=(replace(spec.heads[0], weight=0.9),))
    assert shown(*(build_graph(item, mode="train") for item in (spec, heavier))) == [
        ("changed", "h", ("weight 0.3 -> 0.9",))
    ]


def test_what_is_in_another_stage_is_told_below(run: Run, write_spec: Callable[..., str]) -> None:
    """A stage renamed changes no part; identical networks are called so."""
    text = run("show", "lenet5").out
    same = run("compare", "lenet5", write_spec(text), "--diff").out
    assert "the two networks are the same" in same
    renamed = run("compare", "lenet5", write_spec(text.replace("  features:", "  maps:")), "--diff").out
    assert "other stages: features -> maps" in renamed
    named = run(
        "compare", "lenet5", write_spec(text.replace("c3: {", "conv3: {").replace("[c3]", "[conv3]")), "--diff"
    ).out
    assert "other names, so other keys in a state dict: c3 -> conv3" in named


def test_the_rows_of_a_diff_add_up(run: Run) -> None:
    """As they are drawn, runs of equal parts among them, within the rounding of their unit."""
    for pair in (("resnet50", "resnet101"), ("vgg16", "vgg16_bn"), ("googlenet", "bn_inception")):
        lines = run("compare", *pair, "--diff", "--format", "markdown").out.splitlines()
        _, _, *rows = [line.strip("| *").split(" | ") for line in lines if line.startswith("|")]
        for column in (-1, -2):
            *parts, total = [float(row[column].strip("* ").replace(",", "")) for row in rows]
            assert abs(sum(parts) - total) <= 0.005 * (len(parts) + 1)
            assert not any(row[column] in ("+0.00", "-0.00") for row in rows)


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


@settings(derandomize=True, database=None, max_examples=60, deadline=None)
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


def is_in(layer: str, part: str) -> bool:
    """Whether a layer is the part, or in the block that it is: "b.conv@1" is in "b@1"."""
    block, _, call = part.partition("@")
    return layer == part or (layer.startswith(f"{block}.") and layer.endswith(f"@{call}" if call else ""))


def check_sums(before: Graph, after: Graph) -> None:
    """Every layer of both networks is in exactly one part; parts are in order on either side."""
    changes = difference(before, after)
    for side, network in (("before", before), ("after", after)):
        for what in ("params", "macs"):
            assert sum(getattr(item, f"{what}_{side}") for item in changes) == sum(
                getattr(node, what) for node in network.nodes
            )
    old = [item.was or item.name for item in changes if item.output_before and item.status != "moved"]
    new = [item.name for item in changes if item.output_after]
    for names, network in ((old, before), (new, after)):
        order = [node.name for node in network.nodes]
        places = [next(i for i, name in enumerate(order) if is_in(name, part)) for part in names]
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
    pairs, _ = align(one, other, lambda a, b: float(a == b), str)
    assert "".join(a for a, _ in pairs if a) == one
    assert "".join(b for _, b in pairs if b) == other
    assert all(a == b for a, b in pairs if a and b)
    assert sum(bool(a and b) for a, b in pairs) == longest_common(one, other)


def equal(one: object, other: object) -> float:
    """Like or not."""
    return float(one == other)


def test_long_sequences_are_cut_at_their_equal_ends_and_at_what_is_unique() -> None:
    """Ten thousand items on either side: in a second, with what was put in and taken out found."""
    old = list(range(10_000))
    new = [item for item in old if item % 100 != 50]
    new.insert(5_000, -1)
    new.insert(0, -2)
    new.append(-3)
    pairs, cells = align([-4, *old, -5], new, equal, lambda item: item)
    assert [a for a, b in pairs if b is None] == [-4, *range(50, 10_000, 100), -5]
    assert [b for a, b in pairs if a is None] == [-2, -1, -3]
    assert cells < 10_000
    pairs, _ = align([1, 2] * 5_000, [3, *[1, 2] * 5_000], equal, lambda item: item)
    assert [pair for pair in pairs if None in pair] == [(None, 3)]


@given(st.lists(st.integers(0, 9), max_size=12), st.lists(st.integers(0, 9), max_size=12))
def test_cut_sequences_keep_all_items_in_order(one: list[int], other: list[int]) -> None:
    """However few cells there are; and what is paired is equal."""
    for cells in (0, 3, 20):
        pairs, used = align(one, other, equal, lambda item: item, cells)
        assert [a for a, _ in pairs if a is not None] == one
        assert [b for _, b in pairs if b is not None] == other
        assert all(a == b for a, b in pairs if a is not None and b is not None)
        assert used <= cells


def test_sequences_with_nothing_in_common_are_replaced() -> None:
    """However long."""
    pairs, _ = align(list(range(2_000)), list(range(-1, -2_001, -1)), equal, lambda item: item)
    assert len(pairs) == 4_000
    assert not [pair for pair in pairs if None not in pair]


def test_a_difference_takes_bounded_work() -> None:
    """Blocks of hundreds of layers, all of them edited: equal pairs are opened once, and the rest within one budget."""
    text = """
blocks: {b: {params: [n], layers: [{repeat: {times: $n, layer: %s}}]}}
stages: {%s: {f: [{repeat: {times: 40, layer: {b: {n: 300}}}}, {b: {n: 301}}, {b: {n: 302}}, {b: {n: 303}}]}}
"""
    before, after = graph(text % ("ReLU", "s")), graph(text % ("{ReLU: {inplace: true}}", "other"))
    with at_most_calls(6_000_000):
        changes = difference(before, after)
    assert [change.what for change in changes[:2]] == [("inplace false -> true (300 x)",)] * 2
