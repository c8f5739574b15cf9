"""Attention as modules: torch.nn's for one input, the function as a module, and Swin's windows."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class SelfAttention(nn.MultiheadAttention):
    """torch.nn.MultiheadAttention, batch first, that gives its output alone: of one (N, L, E), which attends to itself,
    or of query, key and value."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments, batch_first=True)

    def forward(self, query: Tensor, key: Tensor | None = None, value: Tensor | None = None) -> Tensor:  # type: ignore[override]  # one input, one output
        if key is None or value is None:
            key = value = query
        return super().forward(query, key, value, need_weights=False)[0]


class ScaledDotProductAttention(nn.Module):
    """torch.nn.functional.scaled_dot_product_attention of query, key and value."""

    def __init__(self, is_causal: bool) -> None:
        super().__init__()
        self.is_causal = is_causal

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return functional.scaled_dot_product_attention(query, key, value, is_causal=self.is_causal)

    def extra_repr(self) -> str:
        return f"is_causal={self.is_causal}"


class ShiftedWindowAttention(nn.Module):
    """Attention within windows of (N, H, W, C) that may be shifted, with a learned bias for each relative position (Liu
    et al., Swin Transformer, 2021). Its tensors are named as torchvision names them, and its steps are in the same
    order, so that the same weights give the same bits."""

    relative_position_index: Tensor

    def __init__(
        self,
        *,
        channels: int,
        heads: int,
        window: tuple[int, int],
        shift: tuple[int, int],
        qkv_bias: bool,
        proj_bias: bool,
        attention_dropout: float,
        dropout: float,
    ) -> None:
        super().__init__()
        self.heads, self.window, self.shift = heads, window, shift
        self.attention_dropout, self.dropout = attention_dropout, dropout
        rows, columns = window
        table = torch.zeros((2 * rows - 1) * (2 * columns - 1), heads)
        self.relative_position_bias_table = nn.Parameter(nn.init.trunc_normal_(table, std=0.02))
        self.register_buffer("relative_position_index", _relative_positions(rows, columns))
        self.qkv = nn.Linear(channels, 3 * channels, bias=qkv_bias)
        self.proj = nn.Linear(channels, channels, bias=proj_bias)

    def forward(self, x: Tensor) -> Tensor:
        batch, height, width, channels = x.shape
        rows, columns = self.window
        x = functional.pad(x, (0, 0, 0, -width % columns, 0, -height % rows))
        sizes = x.shape[1], x.shape[2]
        # A window that covers the input is not shifted.
        shift = [0 if window >= size else by for by, window, size in zip(self.shift, self.window, sizes, strict=True)]
        shifted = any(shift)
        if shifted:
            x = torch.roll(x, (-shift[0], -shift[1]), (1, 2))
        down, across = sizes[0] // rows, sizes[1] // columns
        x = x.view(batch, down, rows, across, columns, channels).permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(batch * down * across, rows * columns, channels)
        x = self._attend(x, _mask(x, sizes, self.window, shift) if shifted else None)
        x = x.view(batch, down, across, rows, columns, channels).permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(batch, *sizes, channels)
        if shifted:
            x = torch.roll(x, (shift[0], shift[1]), (1, 2))
        return x[:, :height, :width, :].contiguous()

    def _attend(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Attention among the positions of each window: (windows, positions, C)."""
        windows, positions, channels = x.shape
        qkv = functional.linear(x, self.qkv.weight, self.qkv.bias)
        qkv = qkv.reshape(windows, positions, 3, self.heads, channels // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = qkv[0], qkv[1], qkv[2]
        query = query * (channels // self.heads) ** -0.5
        scores = query.matmul(key.transpose(-2, -1)) + self._bias()
        if mask is not None:
            number = mask.shape[0]
            scores = scores.view(windows // number, number, self.heads, positions, positions)
            scores = (scores + mask.unsqueeze(1).unsqueeze(0)).view(-1, self.heads, positions, positions)
        weights = functional.softmax(scores, dim=-1)
        weights = functional.dropout(weights, p=self.attention_dropout, training=self.training)
        x = weights.matmul(value).transpose(1, 2).reshape(windows, positions, channels)
        x = functional.linear(x, self.proj.weight, self.proj.bias)
        return functional.dropout(x, p=self.dropout, training=self.training)

    def _bias(self) -> Tensor:
        """What is added for each two positions of a window: (1, heads, positions, positions)."""
        positions = self.window[0] * self.window[1]
        bias = self.relative_position_bias_table[self.relative_position_index].view(positions, positions, -1)
        return bias.permute(2, 0, 1).contiguous().unsqueeze(0)

    def extra_repr(self) -> str:
        return f"heads={self.heads}, window={self.window}, shift={self.shift}"


def _relative_positions(rows: int, columns: int) -> Tensor:
    """For each two positions of a window the row of the table that belongs to how they lie to each other."""
    places = torch.stack(torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")).flatten(1)
    apart = places[:, :, None] - places[:, None, :]
    return ((apart[0] + rows - 1) * (2 * columns - 1) + apart[1] + columns - 1).flatten()


def _mask(x: Tensor, sizes: tuple[int, int], window: tuple[int, int], shift: list[int]) -> Tensor:
    """-100 where two positions of a shifted window come from opposite borders: (windows, positions, positions)."""
    regions = x.new_zeros(sizes)
    stripes = [(slice(0, -size), slice(-size, -by), slice(-by, None)) for size, by in zip(window, shift, strict=True)]
    count = 0
    for rows in stripes[0]:
        for columns in stripes[1]:
            regions[rows, columns] = count
            count += 1
    down, across = sizes[0] // window[0], sizes[1] // window[1]
    regions = regions.view(down, window[0], across, window[1]).permute(0, 2, 1, 3)
    regions = regions.reshape(down * across, window[0] * window[1])
    apart = regions.unsqueeze(1) - regions.unsqueeze(2)
    return apart.masked_fill(apart != 0, -100.0).masked_fill(apart == 0, 0.0)
