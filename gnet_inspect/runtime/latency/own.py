"""A network in Python as what is timed: the user's own module, called as it was traced, its functions told apart."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from gnet_inspect.graph.assembling import clean
from gnet_inspect.runtime.references import Traced
from gnet_inspect.runtime.tracing.examples import Examples, flattened, mapped
from gnet_inspect.runtime.tracing.names import name_of
from gnet_inspect.runtime.tracing.questions import SPECIAL
from gnet_inspect.runtime.tracing.twin import unwrapped


class Called(nn.Module):
    """A module behind one that takes its tensors in a row, and returns in a row what the graph has as outputs."""

    def __init__(self, network: nn.Module, examples: Examples, places: Sequence[int]) -> None:
        super().__init__()
        self.network, self._places = network, tuple(places)
        self._args, self._kwargs = list(examples.args), dict(examples.kwargs)

    def forward(self, *given: Tensor) -> Any:
        """Run the module as it was traced."""
        rest = iter(given)

        def next_one(_: Tensor) -> Tensor:
            return next(rest)

        args = [mapped(item, next_one) for item in self._args]
        kwargs = {name: mapped(item, next_one) for name, item in self._kwargs.items()}
        result = self.network(*args, **kwargs)
        if isinstance(result, Tensor):
            return result
        found = [tensor for _, tensor in flattened(result)]
        outputs = tuple(found[place] for place in self._places)
        return outputs[0] if len(outputs) == 1 else outputs


class Own(NamedTuple):
    """The user's module for one candidate, and what its layers and functions are called."""

    module: Called
    # By its path as the graph has it.
    layers: dict[str, nn.Module]
    # By the number of its call: the node that a function is, and the function's name.
    functions: dict[int, tuple[str, str]]
    # What the user gave as real tensors, in the order of the graph's inputs.
    given: tuple[Tensor, ...] | None


def own_module(traced: Traced, network: nn.Module | None = None) -> Own:
    """The user's module, made anew unless one is given."""
    network = unwrapped(traced.network.build() if network is None else network)
    examples = Examples(network, traced.given.args, traced.given.kwargs)
    calls: dict[int, tuple[str, str]] = {}
    for name, record in traced.made.records.items():
        if not record.path and record.call and not record.is_side:
            calls.setdefault(record.call, (name, record.name))
    layers = {clean(path): layer for path, layer in network.named_modules()}
    given = tuple(tensor for _, tensor in examples.named(examples.args, examples.kwargs)) if examples.are_real else None
    return Own(Called(network, examples, traced.made.places), layers, calls, given)


class Times(Protocol):
    """What takes the time of a layer between its start and its stop."""

    def start(self, name: str) -> None: ...
    def stop(self, name: str) -> None: ...


class FunctionClock(TorchFunctionMode):
    """While it is entered, tells of the functions that run outside the layers, by the nodes that they are.

    They are counted as they were when the module was traced. Where another function comes than came then, the module
    took another path, and nothing more is told.
    """

    def __init__(self, functions: dict[int, tuple[str, str]], times: Times) -> None:
        super().__init__()
        self._functions, self._times = functions, times
        self._number, self._inside = 0, 0
        self._is_lost = False

    def restart(self, *_: object) -> None:
        """A run begins."""
        self._number, self._is_lost = 0, False

    def enter_layer(self, *_: object) -> None:
        """A layer runs: what it does inside is its own."""
        self._inside += 1

    def leave_layer(self, *_: object) -> None:
        """It has run."""
        self._inside -= 1

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self._inside or (func in SPECIAL and func is not Tensor.to):
            return func(*args, **kwargs)
        if func is Tensor.to:
            # A move to where it is already, or to another device, was no call when the module was traced.
            result = func(*args, **kwargs)
            self._number += result.dtype != args[0].dtype
            return result
        self._number += 1
        name, function = self._functions.get(self._number, ("", ""))
        if name and function != name_of(func):
            self._is_lost = True
        if not name or self._is_lost:
            return func(*args, **kwargs)
        self._times.start(name)
        result = func(*args, **kwargs)
        self._times.stop(name)
        return result


def drawn_input(shape: tuple[int, ...], dtype: str, device: str) -> Tensor | None:
    """An input that holds no numbers: index 0, which each table has, or a mask that masks nothing."""
    if dtype == "int64":
        return torch.zeros(shape, dtype=torch.int64, device=device)
    return torch.ones(shape, dtype=torch.bool, device=device) if dtype == "bool" else None
