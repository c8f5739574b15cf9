"""What every layer kind answers: its shape rule, its parameters, its multiply-accumulates and its torch layer.

Shapes are tuples that carry the batch: (N, C, H, W), or (N, F) once the spatial axes are gone. The rules are
PyTorch's own, to the letter (torch.nn's page of each class); a rule that is broken raises ShapeError with the numbers.
"""

from inspect import get_annotations
from typing import Any, ClassVar, get_args

from msgspec import NODEFAULT, Struct

from gnet_inspect.errors import ShapeError
from gnet_inspect.ops.arguments import Kind
from gnet_inspect.units import dimensions

Shape = tuple[int, ...]
Shapes = tuple[Shape, ...]
# One axis of a sliding window, (reach, step, parts): of the inputs, which lie `parts` apart, one output sees those in a
# stretch `reach` long, and the next output's stretch begins `step` further on. So m neighbouring outputs see at most
# ceil((reach + step (m - 1)) / parts) neighbouring inputs. Parts are 1 but where outputs lie between inputs.
Axis = tuple[int, int, int]
Window = tuple[Axis, Axis]

POINT: Window = ((1, 1, 1), (1, 1, 1))


class Parameter(Struct, frozen=True):
    """One argument of a layer class: its name, kind and default (NODEFAULT where it must be given)."""

    name: str
    kind: Kind
    default: Any

    @property
    def required(self) -> bool:
        return self.default is NODEFAULT


class Saved(Struct, frozen=True):
    """What autograd keeps of a layer until the backward pass: its first input, its output, and tensors of its own, in
    elements of the network's dtype and in bytes that no dtype changes (indices). Its weights are not among them."""

    input: bool = False
    output: bool = False
    elements: int = 0
    bytes: int = 0


class Temporaries(Struct, frozen=True):
    """What stands inside a layer beside its inputs and its output when it is at its fullest: elements of the network's
    dtype, and bytes that no dtype changes (indices)."""

    elements: int = 0
    bytes: int = 0


NO_TEMPORARIES = Temporaries()


class Op(Struct, frozen=True):
    """A layer with its arguments. Field names are torch's keyword names; each field's annotation holds its Kind."""

    # torch.nn's class of the same name builds it; the exceptions say so in runtime.module.
    counted: ClassVar[bool] = True

    @property
    def kind(self) -> str:
        """The name of the layer's class, as torch.nn has it."""
        return type(self).__name__

    @classmethod
    def parameters(cls) -> dict[str, Parameter]:
        """The arguments a spec may give, by name, in torch's order."""
        found = _parameters.get(cls)
        if found is None:
            found = _parameters[cls] = _read_parameters(cls)
        return found

    def output_shape(self, inputs: Shapes) -> Shape:
        """The output's shape for these inputs. Raises ShapeError where torch would refuse them."""
        return inputs[0]

    def params(self, inputs: Shapes) -> int:
        """Trainable scalars."""
        return 0

    def buffers(self, inputs: Shapes) -> int:
        """Scalars that are kept but not trained (running statistics)."""
        return 0

    def macs(self, inputs: Shapes, output: Shape) -> int:
        """Multiply-accumulates, batch included, biases not; zero by convention for all but convolutions and Linear."""
        return 0

    def window(self, inputs: Shapes) -> Window:
        """(reach, step, parts) along height, and the same along width: what one output element sees of the input."""
        return POINT

    def is_view(self, training: bool) -> bool:
        """Whether the output shares its input's memory."""
        return False

    def overwrites(self) -> bool:
        """Whether torch is asked to write the output over the input, where nothing else needs that."""
        return False

    def saved(self, inputs: Shapes, output: Shape, in_place: bool) -> Saved:
        """What autograd keeps in training where a gradient passes: by torch's derivatives (tools/autograd/
        derivatives.yaml) for the operators that the layer calls on a CPU. `in_place`: it does overwrite its input."""
        return Saved()

    def temporaries(self, inputs: Shapes, output: Shape, training: bool) -> Temporaries | None:
        """The tensors that torch makes on the way to the output, by the operators that the layer calls on a CPU; what a
        kernel takes within one operator is not among them. None where nobody knows, which makes the peak a bound."""
        return None

    def torch_arguments(self, inputs: Shapes) -> dict[str, Any]:
        """The keyword arguments of the torch layer, the inferred input size among them."""
        return {name: getattr(self, name) for name in self.parameters()}

    def describe(self) -> str:
        """The layer in a few words, as tables print it."""
        return self.kind


class OneOperator(Op, frozen=True):
    """A layer that is one operator of torch, which makes the output alone; or a view, which makes nothing."""

    def temporaries(self, inputs: Shapes, output: Shape, training: bool) -> Temporaries | None:
        return NO_TEMPORARIES


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
    return {name: Parameter(name, kinds[name][0], default) for name, default in defaults.items() if kinds[name]}


def spatial(kind: str, inputs: Shapes) -> Shape:
    """The one input, which must be (N, C, H, W)."""
    shape = inputs[0]
    if len(shape) != 4:
        raise ShapeError(f"{kind} expects an input N x C x H x W, got {dimensions(shape)}")
    return shape


def sized(size: tuple[int, int]) -> str:
    """(3, 3) as "3x3"."""
    return f"{size[0]}x{size[1]}"


def strided(size: tuple[int, int], stride: tuple[int, int]) -> str:
    """A window as papers print it: "7x7/2"; a stride of 1 goes without saying."""
    if stride == (1, 1):
        return sized(size)
    return f"{sized(size)}/{stride[0] if stride[0] == stride[1] else sized(stride)}"
