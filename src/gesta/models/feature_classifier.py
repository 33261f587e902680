"""Classifiers of sequences of stored features: mean and linear, GRU, LSTM (Iqbal, chapter 5; sprint report; spec 5).

In: features float32 [B, T, D], zero-padded; lengths int64 [B], None = T. Out: logits [B, N].
Parameters: Iqbal's GRU on 2048 features, N = 101: 0.849 M; the report's two LSTMs of 1024 on 2048 features, N = 249:
21.24 M. Deviations: PyTorch's LSTM and GRU have two bias vectors per gate where the formulas have one, and its GRU
applies the reset gate after the recurrent matrix, where Cho et al. 2014 (whom Iqbal cites) apply it before.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from gesta.models.layers import Classifier

Recurrent = Literal["gru", "lstm"]


class Standardized(nn.Module):
    """z-normalization with statistics of the training set, 0 and 1 until they are set."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))

    def fit(self, features: Tensor) -> None:
        """Sets mean and standard deviation from [n, D]; constant features are only centered."""
        deviation = features.std(0, correction=0)
        self.mean.copy_(features.mean(0))
        self.deviation.copy_(torch.where(deviation > 0, deviation, torch.ones_like(deviation)))

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.deviation


class FeatureClassifier(Classifier):
    """Features -> (z-normalization) -> (changes) -> mean over time, or the last output of recurrent layers -> linear.

    Recurrent and linear layers: 1 or 2 each.

    `recurrent`: None for the mean. `hidden`: units of each recurrent layer; each is followed by dropout.
    `changes`: each feature is replaced by its change since the step before, 0 at the first: what stays the same during
    a video, such as person and background, is not seen.
    `dense`: number of linear layers, the last for the classes; one before it has `dense_width` units, ReLU and dropout.
    `keras`: as in the report's code: dropout on the inputs of each recurrent layer, with one mask for all steps of a
    sequence, and none before the linear layers; orthogonal recurrent weights, Glorot for the others, forget bias 1.
    It makes no difference to a trained network.
    """

    def __init__(
        self,
        *,
        features: int,
        classes: int,
        recurrent: Recurrent | None = None,
        hidden: int = 128,
        layers: int = 1,
        dense: int = 1,
        dense_width: int = 512,
        dropout: float = 0.0,
        normalise: bool = False,
        changes: bool = False,
        keras: bool = False,
    ) -> None:
        super().__init__()
        if layers not in (1, 2) or dense not in (1, 2):
            raise ValueError(f"expected 1 or 2 recurrent and linear layers, not {layers} and {dense}")
        self.norm = Standardized(features) if normalise else None
        self.changes = changes
        self.dropout = nn.Dropout(dropout)
        self.recurrent = None
        before = features
        if recurrent is not None:
            kind = nn.GRU if recurrent == "gru" else nn.LSTM
            between = dropout if layers > 1 and not keras else 0.0
            self.recurrent = kind(features, hidden, layers, batch_first=True, dropout=between)
            before = hidden
        self.inner = nn.Linear(before, dense_width) if dense == 2 else None
        self.classifier = nn.Linear(dense_width if dense == 2 else before, classes)
        self.keras = keras
        if keras:
            _as_keras_begins(self)

    def fit_statistics(self, features: Tensor) -> None:
        """Sets the z-normalization, if any, from the features [n, D] of the training set."""
        if self.norm is not None:
            self.norm.fit(features)

    def forward_features(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """[B, T, D] -> the mean [B, D] or the recurrent layers' output at the last valid step [B, hidden]."""
        if self.norm is not None:
            features = self.norm(features)
        if self.changes:
            features = torch.cat([torch.zeros_like(features[:, :1]), features[:, 1:] - features[:, :-1]], 1)
        if self.recurrent is None:
            return _mean(features, lengths)
        outputs = self._steps(features)  # B T hidden
        if lengths is None:
            return outputs[:, -1]
        last = (lengths - 1).reshape(-1, 1, 1).expand(-1, 1, outputs.shape[-1])  # B 1 hidden
        return outputs.gather(1, last)[:, 0]

    def _steps(self, features: Tensor) -> Tensor:
        """[B, T, D] -> the last recurrent layer's outputs, [B, T, hidden]."""
        assert self.recurrent is not None
        if not (self.keras and self.training and self.dropout.p):
            outputs: Tensor = self.recurrent(features)[0]
            return outputs
        one_layer = torch.lstm if isinstance(self.recurrent, nn.LSTM) else torch.gru
        begin = features.new_zeros(1, len(features), self.recurrent.hidden_size)
        state = (begin, begin) if isinstance(self.recurrent, nn.LSTM) else begin
        for layer in range(self.recurrent.num_layers):
            features = features * self.dropout(torch.ones_like(features[:, :1]))  # one mask for all steps
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            weights = [getattr(self.recurrent, f"{name}_l{layer}") for name in names]
            features = one_layer(features, state, weights, True, 1, 0.0, True, False, True)[0]  # type: ignore[arg-type]
        return features

    def forward_head(self, features: Tensor) -> Tensor:
        hidden = features if self.recurrent is None or self.keras else self.dropout(features)
        if self.inner is not None:
            hidden = self.inner(hidden).relu()
            hidden = hidden if self.keras else self.dropout(hidden)
        return self.classifier(hidden)

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.forward_head(self.forward_features(features, lengths))


def _as_keras_begins(network: FeatureClassifier) -> None:
    """Glorot uniform weights, orthogonal recurrent weights, zero biases, and a forget bias of 1 for LSTMs."""
    for name, tensor in network.named_parameters():
        if "weight_hh" in name:
            nn.init.orthogonal_(tensor)
        elif tensor.ndim > 1:
            nn.init.xavier_uniform_(tensor)
        else:
            nn.init.zeros_(tensor)
        if "bias_ih" in name and isinstance(network.recurrent, nn.LSTM):
            hidden = network.recurrent.hidden_size
            nn.init.ones_(tensor[hidden : 2 * hidden])  # gates: input, forget, cell, output


def _mean(features: Tensor, lengths: Tensor | None) -> Tensor:
    if lengths is None:
        return features.mean(1)
    valid = torch.arange(features.shape[1], device=features.device) < lengths.unsqueeze(1)  # B T
    return (features * valid.unsqueeze(-1)).sum(1) / lengths.unsqueeze(1)
