"""Networks of somebody's own, each with what is hard to trace about it, and what it is called with."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class Case(NamedTuple):
    """A module with the examples of its arguments, and its multiply-accumulates by hand."""

    module: nn.Module
    args: tuple[Any, ...]
    macs: int
    kwargs: Mapping[str, Any] = MappingProxyType({})

    @property
    def name(self) -> str:
        return type(self.module).__name__


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(5, 8)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        gated: Tensor = self.a(x) * self.b(y)[:, :, None, None]
        return gated


class DictOutput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3), nn.Conv2d(3, 4, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"boxes": self.a(x), "out": self.b(x)}


class DictInput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(4, 8)

    def forward(self, given: dict[str, Tensor]) -> Tensor:
        total: Tensor = self.a(given["p"]) + self.b(given["q"])
        return total


class Shared(nn.Module):
    """One convolution called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.c = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        again: Tensor = self.c(nn.functional.relu(self.c(x)))
        return again


class Tied(nn.Module):
    """A table of embeddings that is the last layer's weight, too."""

    def __init__(self) -> None:
        super().__init__()
        self.e, self.h = nn.Embedding(50, 32), nn.Linear(32, 50, bias=False)
        self.h.weight = self.e.weight

    def forward(self, tokens: Tensor) -> Tensor:
        scores: Tensor = self.h(self.e(tokens))
        return scores


class Branching(nn.Module):
    """A branch on a tensor's value."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(16, 16, bias=False), nn.Linear(16, 16, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.a(x) if x.sum() > 0 else self.b(x)
        return made


class Loop(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(5):
            x = torch.relu(self.layer(x))
        return x


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(10, 20, 2, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(40, 3)

    def forward(self, x: Tensor) -> Tensor:
        output, _ = self.lstm(x)
        scores: Tensor = self.fc(output[:, -1])
        return scores


class Gru(nn.Module):
    """With a state of its own making."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(10, 20, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.gru(x, torch.zeros(1, x.shape[0], 20, device=x.device))[0]
        return output


class Attention(nn.Module):
    """torch's module, by its sequence first or its batch."""

    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(32, 4, batch_first=batch_first)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.attention(x, x, x)[0]
        return output


class AttentionFunction(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(32, 96)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        return nn.functional.scaled_dot_product_attention(q, k, v)


class AttentionByHand(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(32, 96)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        q, k, v = self.qkv(x).reshape(batch, length, 3, 4, 8).permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q @ k.transpose(-2, -1)) * 8**-0.5
        mixed: Tensor = (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, width)
        return mixed


class Lazy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c, self.b, self.f = nn.LazyConv2d(8, 3), nn.LazyBatchNorm2d(), nn.LazyLinear(5)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.f(self.b(self.c(x)).flatten(1))
        return scores


class Functional(nn.Module):
    """Weights of its own, and functions."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.m = nn.Parameter(torch.randn(8, 3, 3, 3)), nn.Parameter(torch.randn(8, 4))

    def forward(self, x: Tensor) -> Tensor:
        return (
            nn.functional.adaptive_avg_pool2d(nn.functional.relu(nn.functional.conv2d(x, self.w)), 1).flatten(1)
            @ self.m
        )


class Einsum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(4, 8, 6))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("bnhd,hdk->bnk", x.reshape(x.shape[0], -1, 4, 8), self.w)


class Keywords(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: Tensor, *, scale: Tensor | None = None, times: int = 1, mode: str = "a") -> Tensor:
        for _ in range(times):
            x = self.layer(x)
        return x if scale is None else x * scale


class InPlace(nn.Module):
    """Data is written into a constant, and over what is read elsewhere as a view."""

    def __init__(self) -> None:
        super().__init__()
        self.c = nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out = torch.zeros(x.shape[0], 16, x.shape[2], x.shape[3], device=x.device)
        out[:, :8] = self.c(x)
        out[:, 8:] = self.c(x) * 2
        out += 1
        view = out[:, 2:4]
        view.mul_(3)
        return nn.functional.relu_(out)


class Views(nn.Module):
    """A view is written to, and its base is read."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        view = y[:, :4]
        view += 1
        total: Tensor = y.sum(-1) + view.sum(-1)
        return total


class ConstantView(nn.Module):
    """Data is written to a constant by way of a view that was made before."""

    def forward(self, x: Tensor) -> Tensor:
        held = torch.zeros(2, 8)
        view = held[:, :4]
        view.copy_(x)
        return held * 2


class Devices(nn.Module):
    """Constants on the input's device, one of whose values is read."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        scale = torch.linspace(0, 1, 3, device=x.device)[1].item()
        more: Tensor = self.layer(x) * scale + torch.ones(x.shape[0], device=x.device)[:, None]
        return more


class ComputedWeights(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 8, 3))
        self.p = nn.utils.parametrizations.weight_norm(nn.Linear(8, 4))
        self.scale = nn.Parameter(torch.ones(8))

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.p((self.c(x) * self.scale.reshape(1, -1, 1, 1)).mean((2, 3)))
        return scores


@dataclass
class Result:
    logits: Tensor
    hidden: Tensor | None = None


class DataclassOutput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Result:
        hidden = self.layer(x)
        return Result(hidden.relu(), hidden)


class NonLeafAttribute(nn.Module):
    """deepcopy refuses it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)
        self.doubled = self.layer.weight * 2

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.layer(x) + x @ self.doubled
        return total


class Members(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = x + layer(x)
        return x


class Sliced(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c = nn.Conv2d(12, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        parts = [x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]]
        made: Tensor = self.c(torch.cat(parts, 1))
        return made


class OneAxis(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c, self.b, self.t = nn.Conv1d(4, 8, 3), nn.BatchNorm1d(8), nn.ConvTranspose1d(8, 4, 4, 2)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.t(self.b(self.c(x)).relu())
        return made


class ThreeAxes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c, self.p = nn.Conv3d(1, 4, 3), nn.MaxPool3d(2)

    def forward(self, x: Tensor) -> Tensor:
        pooled: Tensor = self.p(self.c(x)).mean((2, 3, 4))
        return pooled


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.e = nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), 2)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.e(x)
        return made


class _Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)


class OwnFunction(nn.Module):
    """A function with a backward pass of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.layer(_Swish.apply(self.layer(x)))  # type: ignore[no-untyped-call]
        return made


def cases() -> list[Case]:
    """Each made anew, in eval mode."""
    found = [
        Case(TwoInputs(), ((1, 3, 8, 8), (1, 5)), 8 * 27 * 64 + 40),
        Case(DictOutput(), ((1, 3, 8, 8),), 8 * 27 * 36 + 4 * 3 * 64),
        Case(DictInput(), ({"p": (1, 8), "q": (1, 4)},), 64 + 32),
        Case(Shared(), ((1, 4, 8, 8),), 2 * 4 * 36 * 64),
        Case(Tied(), (torch.zeros(2, 7, dtype=torch.long),), 14 * 1600),
        Case(Branching(), (torch.ones(1, 16),), 256),
        Case(Loop(), ((1, 16),), 5 * 256),
        Case(Recurrent(), ((2, 5, 10),), 10 * 2 * (80 * 30 + 80 * 60) + 2 * 120),
        Case(Gru(), ((2, 5, 10),), 10 * 60 * 30),
        Case(Attention(True), ((2, 6, 32),), 12 * 4 * 32 * 32 + 2 * 2 * 36 * 32),
        Case(Attention(False), ((6, 2, 32),), 12 * 4 * 32 * 32 + 2 * 2 * 36 * 32),
        Case(AttentionFunction(), ((2, 6, 32),), 12 * 3 * 32 * 32 + 2 * 2 * 36 * 32),
        Case(AttentionByHand(), ((2, 6, 32),), 12 * 3 * 32 * 32 + 2 * 2 * 36 * 32),
        Case(Lazy(), ((2, 3, 8, 8),), 2 * (8 * 27 * 36 + 288 * 5)),
        Case(Functional(), ((1, 3, 8, 8),), 8 * 27 * 36 + 32),
        Case(Einsum(), ((2, 5, 32),), 10 * 192),
        Case(Keywords(), ((2, 8),), 3 * 128, {"times": 3, "scale": (2, 1), "mode": "b"}),
        Case(InPlace(), ((1, 3, 8, 8),), 2 * 8 * 27 * 64),
        Case(Views(), ((2, 8),), 128),
        Case(ConstantView(), ((2, 4),), 0),
        Case(Devices(), ((2, 8),), 128),
        Case(ComputedWeights(), ((2, 3, 8, 8),), 2 * (8 * 27 * 36 + 32)),
        Case(DataclassOutput(), ((2, 8),), 128),
        Case(NonLeafAttribute(), ((2, 8),), 256),
        Case(Members(), ((2, 8),), 512),
        Case(Sliced(), ((1, 3, 16, 16),), 8 * 108 * 36),
        Case(OneAxis(), ((1, 4, 16),), 96 * 14 + 14 * 128),
        Case(ThreeAxes(), ((1, 1, 8, 8, 8),), 108 * 216),
        Case(Encoder(), ((2, 6, 32),), 2 * (12 * 4 * 1024 + 2 * 2 * 36 * 32 + 12 * 2 * 2048)),
        Case(OwnFunction(), ((2, 8),), 256),
    ]
    for case in found:
        case.module.eval()
    return found
