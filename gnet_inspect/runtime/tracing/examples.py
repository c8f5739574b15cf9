"""What a module is traced on: examples of its arguments -> meta tensors, by shape, dtype and structure alone."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gnet_inspect.errors import UsageError
from gnet_inspect.graph import INPUT, Value

_DTYPES = {torch.int64: "int64", torch.int32: "int64", torch.bool: "bool"}
# How deep examples may be nested.
DEEPEST = 32


def kind_of(dtype: torch.dtype) -> str:
    """What a tensor of a dtype holds, in the graph's words."""
    return _DTYPES.get(dtype, "float")


def is_shape(example: object) -> bool:
    """Whether an example is a shape: a tuple of integers alone."""
    return (
        isinstance(example, tuple)
        and type(example) in (tuple, torch.Size)
        and bool(example)
        and all(isinstance(size, int) and not isinstance(size, bool) for size in example)
    )


def dtype_of(module: nn.Module) -> torch.dtype:
    """The dtype of a module's weights, which inputs have that say none."""
    for weight in module.parameters():
        if weight.is_floating_point():
            return weight.dtype
    return torch.get_default_dtype()


def flattened(example: Any, path: str = "", depth: int = 0) -> list[tuple[str, Tensor]]:
    """Every tensor in a structure of dicts, lists, tuples and dataclasses, with where it stands: "boxes.0"."""
    if isinstance(example, Tensor):
        return [(path, example)]
    if depth > DEEPEST:
        raise UsageError(f"expected values that are nested at most {DEEPEST} deep, got more at {path!r}")
    return [pair for name, item in _items(example) for pair in flattened(item, _joined(path, name), depth + 1)]


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _items(example: Any) -> list[tuple[str, Any]]:
    if isinstance(example, Mapping):
        return [(str(name), item) for name, item in example.items()]
    if dataclasses.is_dataclass(example) and not isinstance(example, type):
        return [(field.name, getattr(example, field.name)) for field in dataclasses.fields(example)]
    if isinstance(example, tuple) and hasattr(example, "_fields"):
        return list(zip(example._fields, example, strict=True))
    if isinstance(example, list | tuple):
        return [(str(index), item) for index, item in enumerate(example)]
    return []


def mapped(example: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same structure with each tensor changed."""
    return _changed(example, lambda item: change(item) if isinstance(item, Tensor) else item)


def _changed(example: Any, change: Callable[[Any], Any]) -> Any:
    """The same structure with each of its leaves changed; a shape is one."""
    if isinstance(example, Tensor) or is_shape(example):
        return change(example)
    if dataclasses.is_dataclass(example) and not isinstance(example, type):
        changes = {name: _changed(item, change) for name, item in _items(example)}
        if isinstance(example, Mapping):
            return type(example)(**changes)
        return dataclasses.replace(example, **changes)
    if isinstance(example, Mapping):
        return type(example)({name: _changed(item, change) for name, item in example.items()})  # type: ignore[call-arg]
    if isinstance(example, tuple) and hasattr(example, "_fields"):
        return type(example)(*(_changed(item, change) for item in example))
    if isinstance(example, list | tuple):
        return type(example)(_changed(item, change) for item in example)
    return change(example)


class Examples:
    """The arguments of one call of a module, as they were given and as meta tensors, and what the graph calls them."""

    def __init__(self, module: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self._dtype = dtype_of(module)
        args = [self._read(item) for item in args]
        kwargs = {name: self._read(item) for name, item in kwargs.items()}
        self.args, self.kwargs = args, kwargs
        self.signature = signature_of(module)
        self.are_real = not any(tensor.is_meta for _, tensor in self._pairs(args, kwargs))

    def _read(self, example: Any) -> Any:
        """An example with each shape in it as a tensor of the network's dtype."""
        return _changed(example, self._read_one)

    def _read_one(self, example: Any) -> Any:
        if not is_shape(example):
            return example
        if min(example) < 0:
            raise UsageError(f"expected a shape of sizes of at least 0, got {tuple(example)}")
        return torch.empty(tuple(example), dtype=self._dtype, device="meta")

    def as_meta(self) -> tuple[list[Any], dict[str, Any], list[tuple[Value, Tensor]]]:
        """(arguments, keywords, each tensor among them with its Value), all on the meta device."""
        return self._made(
            lambda tensor: torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
        )

    def as_real(self) -> tuple[list[Any], dict[str, Any], list[tuple[Value, Tensor]]]:
        """The same with copies of what was given, which a forward may write to."""
        return self._made(lambda tensor: tensor.detach().clone())

    def _made(self, change: Callable[[Tensor], Tensor]) -> tuple[list[Any], dict[str, Any], list[tuple[Value, Tensor]]]:
        args = [mapped(item, change) for item in self.args]
        kwargs = {name: mapped(item, change) for name, item in self.kwargs.items()}
        return args, kwargs, self.named(args, kwargs)

    def named(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[tuple[Value, Tensor]]:
        """Each tensor among arguments, with its Value."""
        pairs = self._pairs(args, kwargs)
        alone = len(pairs) == 1
        return [
            (Value(INPUT if alone else name, tuple(tensor.shape), kind_of(tensor.dtype)), tensor)
            for name, tensor in pairs
        ]

    def _pairs(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[tuple[str, Tensor]]:
        names = argument_names(self.signature, len(args))
        found = [pair for name, item in zip(names, args, strict=True) for pair in flattened(item, name)]
        return found + [pair for name, item in kwargs.items() for pair in flattened(item, name)]


def signature_of(module: nn.Module) -> inspect.Signature | None:
    """What a module's forward takes; None where Python cannot tell."""
    try:
        return inspect.signature(module.forward)
    except (TypeError, ValueError):
        return None


def argument_names(signature: inspect.Signature | None, number: int) -> list[str]:
    """The names of so many positional arguments."""
    parameters = signature.parameters.values() if signature is not None else ()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    named = [parameter.name for parameter in parameters if parameter.kind in positional]
    return [named[index] if index < len(named) else f"{INPUT}{index}" for index in range(number)]
