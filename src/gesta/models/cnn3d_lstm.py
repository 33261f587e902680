"""3D-CNN + LSTM (Mullick 2018, chapter 3; the plan of spec 1 "Networks").

In: clip uint8 or float 0..255 [B, S, C, T, H, W] in chunks of 4 frames, lengths [B]. Out: logits [B, N].
Parameters with two streams of two channels, 64 x 64, N = 20: 18.368 M (original), 4.597 M (width 0.5, "medium"),
1.152 M (width 0.25, "small"). Deviations: as in gesta.models.cnn3d (channel numbers; position of batch normalization).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from gesta.models.layers import ClipEncoder, Layers
from gesta.models.recurrent import RecurrentNet, recurrent


class ChunkEncoder(nn.Module):
    """Chunks [N, S, C, t, H, W] in [0, 1] -> two separate encoders -> linear 512, BN, ReLU -> [N, 512 * width]."""

    def __init__(
        self,
        *,
        streams: int,
        channels: int,
        size: int,
        chunk: int,
        width: float,
        features: int,
        dropout: float,
        convolutions: Sequence[Sequence[int]] | None = None,
    ) -> None:
        super().__init__()
        self.convolutions = ClipEncoder(
            streams=streams,
            channels=channels,
            size=size,
            frames=chunk,
            width=width,
            halves_time=(0,),
            convolutions=convolutions,
        )
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(self.convolutions.features, features)
        self.norm = nn.BatchNorm1d(features)

    def forward(self, chunks: Tensor) -> Tensor:
        maps = self.convolutions(chunks)  # N S*256*2*4*4
        return self.norm(self.linear(self.dropout(maps))).relu()  # N 512


def cnn3d_lstm(
    *, streams: int, channels: int, size: int, chunk: int, width: float, dropout: float, layers: Layers, **rest: Any
) -> RecurrentNet:
    """The 3D-CNN + LSTM; `width` scales every layer, `layers` sets single widths; `rest`: passed to `recurrent`."""

    def encode(features: int) -> nn.Module:
        return ChunkEncoder(
            streams=streams,
            channels=channels,
            size=size,
            chunk=chunk,
            width=width,
            features=features,
            dropout=dropout,
            convolutions=layers.convolutions,
        )

    return recurrent(encode, chunk=chunk, width=width, dropout=dropout, layers=layers, **rest)
