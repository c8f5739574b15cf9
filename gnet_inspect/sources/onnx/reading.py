"""Model -> Graph: the sizes that are free are bound, then each node is read in the file's order.

A node that works out shapes from small constants is folded away; what is made of weights alone is counted with the
layer that reads it; any other is a record, of which the one assembler makes the graph.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from gnet_inspect.errors import ShapeError, SpecError, UsageError, quoted, show
from gnet_inspect.graph import Graph
from gnet_inspect.graph import Value as Input
from gnet_inspect.graph.assembling import Assembler, clean
from gnet_inspect.graph.maker import CountError
from gnet_inspect.graph.nodes import Run
from gnet_inspect.graph.recording import Made, Record, Scope, Weight
from gnet_inspect.ops import TOOLS, Op, Shape, Shapes, dtype_of, op_of
from gnet_inspect.ops.functions import Function
from gnet_inspect.sources.onnx import layers, moving, products
from gnet_inspect.sources.onnx.calls import Reading, Request, is_number, read_call
from gnet_inspect.sources.onnx.folding import fold, kind_of_array
from gnet_inspect.sources.onnx.form import Call, Given, Model, Tensor
from gnet_inspect.sources.onnx.inference import Inference
from gnet_inspect.sources.onnx.notes import bits_of_weights, folded_norms
from gnet_inspect.sources.onnx.tree import Part, Place, Tree, cleaned, lists_in, places_of
from gnet_inspect.sources.onnx.values import FLOAT, FLOATS, SMALL, Value, dtype_of_kind

# The rules of these are kept where they are imported.
RULES_ARE_IN = (layers, moving, products)


def graph_of(model: Model, shapes: Mapping[str, Shape], name: str) -> Graph:
    """The graph of a model at the shapes of its inputs."""
    return _Reader(model, shapes, name).graph()


class FileAssembler(Assembler):
    """Makes one graph of what a file says; errors say of which node."""

    def __init__(self, model: Model, calls: Mapping[int, Call], *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]  # as the class takes them
        self.model, self.calls = model, calls
        self._layers: set[str] = set()

    def run(self) -> Run:
        """No tool of torch's runs a file, and nobody says how long what does holds its values."""
        return Run(uncounted=TOOLS)

    def _record(self, record: Record, path: str = "") -> None:
        own = clean(record.path)
        if own and own not in self._layers and own in self.maker.shapes:
            # What ran before in a module of that path has its name: this is a function of that module.
            record.path, record.name = "", _function_name(self.calls[id(record)])
        self._layers.add(own)
        try:
            super()._record(record, path)
        except (ShapeError, CountError) as error:
            self.model.refuse(self.calls[id(record)], str(error))


class _Reader:
    """One model at one size."""

    def __init__(self, model: Model, shapes: Mapping[str, Shape], name: str) -> None:
        self.model, self.shapes, self.name = model, shapes, name
        self.inference = Inference(model)
        self.opset = model.opsets[""]
        self.values: dict[str, Value] = {}
        self.weights: dict[str, Weight] = {}
        # What is written of a weight by its name in the file: its path, which nothing else has.
        self._paths: dict[str, str] = {}
        # The nodes that were read with one before them.
        self._done: set[int] = set()
        self._calls: dict[int, Call] = {}
        self.readings: list[tuple[Call, Reading]] = []
        # By the path of a layer the op and the weights of its first call.
        self._layers: dict[str, tuple[Op, Shapes]] = {}
        # The sizes that are free, by their names.
        self._sizes: dict[str, int] = {}
        self.readers: dict[str, list[Call]] = {}
        for call in model.calls:
            for read in dict.fromkeys(call.inputs):
                self.readers.setdefault(read, []).append(call)
        self.returned = {given.name for given in model.outputs}

    def graph(self) -> Graph:
        model = self.model
        places = places_of(model.calls)
        kinds = Counter(place.kind for place in places.values() if place.kind)
        self.places, self.root = places, Scope("", kinds.most_common(1)[0][0] if kinds else self.name)
        self.tree = Tree(self.root, lists_in(places))
        inputs = [self._note_input(given) for given in model.inputs]
        for name, tensor in model.weights.items():
            self.values[name] = self._constant_of(name, tensor)
        for call in model.calls:
            if call.index not in self._done:
                self._read(call)
        outputs = [(self._output_name(given.name), self._returned(given)) for given in model.outputs]
        self._note_unread()
        paths = {part.path for place in places.values() for part in place.parts} | {*self._layers}
        paths |= {*self._paths.values()}
        assembler = FileAssembler(model, self._calls, self.root, self.weights, paths, inputs, self.name)
        try:
            graph = assembler.assemble(
                outputs,
                name=self.name,
                origin="onnx",
                names_outputs=len(outputs) > 1,
                is_flat=not any(map(_parts, places.values())),
            )
        except (ShapeError, CountError) as error:
            raise UsageError(f"{show(model.file)}: {error}") from None
        return replace(graph, notes=tuple(self._notes()))

    def _notes(self) -> Iterator[str]:
        """What the file shows that no number says."""
        yield from folded_norms(self.readings, self.places)
        stored = {path: self.values[name].stored for name, path in self._paths.items()}
        yield from bits_of_weights(self.readings, [(weight, stored[path]) for path, weight in self.weights.items()])

    # --- values ---

    def _note_input(self, given: Given) -> Input:
        shape = self.shapes[given.name]
        for size, known in zip(shape, given.shape or (), strict=False):
            if isinstance(known, str) and known:
                self._sizes[known] = size
        made = Made(shape, dtype_of_kind(given.kind))
        # The name under which the graph has it: no module may be called like it.
        name = cleaned(given.name) or "input"
        while any(name == value.made.name for value in self.values.values() if value.made is not None):
            name += "_"
        made.name = name
        self.values[given.name] = Value(given.name, shape, given.kind, made=made)
        return Input(name, shape, made.dtype)

    def _constant_of(self, name: str, tensor: Tensor) -> Value:
        return Value(name, tensor.shape, tensor.kind, values=tensor.values, weight=name, is_constant=True)

    def _made_of(self, value: Value, *, is_buffer: bool = False) -> Made:
        """What the graph is assembled of for a value: a weight is one where it is first read as such."""
        if value.made is not None:
            return value.made
        if 0 in value.shape:
            fact = f"expected values of positive sizes, got {show(value.shape)} for {quoted(value.name)}"
            raise SpecError(fact, file=self.model.file)
        made = value.made = Made(value.shape, value.dtype)
        if value.weight:
            made.weight = self._weight(value, is_buffer)
        else:
            record = Record("constant", Function("constant", (value.shape,), value.dtype, 0), self.root)
            record.is_side, made.record = True, record
            record.outputs.append(made)
        return made

    def _weight(self, value: Value, is_buffer: bool = False) -> str:
        path = self._paths.get(value.weight)
        if path is None:
            path = clean(cleaned(value.weight)) or "weight"
            while path in self.weights:
                path += "_"
            self._paths[value.weight] = path
            # What is quantised was learned; integers and flags are tables.
            learned = value.kind in FLOATS or value.kind in SMALL
            self.weights[path] = Weight(
                path, value.shape, value.dtype, is_buffer=is_buffer or not (learned or not value.weight)
            )
        return path

    # --- nodes ---

    def _read(self, call: Call) -> None:
        inputs = [self._input(call, name) for name in call.inputs]
        for name in call.outputs:
            if name and name in self.values:
                self.model.refuse(call, f"expected a name of its own for each value, got {quoted(name)} twice")
        if call.kind == "Identity" and call.domain == "" and len(inputs) == 1 and inputs[0] is not None:
            self.values[call.outputs[0]] = inputs[0]
            return
        if call.kind == "Constant" and call.domain == "" and isinstance(call.attributes.get("value"), Tensor):
            self.values[call.outputs[0]] = self._constant_of(call.outputs[0], call.attributes["value"])
            return
        arrays = fold(call, inputs, self.opset)
        if arrays is not None:
            for name, array in zip(call.outputs, arrays, strict=False):
                kind = kind_of_array(array)
                self.values[name] = Value(name, array.shape, kind, values=array, is_constant=True)
            return
        made = self.inference.outputs(call, inputs)
        shapes, kinds = self._known(call, made)
        if inputs and all(value is None or value.is_constant for value in inputs):
            self._note_side(call, inputs, shapes, kinds)
        elif not inputs:
            self.model.refuse(call, "expected an operator that reads something, or a constant of a known type")
        else:
            self._note(call, inputs, shapes, kinds)

    def _input(self, call: Call, name: str) -> Value | None:
        if not name:
            return None
        found = self.values.get(name)
        if found is None:
            self.model.refuse(call, f"expected values that are there before they are read, got {quoted(name)}")
        return found

    def _known(self, call: Call, made: Sequence[tuple[Shape | None, int]]) -> tuple[Shapes, list[int]]:
        """The shape and type of each output: by its rule, or else by what the file says."""
        shapes: list[Shape] = []
        kinds: list[int] = []
        for name, (made_shape, made_kind) in zip(call.outputs, made, strict=True):
            told = self.model.told.get(name)
            shape = made_shape
            if shape is None and told is not None and told.shape is not None:
                shape = self._bound(told.shape)
            if shape is None and name and (name in self.readers or name in self.returned or not shapes):
                fact = f"expected a shape that follows from those of its inputs, got none for {quoted(name)}"
                self.model.refuse(call, fact, "a file that says it is read: onnx.shape_inference writes shapes down")
            shapes.append(shape if shape is not None else ())
            kinds.append(made_kind or (told.kind if told is not None else 0) or FLOAT)
        return tuple(shapes), kinds

    def _bound(self, shape: Sequence[int | str]) -> Shape | None:
        sizes = [self._sizes.get(size) if isinstance(size, str) else size for size in shape]
        return None if None in sizes else tuple(size for size in sizes if size is not None)

    def _note_side(self, call: Call, inputs: Sequence[Value | None], shapes: Shapes, kinds: Sequence[int]) -> None:
        """What is made of constants alone: it is counted with what reads it."""
        request = Request(call, inputs, shapes, kinds, self.opset)
        counted = read_call(request)[0].op.macs(tuple(value.shape for value in inputs if value is not None), shapes)
        op = Function(call.kind, shapes, dtype_of_kind(kinds[0]), counted)
        record = Record(_function_name(call), op, self.root)
        record.is_side = True
        # Of the scales and zero points beside a quantised weight nobody counts one as learned.
        scales = call.kind in ("DequantizeLinear", "QuantizeLinear")
        record.slots = [
            self._made_of(value, is_buffer=scales and place > 0)
            for place, value in enumerate(inputs)
            if value is not None and (scales or not is_number(value))
        ]
        for index, (name, shape, kind) in enumerate(zip(call.outputs, shapes, kinds, strict=True)):
            made = Made(shape, dtype_of_kind(kind))
            made.record, made.index = record, index
            record.outputs.append(made)
            if name:
                value = self.values[name] = Value(name, shape, kind, made=made, is_constant=True)
                first = next(given for given in inputs if given is not None)
                value.stored = first.stored if first.stored in FLOATS or first.stored in SMALL else kind

    def _note(self, call: Call, inputs: Sequence[Value | None], shapes: Shapes, kinds: Sequence[int]) -> None:
        """A node of the network."""
        for name, shape in zip(call.outputs, shapes, strict=True):
            if name and 0 in shape:
                self.model.refuse(call, f"expected outputs of positive sizes, got {show(shape)} for {quoted(name)}")
        kept = len(shapes)
        while kept > 1 and call.outputs[kept - 1] not in self.readers and call.outputs[kept - 1] not in self.returned:
            # What nobody reads is none of its outputs.
            kept -= 1
        request = Request(call, inputs, shapes[:kept], kinds[:kept], self.opset)
        names: Sequence[str] = call.outputs[:kept]
        readings = self._linear_with_bias(request)
        if readings:
            added = self.readers[names[0]][0]
            self._done.add(added.index)
            names = added.outputs
        else:
            readings = read_call(request)
        for reading in readings:
            parts = range(kept) if reading.part is None else [reading.part]
            self._put(call, reading, [(names[part], shapes[part], kinds[part]) for part in parts])

    def _put(self, call: Call, reading: Reading, outputs: Sequence[tuple[str, Shape, int]]) -> None:
        buffers = set(map(id, reading.buffers))
        if reading.op.weights(tuple(value.shape for value in reading.values)):
            for value in reading.slots:
                self._hold(value)
        slots = [self._made_of(value, is_buffer=id(value) in buffers) for value in reading.slots]
        values = [self._made_of(value) for value in reading.values]
        path, parts = self._path(call, reading)
        record = Record("" if path else _function_name(call), reading.op, self.root, path)
        record.values, record.slots = values, slots
        dtype = dtype_of(reading.op, [made.dtype for made in values])
        for index, (name, shape, kind) in enumerate(outputs):
            made = Made(shape, dtype)
            made.record, made.index = record, index
            record.outputs.append(made)
            if name:
                self.values[name] = Value(name, shape, kind, made=made)
        self._calls[id(record)] = call
        self.readings.append((call, reading))
        self.tree.put(record, parts)

    def _hold(self, value: Value) -> None:
        """What a layer multiplies by is a weight, also where the file has it filled in when it is run."""
        made = value.made
        if made is not None and not made.weight and made.record is not None and not made.record.slots:
            value.weight, value.made = value.name, None

    # --- a linear layer, which is a product and a sum ---

    def _bias_of(self, call: Call) -> Call | None:
        """The sum that alone reads a product."""
        name = call.outputs[0]
        readers = self.readers.get(name, [])
        if len(readers) != 1 or name in self.returned or readers[0].kind != "Add" or readers[0].domain:
            return None
        return readers[0] if readers[0].inputs.count(name) == 1 and len(readers[0].outputs) == 1 else None

    def _linear_with_bias(self, request: Request) -> list[Reading] | None:
        """A product and the sum that alone reads it, as one layer."""
        call = request.call
        if call.kind != "MatMul" or call.domain or len(request.inputs) != 2:
            return None
        x, weight = request.x(), request.x(1)
        added = self._bias_of(call)
        if added is None or x.is_constant or not weight.is_constant or len(weight.shape) != 2 or len(x.shape) < 2:
            return None
        bias = self.values.get(next(name for name in added.inputs if name != call.outputs[0]))
        if bias is None or not bias.is_constant or bias.shape != weight.shape[1:] or added.outputs[0] in self.values:
            return None
        return [Reading(op_of("Linear", out_features=weight.shape[1], bias=True), [x], [weight, bias])]

    # --- where it lies ---

    def _path(self, call: Call, reading: Reading) -> tuple[str, tuple[Part, ...]]:
        """(the path of the layer that a node is, "" where it is a function; the modules it lies in)"""
        place = self.places[call.index]
        slots = [value for value in reading.slots if value.weight]
        if not slots:
            return "", place.parts
        parts = place.parts[:-1] if place.layer is not None else place.parts
        home = parts[-1].path if parts else ""
        named = cleaned(slots[0].weight)
        path = ""
        if named.endswith(".weight") and (not place.parts or named.rpartition(".")[0].rpartition(".")[0] == home):
            path = named.removesuffix(".weight")
        elif place.layer is not None:
            path = place.layer.path
        path = clean(path)
        shapes = tuple(value.shape for value in reading.values)
        held = reading.op.weights(shapes)
        if not path or not held or path in self._paths.values():
            return "", place.parts
        before = self._layers.setdefault(path, (reading.op, shapes))
        if (type(before[0]), before[1]) != (type(reading.op), shapes) or before[0].weights(before[1]) != held:
            return "", place.parts
        return path, parts

    # --- the ends ---

    def _output_name(self, name: str) -> str:
        return cleaned(name) or "output"

    def _returned(self, given: Given) -> Made:
        value = self.values.get(given.name)
        if value is None or (value.made is not None and value.made.name):
            raise UsageError(f"{show(self.model.file)}: expected outputs that a node makes, got {quoted(given.name)}")
        return self._made_of(value)

    def _note_unread(self) -> None:
        """Weights that no node reads are the network's all the same, and it never reaches them."""
        for name, tensor in self.model.weights.items():
            if (
                name not in self.readers
                and name not in self.returned
                and tensor.kind in FLOATS
                and len(tensor.shape) > 0
            ):
                self._weight(self.values[name])


def _parts(place: Place) -> bool:
    return bool(place.parts)


def _function_name(call: Call) -> str:
    """What a function is called: ONNX's operator in small letters, with lines between its words.

    >>> from types import SimpleNamespace
    >>> _function_name(SimpleNamespace(kind="GlobalAveragePool")), _function_name(SimpleNamespace(kind="QLinearAdd"))
    ('global_average_pool', 'q_linear_add')
    """
    kind = cleaned(call.kind) or "function"
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]{2})", "_", kind).lower()
