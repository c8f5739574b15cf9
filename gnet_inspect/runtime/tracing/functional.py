"""torch.nn.functional's layers, as the kinds that their modules are."""

import torch

from gnet_inspect.ops import VOCABULARY, op_of
from gnet_inspect.ops.called import ACTIVATIONS
from gnet_inspect.runtime.tracing.calls import Reading, Request, alone, rule, spread, with_weights


@rule("conv1d", "conv2d", "conv3d")
def _convolution(request: Request) -> list[Reading] | None:
    x, weight, bias = request.get(0, "input"), request.get(1, "weight"), request.get(2, "bias")
    axes = weight.dim() - 2
    op = op_of(
        f"Conv{axes}d",
        out_channels=weight.shape[0],
        kernel_size=tuple(weight.shape[2:]),
        stride=spread(request.get(3, "stride", 1), axes),
        padding=spread(request.get(4, "padding", 0), axes),
        dilation=spread(request.get(5, "dilation", 1), axes),
        groups=request.get(6, "groups", 1),
        bias=bias is not None,
    )
    return with_weights(request, op, x, (weight, bias)) if weight.shape[1] * op.groups == x.shape[1] else None  # type: ignore[attr-defined]


@rule("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _transposed(request: Request) -> list[Reading] | None:
    x, weight, bias = request.get(0, "input"), request.get(1, "weight"), request.get(2, "bias")
    axes, groups = weight.dim() - 2, request.get(6, "groups", 1)
    op = op_of(
        f"ConvTranspose{axes}d",
        out_channels=weight.shape[1] * groups,
        kernel_size=tuple(weight.shape[2:]),
        stride=spread(request.get(3, "stride", 1), axes),
        padding=spread(request.get(4, "padding", 0), axes),
        output_padding=spread(request.get(5, "output_padding", 0), axes),
        groups=groups,
        bias=bias is not None,
        dilation=spread(request.get(7, "dilation", 1), axes),
    )
    return with_weights(request, op, x, (weight, bias)) if weight.shape[0] == x.shape[1] else None


@rule("linear")
def _linear(request: Request) -> list[Reading] | None:
    x, weight, bias = request.get(0, "input"), request.get(1, "weight"), request.get(2, "bias")
    if weight.dim() != 2 or weight.shape[1] != x.shape[-1]:
        return None
    return with_weights(
        request, op_of("Linear", out_features=weight.shape[0], bias=bias is not None), x, (weight, bias)
    )


@rule("batch_norm")
def _batch_norm(request: Request) -> list[Reading] | None:
    x, mean, variance = request.get(0, "input"), request.get(1, "running_mean"), request.get(2, "running_var")
    weight, bias = request.get(3, "weight"), request.get(4, "bias")
    training = request.get(5, "training", False)
    kind = {2: "BatchNorm1d", 3: "BatchNorm1d", 4: "BatchNorm2d", 5: "BatchNorm3d"}[x.dim()]
    if (weight is None) != (bias is None) or (mean is None) != (variance is None):
        return None
    op = op_of(
        kind,
        eps=request.get(7, "eps", 1e-5),
        momentum=request.get(6, "momentum", 0.1),
        affine=weight is not None,
        track_running_stats=mean is not None,
    )
    return with_weights(request, op, x, (weight, bias, mean, variance), quick=not training)


@rule("layer_norm")
def _layer_norm(request: Request) -> list[Reading] | None:
    x, shape = request.get(0, "input"), request.get(1, "normalized_shape")
    weight, bias = request.get(2, "weight"), request.get(3, "bias")
    if weight is None and bias is not None:
        return None
    op = op_of(
        "LayerNorm",
        axes=len(shape),
        eps=request.get(4, "eps", 1e-5),
        elementwise_affine=weight is not None,
        bias=weight is None or bias is not None,
    )
    return with_weights(request, op, x, (weight, bias))


@rule("rms_norm")
def _rms_norm(request: Request) -> list[Reading] | None:
    x, shape, weight = request.get(0, "input"), request.get(1, "normalized_shape"), request.get(2, "weight")
    op = op_of("RMSNorm", axes=len(shape), eps=request.get(3, "eps"), elementwise_affine=weight is not None)
    return with_weights(request, op, x, (weight,))


@rule("group_norm")
def _group_norm(request: Request) -> list[Reading] | None:
    x, weight, bias = request.get(0, "input"), request.get(2, "weight"), request.get(3, "bias")
    if (weight is None) != (bias is None):
        return None
    op = op_of(
        "GroupNorm", num_groups=request.get(1, "num_groups"), eps=request.get(4, "eps", 1e-5), affine=weight is not None
    )
    return with_weights(request, op, x, (weight, bias))


@rule("embedding")
def _embedding(request: Request) -> list[Reading] | None:
    x, weight = request.get(0, "input"), request.get(1, "weight")
    padding = request.get(2, "padding_idx")
    if request.get(3, "max_norm") is not None or not request.is_known(x) or request.is_side(x):
        return None
    op = op_of("Embedding", num_embeddings=weight.shape[0], embedding_dim=weight.shape[1], padding_idx=padding)
    return [Reading(op, [x], [weight])]


@rule(*ACTIVATIONS)
def _activation(request: Request) -> list[Reading] | None:
    return alone(request, VOCABULARY[ACTIVATIONS[request.name]]())


@rule("gelu")
def _gelu(request: Request) -> list[Reading] | None:
    return alone(request, op_of("GELU", approximate=request.kwargs.get("approximate", "none")))


@rule("hardtanh")
def _hardtanh(request: Request) -> list[Reading] | None:
    low, high = request.get(1, "min_val", -1.0), request.get(2, "max_val", 1.0)
    return alone(request, VOCABULARY["ReLU6"]()) if (low, high) == (0.0, 6.0) else None


@rule("leaky_relu")
def _leaky(request: Request) -> list[Reading] | None:
    return alone(request, op_of("LeakyReLU", negative_slope=request.get(1, "negative_slope", 0.01)))


@rule("elu")
def _elu(request: Request) -> list[Reading] | None:
    return alone(request, op_of("ELU", alpha=request.get(1, "alpha", 1.0)))


@rule("softplus")
def _softplus(request: Request) -> list[Reading] | None:
    op = op_of("Softplus", beta=request.get(1, "beta", 1.0), threshold=request.get(2, "threshold", 20.0))
    return alone(request, op)


@rule("softmax")
def _softmax(request: Request) -> list[Reading] | None:
    dim = request.get(1, "dim")
    return None if dim is None else alone(request, op_of("Softmax", dim=dim), quick=request.kwargs.get("dtype") is None)


@rule("prelu")
def _prelu(request: Request) -> list[Reading] | None:
    x, weight = request.get(0, "input"), request.get(1, "weight")
    return with_weights(request, op_of("PReLU", num_parameters=weight.numel()), x, (weight,))


@rule("max_pool1d", "max_pool2d", "max_pool3d")
def _max_pool(request: Request) -> list[Reading] | None:
    axes = int(request.name[-2])
    stride = request.get(2, "stride")
    if request.get(6, "return_indices", False):
        return None
    op = op_of(
        f"MaxPool{axes}d",
        kernel_size=spread(request.get(1, "kernel_size"), axes),
        stride=spread(stride, axes) if stride is not None and stride != [] else None,
        padding=spread(request.get(3, "padding", 0), axes),
        dilation=spread(request.get(4, "dilation", 1), axes),
        ceil_mode=bool(request.get(5, "ceil_mode", False)),
    )
    return alone(request, op)


@rule("avg_pool1d", "avg_pool2d", "avg_pool3d")
def _avg_pool(request: Request) -> list[Reading] | None:
    axes = int(request.name[-2])
    stride = request.get(2, "stride")
    more = {"divisor_override": request.get(6, "divisor_override")} if axes > 1 else {}
    op = op_of(
        f"AvgPool{axes}d",
        kernel_size=spread(request.get(1, "kernel_size"), axes),
        stride=spread(stride, axes) if stride is not None and stride != [] else None,
        padding=spread(request.get(3, "padding", 0), axes),
        ceil_mode=bool(request.get(4, "ceil_mode", False)),
        count_include_pad=bool(request.get(5, "count_include_pad", True)),
        **more,
    )
    x = request.get(0, "input")
    return [Reading(op, [x], quick=op.outputs((tuple(x.shape),))[0])] if request.is_known(x) else None


@rule(*(f"adaptive_{kind}_pool{axes}d" for kind in ("avg", "max") for axes in (1, 2, 3)))
def _adaptive(request: Request) -> list[Reading] | None:
    axes, kind = int(request.name[-2]), request.name.split("_")[1].capitalize()
    size = request.get(1, "output_size")
    if request.get(2, "return_indices", False):
        return None
    op = op_of(f"Adaptive{kind}Pool{axes}d", output_size=spread(size, axes))
    x = request.get(0, "input")
    return [Reading(op, [x], quick=op.outputs((tuple(x.shape),))[0])] if request.is_known(x) else None


@rule("interpolate")
def _interpolate(request: Request) -> list[Reading] | None:
    x, size, factor = request.get(0, "input"), request.get(1, "size"), request.get(2, "scale_factor")
    if x.dim() != 4 or request.get(6, "antialias", False):
        return None
    if size is not None:
        size = tuple(map(int, size)) if isinstance(size, list | tuple | torch.Size) else int(size)
    op = op_of(
        "Upsample",
        size=size,
        scale_factor=factor if factor is None or isinstance(factor, int | float) else tuple(factor),
        mode=request.get(3, "mode", "nearest"),
        align_corners=request.get(4, "align_corners"),
        recompute_scale_factor=request.get(5, "recompute_scale_factor"),
    )
    return [Reading(op, [x], quick=op.outputs((tuple(x.shape),))[0])]
