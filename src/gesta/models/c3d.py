"""C3D (Tran et al. 2015, "Learning spatiotemporal features with 3D convolutional networks", figure 3; the tutorial's
point 8), with the tensor names of its PyTorch ports: conv1, conv2, conv3a ... fc8.

In: clip uint8 or float 0..255 [B, S, C, T, H, W], 1 x 3 x 16 x 112 x 112 as published. Out: logits [B, N].
Parameters for N = 101: 78,409,573. Deviations: none in the published setting; other sizes change fc6 only.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional as F

from gesta.models.backbone import SIGNED, normalized
from gesta.models.layers import he_initialized, scaled
from gesta.models.weights import length_of, load_tensors, read_tensors

PLAN = (
    (("conv1", 64),),
    (("conv2", 128),),
    (("conv3a", 256), ("conv3b", 256)),
    (("conv4a", 512), ("conv4b", 512)),
    (("conv5a", 512), ("conv5b", 512)),
)
"""3 x 3 x 3 convolutions and their channels; each group is followed by pooling, 1 x 2 x 2 first, then 2 x 2 x 2."""
HIDDEN = 4096
SPORTS1M = ((102 / 255, 98 / 255, 90 / 255), (1 / 255, 1 / 255, 1 / 255))
"""Statistics that the published weights expect: 0..255 minus the mean color. Not verified against the original file."""


def volume(clip: Tensor) -> Tensor:
    """[B, S, C, T, H, W] -> [B, S*C, T, H, W]: streams stacked as channels."""
    return clip.flatten(1, 2)


class C3d(nn.Module):
    """Eight convolutions, five poolings, fc6 and fc7 of 4096 with ReLU and dropout, fc8.

    `size`, `window`: pixels and frames of a clip. `statistics`: (mean, standard deviation) of red, green and blue.
    """

    stages = ("fc6", "fc7")

    def __init__(
        self,
        *,
        classes: int,
        channels: int = 3,
        size: int = 112,
        window: int = 16,
        width: float = 1.0,
        dropout: float = 0.5,
        statistics: tuple = SIGNED,
    ) -> None:
        super().__init__()
        self.window = window
        self.mean, self.deviation = statistics
        before = channels
        for group in PLAN:
            for name, full in group:
                now = scaled(full, width)
                self.add_module(name, nn.Conv3d(before, now, 3, padding=1))
                before = now
        side, frames = (size // 16 + 2) // 2, window // 16
        if min(side, frames) < 1 or size < 16:
            raise ValueError(f"{window} frames of {size} pixels are too small for C3D; it takes 16 of 16 or more")
        hidden = scaled(HIDDEN, width)
        self.fc6 = nn.Linear(before * frames * side * side, hidden)
        self.fc7 = nn.Linear(hidden, hidden)
        self.fc8 = nn.Linear(hidden, classes)
        self.dropout = nn.Dropout(dropout)
        he_initialized(self)

    def reset_classifier(self, classes: int) -> None:
        """Replaces the last layer with a new, untrained one for `classes` classes."""
        self.fc8 = nn.Linear(self.fc8.in_features, classes).to(self.fc8.weight.device)

    def forward_features(self, clip: Tensor, lengths: Tensor | None = None, stage: str = "fc7") -> Tensor:  # noqa: ARG002
        """[B, S, C, T, H, W] -> [B, 4096] after fc7 or, for the document's features, fc6."""
        maps = normalized(volume(clip), self.mean, self.deviation)
        for index, group in enumerate(PLAN):
            for name, _ in group:
                maps = self.get_submodule(name)(maps).relu()
            pool = (1, 2, 2) if index == 0 else (2, 2, 2)
            padding = (0, 1, 1) if index == len(PLAN) - 1 else 0
            maps = F.max_pool3d(maps, pool, pool, padding)
        hidden = self.fc6(maps.flatten(1)).relu()  # B 4096
        return hidden if stage == "fc6" else self.fc7(self.dropout(hidden)).relu()

    def forward_head(self, features: Tensor) -> Tensor:
        return self.fc8(self.dropout(features))

    def forward(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.forward_head(self.forward_features(clip, lengths))


def load_c3d(path: Path) -> C3d:
    """C3D with published weights (Sports-1M: 487 classes). Converted from BGR to RGB, which is used everywhere here.

    Raises WeightsError listing every tensor that does not fit.
    """
    tensors = read_tensors(path)
    network = C3d(classes=length_of(tensors, "fc8.weight", 0, 487), statistics=SPORTS1M)
    load_tensors(network, red_first(tensors), str(path))
    return network


def red_first(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a published file, converted from BGR to RGB; those for optical flow are unchanged."""
    first = tensors.get("conv1.weight")
    colors = first is not None and first.ndim > 1 and first.shape[1] == 3
    return {**tensors, "conv1.weight": tensors["conv1.weight"].flip(1)} if colors else dict(tensors)
