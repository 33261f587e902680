"""Learning to classify clips: moved by a drawn map, and beside the labels from teachers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gesta.tasks.clips.augment import warp
from gesta.tasks.clips.distil import DistillationTargets, mixed, soft_loss
from gesta.training.classify import Classify
from gesta.training.losses import sequence_loss


class ClassifyClips(Classify):
    """`distillation`: what teachers have to say."""

    def __init__(
        self, network: nn.Module, settings: Any, *, distillation: DistillationTargets | None = None, **given: Any
    ) -> None:
        super().__init__(network, settings, **given)
        self.distillation = distillation

    def seen(self, batch: Mapping[str, Tensor]) -> Tensor:
        return warp(batch["clip"], batch["theta"]) if "theta" in batch else batch["clip"]

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        return self._loss_of_sequences(batch) if self.over == "sequences" else super().loss(batch)

    def _loss_of_sequences(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Every sequence of a clip is an example of its own; what is counted as right is the clip's mean answer.

        A teacher answers whole clips, so its answer is compared with that mean.
        """
        target = batch["target"]
        logits, counted = self.network.forward_windows(self.seen(batch))  # type: ignore[operator]
        loss = sequence_loss(logits.float(), target, counted, self.settings.label_smoothing)
        silent = torch.where(counted, 0.0, -torch.inf).unsqueeze(-1)  # B m 1
        answer = (logits.float().log_softmax(-1) + silent).logsumexp(1) - counted.sum(1, keepdim=True).log()  # B N
        if self.distillation is not None:
            given, one = self.distillation.settings, torch.ones_like(target)
            loss = mixed(
                soft_loss(answer.unsqueeze(1), self.distillation.soft(batch), one, "last", given), loss, given.alpha
            )
        self._count("train", loss, answer, target)
        return loss

    def loss_of(self, steps: Tensor, chunks: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        hard = super().loss_of(steps, chunks, batch)
        if self.distillation is None:
            return hard
        given = self.distillation.settings
        soft = soft_loss(steps, self.distillation.soft(batch), chunks, self.over, given, self.start(batch))
        return mixed(soft, hard, given.alpha)
