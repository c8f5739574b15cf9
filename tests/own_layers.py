"""Modules that a user has written, as tests of layer kinds of one's own build them."""

import torch
from torch import Tensor, nn


class ChannelMix(nn.Module):
    """A matrix product over the channels of (N, C, H, W), a number for each of them added."""

    def __init__(self, channels: int, out: int, gain: float) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(out, channels))
        self.offset = nn.Parameter(torch.zeros(out, 1, 1))
        self.gain = gain

    def forward(self, x: Tensor) -> Tensor:
        product = self.matrix.expand(x.shape[0], -1, -1) @ x.flatten(2)
        scaled: Tensor = product.mul_(self.gain).view(x.shape[0], -1, *x.shape[2:])
        return scaled + self.offset
