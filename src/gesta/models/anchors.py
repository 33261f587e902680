"""A compact hand pose network of anchor points, after A2J (Xiong et al. 2019, "A2J: anchor-to-joint regression").

hand float32 [B, C, H, W] -> joints [B, J, 3]. Every cell of a grid is an anchor; for each joint it predicts the
joint's offset in the image plane, its depth, and a confidence: the joint is the mean of the predictions of all anchors,
weighted by a softmax of the confidences. Convolutions only: the patch size may be any multiple of 16.
At width 1 with 1 channel and 14 joints: 1.40 million parameters. Deviations: a small residual backbone with one
upsampling step instead of ResNet-50, one anchor per cell at a stride of 8, one branch instead of three.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gesta.models.layers import he_initialized, scaled
from gesta.models.pose_layers import PoseNet

WIDTHS = (24, 48, 96, 160)
"""Channels at strides 2, 4, 8 and 16, at width 1."""
BETA = 0.02
"""Threshold of the smooth L1 loss in half cubes: quadratic below it, linear above."""
JOINT_WEIGHT = 3.0


class Residual(nn.Module):
    """Two 3 x 3 convolutions with batch normalization and an identity shortcut (1 x 1 if the shape changes)."""

    def __init__(self, before: int, now: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, now, 3, stride, 1, bias=False),
            nn.BatchNorm2d(now),
            nn.ReLU(inplace=True),
            nn.Conv2d(now, now, 3, 1, 1, bias=False),
            nn.BatchNorm2d(now),
        )
        self.same = before == now and stride == 1
        if not self.same:
            self.skip = nn.Sequential(nn.Conv2d(before, now, 1, stride, bias=False), nn.BatchNorm2d(now))

    def forward(self, maps: Tensor) -> Tensor:
        return torch.relu(self.body(maps) + (maps if self.same else self.skip(maps)))


class Anchors(PoseNet):
    def __init__(self, *, joints: int, channels: int, dropout: float = 0.0, width: float = 1.0) -> None:
        super().__init__()
        self.joints = joints
        a, b, c, d = (scaled(full, width) for full in WIDTHS)
        self.stem = nn.Sequential(nn.Conv2d(channels, a, 5, 2, 2, bias=False), nn.BatchNorm2d(a), nn.ReLU(inplace=True))
        self.stride4 = nn.Sequential(Residual(a, b, 2), Residual(b, b))
        self.stride8 = nn.Sequential(Residual(b, c, 2), Residual(c, c))
        self.stride16 = nn.Sequential(Residual(c, d, 2), Residual(d, d), nn.Dropout2d(dropout))
        self.across = nn.Conv2d(d, c, 1)
        self.head = Residual(c, c)
        self.answer = nn.Conv2d(c, 4 * joints, 1)  # per joint: confidence, x, y, z
        he_initialized(self)
        nn.init.normal_(self.answer.weight, std=0.001)

    def forward(self, hand: Tensor) -> Tensor:
        return self._said(hand)[0]

    def learn(self, hand: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Adds a loss that places the weighted anchors around their joint (A2J, section 3.3)."""
        found, around = self._said(hand)
        near = F.smooth_l1_loss(around, truth[..., :2], beta=BETA)
        return found, JOINT_WEIGHT * F.smooth_l1_loss(found, truth, beta=BETA) + near

    def _said(self, hand: Tensor) -> tuple[Tensor, Tensor]:
        """Joints [B, J, 3], and the weighted means of the anchor positions [B, J, 2]."""
        fine = self.stride8(self.stride4(self.stem(hand)))  # B c H/8 W/8
        coarse = self.across(self.stride16(fine))  # B c H/16 W/16
        maps = self.head(fine + F.interpolate(coarse, scale_factor=2.0, mode="nearest"))
        answer = self.answer(maps).unflatten(1, (self.joints, 4)).flatten(3)  # B J 4 A
        believed = answer[:, :, 0].softmax(-1).unsqueeze(2)  # B J 1 A
        around = (believed * places(maps)).sum(-1)  # B J 2
        offsets = (believed * answer[:, :, 1:]).sum(-1)  # B J 3
        return offsets + F.pad(around, (0, 1)), around


def places(maps: Tensor) -> Tensor:
    """x (right) and y (up) of the cells' centers in half cubes: [B, C, H, W] -> [2, H * W]."""
    height, width = maps.shape[-2:]
    x = (torch.arange(width, device=maps.device, dtype=maps.dtype) + 0.5) * (2 / width) - 1
    y = 1 - (torch.arange(height, device=maps.device, dtype=maps.dtype) + 0.5) * (2 / height)
    return torch.stack([x.repeat(height), y.repeat_interleave(width)])
