"""The vocabulary: one class per layer kind, under torch.nn's class and keyword names.

`VOCABULARY` is the table a spec's layer names are looked up in, and `MERGES` that of its words for values that meet.
`KINDS` has every class that a node of a graph may be of, by its own name, those that no spec can say among them. Adding
a layer is one class, given to `register`.
"""

from typing import Any

from gnet_inspect.errors import UsageError, expect
from gnet_inspect.ops.activation import (
    ELU,
    GELU,
    Dropout,
    Hardsigmoid,
    Hardswish,
    LeakyReLU,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    StochasticDepth,
    Tanh,
)
from gnet_inspect.ops.attention import MultiheadAttention, ScaledDotProductAttention, ShiftedWindowAttention
from gnet_inspect.ops.base import NO_TEMPORARIES as NO_TEMPORARIES
from gnet_inspect.ops.base import POINT as POINT
from gnet_inspect.ops.base import TOOLS as TOOLS
from gnet_inspect.ops.base import AxisWindow as AxisWindow
from gnet_inspect.ops.base import Call as Call
from gnet_inspect.ops.base import Family as Family
from gnet_inspect.ops.base import Look as Look
from gnet_inspect.ops.base import OneOperator as OneOperator
from gnet_inspect.ops.base import Op as Op
from gnet_inspect.ops.base import Parameter as Parameter
from gnet_inspect.ops.base import Saved as Saved
from gnet_inspect.ops.base import Shape as Shape
from gnet_inspect.ops.base import Shapes as Shapes
from gnet_inspect.ops.base import Sight as Sight
from gnet_inspect.ops.base import Temporaries as Temporaries
from gnet_inspect.ops.base import Term as Term
from gnet_inspect.ops.base import Terms as Terms
from gnet_inspect.ops.base import Traffic as Traffic
from gnet_inspect.ops.base import Weight as Weight
from gnet_inspect.ops.base import Window as Window
from gnet_inspect.ops.base import dtype_of as dtype_of
from gnet_inspect.ops.base import makes as makes
from gnet_inspect.ops.channels import ChannelAffine, LayerNorm2d, LocalResponseNorm
from gnet_inspect.ops.convolution import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    Linear,
)
from gnet_inspect.ops.functions import FUNCTIONS
from gnet_inspect.ops.merging import ActivatedConcat as ActivatedConcat
from gnet_inspect.ops.merging import Add as Add
from gnet_inspect.ops.merging import Channels as Channels
from gnet_inspect.ops.merging import Concat as Concat
from gnet_inspect.ops.merging import LearnedTensor as LearnedTensor
from gnet_inspect.ops.merging import MatMul as MatMul
from gnet_inspect.ops.merging import Mul as Mul
from gnet_inspect.ops.movement import (
    ChannelShuffle,
    Flatten,
    Identity,
    Pad,
    Permute,
    PixelShuffle,
    PixelUnshuffle,
    Reshape,
    Roll,
    Slice,
    Unflatten,
    Unsqueeze,
    ZeroPad2d,
)
from gnet_inspect.ops.normalization import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    GroupNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
    LayerNorm,
    RMSNorm,
)
from gnet_inspect.ops.opaque import Opaque as Opaque
from gnet_inspect.ops.pooling import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AdaptiveMaxPool3d,
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
)
from gnet_inspect.ops.recurrent import GRU, LSTM, Embedding
from gnet_inspect.ops.resampling import Upsample

VOCABULARY: dict[str, type[Op]] = {
    cls.__name__: cls
    for cls in (
        *(Conv2d, Conv1d, Conv3d, ConvTranspose2d, ConvTranspose1d, ConvTranspose3d, Linear),
        *(MaxPool2d, MaxPool1d, MaxPool3d, AvgPool2d, AvgPool1d, AvgPool3d),
        *(AdaptiveAvgPool2d, AdaptiveAvgPool1d, AdaptiveAvgPool3d),
        *(AdaptiveMaxPool2d, AdaptiveMaxPool1d, AdaptiveMaxPool3d),
        Upsample,
        *(BatchNorm2d, BatchNorm1d, BatchNorm3d, LocalResponseNorm, GroupNorm, LayerNorm, LayerNorm2d, RMSNorm),
        *(InstanceNorm1d, InstanceNorm2d, InstanceNorm3d),
        *(ReLU, ReLU6, LeakyReLU, PReLU, ELU, Sigmoid, Tanh, SiLU, GELU, Hardswish, Hardsigmoid, Mish, Softplus),
        *(Softmax, Dropout, StochasticDepth),
        *(Flatten, Unflatten, Reshape, Permute, Unsqueeze, Slice, Roll, Identity),
        *(ChannelShuffle, PixelShuffle, PixelUnshuffle, ZeroPad2d, Pad),
        *(MultiheadAttention, ScaledDotProductAttention, ShiftedWindowAttention),
        *(LSTM, GRU, Embedding, ChannelAffine),
    )
}

# Its class is named for Python, where Parameter is another word.
VOCABULARY["Parameter"] = LearnedTensor

MERGES: dict[str, type[Op]] = {"concat": Concat, "add": Add, "mul": Mul, "matmul": MatMul}

_UNSPOKEN: tuple[type[Op], ...] = (ActivatedConcat, Channels, Opaque, *FUNCTIONS)  # no spec can say these

KINDS: dict[str, type[Op]] = {
    cls.__name__: cls for table in (VOCABULARY.values(), MERGES.values(), _UNSPOKEN) for cls in table
}


def op_of(kind: str, **arguments: Any) -> Op:
    """An op of the vocabulary, its arguments read as a spec's are."""
    cls = VOCABULARY[kind]
    parameters = cls.parameters()
    return cls(
        **{
            name: parameters[name].kind.read(list(value) if isinstance(value, tuple) else value)
            for name, value in arguments.items()
        }
    )


def register(cls: type[Op]) -> type[Op]:
    """Take a layer kind of one's own into the vocabulary; specs name it as its class is named. May be a decorator.

    The class is an Op whose fields are its arguments, each `Annotated` with its Kind (gnet_inspect.ops.arguments). It
    says `weights` (an empty tuple where it holds none) and `output_shape` or `outputs`; what else it does not say is
    shown as unknown. Raises UsageError for a name that is taken and for a class without these answers.
    """
    expect(cls, type, "a class")
    if not issubclass(cls, Op):
        raise UsageError(f"expected a class of gnet_inspect.ops.Op, got {cls.__name__}")
    name = cls.__name__
    if name in MERGES or any(table.get(name, cls) is not cls for table in (VOCABULARY, KINDS)):
        raise UsageError(f"expected a layer kind of a name of its own, got `{name}`, which is there already")
    if cls.weights is Op.weights or (cls.output_shape is Op.output_shape and cls.outputs is Op.outputs):
        missing = "weights" if cls.weights is Op.weights else "output_shape"
        raise UsageError(f"expected `{name}` to say its `{missing}`, got a class without it")
    VOCABULARY[name] = KINDS[name] = cls
    return cls
