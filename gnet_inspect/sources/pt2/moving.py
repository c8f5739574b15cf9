"""What joins values, moves their elements, or takes all of an axis together."""

from collections.abc import Sequence
from math import prod
from typing import Any

from gnet_inspect.graph.recording import Made
from gnet_inspect.ops import MERGES, VOCABULARY, op_of
from gnet_inspect.ops.arguments import Number
from gnet_inspect.ops.functions import Select, Stack, pool_of_mean
from gnet_inspect.sources.pt2.calls import Call, Reading, alone, rule


def _all_known(parts: Sequence[Made]) -> bool:
    return not any(part.is_constant for part in parts)


@rule("cat")
def _cat(call: Call) -> list[Reading] | None:
    parts, dim = call.get("tensors"), call.get("dim", 0)
    if not _all_known(parts) or len({len(part.shape) for part in parts}) > 1:
        return None
    return [Reading(MERGES["concat"](dim=_whole(dim) % len(parts[0].shape)), parts)]


@rule("stack")
def _stack(call: Call) -> list[Reading] | None:
    parts = call.get("tensors")
    return [Reading(Stack(_whole(call.get("dim", 0))), parts)] if _all_known(parts) else None


@rule("add")
def _add(call: Call) -> list[Reading] | None:
    both = [call.tensor("self"), call.tensor("other")]
    if not _all_known(both) or both[0].dtype != "float":
        return None
    return [Reading(MERGES["add"](scale=Number().read(call.get("alpha", 1))), both)]


@rule("mul")
def _mul(call: Call) -> list[Reading] | None:
    both = [call.tensor("self"), call.tensor("other")]
    return [Reading(MERGES["mul"](), both)] if _all_known(both) and both[0].dtype == "float" else None


@rule("reshape")
def _reshape(call: Call) -> list[Reading] | None:
    # -1 and 0 are sizes of their own in the vocabulary: what is made is written out.
    x = call.tensor()
    if call.get("size", call.get("shape")) is None or 0 in call.shape or prod(x.shape) != prod(call.shape):
        return None
    return alone(call, VOCABULARY["Reshape"](shape=call.shape))


@rule("flatten")
def _flatten(call: Call) -> list[Reading] | None:
    return alone(call, op_of("Flatten", start_dim=call.get("start_dim", 0), end_dim=call.get("end_dim", -1)))


@rule("unflatten")
def _unflatten(call: Call) -> list[Reading] | None:
    return alone(call, op_of("Unflatten", dim=call.get("dim"), unflattened_size=tuple(call.get("sizes"))))


@rule("unsqueeze")
def _unsqueeze(call: Call) -> list[Reading] | None:
    return alone(call, op_of("Unsqueeze", dim=call.get("dim")))


@rule("permute")
def _permute(call: Call) -> list[Reading] | None:
    rank = len(call.tensor().shape)
    return _permuted(call, [dim % rank for dim in call.get("dims")])


@rule("transpose")
def _transpose(call: Call) -> list[Reading] | None:
    first, second = call.get("dim0"), call.get("dim1")
    order = list(range(len(call.tensor().shape)))
    order[first], order[second] = order[second], order[first]
    return _permuted(call, order)


@rule("t", "T", "mT")
def _turned(call: Call) -> list[Reading] | None:
    order = list(range(len(call.tensor().shape)))
    return _permuted(call, [*order[:-2], *order[:-3:-1]] if call.name == "mT" else order[::-1])


@rule("movedim")
def _movedim(call: Call) -> list[Reading] | None:
    rank = len(call.tensor().shape)
    sources, targets = ([dim % rank for dim in _listed(call.get(name))] for name in ("source", "destination"))
    order: list[int | None] = [None] * rank
    for one, other in zip(sources, targets, strict=True):
        order[other] = one
    rest = iter([dim for dim in range(rank) if dim not in sources])
    return _permuted(call, [next(rest) if dim is None else dim for dim in order])


def _permuted(call: Call, order: Sequence[int]) -> list[Reading] | None:
    return alone(call, VOCABULARY["Permute"](dims=tuple(order)))


def _listed(value: Any) -> list[int]:
    return list(map(_whole, [value] if isinstance(value, int) else value))


def _whole(value: Any) -> int:
    """A number that is one; a TypeError else."""
    if type(value) is not int:
        raise TypeError(value)
    return value


@rule("chunk", "split", "split_with_sizes", "tensor_split", "unsafe_chunk", "unsafe_split")
def _split(call: Call) -> list[Reading] | None:
    """Parts as long as the file says that they are."""
    x = call.tensor()
    dim = _whole(call.get("dim", 0)) % len(x.shape)
    found: list[Reading] = []
    start = 0
    for index, size in enumerate(_sizes_of_parts(call, x.shape[dim])):
        stop = start + size
        if call.outputs[index].shape is not None:
            found.append(Reading(op_of("Slice", dim=dim, start=start, stop=stop), [x], part=index))
        start = stop
    return None if x.is_constant else found


def _sizes_of_parts(call: Call, size: int) -> list[int]:
    number = len(call.outputs)
    if call.name == "tensor_split":
        each, more = divmod(size, _whole(call.get("sections")))
        return [each + (index < more) for index in range(number)]
    given = call.get("split_sizes", call.get("split_size", call.get("chunks")))
    if isinstance(given, list):
        return given[:number]
    step = -(-size // given) if call.name.endswith("chunk") else given
    return [min(step, size - start) for start in range(0, number * step, step)]


@rule("unbind")
def _unbind(call: Call) -> list[Reading] | None:
    x, dim = call.tensor(), call.get("dim", 0)
    dim = _whole(dim) % len(x.shape)
    if len(call.outputs) != x.shape[dim] or x.is_constant:
        return None
    places = [index for index, output in enumerate(call.outputs) if output.shape is not None]
    return [Reading(Select(dim, index), [x], part=index) for index in places]


@rule("select")
def _select(call: Call) -> list[Reading] | None:
    return alone(call, Select(_whole(call.get("dim")) % len(call.tensor().shape), _whole(call.get("index"))))


@rule("slice")
def _slice(call: Call) -> list[Reading] | None:
    x = call.tensor()
    dim, step = _whole(call.get("dim", 0)) % len(x.shape), call.get("step", 1)
    start, stop, _ = slice(call.get("start"), call.get("end"), step).indices(x.shape[dim])
    if (start, stop, step) == (0, x.shape[dim], 1):
        # All of it: x[:, 0] slices the first axis, too.
        return [Reading(op_of("Identity"), [x], is_alias=True)]
    return alone(call, op_of("Slice", dim=dim, start=start, stop=stop, step=step))


@rule("narrow")
def _narrow(call: Call) -> list[Reading] | None:
    dim, start, length = (_whole(call.get(name)) for name in ("dim", "start", "length"))
    return alone(call, op_of("Slice", dim=dim % len(call.tensor().shape), start=start, stop=start + length))


@rule("roll")
def _roll(call: Call) -> list[Reading] | None:
    return alone(call, op_of("Roll", shifts=tuple(call.get("shifts")), dims=tuple(call.get("dims", ()))))


@rule("pixel_shuffle")
def _pixel_shuffle(call: Call) -> list[Reading] | None:
    return alone(call, op_of("PixelShuffle", upscale_factor=call.get("upscale_factor")))


@rule("pixel_unshuffle")
def _pixel_unshuffle(call: Call) -> list[Reading] | None:
    return alone(call, op_of("PixelUnshuffle", downscale_factor=call.get("downscale_factor")))


@rule("channel_shuffle", "native_channel_shuffle")
def _channel_shuffle(call: Call) -> list[Reading] | None:
    return alone(call, op_of("ChannelShuffle", groups=call.get("groups")))


@rule("pad", "constant_pad_nd")
def _pad(call: Call) -> list[Reading] | None:
    sizes, value = tuple(call.get("pad")), call.get("value")
    if call.get("mode", "constant") != "constant" or value not in (None, 0) or len(sizes) != 4:
        return None
    return alone(call, op_of("ZeroPad2d", padding=sizes)) if len(call.tensor().shape) == 4 else None


@rule("contiguous", "alias", "detach", "lift_fresh", "lift_fresh_copy")
def _alias(call: Call) -> list[Reading] | None:
    return [Reading(op_of("Identity"), [call.tensor()], is_alias=True)]


@rule("to")
def _converted(call: Call) -> list[Reading] | None:
    """What changes neither shape nor dtype may be a copy, which is no step of the network's."""
    x = call.tensor()
    dtype = call.get("dtype")
    return [Reading(op_of("Identity"), [x], is_alias=True)] if dtype is None else None


@rule(
    *("mean", "sum", "amax", "amin", "prod", "std", "var", "logsumexp", "any", "all", "count_nonzero", "nansum"),
    *("norm", "linalg_vector_norm"),
)
def _reduction(call: Call) -> list[Reading] | None:
    rank, dims = len(call.tensor().shape), call.get("dim")
    axes = tuple(range(rank)) if dims in (None, []) else tuple(_listed(dims))
    return alone(call, pool_of_mean(call.name, axes, bool(call.get("keepdim", False)), rank, call.outputs[0].dtype))
