"""An unsupervised prior of hand poses (named as a next step by Kazakos, chapter 5): how unusual a pose is.

Learned from poses alone, without images: their mean and the principal components that explain 95 % of their variance
(Oberweger et al. 2015 constrain the last layer to such a space, see gesta.models.deep_prior; here it is a penalty).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

EXPLAINED = 0.95


class PosePrior(nn.Module):
    """joints [B, J, 3] -> the loss of the thesis between them and the nearest typical pose, a scalar.

    `poses` [N, J, 3], N >= 2, in the same units.
    """

    mean: Tensor
    components: Tensor

    def __init__(self, poses: Tensor, explained: float = EXPLAINED) -> None:
        super().__init__()
        flat = poses.flatten(1)
        mean = flat.mean(0)
        _, sizes, components = torch.linalg.svd(flat - mean, full_matrices=False)  # components K 3J
        shares = sizes.square().cumsum(0) / sizes.square().sum().clamp(min=1e-12)
        count = int((shares < explained).sum()) + 1
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("components", components[:count], persistent=False)

    def forward(self, joints: Tensor) -> Tensor:
        apart = joints.flatten(1).float() - self.mean
        unusual = apart - apart @ self.components.T @ self.components
        return unusual.square().sum(1).mean() / (2 * joints.shape[1])
