"""Lightning module for classification: one prediction per example, or one per chunk of an example."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gesta.models.recurrent import chunk_count
from gesta.training.learner import Learner
from gesta.training.losses import Over, clip_loss

BEST_BY = ("-val_accuracy", "val_loss")
"""Criteria for a classifier's best epoch: see gesta.training.callbacks.Keeper."""
LEAST_LOGIT = -103.0
"""Approximate logarithm of the smallest probability that single precision can represent."""


class Classify(Learner):
    """`network`: from gesta.models; `over`: chunks that count in the loss. Batches: see gesta.training.data."""

    measures: ClassVar[Mapping[str, str]] = {"accuracy": "acc {:.3f}"}

    def __init__(self, network: nn.Module, settings: Any, *, over: Over = "last", **given: Any) -> None:
        super().__init__(network, settings, **given)
        self.chunk: int | None = getattr(network, "chunk", None)
        self.over: Over = over

    def forward(self, clip: Tensor, lengths: Tensor) -> Tensor:
        """Returns the logits of every chunk, [B, K, N]; K = 1 for networks without chunks."""
        if hasattr(self.network, "forward_steps"):
            return self.network.forward_steps(clip, lengths)  # type: ignore[operator,no-any-return]
        if getattr(self.network, "takes_lengths", False):
            return self.network(clip, lengths).unsqueeze(1)  # type: ignore[no-any-return]
        return self.network(clip).unsqueeze(1)  # type: ignore[no-any-return]

    def seen(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Returns the network's input from a batch."""
        return batch["clip"]

    def chunks(self, lengths: Tensor) -> Tensor:
        """Returns the number of valid chunks in every clip, [B]."""
        return chunk_count(lengths, self.chunk) if self.chunk else torch.ones_like(lengths)

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        steps, chunks = self(self.seen(batch), batch["lengths"]), self.chunks(batch["lengths"])
        loss = self.loss_of(steps.float(), chunks, batch)
        self._count("train", loss, self._answer(steps, chunks), batch["target"])
        return loss

    def loss_of(self, steps: Tensor, chunks: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Returns the loss of logits [B, K, N], where the first `chunks` [B] of each clip are valid."""
        smoothing = self.settings.label_smoothing
        return clip_loss(steps, batch["target"], chunks, self.over, smoothing, self.start(batch))

    def start(self, batch: Mapping[str, Tensor]) -> Tensor | None:
        """Returns the index [B] of the chunk in which the labeled part begins."""
        return batch["start"] // self.chunk if self.chunk else None

    def validate(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Returns the cross-entropy of each clip's last answer, without smoothing, and counts it and the accuracy."""
        steps, chunks = self(self.seen(batch), batch["lengths"]), self.chunks(batch["lengths"])
        answer = self._answer(steps.float(), chunks)
        loss = F.cross_entropy(answer.clamp(min=LEAST_LOGIT), batch["target"])  # a vote of 0 is a logit of -inf
        self._count(self.held, loss, answer, batch["target"])
        return loss

    def _answer(self, steps: Tensor, chunks: Tensor) -> Tensor:
        """Returns the predicted logits [B, N]: the network's answer at the last valid chunk, else the chunks' mean."""
        if hasattr(self.network, "answers"):
            steps = self.network.answers(steps)  # type: ignore[operator]
            return steps[torch.arange(len(steps), device=steps.device), chunks - 1]
        valid = torch.arange(steps.shape[1], device=steps.device) < chunks.unsqueeze(1)
        return (steps * valid.unsqueeze(-1)).sum(1) / chunks.unsqueeze(1)

    def _count(self, part: str, loss: Tensor, answer: Tensor, target: Tensor) -> None:
        self.count(part, len(target), loss, (answer.argmax(1) == target).sum())
