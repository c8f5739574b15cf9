"""The facts of the layers that multiply, pool, normalise and activate, each held to torch, over the examples of every
rank and padding."""

from functools import partial
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch
from torch import Tensor

from gnet_inspect.analysis.conventions import counted_by
from gnet_inspect.graph import Graph
from gnet_inspect.ops import TOOLS, AxisWindow, Shapes
from tests.by_hand import BY_HAND
from tests.facts import (
    built,
    graph_of_calls,
    kept,
    made_inside,
    make,
    operations,
    quiet,
    reached,
    seen_by_rule,
    shares,
    values,
)
from tests.kinds_a import KINDS_A
from tests.peers import built as built_from
from tests.peers import printed_by_all, ready, run_ptflops

EXAMPLES = [(kind, *example) for kind, examples in KINDS_A.items() for example in examples]
DTYPES = (torch.float32, torch.bfloat16)
each = pytest.mark.parametrize(
    ("kind", "arguments", "inputs"), EXAMPLES, ids=[f"{kind}-{index}" for index, (kind, *_) in enumerate(EXAMPLES)]
)


@each
def test_shapes_weights_and_operations_are_those_of_torch(kind: str, arguments: dict[str, Any], inputs: Shapes) -> None:
    """The output's shape; names, shapes and order of the state dict, and what of it is trained; FlopCounterMode."""
    op = make(kind, arguments)
    layer = built(op, inputs)
    with quiet(), torch.no_grad():
        made = layer(*values(inputs))
    assert op.outputs(inputs) == (tuple(made.shape),)
    trained = {name for name, _ in layer.named_parameters()}
    held = [(name, tuple(tensor.shape), name in trained) for name, tensor in layer.state_dict().items()]
    assert [(weight.name, weight.shape, weight.trained) for weight in op.weights(inputs)] == held
    macs = op.macs(inputs, op.outputs(inputs))
    assert macs is not None
    assert 2 * macs == operations(op, inputs)


def _axes_of_groups(kind: str, arguments: dict[str, Any]) -> set[int]:
    """The channels of layers that have groups: an output sees no more than those of its own, and a sight is said of all
    outputs alike."""
    return {1} if arguments.get("groups", 1) > 1 or arguments.get("num_groups", 1) > 1 else set()


@each
def test_a_sight_is_what_changes_the_outputs(kind: str, arguments: dict[str, Any], inputs: Shapes) -> None:
    """No output sees more than its sight says, and along each axis the first and the last that it says are seen."""
    op = make(kind, arguments)
    truth, rule = reached(op, inputs), seen_by_rule(op, inputs)
    sight = op.sight(inputs)
    assert sight is not None
    rank = len(inputs[0])
    for axis, look in enumerate(sight):
        others = [place for place in range(2 * rank) if place not in (axis, rank + axis)]
        along = truth.amax(others)
        said = rule[axis][: along.shape[0]]
        assert not (along & ~said).any()
        if axis not in _axes_of_groups(kind, arguments) and (look.window is None or look.window.exact):
            inside = _uncut(look.window, arguments, *said.shape)
            assert _spans(along[:, inside]) == _spans(said[:, inside])
    bound = torch.ones(1, dtype=torch.bool)
    for axis in range(rank):
        shape = [1] * (2 * rank)
        said = rule[axis][: truth.shape[axis]]
        shape[axis], shape[rank + axis] = said.shape
        bound = bound & said.reshape(shape)
    assert not (truth & ~bound).any()


def _uncut(window: AxisWindow | None, arguments: dict[str, Any], read: int, made: int) -> list[int]:
    """The outputs that no border cuts off, where a dilated kernel's taps may lie on both sides of the border; else
    all."""
    if window is None or arguments.get("dilation", 1) in (1, [1, 1], [1, 1, 1]):
        return list(range(made))
    starts = [window.start + output * window.step for output in range(made)]
    found = [
        output for output, start in enumerate(starts) if 0 <= start <= (read - 1) * window.parts - window.reach + 1
    ]
    assert found or read == 1
    return found


def _spans(seen: Tensor) -> list[tuple[int, int] | None]:
    """By output: the first and the last input."""
    found: list[tuple[int, int] | None] = []
    for column in seen.T:
        places = torch.nonzero(column).flatten().tolist()
        found.append((places[0], places[-1]) if places else None)
    return found


@each
def test_memory_is_what_torch_shares_keeps_and_makes(kind: str, arguments: dict[str, Any], inputs: Shapes) -> None:
    """Aliases, what autograd packs, and what stands inside a layer beside its output, to the byte, in two dtypes."""
    op = make(kind, arguments)
    outputs = op.outputs(inputs)
    for training in (False, True):
        assert op.aliases(training) == shares(op, inputs, training=training)
    if kind == "RMSNorm":
        # torch composes it of operators in float32, whatever the dtype: what they make is no number of elements.
        assert op.saved(inputs, outputs, False) is None
        assert op.temporaries(inputs, outputs, True) is None
        return
    for dtype in DTYPES:
        if dtype is torch.bfloat16 and kind == "AvgPool3d":
            continue  # torch has no kernel for it
        width = dtype.itemsize
        for in_place in (False, True) if op.overwrites() else (False,):
            saved = op.saved(inputs, outputs, in_place)
            assert saved is not None
            same = in_place or op.aliases(True) is not None
            either = saved.input or saved.output
            one, other = (either, either) if same else (saved.input, saved.output)
            said = one, other, saved.elements * width + saved.bytes
            assert said == kept(op, inputs, in_place=in_place, dtype=dtype)
        for training in (False, True):
            made = op.temporaries(inputs, outputs, training)
            saved = op.saved(inputs, outputs, False)
            assert made is not None
            assert saved is not None
            inside = made.elements * width + made.bytes
            if training:
                inside = max(inside, saved.elements * width + saved.bytes)
            assert inside == made_inside(op, inputs, training=training, dtype=dtype)


def _given(x: Tensor, _: object) -> Tensor:
    return x


def _counted(graph: Graph) -> dict[str, int]:
    return {tool: counted_by(tool, graph, graph.nodes) for tool in TOOLS}


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("kind", KINDS_A)
def test_every_tool_prints_what_is_counted(kind: str, mode: str) -> None:
    """All six tools run for real on a network of the one layer; nothing of these kinds is unknown of any of them."""
    for arguments, inputs in KINDS_A[kind]:
        op = make(kind, arguments)
        if mode == "train" and op.refuses_training(inputs):
            continue
        graph = graph_of_calls(op, inputs, mode=mode)
        assert set(graph.nodes[0].op.differences(graph.nodes[0])) == set(TOOLS)
        assert printed_by_all(graph) == _counted(graph), arguments


@pytest.mark.parametrize(
    ("kind", "arguments", "shape"),
    [
        ("Conv1d", {"out_channels": 4, "kernel_size": 3, "padding": 1}, (2, 4, 11)),
        ("Conv2d", {"out_channels": 4, "kernel_size": 3, "padding": "same_tf"}, (2, 4, 5, 6)),
        ("ConvTranspose1d", {"out_channels": 4, "kernel_size": 1}, (2, 4, 11)),
        ("Linear", {"out_features": 8}, (2, 5, 8)),
        ("BatchNorm1d", {}, (2, 4, 11)),
        ("InstanceNorm2d", {"affine": True}, (2, 4, 5, 6)),
        ("GroupNorm", {"num_groups": 2}, (2, 4, 11)),
        ("LayerNorm", {}, (2, 5, 8)),
        ("RMSNorm", {}, (2, 5, 8)),
        ("PReLU", {"num_parameters": 4}, (2, 4, 11)),
    ],
)
def test_tools_count_a_layer_that_is_called_twice_each_time(
    kind: str, arguments: dict[str, Any], shape: tuple[int, ...]
) -> None:
    """Its weights are counted once, what is done with them each time."""
    graph = graph_of_calls(make(kind, arguments), (shape,), calls=2)
    assert (graph.nodes[0].params > 0, graph.nodes[1].params) == (True, 0)
    assert printed_by_all(graph) == _counted(graph)


@pytest.mark.parametrize("kind", KINDS_A)
def test_what_ptflops_counts_by_functions_is_not_divided_by_the_batch(kind: str) -> None:
    """Given a batch as a tensor, ptflops divides what its hooks count by it, and what its patches count not."""
    for arguments, inputs in KINDS_A[kind]:
        graph = graph_of_calls(make(kind, arguments), inputs)
        node = graph.nodes[0]
        terms = node.op.differences(node)["ptflops_pytorch"]
        patched = sum(term.amount for term in terms if term.patched)
        hooked = (node.macs or 0) + sum(term.amount for term in terms if not term.patched)
        given = torch.zeros(inputs[0])
        with ready("ptflops"):
            found = run_ptflops(built_from(graph)("cpu"), [given], "pytorch", partial(_given, given))
        assert found == hooked // graph.batch + patched, arguments


@each
def test_a_built_layer_computes_what_its_definition_says(kind: str, arguments: dict[str, Any], inputs: Shapes) -> None:
    """In double precision, next to sums and quotients written by hand; elements spread over all parts of a curve."""
    op = make(kind, arguments)
    layer = built(op, inputs, dtype=torch.float64)
    (x,) = (3 * value for value in values(inputs, torch.float64))
    with quiet(), torch.no_grad():
        expected = BY_HAND[kind](op, dict(layer.state_dict()), x)
        torch.testing.assert_close(layer(x.clone()), expected, rtol=1e-9, atol=1e-9)
