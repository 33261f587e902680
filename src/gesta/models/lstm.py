"""LSTM baseline (Mullick 2018, chapter 3): chunks flattened -> linear 512 -> ReLU -> BN -> LSTM 256 -> classes.

In: clip uint8 or float 0..255 [B, S, C, T, H, W] in chunks of 4 frames, lengths [B]. Out: logits [B, N].
Parameters with two streams of two channels, 64 x 64, N = 20: 34.35 M, nearly all in the first linear layer.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from gesta.models.recurrent import RecurrentNet, recurrent


class FlatEncoder(nn.Module):
    """Chunks [N, S, C, t, H, W] in [0, 1] -> flattened -> linear, ReLU, BN -> [N, features]."""

    def __init__(self, inputs: int, features: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, features)
        self.norm = nn.BatchNorm1d(features)
        self.dropout = nn.Dropout(dropout)

    def forward(self, chunks: Tensor) -> Tensor:
        return self.norm(self.linear(self.dropout(chunks.flatten(1))).relu())  # N 512


def lstm(*, streams: int, channels: int, size: int, chunk: int, dropout: float, **rest: Any) -> RecurrentNet:
    """The baseline without convolutions; `rest`: passed to `recurrent`."""
    inputs = streams * channels * chunk * size * size
    return recurrent(lambda features: FlatEncoder(inputs, features, dropout), chunk=chunk, dropout=dropout, **rest)
