"""Recurrent layers that return their outputs side by side."""

from typing import Any

from torch import Tensor, nn


class LSTM(nn.LSTM):
    """torch.nn.LSTM, batch first: (N, L, F) -> (N, L, H), and the last hidden and cell state."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments, batch_first=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]  # flat, of one input
        output, (hidden, cell) = super().forward(x)
        return output, hidden, cell


class GRU(nn.GRU):
    """torch.nn.GRU, batch first: (N, L, F) -> (N, L, H), and the last hidden state."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments, batch_first=True)
