"""Matrix products, recurrent layers and attention: what multiplies."""

from math import prod

from gnet_inspect.ops import MERGES, op_of
from gnet_inspect.ops.attention import ScaledDotProductAttention
from gnet_inspect.ops.functions import Einsum, Function
from gnet_inspect.sources.onnx.calls import Reading, Request, UnreadError, counter, rule
from gnet_inspect.sources.onnx.moving import is_weight_matrix

_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


@rule("MatMul")
def _matmul(request: Request) -> list[Reading]:
    left, right = request.x(), request.x(1)
    if is_weight_matrix(right) and not left.is_constant and len(left.shape) > 1:
        return [Reading(op_of("Linear", out_features=right.shape[1], bias=False), [left], [right])]
    return [Reading(MERGES["matmul"](), [left, right])]


@rule("Einsum")
def _einsum(request: Request) -> list[Reading]:
    factors = [request.x(place) for place in range(len(request.inputs))]
    shapes = tuple(factor.shape for factor in factors)
    op = Einsum(str(request.attribute("equation")), request.shapes[0], shapes)
    # An equation that does not fit is known by what it makes alone.
    op.macs(shapes, request.shapes)
    return [Reading(op, factors)]


@rule("LSTM", "GRU", "RNN")
def _recurrent(request: Request) -> list[Reading]:
    """As one function: ONNX has the steps first, and the gates and directions in another order than torch's layers."""
    counted = _steps(request)
    values, weights = request.parted()
    return [Reading(Function(request.call.kind, request.shapes, request.dtype, counted), values, weights)]


@counter("LSTM", "GRU", "RNN")
def _steps(request: Request) -> int:
    """Every weight once for each step of each sequence."""
    x, read, again = request.x(), request.weight(1), request.weight(2)
    if len(x.shape) != 3 or len(read.shape) != 3 or len(again.shape) != 3:
        raise UnreadError
    return x.shape[0] * x.shape[1] * (read.elements + again.elements)


@rule("Attention")
def _attention(request: Request) -> list[Reading]:
    """ONNX's own, of opset 23, where it is torch's function of three values."""
    three = [request.x(place) for place in range(3)]
    more = [request.maybe(place) for place in range(3, len(request.inputs))]
    if len(request.shapes) > 1 or any(value is not None for value in more) or any(len(x.shape) != 4 for x in three):
        raise UnreadError
    return [Reading(ScaledDotProductAttention(is_causal=bool(request.attribute("is_causal", 0))), three)]


# --- multiply-accumulates alone ---


@counter("Attention", "MultiHeadAttention")
def _attended(request: Request) -> int | None:
    """Every query times every key, and every weight times every value, of those that were here before, too."""
    if request.call.kind == "Attention" and request.call.domain:
        # onnxruntime's own, which projects what it is given.
        x, weight = request.x(), request.weight(1)
        batch, length, _ = x.shape
        wide = weight.shape[1] // 3
        return batch * length * weight.elements + 2 * batch * length * length * wide
    query, key, value = (request.x(place) for place in range(3))
    if len(query.shape) == 4:
        batch, heads, length, each = query.shape
        positions, made = key.shape[2], value.shape[3]
    else:
        batch, length, wide = query.shape
        heads = int(request.attribute("q_num_heads", request.attribute("num_heads")))
        rows = int(request.attribute("kv_num_heads", heads))
        each, positions, made = wide // heads, key.shape[1], value.shape[2] // rows
    past = request.maybe(4 if not request.call.domain else 6)
    positions += past.shape[2] if past is not None else 0
    return batch * heads * length * positions * (each + made)


@counter("MatMul", "FusedMatMul", "MatMulInteger", "QLinearMatMul")
def _by_inner(request: Request) -> int:
    x = request.x()
    inner = x.shape[-2] if request.attribute("transA", 0) else x.shape[-1]
    return prod(request.shapes[0]) * inner


@counter("Gemm", "FusedGemm", "QGemm")
def _of_matrices(request: Request) -> int:
    return prod(request.shapes[0]) * request.x().shape[0 if request.attribute("transA", 0) else 1]


@counter("MatMulNBits")
def _of_packed(request: Request) -> int:
    return prod(request.shapes[0]) * int(request.attribute("K"))


@counter("Conv", "FusedConv", "ConvInteger", "QLinearConv", "DeformConv")
def _convolved(request: Request) -> int:
    weight = request.x(3 if request.call.kind == "QLinearConv" else 1)
    made = request.shapes[0]
    return made[0] * prod(made[2:]) * prod(weight.shape)


@counter("ConvTranspose")
def _convolved_back(request: Request) -> int:
    x, weight = request.x(), request.x(1)
    return x.shape[0] * prod(x.shape[2:]) * prod(weight.shape)
