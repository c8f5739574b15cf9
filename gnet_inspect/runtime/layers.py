"""The modules a network is made of that torch.nn does not have, or not quite so."""

from typing import Any

import torch
from torch import Tensor, nn

from gnet_inspect.ops import ActivatedConcat, Add, Channels, Concat, Op, Opaque, Shapes


class ConcatBranches(nn.Module):
    """torch.cat of any number of (N, C_i, H, W) or (N, F_i) along dim 1."""

    def forward(self, *branches: Tensor) -> Tensor:
        return torch.cat(branches, 1)


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


_OWN: dict[str, type[nn.Module]] = {"ChannelAffine": ChannelAffine, "LocalResponseNorm": LocalResponseNorm}


def build_layer(op: Op, inputs: Shapes, in_place: bool) -> nn.Module:
    """The torch layer of an op for these input shapes; `in_place` where it overwrites its input."""
    if isinstance(op, ActivatedConcat):
        return ConcatActivated(op.relu)
    if isinstance(op, Concat):
        return ConcatBranches()
    if isinstance(op, Channels):
        return ChannelSlice(op.start, op.stop)
    if isinstance(op, Add):
        return AddBranches(op.scale)
    if isinstance(op, Opaque):
        raise NotImplementedError(f"{op.kind} is outside the vocabulary: it cannot be built")
    arguments: dict[str, Any] = op.torch_arguments(inputs)
    if "inplace" in arguments:
        arguments["inplace"] = in_place
    cls = _OWN.get(op.kind) or getattr(nn, op.kind)
    layer: nn.Module = cls(**arguments)
    return layer
