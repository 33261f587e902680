"""Building blocks of the clip networks: six 3D convolutions, and the scaling every network starts with.

Letters: B clips, N chunks, S streams, C channels, T frames, H height, W width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

WIDTHS = (32, 32, 64, 192, 192, 256)
"""Channels of the six convolutions at width 1 (spec 1, Decision)."""

HALVES_SIZE = (0, 2, 4, 5)
"""Layers that halve height and width: 64 -> 32 -> 16 -> 8 -> 4."""


def scaled(width: float, factor: float) -> int:
    """A layer's width times `factor`, at least 1."""
    return max(1, round(width * factor))


def to_unit(clip: Tensor) -> Tensor:
    """uint8 or float 0..255 -> float in [0, 1]: the first step of every network."""
    return clip.float() / 255.0 if not clip.is_floating_point() else clip / 255.0


class StreamEncoder(nn.Sequential):
    """Six 3D convolutions without bias, each with batch normalisation and ReLU; no pooling (spec 1 "Networks").

    [N, C, T, H, W] -> [N, 256 * width, T', H / 16, W / 16]; T is halved in the layers `halves_time` (0-based).
    Halving: kernel 4, stride 2, padding 1; same size: kernel 3, stride 1, padding 1, chosen axis by axis.
    """

    def __init__(self, channels: int, *, width: float, halves_time: Sequence[int]) -> None:
        layers: list[nn.Module] = []
        before = channels
        for index, full in enumerate(WIDTHS):
            now = scaled(full, width)
            halved = (index in halves_time, index in HALVES_SIZE, index in HALVES_SIZE)
            kernel = tuple(4 if h else 3 for h in halved)
            stride = tuple(2 if h else 1 for h in halved)
            layers += [nn.Conv3d(before, now, kernel, stride, padding=1, bias=False), nn.BatchNorm3d(now), nn.ReLU()]
            before = now
        super().__init__(*layers)


class ClipEncoder(nn.Module):
    """One StreamEncoder a stream; the flattened maps stand side by side.

    [N, S, C, T, H, W] in [0, 1] -> [N, features]. Computed channels-last, which trains faster on CPUs.
    """

    def __init__(
        self, *, streams: int, channels: int, size: int, frames: int, width: float, halves_time: Sequence[int]
    ) -> None:
        super().__init__()
        self.streams = nn.ModuleList(
            StreamEncoder(channels, width=width, halves_time=halves_time) for _ in range(streams)
        )
        self.to(memory_format=torch.channels_last_3d)
        side = size // 2 ** len(HALVES_SIZE)
        depth = frames // 2 ** len(halves_time)
        if side < 1 or depth < 1:
            raise ValueError(f"{frames} frames of {size} pixels are too small for this encoder")
        self.features = streams * scaled(WIDTHS[-1], width) * depth * side * side

    def forward(self, clip: Tensor) -> Tensor:
        maps = []
        for index, encoder in enumerate(self.streams):
            stream = clip[:, index].contiguous(memory_format=torch.channels_last_3d)  # N C T H W
            maps.append(encoder(stream).flatten(1))  # N 256*T'*4*4
        return torch.cat(maps, dim=1)  # N features
