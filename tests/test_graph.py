"""Graphs: edits, inputs at which weights change, limits."""

import pytest

from gnet_inspect.errors import GnetError, SpecError, UsageError
from gnet_inspect.graph import Graph
from gnet_inspect.graph.outline import Outline
from gnet_inspect.language import load_spec, parse_spec
from gnet_inspect.sources.spec import build_graph
from gnet_inspect.sources.spec.overrides import parse_overrides
from tests.specs import HEADER, graph_of

RESNET = """
params: {classes: 10, act: ReLU}
blocks:
  unit:
    params: [mid, stride]
    defaults: {stride: 1}
    layers:
      conv1: {Conv2d: {out_channels: $mid, kernel_size: 3, padding: 1, stride: $stride}}
      act: $act
      sum: {add: {scale: 1.0, branches: [{}, {conv2: {Conv2d: {out_channels: $mid, kernel_size: 1}}}]}}
stages:
  body:
    layer3: [{repeat: {times: 5, layer: {unit: {mid: 8}}}}]
    pool: {MaxPool2d: {kernel_size: [2, 3]}}
  head: {flatten: Flatten, fc: {Linear: {out_features: $classes}}}
"""


def shape(graph: Graph, name: str) -> tuple[int, ...]:
    """The output shape of a node."""
    return next(node.output_shape for node in graph.nodes if node.name == name)


def edited(*items: str, text: str = RESNET) -> Graph:
    """The graph with --set items."""
    return build_graph(parse_spec(HEADER + text), overrides=parse_overrides(items))


def test_edits_reach_what_the_design_names() -> None:
    """A block's argument, one copy of a repeat, a plain layer's argument or one element of it, a model parameter."""
    assert shape(edited("layer3.4.mid=4"), "layer3.3.conv1")[1] == 8
    assert shape(edited("layer3.4.mid=4"), "layer3.4.conv1")[1] == 4
    assert shape(edited("pool.kernel_size=4"), "pool")[2:] == (8, 8)
    assert shape(edited("pool.kernel_size.1=4"), "pool")[2:] == (16, 8)
    assert shape(edited("pool.stride=1"), "pool")[2:] == (31, 30)
    assert shape(edited("layer3.0.conv1.stride=2"), "layer3.0.conv1")[2:] == (16, 16)
    assert shape(edited("layer3.0.stride=2", "classes=7"), "fc") == (1, 7)
    assert [node.op.kind for node in edited("act=Tanh").nodes].count("Tanh") == 5
    assert edited("layer3.0.sum.scale=0.5").nodes[3].op != edited().nodes[3].op
    assert edited("act={Conv2d: {out_channels: 8, kernel_size: 1}}").nodes[1].op.kind == "Conv2d"


def test_an_edit_of_a_pairs_element_keeps_the_other() -> None:
    """`inception4a.c2.0` edits the reduction alone."""
    graph = build_graph(load_spec("googlenet"), overrides={"inception4a.c2.0": 100})
    assert shape(graph, "inception4a.branch2.0.conv")[1] == 100
    assert shape(graph, "inception4a.branch2.1.conv")[1] == 208
    whole = build_graph(load_spec("googlenet"), overrides={"inception4a.c2": [96, 256]})
    assert shape(whole, "inception4a.output")[1] == 192 + 256 + 48 + 64
    assert whole.variant == "googlenet inception4a.c2=[96,256]"


def test_an_inner_edit_goes_over_an_outer_one() -> None:
    """An edit of a block inside a block is the more particular one."""
    graph = build_graph(
        load_spec("googlenet"), overrides={"inception4a.c2": [96, 256], "inception4a.branch2.1.out": 99}
    )
    assert shape(graph, "inception4a.branch2.1.conv")[1] == 99


# Each case with the whole of its message.
# ruff: noqa: E501
@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            "inception4a.c9=3",
            r"`inception4a.c9`: expected an argument of `inception4a` \(inception\), got `c9`. \(known: `c1`",
        ),
        ("inception4x.c2=[1, 2]", r"`inception4x.c2`: .*but `inception4x` does not exist. \(did you mean `inception4"),
        ("clases=3", r"`clases`: expected a parameter of the model .*did you mean `classes`\?"),
        (
            "inception4a=3",
            r"`inception4a`: expected the path of an argument, got that of a layer \(inception\). \(its arguments: `inception4a.c1`",
        ),
        ("inception4a.c2=96", r"`inception4a.c2`: expected a pair of positive integers, got 96"),
        ("inception4a.c2=[96]", r"`inception4a.c2`: expected a pair of positive integers, got \[96\]"),
        ("inception4a.c2.2=3", r"expected an element from 0 to 1, got 2"),
        ("inception4a.c1.0=3", r"expected an element of a list, but `inception4a.c1` is 192"),
        ("inception4a.c2.0=x", r"`inception4a.c2.0`: expected a positive integer, got 'x'"),
        ("maxpool4.kernel=2", r"an argument of `maxpool4` \(MaxPool2d\), got `kernel`. \(did you mean `kernel_size`\?"),
        ("inception4a.branch2.5.out=3", r"`inception4a.branch2.5.out`: .*does not exist"),
        (
            "inception4a.output.scale=2",
            r"an argument of `inception4a.output` \(concat\), got `scale`. \(known: `dim`\)",
        ),
        ("classes=ten", r"`classes`: expected a positive integer, got 'ten'"),
        ("classes", r"--set: expected PATH=VALUE, got 'classes'"),
        ("=3", r"--set: expected PATH=VALUE"),
        ("classes=[1", r"--set: `classes`: expected valid YAML"),
        ("classes=", r"`classes`: expected a positive integer, got nothing"),
    ],
)
def test_edits_of_what_does_not_exist_name_what_does(item: str, message: str) -> None:
    """A wrong edit is never ignored."""
    with pytest.raises(GnetError, match=message):
        build_graph(load_spec("googlenet"), overrides=parse_overrides([item]))


def test_an_edit_given_twice_or_of_no_plain_data_is_refused() -> None:
    """Two values for one path, and Python objects that are no data."""
    with pytest.raises(UsageError, match="each path once"):
        parse_overrides(["classes=1", "classes=2"])
    with pytest.raises(UsageError, match="a object is no number"):
        build_graph(load_spec("googlenet"), overrides={"classes": object()})


@pytest.mark.parametrize(
    ("name", "shape", "mode", "layer"),
    [
        ("googlenet", (1, 1, 224, 224), "eval", "conv1.conv"),
        ("googlenet", (1, 3, 320, 256), "train", "aux1.fc1"),
        ("googlenet_d2l", (1, 3, 96, 96), "eval", "conv1.conv"),
    ],
)
def test_an_input_at_which_weights_change_is_an_error_that_names_the_layer(
    name: str, shape: tuple[int, ...], mode: str, layer: str
) -> None:
    """torch would refuse those weights too; `resize` accepts the new network."""
    with pytest.raises(SpecError, match=rf"{name}.yaml:\d+: .*layer `{layer}` .*torch would refuse them. \(--resize"):
        build_graph(load_spec(name), shape, mode=mode)
    assert build_graph(load_spec(name), shape, mode=mode, resize=True).input_shape == shape


def test_other_inputs_keep_the_weights() -> None:
    """A global pool lets any size through, and the batch is free."""
    spec = load_spec("googlenet")
    graphs = [build_graph(spec, shape) for shape in ((1, 3, 224, 224), (8, 3, 97, 131), (2, 3, 320, 256))]
    assert {sum(node.params for node in graph.nodes) for graph in graphs} == {6_998_552}
    assert graphs[1].nodes[-1].output_shape == (8, 1000)


@pytest.mark.parametrize(
    "shape", [(3, 224, 224), (1, 3, 224, 0), (1, 3, 224, 2.0), (1, 3, 224, 10**7), (True, 3, 8, 8)]
)
def test_wrong_input_shapes_are_refused(shape: tuple[int, ...]) -> None:
    """Four positive integers of a sane size."""
    with pytest.raises(UsageError, match="expected an input shape N x C x H x W of positive integers"):
        build_graph(load_spec("googlenet"), shape)


def test_a_wrong_mode_is_refused() -> None:
    """eval and train are the two modes."""
    with pytest.raises(UsageError, match="""expected the mode "eval" or "train", got 'test'"""):
        build_graph(load_spec("googlenet"), mode="test")


def test_graphs_are_frozen_plain_data() -> None:
    """Nobody changes a node after the fact; equal specs give equal graphs."""
    first, second = (build_graph(load_spec("googlenet_d2l")) for _ in range(2))
    assert first == second
    with pytest.raises(AttributeError):
        first.nodes[0].params = 0  # type: ignore[misc]  # that is the point


def test_a_branch_without_layers_reads_the_same_tensor() -> None:
    """An identity branch is no node: concat and add read the block's input."""
    graph = graph_of("stages: {s: {a: {concat: [{}, {b: ReLU}]}}}")
    assert graph.nodes[-1].inputs == ("input", "b")


def test_a_misspelt_edit_is_named_where_the_spec_fails_without_it() -> None:
    """Who edits to mend a shape, and misses, is told so."""
    text = """
stages:
  s:
    a: {Conv2d: {out_channels: 8, kernel_size: 3}}
    b: {add: [{}, {c: {Conv2d: {out_channels: 4, kernel_size: 1}}}]}
"""
    assert shape(edited("c.out_channels=8", text=text), "b") == (1, 8, 30, 30)
    with pytest.raises(SpecError, match=r"equal shape.*\(up to here nothing had the edited path `b.c.out_channels`\)"):
        edited("b.c.out_channels=8", text=text)


def test_a_graph_knows_the_heads_it_left_out() -> None:
    """Checkpoints hold weights under their names."""
    text = """
stages: {s: {a: ReLU, b: Tanh}}
heads: {one: {from: a, layers: [ReLU]}, two: {from: b, layers: [ReLU]}}
"""
    left, there = graph_of(text), graph_of(text, mode="train")
    assert [left.left_heads, left.heads] == [("one", "two"), ()]
    assert [there.left_heads, tuple(head.name for head in there.heads)] == [(), ("one", "two")]
    assert edited("a.inplace=true", text=text).left_heads == ("one", "two")


IDLE = """
params: {on: false, width: 4, classes: 5, pair: [6, 7]}
blocks:
  b: {params: [out, act], defaults: {out: $width}, layers: {c: {Conv2d: {out_channels: $out, kernel_size: 1}}, d: {Tanh: , when: $act}}}
  wide: {params: [n, act], layers: {c: {Conv2d: {out_channels: $n, kernel_size: 1}, when: $act}, r: ReLU}}
stages:
  s:
    a: {b: {out: 3, act: $on}}
    w: {wide: {n: $pair.0, act: $on}}
    x: {Conv2d: {out_channels: $pair.1, kernel_size: 1}, when: $on}
heads:
  h: {from: a, layers: {f: Flatten, fc: {Linear: {out_features: $classes}}}}
"""


@pytest.mark.parametrize("edit", ["width=9", "classes=9", "pair.1=9", "w.n=9"])
def test_an_edit_that_no_layer_reads_is_an_error(edit: str) -> None:
    """In a default that every call overrides, in a head, behind a flag that is off: the table would be the same."""
    with pytest.raises(
        UsageError, match=rf"override: `{edit[:-2]}`: expected a parameter that the network uses, got one"
    ):
        edited(edit, text=IDLE)


def test_an_edit_that_a_layer_reads_in_this_network_is_none() -> None:
    """With the flag on, in training, where the default is what counts."""
    assert shape(edited("on=true", "pair.1=9", text=IDLE), "x")[1] == 9
    assert shape(edited("on=true", "w.n=9", text=IDLE), "w.c")[1] == 9
    spec = parse_spec(HEADER + IDLE)
    assert shape(build_graph(spec, overrides={"classes": 9}, mode="train"), "h.fc") == (1, 9)
    with pytest.raises(UsageError, match=r"heads are there in training mode only: --mode train"):
        build_graph(spec, overrides={"classes": 9})
    default = IDLE.replace("b: {out: 3, act: $on}", "b: {act: $on}")
    assert shape(edited("width=9", text=default), "a.c")[1] == 9
    assert shape(edited("a.out=9", text=IDLE), "a.c")[1] == 9


def test_indices_and_numbers_are_not_taken_for_each_other() -> None:
    """Whoever moves values moves either; an Embedding reads indices, all else numbers; and memory counts eight bytes."""
    text = "name: t\ninputs: {{t: {{shape: [6], dtype: {dtype}}}}}\nstages: {{s: {{a: {first}, b: {second}}}}}"
    embedding, moved = "{Embedding: {num_embeddings: 9, embedding_dim: 4}}", "{Unsqueeze: {dim: 1}}"
    graph = build_graph(parse_spec(text.format(dtype="int64", first=moved, second=embedding)))
    assert graph.nodes[-1].output_shape == (1, 1, 6, 4)
    with pytest.raises(SpecError, match="Linear expects numbers of the network's dtype, got int64"):
        build_graph(parse_spec(text.format(dtype="int64", first=moved, second="{Linear: {out_features: 2}}")))
    for first, second in ((moved, embedding), (embedding, "{Linear: {out_features: 2}}")):
        with pytest.raises(SpecError, match="Embedding expects indices, got numbers"):
            build_graph(parse_spec(text.format(dtype="float", first=first, second=second)))


# --- what is shown as a whole ---


def units(name: str, stage: str) -> list[str]:
    """The blocks and layers that a stage is shown as, by their names."""
    graph = build_graph(load_spec(name))
    return [entry.name for entry in Outline(graph).at("block") if entry.stage == stage]


def test_a_block_that_is_most_of_a_large_network_is_shown_as_what_it_holds() -> None:
    """Down to blocks that are not; one of less than half of the layers is a whole, and in a small network any."""
    assert units("densenet121", "features")[4:7] == [
        "features.denseblock1",
        "features.transition1",
        "features.denseblock2",
    ]
    assert units("vit_b_16", "encoder") == [
        *("encoder.pos_embedding", "encoder.placed", "encoder.dropout"),
        *(f"encoder.layers.encoder_layer_{index}" for index in range(12)),
        "encoder.ln",
    ]
    assert units("regnet_y_400mf", "body") == [f"trunk_output.block{index}" for index in range(1, 5)]
    assert units("mobilenet_v2", "bottleneck7") == ["features.17"]
    small = graph_of("blocks: {a: {layers: [ReLU]}, b: {layers: [a, a]}}\nstages: {s: {whole: b}}")
    assert [entry.name for entry in Outline(small).at("block")] == ["whole"]
