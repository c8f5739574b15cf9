"""The mean and the deviation of each channel of a split's images, the same to the bit with any number of threads."""

from collections.abc import Iterator
from math import fsum, sqrt
from typing import NamedTuple

import torch
from torch import Tensor

from gnet_inspect.runtime.training.data.fitting import as_channels, check_channels
from gnet_inspect.runtime.training.data.keyed import drawing_of, mix
from gnet_inspect.runtime.training.data.splits import HeldSplit, Split

# Images of other splits than those in memory are looked at as far as this.
MOST_IMAGES = 1_000
# Below it there is no deviation: float32 has no smaller steps just below 1.
_NO_DEVIATION = 1e-7
# So many numbers torch sums in one thread.
_PIECE = 16_384
_CHUNK_PIXELS = 4_000_000


class _Moments(NamedTuple):
    mean: float
    deviation: float


def measure_channels(
    split: Split, channels: int, most: int = MOST_IMAGES
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(the mean, the deviation) of each of `channels` channels, of all pixels of images from 0 to 1, in double
    precision.

    All images in memory count; of others at most `most`, evenly spaced. The deviation is that of the population, and 1
    where there is none. Raises UsageError where channels do not fit, or an image is broken.
    """
    check_channels(split.channels, channels)
    held = 1 if split.channels == 1 else channels
    exact = split.levels is not None and split.channels == held
    found = _integer_moments(split, most) if exact else _float_moments(split, held, most)
    # A grey image is repeated.
    found *= channels // held
    return tuple(one.mean for one in found), tuple(one.deviation for one in found)


def _chunks(split: Split, most: int) -> Iterator[Tensor]:
    """Images one after the other or several at once, float32, N x C x H x W."""
    if isinstance(split, HeldSplit):
        several = max(_CHUNK_PIXELS // split.images[0].numel(), 1)
        yield from (split.images_at(indices) for indices in torch.split(torch.arange(len(split)), several))
        return
    count = min(len(split), most)
    for number in range(count):
        index = number * len(split) // count
        if not split.draws:
            yield split.image(index)[None]
            continue
        with drawing_of(mix(index)):
            image = split.image(index)
        yield image[None]


def _integer_moments(split: Split, most: int) -> list[_Moments]:
    """By sums of integers, which are exact."""
    levels = split.levels or 1
    count, totals, squares = 0, [0] * split.channels, [0] * split.channels
    for images in _chunks(split, most):
        count += images[:, 0].numel()
        for channel, values in enumerate((images * levels).round().to(torch.int64).unbind(1)):
            totals[channel] += int(values.sum())
            squares[channel] += int((values * values).sum())
    scale = count * levels
    return [
        _moments(total / scale, (count * square - total * total) / scale**2)
        for total, square in zip(totals, squares, strict=True)
    ]


def _float_moments(split: Split, channels: int, most: int) -> list[_Moments]:
    """By differences from the first pixel, so that a channel of one value has no deviation at all."""
    count, shift = 0, torch.zeros(channels, dtype=torch.float64)
    sums: list[tuple[list[float], list[float]]] = [([], []) for _ in range(channels)]
    for images in _chunks(split, most):
        values = as_channels(images, channels).to(torch.float64)
        if not count:
            shift = values[0, :, 0, 0].clone()
        count += values[:, 0].numel()
        for (totals, squares), of, start in zip(sums, values.unbind(1), shift, strict=True):
            for piece in torch.split((of - start).flatten(), _PIECE):
                totals.append(float(piece.sum()))
                squares.append(float((piece * piece).sum()))
    means = [(fsum(totals) / count, fsum(squares) / count) for totals, squares in sums]
    return [
        _moments(float(start) + mean, square - mean * mean) for start, (mean, square) in zip(shift, means, strict=True)
    ]


def _moments(mean: float, variance: float) -> _Moments:
    deviation = sqrt(max(variance, 0.0))
    return _Moments(mean, deviation if deviation > _NO_DEVIATION else 1.0)
