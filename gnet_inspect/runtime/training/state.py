"""All that a run needs to go on as if it had never stopped, as tensors by name and plain numbers.

Nothing of it is a random generator's: what is random is a function of the seed and of where the run stands.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

Tensors = dict[str, Tensor]
# Where tensors of the state lie, by what they are of.
_OPTIMIZER, _AVERAGE = "optimizer", "average"


def weights_of(module: nn.Module) -> Tensors:
    """A module's state dict on the CPU, each tensor with memory of its own, in rows: as a file holds it."""
    return {name: _kept(value) for name, value in module.state_dict().items() if isinstance(value, Tensor)}


def _kept(value: Tensor) -> Tensor:
    return value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)


@torch.no_grad()
def put_weights(module: nn.Module, kept: Mapping[str, Tensor]) -> None:
    """Copy tensors back that `weights_of` took."""
    for name, value in module.state_dict().items():
        if isinstance(value, Tensor):
            value.copy_(kept[name])


def optimizer_state(optimizer: Optimizer, names: Mapping[Tensor, str]) -> tuple[Tensors, dict[str, Any]]:
    """(tensors by the parameter's name and the state's, plain data) of an optimizer."""
    tensors: Tensors = {}
    numbers: dict[str, Any] = {}
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            name = f"{_OPTIMIZER}.{names[parameter]}.{key}"
            if isinstance(value, Tensor):
                tensors[name] = _kept(value)
            elif value is not None:
                numbers[name] = value
    groups = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    return tensors, {"numbers": numbers, "groups": groups}


@torch.no_grad()
def restore_optimizer(
    optimizer: Optimizer, names: Mapping[Tensor, str], tensors: Mapping[str, Tensor], plain: Mapping[str, Any]
) -> None:
    """Give a fresh optimizer the state that was kept, each tensor laid out as its parameter is."""
    for group, kept in zip(optimizer.param_groups, plain["groups"], strict=True):
        for key, value in kept.items():
            group[key] = tuple(value) if isinstance(group.get(key), tuple) else value
    for parameter, name in names.items():
        prefix = f"{_OPTIMIZER}.{name}."
        state = {key: _placed(tensors[prefix + key], parameter) for key in _below(tensors, prefix)}
        state |= {key: plain["numbers"][prefix + key] for key in _below(plain["numbers"], prefix)}
        if state:
            optimizer.state[parameter] = state


def _below(names: Iterable[str], prefix: str) -> list[str]:
    """The keys of one parameter: none has a dot, and names of parameters may begin alike."""
    return [name[len(prefix) :] for name in names if name.startswith(prefix) and "." not in name[len(prefix) :]]


def _placed(value: Tensor, parameter: Tensor) -> Tensor:
    """A tensor of the state where the optimizer keeps it: beside its parameter, but for counters of steps."""
    if value.shape != parameter.shape or value.dim() == 0:
        return value.clone()
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def average_state(module: nn.Module | None) -> Tensors:
    """The averaged weights, under a name of their own; nothing where none are kept."""
    return {} if module is None else {f"{_AVERAGE}.{name}": value for name, value in weights_of(module).items()}


def restore_average(module: nn.Module | None, tensors: Mapping[str, Tensor]) -> None:
    """Put averaged weights back."""
    if module is not None:
        prefix = f"{_AVERAGE}."
        put_weights(module, {name[len(prefix) :]: tensors[name] for name in tensors if name.startswith(prefix)})


def named_parameters(module: nn.Module) -> dict[Tensor, str]:
    """The first name of each parameter."""
    names: dict[Tensor, str] = {}
    for name, parameter in module.named_parameters():
        names.setdefault(parameter, name)
    return names
