"""Cross entropy over a clip's chunks: at the last one, over the second half, or over all (spec 1 "Streaming")."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Over = Literal["last", "second_half", "all", "sequences"]
"""Chunks whose loss counts; "sequences": each of a spatio-temporal ResNet's by itself (`sequence_loss`)."""


def chunk_weights(chunks: Tensor, total: int, over: Over, start: Tensor | None = None) -> Tensor:
    """Weights [B, total] of the chunks of clips with `chunks` [B] valid ones; every row sums to 1.

    "second_half": chunks K // 2 ... K - 1 of K. `start` [B]: the chunk in which the labeled part begins; what came
    before it never counts.
    """
    position = torch.arange(total, device=chunks.device)
    begin = torch.zeros_like(chunks) if start is None else torch.minimum(start, chunks - 1)
    first = {"last": chunks - 1, "second_half": begin + (chunks - begin) // 2, "all": begin}[over]
    counted = (position >= first.unsqueeze(1)) & (position < chunks.unsqueeze(1))  # B K
    return counted / counted.sum(1, keepdim=True)


def sequence_loss(logits: Tensor, target: Tensor, counted: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean of the cross entropy over all sequences of a batch that are `counted` [B, m]: logits [B, m, N], target [B].

    A long clip has more of them than a short one, and so more weight.
    """
    wanted = target.unsqueeze(1).expand(counted.shape)
    return F.cross_entropy(logits[counted], wanted[counted], label_smoothing=smoothing)


def clip_loss(
    steps: Tensor, target: Tensor, chunks: Tensor, over: Over, smoothing: float = 0.0, start: Tensor | None = None
) -> Tensor:
    """Mean over clips of the weighted mean over chunks of the cross entropy; logits `steps` [B, K, N], target [B]."""
    batch, total, classes = steps.shape
    wanted = target.unsqueeze(1).expand(batch, total)
    each = F.cross_entropy(steps.reshape(-1, classes), wanted.reshape(-1), reduction="none", label_smoothing=smoothing)
    return (each.reshape(batch, total) * chunk_weights(chunks, total, over, start)).sum() / batch
