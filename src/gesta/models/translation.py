"""LSTM encoder-decoder: translation, and sentence vectors (Sutskever et al. 2014; Ptucha 2019).

In: source int64 [S, B] with lengths [B]; target tokens [T, B]. Out: features [T, B, E], logits [T, B, V].
The encoder is bidirectional; its last states start the decoder and, concatenated, are the sentence vector [B, 2H].
With attention (Luong et al. 2015, "general") the decoder's output h_t attends to all encoder outputs m_s:

    a_ts = softmax_s(m_s . W h_t),  features_t = tanh(U [sum_s a_ts m_s; h_t])

Without, every step gets the sentence vector along with the word (Cho et al. 2014). Unembedding and target embedding
are tied. Parameters with 256 units, 1 layer, 8,000 and 6,000 words, attention: 5.8 M, of which 3.6 M are embeddings.
Deviation: no input feeding, so that the fused LSTM runs over a whole sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gesta.models.language import INITIAL_RANGE, Dropout


class Memory(NamedTuple):
    """The encoded sources: outputs [S, B, 2H], mask [S, B] (True on words), vector [B, 2H]."""

    outputs: Tensor
    mask: Tensor
    vector: Tensor


def places(sequence: Tensor) -> Tensor:
    """[T, B] or [T, B, D] -> [T, B]: 0, 1, 2 ... along each; a cumulative sum, as exporters fix the example's sizes."""
    first = sequence if sequence.ndim == 2 else sequence[..., 0]
    return torch.ones_like(first, dtype=torch.int64).cumsum(0) - 1


def reversed_within(steps: Tensor, place: Tensor, lengths: Tensor) -> Tensor:
    """Each sequence of [T, B, D] reversed, with the padding left in place; its own inverse.

    `place`: from `places`.
    """
    index = torch.where(place < lengths, lengths - 1 - place, place)  # T B
    return steps.gather(0, index.unsqueeze(-1).expand(-1, -1, steps.shape[-1]))


def at_end(steps: Tensor, lengths: Tensor) -> Tensor:
    """[T, B, D] -> [B, D] at each sequence's last step."""
    last = (lengths - 1).reshape(1, -1, 1).expand(-1, -1, steps.shape[-1])  # 1 B D
    return steps.gather(0, last)[0]


def words(tokens: int, width: int) -> nn.Embedding:
    """A freshly initialized word embedding."""
    embedding = nn.Embedding(tokens, width)
    nn.init.uniform_(embedding.weight, -INITIAL_RANGE, INITIAL_RANGE)
    return embedding


class Encoder(nn.Module):
    """Sources -> LSTM layers in both directions. The backward one runs on reversed sequences: padding stays last.

    `embedding`: sources [S, B] or [S, B, D] -> [S, B, width]. `pooling`: layers after it that shorten the sources,
    (x [S, B, width], lengths [B]) -> the same, shorter.
    """

    def __init__(
        self,
        embedding: nn.Module,
        width: int,
        hidden: int,
        layers: int,
        dropout: Dropout,
        pooling: Sequence[nn.Module] = (),
    ) -> None:
        super().__init__()
        self.embedding, self.pooling = embedding, nn.ModuleList(pooling)
        self.width = 2 * hidden
        widths = [width] + [2 * hidden] * (layers - 1)
        self.onward = nn.ModuleList(nn.LSTM(width, hidden) for width in widths)
        self.back = nn.ModuleList(nn.LSTM(width, hidden) for width in widths)
        self.dropout = dropout

    def forward(self, source: Tensor, lengths: Tensor) -> Memory:
        x = self.embedding(source)  # S B E
        for layer in self.pooling:
            x, lengths = layer(x, lengths)
        place, x = places(x), self.dropout(x)  # S B, S B E
        for onward, back in zip(self.onward, self.back, strict=True):
            there, _ = onward(x)  # S B H
            again, _ = back(reversed_within(x, place, lengths))
            vector = torch.cat([at_end(there, lengths), at_end(again, lengths)], -1)  # B 2H
            x = self.dropout(torch.cat([there, reversed_within(again, place, lengths)], -1))  # S B 2H
        return Memory(x, place < lengths, vector)


class Attention(nn.Module):
    """The mean of the encoder's outputs, weighted by their similarity to each output of the decoder."""

    def __init__(self, memory: int, hidden: int, features: int) -> None:
        super().__init__()
        self.query = nn.Linear(hidden, memory, bias=False)
        self.combine = nn.Linear(memory + hidden, features)

    def weights(self, outputs: Tensor, memory: Memory) -> Tensor:
        """outputs [T, B, H] -> [B, T, S]; 0 on padding, summing to 1."""
        scores = torch.einsum("tbm,sbm->bts", self.query(outputs), memory.outputs)
        return scores.float().masked_fill(~memory.mask.T.unsqueeze(1), -torch.inf).softmax(-1)

    def forward(self, outputs: Tensor, memory: Memory) -> Tensor:
        weights = self.weights(outputs, memory).to(memory.outputs.dtype)
        seen = torch.einsum("bts,sbm->tbm", weights, memory.outputs)  # T B 2H
        return self.combine(torch.cat([seen, outputs], -1)).tanh()  # T B E


class SequenceToText(nn.Module):
    """`source`: embeds the sources in `embedding` dimensions; `target_tokens`: size of the vocabulary;
    `dropout`: of embeddings, layers and features; `pooling`: see Encoder."""

    def __init__(
        self,
        *,
        source: nn.Module,
        target_tokens: int,
        embedding: int,
        hidden: int,
        layers: int,
        attention: bool,
        dropout: float = 0.0,
        variational: bool = False,
        pooling: Sequence[nn.Module] = (),
    ) -> None:
        super().__init__()
        self.hidden, self.layers = hidden, layers
        self.dropout = Dropout(dropout, variational)
        self.encoder = Encoder(source, embedding, hidden, layers, self.dropout, pooling)
        self.bridge = nn.Linear(2 * hidden, 2 * layers * hidden)
        self.embedding = words(target_tokens, embedding)
        first = embedding if attention else embedding + 2 * hidden
        self.decoder = nn.ModuleList(nn.LSTM(first if i == 0 else hidden, hidden) for i in range(layers))
        self.attention = Attention(2 * hidden, hidden, embedding) if attention else None
        self.combine = None if attention else nn.Linear(hidden, embedding)
        self.bias = nn.Parameter(torch.zeros(target_tokens))

    def encode(self, source: Tensor, lengths: Tensor) -> Memory:
        return self.encoder(source, lengths)

    def start(self, memory: Memory) -> tuple[Tensor, Tensor]:
        """The decoder's first state (h, c), each [L, B, H]."""
        batch = memory.vector.shape[0]
        both = self.bridge(memory.vector).view(batch, 2, self.layers, self.hidden).permute(1, 2, 0, 3)  # 2 L B H
        return both[0].tanh().contiguous(), both[1].contiguous()

    def decode(self, tokens: Tensor, memory: Memory, h: Tensor, c: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """tokens [T, B] -> features [T, B, E], the state after them."""
        x = self.dropout(self.embedding(tokens))  # T B E
        if self.attention is None:
            x = torch.cat([x, memory.vector.to(x.dtype).expand(tokens.shape[0], -1, -1)], -1)  # T B E+2H
        after = []
        for layer, lstm in enumerate(self.decoder):
            x, state = lstm(x, (h[layer : layer + 1], c[layer : layer + 1]))
            x = self.dropout(x)  # T B H
            after.append(state)
        features = self.attention(x, memory) if self.attention is not None else self.combine(x).tanh()  # type: ignore[misc]
        return self.dropout(features), (torch.cat([s[0] for s in after]), torch.cat([s[1] for s in after]))

    def logits(self, features: Tensor) -> Tensor:
        """[..., E] -> [..., V], with the weights of the target embedding."""
        return F.linear(features, self.embedding.weight, self.bias).float()

    def forward(self, source: Tensor, lengths: Tensor, inputs: Tensor) -> Tensor:
        """Sources [S, B] (or [S, B, D]) and the word before each target [T, B] -> logits [T, B, V]."""
        memory = self.encode(source, lengths)
        features, _ = self.decode(inputs, memory, *self.start(memory))
        return self.logits(features)


class TranslationNet(SequenceToText):
    """Translation from words: `source_tokens`: size of the vocabulary; `settings`: those of SequenceToText."""

    def __init__(self, *, source_tokens: int, embedding: int, **settings: Any) -> None:
        super().__init__(source=words(source_tokens, embedding), embedding=embedding, **settings)
