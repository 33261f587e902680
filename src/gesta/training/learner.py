"""Base class of all tasks' Lightning modules: epoch sums over all processes, optimizer setup, divergence checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from gesta.schema import GestaError
from gesta.training.optim import optimizer_for, schedule_for
from gesta.training.transfer import by_rate

Row = dict[str, float]


class LossNotFinite(GestaError):
    """Training has diverged."""


class Learner(pl.LightningModule):
    """Trains `network` with `settings`; `steps`: number of updates in the whole training, for the schedule.

    Subclasses implement `loss(batch)` and `validate(batch)`, which call `count`, and define `measures`: the names of
    the metrics counted in addition to the loss, each with a format string for display. `held`: the part that `validate`
    sees, "val", or "test" where a figure shows it.
    """

    measures: ClassVar[Mapping[str, str]] = {}
    held: str = "val"

    def __init__(self, network: nn.Module, settings: Any, *, steps: int, frozen: nn.Module | None = None) -> None:
        super().__init__()
        self.network, self.settings, self.steps = network, settings, steps
        self._frozen = [frozen] if frozen is not None else []  # in a list: not a submodule twice
        self.sums: dict[str, Tensor] = {}

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Returns the loss of a training batch and counts it."""
        raise NotImplementedError

    def validate(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Returns the loss of a validation batch and counts it."""
        raise NotImplementedError

    def training_step(self, batch: Mapping[str, Tensor], batch_idx: int) -> Tensor:
        return self._finite(self.loss(batch), f"batch {batch_idx + 1}")

    def validation_step(self, batch: Mapping[str, Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:  # noqa: ARG002
        self.held = list(self.trainer.datamodule.held)[dataloader_idx]  # type: ignore[attr-defined]
        self._finite(self.validate(batch), "validation")

    def _finite(self, loss: Tensor, where: str) -> Tensor:
        if not torch.isfinite(loss):
            raise LossNotFinite(
                f"The loss became {loss.item()} in epoch {self.current_epoch + 1}, {where}, so training stopped. "
                "Lower the learning rate (--set training.learning_rate=...), or use precision 32-true."
            )
        return loss

    def count(self, part: str, n: int, loss: Tensor, *sums: Tensor) -> None:
        """Adds a batch of `n` examples to the sums of a part, given its mean loss and the measures' sums."""
        found = torch.stack([one.detach().float() for one in (loss * n, *sums, loss.new_tensor(n))])
        self.sums[part] = self.sums[part] + found if part in self.sums else found

    def epoch_row(self) -> Row:
        """Returns the epoch's means over all processes and resets the sums."""
        row: Row = {}
        for part, sums in sorted(self.sums.items()):
            total = self.trainer.strategy.reduce(sums.clone(), reduce_op="sum") if self.trainer.world_size > 1 else sums
            *values, count = total.tolist()
            row |= {f"{part}_{name}": v / count for name, v in zip(("loss", *self.measures), values, strict=True)}
        self.sums = {}
        return row

    def running(self, history: list[Row]) -> str:
        """Formats the current state of the epoch for display."""
        *values, count = self.sums["train"].tolist()
        now = {f"train_{name}": v / count for name, v in zip(("loss", *self.measures), values, strict=True)}
        last = history[-1] if history else {}
        return self.words({**now, **{name: v for name, v in last.items() if name.startswith("val_")}})

    def words(self, row: Row) -> str:
        """Formats the losses and measures of an epoch as one line."""
        shown = {"loss": "loss {:.3f}", **self.measures}
        told = [form.format(row[f"train_{name}"]) for name, form in shown.items() if f"train_{name}" in row]
        told += [f"val {form.format(row[f'val_{name}'])}" for name, form in shown.items() if f"val_{name}" in row]
        return "  ".join(told)

    def on_train_epoch_start(self) -> None:
        for module in self._frozen:
            module.eval()  # keep its running statistics unchanged, too

    def on_validation_epoch_start(self) -> None:
        """With several processes, all validate with the running statistics of rank 0."""
        if self.trainer.world_size > 1:
            for buffer in self.network.buffers():
                torch.distributed.broadcast(buffer, src=0)

    def configure_optimizers(self) -> Any:
        rates = getattr(self.settings, "rates", None)
        learned = by_rate(self.network, self.settings) if rates else self.network.parameters()
        optimizer = optimizer_for(learned, self.settings)
        schedule = schedule_for(optimizer, self.settings, self.steps)
        if schedule is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


LearnerFor = Callable[[int], Learner]
"""Creates a learner from the number of updates in a whole stage."""
