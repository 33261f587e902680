"""Video captioning: from video features to a sentence (Venugopalan et al. 2015; Ptucha 2019, part V).

The encoder-decoder of `models.translation` with features [S, B, D] instead of source words: normalized by the
statistics of the training set and projected to the embedding width by a linear layer and ReLU. Parameters from 240
features of a skeleton, 128 wide, 1 layer, 75 words, attention: 0.48 M.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from gesta.models.feature_classifier import Standardized
from gesta.models.translation import SequenceToText


class FeatureEmbedding(nn.Module):
    """[S, B, D] -> [S, B, width]."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.norm = Standardized(features)
        self.linear = nn.Linear(features, width)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(self.norm(features)).relu()


class CaptionNet(SequenceToText):
    """Captioning from `features`-dimensional features; `settings`: those of SequenceToText."""

    def __init__(self, *, features: int, embedding: int, **settings: Any) -> None:
        super().__init__(source=FeatureEmbedding(features, embedding), embedding=embedding, **settings)

    def fit_statistics(self, features: Tensor) -> None:
        """Sets the normalization from the features [n, D] of the training set."""
        self.encoder.embedding.norm.fit(features)  # type: ignore[union-attr,operator]
