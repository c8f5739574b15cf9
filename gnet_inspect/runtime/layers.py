"""The modules a network is made of that torch.nn does not have, or not quite so: where values meet, and constants."""

from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from gnet_inspect.ops import Op, Shapes


class ConcatBranches(nn.Module):
    """torch.cat of any number of tensors along `dim`; a first size of 1 (a learned tensor's) is expanded to the
    batch."""

    def __init__(self, dim: int = 1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, *branches: Tensor) -> Tensor:
        if self.dim % branches[0].dim() == 0:
            return torch.cat(branches, self.dim)
        batch = max(branch.shape[0] for branch in branches)
        parts = [x if x.shape[0] == batch else x.expand(batch, *x.shape[1:]) for x in branches]
        return torch.cat(parts, self.dim)

    def extra_repr(self) -> str:
        return "" if self.dim == 1 else f"dim={self.dim}"


class ConcatActivated(nn.Module):
    """torch.cat along dim 1 of branches of which `relu` marks those that go through a ReLU.

    For inference: the result is allocated once, and each branch written into its part of it. Where gradients are
    recorded, where the module is compiled or traced, and where branches differ in dtype, which torch.cat promotes, the
    same numbers are computed by torch.relu and torch.cat.
    """

    def __init__(self, relu: tuple[bool, ...]) -> None:
        super().__init__()
        self.relu = relu

    def forward(self, *branches: Tensor) -> Tensor:
        if not _may_write(branches):
            return torch.cat([torch.relu(x) if relu else x for x, relu in zip(branches, self.relu, strict=True)], 1)
        batch, _, *sizes = branches[0].shape
        shape = (batch, sum(branch.shape[1] for branch in branches), *sizes)
        last = all(_channels_last(branch) for branch in branches)
        layout = torch.channels_last if last else torch.contiguous_format
        result = torch.empty(shape, dtype=branches[0].dtype, device=branches[0].device, memory_format=layout)
        start = 0
        for branch, relu in zip(branches, self.relu, strict=True):
            part = result.narrow(1, start, branch.shape[1])
            if relu:
                torch.clamp_min(branch, 0, out=part)
            else:
                part.copy_(branch)
            start += branch.shape[1]
        return result

    def extra_repr(self) -> str:
        return f"relu={self.relu}"


def _may_write(branches: tuple[Tensor, ...]) -> bool:
    """Whether branches may be written into one tensor: torch neither differentiates nor traces such writes."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined,no-untyped-call]  # torch has no types for it
        return False
    recorded = torch.is_grad_enabled() and any(branch.requires_grad for branch in branches)
    return not recorded and len({branch.dtype for branch in branches}) == 1


def _channels_last(x: Tensor) -> bool:
    """Whether the channels of (N, C, H, W) lie side by side; in a slice of them, too."""
    return x.dim() == 4 and x.stride(1) == 1 < x.stride(3)


class ChannelSlice(nn.Module):
    """The channels from `start` up to `stop` of (N, C, H, W) or (N, F), as a view."""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__()
        self.start, self.stop = start, stop

    def forward(self, x: Tensor) -> Tensor:
        return x.narrow(1, self.start, self.stop - self.start)

    def extra_repr(self) -> str:
        return f"{self.start}, {self.stop}"


class AddBranches(nn.Module):
    """The sum of any number of equal shapes; all but the first are multiplied by `scale`."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        total = first
        for other in others:
            total = (other if self.scale == 1 else other * self.scale) + total
        return total

    def extra_repr(self) -> str:
        return "" if self.scale == 1 else f"scale={self.scale}"


class MulBranches(nn.Module):
    """The product of any number of tensors, broadcast, from left to right."""

    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        product = first
        for other in others:
            product = product * other
        return product


class MatMul(nn.Module):
    """torch.matmul of two tensors."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return torch.matmul(left, right)


class ChannelAffine(nn.Module):
    """x * scale + shift, one pair for each channel of (N, C, H, W); constants, so they stay out of the state dict."""

    scale: Tensor
    shift: Tensor

    def __init__(self, scale: tuple[float, ...], shift: tuple[float, ...]) -> None:
        super().__init__()
        # Made in double precision and rounded once, as torch rounds a Python number it multiplies by.
        for name, values in (("scale", scale), ("shift", shift)):
            column = torch.tensor(values, dtype=torch.float64).to(torch.get_default_dtype()).view(1, -1, 1, 1)
            self.register_buffer(name, column, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.shift


class LocalResponseNorm(nn.LocalResponseNorm):
    """torch.nn's, with a clear error where torch has no kernel."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # torch.nn's own parameter name
        try:
            return super().forward(input)
        except NotImplementedError as error:
            where = f"{str(input.dtype).removeprefix('torch.')} kernel on the {input.device.type.upper()}"
            raise RuntimeError(f"LocalResponseNorm has no {where}. (use float32 there, or a GPU)") from error


class LayerNorm2d(nn.LayerNorm):
    """torch.nn.LayerNorm over the channels of (N, C, H, W), which it moves last for it, and back, as views."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # torch.nn's own parameter name
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class StochasticDepth(nn.Module):
    """Zeroes whole rows, or the whole batch, with the probability `p` in training, and divides the others by 1 - p."""

    def __init__(self, p: float, mode: str) -> None:
        super().__init__()
        self.p, self.mode = p, mode

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        size = [x.shape[0] if self.mode == "row" else 1] + [1] * (x.dim() - 1)
        noise = torch.empty(size, dtype=x.dtype, device=x.device).bernoulli_(1 - self.p)
        if self.p < 1:
            noise.div_(1 - self.p)
        return x * noise

    def extra_repr(self) -> str:
        return f"p={self.p}, mode={self.mode}"


def build_layer(op: Op, inputs: Shapes, in_place: bool) -> nn.Module | nn.Parameter:
    """The module of an op for these input shapes; `in_place` where it overwrites its input."""
    arguments: dict[str, Any] = op.torch_arguments(inputs)
    if "inplace" in arguments:
        arguments["inplace"] = in_place
    home, _, name = op.module.rpartition(".")
    layer: nn.Module | nn.Parameter = getattr(import_module(home), name)(**arguments)
    return layer
