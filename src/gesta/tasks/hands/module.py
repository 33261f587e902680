"""Lightning module for hand pose: loss, errors per epoch, and halving the learning rate on plateaus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, ClassVar

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from gesta.models.pose_layers import joint_loss
from gesta.models.pose_prior import PosePrior
from gesta.tasks.hands.recipe import PoseTrainingSettings
from gesta.training.callbacks import Keeper
from gesta.training.learner import Learner


class LearnPose(Learner):
    """`network`: a hand pose network. `prior`: a penalty on unusual poses, weighted as in the recipe."""

    measures: ClassVar[Mapping[str, str]] = {"mse": "mse {:.5f}", "error_mm": "{:.1f} mm"}

    def __init__(self, *given: Any, prior: PosePrior | None = None, **more: Any) -> None:
        super().__init__(*given, **more)
        self.prior = prior

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        found, loss = self.network.learn(batch["hand"], batch["joints"])  # type: ignore[operator]
        self._count("train", loss, found, batch)
        return loss if self.prior is None else loss + self.settings.prior * self.prior(found)

    def validate(self, batch: Mapping[str, Tensor]) -> Tensor:
        found = self.network(batch["hand"])
        loss = joint_loss(found, batch["joints"])
        self._count("val", loss, found, batch)
        return loss

    def _count(self, part: str, loss: Tensor, found: Tensor, batch: Mapping[str, Tensor]) -> None:
        apart = (found.detach() - batch["joints"]).float()
        error = apart.norm(dim=-1).mean(1) * batch["half_mm"]  # B, mm
        self.count(part, len(apart), loss, apart.square().mean((1, 2)).sum(), error.sum())


def halvings(losses: Sequence[float], patience: int) -> int:
    """Count how often the learning rate was halved: after every `patience` epochs without a better loss."""
    best, waited, count = float("inf"), 0, 0
    for loss in losses:
        best, waited = (loss, 0) if loss < best else (best, waited + 1)
        if waited == patience:
            waited, count = 0, count + 1
    return count


class Halving(Callback):
    """Sets each epoch's learning rate from the preceding epochs, so a resumed run uses the same rates.

    At every halving, the weights and optimizer state of the best epoch so far are restored (Kazakos, section 2.7.2).
    Every process keeps a copy of them, and so does the checkpoint.
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
