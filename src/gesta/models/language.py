"""LSTM language model: embedding -> LSTM layers -> unembedding (Ptucha 2019, part V; Zaremba et al. 2014).

In: tokens int64 [T, B], state (h, c), each [L, B, H]. Out: features [T, B, E], the next state; then logits [T, B, V].
Parameters of the tutorial's 3 x 512 on 65 characters, untied, embedding 512: 6.37 M (with two biases per gate).
Beyond the document, each off at zero: dropout, with one mask for all steps of a sequence if `variational` (Gal
and Ghahramani 2016); dropout of recurrent weights (Merity et al. 2018); embedding and unembedding tied (Press and Wolf
2017); an adaptive softmax for large vocabularies (Grave et al. 2017), which requires the most frequent tokens first.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

State = tuple[Tensor, Tensor]
INITIAL_RANGE = 0.1


class Dropout(nn.Module):
    """`variational`: one mask for all steps of a sequence [T, B, E]."""

    def __init__(self, share: float, variational: bool) -> None:
        super().__init__()
        self.share, self.variational = share, variational

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.variational or not self.training or not self.share:
            return F.dropout(inputs, self.share, self.training)
        kept = torch.full_like(inputs[:1], 1 - self.share).bernoulli_()  # 1 B E
        return inputs * kept / (1 - self.share)


class LanguageNet(nn.Module):
    """`dropout`: between layers and after the last; `cutoffs`: of the adaptive softmax, empty to disable it.

    If tied, a linear layer projects the outputs to the embedding width where they differ.
    """

    def __init__(
        self,
        *,
        tokens: int,
        embedding: int,
        hidden: int,
        layers: int,
        tied: bool = False,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        variational: bool = False,
        cutoffs: Sequence[int] = (),
    ) -> None:
        super().__init__()
        if tied and cutoffs:
            raise ValueError("an adaptive softmax has no unembedding to tie")
        self.tokens, self.hidden, self.layers, self.weight_dropout = tokens, hidden, layers, weight_dropout
        self.embedding = nn.Embedding(tokens, embedding)
        self.recurrent = nn.ModuleList(nn.LSTM(embedding if i == 0 else hidden, hidden) for i in range(layers))
        self.input_dropout, self.dropout = Dropout(input_dropout, variational), Dropout(dropout, variational)
        self.projection = nn.Linear(hidden, embedding) if tied and hidden != embedding else None
        self.adaptive = nn.AdaptiveLogSoftmaxWithLoss(hidden, tokens, list(cutoffs)) if cutoffs else None
        self.unembedding = None if cutoffs or tied else nn.Linear(hidden, tokens)
        self.bias = nn.Parameter(torch.zeros(tokens)) if tied else None
        self._initialize()

    def _initialize(self) -> None:
        nn.init.uniform_(self.embedding.weight, -INITIAL_RANGE, INITIAL_RANGE)
        for lstm in self.recurrent:
            nn.init.ones_(lstm.bias_ih_l0[self.hidden : 2 * self.hidden])  # type: ignore[index]  # forget gates open
        if self.unembedding is not None:
            nn.init.zeros_(self.unembedding.bias)

    def start(self, batch: int) -> State:
        zeros = self.embedding.weight.new_zeros(self.layers, batch, self.hidden)
        return zeros, zeros.clone()

    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """tokens [T, B] -> features [T, B, E], the state after them."""
        x = self.input_dropout(self.embedding(tokens))  # T B E
        h, c = [], []
        for layer, lstm in enumerate(self.recurrent):
            x, (h_layer, c_layer) = self._layer(lstm, x, (state[0][layer : layer + 1], state[1][layer : layer + 1]))
            x = self.dropout(x)  # T B H
            h.append(h_layer)
            c.append(c_layer)
        return x if self.projection is None else self.projection(x), (torch.cat(h), torch.cat(c))

    def _layer(self, lstm: nn.Module, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One fused layer, with recurrent weight dropout in training: the same mask at every step."""
        if not (self.training and self.weight_dropout):
            return lstm(x, state)
        weights = [
            F.dropout(weight, self.weight_dropout) if name.startswith("weight_hh") else weight
            for name, weight in lstm.named_parameters()
        ]
        x, h, c = torch.lstm(x, state, weights, True, 1, 0.0, True, False, False)
        return x, (h, c)

    def nats(self, features: Tensor, targets: Tensor) -> Tensor:
        """Negative log probability of every target: features [T, B, E], targets [T, B] -> [T, B]."""
        if self.adaptive is not None:
            return -self.adaptive(features.flatten(0, 1), targets.flatten()).output.view(targets.shape)
        return F.cross_entropy(self._logits(features).flatten(0, 1), targets.flatten(), reduction="none").view(
            targets.shape
        )

    def log_probabilities(self, features: Tensor) -> Tensor:
        """[..., E] -> [..., V]."""
        if self.adaptive is not None:
            return self.adaptive.log_prob(features.flatten(0, -2)).view(*features.shape[:-1], self.tokens)
        return self._logits(features).log_softmax(-1)

    def _logits(self, features: Tensor) -> Tensor:
        """[..., E] -> [..., V]; if tied, with the weights of the embedding."""
        if self.unembedding is None:
            return F.linear(features, self.embedding.weight, self.bias).float()
        return self.unembedding(features).float()

    def step(self, tokens: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One token each [B] and the state [L, B, H] -> log probabilities of the next [B, V], the new state."""
        features, (h, c) = self(tokens.unsqueeze(0), (h, c))  # 1 B E
        return self.log_probabilities(features[0]), h, c
