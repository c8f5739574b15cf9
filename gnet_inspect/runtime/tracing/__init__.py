"""Any torch module -> its Graph, by one run of a copy that holds no weights."""

import contextlib
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gnet_inspect.errors import GnetError, UsageError, expect
from gnet_inspect.graph import Graph
from gnet_inspect.runtime.tracing.assembling import Assembled, RunAssembler
from gnet_inspect.runtime.tracing.examples import Examples, flattened, is_shape, signature_of
from gnet_inspect.runtime.tracing.recorder import Operators, Recorder, TraceError, UnseenError, ValueReadError
from gnet_inspect.runtime.tracing.twin import Twin, unwrapped


def trace(module: nn.Module, *args: Any, **kwargs: Any) -> Graph:
    """The graph of any module, as one call of it runs: its path is the one that is counted.

    Arguments are examples of those of its forward: a tensor (real or meta), a shape (a tuple of integers alone), a
    number, None, a string, or a dict, list, tuple or dataclass of examples. The mode is the module's own (`eval()` or
    `train()`). The module is left as it is: it is run as a copy whose weights are on the meta device, none of them
    read. Where the forward reads a value, and the examples are real tensors, the copy runs once on the real weights.

    Raises TraceError (a UsageError) for a module that cannot be traced, with the place.

    >>> from torch import nn
    >>> graph = trace(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).eval(), (1, 3, 32, 32))
    >>> [node.describe() for node in graph.nodes]
    ['Conv2d 3x3, 8', 'ReLU']
    """
    return traced(module, args, kwargs).graph


def trace_given(module: nn.Module, inputs: object) -> Graph:
    """The graph of a module that is called with a shape, a tuple of shapes or other examples, or a dict of them."""
    if inputs is None:
        takes = f"forward{signature_of(module) or '(...)'}"
        raise UsageError(
            f"expected what {type(module).__name__} is called with, got none: {takes}. "
            "(a shape such as (1, 3, 224, 224), a tuple of shapes, or a dict by name)"
        )
    if isinstance(inputs, Mapping):
        return trace(module, **inputs)
    if is_shape(inputs) or not isinstance(inputs, list | tuple):
        return trace(module, inputs)
    return trace(module, *inputs)


def traced(
    module: nn.Module,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    name: str = "",
    title: str = "",
    mode: str | None = None,
    tape: bool = False,
) -> Assembled:
    """The same with the record of each node; `mode` is set on the copy, the module's own unless said."""
    expect(module, nn.Module, "a torch.nn.Module")
    module = unwrapped(module)
    examples = Examples(module, args, kwargs)
    kind = type(module).__name__
    named = name or kind, title or kind
    try:
        return _traced(module, examples, named, mode, real=False, tape=tape)
    except ValueReadError:
        if not examples.are_real:
            raise
        return _traced(module, examples, named, mode, real=True, tape=tape)


def _traced(
    module: nn.Module, examples: Examples, named: tuple[str, str], mode: str | None, *, real: bool, tape: bool
) -> Assembled:
    if real:
        # Of real tensors nothing tells one that was made unseen from a constant.
        return _run(module, examples, named, mode, real=True, tape=tape, operators=True)
    try:
        return _run(module, examples, named, mode, real=False, tape=tape, operators=False)
    except UnseenError:
        return _run(module, examples, named, mode, real=False, tape=tape, operators=True)


def _run(
    module: nn.Module,
    examples: Examples,
    named: tuple[str, str],
    mode: str | None,
    *,
    real: bool,
    tape: bool,
    operators: bool,
) -> Assembled:
    with _random_state_kept():
        twin = Twin(module, real=real)
        copy = twin.module
        if mode is not None:
            copy.train(mode == "train")
        args, kwargs, inputs = examples.as_real() if real else examples.as_meta()
        recorder = Recorder(copy, device=_device_of(module, inputs), real=real, tape=tape)
        for value, tensor in inputs:
            recorder.note_input(value.name, tensor)
        recorder.watch()
        try:
            with torch.no_grad(), Operators(recorder) if operators else contextlib.nullcontext(), recorder:
                result = copy(*args, **kwargs)
            if recorder.has_missed:
                raise recorder.unseen("an operator") if operators else UnseenError
        except (GnetError, UnseenError):
            raise
        except Exception as error:
            if recorder.has_missed and not operators:
                raise UnseenError from error
            raise recorder.failed(copy, "", args, kwargs, error) from error
        finally:
            for inner in copy.modules():
                inner.__dict__.pop("forward", None)
        found = flattened(result)
        outputs = [(place, recorder.value_in(tensor)) for place, tensor in found]
        names = isinstance(result, Mapping) and len(found) > 0
        assembler = RunAssembler(recorder, [value for value, _ in inputs], named[1])
        how = mode or ("train" if module.training else "eval")
        return assembler.assembled(outputs, how, named[0], names_outputs=names)


def _device_of(module: nn.Module, inputs: Sequence[tuple[Any, Tensor]]) -> torch.device:
    """Where the network is said to be: where its weights are; of one on the meta device, on the CPU."""
    for weight in module.parameters():
        return torch.device("cpu") if weight.is_meta else weight.device
    return next((tensor.device for _, tensor in inputs if not tensor.is_meta), torch.device("cpu"))


@contextlib.contextmanager
def _random_state_kept() -> Iterator[None]:
    """What is drawn while a module is traced changes no generator of the caller's."""
    state = random.getstate()
    numpy = sys.modules.get("numpy")
    of_numpy = numpy.random.get_state() if numpy is not None else None
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(state)
        if numpy is not None:
            numpy.random.set_state(of_numpy)


__all__ = ["TraceError", "ValueReadError", "trace", "traced"]
