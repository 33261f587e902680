"""DD-Net: double-feature, double-motion network (Yang, Sakti, Wu, Nakamura 2019, "Make Skeleton-based Action
Recognition Model Smaller, Faster and Better").

In: skeleton float32 [B, T, J, D], mask [B, T, J], lengths [B] (gesta.models.skeleton_layers). Out: logits [B, N].
Every clip is resampled to 32 frames. The distances of all pairs of joints are invariant to position and view; the
movement over one frame (slow) and two frames (fast) adds the motion. One-dimensional convolutions only.
Parameters with 20 joints in 3-D, N = 27: 1.07 M at width 48, 1.86 M at 64 (the paper's largest: 1.82 M).
Deviations: the positions are a fourth input (`positions`), as normalized skeletons have a common position and view; the
fast movement is computed on the 32 frames and subsampled by two; missing joints give zeros.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gesta.models.skeleton_layers import (
    SkeletonClassifier,
    WholeClipNet,
    distances,
    masked,
    movement,
    pairs,
    to_length,
)


class Convolution(nn.Module):
    """One-dimensional convolution that keeps the length, BN, leaky ReLU: [B, C, T] -> [B, C', T]."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.leaky_relu(self.norm(self.convolution(x)), 0.2)


class Embedding(nn.Module):
    """Frame inputs -> convolutions of kernel 1, 3, 1 with channel dropout; half the frames if `halve`."""

    def __init__(self, inputs: int, width: int, dropout: float, *, halve: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            Convolution(inputs, 2 * width, 1),
            nn.Dropout1d(dropout),
            Convolution(2 * width, width, 3),
            nn.Dropout1d(dropout),
            Convolution(width, width, 1),
            nn.MaxPool1d(2) if halve else nn.Identity(),
            nn.Dropout1d(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)  # type: ignore[no-any-return]


class DdNet(WholeClipNet):
    """Distances, slow and fast movement (and positions) -> an embedding each -> three levels -> maximum over time."""

    def __init__(
        self,
        *,
        classes: int,
        joints: int,
        dimensions: int = 3,
        frames: int = 32,
        width: int = 48,
        dropout: float = 0.5,
        embedding_dropout: float = 0.1,
        positions: bool = True,
    ) -> None:
        super().__init__()
        if frames % 16:
            raise ValueError(f"the network halves its frames four times: {frames} is not a multiple of 16")
        self.frames = frames
        first, second = pairs(joints)
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("second", second, persistent=False)
        flat = joints * dimensions
        self.distances = Embedding(len(first), width, embedding_dropout, halve=True)
        self.slow = Embedding(flat, width, embedding_dropout, halve=True)
        self.fast = Embedding(flat, width, embedding_dropout, halve=False)
        self.positions = Embedding(flat + joints, width, embedding_dropout, halve=True) if positions else None
        widths = [(4 if positions else 3) * width, 2 * width, 4 * width, 8 * width]
        self.levels = nn.Sequential(
            *(
                nn.Sequential(
                    Convolution(before, now, 3),
                    Convolution(now, now, 3),
                    nn.Identity() if last else nn.MaxPool1d(2),
                    nn.Dropout1d(embedding_dropout),
                )
                for before, now, last in zip(widths, widths[1:], (False, False, True), strict=False)
            )
        )
        self.dense = nn.Linear(widths[-1], 128, bias=False)
        self.norm = nn.BatchNorm1d(128)
        self.head = SkeletonClassifier(128, classes, dropout)

    first: Tensor
    second: Tensor

    @property
    def layer_widths(self) -> tuple[int, ...]:
        """Channels of the outputs of `forward_layers`."""
        width = self.dense.in_features // 8
        return 2 * width, 4 * width, 8 * width, self.dense.out_features

    def forward_layers(
        self, skeleton: Tensor, mask: Tensor | None = None, lengths: Tensor | None = None
    ) -> list[Tensor]:
        """The maximum over time of each of the three levels, and the features: [B, C] each."""
        points, seen = to_length(*masked(skeleton, mask), lengths, self.frames)  # B F J D, B F J
        slow = movement(points, seen, 1).flatten(2)  # B F J*D
        fast = movement(points, seen, 2).flatten(2)[:, ::2]  # B F/2 J*D
        parts = [
            self.distances(distances(points, seen, self.first, self.second).transpose(1, 2)),  # B w F/2
            self.slow(slow.transpose(1, 2)),
            self.fast(fast.transpose(1, 2)),
        ]
        if self.positions is not None:
            parts.append(self.positions(torch.cat([points.flatten(2), seen], 2).transpose(1, 2)))
        maps, found = torch.cat(parts, 1), []
        for level in self.levels:  # B 4w F/2 -> B 8w F/8
            maps = level(maps)
            found.append(maps.amax(2))
        return [*found, nn.functional.leaky_relu(self.norm(self.dense(found[-1])), 0.2)]  # the last: B 128
