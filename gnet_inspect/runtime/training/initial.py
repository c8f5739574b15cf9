"""How the weights of a network begin: by name, each weight drawn by its own name.

A weight depends on the seed and on what it is called, and on no other weight: a network with auxiliary heads begins
with the same trunk as the one without them.
"""

from collections.abc import Callable
from zlib import crc32

import torch
from torch import Tensor, nn

from gnet_inspect.errors import UsageError, nearest, show
from gnet_inspect.records.training import OWN_INIT
from gnet_inspect.runtime.training.data.keyed import mix

# What the weight of a convolution or a linear layer is drawn by; biases are beside it.
Draw = Callable[[Tensor], object]


def _he(weight: Tensor) -> None:
    nn.init.kaiming_normal_(weight, mode="fan_in", nonlinearity="relu")


def _caffe_xavier(weight: Tensor) -> None:
    """Uniform with the variance 1 / fan_in, which is what Caffe's filler of that name draws unless it is told more."""
    fan_in = weight[0].numel()
    bound = (3 / fan_in) ** 0.5
    nn.init.uniform_(weight, -bound, bound)


# By name: how weights are drawn, the bias of a hidden layer, and of one whose values are scores.
INITS: dict[str, tuple[Draw | None, float, float]] = {
    "he": (_he, 0.0, 0.0),
    "xavier": (nn.init.xavier_uniform_, 0.0, 0.0),
    "paper": (_caffe_xavier, 0.2, 0.0),
    "torch": (None, 0.0, 0.0),
    "own": (None, 0.0, 0.0),
}
_WEIGHTED = (nn.modules.conv._ConvNd, nn.Linear)


def check_init(name: str) -> str:
    """The name of an initialisation. Raises UsageError for one that there is not."""
    if name not in INITS:
        raise UsageError(f"--init: expected {', '.join(INITS)}, got {show(name)}. ({nearest(name, INITS)})")
    return name


@torch.no_grad()
def initialize(module: nn.Module, name: str, seed: int, classes: int) -> None:
    """Draw all weights of a module anew, in place.

    "he": convolutions and linear layers normal with the variance 2 / fan_in (He et al. 2015, section 2.2), biases 0.
    "xavier": uniform with the variance 2 / (fan_in + fan_out) (Glorot and Bengio 2010, equation 16), biases 0. "paper":
    what the GoogLeNet of Caffe was trained from (BVLC/caffe, models/bvlc_googlenet): uniform with the variance 1 /
    fan_in, biases 0.2, and 0 in the layers of `classes` scores. "torch": each layer as torch.nn draws it. "own": as the
    module was made, its weights untouched. Whatever is no convolution and no linear layer is as its class draws it.
    """
    draw, bias, last_bias = INITS[check_init(name)]
    if name == OWN_INIT:
        return
    with torch.random.fork_rng(devices=_devices_of(module)):
        for path, layer in module.named_modules():
            torch.manual_seed(mix(seed, crc32(path.encode())))
            reset = getattr(layer, "reset_parameters", None)
            if callable(reset):
                reset()
            if draw is not None and isinstance(layer, _WEIGHTED):
                draw(layer.weight)
                if layer.bias is not None:
                    is_last = isinstance(layer, nn.Linear) and layer.out_features == classes
                    layer.bias.fill_(last_bias if is_last else bias)


def _devices_of(module: nn.Module) -> list[torch.device]:
    """The GPUs whose generators would be drawn from."""
    return list({tensor.device for tensor in module.parameters() if tensor.is_cuda})
