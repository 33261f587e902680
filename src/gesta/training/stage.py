"""One training stage: a network, its data, Lightning's trainer, and the files it writes."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from torch import nn

from gesta.schema import GestaError
from gesta.training.callbacks import Generators, Keeper, Show
from gesta.training.checkpoints import WholeFileIO, full_disk_explained, load_network, load_state
from gesta.training.data import TrainingData, batches_an_epoch
from gesta.training.learner import LearnerFor, Row
from gesta.training.machine import accelerator_of, quiet
from gesta.training.memory import channels_last, keep_freed_memory
from gesta.training.optim import batches_an_update
from gesta.training.run import Run
from gesta.training.small_maps import small_maps_in_full


def precision_for(wanted: str, device: str) -> str:
    """Returns the training precision. Raises GestaError for 16-bit floats on a CPU, which cannot multiply them."""
    if accelerator_of(device) == "cpu":
        if wanted == "16-mixed":
            raise GestaError(
                "training.precision=16-mixed needs a GPU. On a CPU use 32-true, or bf16-mixed, which is faster "
                "where the processor multiplies bf16 (AVX512-BF16, AMX)."
            )
        return "32-true" if wanted == "auto" else wanted
    if wanted == "auto":
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    return wanted


@dataclass(frozen=True)
class Stage:
    """Configuration of one stage. `settings`: training section of a recipe; `identity`: must match in order to resume.

    `number` separates its random generators from other stages'; `best_by`: see Keeper; `callbacks`: called after every
    batch and epoch, before anything is saved.
    """

    name: str
    number: int
    title: str
    epochs: int
    settings: Any
    run: Run
    identity: Mapping[str, Any]
    best_by: Sequence[str]
    callbacks: Sequence[Callback] = ()


def run_stage(
    stage: Stage, network: nn.Module, data: TrainingData, learner_for: LearnerFor
) -> tuple[list[Row], Row, int]:
    """Trains `network` in place and restores its best epoch. Returns (history, best row, rank of this process).

    Raises GestaError for a checkpoint from a different run, a non-finite loss, or a full disk.
    """
    run = stage.run
    keeper = Keeper(run.out, stage.name, dict(stage.identity), stage.settings.patience, stage.best_by, run.stop)
    checkpoint = _checkpoint(keeper, stage)
    batches = batches_an_epoch(len(data.train), data.batch, run.devices * run.nodes)
    together = batches_an_update(stage.settings, batches)
    network.train()  # Lightning keeps the mode, and a network from a bundle is in eval mode
    learner = learner_for(-(-batches // together) * stage.epochs)
    keep_freed_memory()
    callbacks: list[Any] = [Generators(run.seed, stage.number), *stage.callbacks, keeper]
    if run.progress:
        callbacks.append(Show(keeper, stage.epochs, batches, stage.title))
    with quiet(), full_disk_explained(run.out), small_maps_in_full(network), channels_last(network):
        trainer = pl.Trainer(
            accelerator=accelerator_of(run.device),
            devices=run.devices,
            num_nodes=run.nodes,
            precision=precision_for(stage.settings.precision, run.device),  # type: ignore[arg-type]
            max_epochs=stage.epochs,
            gradient_clip_val=stage.settings.gradient_clip,
            accumulate_grad_batches=together,
            callbacks=callbacks,
            plugins=[WholeFileIO()],
            default_root_dir=run.out,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
        )
        fit_or_stop(trainer, learner, data, checkpoint)
    load_network(keeper.best, network)
    return keeper.history, keeper.history[keeper.best_epoch], trainer.global_rank


def fit_or_stop(
    trainer: pl.Trainer, task: pl.LightningModule, data: TrainingData, checkpoint: Path | None = None
) -> None:
    """Trains; on SIGTERM or Ctrl-C, exits with status 143 or 130, following shell conventions.

    Lightning turns SIGTERM into a SystemExit without a code, which would mean success, and ignores one received after
    the last batch.
    """
    try:
        trainer.fit(task, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    except SystemExit as stopped:
        interrupted = isinstance(stopped.__context__, KeyboardInterrupt)
        raise SystemExit(128 + (signal.SIGINT if interrupted else signal.SIGTERM)) from stopped
    if trainer.received_sigterm:
        raise SystemExit(128 + signal.SIGTERM)


def _checkpoint(keeper: Keeper, stage: Stage) -> Path | None:
    """Returns the checkpoint to resume from, or None. Raises GestaError if it is from another recipe, seed or data."""
    if not stage.run.resume or not keeper.last.exists():
        return None
    saved = load_state(keeper.last)["callbacks"]["Keeper"]["identity"]
    for name, value in stage.identity.items():
        if saved.get(name) != value:
            if name == "recipe" and _differ_in_epochs(saved.get(name), value):
                if stage.settings.schedule in FIXED and stage.epochs > saved[name]["training"]["epochs"]:
                    continue
                raise GestaError(
                    f"{keeper.last}: was made with another recipe, for {saved[name]['training']['epochs']} epochs, "
                    f"not {stage.epochs}. Training can only "
                    f"be resumed for more epochs, and only with schedule {' or '.join(FIXED)}, whose learning rates "
                    "do not "
                    "depend on the number of epochs. Use the epochs of the first run, or train again without --resume."
                )
            raise GestaError(
                f"{keeper.last}: was made with another {name}, so training cannot continue from it. "
                f"Use the {name} of the first run, or train again without --resume."
            )
    return keeper.last


FIXED = ("constant", "plateau")
"""Schedules in which the learning rate of an epoch does not depend on the total number of epochs."""


def _differ_in_epochs(saved: Any, recipe: Any) -> bool:
    """Returns whether two recipes are identical except for the number of epochs."""
    if not (isinstance(saved, dict) and isinstance(recipe, dict)):
        return False
    one, other = ({**r, "training": {**r.get("training", {}), "epochs": None}} for r in (saved, recipe))
    return one == other
