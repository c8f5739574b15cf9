"""One layer by itself: as an op, as a graph of which it is the only node, and as its module."""

from typing import Any

import torch
from torch import Tensor, nn

from gnet_inspect.graph import Graph, Value
from gnet_inspect.graph.maker import GraphMaker
from gnet_inspect.graph.nodes import Output
from gnet_inspect.ops import MERGES, VOCABULARY, Op, Shapes
from gnet_inspect.runtime.layers import build_layer

Example = tuple[dict[str, Any], Shapes]


def op_of(kind: str, arguments: dict[str, Any]) -> Op:
    """A layer from plain arguments, as a spec would give them."""
    cls = MERGES.get(kind) or VOCABULARY[kind]
    kinds = cls.parameters()
    return cls(**{name: kinds[name].kind.read(value) for name, value in arguments.items()})


def holds_indices(kind: str) -> bool:
    """Whether the inputs of a kind are int64."""
    return kind == "Embedding"


def graph_of_one(op: Op, inputs: Shapes, mode: str = "eval") -> Graph:
    """The graph of a network whose only layer is `layer`; it reads the network's inputs in their order."""
    dtype = "int64" if holds_indices(op.kind) else "float"
    names = ["input", *(f"input{index}" for index in range(1, len(inputs)))]
    # A layer that reads nothing stands in a network that has an input nevertheless.
    given = [Value(name, shape, dtype) for name, shape in zip(names, inputs or ((1, 1),), strict=True)]
    maker = GraphMaker(given)
    maker.call("layer", op, tuple(names[: len(inputs)]))
    return maker.graph(model="one", title="one", mode=mode, outputs=[Output("layer", "layer")], parts=())


def layer_of(op: Op, inputs: Shapes) -> nn.Module | nn.Parameter:
    """The module that a network has for a layer."""
    return build_layer(op, inputs, False)


def values_for(kind: str, inputs: Shapes, *, seed: int = 0, gradients: bool = False) -> list[Tensor]:
    """A tensor of random values for each input."""
    generator = torch.Generator().manual_seed(seed)
    if holds_indices(kind):
        return [torch.randint(0, 11, shape, generator=generator) for shape in inputs]
    return [torch.randn(shape, generator=generator).requires_grad_(gradients) for shape in inputs]


def outputs_of(layer: nn.Module | nn.Parameter, given: list[Tensor]) -> tuple[Tensor, ...]:
    """What a layer gives, always as a tuple."""
    made = layer(*given) if isinstance(layer, nn.Module) else layer
    if isinstance(made, tuple):
        return made
    return (made,)
