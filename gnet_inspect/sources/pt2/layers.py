"""Operators of torch.nn's layers, as the kinds that their modules are."""

from gnet_inspect.graph.recording import Made
from gnet_inspect.ops import VOCABULARY, op_of
from gnet_inspect.ops.called import ACTIVATIONS
from gnet_inspect.sources.pt2.calls import Call, Reading, alone, first_of, rule, spread, with_weights

_AXES = (1, 2, 3)


@rule(*(f"conv{axes}d" for axes in _AXES))
def _convolution(call: Call) -> list[Reading] | None:
    x, weight, bias = call.tensor("input"), call.tensor("weight"), call.maybe("bias")
    axes = len(weight.shape) - 2
    op = op_of(
        f"Conv{axes}d",
        out_channels=weight.shape[0],
        kernel_size=weight.shape[2:],
        stride=spread(call.get("stride", 1), axes),
        padding=spread(call.get("padding", 0), axes),
        dilation=spread(call.get("dilation", 1), axes),
        groups=call.get("groups", 1),
        bias=bias is not None,
    )
    return with_weights(op, x, (weight, bias))


@rule(*(f"conv_transpose{axes}d" for axes in _AXES))
def _transposed(call: Call) -> list[Reading] | None:
    x, weight, bias = call.tensor("input"), call.tensor("weight"), call.maybe("bias")
    axes, groups = len(weight.shape) - 2, call.get("groups", 1)
    op = op_of(
        f"ConvTranspose{axes}d",
        out_channels=weight.shape[1] * groups,
        kernel_size=weight.shape[2:],
        stride=spread(call.get("stride", 1), axes),
        padding=spread(call.get("padding", 0), axes),
        output_padding=spread(call.get("output_padding", 0), axes),
        groups=groups,
        bias=bias is not None,
        dilation=spread(call.get("dilation", 1), axes),
    )
    return with_weights(op, x, (weight, bias))


@rule("conv")
def _any_convolution(call: Call) -> list[Reading] | None:
    """torch's one operator for all of them, as programs have it that were decomposed."""
    return _transposed(call) if call.get("transposed", False) else _convolution(call)


@rule("linear")
def _linear(call: Call) -> list[Reading] | None:
    x, weight, bias = call.tensor("input"), call.tensor("weight"), call.maybe("bias")
    op = op_of("Linear", out_features=weight.shape[0], bias=bias is not None)
    return with_weights(op, x, (weight, bias))


@rule(
    *("batch_norm", "native_batch_norm", "cudnn_batch_norm", "native_batch_norm_legit"),
    *("native_batch_norm_legit_no_training", "native_batch_norm_legit_functional"),
)
def _batch_norm(call: Call) -> list[Reading] | None:
    x, mean, variance = call.tensor("input"), call.maybe("running_mean"), call.maybe("running_var")
    weight, bias = call.maybe("weight"), call.maybe("bias")
    kind = {2: "BatchNorm1d", 3: "BatchNorm1d", 4: "BatchNorm2d", 5: "BatchNorm3d"}[len(x.shape)]
    if (weight is None) != (bias is None) or (mean is None) != (variance is None):
        return None
    op = op_of(
        kind,
        eps=call.get("eps", 1e-5),
        momentum=call.get("momentum", 0.1),
        affine=weight is not None,
        track_running_stats=mean is not None,
    )
    return with_weights(op, x, (weight, bias, mean, variance), first_of(call))


@rule("instance_norm")
def _instance_norm(call: Call) -> list[Reading] | None:
    x, weight, bias = call.tensor("input"), call.maybe("weight"), call.maybe("bias")
    mean, variance = call.maybe("running_mean"), call.maybe("running_var")
    if (weight is None) != (bias is None) or (mean is None) != (variance is None):
        return None
    op = op_of(
        f"InstanceNorm{len(x.shape) - 2}d",
        eps=call.get("eps"),
        momentum=call.get("momentum"),
        affine=weight is not None,
        track_running_stats=mean is not None,
    )
    return with_weights(op, x, (weight, bias, mean, variance))


@rule("layer_norm", "native_layer_norm")
def _layer_norm(call: Call) -> list[Reading] | None:
    x, shape, weight, bias = (
        call.tensor("input"),
        call.get("normalized_shape"),
        call.maybe("weight"),
        call.maybe("bias"),
    )
    if weight is None and bias is not None:
        return None
    op = op_of(
        "LayerNorm",
        axes=len(shape),
        eps=call.get("eps", 1e-5),
        elementwise_affine=weight is not None,
        bias=weight is None or bias is not None,
    )
    return with_weights(op, x, (weight, bias), first_of(call))


@rule("rms_norm", "fused_rms_norm")
def _rms_norm(call: Call) -> list[Reading] | None:
    x, weight = call.tensor("input"), call.maybe("weight")
    op = op_of(
        "RMSNorm", axes=len(call.get("normalized_shape")), eps=call.get("eps"), elementwise_affine=weight is not None
    )
    return with_weights(op, x, (weight,), first_of(call))


@rule("group_norm", "native_group_norm")
def _group_norm(call: Call) -> list[Reading] | None:
    x, weight, bias = call.tensor("input"), call.maybe("weight"), call.maybe("bias")
    if (weight is None) != (bias is None):
        return None
    groups = call.get("num_groups", call.get("group"))
    op = op_of("GroupNorm", num_groups=groups, eps=call.get("eps", 1e-5), affine=weight is not None)
    return with_weights(op, x, (weight, bias), first_of(call))


@rule("embedding")
def _embedding(call: Call) -> list[Reading] | None:
    x, weight = call.tensor("indices"), call.tensor("weight")
    if x.is_side:
        return None
    padding = call.get("padding_idx", -1)
    rows, features = weight.shape
    # -1 is torch's word for none, and cannot be told from the last row.
    op = op_of("Embedding", num_embeddings=rows, embedding_dim=features, padding_idx=None if padding == -1 else padding)
    return with_weights(op, x, (weight,))


# --- activations ---


@rule(*ACTIVATIONS)
def _activation(call: Call) -> list[Reading] | None:
    kind = ACTIVATIONS[call.name]
    return alone(call, op_of(kind, inplace=True) if call.is_in_place and _may_overwrite(kind) else op_of(kind))


def _may_overwrite(kind: str) -> bool:
    return "inplace" in VOCABULARY[kind].parameters()


@rule("gelu")
def _gelu(call: Call) -> list[Reading] | None:
    return alone(call, op_of("GELU", approximate=call.get("approximate", "none")))


@rule("hardtanh")
def _hardtanh(call: Call) -> list[Reading] | None:
    low, high = call.get("min_val", -1.0), call.get("max_val", 1.0)
    return alone(call, op_of("ReLU6", inplace=call.is_in_place)) if (low, high) == (0, 6) else None


@rule("leaky_relu")
def _leaky(call: Call) -> list[Reading] | None:
    op = op_of("LeakyReLU", negative_slope=call.get("negative_slope", 0.01), inplace=call.is_in_place)
    return alone(call, op)


@rule("elu")
def _elu(call: Call) -> list[Reading] | None:
    if (call.get("scale", 1), call.get("input_scale", 1)) != (1, 1):
        return None
    return alone(call, op_of("ELU", alpha=call.get("alpha", 1.0), inplace=call.is_in_place))


@rule("softplus")
def _softplus(call: Call) -> list[Reading] | None:
    return alone(call, op_of("Softplus", beta=call.get("beta", 1.0), threshold=call.get("threshold", 20.0)))


@rule("softmax")
def _softmax(call: Call) -> list[Reading] | None:
    return alone(call, op_of("Softmax", dim=call.get("dim")))


@rule("prelu", "prelu_kernel")
def _prelu(call: Call) -> list[Reading] | None:
    x, weight = call.tensor("self"), call.tensor("weight")
    # Decomposed, the slopes have axes for the positions.
    sizes = [size for size in weight.shape if size != 1]
    if len(sizes) > 1 or (len(weight.shape) > 1 and call.name == "prelu"):
        return None
    op = op_of("PReLU", num_parameters=sizes[0] if sizes else 1)
    return [Reading(op, [x], [weight])] if weight.is_side and not x.is_constant else None


@rule("dropout", "native_dropout")
def _dropout(call: Call) -> list[Reading] | None:
    x = call.tensor("self" if call.is_in_place else "input")
    drops = bool(call.get("train", True))
    if not drops and not call.layer:
        # A function that drops nothing hands on what it is given.
        return [Reading(op_of("Identity"), [x], is_alias=True)]
    op = op_of("Dropout", p=call.get("p", 0.5), inplace=call.is_in_place)
    return None if x.is_constant else [Reading(op, [x], part=first_of(call))]


# --- pools and sizes ---


@rule(*(f"max_pool{axes}d" for axes in _AXES), *(f"max_pool{axes}d_with_indices" for axes in _AXES))
def _max_pool(call: Call) -> list[Reading] | None:
    axes = int(call.name[len("max_pool")])
    op = op_of(
        f"MaxPool{axes}d",
        kernel_size=spread(call.get("kernel_size"), axes),
        stride=spread(call.get("stride") or None, axes),
        padding=spread(call.get("padding", 0), axes),
        dilation=spread(call.get("dilation", 1), axes),
        ceil_mode=call.get("ceil_mode", False),
    )
    return alone(call, op, part=first_of(call))


@rule(*(f"avg_pool{axes}d" for axes in _AXES))
def _avg_pool(call: Call) -> list[Reading] | None:
    axes = int(call.name[-2])
    more = {"divisor_override": call.get("divisor_override")} if axes > 1 else {}
    op = op_of(
        f"AvgPool{axes}d",
        kernel_size=spread(call.get("kernel_size"), axes),
        stride=spread(call.get("stride") or None, axes),
        padding=spread(call.get("padding", 0), axes),
        ceil_mode=call.get("ceil_mode", False),
        count_include_pad=call.get("count_include_pad", True),
        **more,
    )
    return alone(call, op)


@rule(*(f"adaptive_{kind}_pool{axes}d" for kind in ("avg", "max") for axes in _AXES))
def _adaptive(call: Call) -> list[Reading] | None:
    axes, kind = int(call.name[-2]), call.name.split("_")[1].capitalize()
    op = op_of(f"Adaptive{kind}Pool{axes}d", output_size=spread(call.get("output_size"), axes))
    return alone(call, op, part=first_of(call))


_RESAMPLED = {
    "upsample_nearest2d": "nearest",
    "upsample_nearest_exact2d": "nearest-exact",
    "upsample_bilinear2d": "bilinear",
    "upsample_bicubic2d": "bicubic",
}


@rule(*_RESAMPLED)
def _upsample(call: Call) -> list[Reading] | None:
    x: Made = call.tensor("input" if "input" in call.arguments else "self")
    factors, size = call.get("scale_factors"), call.get("output_size")
    op = op_of(
        "Upsample",
        size=None if factors else tuple(size),
        scale_factor=tuple(factors) if factors else None,
        mode=_RESAMPLED[call.name],
        align_corners=call.get("align_corners"),
    )
    return None if x.is_constant else [Reading(op, [x])]


@rule("lstm", "gru")
def _recurrent(call: Call) -> list[Reading] | None:
    """The layers with the batch first, from a state of zeros."""
    x, weights, state = call.tensor("input"), call.get("params"), call.get("hx")
    states = state if isinstance(state, list) else [state]
    if not call.get("batch_first", False) or not all(made.is_constant for made in states):
        return None
    op = op_of(
        call.name.upper(),
        hidden_size=weights[1].shape[1],
        num_layers=call.get("num_layers"),
        bias=call.get("has_biases"),
        dropout=call.get("dropout"),
        bidirectional=call.get("bidirectional"),
    )
    return with_weights(op, x, weights) if len(weights) == len(op.weights((x.shape,))) else None
