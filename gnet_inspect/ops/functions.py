"""What torch's functions, methods and operators are in a traced network, where the vocabulary has no class for them.

No spec can say them. What one makes is known from the run that was traced, and stands on it: its shape, and what it
holds. By convention nothing but convolutions, linear layers and matrix products multiplies.
"""

from collections.abc import Mapping
from math import prod
from typing import Annotated, ClassVar

from gnet_inspect.errors import ShapeError
from gnet_inspect.ops.arguments import Integer
from gnet_inspect.ops.base import (
    NO_TEMPORARIES,
    POINT,
    AxisWindow,
    Call,
    Family,
    Look,
    OneOperator,
    Op,
    Shape,
    Shapes,
    Sight,
    Temporaries,
    Terms,
    Weight,
    counted_as_macs,
    pointwise,
    unseen,
)
from gnet_inspect.ops.called import MOVERS, POINTWISE
from gnet_inspect.ops.merging import MANY, broadcast
from gnet_inspect.ops.movement import MOVEMENT, Flatten, Identity, Slice, Unsqueeze, axis_of
from gnet_inspect.ops.pooling import (
    POOLING,
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AdaptiveMaxPool3d,
)
from gnet_inspect.units import dimensions

ELEMENTWISE, REDUCTION, PRODUCT = Family("elementwise"), Family("reduction"), Family("matrix product")
# By the function and how many axes it leaves none of: the layer that does it.
_POOLS = {
    ("mean", 1): AdaptiveAvgPool1d,
    ("mean", 2): AdaptiveAvgPool2d,
    ("mean", 3): AdaptiveAvgPool3d,
    ("amax", 1): AdaptiveMaxPool1d,
    ("amax", 2): AdaptiveMaxPool2d,
    ("amax", 3): AdaptiveMaxPool3d,
}


class _Function(Op, frozen=True):
    """What all of them share: any number of inputs of any dtype, and no weights of their own."""

    arity: ClassVar[tuple[int, int]] = (0, MANY)
    reads: ClassVar[str] = "either"

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return ()

    def macs(self, inputs: Shapes, outputs: Shapes) -> int | None:
        return 0

    def differences(self, call: Call) -> Mapping[str, Terms]:
        # torch's counter, and the operators that ptflops counts, are matrix products and convolutions alone; fvcore
        # counts a few more, of which these are none.
        return {"torch": (), "ptflops_aten": (), "fvcore": ()} if call.macs == 0 else {}


class _Named(_Function, frozen=True):
    """What is of the kind of its function."""

    function: str

    @property
    def kind(self) -> str:
        return self.function


class Elementwise(_Named, OneOperator, frozen=True):
    """A function of the elements at the same place of its inputs, which are broadcast: sub, clamp, where, ...

    `arguments` are the numbers among what it is called with, in words.
    """

    family: ClassVar[Family] = ELEMENTWISE

    shape: Shape
    dtype: str = "float"
    arguments: str = ""

    @property
    def gives(self) -> str:
        return self.dtype

    def output_shape(self, inputs: Shapes) -> Shape:
        return self.shape

    def sight(self, inputs: Shapes) -> Sight:
        return pointwise(self.shape)

    def describe(self) -> str:
        return f"{self.function} {self.arguments}".strip()


class Reduction(_Named, OneOperator, frozen=True):
    """A function of all elements along the axes `dims`: mean, sum, amax, ..."""

    family: ClassVar[Family] = REDUCTION
    arity: ClassVar[tuple[int, int]] = (1, MANY)

    dims: tuple[int, ...]
    keepdim: bool = False
    dtype: str = "float"

    @property
    def gives(self) -> str:
        return self.dtype

    def _axes(self, shape: Shape) -> set[int]:
        return {axis_of(self.function, dim, shape) for dim in self.dims}

    def output_shape(self, inputs: Shapes) -> Shape:
        shape, gone = inputs[0], self._axes(inputs[0])
        kept = [(axis, 1 if axis in gone else size) for axis, size in enumerate(shape)]
        return tuple(size for axis, size in kept if self.keepdim or axis not in gone)

    def sight(self, inputs: Shapes) -> Sight:
        rank, gone = len(inputs[0]), self._axes(inputs[0])
        if self.keepdim:
            return tuple(Look((axis,), None if axis in gone else POINT) for axis in range(rank))
        kept = [axis for axis in range(rank) if axis not in gone]
        if not kept:
            return ()
        # What is left of the shape has no axis for those that are gone: the last one sees them all.
        last = Look((kept[-1], *sorted(gone)), None)
        return (*(Look((axis,)) for axis in kept[:-1]), last)

    def describe(self) -> str:
        return f"{self.function} over {', '.join(map(str, self.dims))}"


class GlobalPool(Reduction, frozen=True):
    """The mean, or the largest, of all positions of (N, C, ...): what an adaptive pool to one output does."""

    family: ClassVar[Family] = POOLING

    def sight(self, inputs: Shapes) -> Sight:
        return super().sight(inputs) if self.keepdim else (Look((0,)), Look((1,)))

    def swallows(self, inputs: Shapes) -> tuple[int, ...]:
        return () if self.keepdim else inputs[0][2:]

    def layers(self, inputs: Shapes) -> tuple[Op, ...]:
        pools = _POOLS.get((self.function, len(inputs[0]) - 2))
        if pools is None:
            return ()
        pool = pools((1,) * (len(inputs[0]) - 2))
        return (pool,) if self.keepdim else (pool, Flatten())


def pool_of_mean(name: str, dims: tuple[int, ...], keepdim: bool, rank: int, dtype: str) -> Op:
    """A reduction; that of all positions of (N, C, ...) is a global pool."""
    axes = sorted(dim % rank for dim in dims)
    pools = name in ("mean", "amax") and rank > 2 and axes == list(range(2, rank))
    return (GlobalPool if pools else Reduction)(name, tuple(axes), keepdim, dtype)


class Select(_Function, OneOperator, frozen=True):
    """One position of an axis, which is gone then, as a view: x[:, 0], or one of torch.unbind's."""

    family: ClassVar[Family] = MOVEMENT
    arity: ClassVar[tuple[int, int]] = (1, MANY)
    leaves_gaps: ClassVar[bool] = True
    keeps_output: ClassVar[bool] = False
    may_copy: ClassVar[bool] = False

    dim: Annotated[int, Integer(None)]
    index: Annotated[int, Integer(None)]

    @property
    def kind(self) -> str:
        return "select"

    def output_shape(self, inputs: Shapes) -> Shape:
        shape = inputs[0]
        axis = axis_of("select", self.dim, shape)
        if not -shape[axis] <= self.index < shape[axis]:
            raise ShapeError(f"select expects one of the {shape[axis]} positions of axis {axis}, got {self.index}")
        return *shape[:axis], *shape[axis + 1 :]

    def aliases(self, training: bool) -> int | None:
        return 0

    def sight(self, inputs: Shapes) -> Sight:
        gone = self.dim % len(inputs[0])
        return tuple(Look((axis,)) for axis in range(len(inputs[0])) if axis != gone)

    def layers(self, inputs: Shapes) -> tuple[Op, ...]:
        return _position(inputs[0], self.dim % len(inputs[0]), self.index)

    def describe(self) -> str:
        return f"select {self.index} of axis {self.dim}"


class Index(_Function, OneOperator, frozen=True):
    """Python's basic indexing as one view. `items` are, axis by axis of the input, (start, stop, step), one position,
    or None for a new axis; axes behind them stay."""

    family: ClassVar[Family] = MOVEMENT
    arity: ClassVar[tuple[int, int]] = (1, MANY)
    leaves_gaps: ClassVar[bool] = True
    keeps_output: ClassVar[bool] = False
    may_copy: ClassVar[bool] = False

    items: tuple[tuple[int, int, int] | int | None, ...]

    @property
    def kind(self) -> str:
        return "index"

    def _walk(self, shape: Shape) -> tuple[list[int], list[Look]]:
        """(the sizes, what each axis sees)"""
        sizes: list[int] = []
        looks: list[Look] = []
        axis = 0
        for item in self.items:
            if item is None:
                sizes.append(1)
                looks.append(Look(()))
                continue
            if axis >= len(shape):
                raise ShapeError(f"index expects at most {len(shape)} axes, got {dimensions(shape)}")
            if isinstance(item, tuple):
                start, stop, step = item
                if step < 1 or not 0 <= start <= stop <= shape[axis]:
                    raise ShapeError(f"index expects a part of the {shape[axis]} of axis {axis}, got {start}:{stop}")
                sizes.append(len(range(start, stop, step)))
                looks.append(Look((axis,), AxisWindow(1, step, start=start)))
            axis += 1
        rest = range(axis, len(shape))
        return [*sizes, *(shape[index] for index in rest)], [*looks, *(Look((index,)) for index in rest)]

    def output_shape(self, inputs: Shapes) -> Shape:
        return tuple(self._walk(inputs[0])[0])

    def aliases(self, training: bool) -> int | None:
        return 0

    def sight(self, inputs: Shapes) -> Sight:
        return tuple(self._walk(inputs[0])[1])

    def layers(self, inputs: Shapes) -> tuple[Op, ...]:
        shape, axis = inputs[0], 0
        found: list[Op] = []
        for item in self.items:
            if isinstance(item, tuple):
                start, stop, step = item
                if start >= stop:
                    # No layer leaves nothing.
                    return ()
                if (start, step) != (0, 1) or stop < shape[axis]:
                    found.append(Slice(axis, start, stop if stop < shape[axis] else None, step))
                    shape = found[-1].output_shape((shape,))
            elif item is None:
                found.append(Unsqueeze(axis))
                shape = (*shape[:axis], 1, *shape[axis:])
            else:
                gone = _position(shape, axis, item)
                if not gone:
                    return ()
                found += gone
                shape = (*shape[:axis], *shape[axis + 1 :])
                continue
            axis += 1
        return tuple(found) or (Identity(),)

    def describe(self) -> str:
        words = [_words(item) for item in self.items]
        return f"index [{', '.join(words)}]"


def _position(shape: Shape, axis: int, index: int) -> tuple[Op, ...]:
    """The layers that leave one position of an axis: it alone, and its axis joined with a neighbour; none of the batch,
    of which no layer leaves an image."""
    if not axis or len(shape) < 3:
        return ()
    index %= shape[axis]
    joined = Flatten(axis, axis + 1) if axis + 1 < len(shape) else Flatten(axis - 1, axis)
    return Slice(axis, index, index + 1 if index + 1 < shape[axis] else None), joined


def _words(item: tuple[int, int, int] | int | None) -> str:
    if not isinstance(item, tuple):
        return str(item)
    start, stop, step = item
    return f"{start}:{stop}" + (f":{step}" if step != 1 else "")


class Stack(_Function, OneOperator, frozen=True):
    """torch.stack: values of one shape side by side along a new axis."""

    family: ClassVar[Family] = Family("merge")
    arity: ClassVar[tuple[int, int]] = (1, MANY)
    keeps_output: ClassVar[bool] = False

    dim: Annotated[int, Integer(None)] = 0

    @property
    def kind(self) -> str:
        return "stack"

    def _axis(self, inputs: Shapes) -> int:
        return axis_of("stack", self.dim, (*inputs[0], 1))

    def output_shape(self, inputs: Shapes) -> Shape:
        if len(set(inputs)) > 1:
            raise ShapeError(f"stack expects values of one shape, got {', '.join(map(dimensions, inputs[:8]))}")
        axis = self._axis(inputs)
        return *inputs[0][:axis], len(inputs), *inputs[0][axis:]

    def sight(self, inputs: Shapes) -> Sight:
        axis, rank = self._axis(inputs), len(inputs[0])
        before = (Look((index,)) for index in range(axis))
        return (*before, Look(()), *(Look((index,)) for index in range(axis, rank)))


class Rearrangement(_Named, OneOperator, frozen=True):
    """What moves elements, or repeats them, to a shape that is known from the run: expand, repeat, gather, flip, ...

    `is_view`: it is the input's own memory. `in_place`: each element stays at its place, and is repeated at most.
    """

    family: ClassVar[Family] = MOVEMENT
    keeps_output: ClassVar[bool] = False

    shape: Shape
    dtype: str = ""
    is_view: bool = False
    in_place: bool = False

    @property
    def gives(self) -> str:
        return self.dtype

    @property
    def leaves_gaps(self) -> bool:  # type: ignore[override]  # a view may
        return self.is_view

    @property
    def reorders(self) -> bool:  # type: ignore[override]  # nobody says that it does not
        return True

    def output_shape(self, inputs: Shapes) -> Shape:
        return self.shape

    def aliases(self, training: bool) -> int | None:
        return 0 if self.is_view else None

    def sight(self, inputs: Shapes) -> Sight:
        return pointwise(self.shape) if self.in_place else None


_OF_VECTORS = ("mv", "addmv", "dot", "vdot")


class MatrixProduct(_Named, frozen=True):
    """torch's products of matrices and vectors that are not a matmul of two: addmm, baddbmm, mv, tensordot, ...

    Each output sums `inner` products. MACs: outputs x inner.
    """

    family: ClassVar[Family] = PRODUCT

    inner: int
    shape: Shape

    @property
    def gives(self) -> str:
        return "float"

    def output_shape(self, inputs: Shapes) -> Shape:
        return self.shape

    def macs(self, inputs: Shapes, outputs: Shapes) -> int:
        return prod(self.shape) * self.inner

    def differences(self, call: Call) -> Mapping[str, Terms]:
        # Of a product with a vector no tool but us knows that it multiplies.
        if self.function in _OF_VECTORS:
            not_seen = unseen(call, "products with a vector are not seen")
            return {"torch": not_seen, "ptflops_aten": not_seen}
        if self.function == "grouped_mm":
            return {"torch": unseen(call, "products by groups are not seen")}
        return {"torch": counted_as_macs(call)["torch"]}

    def sight(self, inputs: Shapes) -> Sight:
        # Of one value and weights beside it: rows that each see themselves.
        if len(inputs) != 1 or len(inputs[0]) != 2 or len(self.shape) != 2:
            return None
        return (Look((0,)), Look((1,), None))


class Einsum(_Function, frozen=True):
    """torch.einsum. MACs of two factors: the product of the sizes of all letters that are not summed in one factor
    alone, where one is summed in both; a product without a sum is none of matrices. Of more factors nobody is told in
    which order torch takes them."""

    family: ClassVar[Family] = PRODUCT

    equation: str
    shape: Shape
    # The shapes of the factors, weights among them, in their order.
    factors: Shapes

    @property
    def kind(self) -> str:
        return "einsum"

    @property
    def gives(self) -> str:
        return "float"

    def output_shape(self, inputs: Shapes) -> Shape:
        return self.shape

    def macs(self, inputs: Shapes, outputs: Shapes) -> int | None:
        if len(self.factors) == 1:
            return 0
        if len(self.factors) > 2:
            return None
        terms, made = split_equation(self.equation, self.factors)
        sizes = {
            letter: size
            for term, shape in zip(terms, self.factors, strict=True)
            for letter, size in zip(term, shape, strict=True)
            if size != 1
        }
        left, right = map(set, terms)
        summed = [letter for letter in left & right if letter not in made and letter in sizes]
        if not summed:
            return 0
        kept = [letter for letter in (left | right) if letter in made or letter in summed]
        return prod(sizes.get(letter, 1) for letter in kept)

    def sight(self, inputs: Shapes) -> Sight:
        return None

    def differences(self, call: Call) -> Mapping[str, Terms]:
        # fvcore rounds what it counts of it.
        return {} if call.macs is None else {"torch": counted_as_macs(call)["torch"]}

    def describe(self) -> str:
        return f"einsum {self.equation}"


def einsum_shape(equation: str, shapes: Shapes) -> Shape:
    """The shape that an einsum makes; a size of 1 is repeated."""
    terms, made = split_equation(equation, shapes)
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for letter, size in zip(term, shape, strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))
    return tuple(sizes[letter] for letter in made)


def split_equation(equation: str, shapes: Shapes) -> tuple[list[str], str]:
    """(the letters of each factor, those of the output); the axes of an ellipsis are capital letters that are free.

    >>> split_equation("b i j, b j -> b i", ((2, 3, 4), (2, 4)))
    (['bij', 'bj'], 'bi')
    """
    given, arrow, made = equation.replace(" ", "").partition("->")
    terms = given.split(",")
    if len(terms) != len(shapes):
        raise ShapeError(f"einsum expects a term for each of {len(shapes)} factors, got {len(terms)}")
    free = [letter for letter in map(chr, range(0x100, 0x140)) if letter not in given]
    widths = [len(shape) - len(term.replace("...", "", 1)) for term, shape in zip(terms, shapes, strict=True)]
    for term, width in zip(terms, widths, strict=True):
        if not 0 <= width <= (len(free) if "..." in term else 0):
            raise ShapeError(f"einsum expects a letter for each axis of a factor, got {term!r} for another number")
    most = max((width for term, width in zip(terms, widths, strict=True) if "..." in term), default=0)
    axes = "".join(free[:most])
    found = [
        term.replace("...", axes[most - width :]) if "..." in term else term
        for term, width in zip(terms, widths, strict=True)
    ]
    if not arrow:
        letters = "".join(found)
        made = axes + "".join(sorted(letter for letter in set(letters) - set(axes) if letters.count(letter) == 1))
    return found, made.replace("...", axes)


class Function(_Named, frozen=True):
    """Any other function of torch's: shapes and dtypes of its outputs as the run that was traced had them. `counted`
    are its multiply-accumulates: 0 by convention, or None where nobody can count them."""

    family: ClassVar[Family] = Family("other function")

    shapes: Shapes
    dtype: str = "float"
    counted: int | None = None

    @property
    def gives(self) -> str:
        return self.dtype

    def outputs(self, inputs: Shapes) -> Shapes:
        if not self.shapes:
            raise ShapeError(f"{self.function} expects an output, got none")
        return self.shapes

    def macs(self, inputs: Shapes, outputs: Shapes) -> int | None:
        return self.counted

    def differences(self, call: Call) -> Mapping[str, Terms]:
        # It may call anything inside: of what multiplies, torch's counter is known to see what is told of it here.
        if call.macs == 0:
            return {"torch": ()}
        return {"torch": counted_as_macs(call)["torch"]} if self.function in _SEEN_BY_TORCH else {}


_SEEN_BY_TORCH = (
    *(f"conv{more}{axes}d" for more in ("", "_transpose") for axes in (1, 2, 3)),
    *("linear", "bmm", "mm", "multi_head_attention_forward", "scaled_dot_product_attention"),
    *("LSTM", "GRU", "RNN", "MultiheadAttention", "Conv1d", "Conv2d", "Conv3d", "Linear"),
)


class Computed(_Function, frozen=True):
    """A value that is made of weights alone, by `function` last: a weight that is normalised, a table of positions that
    is reordered. It reads no value of the network; the weights that it is made of are what its node holds."""

    family: ClassVar[Family] = Family("learned tensor")
    arity: ClassVar[tuple[int, int]] = (0, 0)
    keeps_output: ClassVar[bool] = False

    function: str
    shape: Shape
    dtype: str = "float"
    counted: int | None = 0

    @property
    def kind(self) -> str:
        return "computed weight"

    @property
    def gives(self) -> str:
        return self.dtype

    def output_shape(self, inputs: Shapes) -> Shape:
        return self.shape

    def macs(self, inputs: Shapes, outputs: Shapes) -> int | None:
        return self.counted

    def differences(self, call: Call) -> Mapping[str, Terms]:
        # A tool may see how it is computed, or not.
        return {"torch": ()} if call.macs == 0 else {}

    def temporaries(self, inputs: Shapes, outputs: Shapes, training: bool) -> Temporaries | None:
        return None if self.counted else NO_TEMPORARIES

    def sight(self, inputs: Shapes) -> Sight:
        return tuple(Look(()) for _ in self.shape)

    def describe(self) -> str:
        return f"weights, by {self.function}"


def op_of_function(
    name: str,
    inputs: Shapes,
    outputs: Shapes,
    dtype: str,
    counted: int | None,
    *,
    words: str = "",
    is_view: bool = False,
) -> Op:
    """What can be said of any function by its name and the shapes that it made. `counted` are its multiply-accumulates,
    `words` the numbers it was given; `is_view`: its output lies in the memory of its first input."""
    if counted == 0 and len(outputs) == 1 and name in POINTWISE and _fits(name, inputs, outputs[0]):
        return Elementwise(name, outputs[0], dtype, words)
    if counted == 0 and len(outputs) == 1 and name in MOVERS:
        return Rearrangement(name, outputs[0], dtype, is_view, name in _IN_PLACE)
    return Function(name, outputs, dtype, counted)


_IN_PLACE = ("expand", "expand_as", "broadcast_to", "clone")


def _fits(name: str, inputs: Shapes, shape: Shape) -> bool:
    """Whether inputs are broadcast to just this shape."""
    try:
        return broadcast(name, (shape, *inputs)) == shape
    except ShapeError:
        return False


FUNCTIONS: tuple[type[Op], ...] = (
    *(Elementwise, Reduction, GlobalPool, Select, Index, Stack, Rearrangement),
    *(MatrixProduct, Einsum, Function, Computed),
)
