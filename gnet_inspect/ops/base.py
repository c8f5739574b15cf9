"""What every layer kind answers of itself: shapes, weights, multiply-accumulates, sight, traffic, memory, other tools.

Shapes are tuples that carry the batch first: (N, C, H, W), (N, F), (N, L, D), .... The rules are PyTorch's own, to the
letter (torch.nn's page of each class); a rule that is broken raises ShapeError with the numbers.

No answer here is a guess: what a class does not say of itself is unknown (None), and shown as unknown. A kind of layer
of one's own is a class with the answers that its author knows, given to `register`.
"""

import re
from collections.abc import Collection, Mapping
from inspect import get_annotations
from math import prod
from typing import Any, ClassVar, NamedTuple, Protocol, get_args

from msgspec import NODEFAULT, Struct

from gnet_inspect.errors import GnetError
from gnet_inspect.ops.arguments import Kind, PerAxis

Shape = tuple[int, ...]
Shapes = tuple[Shape, ...]


class Parameter(Struct, frozen=True):
    """One argument of a layer class: its name, kind and default (NODEFAULT where it must be given)."""

    name: str
    kind: Kind
    default: Any

    @property
    def required(self) -> bool:
        return self.default is NODEFAULT


class Weight(Struct, frozen=True):
    """One tensor that a layer holds under `name`, in its state dict if it is `persistent`. What is not `trained` is a
    buffer. Indices and
    counters are int64 in a network of any dtype; no forward pass at inference reads a counter."""

    name: str
    shape: Shape
    trained: bool = True
    counter: bool = False
    indices: bool = False
    persistent: bool = True

    @property
    def is_integer(self) -> bool:
        """Whether its elements are int64."""
        return self.counter or self.indices

    @property
    def elements(self) -> int:
        return prod(self.shape)


class Family(Struct, frozen=True):
    """What sort of layer it is: by its family a box is coloured. `folds_as` is the word under which a diagram draws it
    in the box of the layer it follows; "" where it has a box of its own."""

    name: str
    folds_as: str = ""


class Traffic(Struct, frozen=True):
    """The elements that one run moves: of weights, read and written, each once."""

    weights: int
    read: int
    written: int

    @property
    def elements(self) -> int:
        return self.weights + self.read + self.written


class Saved(Struct, frozen=True):
    """What autograd keeps of a layer until the backward pass: its first input, its output, and tensors of its own, in
    elements of the network's dtype and in bytes that no dtype changes (indices). Its weights are not among them.
    `factors`: of a product each input, where a gradient passes another one."""

    input: bool = False
    output: bool = False
    factors: bool = False
    elements: int = 0
    bytes: int = 0


class Temporaries(Struct, frozen=True):
    """What stands inside a layer beside its inputs and its output when it is at its fullest: elements of the network's
    dtype, and bytes that no dtype changes (indices)."""

    elements: int = 0
    bytes: int = 0


NO_TEMPORARIES = Temporaries()


class Window(NamedTuple):
    """The window that a layer moves over its spatial axes: how large it is, and how far it moves, along each."""

    size: tuple[int, ...]
    stride: tuple[int, ...]


class AxisWindow(NamedTuple):
    """What the outputs of a layer see of its inputs along one axis.

    Inputs lie `parts` apart on a line, input 0 at 0. Output i sees those in a stretch `reach` long that begins at
    `start` + i `step`: the inputs ceil((start + i step) / parts) to floor((start + i step + reach - 1) / parts). Parts
    are 1 but where outputs lie between inputs; a step of 0 lets every output see the same. `exact` is False where some
    output that no border cuts off sees less than that, from its first input to its last.
    """

    reach: int = 1
    step: int = 1
    parts: int = 1
    start: int = 0
    exact: bool = True


POINT = AxisWindow()


def anywhere(size: int) -> AxisWindow:
    """Of an axis of a size: each output sees some of its positions, and which they are is not told."""
    return AxisWindow(size, 0, exact=False) if size > 1 else POINT


def up_to(size: int) -> AxisWindow:
    """Of an axis of a size: each output sees the input at its own place and all before it."""
    return AxisWindow(size, 1, start=1 - size)


class Look(NamedTuple):
    """What the outputs along one axis see: the positions of the input's axes `of` (none, one, or several merged into
    one), each output through `window`, or all of them where that is None."""

    of: tuple[int, ...]
    window: AxisWindow | None = POINT


# One Look for each axis of the output; None where that is not known.
Sight = tuple[Look, ...] | None


class Term(NamedTuple):
    """One reason why a tool's number differs from MACs, and by how much. `patched`: ptflops counts it by a function
    that it patched, which takes no notice of the batch."""

    why: str
    amount: int
    patched: bool = False


# Empty where a tool counts the MACs.
Terms = tuple[Term, ...]
# The tools whose numbers are known, by the keys of their columns.
TOOLS = ("torch", "fvcore", "torchinfo", "ptflops_pytorch", "ptflops_aten", "thop")


class Call(Protocol):
    """One run of a layer: what a tool's number may depend on. A Node of a graph is one."""

    @property
    def input_shapes(self) -> Shapes: ...
    @property
    def output_shapes(self) -> Shapes: ...
    @property
    def params(self) -> int: ...
    @property
    def macs(self) -> int | None: ...


_CHANNELS_FIRST = {3: ("N", "C", "L"), 4: ("N", "C", "H", "W"), 5: ("N", "C", "D", "H", "W")}
_FEATURES_LAST = {3: ("N", "L", "F"), 4: ("N", "H", "W", "F"), 5: ("N", "D", "H", "W", "F")}
# The x of 3x3, which is a sign in figures.
_BETWEEN_SIZES = re.compile(r"(?<=[\d ])x(?=\d)")


class Op(Struct, frozen=True):
    """A layer with its arguments. Field names are torch's keyword names; each field's annotation holds its Kind."""

    family: ClassVar[Family] = Family("other layer")
    # How many inputs it takes: at least, and at most.
    arity: ClassVar[tuple[int, int]] = (1, 1)
    # How many spatial axes it works along; 0 where that is not fixed.
    ndim: ClassVar[int] = 0
    # How many convolutions or linear layers it adds to a network's depth, as papers count.
    depth: ClassVar[int] = 0
    # What its inputs hold: "float" (numbers of the network's dtype), "int64" (indices), or "either", and then its
    # output holds indices where all of its inputs do.
    reads: ClassVar[str] = "float"
    # Whether a call of many values is that of the first two, joined with the third, and so on.
    joins_in_turn: ClassVar[bool] = False
    # What figures of papers call it, where that is not its class: "conv".
    shorthand: ClassVar[str] = ""
    # The module that does it, as a dotted path; "" where none is known, and a network with it cannot be built.
    module: ClassVar[str] = ""
    # Whether its output is one of its weights, which takes no memory of an activation.
    hands_out_weight: ClassVar[bool] = False
    # Whether its output may lie in memory in another order than its sizes say, where its inputs do not; torch's
    # operators follow their inputs.
    reorders: ClassVar[bool] = False
    # Whether its output is a view that leaves out some of the input's memory.
    leaves_gaps: ClassVar[bool] = False
    # Whether its output lies in the order of its sizes, however its inputs do.
    puts_in_order: ClassVar[bool] = False
    # Whether torch may copy an input first that does not lie in the order of its sizes, or has gaps.
    may_copy: ClassVar[bool] = True
    # Whether its backward pass may need what it returns, so that nobody may overwrite that.
    keeps_output: ClassVar[bool] = True

    @property
    def kind(self) -> str:
        """The name of the layer's class, as torch.nn has it."""
        return type(self).__name__

    @property
    def gives(self) -> str:
        """What its outputs hold: "float", "int64" or "bool"; "" where that follows from what it reads."""
        return ""

    @property
    def sliding_window(self) -> Window | None:
        """The window that it moves over spatial axes, as it was asked for; None where it moves none."""
        return None

    def channel_counts(self, inputs: Shapes, outputs: Shapes) -> tuple[int, int] | None:
        """How many channels (or features) it reads and makes, where it tells them from positions; None else."""
        return None

    @property
    def channel_groups(self) -> int | None:
        """Into how many groups it divides its channels, each of which sees its own alone; None where it has none."""
        return None

    def densely(self, out_channels: int) -> "Op | None":
        """The layer that makes so many channels, each of all of the input's, through the same window; None where there
        is none."""
        return None

    def joined_with(self, other: "Op") -> "Op | None":
        """The one layer through the windows of this and another one behind it that moves along the axes that this does
        not: of a 7x1 and a 1x7 the 7x7. None where there is none."""
        return None

    def axis_names(self, rank: int) -> tuple[str, ...]:
        """What formulas call the axes of an input, or an output, of so many: as torch's pages do."""
        if rank == 3 and self.ndim != 1:
            return features_last(rank)
        return _CHANNELS_FIRST.get(rank) or features_last(rank)

    @classmethod
    def parameters(cls) -> dict[str, Parameter]:
        """The arguments a spec may give, by name, in torch's order."""
        found = _parameters.get(cls)
        if found is None:
            found = _parameters[cls] = _read_parameters(cls)
        return found

    # --- shapes ---

    def outputs(self, inputs: Shapes) -> Shapes:
        """The shapes of its outputs for these inputs. Raises ShapeError where torch would refuse them."""
        return (self.output_shape(inputs),)

    def output_shape(self, inputs: Shapes) -> Shape:
        """The shape of the first output."""
        return inputs[0]

    # --- numbers ---

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        """The tensors that it holds, in the order of its state dict."""
        return ()

    def macs(self, inputs: Shapes, outputs: Shapes) -> int | None:
        """Multiply-accumulates, batch included, biases not; 0 by convention for all but convolutions, linear layers and
        matrix products; None where nobody can count them."""
        return None

    def backward_macs(self, inputs: Shapes, outputs: Shapes, trained: bool, wanted: tuple[bool, ...]) -> int | None:
        """The same of the backward pass, where a gradient comes to the output: those of each product once for the
        gradient of each operand that needs one. `trained`: its weights are; `wanted`: of each input, whether a gradient
        passes to it. None where nobody can count them; what multiplies no matrices has a derivative that multiplies
        none."""
        return 0 if self.macs(inputs, outputs) == 0 else None

    def sight(self, inputs: Shapes) -> Sight:
        """What the first output sees of the first input."""
        return None

    def sights(self, inputs: Shapes) -> tuple[Sight, ...]:
        """What it sees of each of the inputs; the same of all of them unless said."""
        return (self.sight(inputs),) * len(inputs)

    def swallows(self, inputs: Shapes) -> tuple[int, ...]:
        """The sizes of the spatial axes that it pools as a whole and leaves out of its output."""
        return ()

    @property
    def sources(self) -> int | None:
        """Of how many of its inputs, from the first on, it sees the elements, and not the size alone; None: of all."""
        return None

    def traffic(self, inputs: Shapes, outputs: Shapes) -> Traffic:
        """What one run moves: every weight that a forward pass reads, every input and every output, each once."""
        held = sum(weight.elements for weight in self.weights(inputs) if not weight.counter)
        return Traffic(held, sum(map(prod, inputs)), sum(map(prod, outputs)))

    # --- memory ---

    def aliases(self, training: bool) -> int | None:
        """The input whose memory its output shares; None where it makes a tensor of its own."""
        return None

    def overwrites(self) -> bool:
        """Whether torch is asked to write the output over the input, where nothing else needs that."""
        return False

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved | None:
        """What autograd keeps in training where a gradient passes: by torch's derivatives (tools/autograd/
        derivatives.yaml) for the operators that the layer calls on a CPU. `in_place`: it does overwrite its input. None
        where that is not known."""
        return None

    def saved_frozen(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved | None:
        """The same where its own weights are not trained, and a gradient passes to its input. Most of torch's
        derivatives keep the same then: a convolution, for one, keeps its input and its weight in either case."""
        return self.saved(inputs, outputs, in_place)

    def temporaries(self, inputs: Shapes, outputs: Shapes, training: bool) -> Temporaries | None:
        """The tensors that torch makes on the way to the output, by the operators that the layer calls on a CPU; what a
        kernel takes within one operator is not among them. None where nobody knows, which makes the peak a bound."""
        return None

    def refuses_training(self, inputs: Shapes) -> bool:
        """Whether torch refuses to train it on these inputs, because it works statistics out of a single value."""
        return False

    # --- tools ---

    def differences(self, call: Call) -> Mapping[str, Terms]:
        """By how much each tool's number differs from the MACs of a call, by the tool's key; a tool that is not there
        counts what is not known."""
        return {}

    def tools_by_order(self, call: Call) -> tuple[str, ...]:
        """The tools whose numbers hold where the inputs lie in memory in the order of their sizes, and else are not
        known: of some inputs torch makes another operator."""
        return ()

    def tools_by_code(self, *, is_function: bool) -> tuple[str, ...]:
        """The tools whose numbers are not known in a network that runs by its own code: they know torch's own module
        better than ours, or have patched the function under some of its names."""
        return ()

    def layers(self, inputs: Shapes) -> "tuple[Op, ...]":
        """The layers that do the same as this function, one behind the other; none where no layers do."""
        return (self,) if self.module else ()

    def differences_of_function(self, call: Call) -> Mapping[str, Terms]:
        """The same of a call that no module makes: of torch's function, method or operator (torch.softmax, @), not of
        torch.nn.functional's."""
        not_seen = unseen(call, "functions are not seen")
        known = dict(self.differences(call)) | {"torchinfo": not_seen, "thop": not_seen}
        # ptflops has patched some functions under some of their names.
        if known.get("ptflops_pytorch") or call.macs:
            known.pop("ptflops_pytorch", None)
        return known

    # --- torch and words ---

    def torch_arguments(self, inputs: Shapes) -> dict[str, Any]:
        """The keyword arguments of the module, the inferred input size among them."""
        return {name: getattr(self, name) for name in self.parameters()}

    def describe(self) -> str:
        """The layer in a few words, as tables print it."""
        return self.kind

    def describe_call(self, inputs: Shapes, outputs: Shapes) -> str:
        """The same with what only a call shows."""
        return self.describe()

    def describe_box(self, outputs: Shapes) -> str:
        """The same in the box of a diagram, whose wires show what comes in."""
        return self.describe()

    @property
    def sign(self) -> str:
        """The sign under which figures draw it in a circle; "" where they draw a box."""
        return ""

    def sketch(self, outputs: Shapes) -> str:
        """The same as figures write it: "conv 1×1, 64"."""
        words = self.describe_box(outputs)
        if self.shorthand:
            words = words.replace(self.kind, self.shorthand, 1)
        return _BETWEEN_SIZES.sub("×", words)


class OneOperator(Op, frozen=True):
    """A layer that is one operator of torch, which makes the output alone; or a view, which makes nothing."""

    may_copy: ClassVar[bool] = False

    def temporaries(self, inputs: Shapes, outputs: Shapes, training: bool) -> Temporaries | None:
        return NO_TEMPORARIES


def terms(why: str, amount: int, *, patched: bool = False) -> Terms:
    """One reason, or none where it amounts to nothing."""
    return (Term(why, amount, patched),) if amount else ()


def times(factor: int, what: str, elements: int) -> Terms:
    """So many for each element."""
    return terms(what if factor == 1 else f"{factor} x {what}", factor * elements)


# Of a layer without multiply-accumulates of which no tool counts anything.
COUNTED_BY_NONE: Mapping[str, Terms] = dict.fromkeys(TOOLS, ())


def counted_as_macs(call: Call) -> dict[str, Terms]:
    """Of a layer whose MACs every tool counts as they are, torch's FlopCounterMode twice: a multiplication and an
    addition are two."""
    return dict.fromkeys(TOOLS, ()) | {"torch": terms("the addition of each MAC is one more", call.macs or 0)}


def unseen(call: Call, why: str) -> Terms:
    """Of a layer whose MACs a tool does not see."""
    return terms(why, -(call.macs or 0))


def dtype_of(op: Op, given: Collection[str]) -> str:
    """What the outputs of an op hold whose inputs hold `given`."""
    if op.gives or op.reads != "either":
        return op.gives or "float"
    held = set(given)
    return held.pop() if len(held) == 1 else "float"


def makes(op: Op, inputs: Shapes, outputs: Shapes) -> bool:
    """Whether an op makes just these outputs of these inputs."""
    if not op.arity[0] <= len(inputs) <= op.arity[1]:
        return False
    try:
        return op.outputs(inputs) == outputs
    except (GnetError, ValueError, ArithmeticError, IndexError, TypeError):
        return False


def features_last(rank: int) -> tuple[str, ...]:
    """What formulas call the axes of (N, ..., F), of which there are so many.

    >>> features_last(2), features_last(4), features_last(6)
    (('N', 'F'), ('N', 'H', 'W', 'F'), ('N', 'D1', 'D2', 'D3', 'D4', 'F'))
    """
    between = (f"D{place}" for place in range(1, rank - 1))
    return _FEATURES_LAST.get(rank) or ("N", *between, "F")[:rank]


def pointwise(shape: Shape) -> Sight:
    """The sight of what looks at each element by itself."""
    return tuple(Look((axis,)) for axis in range(len(shape)))


_parameters: dict[type[Op], dict[str, Parameter]] = {}


def _read_parameters(cls: type[Op]) -> dict[str, Parameter]:
    defaults: dict[str, Any] = dict.fromkeys(cls.__struct_fields__, NODEFAULT)
    if cls.__struct_defaults__:
        defaults.update(
            zip(cls.__struct_fields__[-len(cls.__struct_defaults__) :], cls.__struct_defaults__, strict=True)
        )
    annotations: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        annotations.update(get_annotations(base))
    kinds = {name: [item for item in get_args(annotations[name]) if isinstance(item, Kind)] for name in defaults}
    # The kind of an argument of several spatial axes is made for the axes of its class.
    made = {
        name: found[0].of(cls.ndim) if isinstance(found[0], PerAxis) else found[0]
        for name, found in kinds.items()
        if found
    }
    return {name: Parameter(name, made[name], default) for name, default in defaults.items() if name in made}
