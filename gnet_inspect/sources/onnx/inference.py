"""The shapes that a node makes: by ONNX's own rule of its operator, one node after the other.

A rule is asked with the shapes and types of what the node reads, and with the values of what is a small constant: a
Reshape's sizes. Equal nodes are one question: large networks repeat themselves.
"""

from collections.abc import Sequence
from typing import Any

from gnet_inspect.errors import show
from gnet_inspect.ops import Shape
from gnet_inspect.sources.bounds import MAX_SIZE
from gnet_inspect.sources.onnx.calls import MICROSOFT
from gnet_inspect.sources.onnx.form import MAX_RANK, Call, Model
from gnet_inspect.sources.onnx.values import Value

# What an operator makes: the shape of each output, None where nobody knows, and its type by ONNX's number.
Made = list[tuple[Shape | None, int]]
# Their older rules, with ceil_mode, have a last window that begins in what is padded behind: nothing that runs a file
# makes it, nor do the newer ones.
_POOLS = ("MaxPool", "AveragePool", "LpPool")
# What comes of a rule in C++ that meets what it does not expect.
_REFUSALS = (RuntimeError, ValueError, TypeError, KeyError, IndexError, MemoryError)
# Of onnxruntime's own operators, which ONNX has no rules of: those that make what one of ONNX's makes of the same.
_ALIKE = {
    "FusedConv": "Conv",
    "FusedGemm": "Gemm",
    **dict.fromkeys(("Gelu", "FastGelu", "QuickGelu", "BiasGelu", "QLinearSigmoid", "QLinearLeakyRelu"), "Relu"),
    **dict.fromkeys(("QLinearSoftmax", "SkipLayerNormalization", "GroupNorm", "BiasAdd"), "Relu"),
    **dict.fromkeys(("SimplifiedLayerNormalization", "SkipSimplifiedLayerNormalization"), "Relu"),
}
# The same of those whose second operand stands behind a scale and a zero point.
_QUANTISED = {"QLinearAdd": "Add", "QLinearMul": "Mul"}


class Inference:
    """Answers for the nodes of one model."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._schemas: dict[tuple[str, str], Any] = {}
        self._types: dict[tuple[Shape, int], Any] = {}
        self._known: dict[tuple[Any, ...], Made] = {}

    def outputs(self, call: Call, inputs: Sequence[Value | None]) -> Made:
        """What a node makes of these inputs; a shape is None where neither its rule nor the file says it."""
        key = (
            call.domain,
            call.kind,
            _signature(call),
            tuple(bool(name) for name in call.outputs),
            *((value.shape, value.kind, value.signature) if value is not None else None for value in inputs),
        )
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._asked(call, inputs)
        return [self._checked(call, *pair) for pair in found]

    def _asked(self, call: Call, inputs: Sequence[Value | None]) -> Made:
        import onnx
        from onnx.checker import ValidationError
        from onnx.shape_inference import InferenceError, infer_node_outputs

        unknown: Made = [(None, 0)] * len(call.outputs)
        kind, domain = call.kind, call.domain
        if domain == MICROSOFT and kind in (*_ALIKE, *_QUANTISED):
            inputs = [inputs[0], inputs[3]] if kind in _QUANTISED and len(inputs) > 3 else list(inputs)
            kind, domain = _ALIKE.get(kind) or _QUANTISED[kind], ""
            if kind == "Relu":
                inputs = inputs[:1]
        schema = self._schema(kind, domain)
        if schema is None:
            return unknown
        node = onnx.NodeProto()
        node.op_type, node.domain = kind, domain
        node.input.extend("" if value is None else f"i{index}" for index, value in enumerate(inputs))
        node.output.extend(f"o{index}" if name else "" for index, name in enumerate(call.outputs))
        node.attribute.extend(call.node.attribute)
        given = {f"i{index}": value for index, value in enumerate(inputs) if value is not None}
        try:
            made = infer_node_outputs(
                schema,
                node,
                {name: self._type(value) for name, value in given.items()},
                {name: tensor for name, value in given.items() if (tensor := value.tensor()) is not None},
                opset_imports=[onnx.helper.make_opsetid(*pair) for pair in self.model.opsets.items()],
            )
        except (InferenceError, ValidationError, *_REFUSALS) as error:
            # The rule of the operator refuses the node: what the file says of its outputs is no better then.
            self.model.refuse(call, f"expected inputs and attributes that it takes, got others: {_short(error)}")
        return [_read(made.get(f"o{index}")) for index in range(len(call.outputs))]

    def _schema(self, kind: str, domain: str) -> Any:
        import onnx

        key = domain, kind
        if key not in self._schemas:
            version = self.model.opsets.get(domain, 1)
            if not domain and kind in _POOLS:
                version = onnx.defs.onnx_opset_version()
            try:
                self._schemas[key] = onnx.defs.get_schema(kind, version, domain)
            except (onnx.defs.SchemaError, RuntimeError, TypeError, OverflowError):
                self._schemas[key] = None
        return self._schemas[key]

    def _type(self, value: Value) -> Any:
        from onnx import helper

        key = value.shape, value.kind
        if key not in self._types:
            self._types[key] = helper.make_tensor_type_proto(value.kind, value.shape)
        return self._types[key]

    def _checked(self, call: Call, shape: Shape | None, kind: int) -> tuple[Shape | None, int]:
        if shape is not None and not (len(shape) <= MAX_RANK and all(0 <= size <= MAX_SIZE for size in shape)):
            self.model.refuse(call, f"expected outputs of sizes of 0 to {MAX_SIZE:,}, got {show(shape)}")
        return shape, kind


def _signature(call: Call) -> bytes:
    """What a node is told beside its inputs."""
    return b"".join(item.SerializeToString(deterministic=True) for item in call.node.attribute)


def _read(made: Any) -> tuple[Shape | None, int]:
    """(the shape, where all of it is known; the type)"""
    if made is None or made.WhichOneof("value") != "tensor_type":
        return None, 0
    tensor = made.tensor_type
    dims = tensor.shape.dim
    known = tensor.HasField("shape") and all(dim.WhichOneof("value") == "dim_value" for dim in dims)
    return (tuple(int(dim.dim_value) for dim in dims) if known else None), tensor.elem_type


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
