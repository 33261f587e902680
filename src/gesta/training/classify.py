"""Learning to classify, as a Lightning module: one answer an example, or one a chunk of it."""

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
"""Which epoch of a classifier is the best: see gesta.training.callbacks.Keeper."""
LEAST_LOGIT = -103.0
"""About the logarithm of the smallest probability that single precision knows."""


class Classify(Learner):
    """`network`: a net of gesta.models; `over`: the chunks whose loss counts. Batches as gesta.training.data says."""

    measures: ClassVar[Mapping[str, str]] = {"accuracy": "acc {:.3f}"}

    def __init__(self, network: nn.Module, settings: Any, *, over: Over = "last", **given: Any) -> None:
        super().__init__(network, settings, **given)
        self.chunk: int | None = getattr(network, "chunk", None)
        self.over: Over = over

    def forward(self, clip: Tensor, lengths: Tensor) -> Tensor:
        """Logits of every chunk [B, K, N]; networks without chunks give K = 1."""
        if hasattr(self.network, "forward_steps"):
            return self.network.forward_steps(clip, lengths)  # type: ignore[operator,no-any-return]
        if getattr(self.network, "takes_lengths", False):
            return self.network(clip, lengths).unsqueeze(1)  # type: ignore[no-any-return]
        return self.network(clip).unsqueeze(1)  # type: ignore[no-any-return]

    def seen(self, batch: Mapping[str, Tensor]) -> Tensor:
        """What the network sees of a batch."""
        return batch["clip"]

    def chunks(self, lengths: Tensor) -> Tensor:
        """Valid chunks of every clip, [B]."""
        return chunk_count(lengths, self.chunk) if self.chunk else torch.ones_like(lengths)

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        steps, chunks = self(self.seen(batch), batch["lengths"]), self.chunks(batch["lengths"])
        loss = self.loss_of(steps.float(), chunks, batch)
        self._count("train", loss, self._answer(steps, chunks), batch["target"])
        return loss

    def loss_of(self, steps: Tensor, chunks: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Of logits [B, K, N], of which `chunks` [B] are valid."""
        smoothing = self.settings.label_smoothing
        return clip_loss(steps, batch["target"], chunks, self.over, smoothing, self.start(batch))

    def start(self, batch: Mapping[str, Tensor]) -> Tensor | None:
        """The chunk [B] in which the labeled part begins."""
        return batch["start"] // self.chunk if self.chunk else None

    def validate(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Counts the plain cross entropy and the accuracy of a clip's last answer."""
        steps, chunks = self(self.seen(batch), batch["lengths"]), self.chunks(batch["lengths"])
        answer = self._answer(steps.float(), chunks)
        loss = F.cross_entropy(answer.clamp(min=LEAST_LOGIT), batch["target"])  # a vote of 0 is a logit of -inf
        self._count("val", loss, answer, batch["target"])
        return loss

    def _answer(self, steps: Tensor, chunks: Tensor) -> Tensor:
        """The logits [B, N] that count as the answer: the last valid chunk's; single chunks are averaged."""
        if hasattr(self.network, "answers"):
            steps = self.network.answers(steps)  # type: ignore[operator]
            return steps[torch.arange(len(steps), device=steps.device), chunks - 1]
        valid = torch.arange(steps.shape[1], device=steps.device) < chunks.unsqueeze(1)
        return (steps * valid.unsqueeze(-1)).sum(1) / chunks.unsqueeze(1)

    def _count(self, part: str, loss: Tensor, answer: Tensor, target: Tensor) -> None:
        self.count(part, len(target), loss, (answer.argmax(1) == target).sum())
