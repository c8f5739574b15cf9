"""What joins values, moves their elements, or takes all of an axis together."""

from math import prod

from gnet_inspect.ops import MERGES, VOCABULARY, Op, op_of
from gnet_inspect.ops.functions import Elementwise, GlobalPool, Index, Reduction, Select
from gnet_inspect.sources.onnx.calls import Reading, Request, UnreadError, is_number, rule
from gnet_inspect.sources.onnx.values import Value

# Functions have torch's names: by these it is known which layers do the same.
_REDUCTIONS = {
    "ReduceMean": "mean",
    "ReduceSum": "sum",
    "ReduceMax": "amax",
    "ReduceMin": "amin",
    "ReduceProd": "prod",
    "ReduceL1": "ReduceL1",
    "ReduceL2": "ReduceL2",
    "ReduceLogSum": "ReduceLogSum",
    "ReduceSumSquare": "ReduceSumSquare",
    "ReduceLogSumExp": "logsumexp",
}
_LARGEST = 2**31 - 1


@rule("Concat")
def _concat(request: Request) -> list[Reading]:
    if any(value is None for value in request.inputs):
        raise UnreadError
    parts = [value for value in request.inputs if value is not None]
    if len({len(part.shape) for part in parts}) > 1:
        raise UnreadError
    axis = request.axis()
    # A learned tensor is repeated for each image by torch's concat of ours, not by ONNX's.
    return [Reading(MERGES["concat"](dim=axis), parts)]


@rule("Add", "Sum", "Mul")
def _merge(request: Request) -> list[Reading]:
    parts = [request.x(place) for place in range(len(request.inputs))]
    if len(parts) < 2 or any(is_number(part) for part in parts) or request.dtype != "float":
        raise UnreadError
    return [Reading(MERGES["mul" if request.call.kind == "Mul" else "add"](), parts)]


@rule("Sub", "Div", "Pow", "Max", "Min", "Where", "Mean", "Mod")
def _elementwise(request: Request) -> list[Reading]:
    """Of several values, weights among them, which are values here."""
    parts = [request.x(place) for place in range(len(request.inputs))]
    values = [part for part in parts if not is_number(part)]
    if len(values) < 2:
        raise UnreadError
    return [Reading(Elementwise(request.call.kind, request.shapes[0], request.dtype), values)]


@rule("Reshape")
def _reshape(request: Request) -> list[Reading]:
    # Its sizes are those that it makes, however they were asked for.
    return [Reading(VOCABULARY["Reshape"](shape=request.shapes[0]), [request.x()])]


@rule("Flatten")
def _flatten(request: Request) -> list[Reading]:
    axis = int(request.attribute("axis", 1))
    if axis == 1 and request.rank > 1:
        return [Reading(op_of("Flatten", start_dim=1, end_dim=-1), [request.x()])]
    return _reshape(request)


@rule("Transpose")
def _transpose(request: Request) -> list[Reading]:
    order = request.attribute("perm") or tuple(reversed(range(request.rank)))
    return [Reading(VOCABULARY["Permute"](dims=tuple(order)), [request.x()])]


@rule("Squeeze")
def _squeeze(request: Request) -> list[Reading]:
    return _reshape(request)


@rule("Unsqueeze")
def _unsqueeze(request: Request) -> list[Reading]:
    axes = request.integers(1, "axes")
    if axes is not None and len(axes) == 1:
        return [Reading(op_of("Unsqueeze", dim=axes[0]), [request.x()])]
    return _reshape(request)


@rule("Slice")
def _slice(request: Request) -> list[Reading]:
    x = request.x()
    starts, ends = request.integers(1, "starts"), request.integers(2, "ends")
    if starts is None or ends is None:
        raise UnreadError
    axes = request.integers(3, "axes") or tuple(range(len(starts)))
    steps = request.integers(4) or (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or any(step < 1 for step in steps):
        raise UnreadError
    items: list[tuple[int, int, int] | int | None] = [(0, size, 1) for size in x.shape]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        place = axis % request.rank
        items[place] = slice(_within(start), _within(end), step).indices(x.shape[place])
    cut = [place for place, item in enumerate(items) if item != (0, x.shape[place], 1)]
    if len(cut) == 1:
        (place,) = cut
        start, stop, step = items[place]  # type: ignore[misc]  # all of them are three numbers here
        return [Reading(VOCABULARY["Slice"](dim=place, start=start, stop=stop, step=step), [x])]
    return [Reading(Index(tuple(items)), [x])]


def _within(number: int) -> int:
    return max(min(number, _LARGEST), -_LARGEST)


@rule("Split")
def _split(request: Request) -> list[Reading]:
    x, axis = request.x(), request.axis()
    found, start = [], 0
    for part, shape in enumerate(request.shapes):
        stop = start + shape[axis]
        found.append(Reading(VOCABULARY["Slice"](dim=axis, start=start, stop=stop), [x], part=part))
        start = stop
    return found


@rule("Gather")
def _gather(request: Request) -> list[Reading]:
    x, indices = request.x(), request.x(1)
    axis = request.axis()
    if x.is_constant and len(x.shape) == 2 and axis == 0 and not indices.is_constant:
        return [Reading(op_of("Embedding", num_embeddings=x.shape[0], embedding_dim=x.shape[1]), [indices], [x])]
    numbers = indices.integers()
    if x.is_constant or numbers is None or indices.shape != ():
        raise UnreadError
    return [Reading(Select(axis, numbers[0]), [x])]


@rule("Pad")
def _pad(request: Request) -> list[Reading]:
    x, sizes = request.x(), request.integers(1, "pads")
    value = request.number(2, "value", 0.0)
    plain = request.attribute("mode", "constant") == "constant" and not value and request.maybe(3) is None
    if not plain or sizes is None or len(sizes) != 8 or any(sizes[place] for place in (0, 1, 4, 5)):
        raise UnreadError
    top, left, bottom, right = sizes[2], sizes[3], sizes[6], sizes[7]
    return [Reading(op_of("ZeroPad2d", padding=(left, right, top, bottom)), [x])]


@rule("DepthToSpace")
def _depth_to_space(request: Request) -> list[Reading]:
    if request.attribute("mode", "DCR") != "CRD":
        # It takes the channels in another order than torch's PixelShuffle.
        raise UnreadError
    return [Reading(op_of("PixelShuffle", upscale_factor=int(request.attribute("blocksize"))), [request.x()])]


@rule(*_REDUCTIONS)
def _reduction(request: Request) -> list[Reading]:
    x = request.x()
    axes = request.integers(1, "axes")
    if not axes:
        if request.attribute("noop_with_empty_axes", 0):
            raise UnreadError
        axes = tuple(range(request.rank))
    places = tuple(sorted({axis % request.rank for axis in axes}))
    keep = bool(request.attribute("keepdims", 1))
    return [Reading(_pool_of(_REDUCTIONS[request.call.kind], places, keep, request), [x])]


def _pool_of(function: str, axes: tuple[int, ...], keep: bool, request: Request) -> Op:
    """A reduction; that of all positions of (N, C, ...) is a global pool."""
    pools = function in ("mean", "amax") and request.rank > 2 and axes == tuple(range(2, request.rank))
    return (GlobalPool if pools else Reduction)(function, axes, keep, request.dtype)


@rule("ArgMax", "ArgMin")
def _place_of_largest(request: Request) -> list[Reading]:
    axis, keep = request.axis(), bool(request.attribute("keepdims", 1))
    return [Reading(Reduction(request.call.kind, (axis,), keep, request.dtype), [request.x()])]


def is_weight_matrix(value: Value) -> bool:
    """Whether a constant is a matrix that a layer may multiply by."""
    return value.is_constant and len(value.shape) == 2 and prod(value.shape) > 0
