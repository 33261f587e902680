"""Network in Network (Lin, Chen and Yan 2014; Mullick 2018, tables 4.4 and 4.5).

In: images uint8 or float 0..255 [B, 3, 32, 32]. Out: logits [B, N].
Parameters: 1,004,042 for N = 10, 1,021,412 for N = 100.
Deviations from the paper, by the document's number of parameters (spec 2, Decision): the last convolution has 192 maps
instead of N, and a linear layer follows the global pooling. As in the paper there is no batch normalisation.
"""

from __future__ import annotations

from torch import Tensor, nn

from gesta.models.layers import he_initialised, to_signed

MAPS = 192


def _mlp_convolution(before: int, widths: tuple[int, int, int], kernel: int) -> list[nn.Module]:
    """A convolution and two 1 x 1 convolutions, each with bias and ReLU; the size stays."""
    first, second, third = widths
    return [
        nn.Conv2d(before, first, kernel, padding=kernel // 2),
        nn.ReLU(),
        nn.Conv2d(first, second, 1),
        nn.ReLU(),
        nn.Conv2d(second, third, 1),
        nn.ReLU(),
    ]


class NetworkInNetwork(nn.Module):
    """Three convolutions with two 1 x 1 convolutions behind each, pooling between, mean over the image, linear N.

    `dropout` stands behind the first two parts, as in the paper (0.5 there).
    """

    def __init__(self, *, classes: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            *_mlp_convolution(3, (192, 160, 96), 5),
            nn.MaxPool2d(3, 2, padding=1),  # 32 -> 16
            nn.Dropout(dropout),
            *_mlp_convolution(96, (MAPS, MAPS, MAPS), 5),
            nn.AvgPool2d(3, 2, padding=1),  # 16 -> 8
            nn.Dropout(dropout),
            *_mlp_convolution(MAPS, (MAPS, MAPS, MAPS), 3),
        )
        self.classifier = nn.Linear(MAPS, classes)
        he_initialised(self)

    def reset_classifier(self, classes: int) -> None:
        """A new, untrained last layer for so many classes."""
        self.classifier = nn.Linear(MAPS, classes).to(self.classifier.weight.device)

    def forward_features(self, images: Tensor) -> Tensor:
        """[B, 3, 32, 32] -> [B, 192]."""
        return self.convolutions(to_signed(images)).mean((2, 3))  # B 192 8 8 -> B 192

    def forward_head(self, features: Tensor) -> Tensor:
        return self.classifier(features)

    def forward(self, images: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(images))
