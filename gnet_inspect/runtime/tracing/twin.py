"""The module that is traced: a copy of the user's, whose weights are on the meta device, so that nothing of his is read
or touched.

A weight's twin is known by the weight's identity, so that tied weights stay tied. Integer and boolean buffers are
copied as they are, because a forward may read their values: they are tables of indices.
"""

import copy
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from gnet_inspect.errors import UsageError

# What deepcopy hands on as it is.
_ATOMS = (type(None), bool, int, float, complex, str, bytes, type, torch.dtype, torch.device, torch.Size)
_CONTAINERS = (dict, list, tuple, set)
# What has no shape before its layer is called first.
LAZY = (UninitializedParameter, UninitializedBuffer)
# What a module keeps its parts and its weights in.
HELD = ("_modules", "_parameters", "_buffers")


def unwrapped(module: nn.Module) -> nn.Module:
    """The user's own network inside what wraps it for several devices, or compiles it.

    Raises UsageError for what cannot be traced: no Python forward, or weights that are no plain tensors.
    """
    while True:
        if isinstance(module, torch.jit.ScriptModule):
            raise UsageError(
                f"expected a module with a forward in Python, got a {type(module).__name__} of TorchScript. "
                "(give the module that it was scripted from)"
            )
        inner = _inside(module)
        if inner is None:
            break
        module = inner
    for path, part in module.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            raise UsageError(
                f"expected modules with a forward in Python, got `{path}`, which is one of TorchScript. "
                "(put the module there that it was scripted from)"
            )
    for name, weight in module.named_parameters():
        _check_weight(name, weight)
    return module


def _inside(module: nn.Module) -> nn.Module | None:
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        return module.module  # type: ignore[no-any-return]
    compiled = module.__dict__.get("_modules", {}).get("_orig_mod")
    return compiled if isinstance(compiled, nn.Module) else None


def _check_weight(name: str, weight: Tensor) -> None:
    if weight.is_quantized or weight.layout != torch.strided:
        raise UsageError(
            f"expected weights that are plain tensors, got {name!r}, which is "
            f"{'quantised' if weight.is_quantized else weight.layout}. (trace the network before it is converted)"
        )
    if type(weight).__name__ == "DTensor":
        raise UsageError(
            f"expected weights that are whole, got {name!r}, a shard of one. (trace it before it is sharded)"
        )


class Twin:
    """A module's copy, with the names of its tensors: of parameters and buffers by the identity of their twins."""

    def __init__(self, module: nn.Module, *, real: bool = False) -> None:
        """`real`: its weights are the user's own memory, for the one run that reads values; buffers are copied."""
        self._real = real
        memo: dict[int, Any] = {}
        # Twins are kept by the identity of what they stand for: both must live as long as the memo does.
        self._kept: list[Any] = [module]
        for inner in module.modules():
            for weight in (*inner._parameters.values(), *inner._buffers.values()):
                if weight is not None:
                    memo[id(weight)] = self._twin_of(weight)
        try:
            self.module = _copied(module, memo)
        except Exception:
            # A lock, a file, a tensor with a history: copied as a shell, which shares what is no tensor and no module.
            self.module = _shell(module, memo, {})
        for inner in self.module.modules():
            # A module that was told to compile itself would leave the copy for compiled code.
            inner.__dict__["_compiled_call_impl"] = None
            if isinstance(inner, nn.TransformerEncoder):
                # It would ask a mask for values, to give what its layers give one by one.
                inner.use_nested_tensor = False

    def _twin_of(self, weight: Tensor) -> Tensor:
        self._kept.append(weight)
        if isinstance(weight, LAZY):
            lazy: Any = type(weight)
            made: Tensor = lazy(requires_grad=weight.requires_grad, device="meta")
            return made
        detached = weight.detach()
        if self._real:
            made = detached if isinstance(weight, nn.Parameter) else detached.clone()
        elif weight.is_floating_point() or weight.is_complex() or weight.is_meta:
            made = torch.empty_strided(weight.shape, weight.stride(), dtype=weight.dtype, device="meta")
        else:
            made = detached.clone()
        if isinstance(weight, nn.Parameter):
            made = nn.Parameter(made, requires_grad=weight.requires_grad)
            # What libraries mark a weight with (its name, how it is sharded) goes along.
            made.__dict__.update({key: value for key, value in weight.__dict__.items() if isinstance(value, _ATOMS)})
        return made


def _copied(module: nn.Module, memo: dict[int, Any]) -> nn.Module:
    """A deep copy. Modules that copy as plain objects are copied here, three times faster than by `copy`."""
    found = memo.get(id(module))
    if found is not None:
        return found  # type: ignore[no-any-return]
    kind = type(module)
    if not _copies_plainly(kind):
        return copy.deepcopy(module, memo)
    made: nn.Module = kind.__new__(kind)
    memo[id(module)] = made
    state = made.__dict__
    for name, value in module.__dict__.items():
        state[name] = _copied_value(value, memo)
    return made


def _copied_value(value: Any, memo: dict[int, Any]) -> Any:
    kind: Any = type(value)
    if kind in _ATOMS or (kind is tuple and all(type(item) in _ATOMS for item in value)):
        return value
    if kind in (dict, OrderedDict, list):
        if not value:
            return kind()
        found = memo.get(id(value))
        if found is None:
            found = kind()
            memo[id(value)] = found
            if kind is list:
                found.extend(_copied_value(item, memo) for item in value)
            else:
                found.update((_copied_value(name, memo), _copied_value(item, memo)) for name, item in value.items())
        return found
    if isinstance(value, nn.Module):
        return _copied(value, memo)
    return copy.deepcopy(value, memo)


_plain: dict[type, bool] = {}


def _copies_plainly(kind: type) -> bool:
    """Whether a class says nothing of its own about how it is copied."""
    found = _plain.get(kind)
    if found is None:
        found = _plain[kind] = (
            not hasattr(kind, "__deepcopy__")
            and getattr(kind, "__reduce_ex__", None) is object.__reduce_ex__
            and getattr(kind, "__getstate__", None) is getattr(object, "__getstate__", None)
            and getattr(kind, "__setstate__", None) is nn.Module.__setstate__
            and not hasattr(kind, "__slots__")
        )
    return found


def _shell(module: nn.Module, memo: dict[int, Any], made: dict[int, nn.Module]) -> nn.Module:
    """A copy of modules, weights and hooks alone; all else is shared."""
    found = made.get(id(module))
    if found is not None:
        return found
    kind = type(module)
    shell: nn.Module = kind.__new__(kind)
    made[id(module)] = shell
    state = dict(module.__dict__)
    state["_modules"] = {
        name: None if child is None else _shell(child, memo, made) for name, child in module._modules.items()
    }
    for held in ("_parameters", "_buffers"):
        state[held] = {name: memo.get(id(item), item) for name, item in state[held].items()}
    for name, value in state.items():
        # A forward writes to counters, lists and dicts of its own.
        if name.endswith("hooks") or "hooks_" in name or (type(value) in _CONTAINERS and name not in HELD):
            state[name] = copy.copy(value)
        elif isinstance(value, Tensor):
            state[name] = value.detach().clone()
        elif isinstance(value, nn.Module):
            state[name] = _shell(value, memo, made)
    shell.__dict__.update(state)
    return shell
