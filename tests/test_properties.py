"""Properties of specs, drawn at random, the same in every run: some 3,500 specs and layers, valid and broken.

- 120 specs against a naive interpreter of the language, 120 against torch on the device meta (EXPANSIONS, NETWORKS)
- 800 single layers against torch.nn on the CPU (LAYERS)
- 400 broken texts (BROKEN)
- 80 networks run on real tensors, and 80 with and without `inplace` (RUNS)
- 150 sums and peaks (SUMS), 100 receptive fields of chains, 100 behind upsampling and 100 of adaptive pools (FIELDS)
- 100 overrides (OVERRIDES), 600 specs that show what the generator covers and 60 of plain layers (COVERAGE)

The environment variable GNET_EXAMPLES says a larger number for specs, layers, broken texts, sums and overrides:

    GNET_EXAMPLES=10000 python -m pytest tests/test_properties.py -k "interpreter or torch_shapes"
"""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from itertools import pairwise
from math import prod
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from gnet_inspect.analysis.memory import activation_peak, live_activation_bytes
from gnet_inspect.analysis.overwriting import overwriting
from gnet_inspect.analysis.receptive import receptive_fields
from gnet_inspect.analysis.summary import summarize
from gnet_inspect.errors import GnetError, ShapeError, SpecError, printable
from gnet_inspect.graph import Graph
from gnet_inspect.graph.outline import Outline
from gnet_inspect.language import parse_spec
from gnet_inspect.ops import VOCABULARY, Op
from gnet_inspect.ops.activation import Dropout, StochasticDepth
from gnet_inspect.ops.pooling import AdaptiveAvgPool2d
from gnet_inspect.ops.resampling import TAPS
from gnet_inspect.runtime.module import Outputs, build_module
from gnet_inspect.runtime.verify import example_inputs
from gnet_inspect.sources.spec import build_graph
from gnet_inspect.units import DTYPE_BYTES
from tests.amount import at_least
from tests.strategies import (
    ARGUMENTS,
    FITTED,
    UNDRAWN,
    VALUES,
    Document,
    Draw,
    Layer,
    Reference,
    Refused,
    broken_texts,
    features,
    only_used,
    plain_specs,
    specs,
    to_yaml,
)
from tests.work import at_most_calls

NETWORKS = EXPANSIONS = at_least(120)
LAYERS, BROKEN, SUMS, OVERRIDES = at_least(800), at_least(400), at_least(150), at_least(100)
RUNS, FIELDS, COVERAGE = 80, 100, 600

ARGUMENTS_COVERED = 12
DRAWN = [kind for kind in VOCABULARY if kind not in UNDRAWN]

PROFILE = settings(derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))

Shape = tuple[int, ...]


def examples(number: int) -> Callable[[Any], Any]:
    """So many examples, the same in every run."""
    return settings(PROFILE, max_examples=number)


def built(text: bytes | str, mode: str = "eval", broken: bool = False) -> Graph | None:
    """The graph of a text, None where it is refused; the refusal must be fit to be read."""
    try:
        return build_graph(parse_spec(text, "drawn.yaml"), mode=mode)
    except GnetError as error:
        check_clean(error, broken)
        return None


def check_clean(error: GnetError, broken: bool) -> None:
    """One sentence of text, with the place in the file."""
    message = str(error)
    # Errors quote a name as it stands, and whoever draws them escapes it: only a broken spec has odd names.
    assert printable(message).isprintable()
    assert broken or message.isprintable(), message
    assert message.strip()
    assert len(message) < 3_000
    assert "Traceback" not in message
    assert " object at 0x" not in message
    if isinstance(error, SpecError):
        assert error.file == "drawn.yaml"
        # What no YAML reader can decode has no place that it could name.
        assert error.line is not None or error.path or (broken and "expected valid YAML" in message), message


def quiet_eval(module: nn.Module) -> None:
    """Normalisation by statistics in eval mode: in training it refuses a batch of one value."""
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._NormBase):
            layer.eval()


@contextmanager
def same_padding_unsaid() -> Iterator[None]:
    """torch says of an even kernel with the padding "same" that it copies the input, and of one recurrent layer that it
    drops nothing: no faults of the network."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using padding='same'", UserWarning)
        warnings.filterwarnings("ignore", "dropout option adds dropout", UserWarning)
        yield


# --- the expansion ---


@examples(EXPANSIONS)
@given(specs(), st.sampled_from(("eval", "train")))
def test_any_spec_expands_as_a_naive_interpreter_expands_it(document: Document, mode: str) -> None:
    """Names, layers, arguments, inputs, shapes and outputs are the reference's, or both refuse."""
    try:
        expected = Reference(document, mode).run()
    except Refused:
        expected = None
    graph = built(to_yaml(document), mode)
    if expected is None or graph is None:
        assert expected is None
        assert graph is None
        return
    assert [
        Layer(node.name, node.op, node.inputs, node.output_shapes, node.params, node.buffers) for node in graph.nodes
    ] == expected.layers
    assert {value.name: (value.shape, value.dtype) for value in graph.inputs} == expected.inputs
    assert [(output.name, output.value) for output in graph.outputs if output.weight is None] == [
        *expected.outputs.items()
    ]
    assert graph.names_outputs == ("outputs" in document)
    # Heads come in the document's order, whatever order they run in.
    heads = document.get("heads", {}) if mode == "train" else {}
    assert [(head.name, head.value, head.weight) for head in graph.heads] == [
        (name, expected.head_outputs[name], head.get("weight", 1.0)) for name, head in heads.items()
    ]
    children = [index for stage in Outline(graph).at("stage") for index in stage.indices]
    assert sorted(children) == list(range(len(graph.nodes)))


# --- torch ---


Trace = list[tuple[str, tuple[Shape, ...], tuple[Shape, ...]]]


def trace(module: nn.Module, paths: set[str], given: list[Tensor]) -> tuple[Trace, Any]:
    """(each call of a layer with the shapes it took and made, in the order they ran; the result). Calls are named as in
    a graph: the second one of a layer has "@1" behind its path."""
    seen: Trace = []
    calls: Counter[str] = Counter()

    def hook(path: str) -> Callable[[nn.Module, tuple[Tensor, ...], Any], None]:
        def remember(_: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
            name = f"{path}@{calls[path]}" if calls[path] else path
            calls[path] += 1
            made = output if isinstance(output, tuple) else (output,)
            seen.append((name, tuple(tuple(item.shape) for item in inputs), tuple(tuple(item.shape) for item in made)))

        return remember

    handles = [module.get_submodule(path).register_forward_hook(hook(path)) for path in sorted(paths)]
    with torch.no_grad():
        result = module(*given)
    for handle in handles:
        handle.remove()
    return seen, result


def returned(graph: Graph, result: Any) -> dict[str, Tensor]:
    """What a network returned beside its heads, by name."""
    if graph.names_outputs:
        assert isinstance(result, dict)
        return result
    assert isinstance(result, Tensor)
    return {graph.outputs[0].name: result}


def check_against_torch(graph: Graph, device: str) -> None:
    """The module's layers take and make the graph's shapes in the graph's order, and weigh what it says."""
    with torch.device(device):
        module = build_module(graph, device=device)
        given = example_inputs(graph, device)
    for node in graph.nodes:
        if node.is_repeated:
            assert (node.params, node.buffers) == (0, 0)
            continue
        held = [module.get_parameter(node.name)] if node.op.hands_out_weight else []
        layer = nn.ParameterList(held) if held else module.get_submodule(node.name)
        assert sum(item.numel() for item in layer.parameters()) == node.params, node.name
        assert sum(item.numel() for item in layer.buffers()) == node.buffers, node.name
    named = sum(node.params for node in graph.nodes)
    assert sum(item.numel() for item in module.parameters()) == named
    heads = tuple(f"{head.name}." for head in graph.heads)
    # A learned tensor is no module, and nothing runs.
    nodes = [node for node in graph.nodes if not node.op.hands_out_weight]
    shapes = graph.shapes()
    for training in (False, True):
        module.train(training)
        quiet_eval(module)
        run = [node for node in nodes if training or not heads or not node.name.startswith(heads)]
        seen, result = trace(module, {node.module for node in nodes}, given)
        assert seen == [(node.name, node.input_shapes, node.output_shapes) for node in run]
        if training and graph.heads:
            assert isinstance(result, Outputs)
            assert {name: tuple(item.shape) for name, item in result.heads.items()} == {
                head.name: shapes[head.value] for head in graph.heads
            }
            result = result.logits
        assert {name: tuple(item.shape) for name, item in returned(graph, result).items()} == {
            output.name: shapes[output.value] for output in graph.outputs if output.weight is None
        }


@examples(NETWORKS)
@given(specs(), st.sampled_from(("eval", "train")), st.sampled_from((1, 1, 3)))
def test_any_spec_gives_torch_shapes_or_a_clean_error(document: Document, mode: str, batch: int) -> None:
    """What builds is what torch runs on the device meta, layer by layer; what does not says why and where."""
    graph = built(to_yaml(document), mode)
    if graph is None:
        return
    if batch > 1:
        try:
            shapes = [(batch, *value.shape[1:]) for value in graph.inputs]
            graph = build_graph(parse_spec(to_yaml(document), "drawn.yaml"), shapes, mode=mode)
        except GnetError as error:
            # What folds the batch into another axis may fit one image alone.
            check_clean(error, broken=False)
            return
    with same_padding_unsaid():
        check_against_torch(graph, "meta")


# --- single layers ---


# torch has a class of the same name; the others' own modules are run in networks.
COMPARED = [
    *(kind for kind, cls in VOCABULARY.items() if cls.module == f"torch.nn.{kind}" and kind in ARGUMENTS),
    *("ChannelAffine", "LocalResponseNorm"),
]
COMPARED = [kind for kind in COMPARED if kind not in ("MultiheadAttention", "LSTM", "GRU", "Unflatten")]


def axes_of(kind: str) -> int:
    """How many axes a class's name says that it works along; 0 where it says none."""
    return int(kind[-2]) if kind[-2:] in ("1d", "2d", "3d") else 0


@st.composite
def layers(draw: Draw) -> tuple[str, dict[str, Any], Shape]:
    """(a class, arguments of the right kinds, an input), with no regard to whether they fit."""
    kind: str = draw(st.sampled_from([name for name in COMPARED for _ in range(1 + len(ARGUMENTS[name]))]))
    arguments = {
        name: draw(VALUES[word])
        for name, (word, often) in ARGUMENTS[kind].items()
        if often == 10 or draw(st.integers(0, 1))
    }
    small = st.integers(1, 9)
    shape: Shape = (draw(st.integers(1, 2)), draw(st.sampled_from((4, 1, 2, 3, 6))), draw(small), draw(small))
    axes = axes_of(kind)
    if axes in (1, 3):
        shape = (*shape[:2], *(draw(small) for _ in range(axes)))
    if kind == "ChannelAffine":
        numbers = st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=4)
        arguments = {"scale": draw(numbers), "shift": draw(numbers)}
    if draw(st.integers(0, 9)) >= (3 if kind in ("Linear", "Softmax", "Flatten") else 8):
        shape = shape[:2]
    return kind, arguments, shape


def torch_layer(kind: str, arguments: dict[str, Any], shape: Shape) -> nn.Module:
    """torch's own layer, made of what the spec says: pairs as tuples, the input's size given."""
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in arguments.items()}
    if kind.startswith("Conv"):
        given["in_channels"] = shape[1]
    elif kind == "Linear":
        given["in_features"] = shape[-1]
    elif kind.startswith(("BatchNorm", "InstanceNorm")):
        given["num_features"] = shape[1]
    elif kind == "GroupNorm":
        given["num_channels"] = shape[1]
    elif kind in ("LayerNorm", "RMSNorm"):
        given.pop("axes", None)
        given["normalized_shape"] = shape[-arguments.get("axes", 1) :]
    if kind == "Softmax":
        # torch guesses the dim where none is given, with a warning; a spec means the channels.
        given.setdefault("dim", 1)
    layer: nn.Module = getattr(nn, kind)(**given)
    return layer.eval()


def torch_result(kind: str, arguments: dict[str, Any], shape: Shape, device: str) -> tuple[Shape, int, int] | None:
    """(shape, parameters, buffers) as torch has them; None where it refuses."""
    try:
        with torch.device(device), torch.no_grad(), same_padding_unsaid():
            layer = torch_layer(kind, arguments, shape)
            output = layer(torch.rand(shape))
    except (RuntimeError, ValueError, IndexError, TypeError):
        return None
    counts = (sum(item.numel() for item in items) for items in (layer.parameters(), layer.buffers()))
    return tuple(output.shape), *counts  # type: ignore[return-value]  # two counts


def refused_on_purpose(kind: str, shape: Shape, there: Shape) -> bool:
    """What torch would run and no convolutional network means."""
    if axes_of(kind) and len(shape) == axes_of(kind) + 1 and kind != "BatchNorm1d":
        # torch takes one image without a batch; a network has one.
        return True
    if kind == "ZeroPad2d":
        # torch pads the last two axes of anything, and by less than nothing until nothing is left.
        return len(shape) != 4 or 0 in there
    if kind.startswith("ConvTranspose"):
        # Its padding took everything away: torch makes such a tensor on some devices, and nothing can be done with it.
        return 0 in there
    if kind.startswith("AdaptiveAvgPool"):
        # torch's shortcut for a single output, a mean, forgets to ask for the axes.
        return len(shape) == 2
    if kind == "Flatten":
        return there[0] != shape[0]
    return False


def op_of(kind: str, arguments: dict[str, Any]) -> Op:
    """The package's layer with these arguments."""
    parameters = VOCABULARY[kind].parameters()
    return VOCABULARY[kind](**{name: parameters[name].kind.read(value) for name, value in arguments.items()})


@examples(LAYERS)
@given(layers())
def test_a_layer_takes_what_torch_takes_and_gives_what_torch_gives(drawn: tuple[str, dict[str, Any], Shape]) -> None:
    """The CPU is the truth: the same shape, parameters and buffers, or both refuse."""
    kind, arguments, shape = drawn
    op = op_of(kind, arguments)
    try:
        mine: Shape | None = op.output_shape((shape,))
    except ShapeError:
        mine = None
    if kind == "ChannelAffine":
        fits = len(shape) == 4 and len(arguments["scale"]) == len(arguments["shift"]) == shape[1]
        assert mine == (shape if fits else None)
        return
    there = torch_result(kind, arguments, shape, "cpu")
    if mine is None:
        assert there is None or refused_on_purpose(kind, shape, there[0])
        return
    held = op.weights((shape,))
    params = sum(weight.elements for weight in held if weight.trained)
    assert (mine, params, sum(weight.elements for weight in held) - params) == there
    assert torch_result(kind, arguments, shape, "meta") == there
    if kind.startswith("Conv") or kind == "Linear":
        with FlopCounterMode(display=False) as counter, same_padding_unsaid(), torch.device("meta"), torch.no_grad():
            torch_layer(kind, arguments, shape)(torch.rand(shape))
        macs = op.macs((shape,), (mine,))
        assert macs is not None
        assert counter.get_total_flops() == 2 * macs


# --- networks that run ---


def with_inplace(value: Any, inplace: bool) -> Any:
    """The document with `inplace` said of every layer that takes it."""
    takes = ("ReLU", "ReLU6", "LeakyReLU", "SiLU", "Dropout")
    if isinstance(value, str) and value in takes:
        return {value: {"inplace": inplace}}
    if isinstance(value, list):
        return [with_inplace(item, inplace) for item in value]
    if isinstance(value, dict):
        return {
            key: {**(item or {}), "inplace": inplace} if key in takes else with_inplace(item, inplace)
            for key, item in value.items()
        }
    return value


def without_unused(document: Document) -> Document:
    """The document without the parameters that only `inplace` used."""
    document = deepcopy(document)
    for name, block in (document.get("blocks") or {}).items():
        used = set(_references(block["layers"]))
        for parameter in list(block.get("params", ())):
            if parameter in used:
                continue
            block["params"].remove(parameter)
            (block.get("defaults") or {}).pop(parameter, None)
            for call in _calls_of(document, name):
                call.pop(parameter, None)
    return only_used(document)


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value.startswith("$"):
        yield value[1:].partition(".")[0]
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _references(item)


def _calls_of(value: Any, block: str) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == block and isinstance(item, dict) and "layers" not in item:
                yield item
            yield from _calls_of(item, block)
    elif isinstance(value, list):
        for item in value:
            yield from _calls_of(item, block)


def outputs(module: nn.Module, given: list[Tensor]) -> list[Tensor]:
    """What a module gives, as a list; the same numbers are dropped in every call."""
    torch.manual_seed(0)
    with torch.no_grad():
        result = module(*given)
    first, heads = (result.logits, [*result.heads.values()]) if isinstance(result, Outputs) else (result, [])
    return [*(first.values() if isinstance(first, dict) else [first]), *heads]


def random_inputs(graph: Graph) -> list[Tensor]:
    """Numbers around 0, or indices that any table has."""
    given = example_inputs(graph, "cpu")
    return [torch.rand(x.shape) - 0.5 if x.is_floating_point() else x + torch.arange(x.numel()) % 3 for x in given]


def check_equal(one: list[Tensor], other: list[Tensor]) -> None:
    """The same numbers to the last bit, not-a-numbers included."""
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=0, equal_nan=True)


@examples(RUNS)
@given(specs(faults=False), st.sampled_from(("eval", "train")))
def test_a_network_runs_on_real_tensors_as_its_graph_says(document: Document, mode: str) -> None:
    """Shapes on the CPU are the graph's too, and in eval mode a second run gives the same numbers."""
    graph = built(to_yaml(document), mode)
    if graph is None:
        return
    with same_padding_unsaid():
        check_against_torch(graph, "cpu")
        module = build_module(graph).eval()
        given = random_inputs(graph)
        check_equal(outputs(module, given), outputs(module, given))


@examples(RUNS)
@given(specs(faults=False), st.sampled_from(("eval", "train")))
def test_inplace_changes_no_number(document: Document, mode: str) -> None:
    """A network gives the same to the last bit with every `inplace` true as with every one false."""
    graphs, modules = [], []
    for inplace in (True, False):
        edited = without_unused(with_inplace(document, inplace))
        graph = built(to_yaml(edited), mode)
        if graph is None:
            return
        graphs.append(graph)
        modules.append(build_module(graph))
    assert [node.name for node in graphs[0].nodes] == [node.name for node in graphs[1].nodes]
    modules[1].load_state_dict(modules[0].state_dict())
    given = random_inputs(graphs[0])
    before = [x.clone() for x in given]
    with same_padding_unsaid():
        for training in (False, True):
            for module in modules:
                module.train(training)
                quiet_eval(module)
            check_equal(outputs(modules[0], given), outputs(modules[1], given))
            check_equal(given, before)


# --- broken specs ---


@examples(BROKEN)
@given(broken_texts(), st.sampled_from(("eval", "train")))
def test_broken_specs_are_built_or_refused_and_nothing_else(text: bytes | str, mode: str) -> None:
    """Whatever was done to a spec, it gives a graph whose numbers can be summed, or a clean error, and soon."""
    with at_most_calls(15_000_000):
        graph = built(text, mode, broken=True)
        if graph is not None and len(graph.nodes) < 2_000:
            summarize(graph)


# --- sums, peaks and fields ---


VIEWS = ("Flatten", "Identity", "Permute", "Reshape", "Slice", "Unflatten", "Unsqueeze")


def brute_force_least_peak(graph: Graph, width: int) -> int:
    """At each node, the sum of every tensor that exists already and is still read, counted one by one."""
    owner = {value.name: value.name for value in graph.inputs}
    for node in graph.nodes:
        shares = node.op.kind in VIEWS
        if isinstance(node.op, Dropout | StochasticDepth):
            shares = graph.mode == "eval" or node.op.p == 0
        for value in node.values():
            owner[value] = owner[node.inputs[0]] if shares else value
    sizes = {name: width * prod(shape) for name, shape in graph.shapes().items()}
    # Tokens are int64, and a learned tensor is a weight.
    sizes |= {value.name: 8 * prod(value.shape) for value in graph.inputs if value.dtype == "int64"}
    sizes |= {node.name: 0 for node in graph.nodes if node.op.hands_out_weight}
    inputs = [value.name for value in graph.inputs]
    made = {value: index for index, node in enumerate(graph.nodes) for value in node.values()} | dict.fromkeys(
        inputs, -1
    )
    # An input that nothing reads is never let go of.
    read = {owner[name] for node in graph.nodes for name in node.inputs}
    kept = {owner[output.value] for output in graph.outputs} | (set(inputs) - read)
    peak = sum(sizes[name] for name in inputs)
    for now, current in enumerate(graph.nodes):
        needed = {owner[name] for node in graph.nodes[now:] for name in node.inputs}
        alive = {name for name in needed | kept if made[name] <= now} | {owner[name] for name in current.values()}
        peak = max(peak, sum(sizes[name] for name in alive))
    return peak


def saving_is_told(graph: Graph) -> Iterator[bool]:
    """Of each layer that a gradient passes, from its own weights or from those before it: whether it says what it keeps
    for the backward pass."""
    passed: set[str] = set()
    in_place = overwriting(graph)
    for node in graph.nodes:
        trained = any(weight.trained for weight in node.op.weights(node.input_shapes))
        if trained or not passed.isdisjoint(node.inputs):
            passed.update(node.values())
            yield node.op.saved(node.input_shapes, node.output_shapes, node.name in in_place) is not None


@examples(SUMS)
@given(specs(faults=False), st.sampled_from(("eval", "train")), st.sampled_from(sorted(DTYPE_BYTES)))
def test_totals_are_sums_and_the_least_peak_is_the_brute_force_one(document: Document, mode: str, dtype: str) -> None:
    """Totals equal the sums over layers and over stages; the least peak equals one counted tensor by tensor."""
    graph = built(to_yaml(document), mode)
    if graph is None:
        return
    summary, width = summarize(graph, dtype), DTYPE_BYTES[dtype]
    totals = summary.totals
    for key in ("params", "macs", "activation_bytes"):
        assert getattr(totals, key) == sum(getattr(layer, key) for layer in summary.layers)
        assert getattr(totals, key) == sum(getattr(stage, key) for stage in summary.stages)
    assert totals.buffers == sum(layer.buffers for layer in summary.layers)
    assert totals.flops == 2 * totals.macs
    assert totals.param_bytes == width * totals.params
    assert totals.least_peak_activation_bytes == brute_force_least_peak(graph, width)
    peak, where, status = activation_peak(graph, width)
    live = live_activation_bytes(graph, width)
    assert (peak, where, status) == (totals.peak_activation_bytes, totals.peak_node, totals.peak_activation_status)
    assert peak == max(live, default=0)
    inside = [node.op.temporaries(node.input_shapes, node.output_shapes, mode == "train") for node in graph.nodes]
    told = None not in inside and (mode == "eval" or all(saving_is_told(graph)))
    # Layers that look up where their input lies in memory may copy it.
    assert status == "exact" or not told or any(node.op.may_copy for node in graph.nodes)
    assert status == "bound" or told
    names = [node.name for node in graph.nodes]
    assert [layer.name for layer in summary.layers] == names
    assert where in {graph.inputs[0].name, *names}


_SIZE = st.integers(1, 4)
_STEP = st.integers(1, 3)
_TWO = st.lists(_SIZE, min_size=2, max_size=2)
_STEPS = st.lists(_STEP, min_size=2, max_size=2)


@st.composite
def chains(draw: Draw) -> list[dict[str, Any]]:
    """Up to three windows in a row, with layers between them that see one element."""
    chain: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(1, 3))):
        kernel, stride = draw(_TWO), draw(_STEPS)
        if draw(st.booleans()):
            dilation = draw(st.lists(st.integers(1, 2), min_size=2, max_size=2))
            padding = draw(st.integers(0, 2))
            chain.append(
                {
                    "Conv2d": {
                        "out_channels": 1,
                        "kernel_size": kernel,
                        "stride": stride,
                        "dilation": dilation,
                        "padding": padding,
                    }
                }
            )
        else:
            chain.append({"AvgPool2d": {"kernel_size": kernel, "stride": stride, "ceil_mode": draw(st.booleans())}})
        if draw(st.integers(0, 3)) == 3:
            chain.append({"Identity": {}})
    return chain


def extent(seen: Tensor) -> tuple[int, int]:
    """(height, width) of the smallest box around the elements that are not zero."""
    rows, columns = (torch.nonzero(seen.sum(axis)).flatten() for axis in (1, 0))
    return int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1


@examples(FIELDS)
@given(chains())
def test_a_receptive_field_is_what_the_gradient_reaches(chain: list[dict[str, Any]]) -> None:
    """The inputs that one output in the middle depends on span the field; those of its neighbours lie a jump on."""
    # Larger than twice the widest field of three such windows (1 + 6 + 18 + 54) with what the middle may be off by.
    document = {"name": "chain", "input": [1, 250, 250], "stages": {"all": chain}}
    graph = build_graph(parse_spec(to_yaml(document)))
    field = receptive_fields(graph)[graph.output]
    assert field is not None
    module = build_module(graph, dtype=torch.float64)
    for parameter in module.parameters():
        nn.init.constant_(parameter, 1 / 16)
    x = torch.zeros(graph.input_shape, dtype=torch.float64, requires_grad=True)
    output = module(x)[0, 0]
    row, column = (size // 2 for size in output.shape)
    starts = []
    for step in (0, 1):
        assume(row + step < output.shape[0])
        assume(column + step < output.shape[1])
        (seen,) = torch.autograd.grad(output[row + step, column + step], x, retain_graph=True)
        assert extent(seen[0, 0]) == field.size
        starts.append([int(torch.nonzero(seen[0, 0].sum(axis)).flatten()[0]) for axis in (1, 0)])
    assert tuple(after - before for before, after in zip(*starts, strict=True)) == field.jump


@st.composite
def upsampled_chains(draw: Draw) -> list[dict[str, Any]]:
    """Along the height: a window or none, then one or two layers that make more of it, and windows behind them."""

    def window() -> dict[str, Any]:
        kernel, stride, dilation = draw(_SIZE), draw(_STEP), draw(st.integers(1, 2))
        along = {"kernel_size": [kernel, 1], "stride": [stride, 1], "dilation": [dilation, 1]}
        return {"Conv2d": {"out_channels": 1, **along}}

    chain = [window()] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, 2))):
        stride = draw(_STEP)
        if draw(st.booleans()):
            kernel, padding = draw(st.integers(stride, 5)), draw(st.integers(0, 2))
            along = {"kernel_size": [kernel, 1], "stride": [stride, 1], "padding": [padding, 0]}
            chain.append({"ConvTranspose2d": {"out_channels": 1, **along}})
        else:
            mode, factor = draw(st.sampled_from(list(TAPS))), draw(st.sampled_from([1, 2, 3, 4, 1.5, 0.5, 2.5]))
            corners = {"align_corners": draw(st.booleans())} if TAPS[mode] > 1 else {}
            chain.append({"Upsample": {"scale_factor": [factor, 1], "mode": mode, **corners}})
        if draw(st.booleans()):
            chain.append(window())
    return chain


@examples(FIELDS)
@given(upsampled_chains())
def test_a_receptive_field_behind_upsampling_is_the_widest_that_the_gradient_reaches(
    chain: list[dict[str, Any]],
) -> None:
    """No output sees more; where the rule is exact, some output sees as much; and jumps are the mean."""
    document = {"name": "chain", "input": [1, 90, 1], "stages": {"all": chain}}
    graph = build_graph(parse_spec(to_yaml(document)))
    field = receptive_fields(graph)[graph.output]
    assert field is not None
    assert field.size
    assert field.jump
    assert field.axes
    module = build_module(graph, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        nn.init.uniform_(parameter, 0.5, 1.5, generator=generator)
    # An affine network: what an input of 1 adds is its column of the gradient.
    one = torch.eye(90, dtype=torch.float64).reshape(90, 1, 90, 1)
    with torch.no_grad():
        seen = (module(one) - module(torch.zeros_like(one[:1]))).reshape(90, -1).T
    spans = []
    for row in seen:
        reached = torch.nonzero(row.abs() > 1e-12).flatten().tolist()
        # At the borders a window is cut off.
        if reached and reached[0] > 0 and reached[-1] < 89:
            spans.append((reached[0], reached[-1]))
    assume(len(spans) > 12)
    widest = max(last - first + 1 for first, last in spans)
    assert widest <= field.size[0]
    if field.status == "exact":
        assert widest == field.size[0]
    moved = spans[-1][0] - spans[0][0]
    assert abs(moved - (len(spans) - 1) * field.jump[0]) < field.size[0] + field.axes[0].high.apart


@examples(FIELDS)
@given(st.integers(1, 40), st.integers(1, 45))
def test_an_adaptive_pools_window_is_the_widest_that_torch_takes(size: int, out: int) -> None:
    """The widest window and the mean stride along one axis are those of torch's own windows."""
    sight = AdaptiveAvgPool2d((out, 1)).sight(((1, 1, size, 1),))
    assert sight is not None
    along, across = sight[2].window, sight[3].window
    assert along is not None
    reach, step, parts, start, _ = along
    width, stride = -(-reach // parts), step / parts
    x = torch.zeros(1, 1, size, 1, requires_grad=True)
    pooled = nn.AdaptiveAvgPool2d((out, 1))(x).flatten()
    windows = []
    for one in pooled:
        (seen,) = torch.autograd.grad(one, x, retain_graph=True)
        windows.append(torch.nonzero(seen.flatten()).flatten().tolist())
    assert width == max(len(window) for window in windows)
    assert across == (1, 1, 1, 0, True)
    assert [window[0] for window in windows] == [-(-(start + step * index) // parts) for index in range(out)]
    steps = [after[0] - before[0] for before, after in pairwise(windows)]
    if size % out == 0:
        assert set(steps) <= {stride}
    else:
        assert stride == size / out
        assert all(abs(step - stride) < 1 for step in steps)


# --- overrides ---


@st.composite
def overrides(draw: Draw) -> tuple[Document, Document, str, Any]:
    """(a spec, the spec edited by hand, the path of the edit, its value)."""
    document = draw(specs(faults=False))
    try:
        found = Reference(document).run()
    except Refused:
        assume(False)
        raise
    edited = deepcopy(document)
    places: list[tuple[str, Any, str]] = [(name, ("params",), name) for name in document.get("params", {})]
    counts = Counter(path for path, _, _ in found.calls)
    twin = Reference(edited).run()
    written = Counter(id(arguments) for _, _, arguments in twin.calls)
    for path, _, arguments in twin.calls:
        # What is written once and met once: an edit of the text changes no other layer.
        if counts[path] == 1 and written[id(arguments)] == 1:
            places.extend((f"{path}.{name}", arguments, name) for name in arguments)
    assume(places)
    path, holder, name = draw(st.sampled_from(places))
    if isinstance(holder, tuple):
        holder = edited["params"]
    old = holder[name]
    value = draw(like(old, found))
    if isinstance(old, list) and old and isinstance(old[0], int | float) and draw(st.booleans()):
        element = draw(st.integers(0, len(old) - 1))
        value = draw(like(old[element], found))
        holder[name] = [*old[:element], value, *old[element + 1 :]]
        return document, only_used(edited), f"{path}.{element}", value
    holder[name] = value
    return document, only_used(edited), path, value


def like(old: Any, found: Reference) -> st.SearchStrategy[Any]:
    """Values that may stand where `old` stands, and now and then one that may not."""
    if isinstance(old, bool):
        return st.booleans()
    if isinstance(old, int):
        return st.one_of(st.integers(1, 6), st.integers(-1, 9))
    if isinstance(old, float):
        return st.sampled_from((0.25, 1e-3, 1.0))
    if isinstance(old, list):
        return st.tuples(*(like(item, found) for item in old)).map(list)
    if isinstance(old, str) and old.startswith("$"):
        return st.just(found.value(old, found.model)).filter(lambda value: value is not None)
    if isinstance(old, str) and old in VOCABULARY:
        return st.sampled_from(("ReLU", "Tanh", "Identity", {"Dropout": {"p": 0.1}}, ["GELU", "Identity"]))
    return st.just(deepcopy(old))


@examples(OVERRIDES)
@given(overrides(), st.sampled_from(("eval", "train")))
def test_an_override_is_an_edit_of_the_text(drawn: tuple[Document, Document, str, Any], mode: str) -> None:
    """An override by path gives the graph of the edited spec, both are refused, or the edit would change nothing."""
    document, edited, path, value = drawn
    expected = built(to_yaml(edited), mode)
    graph: Graph | None
    try:
        graph = build_graph(parse_spec(to_yaml(document), "drawn.yaml"), overrides={path: value}, mode=mode)
    except GnetError as error:
        graph, refusal = None, str(error)
    if graph is None and expected is not None and "got one that no layer of it does" in refusal:
        unedited = built(to_yaml(document), mode)
        assert unedited is not None
        assert expected.nodes == unedited.nodes
        return
    if graph is None or expected is None:
        assert graph is None, path
        assert expected is None, f"{path}: {refusal}"
        assert refusal.isprintable()
        return
    assert graph.nodes == expected.nodes
    assert (graph.output, graph.heads, graph.stages) == (expected.output, expected.heads, expected.stages)
    assert len(graph.overrides) == 1
    assert graph.overrides[0].startswith(f"{path}=")


# --- what was found by drawing ---


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        (
            "{a: {LayerNorm: {elementwise_affine: false}}, b: {MaxPool2d: {kernel_size: 2}}, c: {share: a}}",
            "it is made for the first call, whose input is 1x3x8x8",
        ),
        (
            "{a: {Embedding: {num_embeddings: 4, embedding_dim: 2, padding_idx: 4}}}",
            "Embedding expects padding_idx from -4 to 3, got 4",
        ),
    ],
)
def test_what_torch_refuses_is_refused(stages: str, expected: str) -> None:
    """Whatever its weights: a module of torch is made for one size."""
    with pytest.raises(SpecError, match=expected):
        build_graph(parse_spec(f"name: x\ninput: [3, 8, 8]\nstages: {{s: {stages}}}"))


def test_names_inside_what_is_shared_mean_its_first_call() -> None:
    """After another call, and in the branch beside it."""
    graph = build_graph(
        parse_spec(
            "name: x\ninput: [3, 8, 8]\nblocks: {b: {layers: {r: ReLU}}}\n"
            "stages: {s: {k: {b: {}}, m: {add: [{a: Tanh}, {}]}, "
            "j: {concat: [{two: {share: m}}, {c: {ReLU: {}, from: a}}]}, again: {share: k}, z: {ReLU: {}, from: k.r}}}"
        )
    )
    assert {node.name: node.inputs for node in graph.nodes if node.name in ("c", "z")} == {"c": ("a",), "z": ("k.r",)}


# --- the generator ---


def test_the_generator_covers_the_language_and_mostly_builds() -> None:
    """Every part of the grammar is drawn in specs that build, and most of them build."""
    covered: Counter[str] = Counter()
    results: Counter[bool] = Counter()

    @examples(COVERAGE)
    @given(specs())
    def look(document: Document) -> None:
        graph = built(to_yaml(document), "train")
        results[graph is not None] += 1
        if graph is not None:
            covered.update(features(document))

    look()
    wanted = {
        *("concat", "add", "mul", "dim", "scale", "identity branch", "listed branch", "repeat", "when", "parameter"),
        *("block", "block in a block", "defaults", "listed stage", "continued list", "heads", "published", "element"),
        *("padding same", "padding valid", "padding same_tf", "padding beside"),
        *("from", "from several", "share", "shared block", "matmul", "named branch", "held branch", "inputs", "dtype"),
        *("value given to a block", "outputs", "arithmetic", "round", "like", *UNDRAWN),
    }
    assert not wanted - set(covered)
    assert results[True] > 0.6 * sum(results.values())
    assert results[False]


@pytest.mark.parametrize("kind", DRAWN)
def test_the_generator_covers_every_class_with_its_arguments(kind: str) -> None:
    """Each is drawn in specs that build, and each of its arguments is."""
    covered: Counter[str] = Counter()

    @examples(ARGUMENTS_COVERED)
    @given(plain_specs(kind))
    def look(document: Document) -> None:
        if built(to_yaml(document)) is not None:
            covered.update(features(document))

    look()
    assert not {kind, *(f"{kind}.{name}" for name in VOCABULARY[kind].parameters() if name != "like")} - set(covered)


@examples(60)
@given(plain_specs())
def test_plain_specs_build(document: Document) -> None:
    """What the writer made of plain layers without a fault builds: it knows every layer's rule."""
    assert built(to_yaml(document)) is not None


@pytest.mark.parametrize("kind", DRAWN)
def test_the_writer_knows_every_argument(kind: str) -> None:
    """The table of arguments is the vocabulary's."""
    expected = set() if kind in FITTED else set(VOCABULARY[kind].parameters()) - {"like"}
    assert set(ARGUMENTS[kind]) == expected
