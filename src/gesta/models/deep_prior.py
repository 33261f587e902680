"""DeepPrior (Oberweger et al. 2015, "Hands deep in deep learning for hand pose estimation"): a pose prior by PCA.

hand float32 [B, 1, H, W] -> joints [B, J, 3]. Convolutions 8 (5x5) P4, 8 (5x5) P2, 8 (3x3), fully connected 1024 and
1024, a linear bottleneck of 30, then 3J, initialized by the principal components of the training poses. At 128 x 128
with 14 joints: 3.18 million parameters. Deviation: convolutions keep the size, as in the thesis's own networks.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gesta.models.pose_layers import PoseNet, made, specs, through

PLAN = "8:5 P4 8:5 P 8"


class DeepPrior(PoseNet):
    def __init__(
        self, *, joints: int, channels: int, size: int, hidden: int = 1024, dropout: float, bottleneck: int = 30
    ) -> None:
        super().__init__()
        self.joints = joints
        width = min(bottleneck, 3 * joints)
        layers = specs(PLAN, channels=channels, size=size, hidden=hidden, dropout=dropout, outputs=width)
        self.layers = made(layers)  # its "out" is the bottleneck
        self.components = nn.Linear(width, 3 * joints)

    def forward(self, hand: Tensor) -> Tensor:
        return self.components(through(self.layers, hand)).unflatten(1, (self.joints, 3))  # B J 3

    @torch.no_grad()
    def start_from(self, poses: Tensor) -> None:
        flat = poses.flatten(1)  # N 3J
        mean = flat.mean(0)
        _, _, components = torch.linalg.svd(flat - mean, full_matrices=False)  # min(N, 3J) 3J
        count = min(len(components), self.components.in_features)
        self.components.weight.zero_()
        self.components.weight[:, :count] = components[:count].T
        self.components.bias.copy_(mean)
