"""Matrix products in every spelling, and what multiplies and has no kind in the vocabulary."""

from collections.abc import Callable
from math import prod

from torch import Tensor

from gnet_inspect.ops import MERGES, Shapes
from gnet_inspect.ops.attention import ScaledDotProductAttention
from gnet_inspect.ops.functions import Einsum, MatrixProduct, einsum_shape
from gnet_inspect.runtime.tracing.calls import COUNTERS, Counter, Reading, Request, rule, shapes_of


@rule("matmul", "mm", "bmm")
def _matmul(request: Request) -> list[Reading] | None:
    left, right = request.get(0, "input"), request.get(1, "other", request.kwargs.get("mat2"))
    if request.func.__name__ == "__rmatmul__":
        left, right = right, left
    if not (request.is_known(left) and request.is_known(right)):
        return None
    return [Reading(MERGES["matmul"](), [left, right])] if min(left.dim(), right.dim()) >= 2 else None


@rule("scaled_dot_product_attention")
def _attention(request: Request) -> list[Reading] | None:
    three = [request.get(place, name) for place, name in enumerate(("query", "key", "value"))]
    if not all(request.is_known(item) and not request.is_side(item) for item in three):
        return None
    mask = request.get(3, "attn_mask")
    # A mask that data is in is a value more, which the vocabulary's kind does not read.
    if request.is_known(mask) or request.kwargs.get("enable_gqa", False):
        return None
    op = ScaledDotProductAttention(is_causal=bool(request.get(5, "is_causal", False)))
    quick = op.outputs(tuple(tuple(item.shape) for item in three))[0]
    return [Reading(op, three, quick=quick)]


@rule("einsum")
def _einsum(request: Request) -> list[Reading] | None:
    equation = request.args[0]
    factors = request.args[1:]
    if len(factors) == 1 and isinstance(factors[0], list | tuple):
        factors = tuple(factors[0])
    if not isinstance(equation, str):
        return None
    shapes = shapes_of(factors)
    made = einsum_shape(equation, shapes)
    known = [factor for factor in factors if request.is_known(factor)]
    return [Reading(Einsum(equation, made, shapes), known)]


@rule("addmm", "baddbmm", "addmv")
def _added_product(request: Request) -> list[Reading] | None:
    """bias + left x right."""
    left = request.get(1, "mat1", request.kwargs.get("batch1"))
    right = request.get(2, "mat2", request.kwargs.get("batch2"))
    tensors = [request.get(0, "input"), left, right]
    made = (*left.shape[:-1], *right.shape[-1:]) if right.dim() > 1 else tuple(left.shape[:-1])
    return [Reading(MatrixProduct(request.name, int(left.shape[-1]), tuple(made)), *request.parted(tensors))]


@rule("mv", "dot", "vdot", "inner")
def _vector_product(request: Request) -> list[Reading] | None:
    left, right = (
        request.get(0, "input"),
        request.get(1, "vec", request.kwargs.get("other", request.kwargs.get("tensor"))),
    )
    made = (*left.shape[:-1], *right.shape[:-1]) if request.name == "inner" else tuple(left.shape[:-1])
    return [Reading(MatrixProduct(request.name, int(left.shape[-1]), tuple(made)), *request.parted((left, right)))]


@rule("grouped_mm")
def _grouped_product(request: Request) -> list[Reading] | None:
    """Groups of rows or columns, each with a matrix of its own: where the groups end says `offs`, and no shape."""
    left, right, ends = request.get(0, "mat_a"), request.get(1, "mat_b"), request.get(2, "offs")
    made = {
        (2, 3): (*left.shape[:-1], right.shape[-1]),
        (3, 2): (*left.shape[1:-1], right.shape[-1]),
        (3, 3): (*left.shape[:-1], right.shape[-1]),
    }.get((left.dim(), right.dim()))
    if made is None or left.shape[-1] != right.shape[-2]:
        return None
    values, slots = request.parted([left, right, ends, request.get(3, "bias")])
    quick = made if request.get(4, "out_dtype") is None and left.dtype == right.dtype else None
    return [Reading(MatrixProduct(request.name, int(left.shape[-1]), made), values, slots, quick=quick)]


# --- multiply-accumulates alone ---


def counter(*names: str) -> Callable[[Counter], Counter]:
    """Keep what counts the functions of some names."""

    def keep(found: Counter) -> Counter:
        for name in names:
            COUNTERS[name] = found
        return found

    return keep


@counter("conv1d", "conv2d", "conv3d")
def _convolved(request: Request, made: Shapes) -> int:
    weight = request.get(1, "weight")
    return (
        made[0][0] * prod(made[0][2:]) * int(weight.numel())
        if len(made[0]) == weight.dim()
        else prod(made[0][1:]) * int(weight.numel())
    )


@counter("conv")
def _convolved_by_operator(request: Request, made: Shapes) -> int | None:
    """torch's one operator for all of them."""
    transposed = bool(request.get(6, "transposed", False))
    return _convolved_back(request, made) if transposed else _convolved(request, made)


@counter("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _convolved_back(request: Request, _: Shapes) -> int:
    x, weight = request.get(0, "input"), request.get(1, "weight")
    batched = x.dim() == weight.dim()
    return int((x.shape[0] * prod(x.shape[2:]) if batched else prod(x.shape[1:])) * weight.numel())


@counter("linear", "matmul", "mm", "bmm", "mv", "dot", "vdot", "inner", "int_mm", "scaled_mm")
def _by_inner(request: Request, made: Shapes) -> int:
    return prod(made[0]) * int(request.get(0, "input").shape[-1])


_KERNELS = ("attention", *(f"{kind}_attention" for kind in ("flash", "efficient", "cudnn")), "flash_attention_for_cpu")


@counter(*(f"scaled_dot_product_{kernel}" for kernel in _KERNELS))
def _attended(request: Request, made: Shapes) -> int:
    query, key, value = (request.get(place, name) for place, name in enumerate(("query", "key", "value")))
    batch = prod(made[0][:-2])
    return int(batch * query.shape[-2] * key.shape[-2] * (query.shape[-1] + value.shape[-1]))


@counter("multi_head_attention_forward")
def _many_headed(request: Request, _: Shapes) -> int:
    query, key, value = (request.get(place, name) for place, name in enumerate(("query", "key", "value")))
    features = query.shape[-1]
    batch = query.shape[1] if query.dim() == 3 else 1
    length, positions = query.shape[0], key.shape[0]
    more = positions + (request.get(7, "bias_k") is not None) + bool(request.get(9, "add_zero_attn", False))
    projected = 2 * length * features + positions * (key.shape[-1] + value.shape[-1])
    return int(batch * features * (projected + 2 * length * more))


@counter("lstm", "gru", "rnn_tanh", "rnn_relu")
def _recurrent(request: Request, _: Shapes) -> int:
    """Every weight once for each step of each sequence."""
    x = request.args[0]
    weights = next(
        item
        for item in request.args
        if isinstance(item, list | tuple)
        and item
        and all(isinstance(part, Tensor) and part.dim() <= 2 for part in item)
        and item[0].dim() == 2
    )
    matrices = sum(weight.numel() for weight in weights if weight.dim() == 2)
    return int(prod(x.shape[:-1]) * matrices)


@counter("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell")
def _cell(request: Request, _: Shapes) -> int:
    x = request.args[0]
    weights = [
        item for item in request.args[1:] if isinstance(item, Tensor) and item.dim() == 2 and request.is_side(item)
    ]
    return int(prod(x.shape[:-1]) * sum(weight.numel() for weight in weights))


@counter("tensordot")
def _tensordot(request: Request, made: Shapes) -> int:
    left, right = request.get(0, "a"), request.get(1, "b")
    # Every output element sums the products of what both have in common.
    inner = round((left.numel() * right.numel() / max(prod(made[0]), 1)) ** 0.5)
    return int(prod(made[0]) * inner)
