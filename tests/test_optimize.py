"""Optimized graphs: fewer layers, the same output, the same numbers where they are the same."""

import copy
import pickle
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from torch import Tensor, nn

from gnet_inspect.analysis.conventions import count_flops
from gnet_inspect.analysis.summary import summarize
from gnet_inspect.errors import UsageError
from gnet_inspect.graph import Graph, Group
from gnet_inspect.graph.optimize import (
    fold_batch_norm,
    merge_parallel_convolutions,
    optimize,
    write_concat_in_place,
)
from gnet_inspect.graph.outline import DEPTHS, Outline
from gnet_inspect.language import catalogue, load_spec, parse_spec
from gnet_inspect.ops import ActivatedConcat, Channels, Concat
from gnet_inspect.ops.activation import ReLU
from gnet_inspect.ops.convolution import Conv2d
from gnet_inspect.ops.normalization import BatchNorm2d
from gnet_inspect.runtime.module import Block, build_module
from gnet_inspect.runtime.optimize import optimized_module
from gnet_inspect.runtime.verify import run_checks
from gnet_inspect.sources.spec import build_graph
from gnet_inspect.views.drawing.diagram import Options, drawing_of
from gnet_inspect.views.drawing.dot import Style, draw_dot
from gnet_inspect.views.grid import draw_text
from gnet_inspect.views.tables.summary import Selection, summary_grid
from tests.specs import RELATIVES, graph_of, names
from tests.strategies import Document, Draw, specs, to_yaml
from tests.test_properties import built, examples, same_padding_unsaid
from tests.undrawn import undrawn

Pass = Callable[[Graph], Graph]
PASSES: tuple[Pass, ...] = (fold_batch_norm, merge_parallel_convolutions, write_concat_in_place, optimize)
MODELS = catalogue()

# An Inception block in small: merged convolutions with a ReLU, a BatchNorm everywhere, a pool at the end of a branch.
CELL = """
blocks:
  conv:
    params: [out, kernel, padding]
    defaults: {kernel: 1, padding: 0}
    layers:
      conv: {Conv2d: {out_channels: $out, kernel_size: $kernel, padding: $padding, bias: false}}
      bn: BatchNorm2d
      relu: ReLU
  cell:
    layers:
      join:
        concat:
          - a: {conv: {out: 4}}
          - b: [{conv: {out: 3}}, {conv: {out: 5, kernel: 3, padding: 1}}]
          - c: [{conv: {out: 2}}, {MaxPool2d: {kernel_size: 3, stride: 1, padding: 1}}]
          - {}
stages:
  s: {first: {conv: {out: 6}}, cell1: cell, cell2: cell}
  end: {gap: {AdaptiveAvgPool2d: {output_size: 1}}, flat: Flatten, fc: {Linear: {out_features: 3}}}
"""


def filled(graph: Graph, dtype: torch.dtype = torch.float64) -> nn.Module:
    """The module of a graph with random weights that keep activations near 1, and random statistics."""
    with undrawn():
        module = build_module(graph, dtype=dtype).eval()
    chance = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                reach = (6 / layer.weight[0].numel()) ** 0.5
                layer.weight.uniform_(-reach, reach, generator=chance)
                if layer.bias is not None:
                    layer.bias.uniform_(-0.5, 0.5, generator=chance)
            elif isinstance(layer, nn.BatchNorm2d):
                for tensor in (*layer.parameters(), *layer.buffers()):
                    if tensor.is_floating_point():
                        tensor.uniform_(0.5, 1.5, generator=chance)
    return module


def image(graph: Graph, dtype: torch.dtype = torch.float64) -> Tensor:
    """Random numbers of the graph's input shape."""
    return images(graph, dtype)[0]


def images(graph: Graph, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Random numbers for each of its inputs; of indices the first, which every table has."""
    generator = torch.Generator().manual_seed(1)
    return [
        torch.zeros(value.shape, dtype=torch.int64)
        if value.dtype == "int64"
        else torch.randn(value.shape, generator=generator).to(dtype)
        for value in graph.inputs
    ]


def output(module: nn.Module, *given: Tensor) -> Tensor:
    """What a module makes at inference; what it is given is left alone."""
    (result,) = outputs(module, *given)
    return result


def outputs(module: nn.Module, *given: Tensor) -> list[Tensor]:
    """All that it makes, in the order of their names."""
    kept = [x.clone() for x in given]
    with torch.inference_mode():
        result = module(*given)
    assert all(map(torch.equal, given, kept))
    return list(result.values()) if isinstance(result, dict) else [result]


def check_close(found: Tensor, expected: Tensor, relative: float) -> None:
    """Every element, relative to the largest."""
    assert found.shape == expected.shape
    assert torch.isfinite(expected).all()
    scale = max(float(expected.abs().max()), 1e-30)
    assert float((found - expected).abs().max()) <= relative * scale


def check_same_network(graph: Graph, rewrite: Pass) -> Graph:
    """A pass keeps the output, is its own fixed point, and leaves a sound graph."""
    optimized = check_graph(graph, rewrite)
    module = filled(graph)
    given = images(graph)
    check_close(output(optimized_module(graph, module, optimized), *given), output(module, *given), 1e-10)
    return optimized


def check_graph(graph: Graph, rewrite: Pass) -> Graph:
    """A pass is its own fixed point, and leaves a sound graph."""
    optimized = rewrite(graph)
    assert rewrite(optimized) == optimized
    check_sound(optimized)
    return optimized


def check_sound(graph: Graph) -> None:
    """Names once, inputs before their readers, shapes and numbers of the ops, and a tree in the order of execution."""
    assert len(set(names(graph))) == len(graph.nodes)
    shapes = {value.name: value.shape for value in graph.inputs}
    for node in graph.nodes:
        assert node.input_shapes == tuple(shapes[name] for name in node.inputs)
        outputs = node.op.outputs(node.input_shapes)
        assert (node.output_shapes, node.macs) == (outputs, node.op.macs(node.input_shapes, outputs))
        weights = () if node.is_repeated else node.op.weights(node.input_shapes)
        trained = sum(weight.elements for weight in weights if weight.trained)
        assert (node.params, node.params + node.buffers) == (trained, sum(weight.elements for weight in weights))
        shapes |= zip(node.values(), outputs, strict=True)
    assert graph.output in shapes
    outline = Outline(graph)
    for stage in outline.at("stage"):
        assert {node.stage for node in stage.of(graph.nodes)} == {stage.name}
    assert [index for stage in outline.at("stage") for index in stage.indices] == [*range(len(graph.nodes))]
    # No part is empty.
    assert all(entry.indices for entry in outline.entries)


# --- the output ---


def small(model: str, batch: int = 1) -> Graph:
    """A model of the catalogue at an input that it just fits."""
    spec = load_spec(model)
    channels, side, _ = spec.input
    sides = {"inception": 107, "resnet": 48, "vgg": 48, "alexnet": 95, "unet": 188, "xception": 96}
    # Of these the input is what their weights are for.
    sides |= dict.fromkeys(("nin", "vit", "lenet"), side)
    size = next((size for key, size in sides.items() if model.startswith(key)), 64)
    # Most of a VGG's time is that of its classifier, of which nothing is rewritten.
    narrow = {f"classifier.{place}.out_features": 64 for place in (0, 3)} if model.startswith("vgg") else {}
    return build_graph(spec, (batch, channels, size, size), resize=True, overrides=narrow)


@pytest.mark.parametrize("rewrite", PASSES[:3], ids=lambda rewrite: rewrite.__name__)
@pytest.mark.parametrize("model", ["googlenet", "googlenet_torchvision", "inception_v3", "resnet18"])
def test_each_pass_keeps_the_output(model: str, rewrite: Pass) -> None:
    """To ten digits in double precision."""
    check_same_network(small(model), rewrite)


@pytest.mark.parametrize("model", MODELS)
def test_every_model_keeps_its_output(model: str) -> None:
    """All passes: ten digits in double precision; the static numbers add up, which is enough where the rewriting of
    the same layers is tried on a relative."""
    graph = small(model)
    check_numbers(graph, (check_graph if model in RELATIVES else check_same_network)(graph, optimize))


@pytest.mark.parametrize("model", ["googlenet_torchvision", "bn_inception", "resnet50", "vgg11_bn"])
def test_single_precision_keeps_four_digits(model: str) -> None:
    """What is folded is rounded once, and the output differs by what rounding differs by."""
    graph = small(model)
    module = filled(graph, torch.float32)
    x = image(graph, torch.float32)
    check_close(output(optimized_module(graph, module, optimize(graph)), x), output(module, x), 1e-4)


def check_numbers(graph: Graph, optimized: Graph) -> None:
    """MACs, depth and field stay; for the affine pair of each batch norm comes a bias where there was none."""
    before, after = summarize(graph).totals, summarize(optimized).totals
    assert (after.macs, after.depth, after.receptive_field) == (before.macs, before.depth, before.receptive_field)
    kept = set(names(optimized))
    norms = [node for node in graph.nodes if isinstance(node.op, BatchNorm2d) and node.name not in kept]
    makers = {node.name: node for node in graph.nodes}
    biases = sum(
        norm.output_shape[1]
        for norm in norms
        if isinstance(maker := makers[norm.inputs[0]].op, Conv2d) and not maker.bias
    )
    assert before.params - after.params == sum(norm.params for norm in norms) - biases
    assert before.buffers - after.buffers == sum(norm.buffers for norm in norms)


@examples(60)
@given(specs())
def test_any_network_keeps_its_output(document: Document) -> None:
    """Drawn specs, which use the whole language."""
    graph = built(to_yaml(document))
    if graph is not None and sum(node.macs or 0 for node in graph.nodes) < 20_000_000:
        check_every_order(graph)


@st.composite
def branched(draw: Draw) -> Document:
    """Branches of what passes look for: convolutions of one input, batch norms, activations, concats in concats."""
    count = iter(range(1_000))

    def sequence(depth: int) -> dict[str, Any]:
        return {f"n{next(count)}": layer(depth) for _ in range(draw(st.integers(0, 2)))}

    def conv() -> Any:
        kernel = draw(st.sampled_from((1, 1, 1, 3)))
        arguments = {"out_channels": draw(st.integers(1, 3)), "bias": draw(st.sampled_from((False, False, True)))}
        return {"Conv2d": {**arguments, "kernel_size": kernel, "padding": kernel // 2}}

    def unit() -> Any:
        behind = draw(
            st.sampled_from((["BatchNorm2d", "ReLU"], ["BatchNorm2d", "ReLU"], ["ReLU"], ["BatchNorm2d"], []))
        )
        return [conv(), *behind]

    def branch(depth: int) -> dict[str, Any]:
        starts = {f"n{next(count)}": unit()} if draw(st.integers(0, 3)) else {}
        return {**starts, **sequence(depth)}

    def layer(depth: int) -> Any:
        kinds = ["BatchNorm2d", "ReLU", "Tanh", "Identity", "pool", "conv", "unit", "unit"]
        match draw(st.sampled_from([*kinds, "concat", "concat", "concat", "list"] if depth else kinds)):
            case "conv":
                return conv()
            case "unit":
                return unit()
            case "pool":
                return {"MaxPool2d": {"kernel_size": 3, "stride": 1, "padding": 1}}
            case "concat":
                return {"concat": [branch(depth - 1) for _ in range(draw(st.integers(2, 4)))]}
            case "list":
                return [layer(depth - 1) for _ in range(draw(st.integers(1, 3)))]
            case kind:
                return kind

    def cell() -> Any:
        return {"concat": [branch(2) for _ in range(draw(st.integers(2, 4)))]}

    stages = {"first": {"head": unit(), "cell1": cell()}, "second": {**sequence(2), "cell2": cell()}}
    return {"name": "drawn", "input": [2, 6, 6], "stages": stages}


@pytest.mark.slow
def test_any_order_of_passes_keeps_the_output() -> None:
    """Drawn networks, in which every pass finds something to do often enough."""
    found: Counter[str] = Counter()

    @examples(50)
    @given(branched())
    def check(document: Document) -> None:
        graph = built(to_yaml(document))
        assert graph is not None
        check_every_order(graph)
        found.update(rewrite.__name__ for rewrite in PASSES if rewrite(graph) != graph)
        found["merged of folded"] += any(len(node.sources) > 3 for node in optimize(graph).nodes)

    check()
    assert min(found.values()) > 8, found
    assert len(found) == 5


def check_every_order(graph: Graph) -> None:
    """Each pass alone, all in order, and all backwards; a second run finds nothing to do."""
    module = filled(graph)
    given = images(graph)
    with same_padding_unsaid():
        expected = outputs(module, *given)
        backwards = graph
        for rewrite in reversed(PASSES[:3]):
            backwards = rewrite(backwards)
        for optimized in (*(rewrite(graph) for rewrite in PASSES), backwards):
            check_sound(optimized)
            found = outputs(optimized_module(graph, module, optimized), *given)
            for one, other in zip(found, expected, strict=True):
                check_close(one.double(), other.double(), 1e-9)
    for rewrite in PASSES:
        assert rewrite(rewrite(graph)) == rewrite(graph)


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_batches_layouts_and_half_precision(batch: int, layout: torch.memory_format, dtype: torch.dtype) -> None:
    """The graph's own batch or another; the output keeps the layout."""
    graph = graph_of(CELL)
    module = filled(graph, torch.float32)
    fast = optimized_module(graph, module, optimize(graph))
    module, fast = (net.to(dtype=dtype, memory_format=layout) for net in (module, fast))  # type: ignore[call-overload]  # torch's stubs lack it
    x = torch.randn(batch, 3, 32, 32).to(dtype=dtype, memory_format=layout)
    check_close(output(fast, x).float(), output(module, x).float(), 1e-4 if dtype == torch.float32 else 0.05)
    part: Any = fast.get_submodule("cell1")
    assert output(part, torch.randn(2, 6, 8, 8).to(dtype=dtype, memory_format=layout)).is_contiguous(
        memory_format=layout
    )


# --- what the passes do ---


def test_googlenet_has_57_batch_norms_and_nine_blocks() -> None:
    """All folded; of each block's 1x1 convolutions three become one; each concat applies three ReLU."""
    graph = build_graph(load_spec("googlenet_torchvision"))
    folded = fold_batch_norm(graph)
    assert sum(isinstance(node.op, BatchNorm2d) for node in graph.nodes) == 57
    assert len(folded.nodes) == len(graph.nodes) - 57
    assert not any(isinstance(node.op, BatchNorm2d) for node in folded.nodes)
    # Weight and bias for each pair of batch norm goes, one bias comes: what is left is the convolutions with a bias.
    convs = [node for node in graph.nodes if isinstance(node.op, Conv2d)]
    classifier = 1000 * 1024 + 1000
    assert sum(node.params for node in folded.nodes) == classifier + sum(n.params + n.output_shape[1] for n in convs)
    merged = merge_parallel_convolutions(folded)
    blocks = {node.block: node for node in merged.nodes if node.name.endswith(".merged_conv")}
    arguments = {entry.name: entry.part.arguments for entry in Outline(graph).at("block") if entry.part}
    assert len(blocks) == 9
    for block, node in blocks.items():
        c1, c2, c3, _ = (argument.value for argument in arguments[str(block)])
        assert node.output_shape[1] == c1 + c2[0] + c3[0]
        assert [len(node.sources), node.params] == [6, (node.input_shapes[0][1] + 1) * node.output_shape[1]]
    # Three convolutions and ReLUs become one of each and three slices.
    assert len(merged.nodes) == len(folded.nodes) - 9
    full = write_concat_in_place(merged)
    assert optimize(graph) == full
    assert len(full.nodes) == len(merged.nodes) - 27
    concats = [node.op for node in full.nodes if isinstance(node.op, Concat)]
    assert concats == [ActivatedConcat(relu=(False, True, True, True))] * 9
    assert [sum(node.macs or 0 for node in each.nodes) for each in (folded, merged, full)] == [1_498_376_192] * 3


def test_state_dict_names_stay_where_they_were() -> None:
    """A folded layer has its convolution's name, a merged one stands in the scope that its members share."""
    graph = graph_of(CELL)
    net: Any = build_module(optimize(graph))
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in net.state_dict()))
    cells = [f"{cell}.{layer}" for cell in ("cell1", "cell2") for layer in ("merged_conv", "b.1.conv")]
    assert layers == ["first.conv", *cells, "fc"]
    assert isinstance(net.cell1, Block)
    assert isinstance(net.cell1.b, Block)
    assert tuple(net.cell1(torch.randn(1, 6, 8, 8)).shape) == (1, 17, 8, 8)
    assert net.get_parameter("cell1.merged_conv.weight").shape == (9, 6, 1, 1)


def test_a_transposed_convolution_in_groups_is_folded() -> None:
    """Its weight has the output channels of each group in the second place."""
    conv = "{ConvTranspose2d: {out_channels: 6, kernel_size: 3, groups: 2, stride: 2}}"
    graph = graph_of(
        f"stages: {{s: {{a: {{Conv2d: {{out_channels: 4, kernel_size: 1}}}}, c: {conv}, n: BatchNorm2d}}}}"
    )
    assert names(check_same_network(graph, fold_batch_norm)) == ["a", "c"]


def test_batch_norms_in_a_row_and_without_affine_are_folded() -> None:
    """Into a convolution with a bias and in groups."""
    conv = "{Conv2d: {out_channels: 6, kernel_size: 3, groups: 3}}"
    graph = graph_of(
        f"stages: {{s: {{c: {conv}, n: {{BatchNorm2d: {{affine: false}}}}, m: {{BatchNorm2d: {{eps: 0.1}}}}}}}}"
    )
    optimized = check_same_network(graph, fold_batch_norm)
    assert optimized.nodes[0].sources == ("c", "n", "m")
    assert optimized.output == "c"


@pytest.mark.parametrize(
    "layers",
    [
        "c: {Conv2d: {out_channels: 4, kernel_size: 1}}, n: {BatchNorm2d: {track_running_stats: false}}",
        "c: {Conv2d: {out_channels: 4, kernel_size: 1}}, j: {concat: [{}, {n: BatchNorm2d}]}",
        "c: {Conv2d: {out_channels: 4, kernel_size: 1}}, r: Tanh, n: BatchNorm2d",
        "n: BatchNorm2d",
    ],
)
def test_what_cannot_be_folded_stays(layers: str) -> None:
    """Statistics of the input itself, a second reader, a layer in between, no convolution."""
    graph = graph_of(f"stages: {{s: {{{layers}}}}}")
    assert check_same_network(graph, fold_batch_norm) == graph


CONV = "{Conv2d: {out_channels: 2, kernel_size: 1}}"
GROUPED = "{Conv2d: {out_channels: 3, kernel_size: 1, groups: 3}}"


@pytest.mark.parametrize(
    "branches",
    [
        f"[{{a: {CONV}}}, {{b: {CONV}, r: ReLU}}]",
        f"[{{a: {CONV}, t: Tanh}}, {{b: {CONV}, r: ReLU}}]",
        f"[{{a: {CONV}}}, {{b: {CONV.replace('1}', '1, stride: 1, bias: false}')}}}]",
        f"[{{a: {CONV}}}, {{b: {CONV.replace('kernel_size: 1', 'kernel_size: 3, padding: 1')}}}]",
        f"[{{a: {GROUPED}}}, {{b: {GROUPED}}}]",
        f"[{{a: {CONV}}}, {{t: Tanh, b: {CONV}}}]",
    ],
)
def test_what_cannot_be_merged_stays(branches: str) -> None:
    """Other activations, biases, kernels or inputs, and groups."""
    graph = graph_of(f"stages: {{s: {{j: {{concat: {branches}}}}}}}")
    assert check_same_network(graph, merge_parallel_convolutions) == graph


def test_any_equal_convolutions_of_one_input_are_merged() -> None:
    """Of any kernel, with any activation, also where nothing follows; names that are taken are not taken again."""
    conv = "{Conv2d: {out_channels: 2, kernel_size: 3, padding: same}}"
    text = f"""
stages:
  s:
    merged_conv: {{Conv2d: {{out_channels: 3, kernel_size: 1}}}}
    j: {{concat: [{{a: {conv}}}, {{b: {conv}}}, {{c: {CONV}, d: GELU}}, {{e: {CONV}, f: GELU}}]}}
"""
    optimized = check_same_network(graph_of(text), merge_parallel_convolutions)
    new = ["merged_conv2", "a", "b", "merged_conv3", "merged_gelu", "d", "f"]
    assert names(optimized) == ["merged_conv", *new, "j"]
    assert [node.op for node in optimized.nodes if isinstance(node.op, Channels)] == [
        Channels(0, 2),
        Channels(2, 4),
    ] * 2


def test_a_relu_that_is_read_elsewhere_is_not_taken_into_the_concat() -> None:
    """Nor one of two that are the same, nor another activation."""
    text = "stages: {s: {r: ReLU, j: {concat: [{}, {t: Tanh}, {q: ReLU}, {}]}}}"
    optimized = check_same_network(graph_of(text), write_concat_in_place)
    assert names(optimized) == ["r", "t", "j"]
    assert optimized.nodes[-1].op == ActivatedConcat(relu=(False, False, True, False))
    plain = graph_of("stages: {s: {r: ReLU, j: {concat: [{}, {}]}}}")
    assert write_concat_in_place(plain) == plain


def test_passes_may_follow_each_other_module_by_module() -> None:
    """A graph that is optimized already is where the next pass starts from; weights follow each step."""
    graph = graph_of(CELL)
    module = filled(graph)
    x = image(graph)
    expected = output(module, x)
    for rewrite in PASSES[:3]:
        graph, module = rewrite(graph), optimized_module(graph, module, rewrite(graph))
        check_close(output(module, x), expected, 1e-12)
    assert graph == optimize(graph_of(CELL))


def test_a_graph_without_stages_is_optimized_too() -> None:
    """One part holds all of its nodes."""
    graph = graph_of(CELL)
    flat = replace(graph, parts=(Group("stage", "flat", tuple(range(len(graph.nodes)))),))
    optimized = optimize(flat)
    # A merged convolution stands before the first of its members, wherever parts begin.
    assert sorted(names(optimized)) == sorted(names(optimize(graph)))
    assert [part.children for part in optimized.parts] == [tuple(range(len(optimized.nodes)))]


# --- what the passes leave alone ---

ONE = "{Conv2d: {out_channels: 3, kernel_size: 1}}"
OF_B = "{Conv2d: {out_channels: 3, kernel_size: 1}, from: b}"


def test_what_is_called_again_is_neither_folded_nor_merged() -> None:
    """Each call would need weights of its own; a ReLU that is called again has none, and goes."""
    text = f"""
stages:
  s:
    c: {ONE}
    n: BatchNorm2d
    r: ReLU
    again: {{share: c}}
    d: {ONE}
    m: {{share: n}}
    q: {{share: r}}
    e: {{Conv2d: {{out_channels: 4, kernel_size: 1}}, from: input}}
    t: Tanh
    f: {{share: e, from: input}}
    u: Tanh
    j: {{concat: [q, t, u]}}
"""
    graph = graph_of(text)
    assert len({node.module for node in graph.nodes}) == len(graph.nodes) - 4
    assert fold_batch_norm(graph) == graph
    assert merge_parallel_convolutions(graph) == graph
    check_same_network(graph, optimize)


def test_a_relu_keeps_running_where_its_first_call_is_gone() -> None:
    """It is in the concat then, and in the merged convolution's; the later call has a module of its own."""
    text = f"""
stages:
  s:
    a: {ONE}
    r: ReLU
    b: {{Conv2d: {{out_channels: 4, kernel_size: 1}}, from: input}}
    q: {{share: r}}
    j: {{concat: [r, q, input]}}
    t: Tanh
    last: {{share: r}}
"""
    for rewrite in PASSES:
        optimized = check_same_network(graph_of(text), rewrite)
        assert names(optimized)[-1] == "r@2"
    assert names(optimize(graph_of(text))) == ["merged_conv", "merged_relu", "r", "r@1", "j", "t", "r@2"]


@pytest.mark.parametrize("dim", [2, -1])
def test_a_concat_along_another_axis_keeps_its_relu(dim: int) -> None:
    """What applies it writes channels side by side."""
    graph = graph_of(f"stages: {{s: {{j: {{concat: {{dim: {dim}, branches: [{{r: ReLU}}, {{}}]}}}}}}}}")
    assert check_same_network(graph, write_concat_in_place) == graph


def test_a_concat_with_a_learned_tensor_keeps_its_relu() -> None:
    """The tensor is there once for all images."""
    text = "stages: {s: {p: {Parameter: {shape: [1, 2, 32, 32]}}, j: {concat: [p, {r: {ReLU: {}, from: input}}]}}}"
    graph = build_graph(parse_spec("name: t\ninput: [3, 32, 32]\n" + text), (2, 3, 32, 32))
    assert check_same_network(graph, write_concat_in_place) == graph


def test_convolutions_of_a_second_input_and_of_a_second_output_are_merged() -> None:
    """Whatever they read; weights with points in their names are carried over."""
    text = f"""
name: two
inputs: {{a: [3, 8, 8], b: [2, 8, 8]}}
stages:
  s:
    j: {{concat: [{{c: {OF_B}}}, {{d: {OF_B}}}, a]}}
    rows: {{Flatten: {{start_dim: 2}}}}
    attention: {{MultiheadAttention: {{num_heads: 4}}}}
    memory: {{LSTM: {{hidden_size: 4}}}}
    state: {{Unsqueeze: {{dim: 0}}, from: "memory:1"}}
    k: {{concat: [{{e: {ONE.replace("3,", "2,")}}}, {{f: {ONE}}}]}}
"""
    graph = build_graph(parse_spec(text))
    assert names(check_same_network(graph, optimize)).count("merged_conv") == 1


# --- what else there is of an optimized graph ---


def test_every_view_and_check_takes_an_optimized_graph() -> None:
    """Tables at every depth, diagrams, other tools' conventions, and the numbers against torch."""
    graph = optimize(graph_of(CELL))
    summary = summarize(graph)
    for depth in DEPTHS:
        assert draw_text(summary_grid(summary, graph, Selection(depth=depth)))
        drawing = drawing_of(graph, summary, Options(depth=depth))
        assert draw_dot(drawing, Style())
    text = "\n".join(line for line, _ in draw_text(summary_grid(summary, graph, Selection(depth="layer"))))
    assert "concat with 1 ReLU 4+5+2+6=17" in text
    assert "slice 0:4" in text
    assert "concat with 1 ReLU to 17" in {box.words for box in drawing.boxes()}
    assert {row.kind for row in count_flops(graph).kinds} >= {"slice", "concat"}
    assert [(check.what, check.against) for check in run_checks(graph) if check.ok is False] == []


def test_slices_take_no_memory() -> None:
    """They are views: what they are of lives until the last of them is read."""
    graph = graph_of(f"stages: {{s: {{j: {{concat: [{{a: {CONV}}}, {{b: {CONV}}}]}}}}}}")
    before, after = summarize(graph).totals, summarize(optimize(graph)).totals
    assert after.least_peak_activation_bytes == before.least_peak_activation_bytes


def test_modules_pickle_and_copy_and_export() -> None:
    """As any other; compiled or exported they have torch.cat for the writes that torch does not trace."""
    graph = graph_of(CELL)
    net = optimized_module(graph, filled(graph, torch.float32), optimize(graph))
    x = image(graph, torch.float32)
    expected = output(net, x)
    assert torch.equal(output(copy.deepcopy(net), x), expected)
    assert torch.equal(output(pickle.loads(pickle.dumps(net)), x), expected)
    with torch.no_grad():
        assert torch.equal(torch.compile(net, fullgraph=True, backend="eager")(x), expected)
        check_close(torch.export.export(net, (x,)).module()(x), expected, 1e-6)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.isfinite(net(x)).all()


def test_gradients_flow_where_they_are_asked_for() -> None:
    """To the input and the weights, and the same as the plain module's to the input."""
    graph = graph_of(CELL)
    module = filled(graph)
    x = image(graph).requires_grad_()
    fast = optimized_module(graph, module, optimize(graph))
    for net in (module, fast):
        net(x).square().sum().backward()
    assert all(parameter.grad is not None for parameter in fast.parameters())
    assert x.grad is not None
    total = x.grad.clone()
    x.grad = None
    module(x).square().sum().backward()
    assert x.grad is not None
    check_close(total, 2 * x.grad, 1e-10)


def test_the_module_that_is_given_is_left_alone() -> None:
    """Its weights are copied, its mode is its own; the heads it has beside an eval graph do not matter."""
    spec = load_spec("googlenet_torchvision")
    graph = build_graph(spec)
    module = build_module(build_graph(spec, mode="train"))
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    fast = optimized_module(graph, module, optimize(graph))
    assert (module.training, fast.training) == (True, False)
    for tensor in fast.parameters():
        tensor.data.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_a_module_on_the_meta_device_stays_there() -> None:
    """For shapes without memory."""
    graph = graph_of(CELL)
    net = optimized_module(graph, build_module(graph, device="meta"), optimize(graph))
    assert net(torch.empty(2, 3, 32, 32, device="meta")).shape == (2, 3)


# --- errors ---


@pytest.mark.parametrize("rewrite", PASSES, ids=lambda rewrite: rewrite.__name__)
def test_a_training_graph_is_refused(rewrite: Pass) -> None:
    """What is folded cannot be trained."""
    with pytest.raises(UsageError, match='expected a graph of the mode "eval", got "train"'):
        rewrite(graph_of(CELL, mode="train"))


def test_graphs_and_modules_that_do_not_belong_together_are_refused() -> None:
    """Nothing is built of weights that mean something else."""
    graph = graph_of(CELL)
    module = build_module(graph)
    other = graph_of(f"stages: {{s: {{a: {CONV}, b: {CONV}}}}}")
    less = graph_of(f"stages: {{s: {{a: {CONV}}}}}")
    wide = graph_of(f"stages: {{s: {{a: {CONV.replace('channels: 2', 'channels: 4')}, b: {CONV}}}}}")
    cases: list[tuple[Graph, nn.Module, Graph, str]] = [
        (
            graph,
            build_module(other),
            optimize(graph),
            "module that build_module made of the graph, got one with `first",
        ),
        (other, build_module(wide), other, r"`a.weight` of 4x3x1x1 for 2x3x1x1, `a.bias` of 4 for 2"),
        (less, build_module(other), less, "`b.weight` that the graph does not have"),
        (graph, module, other, "expected what optimize made of the graph, got a layer `a` of another"),
        (other, build_module(other), wide, "got a layer `a` of another"),
        (other, build_module(other), less, "got a graph without its `b`"),
        (graph, module.half().float().bfloat16(), 5, "expected a Graph"),  # type: ignore[list-item]  # the mistake
    ]
    for before, net, after, message in cases:
        with pytest.raises(UsageError, match=message):
            optimized_module(before, net, after)
    mixed = build_module(other)
    mixed.get_submodule("a").half()
    with pytest.raises(UsageError, match="one dtype on one device, got float16 on cpu, float32 on cpu"):
        optimized_module(other, mixed, other)


def test_internal_layers_check_their_inputs() -> None:
    """Where a rewrite would be wrong it is refused by the shape rule."""
    from gnet_inspect.errors import ShapeError

    with pytest.raises(ShapeError, match="slice expects channels of the input's 4, got 2 to 5"):
        Channels(2, 5).output_shape(((1, 4, 8, 8),))
    with pytest.raises(ShapeError, match="concat expects a flag for each of 2 branches, got 1"):
        ActivatedConcat(relu=(True,)).output_shape(((1, 4, 8, 8), (1, 4, 8, 8)))
    assert ReLU in {type(node.op) for node in optimize(graph_of(CELL)).nodes}
