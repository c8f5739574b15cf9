"""What joins values, moves their elements, or takes all of an axis together."""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from gnet_inspect.ops import MERGES, VOCABULARY, Op, op_of
from gnet_inspect.ops.functions import Index, Select, Stack, pool_of_mean
from gnet_inspect.runtime.tracing.calls import Reading, Request, rule
from gnet_inspect.runtime.tracing.examples import kind_of


@rule("cat")
def _cat(request: Request) -> list[Reading] | None:
    parts, dim = request.get(0, "tensors"), request.get(1, "dim", 0)
    if not all(request.is_known(part) for part in parts) or len({part.dim() for part in parts}) > 1:
        return None
    rank = parts[0].dim()
    return [Reading(MERGES["concat"](dim=dim % rank), list(parts))]


@rule("stack")
def _stack(request: Request) -> list[Reading] | None:
    parts, dim = request.get(0, "tensors"), request.get(1, "dim", 0)
    return [Reading(Stack(dim), list(parts))] if all(request.is_known(part) for part in parts) else None


@rule("add")
def _add(request: Request) -> list[Reading] | None:
    left, right = request.get(0, "input"), request.get(1, "other")
    alpha = request.kwargs.get("alpha", 1)
    # By its name it is another thing for tools that patched that.
    if not request.is_operator or not (request.is_known(left) and request.is_known(right) and left.is_floating_point()):
        return None
    return [Reading(MERGES["add"](scale=float(alpha)), [left, right])]


@rule("mul")
def _mul(request: Request) -> list[Reading] | None:
    left, right = request.get(0, "input"), request.get(1, "other")
    if not request.is_operator or not (request.is_known(left) and request.is_known(right) and left.is_floating_point()):
        return None
    return [Reading(MERGES["mul"](), [left, right])]


@rule("reshape")
def _reshape(request: Request) -> list[Reading] | None:
    x = request.get(0, "input")
    if isinstance(request.get(1, "dtype"), torch.dtype):
        return None
    other = request.get(1, "other")
    sizes = (
        tuple(other.shape)
        if isinstance(other, Tensor)
        else request.rest(1, "shape" if "shape" in request.kwargs else "size")
    )
    sizes = tuple(int(size) for size in sizes)
    # -1 and 0 are sizes of their own in the vocabulary: what was asked for is written out.
    known = prod(size for size in sizes if size != -1)
    if 0 in sizes or not known or not request.is_known(x):
        return None
    made = tuple(x.numel() // known if size == -1 else size for size in sizes)
    return [Reading(VOCABULARY["Reshape"](shape=made), [x])]


@rule("flatten")
def _flatten(request: Request) -> list[Reading] | None:
    x, start, end = request.get(0, "input"), request.get(1, "start_dim", 0), request.get(2, "end_dim", -1)
    return [Reading(op_of("Flatten", start_dim=start, end_dim=end), [x])]


@rule("unflatten")
def _unflatten(request: Request) -> list[Reading] | None:
    x, dim, sizes = request.get(0, "input"), request.get(1, "dim"), request.get(2, "sizes")
    return [Reading(op_of("Unflatten", dim=dim, unflattened_size=tuple(sizes)), [x])]


@rule("unsqueeze")
def _unsqueeze(request: Request) -> list[Reading] | None:
    return [Reading(op_of("Unsqueeze", dim=request.get(1, "dim")), [request.get(0, "input")])]


@rule("permute")
def _permute(request: Request) -> list[Reading] | None:
    x = request.get(0, "input")
    return _permuted(x, [dim % x.dim() for dim in request.rest(1, "dims")])


@rule("transpose")
def _transpose(request: Request) -> list[Reading] | None:
    x = request.get(0, "input")
    first = request.get(1, "dim0", request.kwargs.get("axis0"))
    second = request.get(2, "dim1", request.kwargs.get("axis1"))
    order = list(range(x.dim()))
    order[first], order[second] = order[second], order[first]
    return _permuted(x, order)


@rule("t", "T", "mT")
def _turned(request: Request) -> list[Reading] | None:
    x = request.get(0, "input")
    order = list(range(x.dim()))
    order = [*order[:-2], *order[:-3:-1]] if request.name == "mT" else order[::-1]
    return _permuted(x, order)


@rule("movedim")
def _movedim(request: Request) -> list[Reading] | None:
    x, source, target = request.get(0, "input"), request.get(1, "source"), request.get(2, "destination")
    rank = x.dim()
    sources = [dim % rank for dim in ([source] if isinstance(source, int) else source)]
    targets = [dim % rank for dim in ([target] if isinstance(target, int) else target)]
    order: list[int | None] = [None] * rank
    for one, other in zip(sources, targets, strict=True):
        order[other] = one
    rest = iter([dim for dim in range(rank) if dim not in sources])
    return _permuted(x, [next(rest) if dim is None else dim for dim in order])


def _permuted(x: Tensor, order: Sequence[int]) -> list[Reading]:
    return [Reading(VOCABULARY["Permute"](dims=tuple(order)), [x])]


@rule("chunk", "split", "tensor_split", "split_with_sizes", "unsafe_chunk", "unsafe_split")
def _split(request: Request) -> list[Reading] | None:
    x, dim = request.get(0, "input"), request.get(2, "dim", 0)
    dim = dim % x.dim()
    found, start = [], 0
    for index, size in enumerate(_sizes_of_parts(request, x.shape[dim], request.get(1, "chunks"))):
        op = VOCABULARY["Slice"](dim=dim, start=start, stop=start + size)
        found.append(Reading(op, [x], part=index))
        start += size
    return found


def _sizes_of_parts(request: Request, size: int, given: Any) -> list[int]:
    if request.name in ("chunk", "unsafe_chunk"):
        step = -(-size // given)
    elif request.name == "tensor_split":
        raise ValueError("known by its outputs")
    else:
        given = (
            given
            if given is not None
            else request.kwargs.get("split_size_or_sections", request.kwargs.get("split_size"))
        )
        if isinstance(given, list | tuple):
            return [int(item) for item in given]
        step = int(given)
    return [min(step, size - start) for start in range(0, size, step)]


@rule("unbind")
def _unbind(request: Request) -> list[Reading] | None:
    x, dim = request.get(0, "input"), request.get(1, "dim", 0)
    dim = dim % x.dim()
    return [Reading(Select(dim, index), [x], part=index) for index in range(x.shape[dim])]


@rule("select")
def _select(request: Request) -> list[Reading] | None:
    x = request.get(0, "input")
    return [Reading(Select(request.get(1, "dim") % x.dim(), int(request.get(2, "index"))), [x])]


@rule("narrow")
def _narrow(request: Request) -> list[Reading] | None:
    x, dim, start, length = (request.get(place, name) for place, name in enumerate(("input", "dim", "start", "length")))
    return [Reading(VOCABULARY["Slice"](dim=dim % x.dim(), start=int(start), stop=int(start) + int(length)), [x])]


@rule("getitem")
def _getitem(request: Request) -> list[Reading] | None:
    x, given = request.args[0], request.args[1]
    items = given if isinstance(given, tuple) else (given,)
    if not all(item is None or item is Ellipsis or isinstance(item, int | slice) for item in items):
        return None
    if any(isinstance(item, bool) for item in items):
        return None
    found: list[tuple[int, int, int] | int | None] = []
    used = sum(item is not None and item is not Ellipsis for item in items)
    axis = 0
    for item in items:
        if item is None:
            found.append(None)
        elif item is Ellipsis:
            for _ in range(x.dim() - used):
                found.append((0, x.shape[axis], 1))
                axis += 1
        elif isinstance(item, slice):
            parts = [part if part is None else int(part) for part in (item.start, item.stop, item.step)]
            found.append(slice(*parts).indices(x.shape[axis]))
            axis += 1
        else:
            found.append(int(item) % x.shape[axis])
            axis += 1
    return [Reading(_simplest(found, x), [x])]


def _simplest(items: list[tuple[int, int, int] | int | None], x: Tensor) -> Op:
    """A slice of one axis, or one position of it, where the others stay."""
    axis, cut = 0, []
    for item in items:
        if item is None or isinstance(item, int) or item != (0, x.shape[axis], 1):
            cut.append((axis, item))
        axis += item is not None
    if len(cut) == 1:
        place, item = cut[0]
        if isinstance(item, int):
            return Select(place, item)
        if isinstance(item, tuple) and item[0] < item[1]:
            return VOCABULARY["Slice"](dim=place, start=item[0], stop=item[1], step=item[2])
    return Index(tuple(items))


@rule("roll")
def _roll(request: Request) -> list[Reading] | None:
    x, shifts, dims = request.get(0, "input"), request.get(1, "shifts"), request.get(2, "dims", ())
    pair = [tuple(item) if isinstance(item, list | tuple) else (item,) for item in (shifts, dims)]
    return [Reading(op_of("Roll", shifts=pair[0], dims=pair[1]), [x])]


@rule("pixel_shuffle")
def _pixel_shuffle(request: Request) -> list[Reading] | None:
    return [Reading(op_of("PixelShuffle", upscale_factor=request.get(1, "upscale_factor")), [request.get(0, "input")])]


@rule("pixel_unshuffle")
def _pixel_unshuffle(request: Request) -> list[Reading] | None:
    return [
        Reading(op_of("PixelUnshuffle", downscale_factor=request.get(1, "downscale_factor")), [request.get(0, "input")])
    ]


@rule("channel_shuffle")
def _channel_shuffle(request: Request) -> list[Reading] | None:
    return [Reading(op_of("ChannelShuffle", groups=request.get(1, "groups")), [request.get(0, "input")])]


@rule("pad")
def _pad(request: Request) -> list[Reading] | None:
    x, sizes = request.get(0, "input"), tuple(request.get(1, "pad"))
    value, mode = request.get(3, "value"), request.get(2, "mode", "constant")
    if mode != "constant" or value not in (None, 0, 0.0) or len(sizes) != 4 or x.dim() != 4:
        return None
    return [Reading(op_of("ZeroPad2d", padding=sizes), [x])]


@rule("contiguous", "alias", "detach", "data")
def _alias(request: Request) -> list[Reading] | None:
    return [Reading(VOCABULARY["Identity"](), [request.get(0, "input")], is_alias=True)]


@rule(
    "mean", "sum", "amax", "amin", "prod", "std", "var", "logsumexp", "any", "all", "count_nonzero", "nansum", "nanmean"
)
def _reduction(request: Request) -> list[Reading] | None:
    x = request.get(0, "input")
    if request.name in ("std", "var") and len(request.args) > 1 and isinstance(request.args[1], bool):
        return None
    dims = request.get(1, "dim", request.kwargs.get("axis"))
    dims = tuple(range(x.dim())) if dims is None or dims == () else (dims,) if isinstance(dims, int) else tuple(dims)
    keep = request.kwargs.get(
        "keepdim", request.args[2] if len(request.args) > 2 and isinstance(request.args[2], bool) else False
    )
    return [Reading(pool_of_mean(request.name, dims, bool(keep), x.dim(), _held(request, x)), [x])]


def _held(request: Request, x: Tensor) -> str:
    dtype = request.kwargs.get("dtype")
    if request.name in ("any", "all"):
        return "bool"
    return kind_of(dtype if dtype is not None else torch.int64 if x.dtype == torch.bool else x.dtype)
