"""Inception-v3 (Szegedy et al. 2016, "Rethinking the Inception architecture", table 1); torchvision's tensor names.

In: images uint8 or float 0..255 [B, 3, H, W] (299 x 299 as published, at least 75). Out: logits [B, N].
Parameters for N = 1000: 23,834,568; with the auxiliary head 27,161,264.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gesta.models.backbone import SIGNED, Backbone, ConvNorm, Step
from gesta.models.layers import he_initialized, scaled


@dataclass(frozen=True)
class Unit:
    """One convolution of a module. Stride 1 keeps the size; stride 2 has no padding."""

    name: str
    maps: int
    kernel: tuple[int, int]
    stride: int = 1


Path = tuple[Unit | tuple[Unit, Unit] | str, ...]
"""Units in sequence; a pair is parallel; "avg" and "max" are pooling."""


def _a(pool: int) -> tuple[Path, ...]:
    """35 x 35 (figure 5)."""
    return (
        (Unit("branch1x1", 64, (1, 1)),),
        (Unit("branch5x5_1", 48, (1, 1)), Unit("branch5x5_2", 64, (5, 5))),
        (
            Unit("branch3x3dbl_1", 64, (1, 1)),
            Unit("branch3x3dbl_2", 96, (3, 3)),
            Unit("branch3x3dbl_3", 96, (3, 3)),
        ),
        ("avg", Unit("branch_pool", pool, (1, 1))),
    )


def _b() -> tuple[Path, ...]:
    """35 x 35 -> 17 x 17 (figure 10)."""
    return (
        (Unit("branch3x3", 384, (3, 3), 2),),
        (
            Unit("branch3x3dbl_1", 64, (1, 1)),
            Unit("branch3x3dbl_2", 96, (3, 3)),
            Unit("branch3x3dbl_3", 96, (3, 3), 2),
        ),
        ("max",),
    )


def _c(inner: int) -> tuple[Path, ...]:
    """17 x 17 (figure 6)."""
    return (
        (Unit("branch1x1", 192, (1, 1)),),
        (
            Unit("branch7x7_1", inner, (1, 1)),
            Unit("branch7x7_2", inner, (1, 7)),
            Unit("branch7x7_3", 192, (7, 1)),
        ),
        (
            Unit("branch7x7dbl_1", inner, (1, 1)),
            Unit("branch7x7dbl_2", inner, (7, 1)),
            Unit("branch7x7dbl_3", inner, (1, 7)),
            Unit("branch7x7dbl_4", inner, (7, 1)),
            Unit("branch7x7dbl_5", 192, (1, 7)),
        ),
        ("avg", Unit("branch_pool", 192, (1, 1))),
    )


def _d() -> tuple[Path, ...]:
    """17 x 17 -> 8 x 8."""
    return (
        (Unit("branch3x3_1", 192, (1, 1)), Unit("branch3x3_2", 320, (3, 3), 2)),
        (
            Unit("branch7x7x3_1", 192, (1, 1)),
            Unit("branch7x7x3_2", 192, (1, 7)),
            Unit("branch7x7x3_3", 192, (7, 1)),
            Unit("branch7x7x3_4", 192, (3, 3), 2),
        ),
        ("max",),
    )


def _e() -> tuple[Path, ...]:
    """8 x 8 (figure 7)."""
    return (
        (Unit("branch1x1", 320, (1, 1)),),
        (
            Unit("branch3x3_1", 384, (1, 1)),
            (Unit("branch3x3_2a", 384, (1, 3)), Unit("branch3x3_2b", 384, (3, 1))),
        ),
        (
            Unit("branch3x3dbl_1", 448, (1, 1)),
            Unit("branch3x3dbl_2", 384, (3, 3)),
            (Unit("branch3x3dbl_3a", 384, (1, 3)), Unit("branch3x3dbl_3b", 384, (3, 1))),
        ),
        ("avg", Unit("branch_pool", 192, (1, 1))),
    )


STEM = (32, 32, 64, 80, 192)
MIXED: dict[str, tuple[Path, ...]] = {
    "Mixed_5b": _a(32),
    "Mixed_5c": _a(64),
    "Mixed_5d": _a(64),
    "Mixed_6a": _b(),
    "Mixed_6b": _c(128),
    "Mixed_6c": _c(160),
    "Mixed_6d": _c(160),
    "Mixed_6e": _c(192),
    "Mixed_7a": _d(),
    "Mixed_7b": _e(),
    "Mixed_7c": _e(),
}


class Mixed(nn.Module):
    """Parallel paths: [B, before, H, W] -> [B, sum of the paths, h, w]."""

    def __init__(self, before: int, paths: tuple[Path, ...], width: float) -> None:
        super().__init__()
        self.paths = paths
        self.out_channels = 0
        for path in paths:
            now = before
            for part in path:
                if isinstance(part, str):
                    continue
                units = part if isinstance(part, tuple) else (part,)
                for unit in units:
                    self.add_module(unit.name, _convolution(unit, now, width))
                now = sum(scaled(unit.maps, width) for unit in units)
            self.out_channels += now

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([self._along(path, maps) for path in self.paths], 1)

    def _along(self, path: Path, maps: Tensor) -> Tensor:
        for part in path:
            if part == "avg":
                maps = F.avg_pool2d(maps, 3, 1, padding=1)
            elif part == "max":
                maps = F.max_pool2d(maps, 3, 2)
            elif isinstance(part, tuple):
                maps = torch.cat([self.get_submodule(unit.name)(maps) for unit in part], 1)
            elif isinstance(part, Unit):
                maps = self.get_submodule(part.name)(maps)
        return maps


def _convolution(unit: Unit, before: int, width: float) -> ConvNorm:
    high, wide = unit.kernel
    padding = (high // 2, wide // 2) if unit.stride == 1 else (0, 0)
    return ConvNorm(before, scaled(unit.maps, width), unit.kernel, unit.stride, padding)


class AuxiliaryHead(nn.Module):
    """On Mixed_6e, 17 x 17: 5 x 5 average pooling, 1 x 1 and 5 x 5 convolution, mean, linear N."""

    def __init__(self, before: int, classes: int, width: float) -> None:
        super().__init__()
        inner, outer = scaled(128, width), scaled(768, width)
        self.conv0 = ConvNorm(before, inner, 1)
        self.conv1 = ConvNorm(inner, outer, 5)
        self.fc = nn.Linear(outer, classes)

    def forward(self, maps: Tensor) -> Tensor:
        maps = self.conv1(self.conv0(F.avg_pool2d(maps, 5, 3)))  # B 768 1 1
        return self.fc(maps.mean((2, 3)))


class InceptionV3(Backbone):
    """Feature stages: the modules Mixed_5b to Mixed_7c.

    `auxiliary`: the head of the published file, only useful for training; `forward` ignores it.
    """

    heads = ("AuxLogits",)

    def __init__(
        self, *, classes: int, channels: int = 3, width: float = 1.0, dropout: float = 0.5, auxiliary: bool = False
    ) -> None:
        a, b, c, d, e = (scaled(full, width) for full in STEM)
        mixed, before = {}, e
        for name, paths in MIXED.items():
            mixed[name] = Mixed(before, paths, width)
            before = mixed[name].out_channels
        super().__init__({name: module.out_channels for name, module in mixed.items()}, 299, SIGNED, dropout)
        self.Conv2d_1a_3x3 = ConvNorm(channels, a, 3, 2)
        self.Conv2d_2a_3x3 = ConvNorm(a, b, 3)
        self.Conv2d_2b_3x3 = ConvNorm(b, c, 3, padding=1)
        self.Conv2d_3b_1x1 = ConvNorm(c, d, 1)
        self.Conv2d_4a_3x3 = ConvNorm(d, e, 3)
        for name, module in mixed.items():
            self.add_module(name, module)
        if auxiliary:
            self.AuxLogits = AuxiliaryHead(self.stages["Mixed_6e"], classes, width)
        self.fc = nn.Linear(before, classes)
        he_initialized(self)

    def stem(self, maps: Tensor) -> Tensor:
        """[B, 3, 299, 299] -> [B, 192, 35, 35]."""
        maps = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(maps)))  # B 64 147 147
        maps = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(maps, 3, 2)))  # B 192 71 71
        return F.max_pool2d(maps, 3, 2)

    def steps(self) -> list[Step]:
        return [("stem", self.stem), *((name, self.get_submodule(name)) for name in self.stages)]
