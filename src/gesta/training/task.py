"""Learning to classify clips, as a Lightning module: loss, sums of an epoch, optimiser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gesta.models.recurrent import ChunkNet, RecurrentNet, chunk_count
from gesta.recipes.schema import TrainingSettings
from gesta.schema import GestaError
from gesta.training.augment import warp
from gesta.training.distil import Lesson, mixed, soft_loss
from gesta.training.losses import Over, clip_loss, sequence_loss
from gesta.training.optim import optimizer_for, schedule_for
from gesta.training.transfer import by_rate

LEAST_LOGIT = -103.0
"""About the logarithm of the smallest probability that single precision knows."""


class LossNotFinite(GestaError):
    """Training has diverged."""


class ClassifyTask(pl.LightningModule):
    """`network`: a net of gesta.models; `steps`: batches of the whole training, for the schedule.

    `over`: the chunks whose loss counts; `frozen`: a part that stays as it is; `lesson`: what teachers have to say.
    """

    def __init__(
        self,
        network: nn.Module,
        settings: TrainingSettings,
        *,
        steps: int,
        over: Over,
        frozen: nn.Module | None = None,
        lesson: Lesson | None = None,
    ) -> None:
        super().__init__()
        self.steps = steps
        self.network = network
        self.chunk: int | None = getattr(network, "chunk", None)
        self.settings = settings
        self.over: Over = over
        self._frozen = [frozen] if frozen is not None else []  # in a list: not a submodule twice
        self.lesson = lesson
        self.sums: dict[str, Tensor] = {}

    def forward(self, clip: Tensor, lengths: Tensor) -> Tensor:
        """Logits of every chunk [B, K, N]; networks without chunks give K = 1."""
        if isinstance(self.network, (RecurrentNet, ChunkNet)):
            return self.network.forward_steps(clip, lengths)
        return self.network(clip).unsqueeze(1)

    def chunks(self, lengths: Tensor) -> Tensor:
        """Valid chunks of every clip, [B]."""
        return chunk_count(lengths, self.chunk) if self.chunk else torch.ones_like(lengths)

    def training_step(self, batch: Mapping[str, Tensor], batch_idx: int) -> Tensor:
        clip = warp(batch["clip"], batch["theta"]) if "theta" in batch else batch["clip"]
        if self.over == "sequences":
            return self._learn_sequences(clip, batch, batch_idx)
        steps, chunks = self(clip, batch["lengths"]), self.chunks(batch["lengths"])
        start = batch["start"] // self.chunk if self.chunk else None
        loss = clip_loss(steps.float(), batch["target"], chunks, self.over, self.settings.label_smoothing, start)
        if self.lesson is not None:
            given = self.lesson.settings
            soft = soft_loss(steps.float(), self.lesson.soft(batch), chunks, self.over, given, start)
            loss = mixed(soft, loss, given.alpha)
        self._refuse_not_finite(loss, f"batch {batch_idx + 1}")
        self._count("train", loss, self._answer(steps, chunks), batch["target"])
        return loss

    def _learn_sequences(self, clip: Tensor, batch: Mapping[str, Tensor], batch_idx: int) -> Tensor:
        """Every sequence of a clip is an example of its own; what is counted as right is the clip's mean answer.

        A teacher answers whole clips, so its answer is compared with that mean.
        """
        logits, counted = self.network.forward_windows(clip)  # type: ignore[operator]
        loss = sequence_loss(logits.float(), batch["target"], counted, self.settings.label_smoothing)
        silent = torch.where(counted, 0.0, -torch.inf).unsqueeze(-1)  # B m 1
        answer = (logits.float().log_softmax(-1) + silent).logsumexp(1) - counted.sum(1, keepdim=True).log()  # B N
        if self.lesson is not None:
            given, one = self.lesson.settings, torch.ones_like(batch["target"])
            soft = soft_loss(answer.unsqueeze(1), self.lesson.soft(batch), one, "last", given)
            loss = mixed(soft, loss, given.alpha)
        self._refuse_not_finite(loss, f"batch {batch_idx + 1}")
        self._count("train", loss, answer, batch["target"])
        return loss

    def validation_step(self, batch: Mapping[str, Tensor], batch_idx: int) -> None:  # noqa: ARG002
        """Counts the plain cross entropy and the accuracy of a clip's last answer."""
        steps, chunks = self(batch["clip"], batch["lengths"]), self.chunks(batch["lengths"])
        answer = self._answer(steps.float(), chunks)
        loss = F.cross_entropy(answer.clamp(min=LEAST_LOGIT), batch["target"])  # a vote of 0 is a logit of -inf
        self._refuse_not_finite(loss, "validation")
        self._count("val", loss, answer, batch["target"])

    def _refuse_not_finite(self, loss: Tensor, where: str) -> None:
        if not torch.isfinite(loss):
            raise LossNotFinite(
                f"The loss became {loss.item()} in epoch {self.current_epoch + 1}, {where}, so training stopped. "
                "Lower the learning rate (--set training.learning_rate=...), or use precision 32-true."
            )

    def _answer(self, steps: Tensor, chunks: Tensor) -> Tensor:
        """The logits [B, N] that count as the answer: the last valid chunk's; single chunks are averaged."""
        if isinstance(self.network, RecurrentNet):
            steps = self.network.answers(steps)
            return steps[torch.arange(len(steps), device=steps.device), chunks - 1]
        valid = torch.arange(steps.shape[1], device=steps.device) < chunks.unsqueeze(1)
        return (steps * valid.unsqueeze(-1)).sum(1) / chunks.unsqueeze(1)

    def _count(self, part: str, loss: Tensor, answer: Tensor, target: Tensor) -> None:
        right = (answer.argmax(1) == target).sum()
        found = torch.stack([loss.detach() * len(target), right, right.new_tensor(len(target))])
        self.sums[part] = self.sums[part] + found if part in self.sums else found

    def epoch_row(self) -> dict[str, float]:
        """Loss and accuracy of the epoch, over all processes; the sums start anew."""
        row: dict[str, float] = {}
        for part, sums in sorted(self.sums.items()):
            total = self.trainer.strategy.reduce(sums.clone(), reduce_op="sum") if self.trainer.world_size > 1 else sums
            loss, right, count = total.tolist()
            row |= {f"{part}_loss": loss / count, f"{part}_accuracy": right / count}
        self.sums = {}
        return row

    def on_train_epoch_start(self) -> None:
        for module in self._frozen:
            module.eval()  # its running statistics stay too

    def on_validation_epoch_start(self) -> None:
        """Several processes validate with the running statistics of the first."""
        if self.trainer.world_size > 1:
            for buffer in self.network.buffers():
                torch.distributed.broadcast(buffer, src=0)

    def configure_optimizers(self) -> Any:
        learned = by_rate(self.network, self.settings) if self.settings.rates else self.network.parameters()
        optimizer = optimizer_for(learned, self.settings)
        schedule = schedule_for(optimizer, self.settings, self.steps)
        if schedule is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
