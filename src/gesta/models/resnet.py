"""ResNet-18, 34 and 50 (He et al. 2016, "Deep residual learning", table 1), with torchvision's tensor names.

In: images uint8 or float 0..255 [B, 3, H, W] (224 x 224 as published). Out: logits [B, N].
Parameters for N = 1000: 11,689,512; 21,797,672; 25,557,032.
Deviation, as in torchvision: a bottleneck halves the size in its 3 x 3 convolution, not in its first 1 x 1.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from gesta.models.backbone import IMAGENET, Backbone, Step
from gesta.models.layers import he_initialized, scaled

Run = Callable[[str, nn.Module, Tensor], Tensor]
"""(name of a layer, the layer, its input) -> its output: a hook to observe or modify activations."""

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
STEM, WIDTHS, EXPANSION = 64, (64, 128, 256, 512), 4


def plain(_: str, layer: nn.Module, maps: Tensor) -> Tensor:
    return layer(maps)


def _projection(before: int, now: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and before == now:
        return None
    return nn.Sequential(nn.Conv2d(before, now, 1, stride, bias=False), nn.BatchNorm2d(now))


class _Block(nn.Module):
    """A residual branch with an identity or projection shortcut.

    The projection is computed first, as in Iqbal's layer numbering (gesta.models.st_resnet); `projection_last` if a
    connection from the residual branch is added to it. The result is the same.
    """

    downsample: nn.Sequential | None
    projection_last = False

    def forward(self, maps: Tensor, run: Run = plain, name: str = "") -> Tensor:
        if self.projection_last:
            inner = self.residual(maps, run, name)
            return (inner + self.shortcut(maps, run, name)).relu()
        beside = self.shortcut(maps, run, name)
        return (self.residual(maps, run, name) + beside).relu()

    def residual(self, maps: Tensor, run: Run, name: str) -> Tensor:
        raise NotImplementedError

    def shortcut(self, maps: Tensor, run: Run, name: str) -> Tensor:
        if self.downsample is None:
            return maps
        maps = run(f"{name}.downsample.0", self.downsample[0], maps)
        return run(f"{name}.downsample.1", self.downsample[1], maps)


class Basic(_Block):
    """Two 3 x 3 convolutions. [B, before, H, W] -> [B, width, H / s, W / s]."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _projection(before, width, stride)
        self.out_channels = width

    def residual(self, maps: Tensor, run: Run, name: str) -> Tensor:
        inner = run(f"{name}.bn1", self.bn1, run(f"{name}.conv1", self.conv1, maps)).relu()
        return run(f"{name}.bn2", self.bn2, run(f"{name}.conv2", self.conv2, inner))


class Bottleneck(_Block):
    """1 x 1, 3 x 3, 1 x 1 to four times the width. [B, before, H, W] -> [B, 4 * width, H / s, W / s]."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, EXPANSION * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(EXPANSION * width)
        self.downsample = _projection(before, EXPANSION * width, stride)
        self.out_channels = EXPANSION * width

    def residual(self, maps: Tensor, run: Run, name: str) -> Tensor:
        inner = run(f"{name}.bn1", self.bn1, run(f"{name}.conv1", self.conv1, maps)).relu()
        inner = run(f"{name}.bn2", self.bn2, run(f"{name}.conv2", self.conv2, inner)).relu()
        return run(f"{name}.bn3", self.bn3, run(f"{name}.conv3", self.conv3, inner))


class ResNet(Backbone):
    """7 x 7 convolution and pooling to a quarter of the size, four stages of blocks, mean, linear N.

    Feature stages: layer1 to layer4. The document's block2, block3 and block4 are layer2 to layer4.
    """

    def __init__(
        self, depth: int, *, classes: int, channels: int = 3, width: float = 1.0, dropout: float = 0.0
    ) -> None:
        block = Bottleneck if depth >= 50 else Basic
        widths = [scaled(full, width) for full in WIDTHS]
        growth = EXPANSION if block is Bottleneck else 1
        super().__init__({f"layer{i + 1}": growth * w for i, w in enumerate(widths)}, 224, IMAGENET, dropout)
        before = scaled(STEM, width)
        self.conv1 = nn.Conv2d(channels, before, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(before)
        for index, (now, count) in enumerate(zip(widths, BLOCKS[depth], strict=True)):
            blocks = []
            for number in range(count):
                blocks.append(block(before, now, stride=2 if index > 0 and number == 0 else 1))
                before = blocks[-1].out_channels
            self.add_module(f"layer{index + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(before, classes)
        he_initialized(self)

    def stem(self, maps: Tensor, run: Run = plain) -> Tensor:
        maps = run("bn1", self.bn1, run("conv1", self.conv1, maps)).relu()  # B 64 H/2 W/2
        return F.max_pool2d(maps, 3, 2, padding=1)  # B 64 H/4 W/4

    def stage(self, name: str, maps: Tensor, run: Run = plain) -> Tensor:
        """Applies one of layer1 to layer4; all but the first halve the size."""
        for number, block in enumerate(self.get_submodule(name).children()):
            maps = block(maps, run, f"{name}.{number}")
        return maps

    def steps(self) -> list[Step]:
        return [("stem", self.stem), *((name, partial(self.stage, name)) for name in self.stages)]

    def watched(self, images: Tensor, run: Run) -> Tensor:
        """Like `forward_features`, but calls every convolution and normalization through `run`."""
        maps = self.stem(self.prepare(images), run)
        for name in self.stages:
            maps = self.stage(name, maps, run)
        return maps.mean((2, 3))
