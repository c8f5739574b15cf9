"""Every layer of the catalogue's twins, by hooks on the other library's own module: shapes, parameters, operations."""

from collections.abc import Callable
from math import prod
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch
from torch import Tensor, nn

from gnet_inspect.graph import Graph, Node
from gnet_inspect.language import load_spec
from gnet_inspect.ops import LearnedTensor
from gnet_inspect.sources.spec import build_graph
from tests.conftest import AUXILIARIES, TWINS, twin

Shape = tuple[int, ...]
# What takes one size alone, and what takes none so small with its heads.
SIZES = {"vit_b_16": [(224, 224)], "inception_v3": [(299, 299), (315, 331)]}


def calls_of(module: nn.Module, names: list[str], x: Tensor) -> dict[str, list[tuple[Shape, Shape]]]:
    """By name, what each of these parts of a module was given first and gave first, at each call."""
    found: dict[str, list[tuple[Shape, Shape]]] = {name: [] for name in names}

    def hook(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def note(_: nn.Module, inputs: Any, output: Any) -> None:
            first = output[0] if isinstance(output, tuple) else output
            found[name].append((tuple(inputs[0].shape), tuple(first.shape)))

        return note

    for name in names:
        module.get_submodule(name).register_forward_hook(hook(name))
    with torch.no_grad():
        module(x)
    return found


def macs_of(layer: nn.Module, given: Shape, made: Shape) -> int | None:
    """By definition, of the layers whose attributes say it; None of others."""
    if isinstance(layer, nn.Conv2d):
        return prod(made) * layer.in_channels // layer.groups * prod(layer.kernel_size)
    return prod(made) * given[-1] if isinstance(layer, nn.Linear) else None


def check_leaves(graph: Graph, theirs: nn.Module, training: bool) -> int:
    """Hold each layer that the other library's module has by that name to it; how many those are."""
    theirs.train(training)
    parts = dict(theirs.named_modules())
    weights = dict(theirs.named_parameters())
    nodes = [node for node in graph.nodes if node.name in parts]
    found = calls_of(theirs, [node.name for node in nodes], torch.empty(graph.input_shape, device="meta"))
    for node in nodes:
        check_leaf(node, parts[node.name], found[node.name])
    learned = [node for node in graph.nodes if isinstance(node.op, LearnedTensor)]
    for node in learned:
        assert weights[node.name].numel() == node.params
    # So none of theirs is left out.
    assert sum(node.params for node in (*nodes, *learned)) == sum(tensor.numel() for tensor in weights.values())
    return len(nodes)


def check_leaf(node: Node, theirs: nn.Module, calls: list[tuple[Shape, Shape]]) -> None:
    assert calls == [(node.input_shapes[0], node.output_shape)], node.name
    assert node.params == sum(tensor.numel() for tensor in theirs.parameters()), node.name
    assert node.buffers == sum(tensor.numel() for tensor in theirs.buffers()), node.name
    macs = macs_of(theirs, *calls[0])
    assert macs is None or macs == node.macs, node.name


@pytest.mark.torchvision
@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("spec", TWINS)
def test_every_layer_is_the_other_librarys(torchvision: ModuleType, spec: str, mode: str) -> None:
    """At two sizes where the model takes them, three images at once."""
    heads = mode == "train" and spec in AUXILIARIES
    for size in SIZES.get(spec, [(96, 128), (160, 136)]):
        # RegNet works out its widths with tensors.
        with torch.device("cpu" if spec.startswith("regnet") else "meta"):
            theirs = twin(torchvision, spec, heads=heads).to("meta")
        graph = build_graph(load_spec(spec), (3, 3, *size), mode=mode)
        assert check_leaves(graph, theirs, mode == "train") > 7
