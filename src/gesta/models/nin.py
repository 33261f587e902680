"""Network in Network (Lin, Chen and Yan 2014; Mullick 2018, tables 4.4 and 4.5).

In: images uint8 or float 0..255 [B, 3, 32, 32]. Out: logits [B, N].
Parameters: 1,005,642 for N = 10, 1,023,012 for N = 100.
Deviations from the paper (spec 2, Corrected decision): the last convolution has 192 maps instead of N, and a linear
layer follows the global pooling, to match the thesis's parameter count; batch normalization after every convolution,
which that count allows and without which training at the thesis's fixed rate of 0.3 diverges.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from gesta.models.layers import Classifier, he_initialized, to_signed

MAPS = 192


def _mlp_convolution(before: int, widths: Sequence[int], kernel: int, *, normalization: bool) -> list[nn.Module]:
    """A convolution and two 1 x 1 convolutions, each with BN (or a bias) and ReLU; keeps the size."""
    layers: list[nn.Module] = []
    for source, now in itertools.pairwise((before, *widths)):
        side = kernel if not layers else 1
        layers.append(nn.Conv2d(source, now, side, padding=side // 2, bias=not normalization))
        layers += [nn.BatchNorm2d(now)] if normalization else []
        layers.append(nn.ReLU())
    return layers


class NetworkInNetwork(Classifier):
    """Three convolutions each followed by two 1 x 1 convolutions, pooling in between, mean over the image, linear N.

    `dropout` is applied after the first two parts, as in the paper (0.5 there). `normalization=False`: the paper's
    network, as of weights up to commit 2895dc4.
    """

    def __init__(self, *, classes: int, dropout: float = 0.5, normalization: bool = True) -> None:
        super().__init__()
        part = partial(_mlp_convolution, normalization=normalization)
        self.convolutions = nn.Sequential(
            *part(3, (192, 160, 96), 5),
            nn.MaxPool2d(3, 2, padding=1),  # 32 -> 16
            nn.Dropout(dropout),
            *part(96, (MAPS, MAPS, MAPS), 5),
            nn.AvgPool2d(3, 2, padding=1),  # 16 -> 8
            nn.Dropout(dropout),
            *part(MAPS, (MAPS, MAPS, MAPS), 3),
        )
        self.classifier = nn.Linear(MAPS, classes)
        he_initialized(self)

    def forward_features(self, images: Tensor) -> Tensor:
        """[B, 3, 32, 32] -> [B, 192]."""
        return self.convolutions(to_signed(images)).mean((2, 3))  # B 192 8 8 -> B 192

    def forward_head(self, features: Tensor) -> Tensor:
        return self.classifier(features)

    def forward(self, images: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(images))
