"""A chunk encoder, an LSTM over the chunks, a linear classifier: the architecture shared by the 3D-CNN + LSTM and the
LSTM baseline (Mullick 2018, chapter 3).

In: clip uint8 or float 0..255 [B, S, C, T, H, W], T a multiple of the chunk; lengths int64 [B] in frames, None = T.
Out: logits [B, N], at the last valid chunk. Padding only follows a clip's frames, so the LSTM needs no packing.
With `memory` m > 0 (beyond the document) the output after chunk k is the log of sum over j <= k of m^(k-j) p_j, p_j the
probabilities of chunk j: a vote in which old chunks fade, the same in a stream and on a whole clip.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gesta.models.layers import Classifier, Layers, scaled, to_unit


class RecurrentNet(Classifier):
    """`encoder`: chunks [N, S, C, chunk, H, W] in [0, 1] -> [N, D]; then LSTM D -> `hidden`, linear -> classes.

    Successive calls of `step`, with the state passed on, equal `forward_steps` on the whole clip.
    """

    def __init__(
        self,
        encoder: nn.Module,
        features: int,
        *,
        hidden: int,
        classes: int,
        chunk: int,
        dropout: float = 0.0,
        memory: float = 0.0,
    ) -> None:
        super().__init__()
        self.chunk = chunk
        self.memory = memory
        self.encoder = encoder
        self.lstm = nn.LSTM(features, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(hidden, classes)
        self._state_shapes = {"h": (1, -1, hidden), "c": (1, -1, hidden)}

    @property
    def state_shapes(self) -> dict[str, tuple[int, int, int]]:
        """Shapes of the named state of `step`, zeros at a reset; -1 denotes the batch."""
        votes = {"votes": (1, -1, self.classifier.out_features)} if self.memory else {}
        return self._state_shapes | votes

    def encode(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:
        """[B, S, C, T, H, W] -> features of the chunks [B, K, D]. In training, padding chunks are skipped: zeros."""
        batch, streams, channels, frames, height, width = clip.shape
        count = frames // self.chunk  # K, explicit: with -1 the ONNX exporter infers wrong lengths for an odd count
        chunks = clip.reshape(batch, streams, channels, count, self.chunk, height, width)  # B S C K t H W
        chunks = chunks.permute(0, 3, 1, 2, 4, 5, 6)  # B K S C t H W
        if self.training and lengths is not None:
            valid = chunk_mask(lengths, self.chunk, count)  # B K
            encoded = self.encoder(to_unit(chunks[valid]))  # n D
            padded = encoded.new_zeros(*valid.shape, encoded.shape[-1])
            return padded.index_put((valid,), encoded)  # B K D
        flat = chunks.reshape(-1, streams, channels, self.chunk, height, width)  # B*K S C t H W
        encoded = self.encoder(to_unit(flat))  # B*K D
        return encoded.reshape(batch, count, encoded.shape[-1])  # B K D

    def forward_steps(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The logits of every single chunk, [B, K, N]; those past a clip's length are meaningless."""
        outputs, _ = self.lstm(self.encode(clip, lengths))  # B K hidden
        return self.forward_head(outputs)

    def forward_features(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The LSTM's output at the last valid chunk, [B, hidden]."""
        outputs, _ = self.lstm(self.encode(clip, lengths))  # B K hidden
        return last_valid(outputs, lengths, self.chunk)

    def forward(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:
        if not self.memory:
            return self.forward_head(self.forward_features(clip, lengths))
        return last_valid(self.answers(self.forward_steps(clip, lengths)), lengths, self.chunk)

    def answers(self, steps: Tensor) -> Tensor:
        """The logits of every single chunk [B, K, N] -> the output after every chunk, [B, K, N]."""
        if not self.memory:
            return steps
        position = torch.arange(steps.shape[1], device=steps.device)
        age = (position.unsqueeze(1) - position.unsqueeze(0)).to(steps.dtype)  # K K: row k, column j
        weight = torch.where(age >= 0, self.memory ** age.clamp(min=0), torch.zeros_like(age))
        return torch.matmul(weight, steps.softmax(-1)).log()  # B K N

    def step(self, chunk: Tensor, h: Tensor, c: Tensor, votes: Tensor | None = None) -> tuple[Tensor, ...]:
        """One chunk [B, S, C, chunk, H, W] and the state (`state_shapes`) -> logits [B, N], the new state."""
        encoded = self.encoder(to_unit(chunk)).unsqueeze(1)  # B 1 D
        outputs, (h, c) = self.lstm(encoded, (h, c))  # B 1 hidden
        logits = self.forward_head(outputs[:, 0])
        if votes is None:
            return logits, h, c
        votes = self.memory * votes + logits.softmax(-1)  # 1 B N
        return votes[0].log(), h, c, votes


class ChunkNet(nn.Module):
    """The encoder with a temporary linear classifier on every single chunk: supervised pre-training (spec 1).

    Same input as RecurrentNet; the logits of a clip are the mean over its valid chunks.
    """

    def __init__(self, network: RecurrentNet, classes: int) -> None:
        super().__init__()
        self.chunk = network.chunk
        self.network = network
        self.network.lstm.requires_grad_(False)
        self.network.classifier.requires_grad_(False)
        self.temporary = nn.Linear(network.lstm.input_size, classes)

    def forward_steps(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.temporary(self.network.dropout(self.network.encode(clip, lengths)))  # B K N

    def forward(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:
        steps = self.forward_steps(clip, lengths)
        if lengths is None:
            return steps.mean(1)
        valid = chunk_mask(lengths, self.chunk, steps.shape[1]).unsqueeze(-1).to(steps.dtype)
        return (steps * valid).sum(1) / valid.sum(1)


def chunk_count(lengths: Tensor, chunk: int) -> Tensor:
    """Frames [B] -> chunks [B], including an incomplete last one."""
    return (lengths + (chunk - 1)) // chunk


def chunk_mask(lengths: Tensor, chunk: int, total: int) -> Tensor:
    """True for the chunks that contain at least one of the clip's frames, [B, total]."""
    return torch.arange(total, device=lengths.device) < chunk_count(lengths, chunk).unsqueeze(1)


def last_valid(steps: Tensor, lengths: Tensor | None, chunk: int) -> Tensor:
    """[B, K, D] -> [B, D] at every clip's last valid chunk."""
    if lengths is None:
        return steps[:, -1]
    last = (chunk_count(lengths, chunk) - 1).reshape(-1, 1, 1).expand(-1, 1, steps.shape[-1])  # B 1 D
    return steps.gather(1, last)[:, 0]


def recurrent(
    encode: Callable[[int], nn.Module],
    *,
    classes: int,
    chunk: int,
    width: float,
    dropout: float,
    memory: float,
    layers: Layers,
) -> RecurrentNet:
    """An LSTM of 256 units on `encode(512)`, 512 features per chunk; `width` scales both, `layers` overrides them."""
    features, hidden = layers.linear or scaled(512, width), layers.lstm or scaled(256, width)
    encoder = encode(features)
    return RecurrentNet(encoder, features, hidden=hidden, classes=classes, chunk=chunk, dropout=dropout, memory=memory)
