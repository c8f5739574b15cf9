"""How well a network tells the classes of images apart."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gnet_inspect.runtime.latency.setting import DTYPES
from gnet_inspect.runtime.training.losses import split_outputs
from gnet_inspect.runtime.training.parallel import Team, sum_over

TOP = 5


class Placing(NamedTuple):
    """Where tensors of a step are, and what is computed in."""

    device: str
    amp: str | None = None
    channels_last: bool = False

    @property
    def kind(self) -> str:
        """ "cuda" of "cuda:0"."""
        return self.device.partition(":")[0]

    def autocast(self) -> AbstractContextManager[object]:
        """While this is entered layers compute in the half precision that is asked for, where that is safe."""
        return nullcontext() if self.amp is None else torch.autocast(self.kind, DTYPES[self.amp])

    def put(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """A batch on the device, in the layout."""
        layout = torch.channels_last if self.channels_last else torch.preserve_format
        return x.to(self.device, non_blocking=True, memory_format=layout), y.to(self.device, non_blocking=True)


class Told(NamedTuple):
    """What a network says of every image, in the order they came: the loss and the probabilities, N x classes, on the
    CPU."""

    labels: Tensor
    losses: Tensor
    probabilities: Tensor

    @property
    def predicted(self) -> Tensor:
        """The class of the highest score; of equal ones the first."""
        return self.probabilities.argmax(1)


class Score(NamedTuple):
    """Mean loss and accuracy over all images."""

    loss: float
    accuracy: float


@torch.inference_mode()
def ask(module: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], placing: Placing) -> Told:
    """What a network says of each image, in eval mode."""
    module.eval()
    labels, losses, probabilities = [], [], []
    for images, classes in batches:
        x, y = placing.put(images, classes)
        scores = _scores(module, x, placing)
        labels.append(y.cpu())
        losses.append(cross_entropy(scores, y, reduction="none").cpu())
        probabilities.append(scores.softmax(1).cpu())
    return Told(torch.cat(labels), torch.cat(losses), torch.cat(probabilities))


@torch.inference_mode()
def score(module: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], placing: Placing, team: Team) -> Score:
    """Loss and accuracy over what all processes see together, in eval mode; sums are in double precision."""
    module.eval()
    sums = torch.zeros(3, dtype=torch.float64, device=placing.device)
    for images, classes in batches:
        x, y = placing.put(images, classes)
        scores = _scores(module, x, placing)
        losses = cross_entropy(scores, y, reduction="none").double()
        right = (scores.argmax(1) == y).double()
        sums += torch.stack([losses.sum(), right.sum(), torch.ones_like(right).sum()])
    loss, right_ones, images_seen = sum_over(team, sums).tolist()
    return Score(loss / images_seen, right_ones / images_seen)


def _scores(module: nn.Module, x: Tensor, placing: Placing) -> Tensor:
    with placing.autocast():
        return split_outputs(module(x))[0].float()
