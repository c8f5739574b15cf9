"""The modules of what moves elements: views, copies in another order, and padding."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Reshape(nn.Module):
    """(N, ...) in another shape: -1 is what is left, 0 keeps the size at its place."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape([size or x.shape[axis] for axis, size in enumerate(self.shape)])

    def extra_repr(self) -> str:
        return f"{self.shape}"


class Permute(nn.Module):
    """The axes in another order."""

    def __init__(self, dims: tuple[int, ...]) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: Tensor) -> Tensor:
        return torch.permute(x, self.dims)

    def extra_repr(self) -> str:
        return f"{self.dims}"


class Unsqueeze(nn.Module):
    """One more axis, of size 1."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        return x.unsqueeze(self.dim)

    def extra_repr(self) -> str:
        return f"{self.dim}"


class Slice(nn.Module):
    """Elements start, start + step, ... before stop along one axis, as a view."""

    def __init__(self, dim: int, start: int, stop: int | None, step: int) -> None:
        super().__init__()
        self.dim, self.start, self.stop, self.step = dim, start, stop, step

    def forward(self, x: Tensor) -> Tensor:
        places = [slice(None)] * x.dim()
        places[self.dim] = slice(self.start, self.stop, self.step)
        return x[tuple(places)]

    def extra_repr(self) -> str:
        return f"dim={self.dim}, start={self.start}, stop={self.stop}, step={self.step}"


class Roll(nn.Module):
    """torch.roll along some axes."""

    def __init__(self, shifts: tuple[int, ...], dims: tuple[int, ...]) -> None:
        super().__init__()
        self.shifts, self.dims = shifts, dims

    def forward(self, x: Tensor) -> Tensor:
        return torch.roll(x, self.shifts, self.dims)

    def extra_repr(self) -> str:
        return f"shifts={self.shifts}, dims={self.dims}"


class Pad(nn.Module):
    """Some axes padded behind, each up to a multiple."""

    def __init__(self, multiple: int, dims: tuple[int, ...], mode: str, value: float) -> None:
        super().__init__()
        self.multiple, self.dims, self.mode, self.value = multiple, dims, mode, value

    def forward(self, x: Tensor) -> Tensor:
        padded = {dim % x.dim() for dim in self.dims}
        pads: list[int] = []
        # torch has the last axis first, with what comes before and behind it; no axis before the first of them.
        for axis in reversed(range(min(padded), x.dim())):
            pads += [0, -x.shape[axis] % self.multiple if axis in padded else 0]
        return functional.pad(x, pads, self.mode, self.value if self.mode == "constant" else None)

    def extra_repr(self) -> str:
        return f"multiple={self.multiple}, dims={self.dims}, mode={self.mode}"


class UpsampleLike(nn.Module):
    """(N, C, H, W) on the grid of another tensor, of which the size alone is read."""

    def __init__(self, mode: str, align_corners: bool | None) -> None:
        super().__init__()
        self.mode, self.align_corners = mode, align_corners

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        return functional.interpolate(x, size=like.shape[2:], mode=self.mode, align_corners=self.align_corners)

    def extra_repr(self) -> str:
        return f"mode={self.mode}"


class LearnedTensor(nn.Parameter):
    """A learned tensor of a shape: a number, zeros, ones, or of a normal distribution with the deviation 0.02."""

    def __new__(cls, shape: tuple[int, ...], init: float | str) -> "LearnedTensor":
        data = torch.empty(shape)
        if init == "normal":
            nn.init.normal_(data, std=0.02)
        else:
            nn.init.constant_(data, {"zeros": 0.0, "ones": 1.0}[init] if isinstance(init, str) else init)
        return super().__new__(cls, data)
