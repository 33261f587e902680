"""Shared code of the skeleton networks: masking, movement, distances, and resampling to a fixed length.

Letters: B clips, T frames, J joints, D dimensions (2 or 3), P pairs of joints, C channels.
In: skeleton float32 [B, T, J, D] (normalized), mask [B, T, J] (bool, or a confidence in [0, 1]; None: every joint is
present), lengths int64 [B] (None: T). Positions where the mask is 0 never reach a network.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def masked(skeleton: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Skeleton with zeros where a joint is missing (NaN allowed there), and the mask as floats [B, T, J]."""
    if mask is None:
        return skeleton, torch.ones_like(skeleton[..., 0])
    weight = mask.to(skeleton.dtype)
    return torch.where(weight.unsqueeze(-1) > 0, skeleton, torch.zeros_like(skeleton)), weight


def movement(skeleton: Tensor, mask: Tensor, frames: int) -> Tensor:
    """Position minus that of `frames` earlier, [B, T, J, D]; 0 where either is missing and in the first frames."""
    found = moved(skeleton[:, :-frames], skeleton[:, frames:], mask[:, :-frames], mask[:, frames:])
    return torch.cat([torch.zeros_like(skeleton[:, :frames]), found], 1)[:, : skeleton.shape[1]]


def moved(before: Tensor, now: Tensor, seen_before: Tensor, seen_now: Tensor) -> Tensor:
    """Difference of positions [B, T, J, D]; 0 where either is missing by its mask [B, T, J]."""
    seen = (seen_before > 0) & (seen_now > 0)
    return (now - before) * seen.unsqueeze(-1).to(now.dtype)


def centered(skeleton: Tensor, mask: Tensor) -> Tensor:
    """Positions relative to the mean of each frame's joints, [B, T, J, D]; 0 for missing joints."""
    seen = (mask > 0).unsqueeze(-1).to(skeleton.dtype)  # B T J 1
    middle = (skeleton * seen).sum(2, keepdim=True) / seen.sum(2, keepdim=True).clamp(min=1)  # B T 1 D
    return (skeleton - middle) * seen


def pairs(joints: int) -> tuple[Tensor, Tensor]:
    """The two joint indices of every pair of joints, [P] each."""
    first, second = torch.triu_indices(joints, joints, offset=1)
    return first, second


def distances(skeleton: Tensor, mask: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Distances of pairs of joints [B, T, P]; 0 where either is missing."""
    between = skeleton.index_select(2, first) - skeleton.index_select(2, second)  # B T P D
    seen = (mask.index_select(2, first) > 0) & (mask.index_select(2, second) > 0)
    return (between.square().sum(-1) + 1e-8).sqrt() * seen.to(between.dtype)


def to_length(skeleton: Tensor, mask: Tensor, lengths: Tensor | None, frames: int) -> tuple[Tensor, Tensor]:
    """Every clip resampled to `frames` frames by linear interpolation; frames past its length are ignored.

    A joint missing in one of the two interpolated frames takes its position from the other.
    """
    batch, total, joints, dimensions = skeleton.shape
    last = torch.full((batch,), total, device=skeleton.device) if lengths is None else lengths
    place = torch.linspace(0, 1, frames, device=skeleton.device) * (last - 1).clamp(min=0).unsqueeze(1)  # B F
    low = place.floor().long()
    high = torch.minimum(low + 1, (last - 1).clamp(min=0).unsqueeze(1))
    share = (place - low).reshape(batch, frames, 1)
    index = torch.stack([low, high])  # 2 B F
    weight = torch.stack([1 - share, share])  # 2 B F 1
    seen = torch.stack([mask.gather(1, i.unsqueeze(-1).expand(-1, -1, joints)) for i in index])  # 2 B F J
    points = torch.stack(
        [skeleton.gather(1, i.reshape(batch, frames, 1, 1).expand(-1, -1, joints, dimensions)) for i in index]
    )
    weight = weight * seen
    total_weight = weight.sum(0)
    mixed = (weight.unsqueeze(-1) * points).sum(0) / total_weight.clamp(min=1e-6).unsqueeze(-1)
    return mixed * (total_weight > 0).unsqueeze(-1).to(mixed.dtype), total_weight


class SkeletonClassifier(nn.Module):
    """Dropout and one linear layer on features [..., C]: the head of every skeleton network."""

    def __init__(self, features: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(features, classes)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(self.dropout(features))

    def reset(self, classes: int) -> None:
        old = self.linear
        self.linear = type(old)(old.in_features, classes).to(old.weight.device)


class WholeClipNet(nn.Module):
    """Base class of networks that process whole clips. Subclasses define `head`, `layer_widths`, `forward_layers`."""

    head: SkeletonClassifier

    @property
    def layer_widths(self) -> tuple[int, ...]:
        """Channels of the outputs of `forward_layers`."""
        raise NotImplementedError

    def forward_layers(
        self, skeleton: Tensor, mask: Tensor | None = None, lengths: Tensor | None = None
    ) -> list[Tensor]:
        """The layer outputs for a whole clip, [B, C] each, the features last."""
        raise NotImplementedError

    def forward_features(self, skeleton: Tensor, mask: Tensor | None = None, lengths: Tensor | None = None) -> Tensor:
        """Features [B, C] of a whole clip."""
        return self.forward_layers(skeleton, mask, lengths)[-1]

    def forward_head(self, features: Tensor) -> Tensor:
        return self.head(features)  # type: ignore[no-any-return]

    def forward(self, skeleton: Tensor, mask: Tensor | None = None, lengths: Tensor | None = None) -> Tensor:
        return self.forward_head(self.forward_features(skeleton, mask, lengths))

    def reset_classifier(self, classes: int) -> None:
        """Replaces the last layer with a new, untrained one for `classes` classes."""
        self.head.reset(classes)
