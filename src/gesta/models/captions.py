"""Video captioning: from video features to a sentence (Venugopalan et al. 2015; Ptucha 2019, part V).

The encoder-decoder of `models.translation` with features [S, B, D] instead of source words: normalized by the
statistics of the training set and projected to the embedding width by a linear layer and ReLU. `halvings`: temporal
convolutions of 5 steps before the LSTM, each followed by pooling that halves the number of steps (Min, Hao, Chai,
Chen 2021, "Visual Alignment Constraint for Continuous Sign Language Recognition"). Parameters from 240 features of a
skeleton, 128 wide, 1 layer, 75 words, attention: 0.48 M; each halving 0.08 M more.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from gesta.models.feature_classifier import Standardized
from gesta.models.tcn import FrameNorm
from gesta.models.translation import SequenceToText, places

KERNEL = 5


class FeatureEmbedding(nn.Module):
    """[S, B, D] -> [S, B, width]."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.norm = Standardized(features)
        self.linear = nn.Linear(features, width)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(self.norm(features)).relu()


class Halving(nn.Module):
    """Convolution, BN, ReLU, maximum of two steps each: [S, B, C], lengths [B] -> half as many steps, their lengths."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2, bias=False)
        self.norm = FrameNorm(width)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        valid = (places(x) < lengths).T  # B S
        steps = x.permute(1, 2, 0) * valid.unsqueeze(1)  # B C S
        steps = self.norm(self.convolution(steps), valid).relu() * valid.unsqueeze(1)
        return F.max_pool1d(steps, 2, ceil_mode=True).permute(2, 0, 1), (lengths + 1) // 2


def halving(width: int, times: int) -> list[nn.Module]:
    """The layers between features and LSTM that halve the number of steps."""
    return [Halving(width) for _ in range(times)]


class CaptionNet(SequenceToText):
    """Captioning from `features`-dimensional features; `settings`: those of SequenceToText."""

    def __init__(self, *, features: int, embedding: int, halvings: int = 0, **settings: Any) -> None:
        source, pooling = FeatureEmbedding(features, embedding), halving(embedding, halvings)
        super().__init__(source=source, pooling=pooling, embedding=embedding, **settings)

    def fit_statistics(self, features: Tensor) -> None:
        """Sets the normalization from the features [n, D] of the training set."""
        self.encoder.embedding.norm.fit(features)  # type: ignore[union-attr,operator]
