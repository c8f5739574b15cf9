"""What torch exports is read as the module is traced, and shapes are those that onnxruntime makes."""

import copy
import io
import os
import warnings
from typing import Any

import pytest

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript", reason="the extra onnx is not installed")

import numpy as np  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from gnet_inspect import summarize, trace  # noqa: E402
from gnet_inspect.graph import Graph  # noqa: E402
from gnet_inspect.sources.onnx import read_onnx  # noqa: E402
from tests.test_onnx import model, node, weight  # noqa: E402

EXAMPLES = int(os.environ.get("GNET_EXAMPLES", "60"))


class Residual(nn.Module):
    """A block with a gate, as mobile networks have it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.act = nn.Hardswish()
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, 2, 1), nn.ReLU(), nn.Conv2d(2, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.act(self.norm(self.conv(x)))
        made: Tensor = x + inner * torch.sigmoid(self.gate(inner))
        return made


class Images(nn.Module):
    """Convolutions, their transposed ones, pools, a skip and resampling."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU6())
        self.blocks = nn.Sequential(Residual(8), Residual(8))
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.head = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.stem(x))
        y = self.up(self.pool(x))
        y = functional.interpolate(y, size=(16, 16), mode="bilinear", align_corners=False)
        made: Tensor = self.head(torch.cat([x, y], 1).mean((2, 3)))
        return made


class Tokens(nn.Module):
    """A table, attention, norms and products."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(20, 16)
        self.places = nn.Parameter(torch.randn(1, 6, 16))
        self.layers = nn.ModuleList(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True) for _ in range(2))
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.table(tokens) + self.places
        for layer in self.layers:
            x = layer(x)
        made: Tensor = self.head(self.norm(x)[:, 0])
        return made


class Sequences(nn.Module):
    """A convolution of one axis before a recurrent layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.lstm, self.head = nn.Conv1d(4, 6, 3), nn.LSTM(6, 5, batch_first=True), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.lstm(self.conv(x).transpose(1, 2))
        made: Tensor = self.head(states[:, -1])
        return made


MODULES: dict[str, tuple[type[nn.Module], Any]] = {
    "images": (Images, torch.randn(1, 3, 32, 32)),
    "tokens": (Tokens, torch.randint(20, (1, 6))),
    "sequences": (Sequences, torch.randn(1, 4, 12)),
}


def export(module: nn.Module, x: Tensor, **more: Any) -> bytes:
    """A module as a file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if more.get("dynamo"):
            program = torch.onnx.export(module, (x,), verbose=False, **more)
            return bytes(program.model_proto.SerializeToString())
        found = io.BytesIO()
        torch.onnx.export(module, (x,), found, **more)
        return found.getvalue()


def spread(module: nn.Module) -> nn.Module:
    """A module no two of whose weights are equal, and none zero: exporters make one of those, and leave these out."""
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.5, 2)
    return module.eval()


def folded_params(graph: Graph) -> int:
    """The params of a traced graph as they are where batch norms are folded: a convolution without a bias gets one."""
    norms = sum(item.params for item in graph.nodes if item.op.family.name == "normalisation" and item.buffers)
    after = {item.inputs[0] for item in graph.nodes if item.op.family.name == "normalisation" and item.buffers}
    biases = sum(item.output_shape[1] for item in graph.nodes if item.name in after and len(item.weights()) == 1)
    return sum(item.params for item in graph.nodes) - norms + biases


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("dynamo", [True, False], ids=["dynamo", "script"])
def test_an_exported_module_is_what_is_traced(name: str, dynamo: bool) -> None:
    """Its MACs, its output, and its params, which lack those of batch norms that were folded."""
    kind, x = MODULES[name]
    module = spread(kind())
    traced = trace(module, x)
    text = export(module, x, dynamo=dynamo, **({} if dynamo else {"opset_version": 17}))
    graph = read_onnx(text)
    ours, own = summarize(graph).totals, summarize(traced).totals
    assert not summarize(graph).coverage.unknown
    assert (ours.macs, graph.nodes[-1].output_shape) == (own.macs, traced.nodes[-1].output_shape)
    assert ours.params == folded_params(traced)
    assert bool(graph.notes) == (name == "images")


def test_an_exported_module_has_its_tree() -> None:
    """Layers by the paths of their modules, blocks by their classes."""
    graph = read_onnx(export(spread(Images()), MODULES["images"][1], dynamo=True))
    names = {item.name for item in graph.nodes}
    assert {"stem.0", "stem.2", "blocks.0.conv", "blocks.0.act", "blocks.1.gate.1", "pool", "up", "head"} <= names
    assert {item.block for item in graph.nodes if item.name.startswith("blocks.0.")} == {"blocks.0"}
    assert "3 batch norms are folded" in graph.notes[0]


def test_a_batch_norm_that_is_not_folded_is_counted() -> None:
    """In training mode the exporter keeps it, with its statistics as buffers."""
    module = spread(Images())
    traced = trace(copy.deepcopy(module), MODULES["images"][1])
    text = export(
        module,
        MODULES["images"][1],
        dynamo=False,
        opset_version=17,
        do_constant_folding=False,
        training=torch.onnx.TrainingMode.PRESERVE,
    )
    totals, own = summarize(read_onnx(text)).totals, summarize(traced).totals
    assert (totals.params, totals.macs) == (own.params, own.macs)


# --- shapes by onnxruntime ---

STEPS = ("conv", "same", "pool", "ceil", "up", "transposed", "slice", "pad", "norm", "reshape", "mean", "split", "turn")


def step(kind: str, index: int, shape: tuple[int, ...], numbers: list[int]) -> tuple[list[Any], list[Any]]:
    """(nodes, weights) of one step from `v{index}` to `v{index + 1}` over maps (N, C, H, W)."""
    source, made, channels = f"v{index}", f"v{index + 1}", shape[1]
    first, second, third = numbers
    name = f"w{index}"
    if kind == "conv":
        kernel = weight(name, first, channels, second, third)
        pads = [third, second, first % 3, third]
        return [node("Conv", f"{source} {name}", made, pads=pads, strides=[first % 2 + 1, 1], dilations=[1, 2])], [
            kernel
        ]
    if kind == "same":
        auto = "SAME_UPPER" if first % 2 else "SAME_LOWER"
        return [node("Conv", f"{source} {name}", made, auto_pad=auto, strides=[second, third])], [
            weight(name, 2, channels, 3, 2)
        ]
    if kind in ("pool", "ceil"):
        pool = "MaxPool" if first % 2 else "AveragePool"
        flags = {"ceil_mode": 1} if kind == "ceil" else {}
        return [node(pool, source, made, kernel_shape=[2, 2], strides=[second, third], pads=[0, 1, 1, 0], **flags)], []
    if kind == "up":
        factors = onnx.numpy_helper.from_array(np.asarray([1, 1, first, 1.5], np.float32), name)
        return [node("Resize", f"{source} _ {name}", made, mode="nearest" if second % 2 else "linear")], [factors]
    if kind == "transposed":
        return [node("ConvTranspose", f"{source} {name}", made, strides=[2, first], pads=[0, 1, 1, 0])], [
            weight(name, channels, 2, 3, 3)
        ]
    if kind == "norm":
        tables = [weight(f"{name}_{part}", channels) for part in range(2)]
        return [node("InstanceNormalization", f"{source} {name}_0 {name}_1", made)], tables
    if kind == "reshape":
        sizes = onnx.numpy_helper.from_array(np.asarray([0, -1, shape[3], shape[2]]), name)
        return [node("Reshape", f"{source} {name}", made)], [sizes]
    if kind == "mean":
        return [node("ReduceMean", source, f"m{index}", axes=[2]), node("Mul", f"{source} m{index}", made)], []
    if kind == "split":
        return [
            node("Concat", f"{source} {source}", f"c{index}", axis=1),
            node("Split", f"c{index}", f"{made} u{index}", axis=1),
        ], []
    if kind == "turn":
        return [node("Transpose", source, made, perm=[0, 1, 3, 2])], []
    values = {"slice": ([0, 1], [first, -1], [1, 3]), "pad": ([0, 0, first, 1, 0, 0, second, third],)}[kind]
    tables = [onnx.numpy_helper.from_array(np.asarray(item), f"{name}_{part}") for part, item in enumerate(values)]
    names = " ".join(item.name for item in tables)
    return [node(kind.capitalize(), f"{source} {names}", made)], tables


def run_by_onnxruntime(found: Any, shape: tuple[int, ...], names: list[str]) -> list[tuple[int, ...]] | None:
    """The shapes of what is really made; None where onnxruntime refuses the network."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    try:
        session = onnxruntime.InferenceSession(found.SerializeToString(), options, providers=["CPUExecutionProvider"])
        made = session.run(names, {"v0": np.zeros(shape, np.float32)})
    except Exception:  # it has a class for each of many reasons, and none that they share
        return None
    return [tuple(array.shape) for array in made]


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(STEPS), st.lists(st.integers(1, 3), min_size=3, max_size=3)), min_size=1, max_size=6
    ),
    st.integers(1, 2),
)
def test_shapes_are_those_that_onnxruntime_makes(steps: list[tuple[str, list[int]]], batch: int) -> None:
    """Of every value of drawn networks, with a batch that is free in the file."""
    shape: tuple[int, ...] = (batch, 3, 12, 9)
    nodes: list[Any] = []
    weights: list[Any] = []
    known = [shape]
    for index, (kind, numbers) in enumerate(steps):
        more, tables = step(kind, index, known[-1], numbers)
        names = [f"v{place}" for place in range(1, index + 2)]
        found = model(
            [*nodes, *more],
            [*weights, *tables],
            inputs={"v0": ("N", *shape[1:])},
            outputs=names,
            opset=17,
            ir_version=10,
        )
        made = run_by_onnxruntime(found, shape, names)
        if made is None or 0 in made[-1]:
            break
        nodes, weights, known = [*nodes, *more], [*weights, *tables], [shape, *made]
    if not nodes:
        return
    names = [f"v{place}" for place in range(1, len(known))]
    found = model(nodes, weights, inputs={"v0": ("N", *shape[1:])}, outputs=names, opset=17, ir_version=10)
    graph = read_onnx(found.SerializeToString(), batch=batch)
    shapes = graph.shapes()
    assert [shapes[output.value] for output in graph.outputs] == known[1:]
