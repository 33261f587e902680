"""3D-CNN, the "teacher" (Mullick 2018, chapter 3; the plan of spec 1 "Networks").

In: clip uint8 or float 0..255 [B, S, C, 32, H, W], the central 32 frames. Out: logits [B, N].
Parameters with two streams of two channels, 64 x 64, N = 20: 18.824 M.
Deviations: the thesis does not state its channel numbers; the spec's are used. Section 3.2.1 names ReLU, then
"additionally" batch normalization of the convolutions: here BN precedes ReLU, also in the first linear layer.
"""

from __future__ import annotations

from torch import Tensor, nn

from gesta.models.layers import BY_WIDTH, Classifier, ClipEncoder, Layers, scaled, to_unit


class Cnn3d(Classifier):
    """Two separate encoders that halve time three times (32 -> 4), linear 256, BN, ReLU, linear N."""

    def __init__(
        self,
        *,
        classes: int,
        streams: int = 2,
        channels: int = 2,
        size: int = 64,
        window: int = 32,
        width: float = 1.0,
        dropout: float = 0.0,
        layers: Layers = BY_WIDTH,
    ) -> None:
        super().__init__()
        self.window = window
        self.convolutions = ClipEncoder(
            streams=streams,
            channels=channels,
            size=size,
            frames=window,
            width=width,
            halves_time=(0, 2, 4),
            convolutions=layers.convolutions,
        )
        hidden = layers.linear or scaled(256, width)
        self.linear = nn.Linear(self.convolutions.features, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(hidden, classes)

    def forward_features(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """[B, S, C, window, H, W] -> [B, 256 * width]. The window is padded with zeros, so lengths do not matter."""
        maps = self.convolutions(to_unit(clip))  # B S*256*4*4*4
        return self.norm(self.linear(self.dropout(maps))).relu()  # B 256

    def forward(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.forward_head(self.forward_features(clip, lengths))
