"""What each output of a network sees, found out with torch's own layers: the truth that receptive fields are held to.

Along one axis, on one channel: a picture for each pixel, in which that pixel alone is lit, goes through every layer of
the graph, all weights 1, and after each layer whatever is not 0 is 1. An output sees the pixels that light it. Layers
are built with their arguments along the other axes taken off, which the pixels there do not change.
"""

from math import prod
from typing import Any, NamedTuple

import torch
from msgspec.structs import replace
from torch import Tensor, nn

from gnet_inspect.graph import Graph, Node
from gnet_inspect.ops import Add, Concat, Mul, Op
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
# By definition: each output position is of the input position at its place.
ELEMENTWISE = {"ReLU", "ReLU6", "LeakyReLU", "PReLU", "ELU", "Sigmoid", "Tanh", "SiLU", "GELU", "Hardswish"}
ELEMENTWISE |= {"Hardsigmoid", "Mish", "Softplus", "Dropout", "StochasticDepth", "Identity", "ChannelAffine"}
# And these look along the channels alone.
ELEMENTWISE |= {"LocalResponseNorm", "LayerNorm2d", "ChannelShuffle"}
WINDOWS = ("Conv", "MaxPool", "AvgPool", "AdaptiveAvgPool", "AdaptiveMaxPool", "Upsample")
Span = tuple[int, int]


class Lit(NamedTuple):
    """(pixels, positions): what each pixel lights, and the axis of the value along which the positions lie."""

    reached: Tensor
    place: int


# A value that no pixel changes; and what is said of one whose positions no longer lie along an axis of their own.
CONSTANT, LOST = "constant", "lost"
Followed = Lit | str


def seen(graph: Graph, axis: int) -> dict[str, list[Span | None] | None]:
    """By node that pixels light: the first and last pixel along a spatial axis, from 0 on, that each output position
    sees, for as long as positions lie along an axis of the value; None from there on."""
    sequences = any(node.op.ndim == 1 for node in graph.nodes)
    sizes = {value.name: value.shape[2 + axis] for value in graph.inputs if len(value.shape) > 2 + axis}
    lit: dict[str, Followed] = {
        value.name: Lit(torch.eye(max(sizes.values()), value.shape[2 + axis], dtype=torch.float64), 2 + axis)
        if len(value.shape) >= (3 if sequences else 4)
        else CONSTANT
        for value in graph.inputs
    }
    found: dict[str, list[Span | None] | None] = {}
    for node in graph.nodes:
        sources = [lit.get(name, LOST) for name in node.inputs[: node.op.sources]]
        lit[node.name] = made = _behind(node, sources, axis)
        if isinstance(made, Lit):
            assert made.reached.shape[1] == node.output_shapes[0][made.place], node.name
            found[node.name] = _spans(made.reached)
        elif made == LOST:
            found[node.name] = None
    return found


def _behind(node: Node, sources: list[Followed], axis: int) -> Followed:
    if all(source == CONSTANT for source in sources):
        return CONSTANT
    if LOST in sources:
        return LOST
    op = node.op
    rank = len(node.output_shapes[0])
    if isinstance(op, Add | Mul | Concat):
        return _merged(node, sources)
    if len(sources) > 1:
        return LOST
    (source,) = sources
    assert isinstance(source, Lit)
    reached, place = source
    if op.kind in ELEMENTWISE:
        return source
    if op.kind.startswith(WINDOWS) and place == 2 + axis:
        if getattr(op, "like", False):
            height, width = node.output_shapes[0][2:]
            op = replace(op, size=(height, width), like=False)  # type: ignore[call-arg]
        return Lit(_through_window(op, reached, axis), place)
    if op.kind == "Permute":
        return Lit(reached, [dim % rank for dim in op.dims].index(place))  # type: ignore[attr-defined]
    if op.kind == "ZeroPad2d" and place == 2 + axis:
        # Left, right, top, bottom; one number for all.
        padding = op.padding * (4 // len(op.padding))  # type: ignore[attr-defined]
        return Lit(nn.functional.pad(reached, padding[2:] if axis == 0 else padding[:2]), place)
    if op.kind == "Slice":
        kept = slice(op.start, op.stop, op.step) if op.dim % rank == place else slice(None)  # type: ignore[attr-defined]
        return Lit(reached[:, kept], place)
    mixing = _mixes(op, place, node.input_shapes[0])
    if mixing is None:
        return LOST
    return Lit(reached.amax(1, keepdim=True).expand_as(reached).clone(), place) if mixing else source


def _mixes(op: Op, place: int, shape: tuple[int, ...]) -> bool | None:
    """By definition: what divides by a sum over the axis, takes off the mean over it, or weighs all along it; None of
    classes of which nothing is said here."""
    kind = op.kind
    if kind.startswith("BatchNorm"):
        return not op.track_running_stats  # type: ignore[attr-defined]
    if kind.startswith("InstanceNorm"):
        return not op.track_running_stats and place >= 2  # type: ignore[attr-defined]
    if kind == "GroupNorm":
        return True
    if kind in ("LayerNorm", "RMSNorm"):
        return place >= len(shape) - op.axes  # type: ignore[attr-defined]
    if kind == "Softmax":
        return bool(op.dim % len(shape) == place)  # type: ignore[attr-defined]
    if kind == "Linear":
        return place == len(shape) - 1
    return None


def _merged(node: Node, sources: list[Followed]) -> Followed:
    """What any of the values lets through: from the right axis to axis, one position for all where there is one."""
    output = node.output_shapes[0]
    rank = len(output)
    by_place = [
        (source.reached, source.place + rank - len(shape))
        for source, shape in zip(sources, node.input_shapes, strict=True)
        if isinstance(source, Lit)
    ]
    places = {place for _, place in by_place}
    if len(places) > 1 or (isinstance(node.op, Concat) and node.op.dim % rank in places):
        return LOST
    (place,) = places
    reached = [of.expand(-1, output[place]) for of, _ in by_place]
    return Lit(torch.stack(reached).amax(0), place)


def _through_window(op: Op, reached: Tensor, axis: int) -> Tensor:
    ndim = op.ndim or 2
    lengths = [reached.shape[1] if index == axis else 1 for index in range(ndim)]
    layer = build_layer(_along(op, axis), ((1, 1, *lengths),), False)
    assert isinstance(layer, nn.Module)
    layer.to(torch.float64)
    for parameter in layer.parameters():
        nn.init.ones_(parameter)
    with torch.no_grad():
        made = layer(reached.reshape(len(reached), 1, *lengths))
    assert prod(made.shape[1:]) == made.shape[2 + axis]
    return (made.reshape(len(reached), -1).abs() > 1e-9).to(torch.float64)


def _along(op: Op, axis: int) -> Op:
    changes: dict[str, Any] = {}
    for name in op.parameters():
        value = getattr(op, name)
        if name not in NEUTRAL or not isinstance(value, tuple):
            continue
        ndim = op.ndim or 2
        if name == "padding" and len(value) == 2 * ndim > 2:
            # First and last of each axis, the last axis first.
            at = 2 * (ndim - 1 - axis)
            changes[name] = tuple(pad if at <= index < at + 2 else 0 for index, pad in enumerate(value))
        elif len(value) == ndim:
            changes[name] = tuple(size if index == axis else NEUTRAL[name] for index, size in enumerate(value))
    if op.kind.startswith("Conv"):
        changes |= {"out_channels": 1, "groups": 1, "bias": False}
    if hasattr(op, "divisor_override"):
        # A divisor changes no place.
        changes["divisor_override"] = None
    return replace(op, **changes)


def _spans(lit: Tensor) -> list[Span | None]:
    spans: list[Span | None] = []
    for column in lit.T:
        pixels = torch.nonzero(column).flatten().tolist()
        spans.append((pixels[0], pixels[-1]) if pixels else None)
    return spans
