"""Fusion of a pixel and a skeleton network: one output from both, or from the one that is present.

In: FusedClip (pixels [B, S, C, T, H, W], skeleton [B, T, J, D + 1], present [B, T, 2]), lengths [B] (frames; None: T).
Out: logits [B, N]. `present` tells for each frame if there are pixels and a skeleton; a part counts as present from
its first frame on, so that a stream ends with the output for the whole clip. The fusion is a separate module
(fusion_scores, fusion_features, fusion_attention) on the parts' layer outputs after each of the K chunks:
`fusion(pixels: list of [B, K, C], skeleton: list of [B, K, C], there [B, K, 2]) -> logits [B, K, N]`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from gesta.models.recurrent import RecurrentNet, chunk_mask, last_valid
from gesta.models.skeleton_clips import SkeletonClips, SkeletonSteps


class FusedClip(NamedTuple):
    """The input of a fused network."""

    pixels: Tensor
    skeleton: Tensor
    present: Tensor


class Encoded(NamedTuple):
    """The layer outputs of both parts, lists of [B, K, C], and which parts are present, [B, K, 2]."""

    pixels: list[Tensor]
    skeleton: list[Tensor]
    there: Tensor


class FusedNet(nn.Module):
    """Whole clips of any length: K = 1."""

    takes_lengths = True

    def __init__(self, pixels: RecurrentNet, skeleton: SkeletonClips, fusion: nn.Module) -> None:
        super().__init__()
        self.pixels, self.skeleton, self.fusion = pixels, skeleton, fusion

    def reset_classifier(self, classes: int) -> None:
        """Replaces the last layers with new, untrained ones for `classes` classes."""
        self.fusion.reset(classes)  # type: ignore[operator]

    def encode(self, clip: FusedClip, lengths: Tensor | None = None) -> Encoded:
        """The mean chunk features and the mean LSTM outputs; one vector per layer of the skeleton network."""
        chunks = self.pixels.encode(clip.pixels, lengths)  # B K D
        pixels = [self._mean(layer, lengths).unsqueeze(1) for layer in (chunks, self.pixels.lstm(chunks)[0])]
        joints = self.skeleton.forward_layers(clip.skeleton, lengths)  # lists of B C
        there = clip.present.amax(1, keepdim=True)  # B 1 2
        return Encoded(pixels, [layer.unsqueeze(1) for layer in joints], there)

    def _mean(self, layer: Tensor, lengths: Tensor | None) -> Tensor:
        """[B, K, C] -> [B, C], the mean over the valid chunks of a clip."""
        if lengths is None:
            return layer.mean(1)
        valid = chunk_mask(lengths, self.pixels.chunk, layer.shape[1]).unsqueeze(-1).to(layer.dtype)
        return (layer * valid).sum(1) / valid.sum(1)

    def fuse(self, encoded: Encoded) -> Tensor:
        """Logits [B, K, N]."""
        return self.fusion(*encoded)  # type: ignore[no-any-return]

    def forward(self, clip: FusedClip, lengths: Tensor | None = None) -> Tensor:
        return self.fuse(self.encode(clip, lengths))[:, 0]


class FusedSteps(FusedNet):
    """An output after every chunk: successive calls of `step` equal `forward_steps` on the clip."""

    skeleton: SkeletonSteps

    @property
    def chunk(self) -> int:
        return self.pixels.chunk

    @property
    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the named state of `step`, zeros at a reset; -1 denotes the batch."""
        joints = {f"skeleton_{name}": shape for name, shape in self.skeleton.state_shapes.items()}
        return {**self.pixels.state_shapes, **joints, "there": (-1, 2)}

    def encode(self, clip: FusedClip, lengths: Tensor | None = None) -> Encoded:
        chunks = self.pixels.encode(clip.pixels, lengths)  # B K D
        outputs, _ = self.pixels.lstm(chunks)  # B K hidden
        ends = _ends(clip.present, self.chunk)  # B K
        layers = [_at(layer, ends) for layer in self.skeleton.forward_layers(clip.skeleton, lengths)]
        there = _at(clip.present.cumsum(1).clamp(max=1), ends)  # B K 2
        return Encoded([chunks, outputs], layers, there)

    def forward_steps(self, clip: FusedClip, lengths: Tensor | None = None) -> Tensor:
        """Logits after every chunk [B, K, N]; those past a clip's length are meaningless."""
        return self.fuse(self.encode(clip, lengths))

    def answers(self, steps: Tensor) -> Tensor:
        """The output after every chunk, unchanged: [B, K, N]."""
        return steps

    def forward(self, clip: FusedClip, lengths: Tensor | None = None) -> Tensor:
        chunks = self.pixels.encode(clip.pixels, lengths)  # B K D
        pixels = [last_valid(layer, lengths, self.chunk) for layer in (chunks, self.pixels.lstm(chunks)[0])]
        end = last_valid(_ends(clip.present, self.chunk).unsqueeze(-1), lengths, self.chunk)  # B 1
        joints = [_at(layer, end)[:, 0] for layer in self.skeleton.forward_layers(clip.skeleton, lengths)]
        there = clip.present.amax(1, keepdim=True)  # B 1 2
        encoded = Encoded([layer.unsqueeze(1) for layer in pixels], [layer.unsqueeze(1) for layer in joints], there)
        return self.fuse(encoded)[:, 0]

    def step(self, chunk: FusedClip, *state: Tensor) -> tuple[Tensor, ...]:
        """One chunk and the state -> logits [B, N], the new state."""
        h, c, *joints, there = state
        features = self.pixels.encode(chunk.pixels)  # B 1 D
        outputs, (h, c) = self.pixels.lstm(features, (h, c))
        layers, after = self.skeleton.advance_layers(chunk.skeleton, joints)  # lists of B t C
        there = torch.maximum(there, chunk.present.amax(1))  # B 2
        end = _ends(chunk.present, self.chunk)  # B 1
        encoded = Encoded([features, outputs], [_at(layer, end) for layer in layers], there.unsqueeze(1))
        return self.fuse(encoded)[:, 0], h, c, *after, there


def _ends(present: Tensor, chunk: int) -> Tensor:
    """The last non-empty frame of every chunk [B, K], which skips padding after a clip; else its last frame."""
    shown = present.amax(2).unflatten(1, (-1, chunk))  # B K c
    place = torch.arange(1, chunk + 1, device=present.device)
    last = (shown * place).amax(2).long()  # B K
    last = torch.where(last > 0, last, torch.full_like(last, chunk)) - 1
    starts = torch.ones_like(last).cumsum(1) - 1
    return starts * chunk + last


def _at(frames: Tensor, ends: Tensor) -> Tensor:
    """[B, T, C] at frames [B, K] -> [B, K, C]."""
    return frames.gather(1, ends.unsqueeze(-1).expand(-1, -1, frames.shape[2]))
