"""Fusion by layer-wise attention: the outputs of all layers of both parts, weighted per clip (attention over
modalities as in Hori et al. 2017, "Attention-Based Multimodal Fusion for Video Description", here over all layers).

In: all layers of both parts, lists of [B, K, C], there [B, K, 2]. Out: logits [B, K, N]. Layers of a missing
part get weight 0. Parameters with layers of 128 and 64, 96, 192, 384 and 128 channels
and N = 27: 0.07 M. Deviation: there is no decoder query; one learned vector scores the layers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gesta.models.skeleton_layers import SkeletonClassifier

WIDTH = 64
SILENT = -1e4
"""Score of a missing layer: finite, to stay representable in half precision and exports."""


class LayerAttention(nn.Module):
    """Each layer -> 64 channels, a score -> softmax over the layers -> their weighted sum -> classes."""

    def __init__(self, pixels: Sequence[int], skeleton: Sequence[int], *, classes: int, dropout: float) -> None:
        super().__init__()
        self.counts = (len(pixels), len(skeleton))
        self.layers = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Dropout(dropout), nn.Linear(width, WIDTH))
            for width in (*pixels, *skeleton)
        )
        self.score = nn.Linear(WIDTH, 1)
        self.head = SkeletonClassifier(WIDTH, classes, dropout)

    def reset(self, classes: int) -> None:
        """Replaces the last layer with a new, untrained one for `classes` classes."""
        self.head.reset(classes)

    def weights(self, values: Tensor, there: Tensor) -> Tensor:
        """Weights [B, K, L] of the layers' values [B, K, L, 64]."""
        seen = torch.cat([there[..., i : i + 1].expand(-1, -1, n) for i, n in enumerate(self.counts)], -1)  # B K L
        scores = self.score(values.tanh()).squeeze(-1)
        return torch.where(seen > 0, scores, torch.full_like(scores, SILENT)).softmax(-1)

    def forward(self, pixels: list[Tensor], skeleton: list[Tensor], there: Tensor) -> Tensor:
        values = [layer(x) for layer, x in zip(self.layers, (*pixels, *skeleton), strict=True)]
        stacked = torch.stack(values, 2)  # B K L 64
        mixed = (self.weights(stacked, there).unsqueeze(-1) * stacked).sum(2)  # B K 64
        return self.head(mixed.relu())  # type: ignore[no-any-return]
