"""The network up to a layer: what is kept, what is gone, and what both count."""

import json
from typing import Any

import pytest

from gnet_inspect import build_graph, cut, freeze, load_spec, optimize, parse_spec, summarize
from gnet_inspect.errors import UsageError
from gnet_inspect.graph import Graph, Node, Unreached, Value
from gnet_inspect.graph.maker import GraphMaker
from gnet_inspect.graph.nodes import Output
from gnet_inspect.graph.optimize import fold_batch_norm
from gnet_inspect.language import catalogue
from gnet_inspect.ops import KINDS, Weight
from tests.conftest import Run


def numbers(node: Node) -> tuple[Any, ...]:
    """What a layer is and counts."""
    return node.name, node.op, node.inputs, node.output_shapes, node.params, node.macs, node.stage, node.block


def whole(graph: Graph) -> int:
    """The parameters of the graph and of all that it leaves out."""
    totals = summarize(graph).totals
    return totals.params + totals.unreached_params


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_what_is_left_is_as_it_was(mode: str) -> None:
    """In its order, with its numbers and its parts; nothing that was counted is lost."""
    for name in ("googlenet", "resnet18", "densenet121", "swin_t", "unet", "shufflenet_v2_x1_0"):
        graph = build_graph(load_spec(name), mode=mode)
        before = {node.name: numbers(node) for node in graph.nodes}
        for part in graph.parts:
            backbone = cut(graph, part.name)
            kept = [node.name for node in backbone.nodes]
            assert kept == [node.name for node in graph.nodes if node.name in set(kept)]
            assert [numbers(node) for node in backbone.nodes] == [before[each] for each in kept]
            assert whole(backbone) == whole(graph)
            assert backbone.outputs == (Output("output", backbone.output),)
            assert backbone.output in kept
            read = {value for node in backbone.nodes for value in node.inputs}
            assert [node.name for node in backbone.nodes if node.name not in read] == [backbone.output]


def test_every_model_can_be_cut_at_its_last_layer() -> None:
    """Which leaves it as it is."""
    for name in catalogue():
        graph = build_graph(load_spec(name))
        backbone = cut(graph, graph.output)
        assert backbone.nodes == graph.nodes
        assert backbone.parts == graph.parts
        assert cut(optimize(graph), graph.output).output == graph.output


def test_heads_go_and_keep_their_names() -> None:
    """A checkpoint holds weights under them."""
    graph = build_graph(load_spec("googlenet"), mode="train")
    backbone = cut(graph, "inception4a")
    assert (backbone.left_heads, backbone.heads, backbone.mode) == (("aux1", "aux2"), (), "train")
    assert backbone.output == "inception4a.output"
    assert {layer.name.partition(".")[0] for layer in backbone.unreached} > {"aux1", "aux2", "inception4b", "fc"}
    assert cut(graph, "aux1").nodes[-1].name.startswith("aux1.")


BOTH = """
name: both
inputs: {a: [3, 8, 8], b: [3, 8, 8]}
stages:
  one:
    conv: {from: a, Conv2d: {out_channels: 4, kernel_size: 3}}
    again: {share: conv, from: b}
    third: {share: conv, from: b}
    sum: {add: [conv, again]}
    more: {add: [again, third]}
    last: {Linear: {out_features: 5}}
outputs: {x: sum, y: more, z: last}
"""


def test_a_layer_whose_first_call_is_gone_counts_its_weights_once() -> None:
    """In the first call that is left; inputs that nothing reads any more go with it."""
    graph = build_graph(parse_spec(BOTH))
    params = 4 * 3 * 9 + 4
    assert [node.params for node in cut(graph, "sum").nodes] == [params, 0, 0]
    backbone = cut(graph, "more")
    assert [(node.name, node.params) for node in backbone.nodes] == [("conv@1", params), ("conv@2", 0), ("more", 0)]
    assert [value.name for value in backbone.inputs] == ["b"]
    assert [layer.name for layer in backbone.unreached] == ["last"]
    assert not backbone.names_outputs


def held_graph() -> Graph:
    """A convolution of a weight that is computed of others, called twice, and its norm."""
    maker = GraphMaker([Value("x", (1, 4, 8, 8))])
    held = (Weight("v", (4, 4, 1, 1)), Weight("g", (4,)))
    conv = KINDS["Conv2d"](out_channels=4, kernel_size=(1, 1), bias=False)
    maker.call("a", conv, ("x",), held=held)
    maker.call("n", KINDS["BatchNorm2d"](), ("a",))
    maker.call("b", conv, ("x",), held=held)
    maker.call("a@1", conv, ("b",), module="a")
    return maker.graph(model="m", title="m", mode="eval", outputs=[Output("y", "n"), Output("z", "a@1")], parts=())


def test_what_a_layer_holds_is_handed_on() -> None:
    """Through a cut, also to the call that comes first now; a layer that was rewritten holds what it does."""
    graph = held_graph()
    assert [node.params for node in graph.nodes] == [20, 8, 20, 0]
    assert [(node.name, node.params) for node in cut(graph, "a@1").nodes] == [("b", 20), ("a@1", 20)]
    frozen = freeze(cut(graph, "n"), ["a"])
    assert cut(frozen, "n").nodes == frozen.nodes
    folded = fold_batch_norm(graph)
    assert [node.params for node in folded.nodes if node.name == "b"] == [20]


@pytest.mark.parametrize("name", ["", "layer5", "input", "layer4.9", "conv1:1"])
def test_what_is_not_there_is_told(name: str) -> None:
    """With what is."""
    with pytest.raises(UsageError, match="expected the name of a layer, block, list or stage, got"):
        cut(build_graph(load_spec("resnet18")), name)


def test_commands_answer_for_a_backbone(run: Run) -> None:
    """It says that it is one; figures of the whole are not shown for it."""
    for command in (["summary"], ["flops"], ["diagram"], ["roofline", "--on", "h200"]):
        result = run(*command, "resnet18", "--until", "layer2")
        assert result.code == 0
        assert "layer3" not in result.out.replace("unreached", "").partition("more in")[0]
    assert "resnet18 until layer2" in run("summary", "resnet18", "--until", "layer2").out
    first, second = json.loads(run("compare", "resnet18", "--until", "layer2", "--format", "json").out)["models"]
    assert (first["model"], first["overrides"]) == ("googlenet", [])
    assert (second["overrides"], second["published"]) == (["until layer2"], [])
    arguments = ["lenet5", "--until", "c3", "--set", "c3.kernel_size=3", "--resize"]
    assert "c3" in run("compare", *arguments, "--diff").out
    for arguments in (["alexnet", "nin"], ["alexnet", "nin", "vgg11"]):
        assert (
            f"--until: expected one model to cut, got {len(arguments)}"
            in run("compare", *arguments, "--until", "a").err
        )
    assert "--until: expected the name of a layer" in run("flops", "nin", "--until", "nothing").err


def test_unreached_layers_are_told_as_what_they_are() -> None:
    """A cut adds what is gone to what a mode left out."""
    backbone = cut(build_graph(load_spec("googlenet")), "inception5b")
    assert Unreached("fc", 1_025_000) in backbone.unreached
