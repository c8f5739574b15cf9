"""torch.nn's own layers as kinds of the vocabulary, by their classes and attributes."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gnet_inspect.ops import VOCABULARY, Op, Shapes, makes

# What a module of torch.nn may be told that its kind of the vocabulary cannot say: attribute -> the value it must have.
_DEMANDS: dict[str, dict[str, Any]] = {
    **{f"Conv{axes}d": {"padding_mode": "zeros"} for axes in (1, 2, 3)},
    **{f"MaxPool{axes}d": {"return_indices": False} for axes in (1, 2, 3)},
    **{f"AdaptiveMaxPool{axes}d": {"return_indices": False} for axes in (1, 2, 3)},
    "Embedding": {"max_norm": None, "scale_grad_by_freq": False, "sparse": False},
    "LSTM": {"batch_first": True, "proj_size": 0},
    "GRU": {"batch_first": True},
    "MultiheadAttention": {"batch_first": True, "bias_k": None, "bias_v": None, "add_zero_attn": False},
}
# What torch keeps under another name, or as a tensor.
_HAS_BIAS: Callable[[Any], bool] = lambda module: module.bias is not None  # noqa: E731
_ATTRIBUTES: dict[str, dict[str, Callable[[Any], Any]]] = {
    **{f"{name}{axes}d": {"bias": _HAS_BIAS} for name in ("Conv", "ConvTranspose") for axes in (1, 2, 3)},
    "Linear": {"bias": _HAS_BIAS},
    "LayerNorm": {"axes": lambda module: len(module.normalized_shape), "bias": _HAS_BIAS},
    "RMSNorm": {"axes": lambda module: len(module.normalized_shape)},
    "PReLU": {"init": lambda _: 0.25},
    "Upsample": {"like": lambda _: False},
    "MultiheadAttention": {"bias": lambda module: module.in_proj_bias is not None},
    "Unflatten": {"unflattened_size": lambda module: tuple(module.unflattened_size)},
}
# Layers whose output is more than one tensor, or whose call decides what they are.
_BY_CALL = ("LSTM", "GRU", "MultiheadAttention", "Softmax", "Upsample")


class Layer:
    """A layer of torch.nn: its op where the vocabulary has it, as far as its attributes say."""

    __slots__ = ("is_quick", "kind", "op")

    def __init__(self, module: nn.Module, kind: str) -> None:
        self.kind = kind
        self.op = _op_of(module, kind)
        self.is_quick = self.op is not None and kind not in _BY_CALL

    def fits(self, module: nn.Module, x: Tensor) -> bool:
        """Whether torch takes this input for these weights, as far as dtypes go."""
        weight = getattr(module, "weight", None)
        if self.kind == "Embedding":
            return x.dtype in (torch.int64, torch.int32)
        return x.is_floating_point() and (not isinstance(weight, Tensor) or weight.dtype == x.dtype)

    def op_of_call(self, module: nn.Module, args: Any, kwargs: Any, inputs: Shapes, outputs: Shapes) -> Op | None:
        """The op of one call, where it makes just these shapes of these; None where the vocabulary cannot say it."""
        op = self.op
        if op is None:
            return None
        if self.kind == "Softmax" and getattr(module, "dim", 0) is None:
            return None
        if self.kind == "MultiheadAttention" and not _is_plain_attention(args, kwargs):
            return None
        return op if makes(op, inputs, outputs) else None


def _is_plain_attention(args: Any, kwargs: Any) -> bool:
    names = (
        "query",
        "key",
        "value",
        "key_padding_mask",
        "need_weights",
        "attn_mask",
        "average_attn_weights",
        "is_causal",
    )
    given = dict(zip(names, args, strict=False)) | kwargs
    same = given.get("query") is given.get("key") is given.get("value")
    masks = (
        given.get("attn_mask") is None and given.get("key_padding_mask") is None and not given.get("is_causal", False)
    )
    return masks and (same or given.get("key") is not None)


def layer_of(module: nn.Module) -> Layer | None:
    """What a module is as one layer; None for a network of several."""
    kind = type(module)
    if not kind.__module__.startswith("torch.nn.modules") or kind in _NETWORKS:
        return None
    if module._modules and kind is not nn.MultiheadAttention:
        return None
    return Layer(module, kind.__name__)


_NETWORKS = (nn.Module, nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)


def _op_of(module: nn.Module, kind: str) -> Op | None:
    cls = VOCABULARY.get(kind)
    if cls is None or any(getattr(module, name) != value for name, value in _DEMANDS.get(kind, {}).items()):
        return None
    special = _ATTRIBUTES.get(kind, {})
    try:
        given = {
            name: parameter.kind.read(_plain(special[name](module) if name in special else getattr(module, name)))
            for name, parameter in cls.parameters().items()
        }
        return cls(**given)
    except (ValueError, AttributeError, TypeError):
        # A value that the vocabulary does not take: a pool of a size that is none, a name in the place of a number.
        return None


def _plain(value: Any) -> Any:
    """Numbers as they are, tuples of them as lists."""
    return list(value) if isinstance(value, tuple) else value
