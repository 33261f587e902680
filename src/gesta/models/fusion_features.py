"""Fusion by features: the last layers of both parts concatenated, a missing part as zeros (Neverova, Wolf, Taylor,
Nebout 2016, "ModDrop: adaptive multi-modal gesture recognition").

In: last layers of both parts [B, K, C], there [B, K, 2]. Out: logits [B, K, N]. Parameters with 64 and 128 channels and
N = 27: 0.03 M. Deviations: each part is normalized first, and the hidden layer also gets which parts are present;
every batch trains every combination of the parts (gesta.tasks.clips.module), rather than a random one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gesta.models.skeleton_layers import SkeletonClassifier

HIDDEN = 128


class FeatureFusion(nn.Module):
    """Layer normalization of each part -> linear, ReLU -> classes."""

    def __init__(self, pixels: Sequence[int], skeleton: Sequence[int], *, classes: int, dropout: float) -> None:
        super().__init__()
        widths = (pixels[-1], skeleton[-1])
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in widths)
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Linear(sum(widths) + 2, HIDDEN)
        self.head = SkeletonClassifier(HIDDEN, classes, dropout)

    def reset(self, classes: int) -> None:
        """Replaces the last layer with a new, untrained one for `classes` classes."""
        self.head.reset(classes)

    def forward(self, pixels: list[Tensor], skeleton: list[Tensor], there: Tensor) -> Tensor:
        parts = [
            norm(x) * there[..., i : i + 1]
            for i, (norm, x) in enumerate(zip(self.norms, (pixels[-1], skeleton[-1]), strict=True))
        ]
        hidden = self.hidden(self.dropout(torch.cat([*parts, there], -1))).relu()  # B K 128
        return self.head(hidden)  # type: ignore[no-any-return]
