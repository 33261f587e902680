"""Inception-v1, GoogLeNet (Szegedy et al. 2015, "Going deeper with convolutions", table 1), with batch normalization
and torchvision's tensor names.

In: images uint8 or float 0..255 [B, 3, H, W] (224 x 224 as published). Out: logits [B, N].
Parameters for N = 1000: 6,624,904; with both auxiliary heads 13,004,888.
Deviations, as in torchvision: batch normalization after every convolution, no biases, no local response
normalization; the "5 x 5" branch has 3 x 3 kernels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gesta.models.backbone import SIGNED, Backbone, ConvNorm, Step
from gesta.models.layers import he_initialized, scaled

MIXED: dict[str, tuple[int, int, int, int, int, int]] = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
"""Channels of each module: 1 x 1; 1 x 1 then 3 x 3; 1 x 1 then "5 x 5"; after the pooling (table 1)."""
STEM = (64, 64, 192)


class Mixed(nn.Module):
    """Four parallel branches that keep the size: [B, before, H, W] -> [B, sum of the branches, H, W]."""

    def __init__(self, before: int, maps: tuple[int, ...]) -> None:
        super().__init__()
        one, reduce3, three, reduce5, five, pool = maps
        self.branch1 = ConvNorm(before, one, 1)
        self.branch2 = nn.Sequential(ConvNorm(before, reduce3, 1), ConvNorm(reduce3, three, 3, padding=1))
        self.branch3 = nn.Sequential(ConvNorm(before, reduce5, 1), ConvNorm(reduce5, five, 3, padding=1))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, padding=1, ceil_mode=True), ConvNorm(before, pool, 1))
        self.out_channels = one + three + five + pool

    def forward(self, maps: Tensor) -> Tensor:
        branches = (self.branch1, self.branch2, self.branch3, self.branch4)
        return torch.cat([branch(maps) for branch in branches], 1)


class AuxiliaryHead(nn.Module):
    """Average pooling to 4 x 4, 1 x 1 convolution, linear 1024, ReLU, dropout 0.7, linear N."""

    def __init__(self, before: int, classes: int, width: float) -> None:
        super().__init__()
        maps, hidden = scaled(128, width), scaled(1024, width)
        self.conv = ConvNorm(before, maps, 1)
        self.fc1 = nn.Linear(maps * 16, hidden)
        self.fc2 = nn.Linear(hidden, classes)
        self.dropout = nn.Dropout(0.7)

    def forward(self, maps: Tensor) -> Tensor:
        small = self.conv(F.adaptive_avg_pool2d(maps, 4)).flatten(1)  # B 128*4*4
        return self.fc2(self.dropout(self.fc1(small).relu()))


class InceptionV1(Backbone):
    """Feature stages: the modules inception3a to inception5b.

    `auxiliary`: the two heads of the published file, only useful for training; `forward` ignores them.
    """

    heads = ("aux1", "aux2")

    def __init__(
        self, *, classes: int, channels: int = 3, width: float = 1.0, dropout: float = 0.2, auxiliary: bool = False
    ) -> None:
        wide = {name: tuple(scaled(full, width) for full in maps) for name, maps in MIXED.items()}
        stages = {f"inception{name}": m[0] + m[2] + m[4] + m[5] for name, m in wide.items()}
        super().__init__(stages, 224, SIGNED, dropout)
        first, second, before = (scaled(full, width) for full in STEM)
        self.conv1 = ConvNorm(channels, first, 7, 2, padding=3)
        self.conv2 = ConvNorm(first, second, 1)
        self.conv3 = ConvNorm(second, before, 3, padding=1)
        for name, maps in wide.items():
            mixed = Mixed(before, maps)
            self.add_module(f"inception{name}", mixed)
            before = mixed.out_channels
        if auxiliary:
            self.aux1 = AuxiliaryHead(stages["inception4a"], classes, width)
            self.aux2 = AuxiliaryHead(stages["inception4d"], classes, width)
        self.fc = nn.Linear(before, classes)
        he_initialized(self)

    def stem(self, maps: Tensor) -> Tensor:
        maps = F.max_pool2d(self.conv1(maps), 3, 2, ceil_mode=True)  # B 64 H/4 W/4
        return F.max_pool2d(self.conv3(self.conv2(maps)), 3, 2, ceil_mode=True)  # B 192 H/8 W/8

    def steps(self) -> list[Step]:
        steps: list[Step] = [("stem", self.stem)]
        for name in self.stages:
            if name == "inception4a":
                steps.append(("", lambda maps: F.max_pool2d(maps, 3, 2, ceil_mode=True)))  # H/16 W/16
            if name == "inception5a":
                steps.append(("", lambda maps: F.max_pool2d(maps, 2, 2, ceil_mode=True)))  # H/32 W/32
            steps.append((name, self.get_submodule(name)))
        return steps
