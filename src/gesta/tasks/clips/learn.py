"""Training of a clip network: the stages of its recipe, and the comparison with baselines."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback
from torch import nn

from gesta.clips.cache import default_root
from gesta.clips.transform import Transform
from gesta.files import write_whole
from gesta.models.recurrent import ChunkNet, RecurrentNet
from gesta.models.start import start_from
from gesta.models.two_stream import TwoStream
from gesta.models.weights import WeightsError
from gesta.outside import told
from gesta.schema import GestaError
from gesta.tasks.clips.baselines import accuracy_of
from gesta.tasks.clips.continuous import ChunkLearner, check
from gesta.tasks.clips.data import ClipSet
from gesta.tasks.clips.distil import DistillationTargets, Teacher, targets_of
from gesta.tasks.clips.embedding import take_means
from gesta.tasks.clips.module import ClassifyClips
from gesta.tasks.clips.network import fresh
from gesta.tasks.clips.recipe import ClipRecipe
from gesta.training.checkpoints import load_network, save_network, seed_everything
from gesta.training.classify import BEST_BY
from gesta.training.data import TrainingData
from gesta.training.figure import FIGURE, draw_history
from gesta.training.learner import LearnerFor, Row
from gesta.training.machine import accelerator_of
from gesta.training.run import Run
from gesta.training.stage import Stage, run_stage
from gesta.training.transfer import freeze, stream_settings


@dataclass(frozen=True)
class Warm:
    """A trained network to continue training in place, with its transform; its classes are the sorted labels."""

    network: nn.Module
    transform: Transform | None = None


@dataclass(frozen=True)
class Job:
    recipe: ClipRecipe
    transform: Transform
    labels: tuple[str, ...]
    data: TrainingData
    run: Run
    warm: Warm | None = None
    teachers: Sequence[Teacher] = ()
    callbacks: Sequence[Callback] = ()


@dataclass(frozen=True)
class Learned:
    network: nn.Module
    recipe: ClipRecipe
    labels: tuple[str, ...]
    metrics: dict[str, Any]
    history: list[Row]
    transform: Transform
    rank: int = 0


def trained(job: Job) -> Learned:
    """Trains the recipe's network, without considering other candidates. Prototypes are set to their classes' means."""
    network, history, best, rank = _train(job)
    metrics = _metrics(best, history, job.data)
    if job.recipe.model.head == "prototypes" and job.warm is None and isinstance(job.data.train, ClipSet):
        take_means(network, job.data.train)
        if len(job.data.val):
            metrics["val_accuracy"] = accuracy_of(network, job.data.val)
    shown = [row for row in history if "train_loss" in row]  # of a network, not of a stream by itself
    if rank == 0 and shown:
        draw_history(shown, job.run.out / FIGURE, job.recipe.name)
    elif rank == 0:
        (job.run.out / FIGURE).unlink(missing_ok=True)  # an earlier training's
    return Learned(network, job.recipe, job.labels, metrics, history, job.transform, rank)


def _train(job: Job) -> tuple[nn.Module, list[Row], Row, int]:
    """Runs the stages of the recipe in order; returns (best network, history, best row, rank)."""
    training, run = job.recipe.training, job.run
    seed_everything(run.seed)
    warm = job.warm
    network = warm.network if warm is not None else _initialized(job.recipe, job.transform, len(job.labels))
    frozen: nn.Module | None = None
    if training.freeze is not None:
        if warm is None:
            raise GestaError("training.freeze needs a trained network: gesta train --from BUNDLE.", usage=True)
        frozen = freeze(network, training.freeze)
    if training.pretrain_epochs:
        frozen = _pretrain(job, network) or frozen
    assert isinstance(training.epochs, int)
    distillation = targets_of(job.recipe.distillation, job.teachers, job.labels)
    softly = distillation is not None and distillation.settings.mode == "soft_then_hard"
    if distillation is not None and softly:
        _learn_softly(job, network, distillation, frozen)
        distillation = None
    given = {"over": training.loss_over, "distillation": distillation}
    if isinstance(network, TwoStream) and warm is None and not softly:
        return network, *_train_streams(job, network, given)
    stage = _stage(job, "training", 1, "train", training.epochs)
    learner = _learner(job, network, frozen=frozen, **given)
    return network, *run_stage(stage, network, job.data, learner)


def _train_streams(job: Job, network: TwoStream, given: dict[str, Any]) -> tuple[list[Row], Row, int]:
    """Trains each stream by itself, to its own best epoch, then the last layers together if features are fused.

    Returns (history, best row, rank); a stream's losses and accuracies have its name.
    """
    training = job.recipe.training
    own = {name: stream_settings(network, name, training) for name, _ in network.streams()}
    epochs, rows, streams = int(training.epochs), list[Row](), Row()
    for number, (name, stream) in enumerate(network.streams(), 3):
        stage = _stage(job, name, number, name, epochs)
        history, best, rank = run_stage(stage, stream, job.data, _learner(job, stream, settings=own[name], **given))
        rows += [_named(row, name) for row in history]
        streams |= _named({k: v for k, v in best.items() if k.startswith(("train_", "val_"))}, name)
        if rank == 0:
            draw_history(history, job.run.out / f"{name}.png", f"{job.recipe.name}, {name}")
    if network.fusion == "score":
        row = {"epoch": 0, "seconds": 0.0, **_measured(job, network, _learner(job, network, **given))}
        return [*rows, row], streams | row, rank
    _forget_other_fusion(job.run, list(own))
    frozen = freeze(network, "all")
    stage = _stage(job, "training", 1, "fusion", epochs)
    history, best, rank = run_stage(stage, network, job.data, _learner(job, network, frozen=frozen, **given))
    network.requires_grad_(True)
    return [*rows, *history], streams | best, rank


def _named(row: Row, stream: str) -> Row:
    return {f"{stream}_{k}" if k.startswith(("train_", "val_", "test_")) else k: v for k, v in row.items()}


def _measured(job: Job, network: nn.Module, learner_for: LearnerFor) -> Row:
    """Returns the accuracy and loss on the validation part, if there is one."""
    if not len(job.data.val):
        return {}
    device, learner = accelerator_of(job.run.device), learner_for(1)
    learner.to(device).eval()
    with torch.inference_mode():
        for batch in job.data.val_dataloader()[0]:
            learner.validate({name: value.to(learner.device) for name, value in batch.items()})
    loss, right, count = learner.sums["val"].tolist()
    network.cpu()
    return {"val_loss": loss / count, "val_accuracy": right / count}


def _forget_other_fusion(run: Run, streams: Sequence[str]) -> None:
    """Removes what was trained on streams that have been trained on since, or together with them by an old version."""
    folder = run.out / "checkpoints"
    weights = [(folder / f"{name}-best.safetensors").read_bytes() for name in streams]
    now, mark = hashlib.sha256(b"".join(weights)).hexdigest(), folder / "fused_streams.txt"
    if not mark.exists() or mark.read_text() != now:
        for name in ("training.ckpt", "training-best.safetensors"):
            (folder / name).unlink(missing_ok=True)
        write_whole(mark, now.encode())


def _fresh(recipe: ClipRecipe, transform: Transform, classes: int) -> nn.Module:
    """Builds the recipe's network, untrained. Raises GestaError (usage) for settings that are invalid for it."""
    try:
        return fresh(recipe.model.model_dump(), transform, classes)
    except ValueError as error:
        raise GestaError(f"recipe {recipe.name}: {recipe.model.name} cannot be built: {error}", usage=True) from error


def tried(recipe: ClipRecipe, transform: Transform, classes: int) -> None:
    """Checks the settings before any clip is preprocessed. Raises GestaError (usage) for invalid ones."""
    if transform.skeleton is not None or not recipe.model.is_outside:
        with torch.device("cpu" if transform.skeleton is not None else "meta"):
            network = _fresh(recipe, transform, classes)
        if recipe.continuous is not None:
            check(recipe, network)
        return
    network = _fresh(recipe, transform, classes).eval()
    streams, height, width, channels = transform.frame_shape
    clip = torch.zeros(1, streams, channels, transform.window, height, width, dtype=torch.uint8)
    try:
        with torch.inference_mode():
            found = network(clip, torch.tensor([transform.window])) if hasattr(network, "step") else network(clip)
        shape = tuple(found.shape)
    except Exception as error:
        given = f"a clip uint8 {list(clip.shape)} [B, S, C, T, H, W]"
        raise GestaError(f"{recipe.model.name} does not take {given}: {told(error)}", usage=True) from error
    if shape != (1, classes):
        expected = f"logits [1, {classes}] for a batch of one and {classes} classes"
        raise GestaError(f"{recipe.model.name} returns {list(shape)}, expected {expected}.", usage=True)


def _initialized(recipe: ClipRecipe, transform: Transform, classes: int) -> nn.Module:
    """Builds the recipe's network with its pretrained weights. Raises GestaError (usage) if they do not fit."""
    network, model = _fresh(recipe, transform, classes), recipe.model
    try:
        start_from(model.name, network, model.weights, default_root() / "weights", model.motion_weights)
    except WeightsError as error:
        raise GestaError(f"model.weights: {error}", usage=True) from error
    return network


def _learn_softly(job: Job, network: nn.Module, distillation: DistillationTargets, frozen: nn.Module | None) -> None:
    """Trains on the teachers' answers alone, before the labels; keeps the best epoch in `network`."""
    training = job.recipe.training
    alone = replace(distillation, settings=distillation.settings.model_copy(update={"alpha": 1.0}))
    stage = _stage(job, "soft", 2, "soft targets", distillation.settings.soft_epochs or int(training.epochs))
    done = job.run.out / "checkpoints" / "soft.safetensors"
    if not (job.run.resume and done.exists()):
        run_stage(
            stage, network, job.data, _learner(job, network, over=training.loss_over, frozen=frozen, distillation=alone)
        )
        save_network(done, network)
    load_network(done, network)


def _pretrain(job: Job, network: nn.Module) -> nn.Module | None:
    """Trains the encoder to predict the clip's label from single chunks (spec 1); keeps the best epoch in `network`.

    Returns the encoder if it is to stay frozen from then on.
    """
    training = job.recipe.training
    if not isinstance(network, RecurrentNet):
        raise GestaError(
            f"pretrain_epochs is for networks that process chunks, not {job.recipe.model.name}. Set it to 0.",
            usage=True,
        )
    stage = _stage(job, "pretraining", 0, "encoder", training.pretrain_epochs)
    done = job.run.out / "checkpoints" / "encoder.safetensors"
    if not (job.run.resume and done.exists()):
        chunks = ChunkNet(network, len(job.labels))
        run_stage(stage, chunks, job.data, _learner(job, chunks, over="all"))
        save_network(done, network.encoder)
    load_network(done, network.encoder)
    network.requires_grad_(True)
    if not training.freeze_encoder:
        return None
    network.encoder.requires_grad_(False)
    return network.encoder


def _learner(job: Job, network: nn.Module, *, settings: Any = None, **given: Any) -> LearnerFor:
    continuous, training = job.recipe.continuous, settings or job.recipe.training
    if continuous is not None:
        frozen = given["frozen"]
        return lambda steps: ChunkLearner(
            network, training, steps=steps, frozen=frozen, smoothness=continuous.smoothness
        )
    alone = job.recipe.augmentation.modality_dropout
    return lambda steps: ClassifyClips(network, training, steps=steps, alone=alone, **given)


def _stage(job: Job, name: str, number: int, title: str, epochs: int) -> Stage:
    identity = {
        "recipe": job.recipe.model_dump(mode="json"),
        "seed": job.run.seed,
        "set of classes": list(job.labels),
        "number of training clips": len(job.data.train),
    }
    return Stage(name, number, title, epochs, job.recipe.training, job.run, identity, BEST_BY, job.callbacks)


def _metrics(best: dict[str, float], history: list[dict[str, float]], data: TrainingData) -> dict[str, Any]:
    """Returns the training metrics for the manifest."""
    values = {k: v for k, v in best.items() if k.startswith(("val_", "train_", "appearance_", "motion_"))}
    epochs = max(int(row["epoch"]) for row in history)
    return {**values, "best_epoch": int(best["epoch"]), "epochs": epochs, "val_clips": len(data.val)}
