"""Two streams (Simonyan and Zisserman 2014, "Two-stream convolutional networks for action recognition in videos"; the
next step that Iqbal names): one network for appearance, one for stacked optical flow, fused by scores or features.

In: clip uint8 or float 0..255 [B, S, C, T, H, W]; with two networks the last `flow` channels are optical flow. Out:
logits [B, N]. Parameters: those of the networks. Deviations: features are fused by a linear layer, not an SVM; the flow
of frame t is stacked with that of the frames before it, not after it, so that a stream needs no look-ahead.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn

Fusion = Literal["score", "feature"]

FLOW_CHANNELS = 2


def stacked(clip: Tensor, frames: int) -> Tensor:
    """[B, S, C, T, H, W] -> [B, S, frames * C, T, H, W]: every frame with those before it, the latest first.

    The first frame is repeated before the start. All-zero frames, after a short clip, stay zero.
    """
    if frames == 1:
        return clip
    clip = clip if clip.is_floating_point() else clip.float()  # ONNX Runtime cannot multiply bytes
    time = clip.shape[3]
    earlier = torch.cat([clip[:, :, :, :1]] * (frames - 1) + [clip], 3)  # B S C frames-1+T H W
    taken = [earlier[:, :, :, frames - 1 - age : frames - 1 - age + time] for age in range(frames)]
    shown = (clip.amax((1, 2, 4, 5)) != 0).to(clip.dtype)[:, None, None, :, None, None]
    return torch.cat(taken, 2) * shown


class Stack(nn.Module):
    """A network on stacked frames; `network` is built for `frames` times as many channels."""

    def __init__(self, network: nn.Module, frames: int) -> None:
        super().__init__()
        self.network: Any = network
        self.frames = frames
        self.window = self.network.window

    def reset_classifier(self, classes: int) -> None:
        """Replaces the last layer with a new, untrained one for `classes` classes."""
        self.network.reset_classifier(classes)

    def forward_features(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.network.forward_features(stacked(clip, self.frames), lengths)

    def forward_head(self, features: Tensor) -> Tensor:
        return self.network.forward_head(features)

    def forward_windows(self, clip: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """As in the spatio-temporal ResNets; other networks do not have it."""
        windows: tuple[Tensor, Tensor] = self.network.forward_windows(stacked(clip, self.frames), lengths)
        return windows

    def forward(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.network(stacked(clip, self.frames), lengths)


class Stream(nn.Module):
    """One network of a TwoStream by itself, on its own channels of a clip."""

    def __init__(self, network: nn.Module, channels: slice) -> None:
        super().__init__()
        self.network: Any = network
        self.channels = channels

    def forward(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.network(clip[:, :, self.channels], lengths)

    def forward_windows(self, clip: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        windows: tuple[Tensor, Tensor] = self.network.forward_windows(clip[:, :, self.channels], lengths)
        return windows


class TwoStream(nn.Module):
    """Score fusion: the mean of both networks' probabilities. Feature fusion: one linear layer on the concatenated
    features, which is the sum of the two networks' last layers.
    """

    def __init__(self, appearance: nn.Module, motion: nn.Module, fusion: Fusion, flow: int = FLOW_CHANNELS) -> None:
        super().__init__()
        self.appearance: Any = appearance
        self.motion: Any = motion
        self.fusion, self.flow = fusion, flow
        self.window = self.appearance.window

    def streams(self) -> Iterator[tuple[str, Stream]]:
        """The two networks by name, which are trained separately before they are fused."""
        yield "appearance", Stream(self.appearance, slice(None, -self.flow))
        yield "motion", Stream(self.motion, slice(-self.flow, None))

    def reset_classifier(self, classes: int) -> None:
        """Replaces the last layers with new, untrained ones for `classes` classes."""
        self.appearance.reset_classifier(classes)
        self.motion.reset_classifier(classes)

    def forward(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:
        looks, flow = clip[:, :, : -self.flow], clip[:, :, -self.flow :]
        if self.fusion == "feature":
            seen = self.appearance.forward_head(self.appearance.forward_features(looks, lengths))
            return seen + self.motion.forward_head(self.motion.forward_features(flow, lengths))
        return mean_of_scores(self.appearance(looks, lengths), self.motion(flow, lengths))

    def forward_windows(self, clip: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Fused logits of each sequence of spatio-temporal ResNets, [B, m, N], and whether it is valid, [B, m]."""
        looks, flow = clip[:, :, : -self.flow], clip[:, :, -self.flow :]
        seen, counted = self.appearance.forward_windows(looks, lengths)
        moved, _ = self.motion.forward_windows(flow, lengths)
        return (seen + moved if self.fusion == "feature" else mean_of_scores(seen, moved)), counted


def mean_of_scores(one: Tensor, other: Tensor) -> Tensor:
    """Logits of the mean of two networks' probabilities (the logarithm of twice it)."""
    return torch.logsumexp(torch.stack([one.log_softmax(-1), other.log_softmax(-1)]), 0)
