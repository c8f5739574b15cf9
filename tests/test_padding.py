"""Paddings of two sides and TensorFlow's "same", by numbers that others publish."""

from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch
from torch import Tensor

from gnet_inspect.analysis.memory import activation_peak
from gnet_inspect.analysis.training import training_memory
from gnet_inspect.graph import Graph
from gnet_inspect.language import parse_spec
from gnet_inspect.runtime.layers import build_layer
from gnet_inspect.runtime.module import build_module
from gnet_inspect.sources.spec import build_graph
from tests.facts import make
from tests.test_training_memory import saved_by_torch
from tests.watching import watched_peak


def computed(kind: str, arguments: dict[str, Any], x: Tensor) -> Tensor:
    """What the built layer makes of one channel of one image, weights 1."""
    x = x.to(torch.float64)[None, None]
    layer = build_layer(make(kind, arguments), (tuple(x.shape),), False)
    assert isinstance(layer, torch.nn.Module)
    layer = layer.to(torch.float64)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.fill_(1)
        made: Tensor = layer(x)[0, 0]
    return made


NINE = torch.tensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]])


@pytest.mark.parametrize(
    ("kind", "arguments", "x", "expected"),
    [
        # keras.io, pages of AveragePooling1D, MaxPooling1D, AveragePooling2D and MaxPooling2D: padding "same".
        ("AvgPool1d", {"kernel_size": 2, "stride": 1}, torch.arange(1, 6), [1.5, 2.5, 3.5, 4.5, 5]),
        ("MaxPool1d", {"kernel_size": 2, "stride": 1}, torch.arange(1, 6), [2, 3, 4, 5, 5]),
        ("AvgPool2d", {"kernel_size": 2, "stride": 1}, NINE, [[3, 4, 4.5], [6, 7, 7.5], [7.5, 8.5, 9]]),
        ("MaxPool2d", {"kernel_size": 2, "stride": 1}, NINE, [[5, 6, 6], [8, 9, 9], [8, 9, 9]]),
        # What is padded never wins, and is not averaged, on both sides.
        ("MaxPool1d", {"kernel_size": 3, "stride": 1}, -torch.arange(1, 4), [-1, -1, -2]),
        ("AvgPool1d", {"kernel_size": 3, "stride": 1}, torch.arange(1, 4), [1.5, 2, 2.5]),
        # The odd one of three rows is behind: 6 + 1 inputs make ceil(6 / 2) outputs.
        ("Conv1d", {"out_channels": 1, "kernel_size": 3, "stride": 2, "bias": False}, torch.arange(1, 7), [6, 12, 11]),
        # None is padded where the stride leaves none over.
        ("Conv1d", {"out_channels": 1, "kernel_size": 1, "stride": 2, "bias": False}, torch.arange(1, 6), [1, 3, 5]),
    ],
)
def test_same_tf_is_tensorflows_same(kind: str, arguments: dict[str, Any], x: Tensor, expected: list[Any]) -> None:
    """torch's own "same" knows no stride, and no pool."""
    made = computed(kind, arguments | {"padding": "same_tf"}, x)
    torch.testing.assert_close(made, torch.tensor(expected, dtype=torch.float64), rtol=1e-15, atol=0)


@pytest.mark.parametrize(
    ("kind", "arguments", "expected"),
    [
        # [left, right, top, bottom]: one column of zeros on the left, two rows of them below.
        (
            "Conv2d",
            {"out_channels": 1, "kernel_size": [3, 2], "bias": False},
            [[12, 27, 33], [11, 24, 28], [7, 15, 17]],
        ),
        ("AvgPool2d", {"kernel_size": [3, 2], "stride": 1}, [[2, 4.5, 5.5], [11 / 6, 4, 28 / 6], [7 / 6, 2.5, 17 / 6]]),
        (
            "AvgPool2d",
            {"kernel_size": [3, 2], "stride": 1, "count_include_pad": False},
            [[4, 4.5, 5.5], [5.5, 6, 7], [7, 7.5, 8.5]],
        ),
        ("MaxPool2d", {"kernel_size": [3, 2], "stride": 1}, [[7, 8, 9], [7, 8, 9], [7, 8, 9]]),
    ],
)
def test_two_numbers_for_each_axis_are_the_last_axis_first(
    kind: str, arguments: dict[str, Any], expected: list[list[float]]
) -> None:
    """As torch.nn.functional.pad has them."""
    made = computed(kind, arguments | {"padding": [1, 0, 0, 2]}, NINE)
    torch.testing.assert_close(made, torch.tensor(expected, dtype=torch.float64))


NETWORKS = {
    "a sequence": """
name: sequence
input: [4, 50]
stages:
  stem: [{Conv1d: {out_channels: 8, kernel_size: 3, stride: 2, padding: same_tf}}, {GroupNorm: {num_groups: 2}}, Mish]
  pool: [{MaxPool1d: {kernel_size: 3, stride: 2, padding: [0, 1]}}]
  mean: [{AvgPool1d: {kernel_size: 2, stride: 2, padding: same_tf}}]
  up: [{ConvTranspose1d: {out_channels: 6, kernel_size: 4, stride: 2}}, {InstanceNorm1d: {affine: true}}, PReLU]
  rows: [LayerNorm, {Linear: {out_features: 12}}, {StochasticDepth: {p: 0.2}}, {ELU: {inplace: true}}]
  out: [{AdaptiveMaxPool1d: {output_size: 3}}, Flatten, {Linear: {out_features: 5}}]
""",
    "a volume": """
name: volume
input: [2, 9, 12, 10]
stages:
  stem: [{Conv3d: {out_channels: 4, kernel_size: 3, padding: [1, 0, 2, 0, 0, 1]}}, BatchNorm3d, Hardswish]
  pool: [{AvgPool3d: {kernel_size: 3, stride: 2, padding: same_tf}}]
  up: [{ConvTranspose3d: {out_channels: 6, kernel_size: 2, stride: 2}}, InstanceNorm3d, Softplus]
  out: [{AdaptiveAvgPool3d: {output_size: [2, 1, 1]}}, Hardsigmoid, Flatten, {Linear: {out_features: 5}}]
""",
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_other_ranks_hold_what_torch_holds(name: str) -> None:
    """From a spec to the module: the output's shape, the peak in both modes, and what autograd keeps layer by layer."""
    spec = parse_spec(NETWORKS[name])
    graphs: list[Graph] = [build_graph(spec, (2, *spec.input), mode=mode) for mode in ("eval", "train")]
    for graph in graphs:
        assert tuple(build_module(graph)(torch.randn(graph.input_shape)).shape) == graph.nodes[-1].output_shape
        assert activation_peak(graph, 4) == (*watched_peak(graph), "exact")
    memory = {layer.name: layer.bytes for layer in training_memory(graphs[1], "sgd").saved}
    assert memory == saved_by_torch(graphs[1])
