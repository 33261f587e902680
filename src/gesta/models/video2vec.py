"""Vectors for videos, and for sentences in the same space (Ptucha 2019, part V).

The encoder of `models.captions` (bidirectional LSTMs over features); its last states, projected to E dimensions and
norm 1, are the vector. Training objectives (`objective`):

- "captions": a similar encoder computes sentence vectors, and a softmax over the batch matches sentences to videos and
  videos to sentences (Radford et al. 2021), with a learned temperature; a sentence that occurs more than once in a
  batch is correct for each of its videos;
- "classes": a linear layer on the vector;
- "reconstruction": an LSTM that gets the vector at every step reconstructs the normalized features, with a mean squared
  error (Srivastava et al. 2015).

Parameters from 240 features, 128 wide, vector 128, 75 words: 0.66 M with captions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gesta.models.captions import FeatureEmbedding, halving
from gesta.models.language import Dropout
from gesta.models.translation import Encoder, places, words

FIRST_SCALE = 10.0
"""1 / temperature, before training."""


class VectorEncoder(nn.Module):
    """Sequences [S, B] or [S, B, D] with lengths [B] -> vectors [B, E] of norm 1."""

    def __init__(
        self,
        embedding: nn.Module,
        width: int,
        hidden: int,
        vector: int,
        dropout: Dropout,
        pooling: Sequence[nn.Module] = (),
    ) -> None:
        super().__init__()
        self.encoder = Encoder(embedding, width, hidden, 1, dropout, pooling)
        self.linear = nn.Linear(2 * hidden, vector)

    def forward(self, source: Tensor, lengths: Tensor) -> Tensor:
        return F.normalize(self.linear(self.encoder(source, lengths).vector), dim=-1)


class VideoVectors(nn.Module):
    """`tokens`: vocabulary size of the sentences; `classes`: classes of the videos; 0 if the objective has none.

    `losses` returns a loss for each video of a batch, [B].
    """

    def __init__(
        self,
        *,
        objective: str,
        features: int,
        tokens: int,
        classes: int,
        embedding: int,
        hidden: int,
        vector: int,
        dropout: float = 0.0,
        halvings: int = 0,
    ) -> None:
        super().__init__()
        share = Dropout(dropout, False)
        source, pooling = FeatureEmbedding(features, embedding), halving(embedding, halvings)
        self.video = VectorEncoder(source, embedding, hidden, vector, share, pooling)
        self.text: VectorEncoder | None = None
        if objective == "captions":
            self.text = VectorEncoder(words(tokens, embedding), embedding, hidden, vector, share)
            self.scale = nn.Parameter(torch.tensor(FIRST_SCALE).log())
        elif objective == "classes":
            self.classifier = nn.Linear(vector, classes)
        else:
            self.decoder = nn.LSTM(vector, hidden)
            self.restore = nn.Linear(hidden, features)
        self.objective = objective

    def fit_statistics(self, features: Tensor) -> None:
        """Sets the normalization from the features [n, D] of the training set."""
        self.video.encoder.embedding.norm.fit(features)  # type: ignore[union-attr,operator]

    def losses(self, batch: dict[str, Tensor]) -> Tensor:
        vectors = self.video(batch["source"], batch["lengths"])
        if self.text is not None:
            said = self.text(batch["text"], batch["text_lengths"])
            return matching(vectors @ said.T * self.scale.exp(), batch["same"])
        if self.objective == "classes":
            return F.cross_entropy(FIRST_SCALE * self.classifier(vectors), batch["class"], reduction="none")
        return self._reconstruction(vectors, batch["source"], batch["lengths"])

    def _reconstruction(self, vectors: Tensor, source: Tensor, lengths: Tensor) -> Tensor:
        """Mean squared error over the features of each video, [B]."""
        outputs, _ = self.decoder(vectors.expand(len(source), -1, -1))  # S B H
        wanted = self.video.encoder.embedding.norm(source)  # type: ignore[union-attr,operator]
        mask = places(source) < lengths  # S B
        return ((self.restore(outputs) - wanted).square().mean(-1) * mask).sum(0) / lengths


def matching(scores: Tensor, same: Tensor) -> Tensor:
    """scores [B, B] of videos (rows) and sentences, same [B, B]: which belong together -> loss of each video, [B].

    The mean over both directions of -log of the total softmax probability of the correct ones.
    """
    wrong = ~same
    by_video = scores.logsumexp(1) - scores.masked_fill(wrong, -torch.inf).logsumexp(1)
    by_text = scores.logsumexp(0) - scores.masked_fill(wrong, -torch.inf).logsumexp(0)
    return (by_video + by_text) / 2
