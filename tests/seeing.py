"""What each output of a network sees, found out with torch's own layers: the truth that receptive fields are held to.

Along one axis, on one channel: a picture for each pixel, in which that pixel alone is lit, goes through every layer of
the graph, all weights 1, and after each layer whatever is not 0 is 1. An output sees the pixels that light it. Layers
are built with their arguments along the other axis taken off, which the pixels there do not change.
"""

from typing import Any

import torch
from msgspec.structs import replace
from torch import Tensor, nn

from gnet_inspect.graph import INPUT, Graph, Node
from gnet_inspect.ops import BatchNorm2d, Conv2d, ConvTranspose2d, Op, Softmax
from gnet_inspect.ops.pooling import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from gnet_inspect.ops.resampling import Upsample
from gnet_inspect.runtime.layers import build_layer

# What leaves an axis as it is, by the argument's name.
NEUTRAL = {
    "kernel_size": 1,
    "stride": 1,
    "padding": 0,
    "dilation": 1,
    "output_padding": 0,
    "output_size": 1,
    "size": 1,
    "scale_factor": 1.0,
}
WINDOWS = (Conv2d, ConvTranspose2d, MaxPool2d, AvgPool2d, AdaptiveAvgPool2d, Upsample)
Span = tuple[int, int]


def seen(graph: Graph, axis: int) -> dict[str, list[Span | None]]:
    """By node that gives a map: the first and last pixel along height (0) or width (1) that each output sees."""
    size = graph.input_shape[2 + axis]
    lit = {INPUT: torch.eye(size, dtype=torch.float64).reshape(size, 1, size, 1)}
    found: dict[str, list[Span | None]] = {}
    for node in graph.nodes:
        if len(node.output_shape) == 4:
            joined = torch.stack([lit[name] for name in node.inputs]).amax(0)
            lit[node.name] = _through(node, joined, axis)
            found[node.name] = _spans(lit[node.name][:, 0, :, 0])
            assert len(found[node.name]) == node.output_shape[2 + axis], node.name
    return found


def _through(node: Node, lit: Tensor, axis: int) -> Tensor:
    op = node.op
    if isinstance(op, WINDOWS):
        layer = build_layer(_along(op, axis), ((1, 1, lit.shape[2], 1),), False).to(torch.float64)
        for parameter in layer.parameters():
            nn.init.ones_(parameter)
        with torch.no_grad():
            reached: Tensor = (layer(lit).abs() > 1e-9).to(torch.float64)
            return reached
    # By definition: what divides by a sum over the axis, or takes off the mean over it.
    mixing = isinstance(op, BatchNorm2d) and not op.track_running_stats
    if mixing or (isinstance(op, Softmax) and op.dim % 4 == 2 + axis):
        return lit.amax(2, keepdim=True).expand_as(lit).clone()
    return lit


def _along(op: Op, axis: int) -> Op:
    changes: dict[str, Any] = {}
    for name in op.parameters():
        value = getattr(op, name)
        if name in NEUTRAL and isinstance(value, tuple):
            changes[name] = (value[axis], NEUTRAL[name])
    if isinstance(op, Conv2d | ConvTranspose2d):
        changes |= {"out_channels": 1, "groups": 1, "bias": False}
    if isinstance(op, AvgPool2d):
        # A divisor changes no place.
        changes["divisor_override"] = None
    return replace(op, **changes)


def _spans(lit: Tensor) -> list[Span | None]:
    spans: list[Span | None] = []
    for column in lit.T:
        pixels = torch.nonzero(column).flatten().tolist()
        spans.append((pixels[0], pixels[-1]) if pixels else None)
    return spans
