"""Training of clip classifiers, with affine augmentation and optional distillation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gesta.models.fused import FusedClip
from gesta.tasks.clips.augment import warp
from gesta.tasks.clips.distil import DistillationTargets, mixed, soft_loss
from gesta.training.classify import Classify
from gesta.training.losses import sequence_loss


class ClassifyClips(Classify):
    """`distillation`: soft targets of the teachers; `alone`: loss weight of each part of a fused network by itself."""

    def __init__(
        self,
        network: nn.Module,
        settings: Any,
        *,
        distillation: DistillationTargets | None = None,
        alone: float | None = None,
        **given: Any,
    ) -> None:
        super().__init__(network, settings, **given)
        self.distillation, self.alone = distillation, alone

    def seen(self, batch: Mapping[str, Tensor]) -> Any:
        clip = warp(batch["clip"], batch["theta"]) if "theta" in batch else batch["clip"]
        return FusedClip(clip, batch["skeleton"], batch["present"]) if "skeleton" in batch else clip

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        if self.alone is not None:
            return self._loss_of_parts(batch, self.alone)
        return self._loss_of_sequences(batch) if self.over == "sequences" else super().loss(batch)

    def _loss_of_parts(self, batch: Mapping[str, Tensor], alone: float) -> Tensor:
        """Modality dropout without sampling: trains on every clip as it is, and with each of its modalities alone."""
        network = self.network
        encoded = network.encode(self.seen(batch), batch["lengths"])  # type: ignore[operator]
        chunks, loss = self.chunks(batch["lengths"]), encoded.there.new_zeros(())
        for weight, kept in ((1 - 2 * alone, (1, 1)), (alone, (1, 0)), (alone, (0, 1))):
            left = encoded.there * encoded.there.new_tensor(kept)
            left = torch.where(left.any(-1, keepdim=True), left, encoded.there)  # a clip keeps at least one modality
            steps = network.fuse(encoded._replace(there=left)).float()  # type: ignore[operator]  # B K N
            loss = loss + weight * self.loss_of(steps, chunks, batch)
            if kept == (1, 1):
                answer = self._answer(steps, chunks)
        self._count("train", loss, answer, batch["target"])
        return loss

    def _loss_of_sequences(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Trains on every sequence of a clip as a separate example; accuracy is that of the clip's mean answer.

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
