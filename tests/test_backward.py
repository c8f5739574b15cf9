"""What the backward pass multiplies, against torch's FlopCounterMode run over it, layer by layer and in networks.

torch counts wrong in one place: the gradient of a convolution's weight by as much as there are groups too much, as if
each output channel read all input channels. Here its formula is mended, and the mended one compared with the groups
as convolutions of their own. On a CPU it sees neither a fused LSTM nor a fused attention, on the device meta it does.
"""

import json
from collections.abc import Callable, Iterator
from itertools import product
from typing import Annotated, Any, ClassVar

import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch
from msgspec.structs import replace
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, conv_backward_flop

from gnet_inspect.analysis.conventions import count_flops
from gnet_inspect.analysis.gradients import backward_pass
from gnet_inspect.analysis.summary import summarize
from gnet_inspect.errors import GnetError
from gnet_inspect.graph import Graph
from gnet_inspect.graph.freezing import freeze
from gnet_inspect.language import load_spec, parse_spec
from gnet_inspect.ops import Op, Opaque, Shape, Shapes, Weight
from gnet_inspect.ops.arguments import Integer
from gnet_inspect.runtime.module import build_module
from gnet_inspect.runtime.verify import prepared
from gnet_inspect.sources.spec import build_graph
from gnet_inspect.views.grid import draw_text
from gnet_inspect.views.tables.flops import flops_grid
from gnet_inspect.views.tables.summary import Selection, summary_grid
from tests.conftest import Run
from tests.facts import quiet
from tests.kinds import KINDS
from tests.single import layer_of, op_of, outputs_of, values_for
from tests.specs import graph_of
from tests.watching import zeros

DRAWN = 40


def mended(*shapes: Any, out_shape: Any = None, **others: Any) -> int:
    """torch's formula of a convolution's backward pass, with the groups."""
    *before, groups, mask = shapes
    of_input, of_weight = [mask[0], False, False], [False, mask[1], False]
    torchs: Any = conv_backward_flop
    first, second = (torchs(*before, groups, part, out_val=out_shape) for part in (of_input, of_weight))
    return int(first + second // groups)


def multiplied(run: Callable[[], Any], formula: Callable[..., int] | None = mended) -> int:
    """The MACs of the backward pass from all that a function returns."""
    mapping = {torch.ops.aten.convolution_backward: formula} if formula else None
    with quiet(), FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        made = [item for item in tensors_of(run()) if item.requires_grad]
        forward = counter.get_total_flops()
        if made:
            torch.autograd.backward(made, [torch.ones_like(item) for item in made])
        return int(counter.get_total_flops() - forward) // 2


def tensors_of(made: Any) -> Iterator[Tensor]:
    """The tensors of whatever a module returns."""
    if isinstance(made, Tensor):
        yield made
    else:
        for item in made.values() if isinstance(made, dict) else made:
            yield from tensors_of(item)


# --- layers ---

EXAMPLES = [
    pytest.param(op_of(kind, arguments), inputs, id=f"{kind}-{number}")
    for kind, examples in KINDS.items()
    for number, (arguments, inputs) in enumerate(examples)
]


def of_layer(op: Op, inputs: Shapes, trained: bool, wanted: tuple[bool, ...], formula: Any = mended) -> int:
    """What torch multiplies behind one layer: on the device meta, but where nothing is, because BatchNorm reads its
    counter."""
    device = "meta" if op.macs(inputs, op.outputs(inputs)) else "cpu"
    layer = layer_of(op, inputs)
    if isinstance(layer, nn.Module):
        layer.to(device).train()
    given = [
        item.to(device).requires_grad_(flag) for item, flag in zip(values_for(op.kind, inputs), wanted, strict=True)
    ]
    layer.requires_grad_(trained)
    # A layer that overwrites its input overwrites no leaf.
    return multiplied(lambda: outputs_of(layer, [item.clone() for item in given]), formula)


def all_needs(op: Op, inputs: Shapes) -> Iterator[tuple[bool, tuple[bool, ...]]]:
    """Whether weights are trained, and to which inputs a gradient passes, in all ways; none to indices."""
    flags = (False,) if op.reads == "int64" else (False, True)
    return product((False, True), product(flags, repeat=len(inputs)))


@pytest.mark.parametrize(("op", "inputs"), EXAMPLES)
def test_a_layer_multiplies_what_torch_counts(op: Op, inputs: Shapes) -> None:
    """Every kind, trained and frozen, whichever inputs have gradients; 0 wherever no MACs are counted."""
    for trained, wanted in all_needs(op, inputs):
        counted = op.backward_macs(inputs, op.outputs(inputs), trained, wanted)
        assert counted == of_layer(op, inputs, trained, wanted)


GROUPED = [case for case in EXAMPLES if getattr(case.values[0], "groups", 1) > 1 and hasattr(case.values[0], "bias")]


@pytest.mark.parametrize(("op", "inputs"), GROUPED)
def test_groups_multiply_as_convolutions_of_their_own(op: Any, inputs: Shapes) -> None:
    """What the mended formula counts; torch's own counts the gradient of the weight once for each group more."""
    batch, channels, *sizes = inputs[0]
    one = replace(op, groups=1, out_channels=op.out_channels // op.groups)
    single = op.groups * of_layer(one, ((batch, channels // op.groups, *sizes),), True, (True,), None)
    assert op.backward_macs(inputs, op.outputs(inputs), True, (True,)) == single
    macs = op.macs(inputs, op.outputs(inputs))
    assert of_layer(op, inputs, True, (True,), None) == single + (op.groups - 1) * macs


class Unrolled(nn.Module):
    """An LSTM or a GRU as the linear layers of its steps, of several layers and directions; the state before the first
    step is zeros."""

    def __init__(self, op: Any, features: int) -> None:
        super().__init__()
        wide, self.hidden, self.directions = op.gates * op.hidden_size, op.hidden_size, op.directions
        read = [features, *[op.directions * op.hidden_size] * (op.num_layers - 1)]
        self.inputs = nn.ModuleList(nn.Linear(size, wide) for size in read for _ in range(op.directions))
        self.states = nn.ModuleList(nn.Linear(op.hidden_size, wide) for _ in self.inputs)

    def forward(self, x: Tensor) -> Tensor:
        for layer in range(0, len(self.inputs), self.directions):
            x = torch.cat([self._along(x, layer + way, way) for way in range(self.directions)], 2)
        return x

    def _along(self, x: Tensor, place: int, way: int) -> Tensor:
        steps = range(x.shape[1])[:: -1 if way else 1]
        state, made = x.new_zeros(x.shape[0], self.hidden), []
        for step in steps:
            # The gates do not matter: what is multiplied are the products of matrices.
            gates = self.inputs[place](x[:, step]) + self.states[place](state)
            state = gates.tanh().unflatten(1, (-1, self.hidden)).sum(1)
            made.append(state)
        return torch.stack(made, 1)


@pytest.mark.parametrize(
    ("op", "inputs"),
    [case for case in EXAMPLES if case.values[0].kind in ("LSTM", "GRU")],  # type: ignore[union-attr]
)
def test_a_recurrent_layer_multiplies_as_its_steps(op: Op, inputs: Shapes) -> None:
    """Step by step, on a CPU, where torch's LSTM is one operator that its counter does not know."""
    steps = Unrolled(op, inputs[0][2])
    for trained, wanted in all_needs(op, inputs):
        x = torch.zeros(inputs[0], requires_grad=wanted[0])
        steps.requires_grad_(trained)
        counted = op.backward_macs(inputs, op.outputs(inputs), trained, wanted)
        assert counted == multiplied(lambda x=x: steps(x))  # type: ignore[misc]


# --- networks ---


def of_network(graph: Graph) -> int:
    """What torch multiplies behind a built network, which starts at all of its outputs."""
    module = prepared(build_module(graph, device="meta"), "train")
    given = zeros(graph, torch.float32, "meta")
    return multiplied(lambda: module(*given))


def check(graph: Graph) -> None:
    """Exactly what torch multiplies, in the totals and as the sum over the layers."""
    summary = summarize(graph)
    totals = summary.totals
    assert totals.backward_macs == of_network(graph)
    assert totals.backward_flops == 2 * totals.backward_macs
    assert totals.backward_status == "exact"
    assert totals.backward_macs == sum(layer.backward_macs or 0 for layer in summary.layers)
    assert all(layer.backward_flops == 2 * (layer.backward_macs or 0) for layer in summary.layers)


SAMPLE = (
    *("googlenet", "googlenet_torchvision", "inception_v3", "lenet5", "resnet18", "resnext50_32x4d", "densenet121"),
    *("mobilenet_v3_small", "shufflenet_v2_x1_0", "convnext_tiny", "vit_b_16", "swin_t", "unet"),
)


@pytest.mark.parametrize("name", SAMPLE)
def test_a_network_multiplies_what_torch_counts(name: str) -> None:
    """Models of every sort, with their heads."""
    check(build_graph(load_spec(name), mode="train"))


FROZEN = [
    ("googlenet", ("conv?",)),
    ("googlenet", ("inception3*", "inception4b")),
    ("resnet18", ("conv1", "bn1", "layer1", "layer2.0.conv1")),
    ("resnet18", ("*.bn?",)),
    ("vgg11", ("features",)),
    ("vgg11", ("classifier",)),
    ("vit_b_16", ("conv_proj", "encoder.layers.encoder_layer_?")),
    ("vit_b_16", ("*.self_attention",)),
    ("swin_t", ("features.0", "features.1", "*.attn")),
    ("lenet5", ("*",)),
]


@pytest.mark.parametrize(("name", "parts"), FROZEN)
def test_gradients_stop_at_what_is_frozen(name: str, parts: tuple[str, ...]) -> None:
    """A frozen prefix takes nothing, a frozen part in the middle hands gradients on."""
    graph = build_graph(load_spec(name), mode="train")
    frozen = freeze(graph, parts)
    check(frozen)
    assert (summarize(frozen).totals.backward_macs or 0) <= (summarize(graph).totals.backward_macs or 0)


CONV = "{Conv2d: {out_channels: 4, kernel_size: 3, padding: 1}}"
NETWORKS = {
    "nothing passes to what is made of the input alone": (
        f"stages: {{s: {{pool: {{MaxPool2d: {{kernel_size: 2}}}}, a: {CONV}, b: {CONV}}}}}"
    ),
    "nothing comes to what no output needs": f"outputs: {{out: a}}\nstages: {{s: {{a: {CONV}, b: {CONV}}}}}",
    "every output hands a gradient back": (
        f"outputs: {{one: a, two: c}}\nstages: {{s: {{a: {CONV}, b: {CONV}, c: {CONV}}}}}"
    ),
    "a layer that runs twice takes as much for either call": (
        f"stages: {{s: {{first: {CONV}, a: {CONV}, b: {{share: a}}, c: {{share: a}}}}}}"
    ),
    "one factor of a product is made of the input alone": (
        "stages: {s: {flat: {Flatten: {start_dim: 2}}, turned: {Permute: {dims: [0, 2, 1]}}, "
        "made: {from: flat, Linear: {out_features: 6}}, m: {matmul: [turned, made]}, "
        "back: {Permute: {dims: [0, 2, 1]}}, n: {matmul: [back, m]}}}"
    ),
    "a learned tensor has a gradient": (
        "stages: {s: {flat: {Flatten: {start_dim: 2}}, table: {Parameter: {shape: [1, 1024, 5]}}, "
        "m: {matmul: [flat, table]}}}"
    ),
}


@pytest.mark.parametrize("why", NETWORKS)
def test_where_gradients_pass(why: str) -> None:
    """With all that is trained, and with either end of it frozen."""
    graph = graph_of(NETWORKS[why], mode="train")
    check(graph)
    held = [node.name for node in graph.nodes if node.params]
    for part in (held[0], held[-1]):
        check(freeze(graph, [part]))


def test_any_network_multiplies_what_torch_counts() -> None:
    """Drawn specs of the whole language."""
    from hypothesis import given

    from tests.strategies import Document, specs, to_yaml
    from tests.test_properties import examples

    @examples(DRAWN)
    @given(specs(faults=False))
    def holds(document: Document) -> None:
        try:
            graph = build_graph(parse_spec(to_yaml(document)), mode="train")
        except GnetError:
            return
        check(graph)

    holds()


def test_a_convolution_takes_twice_its_macs_behind_the_first() -> None:
    """In a network of two: what the documentation says."""
    graph = graph_of(f"stages: {{s: {{a: {CONV}, b: {CONV}}}}}", mode="train")
    first, second = (node.macs or 0 for node in graph.nodes)
    found = backward_pass(graph)
    assert found is not None
    assert found.layers == {"a": first, "b": 2 * second}


# --- what is not known, and what is said ---


class Weighing(Op, frozen=True):
    """A kind of one's own that says how much it multiplies, and not of its backward pass."""

    out: Annotated[int, Integer(1)]
    multiplies: ClassVar[int | None] = 7

    def output_shape(self, inputs: Shapes) -> Shape:
        return inputs[0]

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return (Weight("weight", (self.out,)),)

    def macs(self, inputs: Shapes, outputs: Shapes) -> int | None:
        return self.multiplies


class Weightless(Weighing, frozen=True):
    """One that multiplies nothing."""

    multiplies: ClassVar[int | None] = 0


@pytest.mark.parametrize(("kind", "known"), [(Weighing, False), (Weightless, True), (Opaque, False)])
def test_what_a_kind_does_not_say_is_unknown(kind: type[Op], known: bool) -> None:
    """Null of the layer, and the total is a least; what multiplies nothing forward multiplies nothing backward."""
    graph = graph_of(f"stages: {{s: {{a: {CONV}, b: ReLU}}}}", mode="train")
    op = Opaque("ReLU", graph.nodes[1].output_shape) if kind is Opaque else kind(3)
    made = replace(graph, nodes=(graph.nodes[0], replace(graph.nodes[1], op=op, macs=None)))
    summary, counts = summarize(made), count_flops(made)
    assert summary.layers[1].backward_macs == (0 if known else None)
    assert summary.layers[1].backward_flops == (0 if known else None)
    assert summary.totals.backward_macs == counts.backward_macs == graph.nodes[0].macs
    assert summary.totals.backward_status == counts.backward_status == ("exact" if known else "bound")
    grids = summary_grid(summary, made, Selection()), flops_grid(counts)
    for grid in grids:
        (line,) = [text for text, _ in draw_text(grid) if text.startswith("backward ")]
        assert line.startswith("backward     " + ("" if known else "at least ") + f"{graph.nodes[0].macs:,} MACs")


def test_the_commands_say_it_in_training_mode_alone(run: Run) -> None:
    """JSON of a summary has the keys in either mode, null where no backward pass runs."""
    keys = ("backward_macs", "backward_flops")
    macs = summarize(build_graph(load_spec("lenet5"), mode="train")).totals.backward_macs
    assert macs
    for mode, expected in (("eval", (None, None)), ("train", (macs, 2 * macs))):
        found = json.loads(run("summary", "lenet5", "--mode", mode, "--format", "json").out)
        assert tuple(found["totals"][key] for key in keys) == expected
        assert found["totals"]["backward_status"] == ("exact" if mode == "train" else None)
        assert all((layer["backward_macs"] is None) == (mode == "eval") for layer in found["layers"])
        counts = json.loads(run("flops", "lenet5", "--mode", mode, "--format", "json").out)
        assert tuple(counts.get(key) for key in keys) == expected
        for command in ("summary", "flops"):
            lines = run(command, "lenet5", "--mode", mode).out.splitlines()
            assert len([line for line in lines if line.startswith("backward ")]) == (mode == "train")


def test_frozen_parts_count_in_the_command(run: Run) -> None:
    """A classifier alone is trained: the gradient of its weight is all there is."""
    found = json.loads(run("summary", "vgg11", "--mode", "train", "--freeze", "features", "--format", "json").out)
    by_name = {layer["name"]: layer for layer in found["layers"]}
    assert {name for name, layer in by_name.items() if layer["backward_macs"]} == {f"classifier.{n}" for n in (0, 3, 6)}
    assert by_name["classifier.0"]["backward_macs"] == by_name["classifier.0"]["macs"]
    assert by_name["classifier.3"]["backward_macs"] == 2 * by_name["classifier.3"]["macs"]
