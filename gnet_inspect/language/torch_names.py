"""What torch has and specs do not, by name: a layer's class, a function, an argument is answered as what it is.

A class outside the vocabulary must never be answered with one that is spelt alike: a ReLU in place of a PReLU has no
weights, a Conv2d in place of a Conv3d another shape.
"""

import re
from collections.abc import Collection

from gnet_inspect.errors import did_you_mean, nearest
from gnet_inspect.spelling import near_names, plain_name

# Every class of torch.nn (torch 2.13). Written out because the static path never imports torch; a test compares it with
# the installed torch.
CLASSES = frozenset(
    """
    AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveLogSoftmaxWithLoss AdaptiveMaxPool1d
    AdaptiveMaxPool2d AdaptiveMaxPool3d AlphaDropout AvgPool1d AvgPool2d AvgPool3d BCELoss BCEWithLogitsLoss
    BatchNorm1d BatchNorm2d BatchNorm3d Bilinear CELU CTCLoss ChannelShuffle CircularPad1d CircularPad2d
    CircularPad3d ConstantPad1d ConstantPad2d ConstantPad3d Container Conv1d Conv2d Conv3d ConvTranspose1d
    ConvTranspose2d ConvTranspose3d CosineEmbeddingLoss CosineSimilarity CrossEntropyLoss CrossMapLRN2d
    DataParallel Dropout Dropout1d Dropout2d Dropout3d ELU Embedding EmbeddingBag FeatureAlphaDropout Flatten
    Fold FractionalMaxPool2d FractionalMaxPool3d GELU GLU GRU GRUCell GaussianNLLLoss GroupNorm Hardshrink
    Hardsigmoid Hardswish Hardtanh HingeEmbeddingLoss HuberLoss Identity InstanceNorm1d InstanceNorm2d
    InstanceNorm3d KLDivLoss L1Loss LPPool1d LPPool2d LPPool3d LSTM LSTMCell LayerNorm LazyBatchNorm1d
    LazyBatchNorm2d LazyBatchNorm3d LazyConv1d LazyConv2d LazyConv3d LazyConvTranspose1d LazyConvTranspose2d
    LazyConvTranspose3d LazyInstanceNorm1d LazyInstanceNorm2d LazyInstanceNorm3d LazyLinear LeakyReLU Linear
    LinearCrossEntropyLoss LocalResponseNorm LogSigmoid LogSoftmax MSELoss MarginRankingLoss MaxPool1d MaxPool2d
    MaxPool3d MaxUnpool1d MaxUnpool2d MaxUnpool3d Mish Module ModuleDict ModuleList MultiLabelMarginLoss
    MultiLabelSoftMarginLoss MultiMarginLoss MultiheadAttention NLLLoss NLLLoss2d PReLU PairwiseDistance
    ParameterDict ParameterList PixelShuffle PixelUnshuffle PoissonNLLLoss RMSNorm RNN RNNBase RNNCell
    RNNCellBase RReLU ReLU ReLU6 ReflectionPad1d ReflectionPad2d ReflectionPad3d ReplicationPad1d
    ReplicationPad2d ReplicationPad3d SELU Sequential SiLU Sigmoid SmoothL1Loss SoftMarginLoss Softmax Softmax2d
    Softmin Softplus Softshrink Softsign SyncBatchNorm Tanh Tanhshrink Threshold Transformer TransformerDecoder
    TransformerDecoderLayer TransformerEncoder TransformerEncoderLayer TripletMarginLoss
    TripletMarginWithDistanceLoss Unflatten Unfold Upsample UpsamplingBilinear2d UpsamplingNearest2d ZeroPad1d
    ZeroPad2d ZeroPad3d
    """.split()  # noqa: SIM905  # a list would take 170 lines
)

# Functions of torch and torch.nn.functional that are not spelt as their class is; the same test goes through them all.
FUNCTIONS = {
    "batch_norm": "BatchNorm2d",
    "instance_norm": "InstanceNorm2d",
    "interpolate": "Upsample",
    "upsample_nearest": "Upsample",
    "upsample_bilinear": "Upsample",
    "lrn": "LocalResponseNorm",
    "swish": "SiLU",
    "pad": "ZeroPad2d",
    "cross_entropy": "CrossEntropyLoss",
    "binary_cross_entropy": "BCELoss",
    "binary_cross_entropy_with_logits": "BCEWithLogitsLoss",
    "linear_cross_entropy": "LinearCrossEntropyLoss",
    "kl_div": "KLDivLoss",
    "multi_head_attention_forward": "MultiheadAttention",
    "native_channel_shuffle": "ChannelShuffle",
    "cat": "concat",
    "concatenate": "concat",
    "multiply": "mul",
    "bmm": "matmul",
    "mm": "matmul",
    **dict.fromkeys(("split", "chunk", "narrow"), "Slice"),
    **dict.fromkeys(("transpose", "swapaxes"), "Permute"),
    "view": "Reshape",
    # Keras's name.
    "dense": "Linear",
    "affine_grid": "affine_grid",
    "conv_tbc": "conv_tbc",
    "grid_sample": "grid_sample",
    "grouped_mm": "grouped_mm",
    "gumbel_softmax": "gumbel_softmax",
    "normalize": "normalize",
    "one_hot": "one_hot",
    "pdist": "pdist",
    "scaled_dot_product_attention": "scaled_dot_product_attention",
    "scaled_grouped_mm": "scaled_grouped_mm",
    "scaled_mm": "scaled_mm",
}

_NUMBERED = ("1d", "2d", "3d")
# What a spec has in the place of a class that it lacks, where it has that exactly.
INSTEAD = {
    "CrossMapLRN2d": "write LocalResponseNorm",
    "ModuleList": "layers one after another are a list",
    "Sequential": "layers one after another are a list",
    "Softmax2d": "write Softmax with dim 1",
    "UpsamplingBilinear2d": "write Upsample with mode bilinear and align_corners true",
    "UpsamplingNearest2d": "write Upsample",
    "LazyLinear": "the input's size is inferred in Linear, too",
    **{
        f"Lazy{kind}{axes}": f"the input's size is inferred in {kind}{axes}, too"
        for kind in ("Conv", "ConvTranspose", "BatchNorm", "InstanceNorm")
        for axes in _NUMBERED
    },
}

# Arguments of torch's layers that change no shape or count here, or make results no network of layers has.
_PLACE = ("device", "dtype")
ARGUMENTS = {
    **{f"Conv{axes}": ("padding_mode", *_PLACE) for axes in _NUMBERED},
    **{f"ConvTranspose{axes}": ("padding_mode", *_PLACE) for axes in _NUMBERED},
    **{f"BatchNorm{axes}": ("bias", *_PLACE) for axes in _NUMBERED},
    **{f"InstanceNorm{axes}": ("bias", *_PLACE) for axes in _NUMBERED},
    **{f"MaxPool{axes}": ("return_indices",) for axes in _NUMBERED},
    **{f"AdaptiveMaxPool{axes}": ("return_indices",) for axes in _NUMBERED},
    "Linear": _PLACE,
    "GroupNorm": ("bias", *_PLACE),
    "LayerNorm": _PLACE,
    "RMSNorm": _PLACE,
    "PReLU": _PLACE,
    "Embedding": ("max_norm", "norm_type", "scale_grad_by_freq", "sparse", "_weight", "_freeze", *_PLACE),
    "MultiheadAttention": ("add_bias_kv", "add_zero_attn", *_PLACE),
    "LSTM": ("proj_size", *_PLACE),
    "GRU": _PLACE,
}
INFERRED = ("in_channels", "in_features", "num_features", "num_channels", "input_size", "embed_dim", "kdim", "vdim")
# What torch's class is told and a layer of a spec is not, and what stands for it.
INSTEAD_OF = {
    ("LayerNorm", "normalized_shape"): "the sizes are inferred; `axes` says how many of the last axes, 1 by default",
    ("RMSNorm", "normalized_shape"): "the sizes are inferred; `axes` says how many of the last axes, 1 by default",
    **{
        (kind, "batch_first"): "the batch is always the first axis; leave it out"
        for kind in ("MultiheadAttention", "LSTM", "GRU")
    },
}

_GRAMMAR = ("concat", "add", "mul", "matmul", "repeat", "share")
_PACKAGES = re.compile(r"F\.|(torch\.)?(nn\.)?(functional\.|modules\.\w+\.)?")


def layer_hint(written: str, blocks: Collection[str], vocabulary: Collection[str]) -> str:
    """How to mend the name of a layer that is neither a block nor of the vocabulary."""
    known = [*blocks, *vocabulary, *_GRAMMAR]
    package = _PACKAGES.match(written)
    name = ((written[package.end() :] if package else "") or written).removesuffix("_with_indices").removesuffix("_")
    same = [other for other in known if plain_name(other) == plain_name(name)]
    if same:
        return did_you_mean(name, same)
    lacking = {plain_name(other): other for other in CLASSES if other not in vocabulary}
    meant = FUNCTIONS.get(name.lower(), lacking.get(plain_name(name), ""))
    if meant in known:
        return f"did you mean `{meant}`?"
    if not meant:
        close = near_names(name, [*known, *lacking.values()])
        # As near to a layer that is there as to one that is not: the first is what a spec can say.
        there = [other for other in close if other in known]
        if there or not close:
            return did_you_mean(name, there) if there else nearest(name, known)
        meant = close[0]
    instead = f"; {INSTEAD[meant]}" if meant in INSTEAD else ""
    return f"torch has `{meant}`, specs do not{instead}"


def argument_hint(kind: str, name: str, known: Collection[str], is_block: bool) -> str:
    """How to mend the name of an argument that a class or block does not have."""
    if name == "<<":
        return "merge keys are YAML 1.1; an alias stands for a whole value"
    if name in INFERRED:
        return "the input's size is inferred; leave it out"
    if not is_block and (kind, name) in INSTEAD_OF:
        return INSTEAD_OF[kind, name]
    if not is_block and name in ARGUMENTS.get(kind, ()):
        return f"torch has `{name}`, specs do not"
    return nearest(name, known) if known else f"{kind} takes no arguments"
