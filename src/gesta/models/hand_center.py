"""A small network that finds the center of a hand, after the refinement network of DeepPrior++ (Oberweger and Lepetit
2017, "DeepPrior++: improving fast and accurate 3D hand pose estimation"): it corrects a rough center, repeatedly.

patch float32 [B, 1, S, S], normalized depth of a cube around the rough center -> offset float32 [B, 3] of the hand's
center: right and up in the image plane, and in depth, in units of half the cube. 97,908 parameters, for any S.
Deviations: convolutions only, and every cell of the last map is an anchor, as in gesta.models.anchors (Xiong et al.
2019), instead of fully connected layers, which need more training frames.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from gesta.models.anchors import BETA, JOINT_WEIGHT, places
from gesta.models.layers import he_initialized

PLAN = ((16, 5, 2, 1), (32, 3, 2, 1), (64, 3, 2, 1), (64, 3, 1, 2), (64, 3, 1, 2))
"""Channels, kernel, stride and dilation of the convolutions."""


class HandCenter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for channels, kernel, stride, dilation in PLAN:
            padding = kernel // 2 * dilation
            layers += [nn.Conv2d(before, channels, kernel, stride, padding, dilation, bias=False)]
            layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
            before = channels
        self.layers = nn.Sequential(*layers)
        self.answer = nn.Conv2d(before, 4, 1)  # confidence, right, up, depth
        he_initialized(self)
        nn.init.normal_(self.answer.weight, std=0.001)

    def forward(self, patch: Tensor) -> Tensor:
        return self._found(patch)[0]

    def learn(self, patch: Tensor, truth: Tensor) -> Tensor:
        """The loss of A2J: of the offsets, and of the weighted anchors, which should lie around the center."""
        found, around = self._found(patch)
        near = F.smooth_l1_loss(around, truth[:, :2], beta=BETA)
        return JOINT_WEIGHT * F.smooth_l1_loss(found, truth, beta=BETA) + near

    def _found(self, patch: Tensor) -> tuple[Tensor, Tensor]:
        """Offsets [B, 3], and the weighted means of the anchor positions [B, 2]."""
        maps = self.layers(patch)  # B 64 S/8 S/8
        answer = self.answer(maps).flatten(2)  # B 4 A
        believed = answer[:, :1].softmax(-1)  # B 1 A
        around = (believed * places(maps)).sum(-1)  # B 2
        offsets = (believed * answer[:, 1:]).sum(-1)  # B 3
        return offsets + F.pad(around, (0, 1)), around
