"""The vocabulary: one class per layer kind, under torch.nn's class and keyword names.

`VOCABULARY` is the table a spec's layer names are looked up in; adding a layer is one class and one row.
"""

from gnet_inspect.ops.base import NO_TEMPORARIES as NO_TEMPORARIES
from gnet_inspect.ops.base import Op as Op
from gnet_inspect.ops.base import Parameter as Parameter
from gnet_inspect.ops.base import Saved as Saved
from gnet_inspect.ops.base import Shape as Shape
from gnet_inspect.ops.base import Shapes as Shapes
from gnet_inspect.ops.base import Temporaries as Temporaries
from gnet_inspect.ops.convolution import WEIGHTED as WEIGHTED
from gnet_inspect.ops.convolution import Conv2d as Conv2d
from gnet_inspect.ops.convolution import ConvTranspose2d as ConvTranspose2d
from gnet_inspect.ops.convolution import Linear as Linear
from gnet_inspect.ops.elementwise import (
    GELU,
    ChannelAffine,
    Dropout,
    Flatten,
    Identity,
    LeakyReLU,
    LocalResponseNorm,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
)
from gnet_inspect.ops.elementwise import BatchNorm2d as BatchNorm2d
from gnet_inspect.ops.elementwise import Opaque as Opaque
from gnet_inspect.ops.merging import ActivatedConcat as ActivatedConcat
from gnet_inspect.ops.merging import Add as Add
from gnet_inspect.ops.merging import Channels as Channels
from gnet_inspect.ops.merging import Concat as Concat
from gnet_inspect.ops.pooling import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from gnet_inspect.ops.resampling import Upsample

VOCABULARY: dict[str, type[Op]] = {
    cls.__name__: cls
    for cls in (
        Conv2d,
        ConvTranspose2d,
        Linear,
        MaxPool2d,
        AvgPool2d,
        AdaptiveAvgPool2d,
        Upsample,
        BatchNorm2d,
        LocalResponseNorm,
        ReLU,
        ReLU6,
        LeakyReLU,
        Sigmoid,
        Tanh,
        SiLU,
        GELU,
        Dropout,
        Flatten,
        Softmax,
        Identity,
        ChannelAffine,
    )
}
