"""One run of a module, recorded: every function that torch is asked for, which values it reads, and what it makes.

Values are followed by the identity of tensors, which live no longer here than they do in the run itself. What no value
of the network is in is a constant, and stays real until it meets one, so that a forward may read its values.
"""

import re
import sys
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from gnet_inspect.errors import GnetError, UsageError, brief
from gnet_inspect.graph.recording import Made, Memory, Record, Scope, Weight
from gnet_inspect.ops import Op, Shape, Shapes
from gnet_inspect.ops.functions import Rearrangement
from gnet_inspect.runtime.tracing import functional, moving, products  # noqa: F401  # their rules
from gnet_inspect.runtime.tracing.calls import Reading, Request, opaque, read_call, rebuilt, storage_of, tensors_in
from gnet_inspect.runtime.tracing.examples import kind_of
from gnet_inspect.runtime.tracing.layers import Layer, layer_of
from gnet_inspect.runtime.tracing.names import name_of
from gnet_inspect.runtime.tracing.places import here, in_kernel, place_of
from gnet_inspect.runtime.tracing.questions import SPECIAL
from gnet_inspect.runtime.tracing.twin import HELD, LAZY
from gnet_inspect.units import dimensions, sum_known

# As many calls as a graph may have layers.
MOST_RECORDS = 200_000
# Where a module that is called calls its forward.
_CALLING = nn.Module.__call__.__code__.co_filename
# The tools that count by hooks on modules; those whose hooks read what is given by its place.
_HOOKED = ("torchinfo", "ptflops_pytorch", "thop")
_BY_PLACE = ("ptflops_pytorch", "thop")


class TraceError(UsageError):
    """A network that cannot be traced, and where."""


class UnseenError(Exception):
    """A value that was made where functions are not told of: by TorchScript, or by an extension in C++."""


class ValueReadError(TraceError):
    """A forward that reads the value of a tensor, which a run without values cannot answer."""


class HeldTensor(Weight):
    """A weight of the copy that runs, with its tensor."""

    __slots__ = ("tensor",)

    def __init__(self, path: str, tensor: Tensor, *, is_buffer: bool, persistent: bool = True) -> None:
        shape = () if isinstance(tensor, LAZY) else _shape(tensor)
        super().__init__(
            path,
            shape,
            kind_of(tensor.dtype),
            is_buffer=is_buffer,
            is_trained=tensor.requires_grad,
            persistent=persistent,
        )
        self.tensor = tensor


class Given(NamedTuple):
    """What a layer was given, before it ran; `template` are its arguments with values in the place of tensors."""

    values: list[Made]
    template: tuple[Any, Any] | None


class Recorder(TorchFunctionMode):
    """Records what runs while it is entered. `real`: the run has values, and may read them; `tape`: keep how each call
    is run again."""

    def __init__(self, module: nn.Module, *, device: torch.device, real: bool = False, tape: bool = False) -> None:
        super().__init__()
        self.module, self.device, self.is_real, self.keeps_tape = module, device, real, tape
        self.root = self.scope = Scope("", type(module).__name__)
        self.count = 0
        # How many functions were called, plain questions apart.
        self.calls = 0
        self.weights: dict[str, HeldTensor] = {}
        self._held: dict[int, HeldTensor] = {}
        self._made: dict[int, Made] = {}
        self._refs: dict[int, Any] = {}
        # By the identity of memory that a followed tensor lies in, and by that of each such tensor.
        self._memory: dict[int, Memory] = {}
        self._lies_in: dict[int, tuple[int, Memory]] = {}
        # Whether something beside the values was held: constants that were met, what is computed of weights.
        self.holds_more = False
        self._times: dict[str, int] = {}
        self._layers: dict[int, tuple[type, Layer | None]] = {}
        # By the identity of a constant its twin on the meta device, and by that of the twin the constant: both live as
        # long as these do. By that of a constant's memory, that one's twin.
        self._twins: dict[int, Tensor] = {}
        self._constants: dict[int, Tensor] = {}
        self._flats: dict[int, tuple[Any, Tensor]] = {}
        # By the identity of memory that data was written to by way of a constant: that memory, and what was written.
        self._dirty: dict[int, tuple[Any, tuple[Made, ...]]] = {}
        # Of constants that are made of tables of indices, those tables, by identity.
        self._table_parts: dict[int, tuple[Any, list[Weight]]] = {}
        # Constants that were made on the meta device, by identity.
        self._shapes_only: dict[int, Any] = {}
        # While a function runs as one, what it does inside is its own.
        self._busy = False
        # Whether it is told of operators too; whether one ran that it was not told of.
        self.sees_operators = self.has_missed = False
        self.inputs: list[Made] = []
        self.weight_memory = Memory()
        # The tools that do not see the modules as this run calls them.
        self.uncounted: set[str] = set()
        self._note_weights()
        self._note_attributes()

    # --- what is followed ---

    def _note_weights(self) -> None:
        """Know every parameter and buffer by identity: of one that several modules have, the first path."""
        for path, module in self.module.named_modules():
            before = f"{path}." if path else ""
            for name, parameter in module._parameters.items():
                if parameter is not None and id(parameter) not in self._held:
                    self._note_weight(HeldTensor(before + name, parameter, is_buffer=False))
            for name, buffer in module._buffers.items():
                if buffer is not None and id(buffer) not in self._held:
                    kept = name not in module._non_persistent_buffers_set
                    self._note_weight(HeldTensor(before + name, buffer, is_buffer=True, persistent=kept))

    def _note_weight(self, weight: HeldTensor) -> None:
        tensor = weight.tensor
        if isinstance(tensor, LAZY):
            # It has no shape before its layer is called first.
            return
        self._held[id(tensor)] = weight
        self.weights[weight.path] = weight
        # A table of indices is a constant: a forward may read its values.
        if tensor.is_floating_point() or tensor.is_complex() or tensor.is_meta or not weight.is_buffer:
            made = self._made[id(tensor)] = Made(_shape(tensor), kind_of(tensor.dtype))
            made.weight = weight.path
            # Views of it lie in memory that is held anyway.
            made.memory = self._memory.setdefault(storage_of(tensor), self.weight_memory)
            made.memory.tensors += 1

    def _note_attributes(self) -> None:
        """Know the tensors that modules hold beside their weights, of a network that was made without values."""
        for module in self.module.modules():
            for tensor in tensors_in([value for name, value in module.__dict__.items() if name not in HELD]):
                if tensor.is_meta and id(tensor) not in self._made:
                    self._note_shape(tensor)

    def _note_shape(self, tensor: Tensor) -> None:
        """Know a constant that is a shape alone."""
        key = id(tensor)
        self._shapes_only[key] = weakref.ref(tensor, lambda _: self._shapes_only.pop(key, None))

    def note_input(self, name: str, tensor: Tensor) -> None:
        """Follow an input of the network."""
        made = self._follow(tensor)
        made.name = name
        self.inputs.append(made)

    def value_of(self, tensor: Tensor) -> Made | None:
        """What a tensor holds now; None for a constant."""
        made = self._made.get(id(tensor))
        if made is None or not made.overwritten:
            return made
        current = self._made[id(tensor)] = self._after_writing(made)
        return current

    def value_in(self, tensor: Tensor) -> Made | None:
        """The same of any tensor that the user has: of a constant that data was written into, what it holds since."""
        if id(tensor) not in self._made and self._is_followed(tensor):
            tensor = tensor if self.is_real or tensor.is_meta else self._twin(tensor)
            self._meet_written([tensor])
        return self.value_of(tensor)

    def _after_writing(self, made: Made) -> Made:
        """A value with what was written over its memory since: a record of its own, made when it is first read."""
        before = made.copy()
        before.overwritten = ()
        op = Rearrangement("overwritten", made.shape, made.dtype, True, True)
        record = Record("overwritten", op, self.scope)
        record.values = [*([] if before.is_constant else [before]), *made.overwritten]
        record.is_side = all(value.is_side for value in record.values)
        record.tape = ("same", before)
        found = Made(made.shape, made.dtype)
        found.record, found.memory = record, made.memory
        record.outputs.append(found)
        self._put_in(record)
        return found

    def _follow(self, tensor: Tensor) -> Made:
        """A new value for a tensor."""
        key = id(tensor)
        made = self._made[key] = Made(_shape(tensor), kind_of(tensor.dtype))
        if key not in self._held and key not in self._refs:
            self._refs[key] = weakref.ref(tensor, partial(self._forget, key))
            place = storage_of(tensor)
            memory = self._memory.setdefault(place, made.memory)
            memory.tensors += 1
            self._lies_in[key] = place, memory
        if key in self._lies_in:
            made.memory = self._lies_in[key][1]
        return made

    def _forget(self, key: int, _: Any) -> None:
        self._refs.pop(key, None)
        self._made.pop(key, None)
        place, memory = self._lies_in.pop(key)
        memory.tensors -= 1
        if not memory.tensors:
            memory.died = self.count
            del self._memory[place]

    def _put_in(self, record: Record) -> None:
        self.count += 1
        if self.count > MOST_RECORDS:
            raise TraceError(f"expected a network of at most {MOST_RECORDS:,} calls, got more")
        record.time = self.count
        self.scope.items.append(record)

    def _finish(self, record: Record, fresh: Sequence[Tensor], targets: Sequence[Tensor] = ()) -> None:
        """Put a record in, and follow what it made; `targets` are the tensors it wrote to."""
        self._put_in(record)
        for tensor in fresh:
            made = self._follow(tensor)
            made.record, made.index = record, len(record.outputs)
            record.outputs.append(made)
        for tensor in targets:
            self._overwrite(tensor, record)

    def _overwrite(self, target: Tensor, record: Record) -> None:
        """A record wrote to a tensor: that has another value now, and so have all that share its memory."""
        made = Made(_shape(target), kind_of(target.dtype))
        made.record, made.index = record, len(record.outputs)
        record.outputs.append(made)
        key, memory = id(target), storage_of(target)
        if key in self._lies_in:
            made.memory = self._lies_in[key][1]
        if key not in self._made:
            # A constant: whoever reads its memory from now on reads this.
            held = self._dirty.get(memory, (None, ()))[1]
            self._dirty[memory] = target.untyped_storage(), (*held, made)
            made.memory = self._follow(target).memory
        self._made[key] = made
        for other, ref in list(self._refs.items()):
            tensor = ref()
            if other != key and tensor is not None and storage_of(tensor) == memory:
                changed = self._made[other].copy()
                changed.overwritten = (*changed.overwritten, made)
                self._made[other] = changed
        if memory in self._dirty:
            storage, held = self._dirty[memory]
            self._dirty[memory] = storage, held if made in held else (*held, made)

    # --- modules ---

    def watch(self) -> None:
        """Let every module of the copy tell when it is called."""
        seen: set[int] = set()
        for path, module in self.module.named_modules(remove_duplicate=False):
            if id(module) in seen:
                # Tools put a hook on it for each of its names, or count it under each.
                self.uncounted.update(_HOOKED)
            elif path:
                # In its dict, because a module's own setattr may refuse it.
                module.__dict__["forward"] = partial(self._run_module, module, path, module.forward)
            seen.add(id(module))

    def _run_module(self, module: nn.Module, path: str, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """A call of a module below the root: one record if it is a layer of torch's, else a scope."""
        if self._busy:
            return forward(*args, **kwargs)
        layer = None if self._is_transformed(args) else self._layer_of(module)
        if not module._modules:
            if sys._getframe(1).f_code.co_filename != _CALLING:
                # module.forward(x), which no hook is told of.
                self.uncounted.update(_HOOKED)
            elif not args:
                # Their hooks look for what is given by its place.
                self.uncounted.update(_BY_PLACE)
        call = self._times[path] = self._times.get(path, -1) + 1
        if layer is not None and len(args) == 1 and not kwargs:
            with torch._C.DisableTorchFunction():
                done, result = self._run_layer(module, path, layer, args[0])
            if done:
                return result
        before: Given | None = None
        if layer is not None:
            with torch._C.DisableTorchFunction():
                # What it is given may be overwritten by it.
                before = self._given(args, kwargs)
        outer, calls = self.scope, self.calls
        self.scope = Scope(path, type(module).__name__, call, outer, is_container=isinstance(module, nn.Sequential))
        outer.items.append(self.scope)
        try:
            result = forward(*args, **kwargs)
        except (GnetError, UnseenError):
            raise
        except Exception as error:
            raise self.failed(module, path, args, kwargs, error) from error
        finally:
            inside, self.scope = self.scope, outer
        if layer is not None and before is not None:
            # What a layer of torch's runs inside has no number of its own.
            self.calls = calls
            with torch._C.DisableTorchFunction():
                self._fold(inside, module, layer, before, (args, kwargs), result)
        return result

    def see(self, func: Any, args: Any, kwargs: Any) -> Any:
        """An operator that runs where functions are not told of."""
        if self._busy:
            return func(*args, **kwargs)
        with torch._C.DisableTorchFunction():
            return self.call(func, args, kwargs)

    def _layer_of(self, module: nn.Module) -> Layer | None:
        kind = type(module)
        if any(self._is_replaced(item) for item in module._parameters.values()):
            # It runs on others than its own weights (torch.func.functional_call): its functions say on which.
            return None
        known = self._layers.get(id(module))
        # A lazy layer becomes one of another class.
        if known is None or known[0] is not kind:
            known = self._layers[id(module)] = kind, layer_of(module)
        return known[1]

    def _is_replaced(self, weight: Tensor | None) -> bool:
        """Whether what stands in the place of a weight is none, or holds another value by now."""
        if weight is None or isinstance(weight, LAZY):
            return False
        if id(weight) not in self._held:
            return not isinstance(weight, nn.Parameter)
        made = self._made.get(id(weight))
        return made is not None and not made.weight

    def _run_layer(self, module: nn.Module, path: str, layer: Layer, x: Any) -> tuple[bool, Any]:
        """(whether it is recorded, its result): by its shapes alone, where these and the layer say all."""
        if self.is_real or layer.op is None or not layer.is_quick or not isinstance(x, Tensor):
            return False, None
        made = self.value_of(x)
        if made is None or made.is_side or not x.is_contiguous() or not layer.fits(module, x):
            return False, None
        given = (made.shape,)
        try:
            shape = layer.op.outputs(given)[0]
        except GnetError:
            # torch says what is wrong in its own words, or takes it after all.
            return False, None
        if module.training and layer.op.refuses_training(given):
            return False, None
        record = Record("", layer.op, self.scope, path)
        record.values = [made]
        slots = self._slots(module, layer.op, given)
        if slots is None:
            return False, None
        record.slots = slots
        if self.keeps_tape:
            record.tape = ("layer", path, [self._templated(x)], {})
        if layer.op.overwrites() and layer.op.aliases(module.training) is None:
            self._finish(record, [], [x])
            return True, x
        if layer.op.aliases(module.training) is not None:
            result = x.view(shape)
        else:
            weight: Any = module.weight if layer.op.reads == "int64" else x
            result = torch.empty(shape, dtype=weight.dtype, device="meta")
        self._finish(record, [result])
        return True, result

    def _slots(self, module: nn.Module, op: Op, given: Shapes) -> list[Made] | None:
        """The weights that a layer reads; None where they are not what its kind says."""
        found = []
        for weight in op.weights(given):
            held: Any = module
            for name in weight.name.split("."):
                held = getattr(held, name, None)
            if not isinstance(held, Tensor):
                return None
            if id(held) not in self._held and isinstance(held, nn.Parameter):
                # It was made since: a lazy layer's.
                self._note_weights()
            made = self.value_of(held)
            if made is None:
                if id(held) not in self._held:
                    return None
                # A counter, which is no value.
                made = Made(_shape(held), kind_of(held.dtype))
                made.weight = self._held[id(held)].path
            if not made.is_side or made.shape != weight.shape:
                return None
            found.append(made)
        return found

    def _given(self, args: Any, kwargs: Any) -> Given:
        """What a layer is given: values, and how it is called with these again."""
        found = [made for tensor in tensors_in((args, kwargs)) if (made := self.value_of(tensor)) is not None]
        return Given(found, (self._templated(args), self._templated(kwargs)) if self.keeps_tape else None)

    def _fold(
        self, inside: Scope, module: nn.Module, layer: Layer, before: Given, arguments: tuple[Any, Any], result: Any
    ) -> None:
        """Make one record of what a layer of torch's ran."""
        records = list(inside.records())
        given = before.values
        args, kwargs = arguments
        outputs = tensors_in(result)
        own = set(map(id, records))
        read = list(
            dict.fromkeys(
                made for record in records for made in (*record.values, *record.slots) if id(made.record) not in own
            )
        )
        home = inside.parent or self.root
        if not (read or given) or not outputs:
            home.items.remove(inside)
            return
        order = {id(made): place for place, made in enumerate(given)}
        values = sorted((made for made in read if not made.is_side), key=lambda made: order.get(id(made), len(order)))
        slots = [made for made in read if made.is_side]
        values = values or given[:1]
        given_shapes, made_shapes = tuple(made.shape for made in values), tuple(map(_shape, outputs))
        op = layer.op_of_call(module, args, kwargs, given_shapes, made_shapes)
        if op is not None:
            slots = self._slots(module, op, given_shapes) or slots
        else:
            op = opaque(layer.kind, outputs, sum_known(record.macs() for record in records))
        record = Record("", op, home, inside.path)
        record.values, record.slots = values, slots
        record.is_side = all(made.is_side for made in (*values, *slots))
        if before.template is not None:
            record.tape = ("layer", inside.path, *before.template)
        home.items[home.items.index(inside)] = record
        self.count += not records
        record.time = self.count
        for index, tensor in enumerate(outputs):
            made = self._made.get(id(tensor))
            if made is None or id(made.record) not in own:
                # It hands on what it was given: what comes after reads the layer.
                made = self._follow(tensor)
            made.record, made.index = record, index
            record.outputs.append(made)

    # --- functions ---

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self._busy:
            return func(*args, **(kwargs or {}))
        if in_kernel():
            # What TorchScript or an extension runs is told of by torch's kernels alone, some of which are in Python.
            self.has_missed = True
            return func(*args, **(kwargs or {}))
        special = SPECIAL.get(func)
        if special is not None:
            return special(self, func, args, kwargs or {})
        return self.call(func, args, kwargs or {})

    def call(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Run a function, and record it where a value of the network is in it."""
        tensors = tensors_in((args, kwargs))
        self.calls += 1
        if self._is_transformed(tensors):
            # Under torch.func.vmap, whose operators alone are on tensors that are known.
            if not self.sees_operators:
                raise UnseenError(name_of(func))
            return func(*args, **kwargs)
        if not any(self._is_followed(tensor) for tensor in tensors):
            self._check_seen(func, tensors)
            return self._made_of_tables(self.make_constant(func, args, kwargs), tensors)
        tables = self._tables(tensors)
        template = (self._templated(args), self._templated(kwargs)) if self.keeps_tape else None
        if not self.is_real:
            args, kwargs = self._on_meta(args), self._on_meta(kwargs)
            if kwargs.get("device") is not None:
                kwargs["device"] = torch.device("meta")
            tensors = tensors_in((args, kwargs))
        self._meet_written(tensors)
        self._check_seen(func, tensors)
        request = Request(func, args, kwargs, self._made)
        found = None if self.is_real else read_call(request)
        quick = found[0].quick if found and len(found) == 1 else None
        if quick is not None and (request.name in _IN_ONE_ORDER or all(tensor.is_contiguous() for tensor in tensors)):
            result = torch.empty(quick, dtype=tensors[0].dtype, device="meta")
            self._note(request, found, result, [], template)
            self._note_tables(tables)
            return result
        versions = [tensor._version for tensor in tensors]
        if self.is_real:
            self._check_write(func, tensors)
        result = self._run(func, args, kwargs)
        written = [tensor for tensor, version in zip(tensors, versions, strict=True) if tensor._version != version]
        if self.is_real:
            found = read_call(request)
        self._note(request, found, result, written, template)
        self._note_tables(tables)
        return result

    def set_data(self, func: Any, args: Any, kwargs: Any) -> None:
        """tensor.data = other: it holds what the other does from now on, and lies where that does."""
        target, source = args if self.is_real else self._on_meta(args)
        made = self.value_of(source)
        self._run(func, (target, source), kwargs)
        if made is None:
            return
        held = made.copy()
        if id(target) not in self._held:
            if id(target) in self._refs:
                self._forget(id(target), None)
            held.memory = self._follow(target).memory
        self._made[id(target)] = held

    def _tables(self, tensors: Sequence[Tensor]) -> list[Weight]:
        """The buffers that are constants, because a forward may read their values, among some tensors, and those that
        constants among them are made of."""
        found: dict[str, Weight] = {}
        for tensor in tensors:
            if id(tensor) not in self._made:
                held = self._held.get(id(tensor))
                parts = [held] if held is not None else self._table_parts.get(id(tensor), (None, []))[1]
                found.update((weight.path, weight) for weight in parts)
        return list(found.values())

    def _made_of_tables(self, result: Any, tensors: Sequence[Tensor]) -> Any:
        """A result of constants alone, which is as much the network's own as the tables it is made of."""
        tables = self._tables(tensors)
        for tensor in tensors_in(result) if tables else ():
            key = id(tensor)
            if key not in self._held:
                ref = weakref.ref(tensor, partial(self._forget_part, key))
                self._table_parts[key] = ref, tables
        return result

    def _forget_part(self, key: int, _: Any) -> None:
        self._table_parts.pop(key, None)

    def _note_tables(self, tables: Sequence[Weight]) -> None:
        """Let the last record hold tables of indices that it was given: constants, but the network's own."""
        last = self.scope.items[-1] if self.scope.items else None
        for weight in tables:
            if isinstance(last, Record) and last.call == self.calls:
                made = Made(weight.shape, weight.dtype)
                made.weight = weight.path
                last.slots.append(made)

    def _is_transformed(self, tensors: Sequence[Any]) -> bool:
        """Whether one of them is what torch.func wraps around a value."""
        functorch = torch._C._functorch
        for tensor in tensors:
            if isinstance(tensor, Tensor) and functorch.is_functorch_wrapped_tensor(tensor):
                inner = tensor
                while functorch.is_functorch_wrapped_tensor(inner):
                    inner = functorch.get_unwrapped(inner)
                if self._is_followed(inner):
                    return True
        return False

    def _check_seen(self, func: Any, tensors: Sequence[Tensor]) -> None:
        """Raise UnseenError for a tensor that nobody told of: it may be made of anything."""
        for tensor in tensors:
            key = id(tensor)
            if self.is_real or not tensor.is_meta or isinstance(tensor, LAZY):
                continue
            if key in self._made or key in self._shapes_only or key in self._constants:
                continue
            # It was made since, if it is a lazy layer's.
            self._note_weights()
            if key not in self._made:
                raise self.unseen(name_of(func)) if self.sees_operators else UnseenError(name_of(func))

    def _run(self, func: Any, args: Any, kwargs: Any) -> Any:
        self._busy = True
        try:
            return func(*args, **kwargs)
        except (GnetError, UnseenError):
            raise
        except Exception as error:
            raise self._refused(func, error) from error
        finally:
            self._busy = False

    def _note(self, request: Request, found: Any, result: Any, written: list[Tensor], template: Any) -> None:
        outputs = tensors_in(result)
        targets = _targets(request, result, outputs, written)
        given = {id(tensor) for tensor in tensors_in((request.args, request.kwargs))}
        fresh = [tensor for tensor in outputs if id(tensor) not in given]
        if not targets and not fresh and request.name == "contiguous":
            # It may have more to do where tensors have values: kernels of real devices choose other layouts.
            fresh = outputs
        if not targets and not fresh:
            # It hands on what it was given, or answers a question.
            return
        for part in request.readings(found, fresh or targets):
            self._note_part(request, part, fresh, targets, template)

    def _note_part(
        self, request: Request, part: Reading, fresh: list[Tensor], targets: list[Tensor], template: Any
    ) -> None:
        record = Record(request.name, part.op, self.scope)
        record.values, record.slots = self._values(part.values), self._values(part.slots)
        record.is_alias = part.is_alias
        record.is_side = all(value.is_side for value in (*record.values, *record.slots))
        record.call = self.calls
        if template is not None:
            record.tape = ("call", request.func, *template, part.part, self.calls)
        self._finish(record, fresh if part.part is None else [fresh[part.part]], targets)

    def _values(self, tensors: Sequence[Tensor]) -> list[Made]:
        """What is followed of some tensors: constants are none of the network's values."""
        found = [self.value_of(tensor) for tensor in tensors]
        return [made for made in found if made is not None and not made.is_constant]

    def _is_followed(self, tensor: Tensor) -> bool:
        """Whether a value of the network, or a weight, is in a tensor."""
        if id(tensor) in self._made:
            return True
        if not self._dirty:
            return False
        flat = self._flats.get(storage_of(tensor))
        return storage_of(flat[1] if flat else tensor) in self._dirty

    def _meet_written(self, tensors: Sequence[Tensor]) -> None:
        """Follow the constants whose memory data was written to."""
        if not self._dirty:
            return
        for tensor in tensors:
            if id(tensor) not in self._made and (held := self._dirty.get(storage_of(tensor))) is not None:
                made = self._follow(tensor)
                # Of a twin, the constant that it stands for.
                made.constant, made.overwritten = self._constants.get(id(tensor), tensor), held[1]

    def hides(self, tensor: Tensor) -> bool:
        """Whether a tensor is on the meta device because it is a value here, and not because the user put it there."""
        return tensor.is_meta and not self.is_real and self._is_followed(tensor)

    # --- constants ---

    def make_constant(self, func: Any, args: Any, kwargs: Any) -> Any:
        """What no value of the network is in: on the CPU, whatever device it is wanted on."""
        device = kwargs.get("device")
        if device is not None and str(device) != "meta":
            kwargs = kwargs | {"device": torch.device("cpu")}
        result = self._run(func, args, kwargs)
        for tensor in tensors_in(result):
            if tensor.is_meta and id(tensor) not in self._made and not in_kernel():
                self._note_shape(tensor)
        return result

    def _on_meta(self, value: Any) -> Any:
        """The same with each real constant as its twin on the meta device."""
        if isinstance(value, Tensor):
            return value if value.is_meta else self._twin(value)
        if isinstance(value, list | tuple):
            items = [self._on_meta(item) if not isinstance(item, int | float | str) else item for item in value]
            return rebuilt(value, items)
        if isinstance(value, dict):
            return {name: self._on_meta(item) for name, item in value.items()}
        return value

    def _twin(self, tensor: Tensor) -> Tensor:
        """A constant's twin: those of one memory have one memory, because data may be written to any of them."""
        known = self._twins.get(id(tensor))
        if known is not None:
            return known
        self.holds_more |= id(tensor) not in self._held
        key = storage_of(tensor)
        if key not in self._flats:
            # Kept with the memory itself, whose address is another's else.
            storage = tensor.untyped_storage()
            elements = storage.nbytes() // max(tensor.element_size(), 1)
            self._flats[key] = storage, torch.empty(elements, dtype=tensor.dtype, device="meta")
        flat = self._flats[key][1]
        if flat.dtype == tensor.dtype:
            twin = flat.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())
        else:
            twin = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
        self._twins[id(tensor)], self._constants[id(twin)] = twin, tensor
        return twin

    # --- what is refused ---

    def refuse_value(self, func: Any, args: Any, kwargs: Any) -> Any:
        """A question for a tensor's values, which constants and a real run answer."""
        tensors = tensors_in((args, kwargs))
        followed = any(tensor.is_meta or self._is_followed(tensor) for tensor in tensors)
        if self.is_real or not followed:
            return func(*args, **kwargs)
        raise self._value_read(name_of(func))

    def unseen(self, what: str) -> TraceError:
        """The error of a value that no function and no operator was told of."""
        return TraceError(f"{self._where()} makes a value where torch does not tell of it ({what}){here()}")

    def _where(self) -> str:
        path = self.scope.path
        return f"`{path}` ({self.scope.kind})" if path else self.scope.kind

    def _value_read(self, what: str) -> ValueReadError:
        return ValueReadError(
            f"{self._where()} reads values of a tensor ({what}){here()}, and a network is traced by shapes alone. "
            "(give real tensors as examples, in Python or by --inputs FILE.py:FUNCTION: then the path of these values "
            "is traced; or trace a part of it that reads none)"
        )

    def _refused(self, func: Any, error: Exception) -> Exception:
        """An error of torch's as one that says what it means here, where that is known."""
        text = str(error).lower()
        if not self.is_real and (re.search(r"\bmeta\b", text) is not None or isinstance(error, NotImplementedError)):
            return self._value_read(name_of(func))
        return error

    def failed(self, module: nn.Module, path: str, args: Any, kwargs: Any, error: Exception) -> TraceError:
        """The error of a module that raises."""
        given = ", ".join(dimensions(tensor.shape) or "a scalar" for tensor in tensors_in((args, kwargs))) or "none"
        name = f"`{path}` ({type(module).__name__})" if path else type(module).__name__
        why = brief(" ".join(str(error).split()), 300)
        return TraceError(f"{name} failed on inputs of {given}{place_of(error)}: {type(error).__name__}: {why}")

    def _check_write(self, func: Any, tensors: Sequence[Tensor]) -> None:
        """In a real run the parameters are the user's own memory."""
        name = getattr(func, "__name__", "")
        writes = (name.endswith("_") and not name.endswith("__")) or name in _WRITING
        if writes and tensors and isinstance(tensors[0], nn.Parameter):
            raise TraceError(
                f"{self.scope.kind} writes to a parameter ({name_of(func)}){here()}, which a run on its real weights "
                "would change. (give shapes as examples)"
            )

    def _templated(self, value: Any) -> Any:
        """Arguments with values in the place of tensors; a constant is itself."""
        if isinstance(value, Tensor):
            return self.value_in(value) if self._is_followed(value) else value
        if isinstance(value, list | tuple):
            items = [self._templated(item) for item in value]
            return rebuilt(value, items)
        if isinstance(value, dict):
            return {name: self._templated(item) for name, item in value.items()}
        return value


# What makes its result in one order of memory, whatever the order of what it is given.
_IN_ONE_ORDER = ("grouped_mm",)
_WRITING = ("__setitem__", "__iadd__", "__imul__", "__isub__", "__itruediv__")


def _targets(request: Request, result: Any, outputs: Sequence[Tensor], written: list[Tensor]) -> list[Tensor]:
    """The tensors that a function was asked to write to, among those whose memory it did. Statistics that it keeps
    beside its result are none."""
    if not written:
        return []
    found = [tensor for tensor in written if any(tensor is item for item in outputs)]
    if found or result is not None:
        return found
    first = request.args[0] if request.args else None
    wanted = [first] if isinstance(first, Tensor) else tensors_in(first)
    return [tensor for tensor in written if any(tensor is item for item in wanted)]


def _shape(tensor: Tensor) -> Shape:
    return tuple(tensor.shape)


class Operators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Tells a recorder of every operator that runs, for what runs where functions are not told of. Slower: it is asked
    for where a run without it met such a value."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._recorder = recorder
        recorder.sees_operators = True

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self._recorder.see(func, args, kwargs or {})
