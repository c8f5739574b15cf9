"""The bytes of an ONNX file -> Model: protobuf reads them, and everything that is taken of it is checked.

A weight in another file is not looked for: nothing of it is asked for but the sizes that this file says.
"""

import stat
from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from gnet_inspect.errors import SpecError, UsageError, quoted, show
from gnet_inspect.ops import Shape
from gnet_inspect.sources.bounds import MAX_CHARACTERS, MAX_NAME, MAX_NODES, MAX_SIZE
from gnet_inspect.sources.onnx.form import (
    LARGEST_VALUES,
    MAX_NESTING,
    MAX_RANK,
    OLDEST_OPSET,
    Call,
    Given,
    Model,
    Tensor,
)
from gnet_inspect.sources.onnx.skimming import skim
from gnet_inspect.sources.onnx.values import BITS, STRING
from gnet_inspect.units import LARGEST_EXACT

# What torch's exporter writes down of the module that a node comes from.
_SCOPES, _CLASSES = "pkg.torch.onnx.name_scopes", "pkg.torch.onnx.class_hierarchy"
# The names of ONNX's own operators' domain.
OWN = ("", "ai.onnx")


def read_model(source: Path | bytes, file: str) -> Model:
    """The model in a file, or in its bytes. Raises SpecError where something in it does not fit, and UsageError where
    it cannot be read."""
    if isinstance(source, bytes):
        return _parsed(skim(BytesIO(source), len(source), file), file, "")
    try:
        if not stat.S_ISREG(source.stat().st_mode):
            raise UsageError(f"expected an ONNX file, got {show(file)}, which is no file")
        with source.open("rb") as opened:
            return _parsed(skim(opened, _size_of(opened), file), file, source.name.removesuffix(".onnx"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise UsageError(f"expected an ONNX file, got {show(file)}, which does not exist") from None
    except OSError as error:
        raise UsageError(f"cannot read {show(file)}: {error.strerror}") from None


def _size_of(opened: BinaryIO) -> int:
    size = opened.seek(0, 2)
    opened.seek(0)
    return size


def _parsed(text: bytes, file: str, title: str) -> Model:
    import onnx
    from google.protobuf.message import DecodeError

    model = onnx.ModelProto()
    try:
        model.ParseFromString(text)  # type: ignore[no-untyped-call]  # protobuf makes its classes at run time
    except DecodeError:
        raise SpecError(
            "expected an ONNX model, which is a message of protobuf, got something else", file=file
        ) from None
    return _Reader(model, file, title).model()


class _Reader:
    """One model of protobuf's being read."""

    def __init__(self, model: Any, file: str, title: str) -> None:
        self.proto, self.file, self.title = model, file, title
        self._characters = 0

    def model(self) -> Model:
        if not self.proto.HasField("graph"):
            self._refuse("graph", "expected one, got none")
        opsets = self._opsets()
        if self.proto.functions:
            self._inline()
        graph = self.proto.graph
        weights = self._weights(graph)
        inputs = [self._given(value, f"graph.input.{index}") for index, value in enumerate(graph.input)]
        outputs = [self._given(value, f"graph.output.{index}") for index, value in enumerate(graph.output)]
        own = tuple(value for value in inputs if value.name not in weights)
        for where, values in (("input", own), ("output", outputs)):
            if not values:
                self._refuse(f"graph.{where}", "expected at least one, got none")
            self._check_apart(f"graph.{where}", [value.name for value in values])
        told = [self._given(value, f"graph.value_info.{index}") for index, value in enumerate(graph.value_info)]
        return Model(
            self.file,
            self.title or self._text("graph.name", graph.name) or "network",
            own,
            tuple(outputs),
            tuple(self._calls(graph.node)),
            weights,
            {value.name: value for value in (*told, *outputs)},
            opsets,
        )

    # --- what the file is written in ---

    def _opsets(self) -> dict[str, int]:
        from onnx.defs import onnx_opset_version

        found = {item.domain if item.domain not in OWN else "": item.version for item in self.proto.opset_import}
        newest = onnx_opset_version()
        own = found.get("")
        if own is None or not OLDEST_OPSET <= own <= newest:
            got = "none" if own is None else f"opset {own}"
            hint = (
                "upgrade the package onnx"
                if own is not None and own > newest
                else "onnx.version_converter makes newer ones"
            )
            self._refuse(
                "opset_import", f"expected ONNX's operators of opset {OLDEST_OPSET} to {newest}, got {got}", hint
            )
        return found

    def _inline(self) -> None:
        """Put what functions hold in the place of their calls."""
        from onnx.inliner import inline_local_functions

        self._check_functions()
        try:
            self.proto = inline_local_functions(self.proto)
        except (RuntimeError, ValueError) as error:
            self._refuse("functions", f"expected functions that can be put in the place of their calls, got: {error}")

    def _check_functions(self) -> None:
        """Raise SpecError where functions call themselves, or become more nodes than a network may have."""
        functions: dict[_Key, Any] = {}
        for index, function in enumerate(self.proto.functions):
            key = function.domain, function.name, function.overload
            if key in functions:
                self._refuse(
                    f"functions.{index}", f"expected a name of its own, got {quoted(str(function.name))} twice"
                )
            functions[key] = function
            self._check_flow(function.node, f"functions.{index}")
        self._check_flow(self.proto.graph.node, "graph")
        nodes = self.proto.graph.node
        # By each function that is open the calls that are left, and the nodes so far; by each that is done all of them.
        waiting: list[tuple[_Key, Iterator[_Key]]] = [(_WHOLE, iter(_called(nodes, functions)))]
        sizes, done = {_WHOLE: len(nodes)}, set[_Key]()
        while waiting:
            key, calls = waiting[-1]
            called = next(calls, None)
            if called is None:
                waiting.pop()
                done.add(key)
                if waiting:
                    sizes[waiting[-1][0]] += sizes[key]
            elif called in done:
                sizes[key] += sizes[called]
            elif called in sizes or len(waiting) > MAX_NESTING:
                fact = f"expected functions that call others at most {MAX_NESTING} deep, and never themselves"
                self._refuse("functions", f"{fact}, got {quoted(str(called[1]))}")
            else:
                sizes[called] = len(functions[called].node)
                waiting.append((called, iter(_called(functions[called].node, functions))))
            if sizes[key] > MAX_NODES:
                self._refuse("functions", f"expected at most {MAX_NODES:,} nodes where all are called, got more")

    def _check_flow(self, nodes: Any, path: str) -> None:
        """Raise SpecError where a node holds a network of its own."""
        for index, node in enumerate(nodes):
            if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
                self._refuse(f"{path}.node.{index}", *_no_flow(f"{node.op_type} {node.name!r}"))

    # --- weights and values ---

    def _weights(self, graph: Any) -> dict[str, Tensor]:
        if graph.sparse_initializer:
            self._refuse("graph.sparse_initializer", "expected dense weights, got sparse ones")
        found: dict[str, Tensor] = {}
        for index, tensor in enumerate(graph.initializer):
            path = f"graph.initializer.{index}"
            read = self._tensor(tensor, path)
            if not read.name or read.name in found:
                self._refuse(f"{path}.name", f"expected a name of its own, got {quoted(read.name)}")
            found[read.name] = read
        return found

    def _tensor(self, tensor: Any, path: str) -> Tensor:
        shape = self._sizes(tensor.dims, f"{path}.dims")
        self._kind(tensor.data_type, f"{path}.data_type")
        return Tensor(
            self._text(f"{path}.name", tensor.name), shape, tensor.data_type, self._values(tensor, shape, path)
        )

    def _values(self, tensor: Any, shape: Shape, path: str) -> Any:
        """The values of a small tensor that lie in this file; None of others."""
        import onnx
        from onnx.numpy_helper import to_array

        count = prod(shape)
        if (
            count > LARGEST_VALUES
            or tensor.data_location == onnx.TensorProto.EXTERNAL
            or tensor.data_type == onnx.TensorProto.STRING
        ):
            return None
        written = any(len(getattr(tensor, name)) for name in _VALUES)
        if count and not written:
            # They were passed over, or are nowhere.
            return None
        try:
            return to_array(tensor)
        except (ValueError, TypeError, RuntimeError, OverflowError) as error:
            self._refuse(path, f"expected {count:,} values of its type, got others: {error}")

    def _given(self, value: Any, path: str) -> Given:
        name = self._text(f"{path}.name", value.name)
        kind = value.type.WhichOneof("value")
        if kind not in (None, "tensor_type"):
            self._refuse(path, f"expected a tensor, got {quoted(name)} of another type, {kind}")
        tensor = value.type.tensor_type
        if kind is None or not tensor.HasField("shape"):
            return Given(name, None, tensor.elem_type if kind else 0)
        dims = tensor.shape.dim
        if len(dims) > MAX_RANK:
            self._refuse(path, f"expected at most {MAX_RANK} axes, got {len(dims):,}")
        return Given(name, tuple(self._size(dim, path) for dim in dims), tensor.elem_type)

    def _size(self, dim: Any, path: str) -> int | str:
        """A size that is known, or the name of one that is free: some write -1 or 0 for that."""
        if dim.WhichOneof("value") != "dim_value" or dim.dim_value in (-1, 0):
            return self._text(path, dim.dim_param)
        self._check_size(dim.dim_value, path)
        return int(dim.dim_value)

    def _sizes(self, sizes: Iterable[int], path: str) -> Shape:
        found = tuple(map(int, sizes))
        if len(found) > MAX_RANK:
            self._refuse(path, f"expected at most {MAX_RANK} axes, got {len(found):,}")
        for size in found:
            self._check_size(size, path)
        if prod(found) > LARGEST_EXACT:
            self._refuse(path, f"expected a tensor that can be counted exactly, got {show(found)}")
        return found

    def _check_size(self, size: int, path: str) -> None:
        if not 0 <= size <= MAX_SIZE:
            self._refuse(path, f"expected sizes of 0 to {MAX_SIZE:,}, got {size}")

    def _kind(self, kind: int, path: str) -> None:
        if kind not in BITS and kind != STRING:
            self._refuse(path, f"expected a type of ONNX's, got {kind}")

    # --- nodes ---

    def _calls(self, nodes: Any) -> Iterator[Call]:
        if len(nodes) > MAX_NODES:
            self._refuse("graph.node", f"expected at most {MAX_NODES:,}, got {len(nodes):,}")
        for index, node in enumerate(nodes):
            path = f"graph.node.{index}"
            notes = {item.key: item.value for item in node.metadata_props if isinstance(item.value, str)}
            domain = self._text(f"{path}.domain", node.domain)
            call = Call(
                index,
                self._text(f"{path}.name", node.name),
                self._text(f"{path}.op_type", node.op_type),
                domain if domain not in OWN else "",
                tuple(self._text(f"{path}.input", name) for name in node.input),
                tuple(self._text(f"{path}.output", name) for name in node.output),
                {},
                node,
                self._listed(notes.get(_SCOPES, "")),
                self._listed(notes.get(_CLASSES, "")),
            )
            if not any(call.outputs):
                self._refuse(path, f"{call.words}: expected an output, got none")
            for attribute in node.attribute:
                name = self._text(f"{path}.attribute", attribute.name)
                call.attributes[name] = self._attribute(attribute, call, f"{path}.{name}")
            yield call

    def _attribute(self, attribute: Any, call: Call, path: str) -> Any:
        from onnx import AttributeProto as Kinds

        if attribute.ref_attr_name:
            self._refuse(path, f"{call.words}: expected a value, got an attribute of a function")
        if attribute.type in (Kinds.GRAPH, Kinds.GRAPHS):
            self._refuse(call.path, *_no_flow(call.words))
        if attribute.type == Kinds.STRING:
            return attribute.s.decode("utf-8", "replace")
        if attribute.type == Kinds.STRINGS:
            return tuple(item.decode("utf-8", "replace") for item in attribute.strings)
        if attribute.type == Kinds.TENSOR:
            return self._tensor(attribute.t, path)
        plain = {Kinds.FLOAT: "f", Kinds.INT: "i", Kinds.FLOATS: "floats", Kinds.INTS: "ints"}.get(attribute.type)
        if plain is None:
            # What no operator of a network that is read here asks for: types, sparse tensors.
            return None
        value = getattr(attribute, plain)
        return tuple(value) if attribute.type in (Kinds.FLOATS, Kinds.INTS) else value

    def _listed(self, text: str) -> tuple[str, ...]:
        """A list of names as torch writes it down: "['', 'layer1']". What is none says nothing."""
        is_plain = text.startswith("['") and text.endswith("']") and '"' not in text and "\\" not in text
        names = tuple(text[2:-2].split("', '")) if is_plain else ()
        return names if len(names) <= MAX_NESTING * 4 and all(len(name) <= MAX_NAME for name in names) else ()

    # --- names ---

    def _text(self, path: str, text: str | bytes) -> str:
        if not isinstance(text, str):
            # What is no UTF-8 protobuf hands out as bytes.
            self._refuse(path, "expected a name in UTF-8, got other bytes")
        if len(text) > MAX_NAME:
            self._refuse(path, f"expected a name of at most {MAX_NAME:,} characters, got {len(text):,}")
        self._characters += len(text)
        if self._characters > MAX_CHARACTERS:
            self._refuse(path, f"expected names of at most {MAX_CHARACTERS:,} characters together, got more")
        return text

    def _check_apart(self, path: str, names: list[str]) -> None:
        seen: set[str] = set()
        for name in names:
            if not name or name in seen:
                self._refuse(path, f"expected a name of its own for each, got {quoted(name)}")
            seen.add(name)

    def _refuse(self, path: str, fact: str, hint: str = "") -> NoReturn:
        raise SpecError(fact, file=self.file, path=path, hint=hint)


_VALUES = ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data")


# A function by its domain, its name and which of that name it is; the graph itself.
_Key = tuple[str, str, str]
_WHOLE: _Key = ("", "", "")


def _called(nodes: Any, functions: Mapping[_Key, Any]) -> list[_Key]:
    """The functions that nodes call, as often as they do."""
    return [key for node in nodes if (key := (node.domain, node.op_type, node.overload)) in functions]


def _no_flow(words: str) -> tuple[str, str]:
    """(what is wrong with a node that holds a network, how to mend it)"""
    fact = f"{words}: expected a network without control flow, got a node that holds a network of its own"
    return fact, "export it for one path, with conditions that are constants"
