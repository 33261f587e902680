"""Building blocks of the clip networks: six 3D convolutions, and the input scaling of every network.

Letters: B clips, N chunks, S streams, C channels, T frames, H height, W width.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = (32, 32, 64, 192, 192, 256)
"""Channels of the six convolutions at width 1 (spec 1, Decision)."""

HALVES_SIZE = (0, 2, 4, 5)
"""Layers that halve height and width: 64 -> 32 -> 16 -> 8 -> 4."""


def scaled(width: float, factor: float) -> int:
    """A layer's width times `factor`, at least 1."""
    return max(1, round(width * factor))


@dataclass(frozen=True)
class Layers:
    """Widths of single layers, for networks with pruned channels (gesta.compression.channels); None: by `width`.

    `convolutions`: per stream, the channels of its six convolutions; `linear`: outputs of the linear layer after them;
    `lstm`: hidden units.
    """

    convolutions: Sequence[Sequence[int]] | None = None
    linear: int | None = None
    lstm: int | None = None


BY_WIDTH = Layers()


def to_unit(clip: Tensor) -> Tensor:
    """uint8 or float 0..255 -> float in [0, 1]: the first step of every network."""
    return clip.float() / 255.0 if not clip.is_floating_point() else clip / 255.0


def to_signed(images: Tensor) -> Tensor:
    """uint8 or float 0..255 -> float in [-2, 2] around mid gray: the first step of the networks for images."""
    return (to_unit(images) - 0.5) * 4.0


def he_initialized(network: nn.Module) -> None:
    """He initialization (2015) of convolutions and linear layers: keeps the variance after a ReLU; biases are zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class Wrapper(nn.Module):
    """Base of modules that give `network` another signature."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network: Any = network


class Classifier(nn.Module):
    """Base of networks whose last layer is the linear `classifier`, behind `dropout`."""

    classifier: nn.Linear
    dropout: nn.Dropout

    def reset_classifier(self, classes: int) -> None:
        """Replaces the last layer with a new, untrained one for `classes` classes."""
        old = self.classifier
        self.classifier = type(old)(old.in_features, classes).to(old.weight.device)

    def forward_head(self, features: Tensor) -> Tensor:
        return self.classifier(self.dropout(features))


class StreamEncoder(nn.Module):
    """Six 3D convolutions without bias, each with batch normalization and ReLU; no pooling (spec 1 "Networks").

    [N, C, T, H, W] -> [N, 256 * width, T', H / 16, W / 16]; T is halved in the layers `halves_time` (0-based).
    Halving: kernel 4, stride 2, padding 1; same size: kernel 3, stride 1, padding 1, chosen per axis.
    With few frames (`frames` <= 4) a 3D convolution is computed as a 2D one over time x channels: the same results,
    1.4 to 1.7 times faster to train on CPUs. `widths`: explicit channels of the six layers, instead of `width`.
    """

    def __init__(
        self,
        channels: int,
        *,
        frames: int,
        width: float,
        halves_time: Sequence[int],
        widths: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        widths = [channels, *(widths or (scaled(full, width) for full in WIDTHS))]
        if len(widths) != len(WIDTHS) + 1 or min(widths) < 1:
            raise ValueError(f"an encoder has {len(WIDTHS)} convolutions of at least 1 channel, got {widths[1:]}")
        layers = []
        for index, (before, now) in enumerate(itertools.pairwise(widths)):
            t = 2 if index in halves_time else 1
            s = 2 if index in HALVES_SIZE else 1
            kernel, stride = (t + 2, s + 2, s + 2), (t, s, s)
            layers.append(nn.Conv3d(before, now, kernel, stride, padding=1, bias=False))
        self.convolutions = nn.ModuleList(layers)
        self.norms = nn.ModuleList(nn.BatchNorm3d(now) for now in widths[1:])
        self.folded = frames <= 4
        if not self.folded:
            self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def forward(self, clip: Tensor) -> Tensor:
        if self.folded:
            return self._forward_folded(clip)
        maps = clip.contiguous(memory_format=torch.channels_last_3d)  # N C T H W
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            maps = norm(convolution(maps)).relu_()
        return maps

    def _forward_folded(self, clip: Tensor) -> Tensor:
        frames = clip.shape[2]
        maps = fold(clip.permute(0, 3, 4, 2, 1))  # N T*C H W
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            assert isinstance(convolution, nn.Conv3d) and isinstance(norm, nn.BatchNorm3d)
            weight, frames = unrolled(convolution, frames)
            maps = norm_relu(F.conv2d(maps, weight, stride=convolution.stride[1:], padding=1), norm, frames)
        return unfold(maps, frames).permute(0, 4, 3, 1, 2)  # N C T' H' W'


def fold(maps: Tensor) -> Tensor:
    """[N, H, W, T, C] -> [N, T*C, H, W], channels last in memory."""
    return maps.flatten(3).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def unfold(maps: Tensor, frames: int) -> Tensor:
    """[N, T*C, H, W] -> [N, H, W, T, C]; a view if the channels are last in memory."""
    return maps.permute(0, 2, 3, 1).unflatten(3, (frames, -1))


def unrolled(convolution: nn.Conv3d, frames: int) -> tuple[Tensor, int]:
    """The 2D weight [T'*O, T*I, kH, kW] equivalent, on T*I folded channels, to the 3D one on T frames; and T'.

    The tap of output frame o and input frame i is i - stride * o + padding; zeros where it is out of range.
    """
    taps, stride, padding = convolution.kernel_size[0], convolution.stride[0], int(convolution.padding[0])
    after = (frames + 2 * padding - taps) // stride + 1
    table = [i - stride * o + padding for o in range(after) for i in range(frames)]
    index = torch.tensor([tap if 0 <= tap < taps else taps for tap in table], device=convolution.weight.device)
    padded = F.pad(convolution.weight, (0, 0, 0, 0, 0, 1))  # O I taps+1 kH kW: the last tap is zero
    weight = padded.index_select(2, index).unflatten(2, (after, frames))  # O I T' T kH kW
    weight = weight.permute(2, 0, 3, 1, 4, 5).flatten(2, 3).flatten(0, 1)  # T'*O T*I kH kW
    return weight.contiguous(memory_format=torch.channels_last), after


def norm_relu(maps: Tensor, norm: nn.BatchNorm3d, frames: int) -> Tensor:
    """Batch normalization of [N, T*C, H, W] over N, T, H and W, and ReLU."""
    if norm.training:
        normed = norm(unfold(maps, frames).permute(0, 4, 1, 2, 3)).relu_()  # N C H W T
        return fold(normed.permute(0, 2, 3, 4, 1))
    mean, var = norm.running_mean, norm.running_var
    assert mean is not None and var is not None
    weight, bias = norm.weight.repeat(frames), norm.bias.repeat(frames)
    return F.batch_norm(maps, mean.repeat(frames), var.repeat(frames), weight, bias, False, 0.0, norm.eps).relu()


class ClipEncoder(nn.Module):
    """One StreamEncoder per stream; the flattened maps are concatenated.

    [N, S, C, T, H, W] in [0, 1] -> [N, features]. `convolutions`: six widths per stream, instead of `width`.
    """

    def __init__(
        self,
        *,
        streams: int,
        channels: int,
        size: int,
        frames: int,
        width: float,
        halves_time: Sequence[int],
        convolutions: Sequence[Sequence[int]] | None = None,
    ) -> None:
        super().__init__()
        every = convolutions or [[scaled(full, width) for full in WIDTHS]] * streams
        if len(every) != streams:
            raise ValueError(f"{len(every)} streams have their own widths, but there are {streams}")
        self.streams = nn.ModuleList(
            StreamEncoder(channels, frames=frames, width=width, halves_time=halves_time, widths=own) for own in every
        )
        side = size // 2 ** len(HALVES_SIZE)
        depth = frames // 2 ** len(halves_time)
        if side < 1 or depth < 1:
            raise ValueError(f"{frames} frames of {size} pixels are too small for this encoder")
        self.features = sum(own[-1] for own in every) * depth * side * side

    def forward(self, clip: Tensor) -> Tensor:
        maps = [encoder(clip[:, index]).flatten(1) for index, encoder in enumerate(self.streams)]  # N 256*T'*4*4
        return torch.cat(maps, dim=1)  # N features
