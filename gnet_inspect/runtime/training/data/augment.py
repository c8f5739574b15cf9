"""What is done to images at random while a network learns from them, so that it sees none twice.

Each is a function of images (float32, N x C x H x W from 0 to 1) and of as many uniform numbers of each as it needs
(float64, N x count, of [0, 1)), and of nothing else; what it does to an image does not depend on those beside it.
"""

from collections.abc import Callable, Iterable
from itertools import permutations
from math import sqrt
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from gnet_inspect.errors import UsageError, nearest, show
from gnet_inspect.runtime.training.data.fitting import grey, resize

AUGMENTATIONS = {
    "flip": "left and right exchanged, with probability 1/2",
    "crop": "padded by an eighth of each side, then a window of the own size anywhere",
    "patch": "a patch of 8 to 100 % of the area with a ratio of sides from 3/4 to 4/3, resized (arXiv:1409.4842)",
    "color": "brightness, contrast and saturation by up to 40 %, in any order (after arXiv:1312.5402)",
    "paper": "GoogLeNet's: patch, flip and color",
}
_SHORT = {"paper": ("patch", "flip", "color")}
# What a patch has of the area of its image, and its width over its height.
_AREA, _RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
# How much more or less of brightness, contrast and saturation.
_STRENGTH = 0.4
# The steps from 0 to 1 in which a mean grey is summed: those of float32 just below 1.
_FINE = 2**24


class Patch(NamedTuple):
    """Where a patch of an image lies, in pixels."""

    top: int
    left: int
    height: int
    width: int


def check_augmentations(names: Iterable[str]) -> tuple[str, ...]:
    """The names as they were given, each once. Raises UsageError for one that is none."""
    names = tuple(dict.fromkeys(names))
    for name in names:
        if name not in AUGMENTATIONS:
            raise UsageError(
                f"--augment: expected names of augmentations, got {show(name)}. ({nearest(name, AUGMENTATIONS)})"
            )
    return names


def parts_of(names: Iterable[str]) -> frozenset[str]:
    """What is done, each by its own name."""
    return frozenset(part for name in check_augmentations(names) for part in _SHORT.get(name, (name,)))


def patch_at(height: int, width: int, draws: tuple[float, float, float, float]) -> Patch:
    """Where the patch of an image lies: its area, its ratio, its place from the top and from the left.

    "Sampling of various sized patches of the image whose size is distributed evenly between 8 % and 100 % of the image
    area with aspect ratio constrained to the interval [3/4, 4/3]" (Szegedy et al., "Going deeper with convolutions",
    arXiv:1409.4842, section 6). The ratio is even in its logarithm, among those with which a patch of that area fits;
    where none does, because the image is oblong, the patch is the largest of the ratio nearest to the image's.
    """
    share = _AREA[0] + (_AREA[1] - _AREA[0]) * draws[0]
    low, high = max(_RATIO[0], share * width / height), min(_RATIO[1], width / (share * height))
    if low <= high:
        ratio = low * (high / low) ** draws[1]
        tall, wide = sqrt(share * height * width / ratio), sqrt(share * height * width * ratio)
    else:
        ratio = min(max(width / height, _RATIO[0]), _RATIO[1])
        tall = min(float(height), width / ratio)
        wide = tall * ratio
    rows, columns = min(max(round(tall), 1), height), min(max(round(wide), 1), width)
    return Patch(int(draws[2] * (height - rows + 1)), int(draws[3] * (width - columns + 1)), rows, columns)


def take_patch(images: Tensor, draws: Tensor, size: tuple[int, int]) -> Tensor:
    """A patch of each image, in the size (H, W). The paper's authors could not say whether interpolating at random by
    several methods had helped: here it is always bilinear, with antialiasing."""
    taken = []
    for image, (area, ratio, down, right) in zip(images, draws.tolist(), strict=True):
        height, width = image.shape[-2:]
        patch = patch_at(height, width, (area, ratio, down, right))
        cut = image[:, patch.top : patch.top + patch.height, patch.left : patch.left + patch.width]
        taken.append(resize(cut[None].contiguous(), size))
    return torch.cat(taken)


def flip(images: Tensor, draws: Tensor) -> Tensor:
    """Left and right exchanged where the number is below 1/2 (Krizhevsky et al., 2012, section 4.1)."""
    return torch.where((draws[:, 0] < 0.5)[:, None, None, None], images.flip(-1), images)


def crop(images: Tensor, draws: Tensor) -> Tensor:
    """A window of an image's own size, anywhere in it with a border of an eighth of each side, at least a pixel, in
    black.

    At 32 x 32 this is the padding by 4 of He et al., "Deep residual learning" (arXiv:1512.03385, section 4.2).
    """
    count, channels, height, width = images.shape
    border = (max(height // 8, 1), max(width // 8, 1))
    padded = pad(images, (border[1], border[1], border[0], border[0]))
    tops, lefts = ((draws[:, axis] * (2 * border[axis] + 1)).long() for axis in (0, 1))
    rows = (tops[:, None] + torch.arange(height))[:, None, :, None]
    columns = (lefts[:, None] + torch.arange(width))[:, None, None, :]
    of = torch.arange(count)[:, None, None, None]
    return padded[of, torch.arange(channels)[None, :, None, None], rows, columns]


def color(images: Tensor, draws: Tensor) -> Tensor:
    """Brightness, contrast and saturation of each image times 0.6 to 1.4, in one of the six orders.

    After Howard, "Some improvements on deep convolutional neural network based image classification" (arXiv:1312.5402),
    who takes 0.5 to 1.5. Brightness is told from black, contrast from the mean grey of the image, saturation from the
    grey of each pixel; grey images have no saturation, and other channels than RGB none either.
    """
    orders = torch.tensor(list(permutations(range(3))))[(draws[:, 3] * 6).long()]
    factors = 1 - _STRENGTH + 2 * _STRENGTH * draws[:, :3]
    for step in range(3):
        for change in range(3):
            rows = (orders[:, step] == change).nonzero().flatten()
            changed = _recolor(images.index_select(0, rows), change, factors[rows, change])
            images = images.index_copy(0, rows, changed)
    return images


def _recolor(images: Tensor, change: int, factors: Tensor) -> Tensor:
    """Brightness (0), contrast (1) or saturation (2) of each image times its factor, cut off at 0 and 1."""
    own, other = (values.to(torch.float32)[:, None, None, None] for values in (factors, 1 - factors))
    return (_told_from(images, change) * other + images * own).clamp(0, 1)


def _told_from(images: Tensor, change: int) -> Tensor:
    """What brightness (0), contrast (1) and saturation (2) of each image are told from."""
    if change == 0:
        return torch.zeros(())
    luma = grey(images) if images.shape[1] == 3 else images
    if change == 2:
        return luma
    # A sum of integers is the same in any order, by any number of threads.
    totals = (luma * _FINE).round().to(torch.int64).sum((1, 2, 3), keepdim=True)
    return (totals / (_FINE * luma.shape[1:].numel())).to(torch.float32)


class _Step(NamedTuple):
    """Which of an image's numbers an augmentation has, so that another one changes none of its."""

    name: str
    numbers: slice
    function: Callable[[Tensor, Tensor], Tensor]


PATCH_NUMBERS = slice(0, 4)
_STEPS = (_Step("crop", slice(4, 6), crop), _Step("flip", slice(6, 7), flip), _Step("color", slice(7, 11), color))
# How many numbers an image has.
NUMBERS = 11


def augment(images: Tensor, draws: Tensor, parts: frozenset[str]) -> Tensor:
    """Images in the size of the network with all that is asked for, but for patches, which make that size."""
    for name, numbers, function in _STEPS:
        if name in parts:
            images = function(images, draws[:, numbers])
    return images
