"""From samples and a recipe to a bundle: the whole of training in one call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from lightning.pytorch.callbacks import Callback
from torch import nn

from gesta.clips.cache import ClipCache, default_root
from gesta.clips.fallbacks import notes as fallback_notes
from gesta.clips.transform import Transform
from gesta.models.recurrent import ChunkNet, RecurrentNet
from gesta.models.start import start_from
from gesta.models.weights import WeightsError
from gesta.outside import told
from gesta.progress import bar
from gesta.schema import Clip, GestaError, Problem, Sample
from gesta.tasks.clips.baselines import FEW, Lookup, in_folds, look_up
from gesta.tasks.clips.context import before
from gesta.tasks.clips.data import ClipSet
from gesta.tasks.clips.distil import DistillationTargets, Teacher, precompute_targets, targets_of
from gesta.tasks.clips.evaluate import identities
from gesta.tasks.clips.facts import resolve_for, resolve_padding, transform_for
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.module import ClassifyClips
from gesta.tasks.clips.network import fresh
from gesta.tasks.clips.recipe import ClipRecipe
from gesta.training.checkpoints import full_disk_explained, load_network, save_network, seed_everything
from gesta.training.classify import BEST_BY
from gesta.training.data import TrainingData
from gesta.training.figure import FIGURE, draw_history
from gesta.training.learner import LearnerFor, Row
from gesta.training.machine import accelerator_of
from gesta.training.run import Fitted, Run, clear
from gesta.training.save import provenance_of, write_bundle
from gesta.training.stage import Stage, precision_for, run_stage
from gesta.training.transfer import freeze

__all__ = ["Warm", "fit", "resolve_for", "transform_for"]


class Cache(Protocol):
    """What training needs of gesta.clips.cache.ClipCache."""

    def fill(
        self, samples: Iterable[Sample], transform: Transform, progress: Callable[[int, int], None] | None = None
    ) -> tuple[Problem, ...]: ...

    def load(self, sample: Sample, transform: Transform) -> Clip: ...

    def fingerprint(self, sample: Sample) -> str: ...


@dataclass(frozen=True)
class Warm:
    """A trained network to train on, in place, with its transform; its classes are the labels in alphabetical order."""

    network: nn.Module
    transform: Transform | None = None


@dataclass(frozen=True)
class _Job:
    recipe: ClipRecipe
    transform: Transform
    labels: tuple[str, ...]
    data: TrainingData
    run: Run
    warm: Warm | None = None
    teachers: Sequence[Teacher] = ()
    callbacks: Sequence[Callback] = ()


def fit(
    samples: Sequence[Sample],
    recipe: ClipRecipe,
    run: Run,
    *,
    layout: str,
    cache: Cache | None = None,
    warm: Warm | None = None,
    teachers: Sequence[Teacher] = (),
    callbacks: Sequence[Callback] = (),
) -> Fitted:
    """Trains on the samples of split "train", chooses the best epoch on "val"; the bundle is left at run.out/bundle.

    Without validation samples the last epoch is kept. Broken recordings are skipped and reported. Beside the bundle:
    checkpoints, logs and history.png. A resumed training ends as it would have without the break. `warm`: trained on
    instead of the recipe's fresh network; `teachers`: those that the recipe's distillation names, opened; `callbacks`:
    Lightning's, called before an epoch is saved. Raises GestaError for data that cannot be learned from, a recipe that
    does not fit the machine, another run's checkpoint, a loss that is not finite, or a full disk.
    """
    precision_for(recipe.training.precision, run.device)
    if not recipe.training.validation:
        samples = [replace(s, split="train") if s.split == "val" else s for s in samples]
    used, labels = _usable(samples)
    recipe, picked = resolve_for(used, recipe)
    transform = (None if warm is None else warm.transform) or transform_for(recipe, used)
    if warm is None:
        recipe = resolve_padding(recipe)
        _tried(recipe, transform, len(labels))
    store, started = cache or ClipCache(), time.perf_counter()
    with full_disk_explained(run.out):
        run.out.mkdir(parents=True, exist_ok=True)
        good, broken = _preprocessed(used, transform, store, run.progress)
        good, labels = _usable(good, broken)
        skipped = broken + _unknown_classes(samples, labels)
        if recipe.augmentation.context > 0:
            _preprocessed([e for earlier in before(samples).values() for e in earlier], transform, store, run.progress)
        clear(run)
        data = _data(good, before(samples), labels, transform, store, recipe, run.seed)
        taught = _taught(data.train, recipe, teachers, run, store)
        learned = _learned(_Job(recipe, transform, labels, data, run, warm, teachers, callbacks))
        learned = replace(learned, metrics=learned.metrics | taught)
        if learned.rank == 0:
            _write(learned, good, run, layout, store, transform, len(skipped))
    seconds = time.perf_counter() - started
    return Fitted(
        run.out / "bundle",
        learned.metrics,
        learned.history,
        seconds,
        learned.recipe,
        skipped,
        (),
        tuple(picked),
        learned.rank,
        learned.network,
    )


def _write(
    learned: _Learned,
    samples: Sequence[Sample],
    run: Run,
    layout: str,
    store: Cache,
    transform: Transform,
    skipped: int,
) -> None:
    """Leaves the bundle at run.out/bundle, with where it comes from."""
    files = sorted(store.fingerprint(s) for s in samples if s.split == "train")
    origin = provenance_of(
        samples,
        run,
        layout=layout,
        data="".join(files).encode(),
        identities=lambda used: identities(used, store),
        skipped=skipped,
        seconds=sum(row["seconds"] for row in learned.history),
    )
    fields: dict[str, Any] = {"labels": learned.labels, "transform": transform, "metrics": learned.metrics}
    notes = fallback_notes(transform, samples)
    write_bundle(run.out / "bundle", ClipManifest, learned.network, learned.recipe, origin, notes=notes, **fields)


def _taught(train: ClipSet, recipe: ClipRecipe, teachers: Sequence[Teacher], run: Run, store: Cache) -> dict[str, Any]:
    """What teachers say of the training clips, where the recipe asks for it."""
    device = accelerator_of(run.device)
    return precompute_targets(
        train,
        recipe.distillation,
        teachers,
        device,
        lambda clips, transform: _preprocessed(clips, transform, store, run.progress)[1],
    )


def _usable(samples: Sequence[Sample], skipped: Sequence[Problem] = ()) -> tuple[list[Sample], tuple[str, ...]]:
    """Labelled samples for training and validation, and the classes. Raises GestaError if nothing can be learned."""
    train = [s for s in samples if s.split == "train" and s.label is not None]
    labels = tuple(sorted({str(s.label) for s in train}))
    if len(labels) < 2:
        found = f"only the class {labels[0]!r}" if labels else "no labelled recording"
        broken = f" {len(skipped)} could not be used, the first: {str(skipped[0]).rstrip('.')}." if skipped else ""
        raise GestaError(
            f"The training part holds {found}; at least two classes are needed.{broken} "
            "Add recordings of another class, or see `gesta data inspect DATA` for what was left out."
        )
    val = [s for s in samples if s.split == "val" and s.label in labels]
    return train + val, labels


def _unknown_classes(samples: Sequence[Sample], labels: Sequence[str]) -> tuple[Problem, ...]:
    """Validation clips of classes that no training clip shows: nothing could learn them, so they are left out."""
    strange = [s for s in samples if s.split == "val" and s.label is not None and s.label not in labels]
    return tuple(
        Problem(str(s.files[0]), "unknown-class", f"of the class {s.label!r}, which no training clip has")
        for s in strange
    )


def _preprocessed(
    samples: Sequence[Sample], transform: Transform, store: Cache, progress: bool
) -> tuple[list[Sample], tuple[Problem, ...]]:
    """Fills the cache; the samples that can be used, and a problem for each that cannot."""
    with bar("prepare", progress) as tick:
        problems = store.fill(samples, transform, tick)
    if not problems:
        return list(samples), ()
    doubtful = {problem.path for problem in problems}
    return [s for s in samples if str(s.files[0]) not in doubtful or _loads(s, transform, store)], problems


def _loads(sample: Sample, transform: Transform, store: Cache) -> bool:
    try:
        store.load(sample, transform)
    except GestaError:
        return False
    return True


def _data(
    samples: Sequence[Sample],
    earlier: Mapping[str, Sequence[Sample]],
    labels: Sequence[str],
    transform: Transform,
    store: Cache,
    recipe: ClipRecipe,
    seed: int,
) -> TrainingData:
    train = [s for s in samples if s.split == "train"]
    val = [s for s in samples if s.split == "val"]
    if len(train) < 2:
        raise GestaError(f"Only {len(train)} training clip can be used; at least two are needed. Add recordings.")
    return TrainingData(
        ClipSet(train, labels, transform, store, recipe.augmentation, seed, before=earlier),
        ClipSet(val, labels, transform, store),
        int(recipe.training.batch),
        seed,
    )


@dataclass(frozen=True)
class _Learned:
    network: nn.Module
    recipe: ClipRecipe
    labels: tuple[str, ...]
    metrics: dict[str, Any]
    history: list[Row]
    rank: int = 0


def _learned(job: _Job) -> _Learned:
    """The network at its best; where the recipe asks for baselines and one is better, that one instead."""
    alone = job.recipe.model.name == "nearest"
    if not (_compares(job) or alone):
        return _trained(job)
    lookup = look_up(job.data)
    if alone or not lookup.measured.clips:
        return _looked_up(lookup, job, [], None)
    trained = _trained(job)
    accuracy = _accuracy(job, trained.metrics)
    if lookup.measured.delivers(accuracy) != "network":
        return replace(_looked_up(lookup, job, trained.history, accuracy), rank=trained.rank)
    baselines = lookup.measured.document(accuracy, "network")
    return replace(trained, metrics=trained.metrics | {"baselines": baselines})


def _compares(job: _Job) -> bool:
    """Whether the network is measured against lookups: not one that the user brings, or one on skeletons."""
    recipe, transform = job.recipe, job.transform
    brought = recipe.model.is_outside or recipe.distillation is not None or job.warm is not None
    return recipe.baselines and not brought and transform.sampling == "chunks" and transform.skeleton is None


def _trained(job: _Job) -> _Learned:
    network, history, best, rank = _train(job)
    if rank == 0:
        draw_history(history, job.run.out / FIGURE, job.recipe.name)
    return _Learned(network, job.recipe, job.labels, _metrics(best, history, job.data), history, rank)


def _looked_up(lookup: Lookup, job: _Job, history: list[Row], accuracy: float | None) -> _Learned:
    network, model = lookup.network()
    baselines = lookup.measured.document(accuracy, lookup.measured.better)
    measured = {"val_accuracy": baselines[lookup.measured.better.replace(" ", "_")]} if len(job.data.val) else {}
    metrics = {**measured, "best_epoch": 0, "epochs": len(history), "val_clips": len(job.data.val)}
    recipe = job.recipe.model_copy(update={"model": model})
    return _Learned(network, recipe, job.labels, metrics | {"baselines": baselines}, history)


def _accuracy(job: _Job, metrics: Mapping[str, Any]) -> float | None:
    """The trained network's, on what the baselines were measured on; None where that would take too long."""
    if "val_accuracy" in metrics:
        return float(metrics["val_accuracy"])
    if len(job.data.train) >= FEW * len(job.labels) or job.warm is not None:
        return None

    def in_fold(fold: int, data: TrainingData[ClipSet]) -> float:
        run = replace(job.run, out=job.run.out / "held-out" / str(fold))
        _, history, _, _ = _train(replace(job, data=data, run=run, callbacks=()))
        return float(history[-1]["val_accuracy"])  # the last epoch, as the one that is delivered

    return in_folds(job.data, in_fold)


def _train(job: _Job) -> tuple[nn.Module, list[Row], Row, int]:
    """The stages of the recipe, one after another: (network at its best, history, best row, rank)."""
    training, run = job.recipe.training, job.run
    seed_everything(run.seed)
    warm = job.warm
    network = warm.network if warm is not None else _initialized(job.recipe, job.transform, len(job.labels))
    frozen: nn.Module | None = None
    if training.freeze is not None:
        if warm is None:
            raise GestaError(
                "training.freeze is for a network that has learned: gesta train --from BUNDLE.", usage=True
            )
        frozen = freeze(network, training.freeze)
    if training.pretrain_epochs:
        frozen = _pretrain(job, network) or frozen
    assert isinstance(training.epochs, int)
    distillation = targets_of(job.recipe.distillation, job.teachers, job.labels)
    if distillation is not None and distillation.settings.mode == "soft_then_hard":
        _learn_softly(job, network, distillation, frozen)
        distillation = None
    stage = _stage(job, "training", 1, "train", training.epochs)
    history, best, rank = run_stage(
        stage,
        network,
        job.data,
        _learner(job, network, over=training.loss_over, frozen=frozen, distillation=distillation),
    )
    return network, history, best, rank


def _fresh(recipe: ClipRecipe, transform: Transform, classes: int) -> nn.Module:
    """The recipe's network, untrained. Raises GestaError (usage) for settings that no network can have."""
    try:
        return fresh(recipe.model.model_dump(), transform, classes)
    except ValueError as error:
        raise GestaError(f"recipe {recipe.name}: {recipe.model.name} cannot be built: {error}", usage=True) from error


def _tried(recipe: ClipRecipe, transform: Transform, classes: int) -> None:
    """Wrong settings are reported before any clip is preprocessed. Raises GestaError (usage) for them."""
    if transform.skeleton is not None:
        _fresh(recipe, transform, classes)
        return
    if not recipe.model.is_outside:
        with torch.device("meta"):
            _fresh(recipe, transform, classes)
        return
    network = _fresh(recipe, transform, classes).eval()
    _, height, width, channels = transform.frame_shape
    clip = torch.zeros(1, len(transform.streams), channels, transform.window, height, width, dtype=torch.uint8)
    try:
        with torch.inference_mode():
            found = network(clip, torch.tensor([transform.window])) if hasattr(network, "step") else network(clip)
        shape = tuple(found.shape)
    except Exception as error:
        given = f"a clip uint8 {list(clip.shape)} [B, S, C, T, H, W]"
        raise GestaError(f"{recipe.model.name} does not take {given}: {told(error)}", usage=True) from error
    if shape != (1, classes):
        expected = f"logits [1, {classes}] for a batch of one and {classes} classes"
        raise GestaError(f"{recipe.model.name} gives {list(shape)}, expected {expected}.", usage=True)


def _initialized(recipe: ClipRecipe, transform: Transform, classes: int) -> nn.Module:
    """The recipe's network with the published weights that it names. Raises GestaError (usage) if they do not fit."""
    network, model = _fresh(recipe, transform, classes), recipe.model
    try:
        start_from(model.name, network, model.weights, default_root() / "weights", model.motion_weights)
    except WeightsError as error:
        raise GestaError(f"model.weights: {error}", usage=True) from error
    return network


def _learn_softly(job: _Job, network: nn.Module, distillation: DistillationTargets, frozen: nn.Module | None) -> None:
    """First the teachers' answers alone; the best epoch of that stays in `network`, and the labels come after."""
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


def _pretrain(job: _Job, network: nn.Module) -> nn.Module | None:
    """The encoder learns the clip's label from single chunks (spec 1); its best epoch stays in `network`.

    Returns the encoder, if it is to stay as it is from then on.
    """
    training = job.recipe.training
    if not isinstance(network, RecurrentNet):
        raise GestaError(
            f"pretrain_epochs is for networks over chunks, not {job.recipe.model.name}. Set it to 0.", usage=True
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


def _learner(job: _Job, network: nn.Module, **given: Any) -> LearnerFor:
    return lambda steps: ClassifyClips(network, job.recipe.training, steps=steps, **given)


def _stage(job: _Job, name: str, number: int, title: str, epochs: int) -> Stage:
    identity = {
        "recipe": job.recipe.model_dump(mode="json"),
        "seed": job.run.seed,
        "set of classes": list(job.labels),
        "number of training clips": len(job.data.train),
    }
    return Stage(name, number, title, epochs, job.recipe.training, job.run, identity, BEST_BY, job.callbacks)


def _metrics(best: dict[str, float], history: list[dict[str, float]], data: TrainingData) -> dict[str, Any]:
    """What training measured, for the manifest."""
    values = {k: v for k, v in best.items() if k.startswith(("val_", "train_"))}
    return {**values, "best_epoch": int(best["epoch"]), "epochs": len(history), "val_clips": len(data.val)}
