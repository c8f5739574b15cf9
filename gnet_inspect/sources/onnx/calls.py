"""ONNX's operators as ops: what every rule is given and gives, and what is said of a node that no rule knows.

An op of the vocabulary is taken only where it makes just the shapes that ONNX's own rule of the operator makes.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from gnet_inspect.errors import GnetError
from gnet_inspect.ops import Op, Shape, Shapes
from gnet_inspect.ops.base import makes
from gnet_inspect.ops.functions import Elementwise, Function, Rearrangement
from gnet_inspect.ops.merging import broadcast
from gnet_inspect.sources.onnx.form import Call
from gnet_inspect.sources.onnx.values import FLOATS, Value, dtype_of_kind


class UnreadError(Exception):
    """A node that a rule does not understand: what can be said of any operator is said of it."""


class Reading(NamedTuple):
    """What one node is: its op, what it reads as values, and what it reads in the place of weights. `part`: it is one
    output of several. `buffers` are those of the slots that nobody trains."""

    op: Op
    values: Sequence[Value]
    slots: Sequence[Value] = ()
    part: int | None = None
    buffers: Sequence[Value] = ()


class Request:
    """One node with what it reads, and the shapes and types that it makes."""

    __slots__ = ("call", "inputs", "kinds", "opset", "shapes")

    def __init__(
        self, call: Call, inputs: Sequence[Value | None], shapes: Shapes, kinds: Sequence[int], opset: int
    ) -> None:
        self.call, self.inputs, self.shapes, self.kinds, self.opset = call, inputs, shapes, kinds, opset

    def maybe(self, place: int) -> Value | None:
        """An input that may be left out."""
        return self.inputs[place] if place < len(self.inputs) else None

    def x(self, place: int = 0) -> Value:
        """An input that must be there."""
        found = self.maybe(place)
        if found is None:
            raise UnreadError
        return found

    def weight(self, place: int) -> Value:
        """An input that is a constant of the network."""
        found = self.x(place)
        if not found.is_constant:
            raise UnreadError
        return found

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute of the node."""
        return self.call.attributes.get(name, default)

    def integers(self, place: int, name: str = "", default: Any = None) -> tuple[int, ...] | None:
        """Integers that an input or, in older files, an attribute gives."""
        found = self.maybe(place) if place >= 0 else None
        if found is None:
            given = self.attribute(name, default) if name else default
            return (given,) if isinstance(given, int) else given
        numbers = found.integers()
        if numbers is None:
            raise UnreadError
        return numbers

    def number(self, place: int, name: str = "", default: float | None = None) -> float | None:
        """One number that an input or an attribute gives."""
        found = self.maybe(place) if place >= 0 else None
        if found is None:
            given = self.attribute(name, default) if name else default
            return None if given is None else float(given)
        numbers = found.numbers()
        if numbers is None or len(numbers) != 1:
            raise UnreadError
        return numbers[0]

    @property
    def rank(self) -> int:
        """How many axes its first input has."""
        return len(self.x().shape)

    @property
    def dtype(self) -> str:
        """What its first output holds."""
        return dtype_of_kind(self.kinds[0])

    def axis(self, name: str = "axis", default: int = 0) -> int:
        """An axis of its first input."""
        axis = int(self.attribute(name, default))
        if not -self.rank <= axis < self.rank:
            raise UnreadError
        return axis % self.rank

    def parted(self, inputs: Sequence[Value | None] | None = None) -> tuple[list[Value], list[Value]]:
        """(the values among some inputs, the weights among them); a number that stands in the file is neither."""
        given = [value for value in (self.inputs if inputs is None else inputs) if value is not None]
        return [value for value in given if not value.is_constant], [
            value for value in given if value.is_constant and not is_number(value)
        ]


def is_number(value: Value) -> bool:
    """Whether a constant is one that was written into the network, and nobody learned: a single number or zeros, unless
    they have the name of a module's parameter, or something of another type than numbers are learned in."""
    if not value.is_constant:
        return False
    if value.made is not None:
        return False
    if value.kind not in FLOATS:
        return value.values is not None
    name = value.weight
    is_parameter = "." in name and "/" not in name
    is_plain = value.elements == 1 or (value.values is not None and not value.values.any())
    return not name or (is_plain and not is_parameter)


# The domain of onnxruntime's own operators.
MICROSOFT = "com.microsoft"
_KNOWN_DOMAINS = ("", MICROSOFT)
Rule = Callable[[Request], list[Reading]]
RULES: dict[str, Rule] = {}
# What counts the multiply-accumulates of an operator whose rule does not understand a node of it.
Counter = Callable[[Request], int | None]
COUNTERS: dict[str, Counter] = {}


def rule(*kinds: str) -> Callable[[Rule], Rule]:
    """Keep a rule for some operators."""

    def keep(found: Rule) -> Rule:
        RULES.update(dict.fromkeys(kinds, found))
        return found

    return keep


def counter(*kinds: str) -> Callable[[Counter], Counter]:
    """Keep what counts some operators."""

    def keep(found: Counter) -> Counter:
        COUNTERS.update(dict.fromkeys(kinds, found))
        return found

    return keep


def read_call(request: Request) -> list[Reading]:
    """What a node is in the vocabulary where a rule knows it and it makes just its shapes, else what is known of it."""
    found = RULES.get(request.call.kind) if request.call.domain in _KNOWN_DOMAINS else None
    if found is not None:
        try:
            readings = found(request)
        except (UnreadError, GnetError, ValueError, ArithmeticError, TypeError, IndexError, KeyError):
            # An unusual way to write it: what it makes is known all the same.
            readings = []
        if readings and all(_agrees(reading, request.shapes) for reading in readings):
            return readings
    return [_any(request)]


def _agrees(reading: Reading, outputs: Shapes) -> bool:
    """Whether an op takes what it is given, and makes just these shapes."""
    made = outputs if reading.part is None else outputs[reading.part : reading.part + 1]
    held = [value.dtype if value.made is None else value.made.dtype for value in reading.values]
    if (reading.op.reads == "float" and "int64" in held) or (reading.op.reads == "int64" and "float" in held):
        return False
    return makes(reading.op, tuple(value.shape for value in reading.values), made)


def _any(request: Request) -> Reading:
    """What can be said of any node: the shapes that it makes, and what it multiplies, where that is known."""
    call, shapes = request.call, request.shapes
    values, weights = request.parted()
    counted: int | None = None
    if call.kind in COUNTERS and call.domain in _KNOWN_DOMAINS:
        try:
            counted = COUNTERS[call.kind](request)
        except (UnreadError, ValueError, IndexError, TypeError, KeyError):
            counted = None
    elif call.kind not in UNCOUNTED if call.domain == "" else (call.domain == MICROSOFT and call.kind in PLAIN):
        counted = 0
    if counted == 0 and len(shapes) == 1 and not weights and values:
        if call.kind in POINTWISE and _is_pointwise(call.kind, values, shapes[0]):
            return Reading(Elementwise(call.kind, shapes[0], request.dtype, _numbers(request)), values)
        if call.kind in MOVERS:
            in_place = call.kind in ("Expand", "Cast")
            return Reading(Rearrangement(call.kind, shapes[0], request.dtype, False, in_place), values)
    return Reading(Function(call.kind, shapes, request.dtype, counted), values, weights)


def _is_pointwise(kind: str, values: Sequence[Value], shape: Shape) -> bool:
    try:
        return broadcast(kind, (shape, *(value.shape for value in values))) == shape
    except GnetError:
        return False


def _numbers(request: Request) -> str:
    """The numbers among what an operator is told."""
    found = [value for value in request.call.attributes.values() if isinstance(value, float)]
    for value in request.inputs:
        if value is not None and is_number(value) and (numbers := value.numbers()) and len(numbers) == 1:
            found += numbers
    return ", ".join(f"{number:g}" for number in found[:4])


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Each element by itself, or with those at its place.
POINTWISE = _words(
    "Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast CastLike "
    "Ceil Celu Clip Cos Cosh DequantizeLinear Div Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid "
    "HardSwish Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Mean Min Mish Mod Mul Neg Not Or Pow PRelu "
    "QuantizeLinear Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Sub Sum Swish Tan "
    "Tanh ThresholdedRelu Where Xor QLinearAdd QLinearMul QLinearSigmoid QLinearLeakyRelu FastGelu QuickGelu BiasGelu"
)
# What moves elements and computes none.
MOVERS = _words(
    "CenterCropPad Col2Im Compress Concat DepthToSpace Expand Flatten Gather GatherElements GatherND Pad Reshape "
    "ReverseSequence Scatter ScatterElements ScatterND Slice SpaceToDepth Split Squeeze Tile TensorScatter Transpose "
    "Trilu Unsqueeze QLinearConcat"
)
# Of onnxruntime's own operators those that multiply no matrices.
PLAIN = POINTWISE | _words(
    "SkipLayerNormalization SimplifiedLayerNormalization SkipSimplifiedLayerNormalization LayerNormalization GroupNorm "
    "QLinearGlobalAveragePool QLinearAveragePool QLinearSoftmax QLinearConcat"
)
# Of what else may multiply inside nobody says how much.
UNCOUNTED = _words(
    "DFT STFT MelWeightMatrix Det DeformConv Conv ConvTranspose ConvInteger QLinearConv Gemm MatMul MatMulInteger "
    "QLinearMatMul Einsum LSTM GRU RNN Attention LinearAttention CausalConvWithState Bernoulli Loop Scan If"
)
