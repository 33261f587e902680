"""Fusion by scores: the mean of the probabilities of the present parts (Simonyan and Zisserman 2014, "Two-stream
convolutional networks for action recognition in videos", where two networks are averaged).

In: last layers of both parts [B, K, C], there [B, K, 2]. Out: logits [B, K, N], the log of that mean. Parameters: two
linear layers. Deviation: both parts are trained together, each also alone (gesta.tasks.clips.module).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gesta.models.skeleton_layers import SkeletonClassifier

LEAST = 1e-7
"""Lower bound of a probability, to keep its logarithm finite."""


class ScoreFusion(nn.Module):
    """A linear classifier for each part."""

    def __init__(self, pixels: Sequence[int], skeleton: Sequence[int], *, classes: int, dropout: float) -> None:
        super().__init__()
        self.heads = nn.ModuleList(SkeletonClassifier(part[-1], classes, dropout) for part in (pixels, skeleton))

    def reset(self, classes: int) -> None:
        """Replaces the last layers with new, untrained ones for `classes` classes."""
        for head in self.heads:
            head.reset(classes)  # type: ignore[operator]

    def forward(self, pixels: list[Tensor], skeleton: list[Tensor], there: Tensor) -> Tensor:
        parts = (pixels[-1], skeleton[-1])
        scores = torch.stack([head(x).softmax(-1) for head, x in zip(self.heads, parts, strict=True)], 2)  # B K 2 N
        weight = there / there.sum(-1, keepdim=True).clamp(min=1)  # B K 2
        return (scores * weight.unsqueeze(-1)).sum(2).clamp(min=LEAST).log()
