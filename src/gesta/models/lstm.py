"""LSTM baseline (Mullick 2018, chapter 3): chunks flattened -> linear 512 -> ReLU -> BN -> LSTM 256 -> classes.

In: clip uint8 or float 0..255 [B, S, C, T, H, W] in chunks of 4 frames, lengths [B]. Out: logits [B, N].
Parameters with two streams of two channels, 64 x 64, N = 20: 34.35 M, nearly all in the first linear layer.
"""

from __future__ import annotations

from torch import Tensor, nn

from gesta.models.layers import BY_WIDTH, Layers, scaled
from gesta.models.recurrent import RecurrentNet


class FlatEncoder(nn.Module):
    """Chunks [N, S, C, t, H, W] in [0, 1] -> flattened -> linear, ReLU, BN -> [N, features]."""

    def __init__(self, inputs: int, features: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, features)
        self.norm = nn.BatchNorm1d(features)
        self.dropout = nn.Dropout(dropout)

    def forward(self, chunks: Tensor) -> Tensor:
        return self.norm(self.linear(self.dropout(chunks.flatten(1))).relu())  # N 512


def lstm(
    *,
    classes: int,
    streams: int = 2,
    channels: int = 2,
    size: int = 64,
    chunk: int = 4,
    width: float = 1.0,
    dropout: float = 0.0,
    memory: float = 0.0,
    layers: Layers = BY_WIDTH,
) -> RecurrentNet:
    """The baseline without convolutions; `width` multiplies 512 and 256, `layers` gives them."""
    features = layers.linear or scaled(512, width)
    encoder = FlatEncoder(streams * channels * chunk * size * size, features, dropout)
    hidden = layers.lstm or scaled(256, width)
    return RecurrentNet(encoder, features, hidden=hidden, classes=classes, chunk=chunk, dropout=dropout, memory=memory)
