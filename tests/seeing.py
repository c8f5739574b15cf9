"""What each output of a network sees, found out with torch's own layers: the truth that receptive fields are held to.

Along one axis, on one channel: a picture for each pixel, in which that pixel alone is lit, goes through every layer of
the graph, all weights 1, and after each layer whatever is not 0 is 1. An output sees the pixels that light it. Windows
are built with their arguments along the other axes taken off, which the pixels there do not change. Any other layer
runs as it is, on what is no number at one position at a time.
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
CHANNELWISE = {"LocalResponseNorm", "LayerNorm2d", "ChannelShuffle"}
# The same elements in other places or another shape.
MOVING = {"Permute", "Unsqueeze", "Reshape", "Flatten", "Unflatten"}
WINDOWS = ("Conv", "MaxPool", "AvgPool", "AdaptiveAvgPool", "AdaptiveMaxPool", "Upsample")
Span = tuple[int, int]
Shape = tuple[int, ...]


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
    if len(sources) == 1 and isinstance(sources[0], Lit):
        (reached, place), shape = sources[0], node.input_shapes[0]
        if op.kind in ELEMENTWISE or (op.kind in CHANNELWISE and place != 1):
            return sources[0]
        if op.kind.startswith("BatchNorm") and op.track_running_stats:  # type: ignore[attr-defined]
            return sources[0]
        if op.kind.startswith(WINDOWS) and place >= 2:
            if getattr(op, "like", False):
                height, width = node.output_shapes[0][2:]
                op = replace(op, size=(height, width), like=False)
            return Lit(_through_window(op, reached, place - 2), place)
        if op.kind in MOVING:
            moved = _place_behind(op, place, shape, node.output_shapes[0])
            return LOST if moved is None else Lit(reached, moved)
        known = _by_definition(op, reached, place, shape, node.output_shapes[0])
        if known is not None:
            return Lit(known, place)
    if op.kind == "ShiftedWindowAttention":
        return LOST
    return _merged(node, sources) or _tried(node, sources)


def _by_definition(op: Any, reached: Tensor, place: int, shape: Shape, made: Shape) -> Tensor | None:
    """Through what cuts, pads, divides by a sum over the axis, takes off the mean over it, or weighs all along it; None
    of layers of which nothing is said here."""
    kind, rank = op.kind, len(shape)
    if kind == "ZeroPad2d" and place >= 2:
        # Left, right, top, bottom; one number for all.
        padding = op.padding * (4 // len(op.padding))
        return nn.functional.pad(reached, padding[2:] if place == 2 else padding[:2])
    if kind == "Slice":
        return reached[:, slice(op.start, op.stop, op.step) if op.dim % rank == place else slice(None)]
    mixes = {
        "GroupNorm": place >= 2,
        "LayerNorm": place >= rank - getattr(op, "axes", 0),
        "RMSNorm": place >= rank - getattr(op, "axes", 0),
        "Softmax": getattr(op, "dim", 0) % rank == place,
        "Linear": place == rank - 1,
    }
    if kind not in mixes or (place == 1 and kind == "GroupNorm"):
        return None
    return reached.amax(1, keepdim=True).expand(-1, made[place]).clone() if mixes[kind] else reached


def _merged(node: Node, sources: list[Followed]) -> Lit | None:
    """What any of the values added, multiplied or joined lets through: one position for all where there is one. None
    where it has to be tried."""
    output = node.output_shapes[0]
    by_place = [
        (source.reached, source.place + len(output) - len(shape))
        for source, shape in zip(sources, node.input_shapes, strict=False)
        if isinstance(source, Lit)
    ]
    places = {place for _, place in by_place}
    along = isinstance(node.op, Concat) and node.op.dim % len(output) in places
    if not isinstance(node.op, Add | Mul | Concat) or len(places) > 1 or along:
        return None
    (place,) = places
    return Lit(torch.stack([of.expand(-1, output[place]) for of, _ in by_place]).amax(0), place)


def _place_behind(op: Op, place: int, shape: Shape, made: Shape) -> int | None:
    """Where an axis went that is there as it was; None where it is no axis of its own any more."""
    if op.kind == "Permute":
        return [dim % len(shape) for dim in op.dims].index(place)  # type: ignore[attr-defined]
    if op.kind == "Unsqueeze":
        return place + int(op.dim % len(made) <= place)  # type: ignore[attr-defined]
    # Elements stay in their order: an axis is there where as many of its size follow each other at the same distance.
    for index, size in enumerate(made):
        if size == shape[place] and prod(made[index + 1 :]) == prod(shape[place + 1 :]):
            return index
    return None


def _tried(node: Node, sources: list[Followed]) -> Followed:
    """Through torch's own layer: what is no number at one position of a source makes none of whatever is computed from
    it. The output's axes are those of the sources, counted from the last one."""
    output = node.output_shapes[0]
    places = {
        source.place + len(output) - len(shape)
        for source, shape in zip(sources, node.input_shapes, strict=False)
        if isinstance(source, Lit)
    }
    if len(places) > 1:
        return LOST
    (place,) = places
    layer = build_layer(node.op, node.input_shapes, False)
    assert isinstance(layer, nn.Module)
    # In double precision torch multiplies plainly: its faster ways mix neighbours that they need not.
    layer = layer.to(torch.float64).eval()
    given = [torch.rand(shape, dtype=torch.float64) for shape in node.input_shapes]
    others = [other for other in range(len(output)) if other != place]
    found = []
    for index, source in enumerate(sources):
        if not isinstance(source, Lit):
            continue
        lets_through = []
        for position in range(source.reached.shape[1]):
            one = given[index].clone()
            one.select(source.place, position).fill_(torch.nan)
            with torch.no_grad():
                made = layer(*given[:index], one, *given[index + 1 :])
            first = made[0] if isinstance(made, tuple) else made
            lets_through.append(first.isnan().amax(others) if others else first.isnan())
        found.append(source.reached @ torch.stack(lets_through).to(torch.float64))
    return Lit((torch.stack(found).sum(0) > 0).to(torch.float64), place)


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
    return torch.as_tensor(made.reshape(len(reached), -1).abs() > 1e-9, dtype=torch.float64)


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
