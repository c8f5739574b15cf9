"""The calls that a trace recorded, run again one by one on real tensors: they must give what the module gives."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gnet_inspect.graph.recording import Made, Record
from gnet_inspect.runtime.tracing.calls import rebuilt, tensors_in
from gnet_inspect.runtime.tracing.recorder import Recorder


class Replay:
    """Runs the records of one trace on a module's real weights, and keeps the shapes of what each of them makes."""

    def __init__(self, recorder: Recorder, module: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        self._recorder, self._module, self._inputs = recorder, module, inputs
        self._weights = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        self._found: dict[tuple[int, int], Tensor] = {}
        # A call that made several values is run once.
        self._results: dict[int, tuple[list[Tensor], list[Tensor]]] = {}
        self._constants: dict[int, Tensor] = {}
        # (name of the record, the shapes it made in the trace, the shapes it makes now)
        self.shapes: list[tuple[Record, tuple[Any, ...], tuple[Any, ...]]] = []

    def run(self, outputs: Sequence[Made]) -> list[Tensor]:
        """The values of some outputs, after all records have run."""
        with torch.no_grad():
            for record in self._recorder.root.records():
                self._run(record)
            return [self._value(made) for made in outputs]

    def _run(self, record: Record) -> None:
        made = self._made_by(record)
        expected = tuple(value.shape for value in record.outputs)
        self.shapes.append((record, expected, tuple(tuple(tensor.shape) for tensor in made)))
        for value, tensor in zip(record.outputs, made, strict=False):
            self._found[id(record), value.index] = tensor

    def _made_by(self, record: Record) -> list[Tensor]:
        kind, *tape = record.tape
        if kind == "same":
            return [self._value(tape[0])]
        if kind == "layer":
            path, args, kwargs = tape
            layer = self._module.get_submodule(path)
            return tensors_in(layer(*self._filled(args), **self._filled(kwargs)))
        func, args, kwargs, index, number = tape
        if number not in self._results:
            self._results.clear()
            given, named = self._filled(args), self._filled(kwargs)
            result = func(*given, **named)
            self._results[number] = tensors_in(result), tensors_in((given, named))
        outputs, given = self._results[number]
        ids = {id(tensor) for tensor in given}
        fresh = [tensor for tensor in outputs if id(tensor) not in ids]
        if index is not None:
            return [fresh[index]]
        # What it wrote to is what it returned of its arguments, or the first of them.
        written = [tensor for tensor in outputs if id(tensor) in ids] or given[:1]
        return [*fresh, *written][: len(record.outputs)]

    def _value(self, made: Made) -> Tensor:
        if made.constant is not None:
            return self._constant(made.constant)
        if made.name:
            return self._inputs[made.name]
        if made.weight:
            return self._weights[made.weight]
        return self._found[id(made.record), made.index]

    def _constant(self, tensor: Tensor) -> Tensor:
        """A copy of a constant, which may be written to: of those that share memory, one memory."""
        key = tensor.untyped_storage()._cdata
        if key not in self._constants:
            flat = torch.empty(0, dtype=tensor.dtype).set_(tensor.untyped_storage())
            self._constants[key] = flat.clone()
        flat = self._constants[key]
        if flat.dtype != tensor.dtype:
            return tensor.clone()
        return flat.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())

    def _filled(self, value: Any) -> Any:
        """Arguments with tensors in the places of values."""
        if isinstance(value, Made):
            return self._value(value)
        if isinstance(value, Tensor):
            return value if value.is_meta or isinstance(value, nn.Parameter) else self._constant(value)
        if isinstance(value, list | tuple):
            items = [self._filled(item) for item in value]
            return rebuilt(value, items)
        if isinstance(value, dict):
            return {name: self._filled(item) for name, item in value.items()}
        return value
