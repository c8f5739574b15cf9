"""Examples of the layers that move elements, let values meet, attend, repeat over a sequence and resample."""

from typing import Any

_Example = tuple[dict[str, Any], tuple[tuple[int, ...], ...]]

_ROWS, _SEQUENCE, _MAP, _VOLUME = (3, 8), (2, 6, 8), (2, 8, 6, 10), (2, 4, 3, 5, 6)


def _of(shape: tuple[int, ...], *arguments: dict[str, Any]) -> list[_Example]:
    return [(given, (shape,)) for given in arguments]


_MOVEMENT: dict[str, list[_Example]] = {
    "Flatten": [
        *_of(_MAP, {}, {"start_dim": 2}, {"start_dim": 0}, {"start_dim": -3, "end_dim": -2}),
        *_of(_VOLUME, {}, {"start_dim": 2, "end_dim": 3}, {"start_dim": 1, "end_dim": 1}),
        *_of(_SEQUENCE, {}, {"end_dim": 1, "start_dim": 0}),
        *_of(_ROWS, {}, {"start_dim": 0}),
    ],
    "Unflatten": [
        *_of(_MAP, {"dim": 1, "unflattened_size": [2, 4]}, {"dim": -1, "unflattened_size": [5, -1]}),
        *_of(_SEQUENCE, {"dim": 2, "unflattened_size": [2, 2, 2]}, {"dim": 0, "unflattened_size": [-1, 1]}),
        *_of(_ROWS, {"dim": 1, "unflattened_size": [8]}),
    ],
    "Reshape": [
        *_of(_MAP, {"shape": [0, 8, -1]}, {"shape": [0, 0, 60]}, {"shape": [0, 2, 4, 6, 10]}, {"shape": [-1]}),
        *_of(_SEQUENCE, {"shape": [0, -1]}, {"shape": [0, 4, -1, 2]}, {"shape": [4, 24]}, {"shape": [0, 0, 0]}),
    ],
    "Permute": [
        *_of(_MAP, {"dims": [0, 2, 3, 1]}, {"dims": [0, 1, 2, 3]}, {"dims": [-1, 0, -2, 1]}),
        *_of(_SEQUENCE, {"dims": [0, 2, 1]}, {"dims": [1, 0, 2]}),
        *_of(_ROWS, {"dims": [1, 0]}),
    ],
    "Unsqueeze": [
        *_of(_SEQUENCE, {"dim": 0}, {"dim": 1}, {"dim": 3}, {"dim": -1}, {"dim": -4}),
        *_of(_ROWS, {"dim": 2}),
    ],
    "Slice": [
        *_of(_MAP, {}, {"start": 2}, {"stop": 3}, {"start": 1, "stop": 7, "step": 3}, {"dim": -1, "start": -4}),
        *_of(_SEQUENCE, {"dim": 1, "stop": -1}, {"dim": 2, "start": 1, "step": 4}, {"dim": 0, "stop": 1}),
        *_of(_ROWS, {"dim": 1, "start": -3, "stop": -1}),
    ],
    "Roll": [
        *_of(_MAP, {"shifts": 1, "dims": 2}, {"shifts": [-3, 4], "dims": [2, 3]}, {"shifts": [7], "dims": [-1]}),
        *_of(_SEQUENCE, {"shifts": [0], "dims": [1]}, {"shifts": [1, 2], "dims": [1, 1]}),
    ],
    "ChannelShuffle": [
        *_of(_MAP, {"groups": 2}, {"groups": 4}, {"groups": 1}, {"groups": 8}),
        *_of(_VOLUME, {"groups": 2}),
        *_of((2, 6, 5), {"groups": 3}),
    ],
    "PixelShuffle": _of(_MAP, {"upscale_factor": 2}, {"upscale_factor": 1}) + _of((1, 18, 2, 3), {"upscale_factor": 3}),
    "PixelUnshuffle": _of(_MAP, {"downscale_factor": 2}, {"downscale_factor": 1})
    + _of((1, 2, 6, 9), {"downscale_factor": 3}),
    "ZeroPad2d": _of(
        _MAP, {"padding": 1}, {"padding": [1, 2, 0, 3]}, {"padding": [-1, 0, 2, -3]}, {"padding": [-1]}, {"padding": 0}
    ),
    "Pad": [
        *_of(_MAP, {"multiple": 4}, {"multiple": 2}, {"multiple": 7, "value": 1.5}),
        *_of(_MAP, {"multiple": 7, "mode": "reflect"}, {"multiple": 16, "mode": "replicate"}),
        *_of(_MAP, {"multiple": 2, "mode": "reflect"}, {"multiple": 2, "mode": "replicate"}),
    ],
}

_MEETING: dict[str, list[_Example]] = {
    "concat": [
        ({}, (_MAP, (2, 3, 6, 10), _MAP)),
        ({}, (_MAP,)),
        ({}, (_ROWS, (3, 2))),
        ({"dim": -1}, (_SEQUENCE, (2, 6, 3))),
        ({"dim": 2}, (_MAP, (2, 8, 1, 10))),
        ({"dim": 0}, (_SEQUENCE, (1, 6, 8))),
        # A learned tensor stands for every image.
        ({}, ((1, 1, 8), _SEQUENCE)),
        ({"dim": -1}, (_SEQUENCE, (1, 6, 2), (1, 6, 1))),
    ],
    "add": [
        ({}, (_MAP, _MAP)),
        ({}, (_MAP, _MAP, _MAP)),
        ({}, (_MAP, (2, 8, 1, 1))),
        ({}, ((1, 6, 8), _SEQUENCE, (8,))),
        ({"scale": 0.5}, (_SEQUENCE, _SEQUENCE)),
        ({"scale": 0.5}, (_SEQUENCE, (1, 1, 8), _SEQUENCE, (2, 1, 8))),
        ({"scale": -1}, ((2, 1, 8), (1, 6, 1), _SEQUENCE)),
    ],
    "mul": [
        ({}, (_MAP, (2, 8, 1, 1))),
        ({}, (_SEQUENCE, _SEQUENCE)),
        ({}, ((8,), _SEQUENCE)),
        ({}, ((2, 1, 8), (1, 6, 1))),
        ({}, (_MAP, (2, 8, 1, 1), (1, 1, 6, 10))),
        ({}, ((2, 1, 8), (1, 6, 1), _SEQUENCE, (8,))),
    ],
    "matmul": [
        ({}, ((3, 8), (8, 5))),
        ({}, (_SEQUENCE, (2, 8, 5))),
        ({}, ((2, 4, 6, 8), (2, 4, 8, 5))),
        ({}, (_SEQUENCE, (8, 5))),
        ({}, ((6, 8), (2, 8, 5))),
        ({}, (_SEQUENCE, (1, 8, 5))),
        ({}, ((2, 1, 6, 8), (4, 8, 5))),
        ({}, ((2, 4, 6, 8), (8, 5))),
    ],
    "Parameter": [
        ({"shape": [1, 1, 8]}, ()),
        ({"shape": [8], "init": "ones"}, ()),
        ({"shape": [3, 4], "init": "normal"}, ()),
    ],
}

_ATTENTION: dict[str, list[_Example]] = {
    "ScaledDotProductAttention": [
        ({}, (_SEQUENCE, _SEQUENCE, _SEQUENCE)),
        ({}, ((2, 4, 6, 8), (2, 4, 5, 8), (2, 4, 5, 3))),
        ({"is_causal": True}, ((2, 4, 6, 8), (2, 4, 6, 8), (2, 4, 6, 8))),
        ({}, ((2, 4, 6, 8), (2, 1, 5, 8), (1, 4, 5, 8))),
        ({}, ((2, 2, 4, 6, 8), (2, 2, 4, 5, 8), (2, 2, 4, 5, 8))),
    ],
    "MultiheadAttention": [
        ({"num_heads": 4}, (_SEQUENCE,)),
        ({"num_heads": 1, "bias": False}, (_SEQUENCE,)),
        ({"num_heads": 2, "dropout": 0.25}, (_SEQUENCE,)),
        ({"num_heads": 2}, (_SEQUENCE, (2, 5, 8), (2, 5, 8))),
        ({"num_heads": 2}, (_SEQUENCE, (2, 5, 4), (2, 5, 12))),
        ({"num_heads": 4, "bias": False}, (_SEQUENCE, (2, 5, 8), (2, 5, 3))),
        ({"num_heads": 2}, ((1, 6, 8),)),
    ],
    "ShiftedWindowAttention": [
        ({"heads": 2, "window": 4}, ((2, 8, 8, 8),)),
        ({"heads": 2, "window": 4, "shift": 2}, ((3, 8, 8, 8),)),
        ({"heads": 4, "window": 4, "shift": 2}, ((3, 7, 10, 8),)),
        ({"heads": 2, "window": [4, 3], "shift": [2, 1]}, ((2, 4, 9, 8),)),
        ({"heads": 2, "window": [3, 4], "shift": [1, 2]}, ((3, 7, 3, 8),)),
        ({"heads": 1, "window": 7, "shift": 3}, ((3, 5, 6, 8),)),
        ({"heads": 2, "window": 4, "qkv_bias": False, "proj_bias": False}, ((1, 8, 8, 8),)),
        ({"heads": 2, "window": 4, "shift": 1, "attention_dropout": 0.5, "dropout": 0.25}, ((2, 8, 8, 8),)),
    ],
}

_STEPS: dict[str, list[_Example]] = {
    kind: [
        ({"hidden_size": 5}, (_SEQUENCE,)),
        ({"hidden_size": 5, "num_layers": 3, "dropout": 0.25}, (_SEQUENCE,)),
        ({"hidden_size": 4, "bidirectional": True}, (_SEQUENCE,)),
        ({"hidden_size": 4, "num_layers": 2, "bidirectional": True, "bias": False}, ((1, 5, 3),)),
    ]
    for kind in ("LSTM", "GRU")
}
_RECURRENT: dict[str, list[_Example]] = _STEPS | {
    "Embedding": [
        ({"num_embeddings": 11, "embedding_dim": 4}, ((2, 6),)),
        ({"num_embeddings": 11, "embedding_dim": 4, "padding_idx": -1}, ((3,),)),
        ({"num_embeddings": 11, "embedding_dim": 4, "padding_idx": 0}, ((2, 3, 2),)),
    ],
}

_OTHERS: dict[str, list[_Example]] = {
    "Softmax": [
        *_of(_MAP, {}, {"dim": -1}, {"dim": 0}),
        *_of(_SEQUENCE, {"dim": -1}, {"dim": 1}),
        *_of(_ROWS, {}),
        *_of(_VOLUME, {"dim": 2}),
    ],
    "Upsample": [
        *_of(_MAP, {"scale_factor": 2}, {"size": [9, 7], "mode": "bilinear"}, {"scale_factor": 1.5, "mode": "bicubic"}),
        *(
            ({"like": "other", "mode": mode, **more}, (_MAP, like))
            for mode, more in (
                ("nearest", {}),
                ("nearest-exact", {}),
                ("bilinear", {}),
                ("bilinear", {"align_corners": True}),
                ("bicubic", {"align_corners": False}),
            )
            for like in ((2, 3, 12, 20), (1, 1, 5, 17))
        ),
    ],
}

KINDS_B: dict[str, list[_Example]] = {**_MOVEMENT, **_MEETING, **_ATTENTION, **_RECURRENT, **_OTHERS}
