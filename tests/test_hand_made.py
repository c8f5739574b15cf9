"""Networks that no spec says, made by hand: everything that reads a graph works on them."""

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch

from gnet_inspect.analysis.conventions import count_flops
from gnet_inspect.analysis.devices import load_device
from gnet_inspect.analysis.difference import difference
from gnet_inspect.analysis.memory import activation_peak
from gnet_inspect.analysis.receptive import model_field, receptive_fields
from gnet_inspect.analysis.roofline import roofline
from gnet_inspect.analysis.summary import summarize
from gnet_inspect.analysis.training import training_memory
from gnet_inspect.graph import Graph, Output, Value
from gnet_inspect.graph.freezing import freeze
from gnet_inspect.graph.maker import GraphMaker
from gnet_inspect.graph.optimize import optimize
from gnet_inspect.graph.outline import DEPTHS
from gnet_inspect.ops import Opaque, Weight
from gnet_inspect.runtime.module import build_module
from gnet_inspect.views.drawing.diagram import Options, drawing_of
from gnet_inspect.views.drawing.dot import Style, draw_dot
from gnet_inspect.views.grid import draw_text
from gnet_inspect.views.tables.flops import flops_grid
from gnet_inspect.views.tables.summary import Selection, summary_grid
from tests.single import op_of
from tests.test_diagram import check_wires
from tests.watching import watched_peak


def call(name: str, kind: str, *inputs: str, module: str | None = None, **arguments: Any) -> tuple[Any, ...]:
    """One call of a layer of the vocabulary."""
    return name, op_of(kind, arguments), inputs, module


def made(inputs: dict[str, tuple[int, ...]], *calls: tuple[Any, ...], mode: str = "eval", **outputs: str) -> Graph:
    """A graph of these calls without any parts; the last value is the output unless others are said."""
    maker = GraphMaker([Value(name, shape) for name, shape in inputs.items()])
    for name, op, read, module in calls:
        maker.call(name, op, read, module=module)
    given = [Output(name, value) for name, value in (outputs or {"output": calls[-1][0]}).items()]
    return maker.graph(
        model="made", title="Made", mode=mode, outputs=given, parts=(), origin="module", names_outputs=bool(outputs)
    )


def attention(mode: str = "eval") -> Graph:
    """Self-attention and a linear layer on a sequence (N, L, D)."""
    return made(
        {"x": (2, 10, 16)},
        call("norm", "LayerNorm", "x"),
        call("attend", "MultiheadAttention", "norm", num_heads=4),
        call("sum", "add", "attend", "x"),
        call("fc", "Linear", "sum", out_features=5),
        mode=mode,
    )


def two_inputs(mode: str = "eval") -> Graph:
    """An image and a vector that gates its channels."""
    return made(
        {"image": (2, 3, 8, 8), "gate": (2, 4)},
        call("conv", "Conv2d", "image", out_channels=4, kernel_size=3),
        call("row", "Unsqueeze", "gate", dim=-1),
        call("map", "Unsqueeze", "row", dim=-1),
        call("gated", "mul", "conv", "map"),
        call("small", "MaxPool2d", "gated", kernel_size=2),
        mode=mode,
        **({"map": "small", "whole": "gated"} if mode == "eval" else {}),
    )


def called_twice(mode: str = "eval") -> Graph:
    """One convolution, called on what it gave."""
    return made(
        {"x": (2, 4, 8, 8)},
        call("conv", "Conv2d", "x", out_channels=4, kernel_size=3, padding=1),
        call("relu", "ReLU", "conv"),
        call("conv@1", "Conv2d", "relu", module="conv", out_channels=4, kernel_size=3, padding=1),
        call("relu@1", "ReLU", "conv@1", module="relu"),
        mode=mode,
    )


def with_a_stranger(mode: str = "eval") -> Graph:
    """A layer in the middle of which its weights alone are known."""
    stranger = Opaque("Stranger", (2, 4, 8, 8), (Weight("weight", (7, 3)), Weight("count", (), False, True)))
    return made(
        {"x": (2, 4, 8, 8)},
        call("conv", "Conv2d", "x", out_channels=4, kernel_size=3, padding=1),
        ("stranger", stranger, ("conv",), None),
        call("last", "Conv2d", "stranger", out_channels=2, kernel_size=1),
        mode=mode,
    )


MADE = [attention, two_inputs, called_twice, with_a_stranger]
KNOWN = MADE[:3]


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("network", MADE)
def test_everything_static_reads_it(network: Callable[[str], Graph], mode: str) -> None:
    """One part of the network's own name holds all layers, and no reader asks for more."""
    graph = network(mode)
    summary = summarize(graph)
    assert [part.name for part in graph.parts] == [stage.name for stage in summary.stages] == ["made"]
    assert [layer.name for layer in summary.layers] == [node.name for node in graph.nodes]
    assert summary.totals.params == sum(layer.params for layer in summary.layers)
    for depth in DEPTHS:
        lines = draw_text(summary_grid(summary, graph, Selection(depth=depth)))
        assert any(line.startswith("total") for line, _ in lines)
        drawing = drawing_of(graph, summary, Options(depth))
        check_wires(graph, drawing)
        assert draw_dot(drawing, Style()).startswith("digraph")
    assert draw_text(flops_grid(count_flops(graph)))
    assert len(roofline(graph, load_device("a100"), "fp32").layers) <= len(graph.nodes)
    assert activation_peak(graph, 4).bytes > 0
    assert {change.status for change in difference(graph, graph)} == {"same"}
    frozen = summarize(freeze(graph, ["*"])).totals
    assert (frozen.trainable_params, frozen.frozen_params) == (0, summary.totals.params)
    if mode == "train":
        assert training_memory(graph, "adam").total_bytes > 12 * summary.totals.params
    else:
        assert optimize(graph).output


@pytest.mark.parametrize("network", KNOWN)
def test_it_is_built_and_runs_as_said(network: Callable[[str], Graph]) -> None:
    """Its module has the parameters, gives the shapes and holds the peak that the graph says."""
    graph = network("eval")
    module = build_module(graph)
    assert sum(parameter.numel() for parameter in module.parameters()) == summarize(graph).totals.params
    with torch.no_grad():
        given = module.eval()(*(torch.rand(value.shape) for value in graph.inputs))
    shapes = graph.shapes()
    values = given if graph.names_outputs else {"output": given}
    assert {name: tuple(value.shape) for name, value in values.items()} == {
        output.name: shapes[output.value] for output in graph.outputs
    }
    peak = activation_peak(graph, 4)
    assert peak.bytes == watched_peak(graph)[0] or (peak.status == "bound" and peak.bytes < watched_peak(graph)[0])


def test_a_layer_called_twice_has_its_parameters_once_and_its_operations_twice() -> None:
    """148 parameters; 9,216 multiply-accumulates at each of 128 places, twice."""
    totals = summarize(called_twice()).totals
    assert totals.params == 4 * 4 * 9 + 4
    assert totals.macs == 2 * (2 * 8 * 8) * (4 * 4 * 9)


def test_behind_a_layer_that_nobody_knows_nothing_is_claimed() -> None:
    """Its weights count; its operations, what it sees and what it keeps are unknown, and said to be."""
    graph = with_a_stranger()
    summary = summarize(graph)
    assert summary.totals.params == (4 * 4 * 9 + 4) + 21 + (4 * 2 + 2)
    assert summary.layers[1].macs is None
    fields = receptive_fields(graph)
    known, stranger, last = (fields[node.name] for node in graph.nodes)
    assert known is not None
    assert known.size == (3, 3)
    assert stranger is not None
    assert last is not None
    assert stranger.status == last.status == "unknown"
    found = model_field(graph, fields)
    assert found is not None
    assert found.status == "unknown"
    counts = count_flops(graph).totals
    assert counts.torch is None
    assert counts.thop is None
    assert activation_peak(graph, 4).status == "bound"
    assert training_memory(with_a_stranger("train"), "sgd").saved_status == "bound"
    text = "\n".join(line for line, _ in draw_text(summary_grid(summary, graph, Selection())))
    assert "at least" in text
    assert "coverage     2 of 3 nodes counted" in text
