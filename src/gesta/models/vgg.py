"""VGG-16 with batch normalization (Simonyan and Zisserman 2015, configuration D; Mullick 2018, tables 4.4 and 4.5).

In: images uint8 or float 0..255 [B, 3, 32, 32]. Out: logits [B, N].
Parameters: 14,991,946 for N = 10, 15,038,116 for N = 100.
Deviations from the paper, to match the thesis's parameter count (spec 2, Corrected decision): batch normalization
after every convolution and the hidden layer, and one such layer of 512 where the paper has two of 4096, since 32
pixels leave a 1 x 1 map.
"""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from gesta.models.layers import Classifier, he_initialized, to_signed

STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Channels of the convolutions; each stage ends with pooling that halves the size: 32 -> 16 -> 8 -> 4 -> 2 -> 1."""
HIDDEN = 512


class Vgg16(Classifier):
    """Thirteen 3 x 3 convolutions with bias, BN, ReLU; linear 512, BN, ReLU, linear N.

    `dropout` is applied before both linear layers. `normalization=False`: the hidden layer without BN, as of weights
    up to commit 2895dc4.
    """

    def __init__(self, *, classes: int, dropout: float = 0.5, normalization: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for stage in STAGES:
            for source, now in itertools.pairwise((before, *stage)):
                layers += [nn.Conv2d(source, now, 3, padding=1), nn.BatchNorm2d(now), nn.ReLU()]
            layers.append(nn.MaxPool2d(2))
            before = stage[-1]
        self.convolutions = nn.Sequential(*layers)
        self.linear = nn.Linear(before, HIDDEN)
        self.linear_norm = nn.BatchNorm1d(HIDDEN) if normalization else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(HIDDEN, classes)
        he_initialized(self)

    def forward_features(self, images: Tensor) -> Tensor:
        """[B, 3, 32, 32] -> [B, 512]."""
        maps = self.convolutions(to_signed(images)).flatten(1)  # B 512 1 1 -> B 512
        return self.linear_norm(self.linear(self.dropout(maps))).relu()  # B 512

    def forward(self, images: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(images))
