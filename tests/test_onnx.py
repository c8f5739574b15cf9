"""ONNX files: what other exporters write is read as it runs, and what a stranger wrote is read or refused, in words."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")

import numpy as np  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from gnet_inspect import count_flops, summarize  # noqa: E402
from gnet_inspect.errors import GnetError, MissingError, UsageError  # noqa: E402
from gnet_inspect.graph import Graph  # noqa: E402
from gnet_inspect.ops import TOOLS  # noqa: E402
from gnet_inspect.sources.bounds import MAX_NODES  # noqa: E402
from gnet_inspect.sources.file import read_graph_file, write_graph  # noqa: E402
from gnet_inspect.sources.onnx import open_onnx, read_onnx  # noqa: E402
from gnet_inspect.sources.onnx.form import LARGEST_VALUES  # noqa: E402
from tests.conftest import Run  # noqa: E402

Shape = Sequence[int | str | None]
RNG = np.random.default_rng(0)


def weight(name: str, *shape: int, dtype: Any = np.float32) -> Any:
    """A tensor of the file."""
    return numpy_helper.from_array((RNG.standard_normal(shape) * 4).astype(dtype), name)


def constant(name: str, values: Any, dtype: Any = np.int64) -> Any:
    """One of given values."""
    return numpy_helper.from_array(np.asarray(values, dtype), name)


def node(kind: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    """A node by the names of its values; "_" is an input that is left out."""
    read = ["" if name == "_" else name for name in inputs.split()]
    return helper.make_node(kind, read, outputs.split(), **attributes)


def model(
    nodes: Sequence[Any],
    weights: Sequence[Any] = (),
    *,
    inputs: dict[str, Shape] | None = None,
    outputs: Sequence[str] = ("y",),
    opset: int = 17,
    kinds: dict[str, int] | None = None,
    **more: Any,
) -> Any:
    """A model; its outputs are of no shape that is known."""
    kinds = kinds or {}
    read = [
        helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), shape)
        for name, shape in (inputs or {"x": (1, 3, 8, 8)}).items()
    ]
    made = [helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), None) for name in outputs]
    graph = helper.make_graph(list(nodes), "net", read + list(more.pop("listed", ())), made, list(weights))
    imports = [helper.make_opsetid("", opset), *more.pop("imports", ())]
    return helper.make_model(graph, opset_imports=imports, **more)


def read(found: Any, shapes: dict[str, tuple[int, ...]] | None = None, batch: int | None = None) -> Graph:
    """The graph of a model."""
    return read_onnx(found.SerializeToString(), shapes, batch)


def one(
    kind: str, weights: Sequence[Any] = (), *, x: Shape = (1, 3, 8, 8), opset: int = 17, **attributes: Any
) -> Graph:
    """The graph of one node on `x` and tensors of the file."""
    names = " ".join(["x", *(item.name for item in weights)])
    return read(model([node(kind, names, "y", **attributes)], weights, inputs={"x": x}, opset=opset))


def words(graph: Graph) -> list[str]:
    """The layers in words."""
    return [item.describe() for item in graph.nodes]


def refused(found: Any, *parts: str) -> str:
    """What is said of a model that is refused."""
    with pytest.raises(GnetError) as caught:
        read(found)
    for part in parts:
        assert part in str(caught.value)
    return str(caught.value)


# --- operators ---


def test_layers_are_those_of_the_vocabulary() -> None:
    """Each with its arguments, its weights by the names in the file, and its numbers."""
    graph = one("Conv", [weight("c.weight", 8, 3, 3, 3), weight("c.bias", 8)], pads=[1, 1, 1, 1], strides=[2, 2])
    (layer,) = graph.nodes
    assert (layer.name, layer.describe(), layer.params, layer.macs) == ("c", "Conv2d 3x3/2, 8", 224, 8 * 27 * 16)
    assert [item.name for item in layer.weights()] == ["weight", "bias"]
    grouped = one("Conv", [weight("w", 6, 1, 3, 3)], group=3, dilations=[2, 2])
    assert (words(grouped), grouped.nodes[0].output_shape) == (["Conv2d 3x3, 6, groups 3, dilation 2"], (1, 6, 4, 4))
    assert [item.name for item in grouped.nodes[0].weights()] == ["w"]
    assert words(one("Conv", [weight("w", 4, 3, 5)], x=(1, 3, 9))) == ["Conv1d 5, 4"]
    assert words(one("Conv", [weight("w", 4, 3, 1, 2, 3)], x=(1, 3, 4, 4, 4))) == ["Conv3d 1x2x3, 4"]


@pytest.mark.parametrize(
    ("attributes", "shape"),
    [
        ({"auto_pad": "SAME_UPPER", "strides": [2, 2]}, (1, 4, 4, 4)),
        ({"auto_pad": "SAME_LOWER", "strides": [2, 2]}, (1, 4, 4, 4)),
        ({"auto_pad": "VALID"}, (1, 4, 6, 6)),
        ({"pads": [0, 1, 2, 3]}, (1, 4, 8, 10)),
    ],
)
def test_paddings_of_one_side(attributes: dict[str, Any], shape: tuple[int, ...]) -> None:
    """As numbers, so that a receptive field begins where it does."""
    graph = one("Conv", [weight("w", 4, 3, 3, 3)], **attributes)
    assert (graph.nodes[0].op.kind, graph.nodes[0].output_shape) == ("Conv2d", shape)
    assert graph.nodes[0].macs == 27 * 4 * shape[2] * shape[3]


OPERATORS: list[tuple[str, dict[str, Any], list[Any], Shape, str]] = [
    (
        "ConvTranspose",
        {"strides": [2, 2], "output_padding": [1, 1]},
        [(3, 4, 3, 3)],
        (1, 3, 8, 8),
        "ConvTranspose2d 3x3/2, 4",
    ),
    (
        "ConvTranspose",
        {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
        [(3, 4, 3, 3)],
        (1, 3, 8, 8),
        "ConvTranspose2d 3x3/2, 4",
    ),
    ("Gemm", {"transB": 1}, [(5, 12), (5,)], (2, 12), "Linear 5"),
    ("Gemm", {}, [(12, 5)], (2, 12), "Linear 5"),
    ("MatMul", {}, [(12, 5)], (2, 7, 12), "Linear 5"),
    ("BatchNormalization", {}, [(3,)] * 4, (1, 3, 8, 8), "BatchNorm2d"),
    ("Relu", {}, [], (1, 3), "ReLU"),
    ("LeakyRelu", {"alpha": 0.1}, [], (1, 3), "LeakyReLU 0.1"),
    ("PRelu", {}, [(3, 1, 1)], (1, 3, 8, 8), "PReLU"),
    ("Sigmoid", {}, [], (1, 3), "Sigmoid"),
    ("HardSigmoid", {"alpha": 1 / 6}, [], (1, 3), "Hardsigmoid"),
    ("HardSigmoid", {}, [], (1, 3), "HardSigmoid"),
    ("HardSwish", {}, [], (1, 3), "Hardswish"),
    ("Softmax", {}, [], (1, 3), "Softmax"),
    ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, [], (1, 3, 8, 8), "MaxPool2d 3x3/2, ceil"),
    ("AveragePool", {"kernel_shape": [2, 2], "auto_pad": "SAME_UPPER"}, [], (1, 3, 8, 8), "AvgPool2d 2x2"),
    ("GlobalAveragePool", {}, [], (1, 3, 8, 8), "mean over 2, 3"),
    ("ReduceMean", {"axes": [2, 3], "keepdims": 0}, [], (1, 3, 8, 8), "mean over 2, 3"),
    ("Flatten", {}, [], (1, 3, 8, 8), "Flatten"),
    ("Transpose", {"perm": [0, 2, 1]}, [], (1, 3, 8), "Permute 0 2 1"),
    ("LayerNormalization", {}, [(8,), (8,)], (1, 3, 8), "LayerNorm"),
    ("InstanceNormalization", {}, [(3,), (3,)], (1, 3, 8, 8), "InstanceNorm2d"),
    ("LRN", {"size": 5}, [], (1, 3, 8, 8), "LocalResponseNorm 5"),
    ("DepthToSpace", {"blocksize": 2, "mode": "CRD"}, [], (1, 12, 4, 4), "PixelShuffle 2"),
    ("DepthToSpace", {"blocksize": 2}, [], (1, 12, 4, 4), "DepthToSpace"),
    ("Erf", {}, [], (1, 3), "Erf"),
]


@pytest.mark.parametrize(("kind", "attributes", "shapes", "x", "said"), OPERATORS, ids=lambda item: str(item)[:20])
def test_operators(kind: str, attributes: dict[str, Any], shapes: list[Any], x: Shape, said: str) -> None:
    """One node of each, in words; its params are what stands in the file."""
    graph = one(kind, [weight(f"w{index}", *shape) for index, shape in enumerate(shapes)], x=x, **attributes)
    (layer,) = graph.nodes
    assert layer.describe().startswith(said), layer.describe()
    assert layer.params + layer.buffers == sum(int(np.prod(shape)) for shape in shapes)
    assert layer.macs is not None


def test_bounds_of_a_clip_are_where_the_opset_has_them() -> None:
    """ReLU6 by attributes, by constants, and what is none."""
    assert words(one("Clip", opset=9, min=0.0, max=6.0)) == ["ReLU6"]
    bounds = [constant("low", 0, np.float32), constant("high", 6, np.float32)]
    assert words(one("Clip", bounds)) == ["ReLU6"]
    assert words(one("Clip", [constant("low", 0, np.float32), constant("high", 1, np.float32)])) == ["Clip 0, 1"]


def test_a_product_and_its_bias_are_one_layer() -> None:
    """Where nobody else reads the product."""
    weights = [weight("l.weight", 12, 5), weight("l.bias", 5)]
    nodes = [node("MatMul", "x l.weight", "p"), node("Add", "l.bias p", "y")]
    graph = read(model(nodes, weights, inputs={"x": (2, 7, 12)}))
    assert (words(graph), graph.nodes[0].params, graph.nodes[0].macs) == (["Linear 5"], 65, 2 * 7 * 60)
    graph = read(model([*nodes, node("Relu", "p", "z")], weights, inputs={"x": (2, 7, 12)}, outputs=("y", "z")))
    assert [item.op.kind for item in graph.nodes] == ["Linear", "Parameter", "add", "ReLU"]
    assert sum(item.params for item in graph.nodes) == 65


def test_a_number_of_the_file_is_an_argument_and_a_table_a_weight() -> None:
    """A single number is none that was learned, unless a module calls it so."""
    nodes = [node("Mul", "x half", "a"), node("Add", "a table", "b"), node("Sub", "b scale.gamma", "y")]
    tables = [constant("half", 0.5, np.float32), weight("table", 1, 3, 8, 8), constant("scale.gamma", 2, np.float32)]
    graph = read(model(nodes, tables))
    assert words(graph) == ["Mul 0.5", "Parameter", "add", "Parameter", "Sub"]
    assert sum(item.params for item in graph.nodes) == 193


def test_values_that_are_split_sliced_and_gathered() -> None:
    """Each part is a view of its own."""
    nodes = [
        node("Split", "x sizes", "a b", axis=1),
        node("Slice", "b zero four three", "c"),
        node("Gather", "c one", "d", axis=2),
        node("Unsqueeze", "d two", "e"),
        node("Concat", "c e", "y", axis=2),
    ]
    tables = [
        constant("sizes", [1, 2]),
        *(constant(name, [size]) for name, size in (("zero", 0), ("four", 4), ("three", 3))),
    ]
    graph = read(model(nodes, [*tables, constant("one", 1), constant("two", [2])]))
    assert words(graph) == [
        "Slice 1:3",
        "Slice 0:4 of axis 3",
        "select 1 of axis 2",
        "Unsqueeze",
        "concat along 2 8+1=9",
    ]
    assert graph.nodes[-1].output_shape == (1, 2, 9, 4)


def test_recurrent_layers_and_attention_are_counted() -> None:
    """By what they multiply."""
    lstm = one("LSTM", [weight("w", 1, 20, 3), weight("r", 1, 20, 5)], x=(7, 2, 3), hidden_size=5)
    assert (lstm.nodes[0].macs, lstm.nodes[0].params) == (7 * 2 * (60 + 100), 160)
    attended = [node("Attention", "x x x", "y")]
    (layer,) = read(model(attended, inputs={"x": (1, 2, 6, 4)}, opset=23)).nodes
    assert (layer.op.kind, layer.macs) == ("ScaledDotProductAttention", 2 * 2 * 6 * 6 * 4)
    (layer,) = read(
        model([node("Attention", "x x x", "y", q_num_heads=2, kv_num_heads=2)], inputs={"x": (1, 6, 8)}, opset=23)
    ).nodes
    assert layer.macs == 2 * 6 * 6 * (4 + 4)
    (layer,) = read(
        model([node("Einsum", "x w", "y", equation="bij,jk->bik")], [weight("w", 8, 5)], inputs={"x": (1, 3, 8)})
    ).nodes[1:]
    assert layer.macs == 3 * 8 * 5


def test_an_operator_that_nobody_knows_is_counted_as_unknown() -> None:
    """Where the file says the shape of what it makes; else it is refused, with its place."""
    custom = helper.make_node("Mystery", ["x", "w"], ["y"], name="odd", domain="my.own")
    found = model([custom], [weight("w", 5, 3)], imports=[helper.make_opsetid("my.own", 1)])
    refused(found, "`graph.node.0`", "my.own.Mystery 'odd'", "got none for `y`")
    found.graph.output[0].type.tensor_type.shape.CopyFrom(helper.make_tensor_type_proto(1, (1, 5)).tensor_type.shape)
    graph = read(found)
    assert (graph.nodes[0].macs, graph.nodes[0].params, graph.nodes[0].output_shape) == (None, 15, (1, 5))
    assert summarize(graph).coverage.unknown == (graph.nodes[0].name,)


# --- what other exporters write ---


def chain(opset: int, **more: Any) -> Any:
    """A small network as an older exporter wrote it: a flattening that works its size out, no shapes of values."""
    weights = [weight("w", 4, 3, 3, 3), weight("b", 4), weight("f", 256, 10)]
    axes = {"axes": [0]} if opset < 13 else {}
    nodes = [
        node("Conv", "x w b", "c", pads=[1, 1, 1, 1], name="conv"),
        node("Relu", "c", "r"),
        node("Shape", "r", "s"),
        node("Constant", "", "zero", value=constant("", 0)),
        node("Gather", "s zero", "n"),
        node("Unsqueeze", "n" if opset < 13 else "n first", "m", **axes),
        node("Constant", "", "rest", value=constant("", [-1])),
        node("Concat", "m rest", "to", axis=0),
        node("Reshape", "r to", "flat"),
        node("Dropout", "flat", "d"),
        node("Identity", "d", "e"),
        node("MatMul", "e f", "y"),
    ]
    return model(nodes, [*weights, constant("first", [0])], opset=opset, **more)


@pytest.mark.parametrize("opset", [9, 11, 13, 17, onnx.defs.onnx_opset_version()])
def test_every_opset_gives_the_same_network(opset: int) -> None:
    """Without a shape of any value; sizes that are worked out are no nodes."""
    graph = read(chain(opset))
    assert words(graph) == ["Conv2d 3x3, 4", "ReLU", "Reshape 1x256", "Dropout 0.5", "Linear 10"]
    totals = summarize(graph).totals
    assert (totals.params, totals.macs) == (112 + 2560, 27 * 4 * 64 + 2560)


def test_opsets_that_are_not_known_are_refused() -> None:
    """In words that say what is."""
    refused(chain(17, imports=[helper.make_opsetid("", 8)]), "opset 9 to ", "got opset 8")
    refused(chain(17, imports=[helper.make_opsetid("", 10_000)]), "got opset 10000", "upgrade the package onnx")


def test_weights_that_are_listed_as_inputs_are_weights() -> None:
    """As files before IR version 4 have to."""
    listed = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("w", "b", "f")]
    assert [value.name for value in read(chain(9, listed=listed)).inputs] == ["x"]


def test_a_weight_in_a_constant_node_is_a_weight() -> None:
    """Some exporters write all of them so."""
    nodes = [node("Constant", "", "k.weight", value=weight("", 4, 3, 1, 1)), node("Conv", "x k.weight", "y")]
    (layer,) = read(model(nodes)).nodes
    assert (layer.name, layer.params) == ("k", 12)


def test_functions_are_put_in_the_place_of_their_calls() -> None:
    """And those that call themselves are refused."""
    twice = helper.make_function(
        "own", "Twice", ["a"], ["c"], [node("Relu", "a", "b"), node("Relu", "b", "c")], [helper.make_opsetid("", 17)]
    )
    call = helper.make_node("Twice", ["x"], ["y"], domain="own")
    imports = [helper.make_opsetid("own", 1)]
    assert words(read(model([call], functions=[twice], imports=imports))) == ["ReLU", "ReLU"]
    again = helper.make_node("Twice", ["b"], ["c"], domain="own")
    endless = helper.make_function(
        "own", "Twice", ["a"], ["c"], [node("Relu", "a", "b"), again], [helper.make_opsetid("", 17), *imports]
    )
    refused(model([call], functions=[endless], imports=imports), "`functions`", "never themselves")
    growing = [
        helper.make_function(
            "own",
            f"F{index}",
            ["a"],
            ["b"],
            [helper.make_node(f"F{index + 1}", ["a"], ["b"], domain="own") for _ in range(8)]
            if index < 9
            else [node("Relu", "a", "b")],
            [helper.make_opsetid("", 17), *imports],
        )
        for index in range(10)
    ]
    first = helper.make_node("F0", ["x"], ["y"], domain="own")
    refused(model([first], functions=growing, imports=imports), f"at most {MAX_NODES:,} nodes")


def test_control_flow_is_refused_with_its_place() -> None:
    """A network has one path here."""
    branch = helper.make_graph([node("Relu", "x", "z")], "then", [], [helper.make_tensor_value_info("z", 1, None)])
    chosen = helper.make_node("If", ["flag"], ["y"], name="choice", then_branch=branch, else_branch=branch)
    refused(
        model([chosen], [constant("flag", True, np.bool_)]), "`graph.node.0`", "If 'choice'", "without control flow"
    )


# --- sizes that are free ---


def test_a_free_batch_is_one_unless_it_is_said() -> None:
    """By its name for all inputs, and by no name."""
    for free in ("N", None):
        found = chain(17, inputs={"x": (free, 3, 8, 8)})
        assert read(found).input_shape == (1, 3, 8, 8)
        graph = read(found, batch=4)
        assert (graph.input_shape, graph.nodes[-1].output_shape) == ((4, 3, 8, 8), (4, 10))
    with pytest.raises(UsageError, match="expected 1, its own, got 2"):
        read(chain(17), batch=2)


def test_sizes_that_are_free_are_asked_for() -> None:
    """And those that are fixed are refused where they are asked for otherwise."""
    net = model([node("Relu", "x", "y")], inputs={"x": ("N", 3, "H", "W")})
    with pytest.raises(UsageError, match=r"N x 3 x H x W.*--input x=1x3x1x1"):
        read(net)
    assert read(net, {"x": (2, 3, 5, 7)}).nodes[0].output_shape == (2, 3, 5, 7)
    with pytest.raises(UsageError, match="the sizes that are fixed in it"):
        read(net, {"x": (2, 4, 5, 7)})
    two = model([node("Add", "x z", "y")], inputs={"x": ("N", "L"), "z": ("N", "L")})
    assert read(two, {"x": (2, 5)}).named_inputs == {"x": (2, 5), "z": (2, 5)}
    with pytest.raises(UsageError, match="expected N x L"):
        read(two, {"x": (2, 5), "z": (2, 6)})


# --- weights ---


def test_weights_are_never_read() -> None:
    """Neither the bytes of those in the file nor any other file."""
    net = chain(17)
    tensor = net.graph.initializer[2]
    assert len(tensor.raw_data) > LARGEST_VALUES
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    opened: list[str] = []
    sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
    for location in ("/etc/passwd", "../../secret", "weights.bin"):
        del tensor.external_data[:]
        tensor.external_data.add(key="location", value=location)
        assert summarize(read(net)).totals.params == 2672
        assert not any(path.endswith(location) for path in opened)


def test_weights_that_no_node_reads_are_unreached() -> None:
    """They are the network's, and it has no use for them."""
    net = chain(17)
    net.graph.initializer.append(weight("aux.weight", 7, 3))
    totals = summarize(read(net)).totals
    assert (totals.params, totals.unreached_params) == (2672, 21)


def test_a_weight_that_is_read_twice_is_counted_once() -> None:
    """At its first reader."""
    graph = read(
        model([node("Conv", "x c.weight", "a"), node("Conv", "a c.weight", "y")], [weight("c.weight", 3, 3, 1, 1)])
    )
    assert [(item.name, item.params) for item in graph.nodes] == [("c", 9), ("c@1", 0)]


def test_quantised_weights_say_their_bits() -> None:
    """Params as they are, in the bytes that they take; scales and zero points are buffers."""
    weights = [weight("q", 4, 3, 3, 3, dtype=np.int8), constant("s", 0.1, np.float32), constant("z", 0, np.int8)]
    nodes = [node("DequantizeLinear", "q s z", "w"), node("Conv", "x w", "y")]
    graph = read(model(nodes, weights))
    assert [(item.op.kind, item.params, item.buffers, item.macs) for item in graph.nodes] == [
        ("Conv2d", 108, 2, 108 * 36)
    ]
    assert graph.notes == (
        (
            "weights of convolutions and linear layers: 1 of 1 in 8 bits; all parameters take 108 B in the file, "
            "432 B in fp32"
        ),
    )
    scale = [constant(name, 0.1, np.float32) for name in ("xs", "ws", "ys")]
    zero = [constant(name, 0, np.uint8) for name in ("xz", "yz")] + [constant("wz", 0, np.int8)]
    nodes = [
        node("QuantizeLinear", "x xs xz", "a"),
        node("QLinearConv", "a xs xz q ws wz ys yz", "b"),
        node("DequantizeLinear", "b ys yz", "y"),
    ]
    graph = read(model(nodes, [weights[0], *scale, *zero]))
    assert [item.op.kind for item in graph.nodes] == ["QuantizeLinear", "Conv2d", "DequantizeLinear"]
    assert sum(item.params for item in graph.nodes) == 108
    assert "1 of 1 in 8 bits" in graph.notes[0]


# --- names and the tree ---


def test_paths_come_from_what_the_exporter_wrote_down() -> None:
    """A convolution that has the class of a batch norm holds one."""
    nodes = [
        node("Conv", "x body.0.conv.weight body.0.conv.bias", "a"),
        node("Relu", "a", "b"),
        node("Add", "b x", "c"),
        node("Sigmoid", "c", "y"),
    ]
    modules = [
        (
            ["", "body", "body.0", "body.0.bn", "bn"],
            [
                "my.Net",
                "torch.nn.modules.container.Sequential",
                "my.Block",
                "torch.nn.modules.batchnorm.BatchNorm2d",
                "aten",
            ],
        ),
        (
            ["", "body", "body.0", "body.0.act", "relu"],
            ["my.Net", "torch.nn.modules.container.Sequential", "my.Block", "torch.nn.modules.activation.ReLU", "aten"],
        ),
        (["", "body", "body.0", "add"], ["my.Net", "torch.nn.modules.container.Sequential", "my.Block", "aten"]),
    ]
    for item, (scopes, classes) in zip(nodes, modules, strict=False):
        item.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=repr(scopes))
        item.metadata_props.add(key="pkg.torch.onnx.class_hierarchy", value=repr(classes))
    graph = read(model(nodes, [weight("body.0.conv.weight", 3, 3, 1, 1), weight("body.0.conv.bias", 3)]))
    assert [item.name for item in graph.nodes] == ["body.0.conv", "body.0.act", "body.0.add", "sigmoid"]
    assert [item.block for item in graph.nodes] == ["body.0"] * 3 + [None]
    assert "1 batch norm is folded" in graph.notes[0]


def test_paths_come_from_names_of_nodes() -> None:
    """As torch's older exporter wrote them."""
    names = ["/layer1/layer1.0/conv1/Conv", "/layer1/layer1.0/relu/Relu", "/layer1/layer1.0/Add", "/head/Relu"]
    kinds = [("Conv", "x onnx::Conv_7 b", "a"), ("Relu", "a", "b1"), ("Add", "b1 x", "c"), ("Relu", "c", "y")]
    nodes = [node(kind, read, made, name=name) for name, (kind, read, made) in zip(names, kinds, strict=True)]
    graph = read(model(nodes, [weight("onnx::Conv_7", 3, 3, 1, 1), weight("b", 3)]))
    assert [item.name for item in graph.nodes] == ["layer1.0.conv1", "layer1.0.relu", "layer1.0.add", "head"]
    assert "1 of 1 convolutions have weights that the exporter worked out" in graph.notes[0]


def test_a_file_without_names_is_parted_where_the_resolution_changes() -> None:
    """Its layers keep their order; what is behind the last map is the head."""
    nodes = [
        node("Conv", "x w", "a", pads=[1, 1, 1, 1]),
        node("Relu", "a", "b"),
        node("MaxPool", "b", "c", kernel_shape=[2, 2], strides=[2, 2]),
        node("GlobalAveragePool", "c", "s"),
        node("Mul", "c s", "d"),
        node("Flatten", "d", "e"),
        node("Relu", "e", "y"),
    ]
    graph = read(model(nodes, [weight("w", 4, 3, 3, 3)]))
    assert [(part.name, len(part.children)) for part in graph.parts] == [("8x8", 2), ("4x4", 3), ("head", 2)]


def test_what_is_read_comes_back_from_a_graph_file() -> None:
    """With what is said of it."""
    for found in (chain(17), chain(9)):
        graph = read(found)
        back = read_graph_file(write_graph(graph))
        assert (back.nodes, back.parts, back.notes, back.run) == (graph.nodes, graph.parts, graph.notes, graph.run)


# --- what commands say ---


def test_no_tool_is_known_to_run_a_file() -> None:
    """Its numbers are unknown, and the peak is a bound."""
    graph = read(chain(17))
    counts = count_flops(graph)
    assert [getattr(counts.totals, tool) for tool in TOOLS] == [None] * 6
    assert any("no tool can run" in note for note in counts.notes)
    assert summarize(graph).totals.peak_activation_status == "bound"


@pytest.fixture
def saved(tmp_path: Path) -> str:
    """A file."""
    onnx.save(chain(17, inputs={"x": ("N", 3, 8, 8)}), tmp_path / "net.onnx")
    return str(tmp_path / "net.onnx")


@pytest.mark.parametrize("command", ["summary", "flops", "taps", "diagram", "compare", "roofline"])
def test_static_commands_read_it(saved: str, command: str, run: Run) -> None:
    """At the batch that is asked for."""
    more = {"compare": ["googlenet"], "roofline": ["--on", "h200"]}.get(command, [])
    done = run(command, saved, *more, *(["--batch", "2"] if command != "compare" else []))
    assert done.code == 0, done.err
    assert "2x3x8x8" in done.out or command in ("diagram", "compare")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--set", "a=1"], "--set: expected a built-in name or a spec"),
        (["--resize"], "--resize: expected a built-in name or a spec"),
        (["--mode", "train"], "--mode train: expected a spec"),
        (["--arg", "a=1"], "--arg: expected a MODEL in Python"),
        (["--input", "x=1x4x8x8"], "the sizes that are fixed in it"),
        (["--input", "q=1x3x8x8"], "expected a shape for each of the inputs x"),
    ],
)
def test_what_a_file_cannot_do_is_refused(saved: str, flags: list[str], said: str, run: Run) -> None:
    """In words that name it."""
    done = run("summary", saved, *flags)
    assert done.code == 2
    assert said in " ".join(done.err.split())


@pytest.mark.parametrize("command", ["latency", "verify", "validate", "show"])
def test_commands_that_run_a_network_refuse_it(saved: str, command: str, run: Run) -> None:
    """It is named as what it is."""
    done = run(command, saved)
    assert (done.code, "an ONNX file" in " ".join(done.err.split())) == (2, True)


def test_without_the_package_the_command_that_installs_it_is_said(saved: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code 3."""
    monkeypatch.setattr("gnet_inspect.sources.onnx.find_spec", lambda name: None)
    with pytest.raises(MissingError, match="pip install onnx") as caught:
        open_onnx(Path(saved))
    assert caught.value.exit_code == 3


def test_torch_is_not_imported(saved: str) -> None:
    """Nor what exports files."""
    code = (
        f"import sys; sys.argv = ['gnet-inspect', 'summary', {saved!r}]\nfrom gnet_inspect.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(*[n for n in ('torch', 'onnxscript', 'onnxruntime') if n in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""
    assert "params" in done.stdout
