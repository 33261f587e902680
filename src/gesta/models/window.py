"""Multinomial logistic regression on a window of the last frames of a skeleton: a baseline for causal networks.

In and out as in gesta.models.tcn. A frame is positions relative to the mean of its joints, movement since the last one,
and the mask, each scaled to unit variance over training; the window is 30 frames, zeros before the first one.
Parameters with 20 joints in 3-D, N = 14: 58,814.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gesta.models.skeleton_layers import centered, masked, movement
from gesta.models.tcn import CausalNet, FrameNorm


class WindowLinear(CausalNet):
    """The last `window` frames -> classes."""

    def __init__(self, *, classes: int, joints: int, dimensions: int = 3, window: int = 30) -> None:
        super().__init__()
        self.joints, self.dimensions, self.back = joints, dimensions, window - 1
        self.inputs = joints * (2 * dimensions + 1)
        self.norm = FrameNorm(self.inputs, affine=False)
        self.head = nn.Conv1d(self.inputs, classes, window)

    @property
    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        return {
            "points": (-1, 1, self.joints, self.dimensions),
            "seen": (-1, 1, self.joints),
            "window": (-1, self.inputs, self.back),
        }

    def forward_head(self, features: Tensor) -> Tensor:
        return features

    def advance(
        self, skeleton: Tensor, mask: Tensor | None, state: Sequence[Tensor], valid: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        points, seen = masked(skeleton, mask)
        points, seen = torch.cat([state[0], points], 1), torch.cat([state[1], seen], 1)  # B 1+t J D
        parts = [centered(points, seen).flatten(2), movement(points, seen, 1).flatten(2), seen]
        frames = self.norm(torch.cat(parts, 2)[:, 1:].transpose(1, 2), valid)  # B C t
        longer = torch.cat([state[2], frames], 2)  # B C back+t
        after = [points[:, -1:], seen[:, -1:], longer[:, :, longer.shape[2] - self.back :]]
        return self.head(longer).transpose(1, 2), after
