"""Matrix products in every spelling, and what multiplies and has no kind in the vocabulary."""

from math import prod

from gnet_inspect.graph.recording import Made
from gnet_inspect.ops import MERGES, Shape, op_of
from gnet_inspect.ops.attention import ScaledDotProductAttention
from gnet_inspect.ops.functions import Einsum, MatrixProduct, einsum_shape
from gnet_inspect.ops.movement import Permute
from gnet_inspect.sources.pt2.calls import Call, Reading, counter, parted, rule, shapes_of, with_weights


@rule("matmul", "mm", "bmm")
def _matmul(call: Call) -> list[Reading] | None:
    both = [call.tensor("self"), call.tensor("other" if "other" in call.arguments else "mat2")]
    if any(made.is_constant for made in both) or min(len(made.shape) for made in both) < 2:
        return None
    return _linear_of(call, both[0], both[1], None) or [Reading(MERGES["matmul"](), both)]


@rule("scaled_dot_product_attention")
def _attention(call: Call) -> list[Reading] | None:
    three = [call.tensor(name) for name in ("query", "key", "value")]
    mask = call.maybe("attn_mask")
    # A mask that data is in is a value more, which the vocabulary's kind does not read.
    if any(made.is_constant or made.is_side for made in three) or call.get("enable_gqa", False):
        return None
    if mask is not None and not mask.is_constant:
        return None
    return [Reading(ScaledDotProductAttention(is_causal=bool(call.get("is_causal", False))), three)]


@rule("einsum")
def _einsum(call: Call) -> list[Reading] | None:
    equation, factors = call.get("equation"), call.get("tensors")
    shapes = shapes_of(factors)
    return [Reading(Einsum(equation, einsum_shape(equation, shapes), shapes), parted(factors)[0] + parted(factors)[1])]


_SECOND = {
    "addmm": ("mat1", "mat2"),
    "baddbmm": ("batch1", "batch2"),
    "addmv": ("mat", "vec"),
    "mv": ("self", "vec"),
    "dot": ("self", "tensor"),
    "vdot": ("self", "other"),
    "inner": ("self", "other"),
}


@rule("addmm", "baddbmm", "addmv")
def _added_product(call: Call) -> list[Reading] | None:
    """bias + left x right."""
    bias = call.tensor()
    left, right = map(call.tensor, _SECOND[call.name])
    made = (*left.shape[:-1], *right.shape[-1:]) if len(right.shape) > 1 else left.shape[:-1]
    product = Reading(MatrixProduct(call.name, left.shape[-1], made), *parted([bias, left, right]))
    return _linear_of(call, left, right, bias) or [product]


@rule("mv", "dot", "vdot", "inner")
def _vector_product(call: Call) -> list[Reading] | None:
    left, right = map(call.tensor, _SECOND[call.name])
    made = (*left.shape[:-1], *right.shape[:-1]) if call.name == "inner" else left.shape[:-1]
    return [Reading(MatrixProduct(call.name, left.shape[-1], made), *parted([left, right]))]


def _linear_of(call: Call, left: Made, right: Made, bias: Made | None) -> list[Reading] | None:
    """A product with a weight that was turned, as a linear layer is decomposed."""
    turn = right.record
    if left.is_side or turn is None or not isinstance(turn.op, Permute) or len(right.shape) != 2:
        return None
    weight = turn.values[0]
    plain = call.get("alpha", 1) == 1 and call.get("beta", 1) == 1
    if not weight.weight or not plain or not (bias is None or bias.weight):
        return None
    return with_weights(op_of("Linear", out_features=right.shape[1], bias=bias is not None), left, (weight, bias))


# --- multiply-accumulates alone ---


@counter("conv1d", "conv2d", "conv3d", "conv")
def _convolved(call: Call) -> int:
    """Every position, of the output or of a transposed one's input, with each weight once."""
    x, weight = call.tensor("input"), call.tensor("weight")
    shape = x.shape if call.get("transposed", False) else call.shape
    return _positions(shape, weight) * prod(weight.shape)


@counter("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _convolved_back(call: Call) -> int:
    weight = call.tensor("weight")
    return _positions(call.tensor("input").shape, weight) * prod(weight.shape)


def _positions(shape: Shape, weight: Made) -> int:
    return shape[0] * prod(shape[2:]) if len(shape) == len(weight.shape) else prod(shape[1:])


@counter("linear", "matmul", "mm", "bmm", "mv", "dot", "vdot", "inner", "int_mm", "scaled_mm")
def _by_inner(call: Call) -> int:
    first = call.tensor("input" if "input" in call.arguments else "self")
    return prod(call.shape) * first.shape[-1]


_KERNELS = ("attention", *(f"{kind}_attention" for kind in ("flash", "efficient", "cudnn")), "flash_attention_for_cpu")


@counter(*(f"scaled_dot_product_{kernel}" for kernel in _KERNELS))
def _attended(call: Call) -> int:
    query, key, value = (call.tensor(name).shape for name in ("query", "key", "value"))
    return prod(call.shape[:-2]) * query[-2] * key[-2] * (query[-1] + value[-1])


@counter("lstm", "gru", "rnn_tanh", "rnn_relu")
def _recurrent(call: Call) -> int:
    """Every weight once for each step of each sequence."""
    weights: list[Made] = call.get("params")
    matrices = sum(prod(weight.shape) for weight in weights if len(weight.shape) == 2)
    return prod(call.tensor("input").shape[:-1]) * matrices


@counter("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell")
def _cell(call: Call) -> int:
    weights = [call.tensor(name).shape for name in ("w_ih", "w_hh")]
    return prod(call.tensor("input").shape[:-1]) * sum(map(prod, weights))
