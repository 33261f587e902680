"""Cross-entropy over a clip's chunks: the last one, the second half, or all of them (spec 1 "Streaming")."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Over = Literal["last", "second_half", "all", "sequences"]
"""Chunks that count in the loss; "sequences": each of a spatio-temporal ResNet's separately (`sequence_loss`)."""


def chunk_weights(chunks: Tensor, total: int, over: Over, start: Tensor | None = None) -> Tensor:
    """Returns chunk weights [B, total] for clips with `chunks` [B] valid chunks; every row sums to 1.

    "second_half": chunks K // 2 ... K - 1 of K. `start` [B]: the chunk in which the labeled part begins; earlier chunks
    never count.
    """
    position = torch.arange(total, device=chunks.device)
    begin = torch.zeros_like(chunks) if start is None else torch.minimum(start, chunks - 1)
    first = {"last": chunks - 1, "second_half": begin + (chunks - begin) // 2, "all": begin}[over]
    counted = (position >= first.unsqueeze(1)) & (position < chunks.unsqueeze(1))  # B K
    return counted / counted.sum(1, keepdim=True)


def sequence_loss(logits: Tensor, target: Tensor, counted: Tensor, smoothing: float = 0.0) -> Tensor:
    """Returns the mean cross-entropy over a batch's sequences marked in `counted` [B, m]: logits [B, m, N], target [B].

    Long clips have more sequences than short ones, and so more weight.
    """
    wanted = target.unsqueeze(1).expand(counted.shape)
    return F.cross_entropy(logits[counted], wanted[counted], label_smoothing=smoothing)


def clip_loss(
    steps: Tensor, target: Tensor, chunks: Tensor, over: Over, smoothing: float = 0.0, start: Tensor | None = None
) -> Tensor:
    """Returns the weighted cross-entropy over chunks, averaged over clips. `steps`: logits [B, K, N]; `target`: [B]."""
    batch, total, classes = steps.shape
    wanted = target.unsqueeze(1).expand(batch, total)
    each = F.cross_entropy(steps.reshape(-1, classes), wanted.reshape(-1), reduction="none", label_smoothing=smoothing)
    return (each.reshape(batch, total) * chunk_weights(chunks, total, over, start)).sum() / batch
