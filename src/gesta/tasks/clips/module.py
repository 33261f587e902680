"""Learning to classify clips: moved by a drawn map, and beside the labels from teachers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from gesta.tasks.clips.augment import warp
from gesta.tasks.clips.distil import Lesson, mixed, soft_loss
from gesta.training.classify import Classify
from gesta.training.losses import sequence_loss


class ClassifyClips(Classify):
    """`lesson`: what teachers have to say."""

    def __init__(self, network: nn.Module, settings: Any, *, lesson: Lesson | None = None, **given: Any) -> None:
        super().__init__(network, settings, **given)
        self.lesson = lesson

    def seen(self, batch: Mapping[str, Tensor]) -> Tensor:
        return warp(batch["clip"], batch["theta"]) if "theta" in batch else batch["clip"]

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        return self._loss_of_sequences(batch) if self.over == "sequences" else super().loss(batch)

    def _loss_of_sequences(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Every sequence of a clip is an example of its own; what is counted as right is the clip's mean answer."""
        logits, counted = self.network.forward_windows(self.seen(batch))  # type: ignore[operator]
        loss = sequence_loss(logits.float(), batch["target"], counted, self.settings.label_smoothing)
        votes = logits.detach().float().softmax(-1) * counted.unsqueeze(-1)
        self._count("train", loss, votes.sum(1), batch["target"])
        return loss

    def loss_of(self, steps: Tensor, chunks: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        hard = super().loss_of(steps, chunks, batch)
        if self.lesson is None:
            return hard
        given = self.lesson.settings
        soft = soft_loss(steps, self.lesson.soft(batch), chunks, self.over, given, self.start(batch))
        return mixed(soft, hard, given.alpha)
