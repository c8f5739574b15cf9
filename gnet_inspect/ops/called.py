"""What torch's functions and operators are called: one name for each way to write one thing, and what is known of a
function by that name alone."""

# Python's operators, the other names of functions, and what an operator's own name says beside that.
SPELLINGS = {
    "rsub": "sub",
    "rdiv": "div",
    "truediv": "div",
    "rtruediv": "div",
    "floordiv": "floor_divide",
    "rfloordiv": "floor_divide",
    "rpow": "pow",
    "radd": "add",
    "rmul": "mul",
    "rmatmul": "matmul",
    "iadd": "add",
    "isub": "sub",
    "imul": "mul",
    "idiv": "div",
    "itruediv": "div",
    "ipow": "pow",
    "invert": "bitwise_not",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "subtract": "sub",
    "multiply": "mul",
    "divide": "div",
    "true_divide": "div",
    "concat": "cat",
    "concatenate": "cat",
    "view": "reshape",
    "_unsafe_view": "reshape",
    "view_as": "reshape",
    "reshape_as": "reshape",
    "swapaxes": "transpose",
    "swapdims": "transpose",
    "moveaxis": "movedim",
    "convolution": "conv",
}


def plain_name(name: str) -> str:
    """The one name of a function, of its method, of its operator and of what works in place.

    >>> plain_name("__radd__"), plain_name("relu_"), plain_name("view"), plain_name("_softmax")
    ('add', 'relu', 'reshape', 'softmax')
    """
    if name.startswith("__") and name.endswith("__"):
        name = name.strip("_")
    elif name.endswith("_") and not name.startswith("_"):
        name = name.rstrip("_")
    return SPELLINGS.get(name, name).strip("_") or "function"


# Functions that are an activation as it is by default, by their names: the layer.
ACTIVATIONS = {
    "relu": "ReLU",
    "relu6": "ReLU6",
    "silu": "SiLU",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "hardswish": "Hardswish",
    "hardsigmoid": "Hardsigmoid",
    "mish": "Mish",
}

# The namespaces of torch's own operators.
OWN = ("aten", "prims", "prim", "_")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Of these nobody says what they multiply: solvers and transforms.
UNCOUNTED = (
    "linalg",
    "fft",
    "ifft",
    "rfft",
    "irfft",
    "stft",
    "istft",
    "svd",
    "inverse",
    "pinverse",
    "cholesky",
    "qr",
    "cdist",
    "matrix_exp",
    "matrix_power",
    "orgqr",
    "ormqr",
)
# Convolutions, linear layers and matrix products.
MULTIPLYING = _words(
    "matmul mm bmm mv dot vdot inner addmm addmv addbmm baddbmm addr tensordot einsum bilinear linear conv conv1d "
    "conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d scaled_dot_product_attention "
    "multi_head_attention_forward lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell "
    "chain_matmul multi_dot trilinear "
)
# Of what else a name has one of these words, nobody knows that it multiplies nothing.
_PRODUCTS = _words("mm gemm addmm matmul linear conv conv2d conv3d convolution attention lstm gru")
# What moves elements and computes none.
MOVERS = _words(
    "expand expand_as broadcast_to clone repeat tile repeat_interleave gather index_select take take_along_dim "
    "flip rot90 getitem transpose permute movedim t T mT H mH reshape squeeze unsqueeze flatten unflatten unfold "
    "fold roll pad pixel_shuffle pixel_unshuffle channel_shuffle narrow select diagonal index_copy scatter tril "
    "triu setitem copy view_as_real view_as_complex as_strided unfold_copy constant_pad_nd masked_select hstack "
    "vstack dstack index index_put slice slice_scatter select_scatter unbind split chunk lift_fresh masked_scatter "
)
# Each element by itself; others of one shape may mix positions.
POINTWISE = _words(
    "add sub mul div pow neg abs exp exp2 expm1 log log2 log10 log1p sqrt rsqrt square reciprocal sin cos tan "
    "asin acos atan atan2 sinh cosh tanh sigmoid erf erfc erfinv floor ceil round trunc frac sign sgn clamp "
    "clamp_min clamp_max clip maximum minimum fmax fmin where masked_fill lerp addcmul addcdiv fmod remainder "
    "floor_divide eq ne lt le gt ge logical_and logical_or logical_not logical_xor bitwise_and bitwise_or "
    "bitwise_not isnan isinf isfinite nan_to_num relu relu6 leaky_relu prelu elu selu celu gelu silu mish "
    "hardswish hardsigmoid hardtanh softplus softsign logsigmoid logit tanhshrink hardshrink softshrink threshold "
    "rrelu to type type_as float half double bfloat16 long int bool short real imag dropout dropout1d dropout2d "
    "dropout3d feature_dropout alpha_dropout feature_alpha_dropout bernoulli zeros_like positive xlogy hypot "
    "ldexp heaviside polygamma digamma lgamma sinc i0 angle conj fill zero detach requires_grad rsub "
)


def multiplies(name: str) -> bool:
    """Whether a function of torch's multiplies, or may by what it is called."""
    return name in MULTIPLYING or not _PRODUCTS.isdisjoint(name.split("_"))
