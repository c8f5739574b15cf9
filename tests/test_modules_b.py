"""What the built modules of these kinds compute: what a hand-made expression of torch computes, to the bit."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch
from torch import Tensor, nn
from torch.nn import functional

from gnet_inspect.analysis.conventions import count_flops
from gnet_inspect.analysis.memory import EXACT, activation_peak
from gnet_inspect.analysis.receptive import receptive_fields
from gnet_inspect.analysis.training import training_memory
from gnet_inspect.graph import Graph, Value
from gnet_inspect.graph.maker import GraphMaker
from gnet_inspect.graph.nodes import Output
from gnet_inspect.language import parse_spec
from gnet_inspect.ops import TOOLS, Shapes
from gnet_inspect.runtime.module import build_module
from gnet_inspect.sources.spec import build_graph
from tests.peers import printed
from tests.single import graph_of_one, layer_of, op_of, values_for

_MAP, _ROWS = (2, 8, 6, 10), (2, 6, 8)

EXPRESSIONS: list[tuple[str, dict[str, Any], Shapes, Callable[..., Tensor]]] = [
    ("Flatten", {"start_dim": -3, "end_dim": 2}, (_MAP,), lambda x: x.flatten(1, 2)),
    ("Unflatten", {"dim": 1, "unflattened_size": [2, -1]}, (_MAP,), lambda x: x.view(2, 2, 4, 6, 10)),
    ("Reshape", {"shape": [0, 4, -1, 2]}, (_MAP,), lambda x: x.view(2, 4, 60, 2)),
    ("Permute", {"dims": [0, -1, 1, 2]}, (_MAP,), lambda x: x.movedim(3, 1)),
    ("Unsqueeze", {"dim": -2}, (_ROWS,), lambda x: x[:, :, None]),
    ("Slice", {"dim": -1, "start": 1, "stop": -2, "step": 3}, (_MAP,), lambda x: x[..., 1:-2:3]),
    ("Roll", {"shifts": [1, -2], "dims": [2, 3]}, (_MAP,), lambda x: x.roll(1, 2).roll(-2, 3)),
    (
        "ChannelShuffle",
        {"groups": 2},
        (_MAP,),
        lambda x: x.view(2, 2, 4, 6, 10).transpose(1, 2).reshape(x.shape),
    ),
    (
        "PixelShuffle",
        {"upscale_factor": 2},
        (_MAP,),
        lambda x: x.view(2, 2, 2, 2, 6, 10).permute(0, 1, 4, 2, 5, 3).reshape(2, 2, 12, 20),
    ),
    (
        "PixelUnshuffle",
        {"downscale_factor": 2},
        (_MAP,),
        lambda x: x.view(2, 8, 3, 2, 5, 2).permute(0, 1, 3, 5, 2, 4).reshape(2, 32, 3, 5),
    ),
    ("ZeroPad2d", {"padding": [1, -2, 0, 3]}, (_MAP,), lambda x: functional.pad(x, (1, -2, 0, 3))),
    ("Pad", {"multiple": 4, "value": 2}, (_MAP,), lambda x: functional.pad(x, (0, 2, 0, 2), value=2.0)),
    ("Pad", {"multiple": 4, "mode": "reflect"}, (_MAP,), lambda x: functional.pad(x, (0, 2, 0, 2), "reflect")),
    ("Pad", {"multiple": 2, "mode": "replicate"}, (_MAP,), lambda x: x),
    ("concat", {"dim": -1}, (_ROWS, (2, 6, 3)), lambda x, y: torch.cat([x, y], 2)),
    ("concat", {}, ((1, 1, 8), _ROWS), lambda x, y: torch.cat([x.expand(2, 1, 8), y], 1)),
    ("concat", {"dim": 0}, ((1, 6, 8), _ROWS), lambda x, y: torch.cat([x, y])),
    ("add", {}, (_MAP, (2, 8, 1, 1), (10,)), lambda x, y, z: x + y + z),
    ("add", {"scale": 0.25}, (_ROWS, (1, 1, 8), _ROWS), lambda x, y, z: x + y * 0.25 + z * 0.25),
    ("mul", {}, (_MAP, (2, 8, 1, 1), (10,)), lambda x, y, z: x * y * z),
    ("matmul", {}, ((2, 1, 6, 8), (4, 8, 5)), lambda x, y: x @ y),
    (
        "ScaledDotProductAttention",
        {"is_causal": True},
        (_ROWS, _ROWS, _ROWS),
        lambda q, k, v: functional.scaled_dot_product_attention(q, k, v, torch.ones(6, 6).tril().bool()),
    ),
    ("Softmax", {"dim": -2}, (_ROWS,), lambda x: torch.softmax(x, 1)),
    (
        "Upsample",
        {"like": "other", "mode": "bilinear"},
        (_MAP, (1, 2, 9, 11)),
        lambda x, y: functional.interpolate(x, y.shape[2:], mode="bilinear"),
    ),
]


@pytest.mark.parametrize(("kind", "arguments", "inputs", "expression"), EXPRESSIONS)
def test_a_layer_computes_the_expression(
    kind: str, arguments: dict[str, Any], inputs: Shapes, expression: Callable[..., Tensor]
) -> None:
    """In a network of which it is the only layer."""
    module = build_module(graph_of_one(op_of(kind, arguments), inputs)).eval()
    given = values_for(kind, inputs)
    assert torch.equal(module(*given), expression(*given))


def test_learned_tensors_begin_as_they_say() -> None:
    """Zeros, ones, or small normal numbers; trained."""
    for init in ("zeros", "ones", "normal"):
        held = layer_of(op_of("Parameter", {"shape": [50, 40], "init": init}), ())
        assert isinstance(held, nn.Parameter)
        assert held.requires_grad
        mean, deviation = {"zeros": (0, 0), "ones": (1, 0), "normal": (0, 0.02)}[init]
        assert held.mean().item() == pytest.approx(mean, abs=0.002)
        assert held.std().item() == pytest.approx(deviation, abs=0.002)


@pytest.mark.parametrize(
    ("arguments", "inputs"),
    [
        ({"num_heads": 4}, ((2, 6, 8),)),
        ({"num_heads": 2, "bias": False}, ((2, 6, 8),)),
        ({"num_heads": 2}, ((2, 6, 8), (2, 5, 8), (2, 5, 8))),
        ({"num_heads": 2}, ((2, 6, 8), (2, 5, 4), (2, 5, 12))),
    ],
)
@pytest.mark.parametrize("training", [False, True])
def test_attention_of_torch_gives_its_output_alone(arguments: dict[str, Any], inputs: Shapes, training: bool) -> None:
    """torch.nn.MultiheadAttention's own weights give its own bits."""
    ours = layer_of(op_of("MultiheadAttention", arguments), inputs)
    assert isinstance(ours, nn.Module)
    sizes = {"kdim": inputs[1][2], "vdim": inputs[2][2]} if len(inputs) == 3 else {}
    torchs = nn.MultiheadAttention(8, batch_first=True, **arguments, **sizes)
    torchs.load_state_dict(ours.state_dict())
    given = values_for("", inputs)
    three = given if len(given) == 3 else [given[0]] * 3
    with torch.no_grad():
        expected = torchs.train(training)(*three, need_weights=False)[0]
        assert torch.equal(ours.train(training)(*given), expected)


@pytest.mark.parametrize(
    ("window", "shift", "size"),
    [
        ([7, 7], [0, 0], (14, 14)),
        ([7, 7], [3, 3], (14, 14)),
        ([4, 4], [2, 2], (7, 10)),  # padded, and shifted in both
        ([4, 4], [0, 0], (5, 9)),
        ([4, 3], [2, 1], (4, 9)),  # the window covers the height
        ([3, 4], [1, 2], (7, 3)),  # it covers the width, where it pads
        ([7, 7], [3, 3], (5, 6)),  # it covers both
    ],
)
@pytest.mark.parametrize("biases", [True, False])
def test_window_attention_is_torchvisions(
    torchvision: ModuleType, window: list[int], shift: list[int], size: tuple[int, int], biases: bool
) -> None:
    """The same weights give the same bits on three images, and the same gradients."""
    from torchvision.models.swin_transformer import ShiftedWindowAttention

    theirs = ShiftedWindowAttention(16, list(window), list(shift), 4, qkv_bias=biases, proj_bias=biases)
    arguments = {"heads": 4, "window": window, "shift": shift, "qkv_bias": biases, "proj_bias": biases}
    shape = (3, *size, 16)
    ours = layer_of(op_of("ShiftedWindowAttention", arguments), (shape,))
    assert isinstance(ours, nn.Module)
    assert {name: item.dtype for name, item in ours.state_dict().items()} == {
        name: item.dtype for name, item in theirs.state_dict().items()
    }
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    x = values_for("", (shape,))[0]
    found = []
    for layer in (ours, theirs):
        made = layer(x)
        made.square().sum().backward()
        found.append([made, *(item.grad for item in layer.parameters())])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize(
    "arguments",
    [
        {"hidden_size": 5},
        {"hidden_size": 5, "num_layers": 2, "bidirectional": True},
        {"hidden_size": 3, "num_layers": 3, "bias": False},
    ],
)
def test_a_recurrent_layer_is_torchs_with_its_state_beside(kind: str, arguments: dict[str, Any]) -> None:
    """The outputs, then the last hidden state, and of LSTM the last cell state."""
    ours = layer_of(op_of(kind, arguments), ((2, 6, 8),))
    assert isinstance(ours, nn.Module)
    torchs = getattr(nn, kind)(8, batch_first=True, **arguments)
    torchs.load_state_dict(ours.state_dict())
    x = values_for("", ((2, 6, 8),))[0]
    output, state = torchs(x)
    expected = (output, *(state if isinstance(state, tuple) else (state,)))
    assert all(torch.equal(one, other) for one, other in zip(ours(x), expected, strict=True))


# --- networks of them ---


def graph_of_text(text: str, mode: str = "eval", batch: int | None = None) -> Graph:
    """The graph of a spec in text."""
    spec = parse_spec(text)
    shapes = None if batch is None else [(batch, *given.shape) for given in spec.inputs]
    return build_graph(spec, shapes, mode=mode)


SCORES = """
name: scores
input: [50, 64]
stages:
  all:
    k: {Linear: {out_features: 64, bias: false}}
    turned: {Permute: {dims: [0, 2, 1]}}
    q: {Linear: {out_features: 64, bias: false}, from: input}
    scores: {matmul: [q, turned]}
    weights: {Softmax: {dim: -1}}
"""


def test_every_tool_counts_scores_as_it_prints() -> None:
    """softmax(q(x) @ k(x).transpose(1, 2)): two linear layers of 204,800 MACs, and a product of 160,000."""
    graph = graph_of_text(SCORES)
    counts = count_flops(graph).totals
    assert counts.macs == 569_600
    # The softmax has its own terms in ptflops and thop.
    softmax = count_flops(graph).kinds[-1]
    assert softmax.kind in ("Softmax", "Permute")
    kinds = {row.kind: row for row in count_flops(graph).kinds}
    assert (counts.torch, kinds["matmul"].fvcore, kinds["matmul"].ptflops_aten) == (1_139_200, 160_000, 160_000)
    assert (kinds["matmul"].torchinfo, kinds["matmul"].thop) == (0, 0)
    module = build_module(graph)
    x = torch.randn(1, 50, 64)
    q, k = (module.get_submodule(name) for name in "qk")
    assert torch.equal(module(x), torch.softmax(q(x) @ k(x).transpose(1, 2), -1))
    for tool in TOOLS:
        said = getattr(counts, tool)
        if said is not None:
            assert said == printed(tool, lambda device: build_module(graph).to(device).eval(), (1, 50, 64)), tool


class Functions(nn.Module):
    """The same as SCORES says, functions among modules."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k = nn.Linear(64, 64, bias=False), nn.Linear(64, 64, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(self.q(x) @ self.k(x).transpose(1, 2), -1)


def scores_of_functions() -> Graph:
    """The graph of `Functions`, made by hand."""
    maker = GraphMaker([Value("input", (1, 50, 64))])
    for name in "qk":
        maker.call(name, op_of("Linear", {"out_features": 64, "bias": False}), ("input",))
    maker.call("transpose", op_of("Permute", {"dims": [0, 2, 1]}), ("k",), module="")
    maker.call("matmul", op_of("matmul", {}), ("q", "transpose"), module="")
    maker.call("softmax", op_of("Softmax", {"dim": -1}), ("matmul",), module="")
    return maker.graph(model="f", title="f", mode="eval", outputs=[Output("softmax", "softmax")], parts=())


def test_tools_with_hooks_see_no_functions() -> None:
    """Two linear layers of 204,800 MACs each and a product of 160,000, as every tool prints them."""
    counts = count_flops(scores_of_functions()).totals
    assert counts.macs == 569_600
    said = {tool: getattr(counts, tool) for tool in TOOLS}
    assert said == {
        "torch": 1_139_200,
        "fvcore": 569_600,
        "torchinfo": 8_192,
        "ptflops_pytorch": 409_600,
        "ptflops_aten": 569_600,
        "thop": 409_600,
    }
    for tool in TOOLS:
        assert said[tool] == printed(tool, lambda device: Functions().to(device).eval(), (1, 50, 64)), tool


def test_the_operator_of_a_product_is_known_to_ptflops_by_one_of_its_names() -> None:
    """torch.matmul, as the built module calls it, is counted for all images, however the batch is handed over."""
    from tests.peers import built, ready, run_ptflops

    graph = graph_of_text(SCORES, batch=2)
    counts = count_flops(graph)
    with ready("ptflops"):
        x = torch.zeros(2, 50, 64)
        averaged = run_ptflops(built(graph)("cpu"), [x], "pytorch", lambda _: x)
    if counts.totals.ptflops_pytorch is not None:
        assert any(f"{averaged:,}" in note for note in counts.notes)


# --- memory of networks ---

TOKENS = """
name: tokens
input: {shape: [6], dtype: int64}
stages:
  all:
    part: {Slice: {dim: 1, stop: 4}}
    more: {concat: [{}, part]}
    embed: {Embedding: {num_embeddings: 9, embedding_dim: 4}}
    table: {Parameter: {shape: [1, 8, 4], init: normal}}
    place: {add: [embed, table]}
    gate: {mul: [place, table]}
    last: {Linear: {out_features: 3}}
"""


def test_indices_take_eight_bytes_and_learned_tensors_none() -> None:
    """Of any dtype: what an embedding keeps are indices, and what is handed out is a weight."""
    text = TOKENS.replace("input: {shape: [6], dtype: int64}", "inputs: {tokens: {shape: [6], dtype: int64}}")
    for dtype, width in (("fp32", 4), ("fp16", 2)):
        memory = training_memory(graph_of_text(text, "train", 2), "sgd", dtype)
        assert {item.name: item.bytes for item in memory.saved} == {
            "embed": 8 * 2 * 8,
            "gate": width * 2 * 8 * 4,  # and the table, which is a weight
            "last": width * 2 * 8 * 4,
        }
    graph = graph_of_text(text, batch=2)
    # While the linear layer runs: what it reads and what it makes.
    assert activation_peak(graph, 4) == (4 * 2 * 8 * 4 * 2, "place", EXACT)


def test_a_factor_is_kept_where_the_other_has_a_gradient() -> None:
    """An image times a gate that is learned of it: the image is kept, and the gate is not."""
    conv = "{Conv2d: {out_channels: 1, kernel_size: 1}}"
    text = f"name: gated\ninput: [1, 4, 4]\nstages: {{all: {{gate: {conv}, out: {{mul: [input, {{}}]}}}}}}"
    graph = graph_of_text(text, "train", 2)
    # The convolution has kept the image before.
    assert {item.name: item.bytes for item in training_memory(graph, "sgd").saved} == {"gate": 4 * 2 * 16}


def test_reshaping_what_was_permuted_makes_the_peak_a_bound() -> None:
    """A copy may be made; behind a slice of which something is computed nothing is."""
    permuted = "turn: {Permute: {dims: [0, 2, 1]}}, act: ReLU, flat: Flatten"
    sliced = "part: {Slice: {dim: 1, stop: 2}}, act: ReLU, flat: Flatten"
    gapped = "part: {Slice: {dim: 2, stop: 2}}, flat: Flatten"
    found = []
    for layers in (permuted, sliced, gapped):
        text = f"name: one\ninput: [4, 6]\nstages: {{all: {{first: {{Linear: {{out_features: 5}}}}, {layers}}}}}"
        found.append(activation_peak(graph_of_text(text), 4).status)
    assert found == ["bound", "exact", "bound"]


def test_fields_through_products_and_state() -> None:
    """A position's scores are its own, its weights are of all; of a state nobody knows where its positions lie."""
    text = """
name: places
input: [4, 6, 6]
stages:
  all:
    conv: {Conv2d: {out_channels: 8, kernel_size: 3, padding: 1}}
    rows: {Reshape: {shape: [0, 8, 36]}}
    tokens: {Permute: {dims: [0, 2, 1]}}
    scores: {matmul: [tokens, rows]}
    weights: {Softmax: {dim: -1}}
"""
    fields = receptive_fields(graph_of_text(text))
    assert fields["scores"] is None
    field = fields["weights"]
    assert field is not None
    assert field.status == "all"
    text = "name: t\ninput: [6, 4]\nstages: {all: {lstm: {LSTM: {hidden_size: 3}}, state: {Flatten: {}, from: lstm:1}}}"
    assert receptive_fields(graph_of_text(text))["state"] is None
