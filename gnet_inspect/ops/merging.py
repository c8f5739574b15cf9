"""Where values meet: concat, sums, products of elements and of matrices; and the slices that an optimized graph has."""

from collections.abc import Mapping
from math import prod
from typing import Annotated, ClassVar

from gnet_inspect.errors import ShapeError
from gnet_inspect.ops.arguments import Integer, Integers, Number, NumberOr
from gnet_inspect.ops.base import (
    COUNTED_BY_NONE,
    NO_TEMPORARIES,
    POINT,
    AxisWindow,
    Call,
    Family,
    Look,
    OneOperator,
    Op,
    Saved,
    Shape,
    Shapes,
    Sight,
    Temporaries,
    Terms,
    Traffic,
    Weight,
    counted_as_macs,
    pointwise,
    terms,
    unseen,
)
from gnet_inspect.ops.movement import axis_of
from gnet_inspect.units import dimensions

MERGE = Family("merge")
MANY = 2**31


def _listed(inputs: Shapes) -> str:
    return ", ".join(map(dimensions, inputs[:8])) + (", ..." if len(inputs) > 8 else "")


class _Merge(Op, frozen=True):
    """What all of them share."""

    family: ClassVar[Family] = MERGE
    arity: ClassVar[tuple[int, int]] = (1, MANY)
    reads: ClassVar[str] = "either"
    keeps_output: ClassVar[bool] = False
    may_copy: ClassVar[bool] = False

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return ()

    def macs(self, inputs: Shapes, outputs: Shapes) -> int:
        return 0

    def differences(self, call: Call) -> Mapping[str, Terms]:
        return COUNTED_BY_NONE


class Concat(_Merge, frozen=True):
    """torch.cat along `dim`, the channels unless said: all other sizes must agree."""

    joins_in_turn: ClassVar[bool] = True
    module: ClassVar[str] = "gnet_inspect.runtime.layers.ConcatBranches"

    dim: Annotated[int, Integer(None)] = 1

    @property
    def kind(self) -> str:
        return "concat"

    def output_shape(self, inputs: Shapes) -> Shape:
        first = inputs[0]
        axis = axis_of("concat", self.dim, first)
        # A learned tensor stands for every image: its first size of 1 is repeated.
        batch = max(shape[0] for shape in inputs) if axis else 0
        rest = {_without(shape, axis, batch if shape[0] == 1 else 0) for shape in inputs}
        if len(rest) > 1 or len(set(map(len, inputs))) > 1:
            where = "the channels" if axis == 1 else f"axis {axis}"
            raise ShapeError(f"concat expects branches that agree in all but {where}, got {_listed(inputs)}")
        whole = (batch or first[0], *first[1:])
        return *whole[:axis], sum(shape[axis] for shape in inputs), *whole[axis + 1 :]

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        return Saved()

    def temporaries(self, inputs: Shapes, outputs: Shapes, training: bool) -> Temporaries | None:
        return NO_TEMPORARIES

    def sight(self, inputs: Shapes) -> Sight:
        return self.sights(inputs)[0]

    def sights(self, inputs: Shapes) -> tuple[Sight, ...]:
        rank, before, found = len(inputs[0]), 0, []
        axis = self.dim % rank
        for shape in inputs:
            # An output is one place of one branch, counted from where that begins.
            window = AxisWindow(start=-before, exact=len(inputs) == 1)
            found.append(tuple(Look((index,), window if index == axis else POINT) for index in range(rank)))
            before += shape[axis]
        return tuple(found)

    def describe(self) -> str:
        return "concat" if self.dim == 1 else f"concat along {self.dim}"

    def describe_box(self, outputs: Shapes) -> str:
        return f"{self.describe()} to {outputs[0][self.dim]}"

    def sketch(self, outputs: Shapes) -> str:
        return f"{self.describe()} {outputs[0][self.dim]}"

    def describe_call(self, inputs: Shapes, outputs: Shapes) -> str:
        axis = self.dim % len(inputs[0])
        return f"{self.describe()} {'+'.join(str(shape[axis]) for shape in inputs)}={outputs[0][axis]}"


def _without(shape: Shape, axis: int, batch: int) -> Shape:
    """A shape without an axis, and with another batch where that is not 0."""
    whole = (batch or shape[0], *shape[1:])
    return (*whole[:axis], *whole[axis + 1 :])


class ActivatedConcat(Concat, frozen=True, kw_only=True):
    """A concat along the channels that applies ReLU, while it copies, to the branches that `relu` marks: one flag for
    each input.

    No spec can say it: `graph.optimize` makes it, of a concat and the activations before it.
    """

    module: ClassVar[str] = "gnet_inspect.runtime.layers.ConcatActivated"

    relu: tuple[bool, ...]

    def output_shape(self, inputs: Shapes) -> Shape:
        if len(self.relu) != len(inputs):
            raise ShapeError(f"concat expects a flag for each of {len(inputs)} branches, got {len(self.relu)}")
        return super().output_shape(inputs)

    def torch_arguments(self, inputs: Shapes) -> dict[str, object]:
        return {"relu": self.relu}

    def describe(self) -> str:
        return f"concat with {sum(self.relu)} ReLU"


class Channels(OneOperator, frozen=True):
    """torch.narrow(input, 1, start, stop - start): some neighbouring channels, as a view of the input's memory.

    No spec can say it: `graph.optimize` makes it, where one convolution takes the place of several.
    """

    family: ClassVar[Family] = Family("movement")
    module: ClassVar[str] = "gnet_inspect.runtime.layers.ChannelSlice"
    leaves_gaps: ClassVar[bool] = True
    keeps_output: ClassVar[bool] = False

    start: int
    stop: int

    @property
    def kind(self) -> str:
        return "slice"

    def output_shape(self, inputs: Shapes) -> Shape:
        first = inputs[0]
        if len(first) < 2:
            raise ShapeError(f"slice expects an input with channels, got {dimensions(first)}")
        if not 0 <= self.start < self.stop <= first[1]:
            raise ShapeError(f"slice expects channels of the input's {first[1]}, got {self.start} to {self.stop}")
        return first[0], self.stop - self.start, *first[2:]

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return ()

    def macs(self, inputs: Shapes, outputs: Shapes) -> int:
        return 0

    def aliases(self, training: bool) -> int | None:
        return 0

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        return Saved()

    def sight(self, inputs: Shapes) -> Sight:
        return pointwise(inputs[0])

    def differences(self, call: Call) -> Mapping[str, Terms]:
        return COUNTED_BY_NONE

    def torch_arguments(self, inputs: Shapes) -> dict[str, object]:
        return {"start": self.start, "stop": self.stop}

    def describe(self) -> str:
        return f"slice {self.start}:{self.stop}"


def broadcast(kind: str, inputs: Shapes) -> Shape:
    """The shape that torch broadcasts shapes to. Raises ShapeError where they do not fit.

    >>> broadcast("add", ((1, 64, 56, 56), (1, 64, 1, 1)))
    (1, 64, 56, 56)
    """
    rank = max(map(len, inputs))
    made = []
    for axis in range(-rank, 0):
        sizes = {shape[axis] for shape in inputs if -axis <= len(shape)} - {1}
        if len(sizes) > 1:
            raise ShapeError(f"{kind} expects branches of equal shape, or sizes of 1 to repeat, got {_listed(inputs)}")
        made.append(sizes.pop() if sizes else 1)
    return tuple(made)


class _Elementwise(_Merge, frozen=True):
    """A function of the elements at the same place of several inputs, broadcast as torch does."""

    arity: ClassVar[tuple[int, int]] = (2, MANY)

    def output_shape(self, inputs: Shapes) -> Shape:
        return broadcast(self.kind, inputs)

    def sight(self, inputs: Shapes) -> Sight:
        return pointwise(self.output_shape(inputs))


def _so_far(inputs: Shapes, scaled: bool) -> Temporaries:
    """What stands beside the inputs and the last output where they are taken together one by one: the result so far,
    and what is `scaled` before it is added."""
    made, so_far = [], inputs[0]
    for shape in inputs:
        so_far = broadcast("", (so_far, shape))
        made.append(prod(so_far))
    # The first is an input as it is.
    before = [0, 0, *made[1:]]
    steps = range(1, len(inputs))
    most = max((before[step] + made[step] + (prod(inputs[step]) if scaled else 0) for step in steps), default=made[-1])
    return Temporaries(most - made[-1])


class Add(_Elementwise, frozen=True):
    """The element-wise sum: input 0 + scale x each other one, broadcast as torch does."""

    module: ClassVar[str] = "gnet_inspect.runtime.layers.AddBranches"

    scale: Annotated[float, Number()] = 1.0

    @property
    def kind(self) -> str:
        return "add"

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        return Saved()

    def temporaries(self, inputs: Shapes, outputs: Shapes, training: bool) -> Temporaries | None:
        return _so_far(inputs, self.scale != 1)

    @property
    def sign(self) -> str:
        return "+" if self.scale == 1 else ""

    def describe(self) -> str:
        return "add" if self.scale == 1 else f"add, scale {self.scale:g}"


class Mul(_Elementwise, frozen=True):
    """The element-wise product, broadcast as torch does: a gate."""

    module: ClassVar[str] = "gnet_inspect.runtime.layers.MulBranches"

    @property
    def kind(self) -> str:
        return "mul"

    @property
    def sign(self) -> str:
        return "×"

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved | None:
        # More than two keep products before the last, too: which, goes by where a gradient passes.
        return Saved(factors=True) if len(inputs) == 2 else None

    def temporaries(self, inputs: Shapes, outputs: Shapes, training: bool) -> Temporaries | None:
        return _so_far(inputs, False)


class MatMul(_Merge, frozen=True):
    """torch.matmul of two: (..., M, K) x (..., K, N), the axes before broadcast. MACs: outputs x K."""

    family: ClassVar[Family] = Family("matrix product")
    arity: ClassVar[tuple[int, int]] = (2, 2)
    module: ClassVar[str] = "gnet_inspect.runtime.layers.MatMul"
    puts_in_order: ClassVar[bool] = True
    may_copy: ClassVar[bool] = True

    @property
    def kind(self) -> str:
        return "matmul"

    def output_shape(self, inputs: Shapes) -> Shape:
        left, right = inputs
        if min(len(left), len(right)) < 2 or left[-1] != right[-2]:
            raise ShapeError(f"matmul expects ... x M x K and ... x K x N, got {_listed(inputs)}")
        before = broadcast("matmul", (left[:-2], right[:-2])) if len(left) > 2 or len(right) > 2 else ()
        return *before, left[-2], right[-1]

    def macs(self, inputs: Shapes, outputs: Shapes) -> int:
        return prod(outputs[0]) * inputs[0][-1]

    def backward_macs(self, inputs: Shapes, outputs: Shapes, trained: bool, wanted: tuple[bool, ...]) -> int:
        return self.macs(inputs, outputs) * sum(wanted)

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved | None:
        return Saved(factors=True) if _is_one_operator(inputs) else None

    def temporaries(self, inputs: Shapes, outputs: Shapes, training: bool) -> Temporaries | None:
        return NO_TEMPORARIES if _is_one_operator(inputs) else None

    def sight(self, inputs: Shapes) -> Sight:
        return self.sights(inputs)[0]

    def sights(self, inputs: Shapes) -> tuple[Sight, ...]:
        rank = len(self.output_shape(inputs))
        before = tuple(Look((axis,)) for axis in range(rank - 2))
        row, column = (rank - 2,), (rank - 1,)
        # Of the left its own row, of the right its own column.
        return ((*before, Look(row), Look(column, None)), (*before, Look(row, None), Look(column)))

    def differences(self, call: Call) -> Mapping[str, Terms]:
        left, right = call.input_shapes
        # fvcore and ptflops's patch of the function go by the first factor, whatever it is repeated for.
        why = "matrix products by the first factor's size"
        counted, macs = prod(left) * right[-1], call.macs or 0
        # torchinfo multiplies weights by positions, and thop hooks on modules that it knows: neither sees a product.
        not_seen = unseen(call, "matrix products are not seen")
        return counted_as_macs(call) | {
            "fvcore": terms(why, counted - macs),
            "ptflops_pytorch": terms(why, -macs) + terms(why, counted, patched=True),
            "torchinfo": not_seen,
            "thop": not_seen,
        }

    def tools_by_code(self, *, is_function: bool) -> tuple[str, ...]:
        # It may have been written as @ or by a name that ptflops patched; a vector makes another operator.
        return ("ptflops_pytorch",) if is_function else ()

    def differences_of_function(self, call: Call) -> Mapping[str, Terms]:
        # Of the operator @ ptflops knows nothing, of torch.matmul it does.
        not_seen = unseen(call, "matrix products are not seen")
        return dict(super().differences_of_function(call)) | {"ptflops_pytorch": not_seen}


def _is_one_operator(inputs: Shapes) -> bool:
    """Whether a product is torch's mm or bmm on the inputs as they are; others are reshaped first, which may copy."""
    left, right = inputs
    return len(left) == len(right) <= 3 and left[:-2] == right[:-2]


class LearnedTensor(OneOperator, frozen=True):
    """A learned tensor of the network: a class token, a table of positions, a layer scale. It reads nothing. In the
    state dict it stands under its own path. `init` is what it holds at first: a number, zeros, ones, or a normal
    distribution of the deviation 0.02."""

    family: ClassVar[Family] = Family("learned tensor")
    arity: ClassVar[tuple[int, int]] = (0, 0)
    module: ClassVar[str] = "gnet_inspect.runtime.moving.LearnedTensor"
    hands_out_weight: ClassVar[bool] = True
    keeps_output: ClassVar[bool] = False

    shape: Annotated[Shape, Integers(Integer(1))]
    init: Annotated[float | str, NumberOr(("zeros", "ones", "normal"))] = "zeros"

    @property
    def kind(self) -> str:
        return "Parameter"

    def output_shape(self, inputs: Shapes) -> Shape:
        return self.shape

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return (Weight("", self.shape),)

    def macs(self, inputs: Shapes, outputs: Shapes) -> int:
        return 0

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        return Saved()

    def sight(self, inputs: Shapes) -> Sight:
        return tuple(Look(()) for _ in self.shape)

    def differences(self, call: Call) -> Mapping[str, Terms]:
        return COUNTED_BY_NONE

    def traffic(self, inputs: Shapes, outputs: Shapes) -> Traffic:
        # Whoever reads it reads the weight itself.
        return Traffic(0, 0, 0)
