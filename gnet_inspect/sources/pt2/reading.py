"""NAME.pt2 -> Graph. The file is a stranger's: every name, place and number in it is checked, and none is evaluated.

Its operators are read one after the other, as what the vocabulary has where that makes just the shapes that the file
says, and put under the modules they ran in; torch.nn's layers are then one node each.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec

from gnet_inspect.errors import GnetError, SpecError, nearest, printable, quoted, show
from gnet_inspect.graph import INPUT, Graph, Run, Value
from gnet_inspect.graph.assembling import Assembler, clean
from gnet_inspect.graph.recording import Made, Record, Scope, Weight
from gnet_inspect.ops import TOOLS, Shape
from gnet_inspect.ops.called import OWN, plain_name
from gnet_inspect.ops.functions import Function, Rearrangement
from gnet_inspect.sources.bounds import MAX_DEPTH, MAX_NAME, MAX_NODES, MAX_SIZE, Tally
from gnet_inspect.sources.pt2 import layers, moving, products  # noqa: F401  # their rules
from gnet_inspect.sources.pt2.archive import texts_in
from gnet_inspect.sources.pt2.calls import Call, Dtype, Output, Reading, read_call, shapes_of
from gnet_inspect.sources.pt2.folding import Folder
from gnet_inspect.sources.pt2.form import (
    DTYPES,
    ENDING,
    HELD,
    MAX_STEPS,
    MAX_VALUES,
    SCHEMA,
    Head,
    Node,
    Payload,
    Payloads,
    Program,
    Size,
)
from gnet_inspect.sources.pt2.structure import Places, places_of

_AT = re.compile(r" - at `(?:key )?\$?\.?(?P<path>[^`]*)`\Z")
_EXPECTED = re.compile(r"Expected (.*), got (.*)\Z", re.DOTALL)
_TARGET = re.compile(r"torch\.ops\.(?P<space>\w+)\.(?P<name>\w+)(?:\.\w+)?\Z", re.ASCII)
_GRAPH = "graph_module.graph"
# What one name of torch's says of an operator that the functions have under another.
_SAME = {"to_copy": "to", "numpy_T": "T", "matrix_H": "mT", "unsafe_index": "index"}
_TORCH_LAYERS = "torch.nn.modules."
_CONTAINERS = ("torch.nn.modules.container.", "torch.nn.modules.transformer.", "torch.nn.modules.module.")
_SEQUENTIAL = "torch.nn.modules.container.Sequential"
# Numbers of JSON that torch writes as words.
_FLOATS = {"Infinity": float("inf"), "-Infinity": float("-inf"), "NaN": float("nan")}
# No argument of a network is larger.
_LARGEST = 2**63

Read = TypeVar("Read")


def read_pt2(source: Path | bytes, name: str = "") -> Graph:
    """The graph of the program in a file that `torch.export.save` wrote, or in its bytes; errors call it `name`.

    Needs no torch, opens no weight and runs nothing. Its origin is "pt2". Raises SpecError where something in it does
    not fit, and UsageError where it cannot be read; no file makes it raise anything else.
    """
    file = name or (str(source) if isinstance(source, Path) else f"<program>{ENDING}")
    texts = texts_in(source, file)
    try:
        program = _decoded(texts.program, file)
        table = _json(texts.weights, Payloads, file).config if texts.weights else {}
        return _Reader(program, table, file).graph()
    except SpecError:
        raise
    except GnetError as error:
        raise SpecError(str(error), file=file) from None


# --- from bytes to records ---


def _decoded(text: bytes, file: str) -> Program:
    version = _json(text, Head, file).schema_version
    if version.major != SCHEMA:
        fact = f"expected a program of torch.export of schema {SCHEMA}, got schema {version.major}.{version.minor}"
        hint = "a newer torch wrote it" if version.major > SCHEMA else "save it anew with a newer torch"
        raise SpecError(fact, file=file, path="schema_version", hint=hint)
    return _json(text, Program, file)


def _json(text: bytes, form: type[Read], file: str) -> Read:
    if sum(map(text.count, (b",", b"{", b"["))) > MAX_VALUES:
        raise SpecError(f"expected a program of at most {MAX_VALUES:,} values, got more", file=file)
    try:
        return msgspec.json.decode(text, type=form)
    except msgspec.ValidationError as error:
        at = _AT.search(str(error))
        # Of which item or key of many it speaks, msgspec does not say.
        inner = re.sub(r"\[(\w+)\]", r".\1", at["path"].replace("[...]", ".*")).strip(".") if at else ""
        fact = str(error)[: at.start()] if at else str(error)
        found = _EXPECTED.match(fact)
        fact = f"expected {found[1]}, got {found[2]}" if found else f"{fact[:1].lower()}{fact[1:]}"
        raise SpecError(fact.replace("`", ""), file=file, path=inner) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"expected a program's JSON, got something else: {error}", file=file) from None
    except RecursionError:
        raise SpecError("expected a program of torch.export, got lists in lists without end", file=file) from None


# --- from records to a graph ---


class _Memory:
    """What tensors lie in: how often it was written to, and what was written last."""

    __slots__ = ("last", "writes")

    def __init__(self) -> None:
        self.writes = 0
        self.last: Made | None = None


class _Tensor:
    """What a name stands for: the value that it had after so many writes to its memory."""

    __slots__ = ("made", "memory", "seen")

    def __init__(self, made: Made, memory: _Memory) -> None:
        self.made, self.memory, self.seen = made, memory, memory.writes


class _Program(Assembler):
    """Makes the graph of a program, which no tool but torch runs, and which says nothing of the memory it takes."""

    def run(self) -> Run:
        return Run(uncounted=tuple(tool for tool in TOOLS if tool != "torch"))


class _Reader:
    """One file being read."""

    def __init__(self, program: Program, table: Mapping[str, Payload], file: str) -> None:
        self.file = file
        self._table = table
        # By where it lies, the first weight that does.
        self._lying: dict[tuple[str, bytes], str] = {}
        self.module, self.operators = program.graph_module, program.graph_module.graph
        self.weights: dict[str, Weight] = {}
        self.inputs: list[Value] = []
        # By what it is shown as, where a weight or a module is named first.
        self._shown: dict[str, str] = {}
        self._homes: dict[str, str] = {}
        # By its path the value of each weight; of those that are tied, one.
        self._held: dict[str, Made] = {}
        self._memory_of: dict[str, _Memory] = {}
        # By its name, each tensor that is there so far.
        self._tensors: dict[str, _Tensor] = {}
        # By its name, how a tensor was described: its shape, and what it holds.
        self._described: dict[str, tuple[Shape, str]] = {}
        self._root = self._scope = Scope("", "")
        self._scopes = [self._root]
        # The scopes that are open, each with the name of its call.
        self._open: list[tuple[str, Scope]] = []
        self._stacks: dict[str, list[tuple[str, str, str]]] = {}
        self._layers: dict[int, str] = {}
        self._times: dict[str, int] = {}
        self._mode = "eval"
        self._tally = Tally()
        self._records = 0
        self._read_names: set[str] = set()
        self._path = ""

    def graph(self) -> Graph:
        if len(self.operators.nodes) > MAX_NODES:
            self._refuse(f"{_GRAPH}.nodes", f"expected at most {MAX_NODES:,}, got {len(self.operators.nodes):,}")
        paths = [clean(self._checked(f"module_call_graph.{called.fqn}", called.fqn)) for called in self._called()]
        # What modules lie in; those of torch.nn that hold others are no layers.
        self._holders = {path.rpartition(".")[0] for path in paths}
        places = places_of(self.module.module_call_graph, self._user_inputs(), self._user_outputs())
        self._take_inputs(places)
        self._note_reads()
        for index, node in enumerate(self.operators.nodes):
            self._node(node, f"{_GRAPH}.nodes.{index}")
        outputs = self._outputs(places)
        Folder(self._scopes, self._layers, self._held, [made for _, made in outputs]).fold()
        self._check_steps([made for _, made in outputs])
        title = self._root.kind or "program"
        name = Path(self.file).name.removesuffix(ENDING) or title
        assembler = _Program(self._root, self.weights, paths, self.inputs, title)
        return assembler.assemble(outputs, name=name, mode=self._mode, origin="pt2", names_outputs=places.names_outputs)

    def _called(self) -> Sequence[Any]:
        """The modules below the root, each once."""
        found = {called.fqn: called for called in self.module.module_call_graph if called.fqn}
        # A module that is called again is listed again, with the number of the call.
        return [called for name, called in found.items() if "@" not in name]

    # --- what it is given ---

    def _user_inputs(self) -> int:
        return sum(
            spec.user_input is not None or spec.constant_input is not None for spec in self.module.signature.input_specs
        )

    def _user_outputs(self) -> int:
        return sum(spec.user_output is not None for spec in self.module.signature.output_specs)

    def _take_inputs(self, places: Places) -> None:
        found: list[tuple[str, str, Made]] = []
        number = 0
        for index, spec in enumerate(self.module.signature.input_specs):
            path = f"graph_module.signature.input_specs.{index}"
            if spec.custom_obj is not None or spec.token is not None:
                self._refuse(path, "expected tensors and numbers, got an object that runs code of its own")
            if spec.parameter is not None:
                self._take_weight(path, spec.parameter.arg.name, spec.parameter.parameter_name)
            elif spec.buffer is not None:
                buffer = spec.buffer
                self._take_weight(
                    path, buffer.arg.name, buffer.buffer_name, persistent=buffer.persistent, is_buffer=True
                )
            elif spec.tensor_constant is not None:
                made = self._new(path, spec.tensor_constant.arg.name)
                made.constant = True
            elif spec.user_input is not None:
                kind, value = self._one_key(f"{path}.user_input.arg", spec.user_input.arg)
                if kind == "as_tensor":
                    name = self._name_in(f"{path}.user_input.arg", value)
                    found.append((path, self._checked(path, places.inputs[number] or name), self._new(path, name)))
                number += 1
            elif spec.constant_input is not None:
                number += 1
        self._name_inputs(found)

    def _name_inputs(self, found: Sequence[tuple[str, str, Made]]) -> None:
        names = [clean(name) for _, name, _ in found]
        if len(set(names)) < len(names):
            names = [f"{INPUT}{index}" for index in range(len(names))]
        if len(names) == 1:
            names = [INPUT]
        if not found or not found[0][2].shape:
            self._refuse(
                "graph_module.signature.input_specs", "expected a tensor with a batch that the network is given"
            )
        for name, (path, _, made) in zip(names, found, strict=True):
            if 0 in made.shape:
                self._refuse(path, f"expected inputs that are not empty, got one of {show(made.shape)}")
            made.name = name
            self.inputs.append(Value(name, made.shape, made.dtype))

    def _take_weight(
        self, path: str, name: str, home: str, *, is_buffer: bool = False, persistent: bool = True
    ) -> None:
        self._checked(path, home)
        if self._shown.setdefault(clean(home), path) != path:
            self._refuse(path, f"expected weights of different names, got {quoted(home)} twice")
        payload = self._table.get(home)
        key = (payload.path_name, bytes(payload.tensor_meta)) if payload is not None else ("", home.encode())
        first = self._held.get(self._lying.setdefault(key, home))
        shape, dtype = self._description(path, name)
        if first is not None and (first.shape, first.dtype) == (shape, dtype):
            # Tied: the weight has the name of the first module that holds it.
            self._held[home] = first
            self._bind(path, name, first, self._memory_of[first.weight])
            return
        made = self._held[home] = self._new(path, name)
        made.weight = home
        self._memory_of[home] = self._tensors[name].memory
        trained = self.operators.tensor_values[name].requires_grad
        self.weights[home] = Weight(home, shape, dtype, is_buffer=is_buffer, is_trained=trained, persistent=persistent)

    def _new(self, path: str, name: str) -> Made:
        """The value of a tensor that the program is given."""
        shape, dtype = self._description(path, name)
        made = Made(shape, dtype)
        self._bind(path, name, made, _Memory())
        return made

    def _bind(self, path: str, name: str, made: Made, memory: _Memory) -> None:
        if name in self._tensors:
            self._refuse(path, f"expected tensors of different names, got {quoted(name)} twice")
        self._tensors[name] = _Tensor(made, memory)

    # --- what is said of tensors ---

    def _description(self, path: str, name: str) -> tuple[Shape, str]:
        known = self._described.get(name)
        if known is None:
            value = self.operators.tensor_values.get(name)
            if value is None:
                self._refuse(path, f"expected a tensor that `tensor_values` describes, got {quoted(name)}")
            place = f"{_GRAPH}.tensor_values.{name}.sizes"
            if len(value.sizes) > MAX_DEPTH:
                self._refuse(place, f"expected at most {MAX_DEPTH} axes, got {len(value.sizes):,}")
            sizes = tuple([self._size(place, size) for size in value.sizes])
            known = self._described[name] = sizes, HELD.get(value.dtype, "float")
        return known

    def _size(self, path: str, size: Size) -> int:
        number = size.as_int
        if number is None and size.as_expr is not None and size.as_expr.hint is not None:
            number = size.as_expr.hint.as_int
        if number is None:
            self._refuse(path, "expected a size, got a symbolic one without the number it had where it was exported")
        if not 0 <= number <= MAX_SIZE:
            self._refuse(path, f"expected sizes of 0 to {MAX_SIZE:,}, got {show(number)}")
        return number

    # --- arguments ---

    def _one_key(self, path: str, arg: dict[str, Any]) -> tuple[str, Any]:
        if len(arg) != 1:
            self._refuse(path, f"expected a mapping with one key, the type of a value, got {len(arg)}")
        return next(iter(arg.items()))

    def _name_in(self, path: str, value: Any) -> str:
        name = value.get("name") if isinstance(value, dict) else None
        if not isinstance(name, str):
            self._refuse(path, f"expected the name of a value, got {show(value)}")
        return name

    def _argument(self, path: str, arg: dict[str, Any]) -> Any:
        """An argument as plain data, with values in the place of names."""
        kind, value = self._one_key(path, arg)
        if kind == "as_tensor":
            return self._value(path, self._name_in(path, value))
        if kind == "as_optional_tensor":
            return self._optional(path, value)
        if kind in ("as_tensors", "as_optional_tensors"):
            read = self._optional if kind == "as_optional_tensors" else self._named
            return [read(path, item) for item in self._list(path, value)]
        if kind == "as_nested_tensors":
            return [[self._named(path, item) for item in self._list(path, part)] for part in self._list(path, value)]
        if kind in _REFUSED:
            self._refuse(path, f"expected a network of operators on tensors, got {_REFUSED[kind]}{self._where()}")
        if kind == "as_scalar_type":
            return Dtype(DTYPES.get(self._number(path, "as_int", value), "dtype"))
        if kind in _IGNORED:
            return None
        if kind in _LISTS:
            return [self._number(path, kind.removesuffix("s"), item) for item in self._list(path, value)]
        if kind not in _NUMBERS:
            self._refuse(path, f"expected an argument of a type that is known, got {quoted(kind)}")
        return self._number(path, kind, value)

    def _list(self, path: str, value: Any) -> list[Any]:
        if not isinstance(value, list):
            self._refuse(path, f"expected a list, got {show(value)}")
        return value

    def _named(self, path: str, value: Any) -> Made:
        return self._value(path, self._name_in(path, value))

    def _optional(self, path: str, value: Any) -> Made | None:
        kind, inner = self._one_key(path, value) if isinstance(value, dict) else ("", None)
        if kind not in ("as_tensor", "as_none"):
            self._refuse(path, f"expected a tensor or none, got {show(value)}")
        return self._named(path, inner) if kind == "as_tensor" else None

    def _number(self, path: str, kind: str, value: Any) -> Any:
        """A number or flag; of a symbolic one that which it was."""
        if kind.startswith("as_sym"):
            inner, value = self._one_key(path, value) if isinstance(value, dict) else ("", value)
            if inner == "as_name":
                return self._symbol(path, value) if kind == "as_sym_int" else None
            kind = kind.replace("_sym", "")
        if kind == "as_float" and isinstance(value, str) and value in _FLOATS:
            return _FLOATS[value]
        fits = _FITS[kind]
        if not isinstance(value, fits) or (isinstance(value, bool) and kind != "as_bool"):
            self._refuse(path, f"expected {kind.removeprefix('as_')}, got {show(value)}")
        if isinstance(value, int | float) and not -_LARGEST <= value <= _LARGEST:
            self._refuse(path, f"expected a number of at most 64 bits, got {show(value)}")
        return value

    def _symbol(self, path: str, name: Any) -> int:
        size = self.operators.sym_int_values.get(name) if isinstance(name, str) else None
        if size is None:
            self._refuse(path, f"expected a size that `sym_int_values` describes, got {show(name)}")
        return self._size(f"{_GRAPH}.sym_int_values.{name}", size)

    def _value(self, path: str, name: str) -> Made:
        """What a name holds now."""
        tensor = self._tensors.get(name)
        if tensor is None:
            fact = f"expected a value that is there before it is read, got {quoted(name)}"
            self._refuse(path, fact, nearest(name, list(self._tensors)[-24:]))
        if tensor.seen != tensor.memory.writes:
            tensor.made, tensor.seen = self._overwritten(tensor.made, tensor.memory), tensor.memory.writes
        return tensor.made

    def _overwritten(self, before: Made, memory: _Memory) -> Made:
        """A value with what was written over its memory since."""
        last = memory.last
        assert last is not None  # it was written to
        op = Rearrangement("overwritten", before.shape, before.dtype, True, True)
        values = [last] if before.is_constant else [before, last]
        return self._record("overwritten", Reading(op, values), [(before.shape, before.dtype)])[0]

    # --- nodes ---

    def _note_reads(self) -> None:
        """Know the names that something reads: of several outputs some may be left alone."""
        for node in self.operators.nodes:
            for argument in node.inputs:
                self._read_names.update(_names_in(argument.arg))
        for spec in self.module.signature.output_specs:
            if spec.user_output is not None:
                self._read_names.update(_names_in(spec.user_output.arg))

    def _node(self, node: Node, path: str) -> None:
        self._path = path
        self._enter(node.metadata.nn_module_stack, path)
        outputs = self._made_by(node, path)
        target = _TARGET.match(node.target)
        if node.target.startswith("torch.ops.higher_order."):
            self._refuse(
                f"{path}.target", f"expected operators, got control flow, {quoted(node.target)}{self._where()}"
            )
        if target is None and outputs:
            fact = f"expected an operator, torch.ops.SPACE.NAME, got {quoted(node.target)}{self._where()}"
            self._refuse(f"{path}.target", fact)
        if not outputs and (target is None or not target["name"].endswith("_")):
            # Sums of sizes, and what checks them.
            return
        assert target is not None  # refused
        arguments = {
            item.name: self._argument(f"{path}.inputs.{place}", item.arg) for place, item in enumerate(node.inputs)
        }
        if not outputs:
            fact = f"expected operators that say what they write to, got {quoted(node.target)}{self._where()}"
            self._refuse(f"{path}.target", fact)
        self._read(self._call(target, arguments, outputs), node, path)

    def _call(self, target: re.Match[str], arguments: dict[str, Any], outputs: Sequence[Output]) -> Call:
        own = target["space"] in OWN
        name = plain_name(target["name"])
        name = _SAME.get(name, name) if own else f"{target['space']}_{name}"
        in_place = target["name"].endswith("_") and not target["name"].endswith("__")
        call = Call(name[:MAX_NAME], arguments, outputs, is_in_place=in_place, is_own=own)
        call.layer = self._layers.get(id(self._scope), "")
        return call

    def _made_by(self, node: Node, path: str) -> list[Output]:
        """The tensors that a node makes."""
        names: list[str] = []
        for place, output in enumerate(node.outputs):
            where = f"{path}.outputs.{place}"
            kind, value = self._one_key(where, output)
            if kind == "as_tensor":
                names.append(self._name_in(where, value))
            elif kind == "as_tensors":
                names += [self._name_in(where, item) for item in self._list(where, value)]
            elif kind in _REFUSED:
                self._refuse(where, f"expected tensors and numbers, got {_REFUSED[kind]}{self._where()}")
            elif kind not in (*_NUMBERS, *_LISTS, *_IGNORED):
                self._refuse(where, f"expected an output of a type that is known, got {quoted(kind)}")
        found = []
        for name in names:
            is_read = name in self._read_names
            if is_read or name in self.operators.tensor_values:
                found.append(Output(name, *self._description(path, name), is_read))
            else:
                found.append(Output(name, None, "float", False))
        if found and not any(output.shape is not None for output in found):
            self._refuse(path, f"expected a tensor that `tensor_values` describes, got {quoted(names[0])}")
        return found

    def _read(self, call: Call, node: Node, path: str) -> None:
        """Record a call, and bind what it makes."""
        first = next((item.arg["as_tensor"]["name"] for item in node.inputs if "as_tensor" in item.arg), None)
        shares = first is not None and (call.is_in_place or call.is_view)
        memory = self._tensors[first].memory if first is not None and shares else None
        if self._trains(call):
            self._mode = "train"
        for place, made in self._made_of(call).items():
            if call.is_in_place and place == 0 and first is not None and memory is not None and not made.is_constant:
                memory.writes += 1
                memory.last = made
                self._tensors[first] = _Tensor(made, memory)
            self._bind(path, call.outputs[place].name, made, memory or _Memory())

    def _made_of(self, call: Call) -> dict[int, Made]:
        """What a call makes, by the places of outputs of which something is said."""
        told = {place: output for place, output in enumerate(call.outputs) if output.shape is not None}
        if not call.values():
            # Of constants alone another one.
            return {place: _constant(output.shape or (), output.dtype) for place, output in told.items()}
        found: dict[int, Made] = {}
        for reading in read_call(call):
            places = [place for place in told if reading.part in (None, place)]
            if reading.is_alias:
                found[places[0]] = reading.values[0]
            elif reading.part is not None or isinstance(reading.op, Function):
                outputs = [(told[place].shape or (), told[place].dtype) for place in places]
                found.update(zip(places, self._record(call.name, reading, outputs, call), strict=True))
            else:
                # Its op says what those are that nothing is said of.
                outputs = [(shape, call.outputs[0].dtype) for shape in reading.op.outputs(shapes_of(reading.values))]
                made = self._record(call.name, reading, outputs, call)
                found.update((place, made[place]) for place in places)
        return found

    def _trains(self, call: Call) -> bool:
        """Whether a call is of a network in training. A norm without statistics of its own always says so."""
        if call.name.endswith("dropout"):
            return call.get("train") is True
        return call.get("training") is True and call.get("running_mean") is not None

    def _record(
        self, name: str, reading: Reading, outputs: Sequence[tuple[Shape, str]], call: Call | None = None
    ) -> list[Made]:
        """Put a record in; what it makes is returned."""
        self._records += 1
        if self._records > MAX_NODES:
            self._refuse(self._path, f"expected at most {MAX_NODES:,} calls of operators, got more")
        scope = self._scope
        record = Record(name, reading.op, scope)
        record.values, record.slots = list(reading.values), list(reading.slots)
        record.is_side = all(made.is_side for made in (*record.values, *record.slots))
        record.tape = call if call is not None and call.layer else None
        scope.items.append(record)
        self._tally.places += len(self._open)
        self._count(self._path, 2 * len(scope.path) + len(name))
        for index, (shape, dtype) in enumerate(outputs):
            made = Made(shape, dtype)
            made.record, made.index = record, index
            record.outputs.append(made)
        return record.outputs

    # --- modules ---

    def _enter(self, text: str, path: str) -> None:
        """Open the modules that a node ran in; where it says none, it ran where the one before it did."""
        if not text:
            return
        stack = self._stacks.get(text)
        if stack is None:
            stack = self._stacks[text] = self._parsed(text, f"{path}.metadata.nn_module_stack")
        kept = 0
        for (key, _), (wanted, _, _) in zip(self._open, stack, strict=False):
            if key != wanted:
                break
            kept += 1
        del self._open[kept:]
        self._scope = self._open[-1][1] if self._open else self._root
        for key, home, kind in stack[kept:]:
            call = self._times[home] = self._times.get(home, -1) + 1
            short = kind.rpartition(".")[2][:MAX_NAME]
            scope = Scope(home, short, call, self._scope, is_container=kind == _SEQUENTIAL)
            self._scope.items.append(scope)
            self._scopes.append(scope)
            if len(self._scopes) > MAX_NODES:
                self._refuse(path, f"expected at most {MAX_NODES:,} calls of modules, got more")
            if self._is_layer(home, kind):
                self._layers[id(scope)] = short
            self._open.append((key, scope))
            self._scope = scope

    def _is_layer(self, home: str, kind: str) -> bool:
        """Whether a module is a layer of torch's: of its classes, and no network of several."""
        if not kind.startswith(_TORCH_LAYERS) or kind.startswith(_CONTAINERS):
            return False
        return clean(home) not in self._holders or kind.endswith(".MultiheadAttention")

    def _parsed(self, text: str, path: str) -> list[tuple[str, str, str]]:
        """(the name of the call, the path, the class) of each module, from below the root."""
        if len(text) > MAX_NAME * MAX_DEPTH:
            self._refuse(path, f"expected at most {MAX_NAME * MAX_DEPTH:,} characters, got {len(text):,}")
        found: list[tuple[str, str, str]] = []
        entries = text.split(";")
        if len(entries) > MAX_DEPTH:
            self._refuse(path, f"expected modules nested at most {MAX_DEPTH} deep, got {len(entries)}")
        for entry in entries:
            parts = entry.split(",", 2)
            if len(parts) < 3:
                self._refuse(path, f'expected "NAME,PATH,CLASS" of each module, got {show(entry)}')
            key, home, kind = parts
            if not home and not found:
                self._root.kind = self._root.kind or kind.rpartition(".")[2][:MAX_NAME]
                continue
            if self._homes.setdefault(clean(home), home) != home:
                self._refuse(path, f"expected modules of different names, got {quoted(home)} and another like it")
            found.append((key, self._checked(path, home), kind))
        return found

    def _where(self) -> str:
        path = self._scope.path
        return f" in module {quoted(path)} ({printable(self._scope.kind[:100])})" if path else ""

    # --- what it returns ---

    def _outputs(self, places: Places) -> list[tuple[str, Made]]:
        """The tensors that the network returns, by their places in what it returns. What a program returns beside is
        written to its buffers, or inputs."""
        found: list[tuple[str, Made]] = []
        number = 0
        for index, spec in enumerate(self.module.signature.output_specs):
            path = f"graph_module.signature.output_specs.{index}"
            if spec.loss_output is not None:
                found.append(("loss", self._value(path, spec.loss_output.arg.name)))
            elif spec.user_output is not None:
                kind, value = self._one_key(f"{path}.user_output.arg", spec.user_output.arg)
                if kind == "as_tensor":
                    made = self._value(path, self._name_in(path, value))
                    if not made.is_constant:
                        found.append((self._checked(path, places.outputs[number]), made))
                number += 1
        if not found:
            self._refuse("graph_module.signature.output_specs", "expected an output that is made of inputs, got none")
        return found

    # --- names and bounds ---

    def _checked(self, path: str, name: str) -> str:
        """A name that is short enough to stand in every row about it."""
        if len(name) > MAX_NAME or name.count(".") >= MAX_DEPTH:
            fact = (
                f"expected a name of at most {MAX_NAME:,} characters in at most {MAX_DEPTH} steps, got {quoted(name)}"
            )
            self._refuse(path, fact)
        self._count(path, len(name))
        return name

    def _count(self, path: str, characters: int) -> None:
        fact = self._tally.add(characters)
        if fact:
            self._refuse(path, fact)

    def _check_steps(self, outputs: Sequence[Made]) -> None:
        """Refuse values of weights alone that are made in so many steps, and read so often, that they are not told."""
        steps = 0
        readers = [(*record.values, *record.slots) for record in self._root.records()]
        for read in (*readers, tuple(outputs)):
            seen: set[int] = set()
            waiting = [made.record for made in read if made.is_side]
            while waiting:
                record = waiting.pop()
                if record is not None and id(record) not in seen:
                    seen.add(id(record))
                    waiting += [made.record for made in (*record.values, *record.slots)]
                    steps += 1 + len(record.values) + len(record.slots)
            if steps > MAX_STEPS:
                fact = f"expected values of weights that are made in at most {MAX_STEPS:,} steps, got more"
                self._refuse(f"{_GRAPH}.nodes", fact)

    def _refuse(self, path: str, fact: str, hint: str = "") -> NoReturn:
        raise SpecError(fact, file=self.file, path=printable(path[:300]), hint=hint)


def _constant(shape: Shape, dtype: str) -> Made:
    made = Made(shape, dtype)
    made.constant = True
    return made


_REFUSED = {
    "as_graph": "control flow, which holds a network of its own",
    "as_custom_obj": "an object that runs code of its own",
    "as_string_to_argument": "a kernel that runs code of its own",
}
_IGNORED = (
    *("as_none", "as_memory_format", "as_layout", "as_device", "as_complex"),
    *("as_int_lists", "as_float_lists", "as_strings"),
)
_FITS: dict[str, tuple[type, ...]] = {
    "as_int": (int,),
    "as_float": (int, float),
    "as_bool": (bool,),
    "as_string": (str,),
    "as_operator": (str,),
}
_NUMBERS = (*_FITS, "as_sym_int", "as_sym_float", "as_sym_bool")
_LISTS = tuple(f"{kind}s" for kind in _NUMBERS)


def _names_in(value: Any) -> list[str]:
    """Every name of a value in an argument."""
    found: list[str] = []
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if isinstance(name := item.get("name"), str):
                found.append(name)
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
    return found
