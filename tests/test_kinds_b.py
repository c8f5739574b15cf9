"""The facts of what moves elements, meets, attends and repeats: against torch, and against the tools that count.

Every example of tests/kinds_b.py is one layer by itself, on random values.
"""

import warnings
from itertools import product
from math import prod
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from gnet_inspect.analysis.conventions import count_flops
from gnet_inspect.errors import ShapeError
from gnet_inspect.graph import Graph, Value
from gnet_inspect.graph.maker import GraphMaker
from gnet_inspect.graph.nodes import Output
from gnet_inspect.ops import TOOLS, Op, Shape, Shapes, Sight
from gnet_inspect.runtime.module import build_module
from tests.kinds_b import KINDS_B
from tests.peers import RUNNERS, built, ready
from tests.single import graph_of_one, holds_indices, layer_of, op_of, outputs_of, values_for
from tests.watching import StorageWatch

EXAMPLES = [
    pytest.param(op_of(kind, arguments), inputs, id=f"{kind}-{number}")
    for kind, examples in KINDS_B.items()
    for number, (arguments, inputs) in enumerate(examples)
]
each_example = pytest.mark.parametrize(("op", "inputs"), EXAMPLES)


def _where(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _run(op: Op, inputs: Shapes, training: bool = False) -> tuple[nn.Module, list[Tensor], tuple[Tensor, ...]]:
    layer = layer_of(op, inputs)
    assert isinstance(layer, nn.Module)
    given = values_for(op.kind, inputs)
    with torch.no_grad():
        return layer, given, outputs_of(layer.train(training), given)


# --- shapes, weights, MACs ---


@each_example
def test_outputs_have_the_shapes_that_torch_gives(op: Op, inputs: Shapes) -> None:
    """All outputs, in their order."""
    layer = layer_of(op, inputs)
    made = outputs_of(layer.eval() if isinstance(layer, nn.Module) else layer, values_for(op.kind, inputs))
    assert op.outputs(inputs) == tuple(tuple(item.shape) for item in made)


@each_example
def test_weights_are_those_of_the_state_dict(op: Op, inputs: Shapes) -> None:
    """Names, shapes and their order, in a network."""
    state = build_module(graph_of_one(op, inputs)).state_dict()
    kept = [weight for weight in op.weights(inputs) if weight.persistent]
    names = [f"layer.{weight.name}".rstrip(".") for weight in kept]
    assert names == list(state)
    assert [weight.shape for weight in kept] == [tuple(item.shape) for item in state.values()]
    assert [weight.is_integer for weight in kept] == [item.dtype == torch.int64 for item in state.values()]
    trained = {name for name, _ in build_module(graph_of_one(op, inputs)).named_parameters()}
    assert {name for name, weight in zip(names, kept, strict=True) if weight.trained} == trained


@each_example
def test_macs_are_half_of_what_torch_counts(op: Op, inputs: Shapes) -> None:
    """FlopCounterMode's on the device meta, where no kernel hides them."""
    layer = layer_of(op, inputs)
    if isinstance(layer, nn.Module):
        layer.to("meta").eval()
    given = [item.to("meta") for item in values_for(op.kind, inputs)]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        outputs_of(layer, given)
    assert 2 * (op.macs(inputs, op.outputs(inputs)) or 0) == counter.get_total_flops()


REFUSED: list[tuple[str, dict[str, object], Shapes]] = [
    ("Flatten", {"start_dim": 4}, ((2, 8, 6, 10),)),
    ("Flatten", {"start_dim": 2, "end_dim": 1}, ((2, 8, 6, 10),)),
    ("Unflatten", {"dim": 1, "unflattened_size": [3, 2]}, ((2, 8),)),
    ("Unflatten", {"dim": 1, "unflattened_size": [3, -1]}, ((2, 8),)),
    ("Unflatten", {"dim": 2, "unflattened_size": [8]}, ((2, 8),)),
    ("Reshape", {"shape": [0, 7]}, ((2, 8),)),
    ("Reshape", {"shape": [-1, -1]}, ((2, 8),)),
    ("Reshape", {"shape": [3, -1]}, ((2, 8),)),
    ("Reshape", {"shape": [2, 8, 0]}, ((2, 8),)),
    ("Permute", {"dims": [0, 1]}, ((2, 8, 6),)),
    ("Permute", {"dims": [0, 1, 1]}, ((2, 8, 6),)),
    ("Permute", {"dims": [0, 1, 3]}, ((2, 8, 6),)),
    ("Unsqueeze", {"dim": 3}, ((2, 8),)),
    ("Unsqueeze", {"dim": -4}, ((2, 8),)),
    ("Slice", {"dim": 2}, ((2, 8),)),
    ("Roll", {"shifts": [1, 2], "dims": [1]}, ((2, 8),)),
    ("Roll", {"shifts": 1, "dims": 2}, ((2, 8),)),
    ("ChannelShuffle", {"groups": 3}, ((2, 8, 4, 4),)),
    ("ChannelShuffle", {"groups": 2}, ((2, 8),)),
    ("PixelShuffle", {"upscale_factor": 3}, ((2, 8, 4, 4),)),
    ("PixelUnshuffle", {"downscale_factor": 3}, ((2, 8, 6, 4),)),
    ("ZeroPad2d", {"padding": [-3, -4, 0, 0]}, ((2, 8, 6, 6),)),
    ("Pad", {"multiple": 13, "mode": "reflect"}, ((2, 8, 6, 6),)),
    ("concat", {}, ((2, 8, 6, 6), (2, 8, 6, 5))),
    ("concat", {"dim": 4}, ((2, 8, 6, 6), (2, 8, 6, 6))),
    ("concat", {}, ((2, 8), (2, 8, 1))),
    ("concat", {"dim": 0}, ((2, 8), (2, 7))),
    ("concat", {}, ((2, 8), (3, 8))),
    ("add", {}, ((2, 8), (2, 7))),
    ("mul", {}, ((2, 8, 6), (2, 6))),
    ("matmul", {}, ((2, 8), (7, 2))),
    ("matmul", {}, ((3, 2, 8), (2, 8, 5))),
    ("ScaledDotProductAttention", {}, ((2, 6, 8), (2, 6, 7), (2, 6, 8))),
    ("ScaledDotProductAttention", {}, ((2, 6, 8), (2, 5, 8), (2, 6, 8))),
    ("MultiheadAttention", {"num_heads": 3}, ((2, 6, 8),)),
    ("MultiheadAttention", {"num_heads": 2}, ((2, 6, 8), (2, 5, 8), (2, 4, 8))),
    ("MultiheadAttention", {"num_heads": 2}, ((2, 6, 8), (3, 5, 8), (3, 5, 8))),
    ("ShiftedWindowAttention", {"heads": 3, "window": 4}, ((2, 8, 8, 8),)),
    ("ShiftedWindowAttention", {"heads": 2, "window": 4}, ((2, 8, 8),)),
    ("Softmax", {"dim": 2}, ((2, 8),)),
    ("Upsample", {"like": "other", "mode": "bilinear"}, ((2, 8, 6, 6), (2, 8, 6))),
]


@pytest.mark.parametrize(("kind", "arguments", "inputs"), REFUSED)
def test_what_torch_refuses_is_refused(kind: str, arguments: dict[str, object], inputs: Shapes) -> None:
    """By the op with numbers, and by torch when it runs."""
    op = op_of(kind, arguments)
    with pytest.raises(ShapeError):
        op.outputs(inputs)
    with pytest.raises((RuntimeError, IndexError, ValueError, AssertionError)):
        outputs_of(layer_of(op, inputs), values_for(kind, inputs))


# --- memory ---


@each_example
@pytest.mark.parametrize("training", [False, True])
def test_memory_is_shared_where_it_is_said(op: Op, inputs: Shapes, training: bool) -> None:
    """The first output lies in the memory of the input that is named, and only there."""
    if op.hands_out_weight:
        return
    _, given, made = _run(op, inputs, training)
    shared = [index for index, item in enumerate(given) if _where(item) == _where(made[0])]
    claimed = op.aliases(training)
    assert shared == ([] if claimed is None else [claimed])
    if not (op.reorders or op.leaves_gaps):
        assert all(item.is_contiguous() for item in made)


def test_reshaping_may_copy_what_lies_in_another_order() -> None:
    """torch copies the permuted input of both; of one in order neither does."""
    x = torch.randn(2, 3, 4)
    for op in (op_of("Flatten", {}), op_of("Reshape", {"shape": [0, -1]})):
        assert op.may_copy
        for given, copies in ((x, False), (x.transpose(1, 2), True)):
            made = outputs_of(layer_of(op, (tuple(given.shape),)), [given])[0]
            assert (_where(made) != _where(given)) == copies
    assert not op_of("Unflatten", {"dim": 1, "unflattened_size": [2, 2]}).may_copy


@each_example
@pytest.mark.parametrize("training", [False, True])
def test_temporaries_are_those_that_torch_makes(op: Op, inputs: Shapes, training: bool) -> None:
    """To the byte, where they are known."""
    if op.hands_out_weight:
        return
    said = op.temporaries(inputs, op.outputs(inputs), training)
    if said is None:
        assert op.kind in {"matmul", "ScaledDotProductAttention", "MultiheadAttention", "LSTM", "GRU"} | {
            "ShiftedWindowAttention"
        }
        return
    layer = layer_of(op, inputs)
    assert isinstance(layer, nn.Module)
    given = values_for(op.kind, inputs)
    watch = StorageWatch([*given, *layer.parameters(), *layer.buffers()])
    with torch.no_grad(), watch:
        made = outputs_of(layer.train(training), given)
    own = {_where(item): item.untyped_storage().nbytes() for item in made}
    held = sum(size for place, size in own.items() if place not in map(_where, given))
    assert watch.peak - held == said.elements * 4 + said.bytes


@each_example
def test_autograd_packs_what_is_said_to_be_saved(op: Op, inputs: Shapes) -> None:
    """Each storage once, with a gradient to every input; weights apart."""
    said = op.saved(inputs, op.outputs(inputs), False)
    if said is None or not inputs:
        unknown = {"ScaledDotProductAttention", "MultiheadAttention", "LSTM", "GRU", "ShiftedWindowAttention"}
        assert said is not None or op.kind in unknown | {"matmul", "mul"}
        return
    layer = layer_of(op, inputs)
    assert isinstance(layer, nn.Module)
    given = values_for(op.kind, inputs, gradients=True)
    packed: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        packed.setdefault(_where(tensor), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        made = outputs_of(layer.train(), given)
    for item in (*layer.parameters(), *layer.buffers()):
        packed.pop(_where(item), None)
    expected = {_where(given[0])} if said.input else set()
    expected |= {_where(made[0])} if said.output else set()
    expected |= set(map(_where, given)) if said.factors else set()
    assert set(packed) == expected
    assert said.elements == said.bytes == 0


# --- sight ---


def _depends(op: Op, inputs: Shapes) -> list[Tensor]:
    """By input: which elements of the output (rows) depend on which of its own (columns)."""
    layer = layer_of(op, inputs)
    assert isinstance(layer, nn.Module)
    given = [item.double() for item in values_for(op.kind, inputs)]
    layer.double().eval()
    found = []
    for index, item in enumerate(given):

        def first(x: Tensor, index: int = index) -> Tensor:
            return outputs_of(layer, [*given[:index], x, *given[index + 1 :]])[0]

        find: Any = torch.autograd.functional.jacobian
        jacobian: Tensor = find(first, item)
        found.append(jacobian.reshape(-1, item.numel()) != 0)
    return found


def _claimed(sight: Sight, made: Shape, given: Shape) -> Tensor:
    """The same as a sight says: what lies within the windows of all its looks."""
    assert sight is not None
    allowed = torch.ones(prod(made), prod(given), dtype=torch.bool)
    shift = max(len(sight) - len(given), 0) if all(look.of == (axis,) for axis, look in enumerate(sight)) else 0
    outputs = torch.cartesian_prod(*(torch.arange(size) for size in made)).reshape(-1, len(made))
    inputs = torch.cartesian_prod(*(torch.arange(size) for size in given)).reshape(-1, len(given))
    for axis, look in enumerate(sight):
        of = [place - shift for place in look.of]
        if look.window is None or any(place < 0 for place in of) or not of:
            continue
        size = prod(given[place] for place in of)
        position = torch.zeros(len(inputs), dtype=torch.long)
        for place in of:
            position = position * given[place] + inputs[:, place]
        reach, step, parts, start, _ = look.window
        if size == 1 < made[axis] and step:
            continue
        edge = start + outputs[:, axis] * step
        first, last = -((-edge) // parts), (edge + reach - 1) // parts
        allowed &= (position >= first[:, None]) & (position <= last[:, None])
    return allowed


def _is_exact(sight: Sight) -> bool:
    return sight is not None and all(look.window is None or look.window.exact for look in sight)


@each_example
def test_outputs_see_what_is_said(op: Op, inputs: Shapes) -> None:
    """By torch's gradients: nothing beyond it, and all of it where the sight is exact."""
    if not inputs or holds_indices(op.kind):
        assert op.sight(inputs) is not None
        return
    sights, made = op.sights(inputs), op.output_shape(inputs)
    if op.kind == "ShiftedWindowAttention" or (op.kind == "Pad" and None in sights):
        assert sights == (None,)
        return
    if op.kind in ("LSTM", "GRU", "Upsample"):
        # Recurrent layers are looked at below, Upsample by the tests of receptive fields.
        return
    # The first position of a causal attention has one weight, which is 1 whatever its query and its key are.
    exact = [2] if getattr(op, "is_causal", False) else range(len(inputs))
    for index, (sight, seen, given) in enumerate(zip(sights, _depends(op, inputs), inputs, strict=True)):
        allowed = _claimed(sight, made, given)
        assert not (seen & ~allowed).any()
        if index in exact and _is_exact(sight):
            assert (seen == allowed).all()


def test_a_recurrent_layer_sees_what_came_before() -> None:
    """One direction: each step itself and those before it; two: all."""
    for kind, both in product(("LSTM", "GRU"), (False, True)):
        op = op_of(kind, {"hidden_size": 3, "bidirectional": both})
        inputs = ((1, 5, 4),)
        seen = _depends(op, inputs)[0].reshape(5, -1, 5, 4).any(3).any(1)
        allowed = _claimed(op.sight(inputs), op.output_shape(inputs), inputs[0]).reshape(5, -1, 5, 4).any(3).any(1)
        assert torch.equal(seen, allowed)
        assert torch.equal(seen, torch.ones(5, 5, dtype=torch.bool) if both else torch.ones(5, 5).tril().bool())


# --- tools ---


def _given(graph: Graph, device: str) -> list[Tensor]:
    kinds = {"int64": torch.int64}
    return [torch.zeros(value.shape, dtype=kinds.get(value.dtype), device=device) for value in graph.inputs]


def _printed(tool: str, graph: Graph) -> int:
    package, run, device = RUNNERS[tool]
    with ready(package):
        return run(built(graph)(device), *_given(graph, device))


# Where a tool's number depends on what an op does not know: whether three inputs are one tensor.
UNKNOWN = {("MultiheadAttention", "fvcore")}


@pytest.mark.parametrize("tool", TOOLS)
@each_example
def test_a_tool_prints_what_its_column_says(op: Op, inputs: Shapes, tool: str) -> None:
    """Every kind by itself, where the column knows it."""
    graph = graph_of_one(op, inputs)
    said = getattr(count_flops(graph).totals, tool)
    if said is None:
        assert (op.kind, tool) in UNKNOWN
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert _printed(tool, graph) == said


@pytest.mark.parametrize(
    ("kind", "arguments", "shape", "order"),
    [
        ("MultiheadAttention", {"num_heads": 2}, (2, 6, 8), (1, 0, 2)),
        ("MultiheadAttention", {"num_heads": 2, "bias": False}, (2, 6, 8), (1, 0, 2)),
        ("ShiftedWindowAttention", {"heads": 2, "window": 4}, (2, 8, 8, 8), (0, 3, 1, 2)),
        ("ShiftedWindowAttention", {"heads": 2, "window": 8}, (1, 8, 8, 8), (0, 3, 1, 2)),
        ("ShiftedWindowAttention", {"heads": 2, "window": [1, 4]}, (1, 8, 8, 8), (0, 3, 1, 2)),
        ("LSTM", {"hidden_size": 5}, (2, 6, 8), (1, 0, 2)),
        ("GRU", {"hidden_size": 5, "bidirectional": True}, (2, 6, 8), (0, 2, 1)),
        ("Linear", {"out_features": 5}, (2, 6, 8), (0, 2, 1)),
        ("Linear", {"out_features": 5, "bias": False}, (2, 6, 8), (0, 2, 1)),
    ],
)
def test_no_column_goes_by_how_an_input_lies_in_memory(
    kind: str, arguments: dict[str, object], shape: Shape, order: tuple[int, ...]
) -> None:
    """Behind a permutation a column is what the tool prints, or not known: of some ptflops sees other operators."""
    op = op_of(kind, arguments)
    maker = GraphMaker([Value("input", tuple(shape[order.index(axis)] for axis in range(len(shape))))])
    maker.call("turn", op_of("Permute", {"dims": list(order)}), ("input",))
    assert maker.shapes["turn"] == shape
    maker.call("layer", op, ("turn",))
    graph = maker.graph(model="t", title="t", mode="eval", outputs=[Output("layer", "layer")], parts=())
    said = count_flops(graph).totals.ptflops_aten
    assert (said is None) == bool(op.tools_by_order(graph.nodes[1]))
    if said is not None:
        assert _printed("ptflops_aten", graph) == said
