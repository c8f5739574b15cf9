"""The modules a network is made of that torch.nn does not have, or not quite so."""

from typing import Any

import torch
from torch import Tensor, nn

from gnet_inspect.graph import Graph, Node
from gnet_inspect.ops import Add, Concat, Op, Opaque, Shapes


class ConcatBranches(nn.Module):
    """torch.cat of any number of (N, C_i, H, W) or (N, F_i) along dim 1."""

    def forward(self, *branches: Tensor) -> Tensor:
        return torch.cat(branches, 1)


class AddBranches(nn.Module):
    """The sum of any number of equal shapes; all but the first are multiplied by `scale`."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        total = first
        for other in others:
            total = (other if self.scale == 1 else other * self.scale) + total
        return total

    def extra_repr(self) -> str:
        return "" if self.scale == 1 else f"scale={self.scale}"


class ChannelAffine(nn.Module):
    """x * scale + shift, one pair for each channel of (N, C, H, W); constants, so they stay out of the state dict."""

    scale: Tensor
    shift: Tensor

    def __init__(self, scale: tuple[float, ...], shift: tuple[float, ...]) -> None:
        super().__init__()
        # Made in double precision and rounded once, as torch rounds a Python number it multiplies by.
        for name, values in (("scale", scale), ("shift", shift)):
            column = torch.tensor(values, dtype=torch.float64).to(torch.get_default_dtype()).view(1, -1, 1, 1)
            self.register_buffer(name, column, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.shift


class LocalResponseNorm(nn.LocalResponseNorm):
    """torch.nn's, with a clear error where torch has no kernel."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # torch.nn's own parameter name
        try:
            return super().forward(input)
        except NotImplementedError as error:
            where = f"{str(input.dtype).removeprefix('torch.')} kernel on the {input.device.type.upper()}"
            raise RuntimeError(f"LocalResponseNorm has no {where}. (use float32 there, or a GPU)") from error


_OWN: dict[str, type[nn.Module]] = {"ChannelAffine": ChannelAffine, "LocalResponseNorm": LocalResponseNorm}


def build_layer(op: Op, inputs: Shapes, may_overwrite: bool) -> nn.Module:
    """The torch layer of an op for these input shapes; `inplace` counts only where the input may be overwritten."""
    if isinstance(op, Concat):
        return ConcatBranches()
    if isinstance(op, Add):
        return AddBranches(op.scale)
    if isinstance(op, Opaque):
        raise NotImplementedError(f"{op.kind} is outside the vocabulary: it cannot be built")
    arguments: dict[str, Any] = op.torch_arguments(inputs)
    if "inplace" in arguments:
        # torch computes no gradient of an in-place LeakyReLU whose slope is below 0.
        fits = may_overwrite and arguments.get("negative_slope", 0) >= 0
        arguments["inplace"] = arguments["inplace"] and fits
    cls = _OWN.get(op.kind) or getattr(nn, op.kind)
    layer: nn.Module = cls(**arguments)
    return layer


# What these return they keep for the backward pass: nobody may overwrite it.
_KEEP_THEIR_OUTPUT = ("ReLU", "ReLU6", "LeakyReLU", "Sigmoid", "Tanh", "Softmax")


def overwritable(graph: Graph) -> set[str]:
    """Names of the nodes that may overwrite their input.

    Nothing else reads it, under this name or as a view of it; the layer that made it does not need it for the backward
    pass; and it was made in the same scope, so that calling a block by itself changes no tensor of the caller's.
    """
    readers: dict[str, int] = {}
    for node in graph.nodes:
        for name in node.inputs:
            readers[name] = readers.get(name, 0) + 1
    makers = {node.name: node.op for node in graph.nodes}
    kept = {graph.output, *(head.output for head in graph.heads)}

    def free(node: Node) -> bool:
        name = node.inputs[0]
        maker = makers.get(name)
        return (
            maker is not None
            and readers[name] == 1
            and name not in kept
            and name.rpartition(".")[0] == node.name.rpartition(".")[0]
            and maker.kind not in _KEEP_THEIR_OUTPUT
            and not maker.is_view(training=False)
        )

    return {node.name for node in graph.nodes if free(node)}
