"""Images of one split, each by its number, with labels that are known beforehand."""

import torch
from torch import Tensor


class Split:
    """Labelled images: `labels` (int64, N), the channels that each image has, and how many levels above 0 its values
    have (255 for bytes; None where they are any floats)."""

    labels: Tensor
    channels: int
    levels: int | None = None
    # Whether reading an image may draw from the global generators, as the transforms of a Dataset do.
    draws: bool = False

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, index: int) -> Tensor:
        """Image `index`, float32, C x H x W, from 0 to 1. Raises UsageError where it cannot be read."""
        raise NotImplementedError

    def file(self, index: int) -> str:  # noqa: ARG002  # where each image has a file of its own, it says which
        """The file that image `index` alone is in; nothing where there is none."""
        return ""


class HeldSplit(Split):
    """Images of one size in memory: N x C x H x W, uint8 (of `levels` above 0) or float32 from 0 to 1."""

    def __init__(self, images: Tensor, labels: Tensor, levels: int | None = None) -> None:
        # An order of its own in memory may have interpolation add in another order.
        self.images, self.labels, self.levels = images.contiguous(), labels, levels
        self.channels = images.shape[1]

    def image(self, index: int) -> Tensor:
        """Image `index`, float32, C x H x W."""
        return self.floats(self.images[index])

    def images_at(self, indices: Tensor) -> Tensor:
        """The images `indices` (int64, B), float32, B x C x H x W; each as `image` gives it."""
        return self.floats(self.images.index_select(0, indices))

    def floats(self, images: Tensor) -> Tensor:
        """From 0 to 1."""
        return images if images.dtype == torch.float32 else images.to(torch.float32) / (self.levels or 1)
