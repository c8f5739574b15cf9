"""What layers compute, written down from their definitions: windows cut out by hand, sums and quotients. (op, the
module's state dict, input in double precision) -> output, in eval mode."""

from collections.abc import Callable
from math import ceil, floor
from typing import Any

import torch
from msgspec.structs import replace
from torch import Tensor

State = dict[str, Tensor]


def pads_of(op: Any, sizes: tuple[int, ...]) -> list[tuple[int, int]]:
    """What goes before and after each axis, for every way of saying it."""
    axes, padding = len(sizes), op.padding
    if padding == "valid":
        return [(0, 0)] * axes
    reaches = [d * (k - 1) + 1 for d, k in zip(_dilation(op), op.kernel_size, strict=True)]
    if padding == "same":
        totals = [reach - 1 for reach in reaches]
    elif padding == "same_tf":
        # tensorflow.org, tf.nn, "Notes on padding": by what is left over of the size.
        totals = [
            max(reach - (stride if size % stride == 0 else size % stride), 0)
            for reach, stride, size in zip(reaches, op.stride or op.kernel_size, sizes, strict=True)
        ]
    elif len(padding) == 2 * axes:
        return [(padding[2 * axis], padding[2 * axis + 1]) for axis in reversed(range(axes))]
    else:
        return [(pad, pad) for pad in padding]
    return [(total // 2, total - total // 2) for total in totals]


def _dilation(op: Any) -> tuple[int, ...]:
    return tuple(getattr(op, "dilation", (1,) * len(op.kernel_size)))


def _windows(x: Tensor, op: Any, made: tuple[int, ...], *, fill: float = 0.0) -> Tensor:
    """(N, C, places..., taps...) of an input to which so much is added on each side that every window is whole."""
    axes, stride = len(made), op.stride or op.kernel_size
    for axis, ((before, _), kernel, dilation) in enumerate(
        zip(pads_of(op, tuple(x.shape[2:])), op.kernel_size, _dilation(op), strict=True)
    ):
        place = 2 + axis
        places = torch.arange(made[axis])[:, None] * stride[axis] + torch.arange(kernel)[None] * dilation - before
        behind = max(int(places.max()) + 1 - x.shape[place], 0)
        shape = list(x.shape)
        shape[place] = before
        end = list(x.shape)
        end[place] = behind
        x = torch.cat([x.new_full(shape, fill), x, x.new_full(end, fill)], place)
        x = x.index_select(place, (places + before).flatten())
        x = x.reshape(*x.shape[:place], made[axis], kernel, *x.shape[place + 1 :]).movedim(place + 1, -1)
    assert x.dim() == 2 + 2 * axes
    return x


def _convolution(op: Any, state: State, x: Tensor) -> Tensor:
    weight = state["weight"]
    return _grouped(_windows(x, op, op.output_shape((tuple(x.shape),))[2:]), weight, op.groups) + _bias(state, x.dim())


def _grouped(windows: Tensor, weight: Tensor, groups: int) -> Tensor:
    axes = weight.dim() - 2
    parts = [
        torch.tensordot(cut, kernels, dims=([1, *range(2 + axes, 2 + 2 * axes)], [1, *range(2, 2 + axes)])).movedim(
            -1, 1
        )
        for cut, kernels in zip(windows.chunk(groups, 1), weight.chunk(groups, 0), strict=True)
    ]
    return torch.cat(parts, 1)


def _bias(state: State, rank: int) -> Tensor:
    bias = state.get("bias", torch.zeros(1, dtype=torch.float64))
    return bias.reshape(1, -1, *[1] * (rank - 2))


def _transposed(op: Any, state: State, x: Tensor) -> Tensor:
    """Every input adds its multiple of the kernel to the outputs around its place."""
    weight, shape = state["weight"], op.output_shape((tuple(x.shape),))
    whole = [made + 2 * pad for made, pad in zip(shape[2:], op.padding, strict=True)]
    total = x.new_zeros((x.shape[0], op.out_channels, *whole))
    for tap in torch.cartesian_prod(*[torch.arange(kernel) for kernel in op.kernel_size]).reshape(-1, len(whole)):
        at = [slice(None), slice(None)]
        for place, size, stride, dilation in zip(tap.tolist(), x.shape[2:], op.stride, op.dilation, strict=True):
            at.append(slice(place * dilation, place * dilation + (size - 1) * stride + 1, stride))
        kernels = weight[(slice(None), slice(None), *tap.tolist())]
        parts = [
            torch.tensordot(cut, kernel, dims=([1], [0])).movedim(-1, 1)
            for cut, kernel in zip(x.chunk(op.groups, 1), kernels.chunk(op.groups, 0), strict=True)
        ]
        total[tuple(at)] += torch.cat(parts, 1)
    inner = [slice(pad, pad + made) for made, pad in zip(shape[2:], op.padding, strict=True)]
    return total[(slice(None), slice(None), *inner)] + _bias(state, x.dim())


def _max_pool(op: Any, state: State, x: Tensor) -> Tensor:
    made = op.output_shape((tuple(x.shape),))[2:]
    return _windows(x, op, made, fill=-torch.inf).amax([*range(2 + len(made), 2 + 2 * len(made))])


def _avg_pool(op: Any, state: State, x: Tensor) -> Tensor:
    made = op.output_shape((tuple(x.shape),))[2:]
    taps = [*range(2 + len(made), 2 + 2 * len(made))]
    total = _windows(x, op, made).sum(taps)
    divisor = getattr(op, "divisor_override", None)
    if divisor is not None:
        return total / int(divisor)
    counted, counter = torch.ones_like(x[:1, :1]), op
    if op.count_include_pad and op.padding != "same_tf":
        # Zeros of the padding count, what lies beyond it does not.
        sizes = [sum(pads) + size for pads, size in zip(pads_of(op, tuple(x.shape[2:])), x.shape[2:], strict=True)]
        counted, counter = counted.new_ones((1, 1, *sizes)), replace(op, padding=(0,) * len(made))
    return total / _windows(counted, counter, made).sum(taps)


def _adaptive(of: Callable[[Tensor, int], Tensor]) -> Callable[[Any, State, Tensor], Tensor]:
    def pool(op: Any, state: State, x: Tensor) -> Tensor:
        for axis, wanted in enumerate(op.output_size, 2):
            size = x.shape[axis]
            out = wanted or size
            cuts = [(floor(i * size / out), ceil((i + 1) * size / out)) for i in range(out)]
            x = torch.stack([of(x.narrow(axis, low, high - low), axis) for low, high in cuts], axis)
        return x

    return pool


def _linear(op: Any, state: State, x: Tensor) -> Tensor:
    return (x[..., None, :] * state["weight"]).sum(-1) + state.get("bias", 0.0)


def _centred(x: Tensor, axes: list[int], eps: float) -> Tensor:
    mean = x.mean(axes, keepdim=True)
    return (x - mean) / ((x - mean).square().mean(axes, keepdim=True) + eps).sqrt()


def _per_channel(op: Any, state: State, x: Tensor) -> Tensor:
    shape = (1, -1, *[1] * (x.dim() - 2))
    return x * state["weight"].reshape(shape) + state["bias"].reshape(shape) if op.affine else x


def _over(axes: Callable[[int], list[int]]) -> Callable[[Any, State, Tensor], Tensor]:
    def norm(op: Any, state: State, x: Tensor) -> Tensor:
        if op.track_running_stats:
            shape = (1, -1, *[1] * (x.dim() - 2))
            mean, variance = (state[name].reshape(shape) for name in ("running_mean", "running_var"))
            return _per_channel(op, state, (x - mean) / (variance + op.eps).sqrt())
        return _per_channel(op, state, _centred(x, axes(x.dim()), op.eps))

    return norm


def _group_norm(op: Any, state: State, x: Tensor) -> Tensor:
    parts = [_centred(part, [*range(1, x.dim())], op.eps) for part in x.chunk(op.num_groups, 1)]
    return _per_channel(op, state, torch.cat(parts, 1))


def _layer_norm(op: Any, state: State, x: Tensor) -> Tensor:
    normal = _centred(x, [*range(-op.axes, 0)], op.eps)
    return normal * state.get("weight", 1.0) + state.get("bias", 0.0)


def _layer_norm_2d(op: Any, state: State, x: Tensor) -> Tensor:
    shape = (1, -1, 1, 1)
    normal = _centred(x, [1], op.eps)
    if not op.elementwise_affine:
        return normal
    return normal * state["weight"].reshape(shape) + _bias(state, 4)


def _rms_norm(op: Any, state: State, x: Tensor) -> Tensor:
    eps = torch.finfo(torch.float64).eps if op.eps is None else op.eps
    scaled: Tensor = x / (x.square().mean([*range(-op.axes, 0)], keepdim=True) + eps).sqrt()
    return scaled * state.get("weight", 1.0)


def _gelu(op: Any, state: State, x: Tensor) -> Tensor:
    inner = (2 / torch.pi) ** 0.5 * (x + 0.044715 * x.pow(3))
    share: Tensor = inner.tanh() if op.approximate == "tanh" else (x / 2**0.5).erf()
    return x / 2 * (1 + share)


def _prelu(op: Any, state: State, x: Tensor) -> Tensor:
    return torch.where(x > 0, x, x * state["weight"].reshape(1, -1, *[1] * (x.dim() - 2)))


def _softplus(op: Any, state: State, x: Tensor) -> Tensor:
    return torch.where(x * op.beta > op.threshold, x, (1 + (x * op.beta).exp()).log() / op.beta)


def _kept(op: Any, state: State, x: Tensor) -> Tensor:
    return x


BY_HAND: dict[str, Callable[[Any, State, Tensor], Tensor]] = {
    **{f"Conv{n}d": _convolution for n in (1, 2, 3)},
    **{f"ConvTranspose{n}d": _transposed for n in (1, 2, 3)},
    **{f"MaxPool{n}d": _max_pool for n in (1, 2, 3)},
    **{f"AvgPool{n}d": _avg_pool for n in (1, 2, 3)},
    **{f"AdaptiveAvgPool{n}d": _adaptive(lambda x, axis: x.mean(axis)) for n in (1, 2, 3)},
    **{f"AdaptiveMaxPool{n}d": _adaptive(lambda x, axis: x.amax(axis)) for n in (1, 2, 3)},
    **{f"BatchNorm{n}d": _over(lambda rank: [0, *range(2, rank)]) for n in (1, 2, 3)},
    **{f"InstanceNorm{n}d": _over(lambda rank: [*range(2, rank)]) for n in (1, 2, 3)},
    "Linear": _linear,
    "GroupNorm": _group_norm,
    "LayerNorm": _layer_norm,
    "LayerNorm2d": _layer_norm_2d,
    "RMSNorm": _rms_norm,
    "ReLU": lambda op, state, x: x.clamp(min=0),
    "ReLU6": lambda op, state, x: x.clamp(0, 6),
    "LeakyReLU": lambda op, state, x: torch.where(x > 0, x, x * op.negative_slope),
    "PReLU": _prelu,
    "ELU": lambda op, state, x: torch.where(x > 0, x, op.alpha * (x.exp() - 1)),
    "Sigmoid": lambda op, state, x: 1 / (1 + (-x).exp()),
    "Tanh": lambda op, state, x: (x.exp() - (-x).exp()) / (x.exp() + (-x).exp()),
    "SiLU": lambda op, state, x: x / (1 + (-x).exp()),
    "GELU": _gelu,
    "Hardsigmoid": lambda op, state, x: (x + 3).clamp(0, 6) / 6,
    "Hardswish": lambda op, state, x: x * (x + 3).clamp(0, 6) / 6,
    "Mish": lambda op, state, x: x * (1 + x.exp()).log().tanh(),
    "Softplus": _softplus,
    "Softmax": lambda op, state, x: x.exp() / x.exp().sum(op.dim, keepdim=True),
    "Dropout": _kept,
    "StochasticDepth": _kept,
}
