"""Images as a network takes them: its size, its channels, and values about zero.

Every function gives each image of a batch the same bits as alone: they work element by element, or over windows of one
image.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from gnet_inspect.errors import UsageError

# Luma of ITU-R BT.601, which Pillow uses too.
_LUMA = (0.299, 0.587, 0.114)


def fit(images: Tensor, size: tuple[int, int], crop: float) -> Tensor:
    """Images N x C x h x w in the size (H, W): the whole of each where `crop` is 1.

    Where it is less, each is scaled with its proportions until the middle H x W of it holds the share `crop` of the
    side that is shorter beside the size, and the rest is cut off (crop 0.875: 224 of 256 pixels).
    """
    height, width = images.shape[-2:]
    if crop >= 1:
        return resize(images, size)
    scale = max(size[0] / height, size[1] / width) / crop
    scaled = resize(images, (max(size[0], round(height * scale)), max(size[1], round(width * scale))))
    top, left = ((scaled.shape[axis] - size[axis]) // 2 for axis in (-2, -1))
    return scaled[..., top : top + size[0], left : left + size[1]].contiguous()


def resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Images N x C x h x w in the size (H, W), by bilinear interpolation with antialiasing; unchanged in their own
    size."""
    if images.shape[-2:] == size:
        return images
    return interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)


def grey(images: Tensor) -> Tensor:
    """RGB images ... x 3 x H x W as ... x 1 x H x W, by the weights of ITU-R BT.601."""
    red, green, blue = images.unbind(-3)
    luma: Tensor = red * _LUMA[0] + green * _LUMA[1] + blue * _LUMA[2]
    return luma.unsqueeze(-3)


def as_channels(images: Tensor, channels: int) -> Tensor:
    """Images ... x C x H x W with so many channels: grey ones are repeated for 3, RGB ones made grey for 1."""
    if images.shape[-3] == channels:
        return images
    check_channels(images.shape[-3], channels)
    return grey(images) if channels == 1 else torch.cat([images] * 3, dim=-3)


def check_channels(given: int, channels: int) -> None:
    """Raise UsageError unless images of `given` channels can be made to have `channels`."""
    if given != channels and {given, channels} != {1, 3}:
        raise UsageError(
            f"expected images of {channels} channels, got {given}. (a grey image is repeated for 3 channels, an RGB "
            "one made grey for 1; other numbers have to be equal)"
        )


def normalize(images: Tensor, mean: Sequence[float], deviation: Sequence[float]) -> Tensor:
    """Images ... x C x H x W less the mean of each channel, over its deviation."""
    return (images - _by_channel(mean)) / _by_channel(deviation)


def _by_channel(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None, None]
