"""Callbacks run around each epoch: seeding, history, logs, best and last checkpoint, early stopping, progress."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn

from gesta import events
from gesta.files import write_whole
from gesta.training.checkpoints import save_network, seed_everything
from gesta.training.learner import Row


class Generators(Callback):
    """Reseeds all global generators at each epoch, so that resumed and uninterrupted runs draw the same numbers."""

    def __init__(self, seed: int, stage: int) -> None:
        self.seed, self.stage = seed, stage

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        seed_everything(self.seed, self.stage, trainer.current_epoch, trainer.global_rank)


class Keeper(Callback):
    """At the end of each epoch, writes history, logs, best network and resume state, and decides on early stopping.

    `best_by`: columns of the history to minimize, or to maximize if prefixed with "-"; later ones break ties. Without
    validation, the last epoch is the best. `stop`: if this file exists, training stops after the current epoch.
    """

    def __init__(
        self,
        folder: Path,
        stage: str,
        identity: dict[str, Any],
        patience: int | None,
        best_by: Sequence[str],
        stop: Path | None = None,
    ) -> None:
        self.folder = folder
        self.last = folder / "checkpoints" / f"{stage}.ckpt"
        self.best = folder / "checkpoints" / f"{stage}-best.safetensors"
        self.logs = folder / "logs"
        self.stage, self.identity, self.patience, self.best_by = stage, identity, patience, best_by
        self._stop = stop
        self.history: list[Row] = []
        self._writer: Any = None
        self._started = self._waiting = self._asked = 0.0

    @property
    def best_epoch(self) -> int:
        """Index of the best epoch in the history."""
        names = [name.removeprefix("-") for name in self.best_by]
        if not any(names[0] in row for row in self.history):
            return len(self.history) - 1
        signs = [-1 if name.startswith("-") else 1 for name in self.best_by]
        keys = [tuple(sign * row[name] for sign, name in zip(signs, names, strict=True)) for row in self.history]
        return keys.index(min(keys))

    def state_dict(self) -> dict[str, Any]:
        return {"history": self.history, "identity": self.identity}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.history = list(state_dict["history"])

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self._started = self._asked = time.perf_counter()
        self._waiting = 0.0

    def on_train_batch_start(self, *_: Any, **__: Any) -> None:
        self._waiting += time.perf_counter() - self._asked

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        self._asked = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        row: Row = {
            "epoch": trainer.current_epoch + 1,
            **pl_module.epoch_row(),
            "learning_rate": float(trainer.optimizers[0].param_groups[0]["lr"]),
            "seconds": time.perf_counter() - self._started,
            "waiting_s": self._waiting,
        }
        self.history.append(row)
        if trainer.is_global_zero:
            if self.best_epoch == len(self.history) - 1:
                save_network(self.best, pl_module.network)
            self._log(row)
            events.tell(self.folder, "epoch", stage=self.stage, **row, best=self.best_epoch + 1)
        trainer.save_checkpoint(self.last)
        trainer.should_stop = self._patience_is_over() or self._is_asked_to_stop()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        trainer.should_stop = self._patience_is_over()  # a resumed run may have been over already

    def _patience_is_over(self) -> bool:
        return self.patience is not None and len(self.history) - 1 - self.best_epoch >= self.patience

    def _is_asked_to_stop(self) -> bool:
        return self._stop is not None and self._stop.exists()

    def teardown(self, *_: Any, **__: Any) -> None:
        if self._writer is not None:
            self._writer.close()

    def _log(self, row: Row) -> None:
        text = io.StringIO()
        table = csv.DictWriter(text, fieldnames=list(row))
        table.writeheader()
        table.writerows(self.history)
        write_whole(self.logs / f"{self.stage}.csv", text.getvalue().encode())
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self.logs / self.stage), purge_step=int(row["epoch"]))
        for name, value in row.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, int(row["epoch"]))
        self._writer.flush()


class Show(Callback):
    """Shows progress on stderr: a live line with loss, accuracies and time left, or one line per epoch if not a TTY."""

    def __init__(self, keeper: Keeper, epochs: int, batches: int, title: str) -> None:
        self.keeper, self.epochs, self.batches, self.title = keeper, epochs, batches, title
        self.console = Console(stderr=True, emoji=False)
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        self.bar = Progress(*columns, console=self.console, disable=not self.console.is_terminal)
        self.task = self.bar.add_task(title, total=epochs * batches)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self.bar.update(self.task, completed=trainer.current_epoch * self.batches)
        self.bar.start()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        if self.console.is_terminal:
            where = f"{self.title} {trainer.current_epoch + 1}/{self.epochs}"
            self.bar.update(self.task, advance=1, description=f"{where}  {pl_module.running(self.keeper.history)}")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:  # noqa: ARG002
        row = self.keeper.history[-1]
        if not self.console.is_terminal:
            left = row["seconds"] * (self.epochs - row["epoch"])
            self.console.print(
                f"{self.title} {row['epoch']}/{self.epochs}  {pl_module.words(row)}  {left:.0f} s left",
                highlight=False,
                soft_wrap=True,
            )

    def teardown(self, *_: Any, **__: Any) -> None:
        self.bar.stop()


class HoldZeros(Callback):
    """Resets pruned weights to zero after every batch, since momentum and weight decay would change them."""

    def __init__(self, network: nn.Module, masks: Mapping[str, NDArray[np.bool_]]) -> None:
        named = dict(network.named_parameters())
        self._pairs = [(named[name], torch.from_numpy(~mask)) for name, mask in masks.items()]

    def on_train_start(self, *_: Any) -> None:
        self._pairs = [(weight, gone.to(weight.device)) for weight, gone in self._pairs]
        self._hold()

    def on_train_batch_end(self, *_: Any) -> None:
        self._hold()

    @torch.no_grad()
    def _hold(self) -> None:
        for weight, gone in self._pairs:
            weight.masked_fill_(gone, 0.0)
