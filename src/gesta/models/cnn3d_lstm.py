"""3D-CNN + LSTM (Mullick 2018, chapter 3; the plan of spec 1 "Networks").

In: clip uint8 or float 0..255 [B, S, C, T, H, W] in chunks of 4 frames, lengths [B]. Out: logits [B, N].
Parameters with two streams of two channels, 64 x 64, N = 20: 18.368 M (original), 4.597 M (width 0.5, "medium"),
1.152 M (width 0.25, "small"). Deviations: as gesta.models.cnn3d's (channel numbers; where batch normalisation stands).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from gesta.models.layers import BY_WIDTH, ClipEncoder, Layers, scaled
from gesta.models.recurrent import RecurrentNet


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
    """The 3D-CNN + LSTM; `width` multiplies every layer's width, `layers` gives single ones."""
    features = layers.linear or scaled(512, width)
    encoder = ChunkEncoder(
        streams=streams,
        channels=channels,
        size=size,
        chunk=chunk,
        width=width,
        features=features,
        dropout=dropout,
        convolutions=layers.convolutions,
    )
    hidden = layers.lstm or scaled(256, width)
    return RecurrentNet(encoder, features, hidden=hidden, classes=classes, chunk=chunk, dropout=dropout, memory=memory)
