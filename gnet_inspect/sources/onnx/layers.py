"""ONNX's operators that are layers: convolutions, normalisations, activations, pools, resampling."""

from collections.abc import Sequence
from math import prod

from gnet_inspect.ops import VOCABULARY, Op, op_of
from gnet_inspect.ops.functions import GlobalPool
from gnet_inspect.sources.onnx.calls import Reading, Request, UnreadError, rule
from gnet_inspect.sources.onnx.values import Value


def _window(
    request: Request, axes: int, kernel: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...], list[int], list[int]]:
    """(strides, dilations, what is padded before each axis, and behind it)"""
    strides = tuple(request.attribute("strides") or (1,) * axes)
    dilations = tuple(request.attribute("dilations") or (1,) * axes)
    if not len(strides) == len(dilations) == len(kernel) == axes or min(*strides, *dilations, *kernel) < 1:
        raise UnreadError
    auto = request.attribute("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        sizes = request.x().shape[2:]
        totals = [
            max((-(-size // step) - 1) * step + spread * (width - 1) + 1 - size, 0)
            for size, step, spread, width in zip(sizes, strides, dilations, kernel, strict=True)
        ]
        less, more = [total // 2 for total in totals], [total - total // 2 for total in totals]
        return strides, dilations, *((less, more) if auto == "SAME_UPPER" else (more, less))
    pads = list(request.attribute("pads") or ()) if auto == "NOTSET" else []
    pads = pads or [0] * (2 * axes)
    if len(pads) != 2 * axes:
        raise UnreadError
    return strides, dilations, pads[:axes], pads[axes:]


def padding_of(before: Sequence[int], behind: Sequence[int]) -> tuple[int, ...]:
    """One number for each axis where both sides have the same, else two for each, the last axis first.

    >>> padding_of([1, 2], [1, 2]), padding_of([0, 1], [1, 2])
    ((1, 2), (1, 2, 0, 1))
    """
    if list(before) == list(behind):
        return tuple(before)
    return tuple(size for pair in zip(reversed(before), reversed(behind), strict=True) for size in pair)


def _number(request: Request, name: str, default: float) -> float:
    """A number that was a double before it was written in 32 bits: 0.1, not 0.10000000149."""
    return float(f"{float(request.attribute(name, default)):.6g}")


def held(*values: Value | None) -> list[Value]:
    """The weights that are there."""
    return [value for value in values if value is not None]


def convolution(request: Request, x: Value, weight: Value, bias: bool) -> Op:
    """The convolution of `x` by a weight (out, in / groups, ...)."""
    axes = len(weight.shape) - 2
    if axes not in (1, 2, 3):
        raise UnreadError
    kernel = weight.shape[2:]
    strides, dilations, before, behind = _window(request, axes, kernel)
    groups = int(request.attribute("group", 1))
    if groups < 1 or weight.shape[1] * groups != x.shape[1]:
        raise UnreadError
    return op_of(
        f"Conv{axes}d",
        out_channels=weight.shape[0],
        kernel_size=kernel,
        stride=strides,
        padding=padding_of(before, behind),
        dilation=dilations,
        groups=groups,
        bias=bias,
    )


@rule("Conv", "FusedConv")
def _convolution(request: Request) -> list[Reading]:
    if request.call.kind == "FusedConv" and request.maybe(3) is not None:
        # It adds a value behind, which the layer does not.
        raise UnreadError
    x, weight, bias = request.x(), request.weight(1), request.maybe(2)
    if bias is not None and not bias.is_constant:
        raise UnreadError
    return [Reading(convolution(request, x, weight, bias is not None), [x], held(weight, bias))]


@rule("ConvInteger")
def _convolution_of_integers(request: Request) -> list[Reading]:
    x, weight = request.x(), request.weight(1)
    points = held(request.maybe(2), request.maybe(3))
    return [_quantised(convolution(request, x, weight, False), x, [weight], points)]


@rule("QLinearConv")
def _quantised_convolution(request: Request) -> list[Reading]:
    x, weight, bias = request.x(), request.weight(3), request.maybe(8)
    rest = held(*(request.maybe(place) for place in (1, 2, 4, 5, 6, 7)))
    return [_quantised(convolution(request, x, weight, bias is not None), x, held(weight, bias), rest)]


def _quantised(op: Op, x: Value, weights: list[Value], rest: list[Value]) -> Reading:
    """A layer whose scales and zero points stand beside its weights."""
    if not all(value.is_constant for value in (*weights, *rest)):
        raise UnreadError
    return Reading(op, [x], [*weights, *rest], buffers=rest)


@rule("QLinearMatMul", "MatMulInteger")
def _quantised_product(request: Request) -> list[Reading]:
    place = 3 if request.call.kind == "QLinearMatMul" else 1
    x, weight = request.x(), request.weight(place)
    if len(weight.shape) != 2 or len(x.shape) < 2:
        raise UnreadError
    rest = held(*(value for index, value in enumerate(request.inputs) if index not in (0, place)))
    return [_quantised(op_of("Linear", out_features=weight.shape[1], bias=False), x, [weight], rest)]


@rule("QGemm")
def _quantised_linear(request: Request) -> list[Reading]:
    x, weight, bias = request.x(), request.weight(3), request.maybe(6)
    if request.attribute("transA", 0) or len(weight.shape) != 2:
        raise UnreadError
    out = weight.shape[0 if request.attribute("transB", 0) else 1]
    rest = held(*(request.maybe(place) for place in (1, 2, 4, 5, 7, 8)))
    return [_quantised(op_of("Linear", out_features=out, bias=bias is not None), x, held(weight, bias), rest)]


@rule("ConvTranspose")
def _transposed(request: Request) -> list[Reading]:
    x, weight, bias = request.x(), request.weight(1), request.maybe(2)
    axes, kernel = len(weight.shape) - 2, weight.shape[2:]
    if axes not in (1, 2, 3) or weight.shape[0] != x.shape[1]:
        raise UnreadError
    groups = int(request.attribute("group", 1))
    strides = tuple(request.attribute("strides") or (1,) * axes)
    dilations = tuple(request.attribute("dilations") or (1,) * axes)
    plain = [
        (size - 1) * step + spread * (width - 1) + 1
        for size, step, spread, width in zip(x.shape[2:], strides, dilations, kernel, strict=True)
    ]
    padding, more = _cut_off(request, plain)
    op = op_of(
        f"ConvTranspose{axes}d",
        out_channels=weight.shape[1] * groups,
        kernel_size=kernel,
        stride=strides,
        padding=padding,
        output_padding=more,
        groups=groups,
        bias=bias is not None,
        dilation=dilations,
    )
    return [Reading(op, [x], held(weight, bias))]


def _cut_off(request: Request, plain: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(what is cut off on both sides of each axis, what is then added behind): by the sizes that are made of those
    without either."""
    made, axes = request.shapes[0][2:], len(plain)
    pads = list(request.attribute("pads") or [0] * (2 * axes))
    if request.attribute("auto_pad", "NOTSET") != "NOTSET" or request.attribute("output_shape"):
        # What is made is asked for: as much is cut off as there is too much, on the side that is said.
        before = [-(-(size - out) // 2) if size > out else 0 for size, out in zip(plain, made, strict=True)]
    elif len(pads) == 2 * axes:
        before = [max(pair) for pair in zip(pads[:axes], pads[axes:], strict=True)]
        if any(pads[axis] < before[axis] for axis in range(axes)):
            raise UnreadError
    else:
        raise UnreadError
    more = [out - (size - 2 * pad) for size, out, pad in zip(plain, made, before, strict=True)]
    return tuple(before), tuple(more)


@rule("Gemm", "FusedGemm")
def _gemm(request: Request) -> list[Reading]:
    x, weight, bias = request.x(), request.weight(1), request.maybe(2)
    if request.attribute("transA", 0) or len(weight.shape) != 2 or len(x.shape) != 2:
        raise UnreadError
    out = weight.shape[0 if request.attribute("transB", 0) else 1]
    if bias is not None and (not bias.is_constant or bias.elements != out):
        raise UnreadError
    return [Reading(op_of("Linear", out_features=out, bias=bias is not None), [x], held(weight, bias))]


# --- normalisation ---


@rule("BatchNormalization")
def _batch_norm(request: Request) -> list[Reading]:
    x, weight, bias = request.x(), request.weight(1), request.weight(2)
    mean, variance = request.weight(3), request.weight(4)
    kind = {2: "BatchNorm1d", 3: "BatchNorm1d", 4: "BatchNorm2d", 5: "BatchNorm3d"}[len(x.shape)]
    # Further outputs are those of a training step.
    if request.attribute("training_mode", 0) or len([name for name in request.call.outputs if name]) > 1:
        raise UnreadError
    eps = _number(request, "epsilon", 1e-5)
    op = op_of(kind, eps=eps, momentum=round(1 - float(request.attribute("momentum", 0.9)), 6))
    return [Reading(op, [x], [weight, bias, mean, variance], buffers=[mean, variance])]


def _first_alone(request: Request) -> None:
    """Raise UnreadError where more than the first output is asked for."""
    if len(request.shapes) > 1:
        raise UnreadError


@rule("LayerNormalization")
def _layer_norm(request: Request) -> list[Reading]:
    x, weight, bias = request.x(), request.weight(1), request.maybe(2)
    _first_alone(request)
    axes = request.rank - request.axis(default=-1)
    if weight.shape != x.shape[-axes:] or (bias is not None and not bias.is_constant):
        raise UnreadError
    op = op_of("LayerNorm", axes=axes, eps=_number(request, "epsilon", 1e-5), bias=bias is not None)
    return [Reading(op, [x], held(weight, bias))]


@rule("RMSNormalization", "SimplifiedLayerNormalization")
def _rms_norm(request: Request) -> list[Reading]:
    x, weight = request.x(), request.weight(1)
    _first_alone(request)
    axes = request.rank - request.axis(default=-1)
    if weight.shape != x.shape[-axes:]:
        raise UnreadError
    return [Reading(op_of("RMSNorm", axes=axes, eps=_number(request, "epsilon", 1e-5)), [x], [weight])]


@rule("GroupNormalization")
def _group_norm(request: Request) -> list[Reading]:
    x, weight, bias = request.x(), request.weight(1), request.weight(2)
    groups = int(request.attribute("num_groups"))
    # Before opset 21 there is one number for each group.
    if not weight.elements == bias.elements == x.shape[1]:
        raise UnreadError
    return [Reading(op_of("GroupNorm", num_groups=groups, eps=_number(request, "epsilon", 1e-5)), [x], [weight, bias])]


@rule("InstanceNormalization")
def _instance_norm(request: Request) -> list[Reading]:
    x, weight, bias = request.x(), request.weight(1), request.weight(2)
    op = op_of(f"InstanceNorm{request.rank - 2}d", eps=_number(request, "epsilon", 1e-5), affine=True)
    return [Reading(op, [x], [weight, bias])]


@rule("LRN")
def _response_norm(request: Request) -> list[Reading]:
    op = op_of(
        "LocalResponseNorm",
        size=int(request.attribute("size")),
        alpha=_number(request, "alpha", 1e-4),
        beta=_number(request, "beta", 0.75),
        k=_number(request, "bias", 1.0),
    )
    return [Reading(op, [request.x()])]


# --- activations ---

_PLAIN = {
    "Relu": "ReLU",
    "Sigmoid": "Sigmoid",
    "Tanh": "Tanh",
    "HardSwish": "Hardswish",
    "Mish": "Mish",
    "Softplus": "Softplus",
}


@rule(*_PLAIN)
def _activation(request: Request) -> list[Reading]:
    return [Reading(VOCABULARY[_PLAIN[request.call.kind]](), [request.x()])]


@rule("Clip")
def _clip(request: Request) -> list[Reading]:
    if (request.number(1, "min"), request.number(2, "max")) != (0.0, 6.0):
        raise UnreadError
    return [Reading(VOCABULARY["ReLU6"](), [request.x()])]


@rule("HardSigmoid")
def _hard_sigmoid(request: Request) -> list[Reading]:
    if abs(float(request.attribute("alpha", 0.2)) - 1 / 6) > 1e-6 or float(request.attribute("beta", 0.5)) != 0.5:
        raise UnreadError
    return [Reading(VOCABULARY["Hardsigmoid"](), [request.x()])]


@rule("Swish")
def _swish(request: Request) -> list[Reading]:
    if float(request.attribute("alpha", 1.0)) != 1:
        raise UnreadError
    return [Reading(VOCABULARY["SiLU"](), [request.x()])]


@rule("LeakyRelu")
def _leaky(request: Request) -> list[Reading]:
    return [Reading(op_of("LeakyReLU", negative_slope=_number(request, "alpha", 0.01)), [request.x()])]


@rule("Elu")
def _elu(request: Request) -> list[Reading]:
    return [Reading(op_of("ELU", alpha=_number(request, "alpha", 1.0)), [request.x()])]


@rule("PRelu")
def _prelu(request: Request) -> list[Reading]:
    x, slope = request.x(), request.weight(1)
    return [Reading(op_of("PReLU", num_parameters=slope.elements), [x], [slope])]


@rule("Gelu")
def _gelu(request: Request) -> list[Reading]:
    return [Reading(op_of("GELU", approximate=request.attribute("approximate", "none")), [request.x()])]


@rule("Softmax")
def _softmax(request: Request) -> list[Reading]:
    axis = request.axis(default=-1 if request.opset >= 13 else 1)
    if request.opset < 13 and axis != request.rank - 1 and prod(request.x().shape[axis + 1 :]) != 1:
        # Before opset 13 all axes from this one on are one.
        raise UnreadError
    return [Reading(op_of("Softmax", dim=axis), [request.x()])]


@rule("Dropout")
def _dropout(request: Request) -> list[Reading]:
    _first_alone(request)
    return [Reading(op_of("Dropout", p=min(max(request.number(1, "ratio", 0.5) or 0.0, 0.0), 1.0)), [request.x()])]


# --- pools and resampling ---


@rule("MaxPool", "AveragePool")
def _pool(request: Request) -> list[Reading]:
    _first_alone(request)
    kernel = tuple(request.attribute("kernel_shape") or ())
    axes = len(kernel)
    strides, dilations, before, behind = _window(request, axes, kernel)
    ceil = bool(request.attribute("ceil_mode", 0)) and request.attribute("auto_pad", "NOTSET") == "NOTSET"
    more: dict[str, object] = {}
    if request.call.kind == "MaxPool":
        more["dilation"] = dilations
    else:
        if any(spread != 1 for spread in dilations):
            raise UnreadError
        more["count_include_pad"] = bool(request.attribute("count_include_pad", 0))
    op = op_of(
        f"{'Max' if request.call.kind == 'MaxPool' else 'Avg'}Pool{axes}d",
        kernel_size=kernel,
        stride=strides,
        padding=padding_of(before, behind),
        ceil_mode=ceil,
        **more,
    )
    return [Reading(op, [request.x()])]


@rule("GlobalAveragePool", "GlobalMaxPool")
def _global_pool(request: Request) -> list[Reading]:
    function = "mean" if request.call.kind == "GlobalAveragePool" else "amax"
    return [Reading(GlobalPool(function, tuple(range(2, request.rank)), True, request.dtype), [request.x()])]


@rule("Resize", "Upsample")
def _resize(request: Request) -> list[Reading]:
    x, made = request.x(), request.shapes[0]
    places = request.attribute(
        "coordinate_transformation_mode", "half_pixel" if request.call.kind == "Resize" else "asymmetric"
    )
    mode = {"nearest": "nearest", "linear": "bilinear", "bilinear": "bilinear", "cubic": "bicubic"}[
        request.attribute("mode", "nearest")
    ]
    if len(x.shape) != 4 or made[:2] != x.shape[:2] or request.attribute("antialias", 0):
        raise UnreadError
    aligned = places == "align_corners"
    if mode == "nearest":
        if places == "asymmetric" and request.attribute("nearest_mode", "floor") == "floor":
            return [Reading(op_of("Upsample", size=made[2:], mode="nearest"), [x])]
        raise UnreadError
    if places not in ("align_corners", "half_pixel", "pytorch_half_pixel"):
        raise UnreadError
    return [Reading(op_of("Upsample", size=made[2:], mode=mode, align_corners=aligned), [x])]
