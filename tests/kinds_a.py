"""Examples of the layers that multiply, pool, normalise and activate, at the ranks and paddings that they take."""

from typing import Any

_Example = tuple[dict[str, Any], tuple[tuple[int, ...], ...]]


def _of(shape: tuple[int, ...], *arguments: dict[str, Any]) -> list[_Example]:
    return [(given, (shape,)) for given in arguments]


_SEQUENCE, _MAP, _VOLUME = (2, 4, 11), (2, 4, 9, 10), (2, 4, 5, 6, 4)

_CONVOLUTIONS: dict[str, list[_Example]] = {
    "Conv1d": _of(
        _SEQUENCE,
        {"out_channels": 6, "kernel_size": 3},
        {"out_channels": 6, "kernel_size": 3, "stride": 2, "padding": 1, "groups": 2, "bias": False},
        {"out_channels": 8, "kernel_size": 3, "padding": 2, "dilation": 2, "groups": 4},
        {"out_channels": 6, "kernel_size": 3, "padding": "same"},
        {"out_channels": 6, "kernel_size": 4, "padding": "same"},
        {"out_channels": 6, "kernel_size": 4, "padding": "valid"},
        {"out_channels": 6, "kernel_size": 3, "padding": [2, 0]},
        {"out_channels": 6, "kernel_size": 3, "padding": [0, 1], "bias": False, "dilation": 2},
        {"out_channels": 6, "kernel_size": 3, "stride": 2, "padding": "same_tf"},
        {"out_channels": 6, "kernel_size": 1, "stride": 2, "padding": "same_tf"},
    ),
    "Conv2d": _of(
        _MAP,
        {"out_channels": 6, "kernel_size": 3, "padding": 1},
        {"out_channels": 6, "kernel_size": [3, 4], "stride": 2, "groups": 2, "bias": False},
        {"out_channels": 6, "kernel_size": [2, 3], "padding": "same", "dilation": [3, 1]},
        {"out_channels": 6, "kernel_size": 3, "stride": 2, "padding": [0, 1, 2, 0]},
        {"out_channels": 6, "kernel_size": [3, 2], "stride": [2, 3], "padding": "same_tf"},
        {"out_channels": 4, "kernel_size": 5, "padding": "same_tf", "groups": 4, "bias": False},
    ),
    "Conv3d": _of(
        _VOLUME,
        {"out_channels": 6, "kernel_size": 3},
        {"out_channels": 6, "kernel_size": [1, 3, 2], "stride": [1, 2, 1], "padding": [0, 1, 1], "groups": 2},
        {"out_channels": 6, "kernel_size": 2, "padding": 1, "dilation": 2, "bias": False},
        {"out_channels": 6, "kernel_size": [2, 3, 4], "padding": "same"},
        {"out_channels": 6, "kernel_size": 3, "padding": "same"},
        {"out_channels": 6, "kernel_size": 2, "padding": [0, 1, 1, 0, 2, 1]},
        {"out_channels": 6, "kernel_size": [2, 3, 3], "stride": 2, "padding": "same_tf"},
    ),
    "ConvTranspose1d": _of(
        _SEQUENCE,
        {"out_channels": 6, "kernel_size": 3},
        {"out_channels": 6, "kernel_size": 4, "stride": 2, "padding": 1, "groups": 2, "bias": False},
        {"out_channels": 6, "kernel_size": 3, "stride": 2, "output_padding": 1, "dilation": 2},
        {"out_channels": 6, "kernel_size": 2, "stride": 3},
    ),
    "ConvTranspose2d": _of(
        _MAP,
        {"out_channels": 6, "kernel_size": 3, "stride": 2, "output_padding": 1},
        {"out_channels": 6, "kernel_size": 2, "groups": 2, "bias": False},
    ),
    "ConvTranspose3d": _of(
        _VOLUME,
        {"out_channels": 6, "kernel_size": 2},
        {"out_channels": 6, "kernel_size": [1, 3, 2], "stride": [1, 2, 2], "padding": [0, 1, 0], "groups": 2},
        {"out_channels": 6, "kernel_size": 2, "stride": 2, "output_padding": [1, 0, 1], "bias": False},
    ),
    "Linear": [
        (given, (shape,))
        for shape in ((3, 8), (2, 5, 8), (2, 3, 5, 8), (2, 1, 8), (1, 5, 8))
        for given in ({"out_features": 6}, {"out_features": 6, "bias": False})
    ],
}

_WINDOWS = (
    {"kernel_size": 3, "stride": 2},
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    {"kernel_size": 3, "stride": 2, "padding": "same_tf"},
    {"kernel_size": 2, "stride": 1, "padding": "same_tf"},
)
_DILATED = {"kernel_size": 2, "stride": 1, "padding": 1, "dilation": 2}
_UNPADDED = {"kernel_size": 3, "stride": 1, "padding": 1, "count_include_pad": False}
_CEILED = {"kernel_size": 2, "stride": 2, "padding": "same_tf", "ceil_mode": True}


def _sided(axes: int) -> list[dict[str, Any]]:
    """Pools with a padding of two numbers for each axis."""
    return [
        {"kernel_size": 3, "stride": 2, "padding": [0, 1] * axes},
        {"kernel_size": 2, "stride": 2, "padding": [1, 0] * axes, "ceil_mode": True},
    ]


_BY_AXES = {1: _SEQUENCE, 2: _MAP, 3: _VOLUME}
_POOLS: dict[str, list[_Example]] = {
    **{f"MaxPool{n}d": _of(shape, *_WINDOWS, _DILATED, _CEILED, *_sided(n)) for n, shape in _BY_AXES.items()},
    **{
        f"AvgPool{n}d": _of(
            shape,
            *_WINDOWS,
            _UNPADDED,
            _CEILED,
            *_sided(n),
            *({**given, "count_include_pad": False} for given in _sided(n)),
            *(
                {"kernel_size": 3, "stride": 2, "divisor_override": 5, **given}
                for given in ({}, {"padding": "same_tf"})
                if n > 1
            ),
        )
        for n, shape in _BY_AXES.items()
    },
    **{
        f"Adaptive{how}Pool{n}d": _of(
            shape,
            {"output_size": 1},
            {"output_size": 4},
            {"output_size": [None] * n},
            *({"output_size": given} for given in ([3, None], [None, 1]) if n == 2),
            *({"output_size": given} for given in ([2, None, 3], [1, 1, None]) if n == 3),
        )
        for how in ("Avg", "Max")
        for n, shape in _BY_AXES.items()
    },
}


_STATISTICS: tuple[dict[str, Any], ...] = (
    {},
    *({"affine": affine, "track_running_stats": kept} for affine in (True, False) for kept in (True, False)),
    {"momentum": None, "track_running_stats": True},
)


def _normalising(*shapes: tuple[int, ...]) -> list[_Example]:
    """Statistics of its own, or of the batch or instance; with an affine pair, or without."""
    return [(given, (shape,)) for shape in shapes for given in _STATISTICS]


_LAYERWISE: tuple[dict[str, Any], ...] = ({}, {"axes": 2}, {"elementwise_affine": False}, {"eps": 1e-3})
_NORMS: dict[str, list[_Example]] = {
    "BatchNorm1d": _normalising((3, 4), _SEQUENCE),
    "BatchNorm2d": _normalising(_MAP),
    "BatchNorm3d": _normalising(_VOLUME),
    "InstanceNorm1d": _normalising(_SEQUENCE),
    "InstanceNorm2d": _normalising(_MAP),
    "InstanceNorm3d": _normalising(_VOLUME),
    "GroupNorm": [
        (given, (shape,))
        for shape in ((3, 4), _SEQUENCE, _MAP, _VOLUME)
        for given in ({"num_groups": 2}, {"num_groups": 1, "affine": False}, {"num_groups": 2, "eps": 1e-3})
    ],
    "LayerNorm2d": [(given, (_MAP,)) for given in ({}, {"elementwise_affine": False}, {"bias": False}, {"eps": 1e-3})],
    "LayerNorm": [
        (given, (shape,))
        for shape in ((2, 5, 8), _MAP, _VOLUME)
        for given in (*_LAYERWISE, {"bias": False}, {"axes": 2, "bias": False})
    ]
    + _of((3, 8), {}),
    "RMSNorm": [(given, (shape,)) for shape in ((2, 5, 8), _MAP) for given in _LAYERWISE] + _of((3, 8), {}),
}

_RANKS = ((3, 8), (2, 5, 8), _MAP, _VOLUME)


def _anywhere(*arguments: dict[str, Any]) -> list[_Example]:
    """What takes any rank."""
    return [(given, (shape,)) for shape in _RANKS for given in arguments]


_ACTIVATIONS: dict[str, list[_Example]] = {
    **{
        kind: _anywhere({}, {"inplace": True})
        for kind in ("ReLU", "ReLU6", "SiLU", "Hardswish", "Hardsigmoid", "Mish", "LeakyReLU", "ELU")
    },
    "Sigmoid": _anywhere({}),
    "Tanh": _anywhere({}),
    "GELU": _anywhere({}, {"approximate": "tanh"}),
    "Softplus": _anywhere({}, {"beta": 2, "threshold": 3}),
    "PReLU": [
        *_anywhere({}, {"init": 0.1}),
        *_of(_SEQUENCE, {"num_parameters": 4}),
        *_of(_MAP, {"num_parameters": 4}),
        *_of((3, 8), {"num_parameters": 8}),
    ],
    "Softmax": _anywhere({}, {"dim": -1}),
    "Dropout": _anywhere({}, {"p": 0}, {"p": 1}, {"p": 0.3, "inplace": True}, {"p": 0, "inplace": True}),
    "StochasticDepth": _anywhere(
        *({"p": p, "mode": mode} for p in (0, 0.3, 1) for mode in ("row", "batch")),
    ),
}

KINDS_A: dict[str, list[_Example]] = {**_CONVOLUTIONS, **_POOLS, **_NORMS, **_ACTIVATIONS}
KINDS_A["ELU"] += _anywhere({"alpha": 0.5}, {"alpha": -0.5, "inplace": True}, {"alpha": 0, "inplace": True})
KINDS_A["LeakyReLU"] += _anywhere({"negative_slope": -0.5, "inplace": True})
# One image, of one channel, of one pixel: where copies for each image, or for each channel, are no more than one.
for _n, _one in {1: (1, 1, 5), 2: (1, 1, 5, 5), 3: (1, 1, 5, 5, 5)}.items():
    KINDS_A[f"AvgPool{_n}d"] += _of(_one, {"kernel_size": 3, "stride": 2, "padding": "same_tf"})
    KINDS_A[f"MaxPool{_n}d"] += _of(_one, {"kernel_size": 3, "stride": 2, "padding": "same_tf"})
    KINDS_A[f"InstanceNorm{_n}d"] += _of(_one, {"affine": True, "track_running_stats": True})
    KINDS_A[f"BatchNorm{_n}d"] += _of(_one, {"track_running_stats": False})
    KINDS_A[f"Conv{_n}d"] += _of(_one, {"out_channels": 1, "kernel_size": 3, "padding": "same_tf"})
    # The last window would begin in what is padded behind, so there is none, and some inputs nobody reads.
    KINDS_A[f"MaxPool{_n}d"] += _of(
        (2, 3, *[4] * _n), {"kernel_size": 2, "stride": 2, "padding": [0, 1] * _n, "ceil_mode": True}
    )
    KINDS_A[f"AvgPool{_n}d"] += _of(
        (2, 3, *[5] * _n),
        *(
            {"kernel_size": 3, "stride": 3, "padding": [1, 2] * _n, "ceil_mode": True, "count_include_pad": flag}
            for flag in (False, True)
        ),
    )
KINDS_A["GroupNorm"] += _of((1, 4, 1, 1), {"num_groups": 2})
KINDS_A["LayerNorm2d"] = [
    (given, (shape,))
    for shape in (_MAP, (1, 4, 3, 3), (2, 1, 5, 6))
    for given in ({}, {"eps": 1e-6}, {"bias": False}, {"elementwise_affine": False})
]
