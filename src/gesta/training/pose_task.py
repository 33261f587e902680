"""Learning hand pose, as a Lightning module: loss, errors of an epoch, and halving the learning rate on a plateau."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from gesta.models.pose_layers import PoseNet, joint_loss
from gesta.recipes.poses import PoseTrainingSettings
from gesta.training.callbacks import Keeper, Row, Show
from gesta.training.optim import optimizer_for, schedule_for
from gesta.training.task import LossNotFinite


class PoseTask(pl.LightningModule):
    """`network`: a hand pose network; `steps`: batches of the whole training, for the one-cycle schedule."""

    def __init__(self, network: PoseNet, settings: PoseTrainingSettings, *, steps: int) -> None:
        super().__init__()
        self.network, self.settings, self.steps = network, settings, steps
        self.sums: dict[str, Tensor] = {}

    def training_step(self, batch: Mapping[str, Tensor], batch_idx: int) -> Tensor:
        found, loss = self.network.learn(batch["hand"], batch["joints"])
        self._refuse_not_finite(loss, f"batch {batch_idx + 1}")
        self._count("train", loss, found, batch)
        return loss

    def validation_step(self, batch: Mapping[str, Tensor], batch_idx: int) -> None:  # noqa: ARG002
        found = self.network(batch["hand"])
        loss = joint_loss(found, batch["joints"])
        self._refuse_not_finite(loss, "validation")
        self._count("val", loss, found, batch)

    def _refuse_not_finite(self, loss: Tensor, where: str) -> None:
        if not torch.isfinite(loss):
            raise LossNotFinite(
                f"The loss became {loss.item()} in epoch {self.current_epoch + 1}, {where}, so training stopped. "
                "Lower the learning rate or the momentum (--set training.learning_rate=...)."
            )

    def _count(self, part: str, loss: Tensor, found: Tensor, batch: Mapping[str, Tensor]) -> None:
        apart = (found.detach() - batch["joints"]).float()
        frames = len(apart)
        error = apart.norm(dim=-1).mean(1) * batch["half_mm"]  # B, mm
        row = torch.stack([loss.detach() * frames, apart.square().mean((1, 2)).sum(), error.sum()])
        sums = torch.cat([row, row.new_tensor([frames])])
        self.sums[part] = self.sums[part] + sums if part in self.sums else sums

    def epoch_row(self) -> Row:
        """Loss, mean squared error of the 3J outputs and mm of the epoch, over all processes; the sums start anew."""
        row: Row = {}
        for part, sums in sorted(self.sums.items()):
            total = self.trainer.strategy.reduce(sums.clone(), reduce_op="sum") if self.trainer.world_size > 1 else sums
            loss, squared, error, count = total.tolist()
            row |= {f"{part}_loss": loss / count, f"{part}_mse": squared / count, f"{part}_error_mm": error / count}
        self.sums = {}
        return row

    def configure_optimizers(self) -> Any:
        optimizer = optimizer_for(self.network.parameters(), self.settings)
        schedule = schedule_for(optimizer, self.settings, self.steps)
        if schedule is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def halvings(losses: Sequence[float], patience: int) -> int:
    """How often the learning rate has been halved: after every `patience` epochs without a better loss."""
    best, waited, count = float("inf"), 0, 0
    for loss in losses:
        best, waited = (loss, 0) if loss < best else (best, waited + 1)
        if waited == patience:
            waited, count = 0, count + 1
    return count


class Halving(Callback):
    """The learning rate of each epoch, from the epochs before it: so a resumed run has the same.

    At every halving training goes back to the best epoch so far, with its weights and the state of its optimiser
    (Kazakos, section 2.7.2). Every process holds them, and so does the checkpoint.
    """

    def __init__(self, settings: PoseTrainingSettings) -> None:
        self.settings = settings
        self.best: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        keeper = next(c for c in trainer.callbacks if isinstance(c, Keeper))  # type: ignore[attr-defined]
        losses = [row["val_mse"] for row in keeper.history if "val_mse" in row]
        (optimizer,) = trainer.optimizers
        count = halvings(losses, self.settings.plateau)
        if losses and keeper.best_epoch == len(losses) - 1:
            state = {"network": pl_module.state_dict(), "optimizer": optimizer.state_dict()}
            self.best = deepcopy(move_data_to_device(state, torch.device("cpu")))
        elif self.best is not None and count > halvings(losses[:-1], self.settings.plateau):
            pl_module.load_state_dict(self.best["network"])
            optimizer.load_state_dict(deepcopy(self.best["optimizer"]))
        for group in optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * 0.5**count


class ShowPose(Show):
    """Progress with errors in mm."""

    def running(self, pl_module: Any) -> str:
        loss, _, error, count = pl_module.sums["train"].tolist()
        text = f"loss {loss / count:.4f}  {error / count:.1f} mm"
        if self.keeper.history and "val_error_mm" in self.keeper.history[-1]:
            text += f"  val {self.keeper.history[-1]['val_error_mm']:.1f} mm"
        return text

    def finished(self, row: Row) -> str:
        text = f"loss {row['train_loss']:.4f}  {row['train_error_mm']:.1f} mm"
        if "val_error_mm" in row:
            text += f"  val mse {row['val_mse']:.5f}  val {row['val_error_mm']:.1f} mm"
        return text
