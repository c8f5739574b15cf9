"""The outline of a network: one walk of its tree of parts."""

import pytest

from gnet_inspect.graph import Graph
from gnet_inspect.graph.outline import DEPTHS, Entry, Outline
from gnet_inspect.language import catalogue, load_spec, parse_spec
from gnet_inspect.sources.spec import build_graph

# A stage of a block in a block, a list, a layer, and two branches, the first of one layer; a head leaves in its middle.
NESTED = """
name: nested
input: [4, 8, 8]
blocks:
  inner: {layers: {c: {Conv2d: {out_channels: 4, kernel_size: 1}}, r: ReLU}}
  outer: {layers: {i: inner, b: {concat: [{left: ReLU}, {right: [ReLU, Tanh]}]}}}
heads: {aux: {from: o, weight: 0.3, layers: {r: ReLU}}}
stages:
  s: {o: outer, l: [inner, ReLU], x: ReLU}
  t: {y: ReLU}
"""


def outline_of(text: str, mode: str = "eval") -> tuple[Graph, Outline]:
    """A spec's graph and its outline."""
    graph = build_graph(parse_spec(text), mode=mode)
    return graph, Outline(graph)


def below(outline: Outline, entry: Entry) -> list[Entry]:
    """The entries right below one."""
    return [found for found in outline.entries if found.parent is entry]


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("model", catalogue())
def test_each_depth_makes_up_the_network(model: str, mode: str) -> None:
    """Every layer belongs to one entry of each depth, and to a part with all that stands below it."""
    graph = build_graph(load_spec(model), mode=mode)
    outline = Outline(graph)
    for depth in DEPTHS:
        assert sorted(index for entry in outline.at(depth) for index in entry.indices) == [*range(len(graph.nodes))]
    for position, entry in enumerate(outline.entries):
        inside = below(outline, entry)
        assert entry.position == position
        assert entry.end == (max(found.end for found in inside) if inside else position + 1)
        assert [*entry.indices] == ([index for found in inside for index in found.indices] or [*entry.indices])
        assert {node.stage for node in entry.of(graph.nodes)} == {entry.stage}
        assert entry.block is None or {node.block for node in entry.of(graph.nodes)} == {entry.block}
    layers = outline.at("layer")
    assert [entry.block for entry in layers] == [entry.item.block for entry in layers if not entry.part]  # type: ignore[union-attr]  # a layer's item is a node
    assert [stage.name for stage in outline.at("stage")] == list(dict.fromkeys(node.stage for node in graph.nodes))


def test_the_lines_of_a_table() -> None:
    """Paths below stages, labels below parts; a branch of one layer stands as that layer."""
    _, outline = outline_of(NESTED)
    drawn = {
        depth: [f"{'  ' * level}{name}: {entry.describe()}" for entry, level, name in outline.lines(depth)]
        for depth in DEPTHS
    }
    assert drawn["stage"] == ["s: ", "t: "]
    assert drawn["block"] == ["s: ", "  o: outer", "  l.0: inner", "  l.1: ReLU", "  x: ReLU", "t: ", "  y: ReLU"]
    assert drawn["layer"] == [
        "s: ",
        "  o: outer",
        "    i: inner",
        "      c: Conv2d 1x1, 4",
        "      r: ReLU",
        "    left: ReLU",
        "    right: 2 layers",
        "      0: ReLU",
        "      1: Tanh",
        "    b: concat 4+4=8",
        "  l: 3 layers",
        "    0: inner",
        "      c: Conv2d 1x1, 4",
        "      r: ReLU",
        "    1: ReLU",
        "  x: ReLU",
        "t: ",
        "  y: ReLU",
    ]
    assert [entry.name for entry in outline.entries if entry.is_branch] == ["o.left", "o.right"]


def test_what_stands_inside_a_block() -> None:
    """Its own blocks whole, and the layers outside them."""
    _, outline = outline_of(NESTED)
    block = next(entry for entry in outline.entries if entry.role == "block")
    assert [entry.name for entry in outline.inside(block)] == ["o.i", "o.left", "o.right.0", "o.right.1", "o.b"]


def test_a_head_inside_a_stage_comes_after_it() -> None:
    """It runs in the middle of the stage, and its layers are its own all the same."""
    graph, outline = outline_of(NESTED, "train")
    stages = outline.at("stage")
    assert [(stage.name, stage.role) for stage in stages] == [("s", "stage"), ("aux", "head"), ("t", "stage")]
    head = stages[1]
    assert [node.name for node in head.of(graph.nodes)] == ["aux.r"]
    assert head.indices[0] in range(min(stages[0].indices), max(stages[0].indices))
    assert head.describe() == "auxiliary head"
