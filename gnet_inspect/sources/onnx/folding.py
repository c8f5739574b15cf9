"""Arithmetic on small constants: the shapes, axes and factors that a file works out of the sizes of its values.

What is folded is no node of the network. Weights are not: what is computed of them is counted with them.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from gnet_inspect.sources.onnx.form import LARGEST_VALUES, MAX_RANK, Call, Tensor
from gnet_inspect.sources.onnx.values import FLOATS, INT64, Value

Arrays = list[Any]
_Fold = Callable[["Constants"], Any]


class Constants:
    """A node all of whose inputs are small constants, as arrays of numpy's; None where one is left out."""

    def __init__(self, call: Call, arrays: Sequence[Any], opset: int) -> None:
        import numpy

        self.numpy, self.call, self.arrays, self.opset = numpy, call, arrays, opset

    def x(self, place: int = 0) -> Any:
        return self.arrays[place]

    def axes(self, place: int, name: str = "axes") -> tuple[int, ...] | None:
        """Axes that an input or, in older files, an attribute gives."""
        if len(self.arrays) > place and self.arrays[place] is not None:
            return tuple(map(int, self.arrays[place].ravel()))
        given = self.attribute(name)
        return None if given is None else tuple(given)

    def sizes(self, place: int, name: str = "axes") -> tuple[int, ...]:
        """The same where they must be there."""
        found = self.axes(place, name)
        if found is None:
            raise ValueError
        return found

    def attribute(self, name: str, default: Any = None) -> Any:
        return self.call.attributes.get(name, default)


def fold(call: Call, inputs: Sequence[Value | None], opset: int) -> Arrays | None:
    """What a node makes of small constants; None where it is not to be known, or no small constant itself."""
    if call.domain:
        return None
    if call.kind in ("Shape", "Size"):
        return _sizes(call, inputs)
    if call.kind == "Constant":
        return _constant(call)
    found = _FOLDS.get(call.kind)
    if found is None or any(value is not None and not _is_number(value) for value in inputs):
        return None
    given = Constants(call, [None if value is None else value.values for value in inputs], opset)
    try:
        with given.numpy.errstate(all="ignore"):
            made = found(given)
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, MemoryError, ArithmeticError):
        # ONNX's own rule of its shape says what is wrong with it.
        return None
    arrays = [given.numpy.asarray(item) for item in (made if isinstance(made, list) else [made])]
    plain = all(item.dtype.kind in "iubf" and item.size <= LARGEST_VALUES and item.ndim <= MAX_RANK for item in arrays)
    return arrays if plain and len(arrays) >= len(call.outputs) else None


def _is_number(value: Value) -> bool:
    """Whether a constant may be a shape or a factor, and is no weight: integers, or numbers that nobody has learned."""
    if value.values is None or value.made is not None or value.values.dtype.kind not in "iubf":
        return False
    return value.kind not in FLOATS or not value.weight or value.elements == 1


def _sizes(call: Call, inputs: Sequence[Value | None]) -> Arrays | None:
    import numpy

    value = inputs[0] if inputs else None
    if value is None:
        return None
    if call.kind == "Size":
        return [numpy.asarray(prod(value.shape), numpy.int64)]
    part = slice(call.attributes.get("start", 0), call.attributes.get("end"))
    return [numpy.asarray(value.shape[part], numpy.int64)]


def _constant(call: Call) -> Arrays | None:
    """A number or a list of them that stands in a node; a tensor is read as the weights of a file are."""
    import numpy

    for name, kind in (
        ("value_int", "int64"),
        ("value_ints", "int64"),
        ("value_float", "float32"),
        ("value_floats", "float32"),
    ):
        if name in call.attributes:
            return [numpy.asarray(call.attributes[name], kind)]
    return None


# --- operators ---


def _binary(name: str) -> _Fold:
    return lambda given: getattr(given.numpy, name)(given.x(0), given.x(1))


def _unary(name: str) -> _Fold:
    return lambda given: getattr(given.numpy, name)(given.x()).astype(given.x().dtype)


def _div(given: Constants) -> Any:
    left, right = given.x(0), given.x(1)
    if left.dtype.kind == "f":
        return left / right
    # Towards zero, as C does.
    whole = given.numpy.floor_divide(given.numpy.abs(left), given.numpy.abs(right))
    return (whole * given.numpy.sign(left) * given.numpy.sign(right)).astype(left.dtype)


def _mod(given: Constants) -> Any:
    return (given.numpy.fmod if given.attribute("fmod", 0) else given.numpy.mod)(given.x(0), given.x(1))


def _cast(given: Constants) -> Any:
    from onnx.helper import tensor_dtype_to_np_dtype

    return given.x().astype(tensor_dtype_to_np_dtype(given.attribute("to")))


def _gather(given: Constants) -> Any:
    return given.numpy.take(given.x(0), given.x(1), axis=given.attribute("axis", 0))


def _concat(given: Constants) -> Any:
    if sum(array.size for array in given.arrays) > LARGEST_VALUES:
        raise ValueError
    return given.numpy.concatenate(list(given.arrays), axis=given.attribute("axis"))


def _slice(given: Constants) -> Any:
    starts, ends = given.sizes(1, "starts"), given.sizes(2, "ends")
    axes = given.axes(3) or tuple(range(len(starts)))
    steps = given.axes(4, "steps") or (1,) * len(starts)
    cut = [slice(None)] * given.x().ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        # One that goes backwards may end before the first.
        cut[axis] = slice(start, None if step < 0 and end < -given.x().shape[axis] else end, step)
    return given.x()[tuple(cut)]


def _squeeze(given: Constants) -> Any:
    return given.numpy.squeeze(given.x(), axis=given.axes(1))


def _unsqueeze(given: Constants) -> Any:
    return given.numpy.expand_dims(given.x(), given.sizes(1))


def _reshape(given: Constants) -> Any:
    x, sizes = given.x(), given.sizes(1, "shape")
    kept = [
        x.shape[index] if size == 0 and not given.attribute("allowzero", 0) else size
        for index, size in enumerate(sizes)
    ]
    return x.reshape(kept)


def _expand(given: Constants) -> Any:
    sizes = given.sizes(1)
    shape = given.numpy.broadcast_shapes(given.x().shape, sizes)
    _check_small(shape)
    return given.numpy.broadcast_to(given.x(), shape)


def _tile(given: Constants) -> Any:
    times = given.sizes(1)
    _check_small([size * more for size, more in zip(given.x().shape, times, strict=True)])
    return given.numpy.tile(given.x(), times)


def _filled(given: Constants) -> Any:
    sizes = given.sizes(0)
    _check_small(sizes)
    tensor = given.attribute("value")
    value = given.numpy.float32(0) if not isinstance(tensor, Tensor) else tensor.values.ravel()[0]
    return given.numpy.full(sizes, value)


def _range(given: Constants) -> Any:
    start, stop, step = (array.ravel()[0] for array in given.arrays)
    if not step or not 0 <= (float(stop) - float(start)) / float(step) <= LARGEST_VALUES:
        raise ValueError
    return given.numpy.arange(start, stop, step, given.x().dtype)


def _check_small(shape: Sequence[int]) -> None:
    if len(shape) > MAX_RANK or min(shape, default=0) < 0 or prod(shape) > LARGEST_VALUES:
        raise ValueError


def _reduce(name: str) -> _Fold:
    def fold(given: Constants) -> Any:
        axes = given.axes(1) or None
        if axes is None and given.attribute("noop_with_empty_axes", 0):
            return given.x()
        made = getattr(given.numpy, name)(given.x(), axis=axes, keepdims=bool(given.attribute("keepdims", 1)))
        return made.astype(given.x().dtype)

    return fold


def _split(given: Constants) -> Any:
    axis, sizes = given.attribute("axis", 0), given.axes(1, "split")
    count = len(given.call.outputs)
    size = given.x().shape[axis]
    step = -(-size // count)
    sizes = sizes or tuple(min(step, size - start) for start in range(0, size, step))
    if sum(sizes) != size or min(sizes) < 0:
        raise ValueError
    return given.numpy.split(given.x(), [sum(sizes[:index]) for index in range(1, len(sizes))], axis=axis)


def _each(name: str) -> _Fold:
    def fold(given: Constants) -> Any:
        made = given.x()
        for array in given.arrays[1:]:
            made = getattr(given.numpy, name)(made, array)
        return made

    return fold


def _scattered(given: Constants) -> Any:
    made, places, updates = given.x(0).copy(), given.x(1), given.x(2)
    if given.attribute("reduction", "none") != "none":
        raise ValueError
    made[tuple(given.numpy.moveaxis(places, -1, 0))] = updates
    return made


_FOLDS: dict[str, _Fold] = {
    "Add": _binary("add"),
    "Sub": _binary("subtract"),
    "Mul": _binary("multiply"),
    "Div": _div,
    "Mod": _mod,
    "Equal": _binary("equal"),
    "Greater": _binary("greater"),
    "Less": _binary("less"),
    "Not": lambda g: ~g.x(),
    "GreaterOrEqual": _binary("greater_equal"),
    "LessOrEqual": _binary("less_equal"),
    "And": _binary("logical_and"),
    "Or": _binary("logical_or"),
    "Xor": _binary("logical_xor"),
    "Neg": _unary("negative"),
    "Abs": _unary("abs"),
    "Floor": _unary("floor"),
    "Ceil": _unary("ceil"),
    "Sqrt": _unary("sqrt"),
    "Round": _unary("rint"),
    "Sign": _unary("sign"),
    "Identity": lambda g: g.x(),
    "Max": _each("maximum"),
    "Min": _each("minimum"),
    "Cast": _cast,
    "Gather": _gather,
    "Concat": _concat,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Reshape": _reshape,
    "Expand": _expand,
    "Tile": _tile,
    "ConstantOfShape": _filled,
    "Range": _range,
    "Split": _split,
    "ScatterND": _scattered,
    "ReduceProd": _reduce("prod"),
    "ReduceSum": _reduce("sum"),
    "ReduceMax": _reduce("max"),
    "ReduceMin": _reduce("min"),
    "Transpose": lambda g: g.numpy.transpose(g.x(), g.attribute("perm")),
    "Where": lambda g: g.numpy.where(g.x(0), g.x(1), g.x(2)),
    "NonZero": lambda g: g.numpy.asarray(g.numpy.nonzero(g.x()), g.numpy.int64),
    "Flatten": lambda g: g.x().reshape((prod(g.x().shape[: g.attribute("axis", 1)]), -1)),
}


def kind_of_array(array: Any) -> int:
    """ONNX's number of an array's type."""
    from onnx.helper import np_dtype_to_tensor_dtype

    return int(np_dtype_to_tensor_dtype(array.dtype)) if array.dtype.kind in "iubf" else INT64
