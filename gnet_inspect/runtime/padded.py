"""Convolutions and pools behind a padding that torch.nn's classes do not know: two numbers for each axis, or
TensorFlow's "same"."""

from collections.abc import Callable, Sequence
from math import inf
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gnet_inspect.ops.spatial import Size, before_and_after, pool_pads

# The pads before and after each axis of so many sizes, as torch.nn.functional.pad has them: the last axis first.
Pads = list[int]


def _pad(x: Tensor, pads: Pads, value: float = 0.0) -> Tensor:
    """(N, C, ...) with its pads; as it is where there are none, of which torch would make a copy."""
    return functional.pad(x, pads, value=value) if any(pads) else x


def _several(value: Any, axes: int) -> Size:
    return tuple(value) if isinstance(value, tuple) else (value,) * axes


class _Padded(nn.Module):
    """What a class of torch.nn is mixed with here: its `padding` is put around the input first."""

    pads: Size | str
    # What is padded with.
    value = 0.0

    def __init__(self, *, padding: Size | str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.pads = padding

    def _pads(self, sizes: Sequence[int]) -> Pads:
        axes = len(sizes)
        kernel, stride, dilation = (_several(getattr(self, name, 1), axes) for name in _WINDOW)
        found: Pads = []
        for index, size in enumerate(sizes):
            found[:0] = self._around(index, size, kernel[index], stride[index], dilation[index], axes)
        return found

    def _around(self, index: int, size: int, kernel: int, stride: int, dilation: int, axes: int) -> tuple[int, int]:
        return before_and_after(self.pads, index, size, kernel, stride, dilation, axes)

    def forward(self, x: Tensor) -> Tensor:
        forward: Callable[[Tensor], Tensor] = super().forward
        return forward(_pad(x, self._pads(x.shape[2:]), self.value))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, pads={self.pads}"


_WINDOW = ("kernel_size", "stride", "dilation")


class _PaddedPool(_Padded):
    def _around(self, index: int, size: int, kernel: int, stride: int, dilation: int, axes: int) -> tuple[int, int]:
        ceil_mode = bool(self.ceil_mode)
        return pool_pads(self.pads, index, size, kernel, stride, dilation, axes, ceil_mode=ceil_mode)


class _PaddedMaxPool(_PaddedPool):
    # What is padded never wins.
    value = -inf


class _PaddedAvgPool(_PaddedPool):
    """Where what is padded does not count (TensorFlow's never does), the average over a window with zeros in it is
    divided by the share of the window that is input."""

    def forward(self, x: Tensor) -> Tensor:
        average = super().forward(x)
        pads = self._pads(x.shape[2:])
        counts = self.pads != "same_tf" and self.count_include_pad
        if counts or getattr(self, "divisor_override", None) is not None or not any(pads):
            return average
        ones = torch.ones((1, 1, *x.shape[2:]), dtype=x.dtype, device=x.device)
        return average.div_(super().forward(ones))


class PaddedConv1d(_Padded, nn.Conv1d):
    """torch.nn.Conv1d behind its padding."""


class PaddedConv2d(_Padded, nn.Conv2d):
    """torch.nn.Conv2d behind its padding."""


class PaddedConv3d(_Padded, nn.Conv3d):
    """torch.nn.Conv3d behind its padding."""


class PaddedMaxPool1d(_PaddedMaxPool, nn.MaxPool1d):
    """torch.nn.MaxPool1d behind its padding."""


class PaddedMaxPool2d(_PaddedMaxPool, nn.MaxPool2d):
    """torch.nn.MaxPool2d behind its padding."""


class PaddedMaxPool3d(_PaddedMaxPool, nn.MaxPool3d):
    """torch.nn.MaxPool3d behind its padding."""


class PaddedAvgPool1d(_PaddedAvgPool, nn.AvgPool1d):
    """torch.nn.AvgPool1d behind its padding."""


class PaddedAvgPool2d(_PaddedAvgPool, nn.AvgPool2d):
    """torch.nn.AvgPool2d behind its padding."""


class PaddedAvgPool3d(_PaddedAvgPool, nn.AvgPool3d):
    """torch.nn.AvgPool3d behind its padding."""
