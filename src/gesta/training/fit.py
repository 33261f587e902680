"""From samples and a recipe to a bundle: the whole of training in one call."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import Progress
from torch import nn

from gesta.clips.cache import ClipCache, default_root
from gesta.clips.fallbacks import notes as fallback_notes
from gesta.clips.transform import Transform
from gesta.models.catalog import build
from gesta.models.recurrent import ChunkNet, RecurrentNet
from gesta.models.start import start_from
from gesta.models.weights import WeightsError
from gesta.recipes import Recipe
from gesta.schema import Clip, GestaError, Problem, Sample
from gesta.training.checkpoints import full_disk_explained, load_network, save_network, seed_everything
from gesta.training.context import before
from gesta.training.data import ClipData, ClipSet
from gesta.training.distil import Lesson, Teacher, attend, lesson_of
from gesta.training.facts import settle_for, settle_padding, transform_for
from gesta.training.figure import draw_history
from gesta.training.save import provenance_of, write_bundle
from gesta.training.stage import Machine, Stage, run_stage
from gesta.training.transfer import freeze

__all__ = ["FitResult", "fit", "settle_for", "transform_for"]


class Cache(Protocol):
    """What training needs of gesta.clips.cache.ClipCache."""

    def fill(
        self, samples: Iterable[Sample], transform: Transform, progress: Callable[[int, int], None] | None = None
    ) -> tuple[Problem, ...]: ...

    def load(self, sample: Sample, transform: Transform) -> Clip: ...

    def fingerprint(self, sample: Sample) -> str: ...


@dataclass(frozen=True)
class FitResult:
    """`metrics`: those of the best epoch, as in the manifest. `history`: a row an epoch. `rank` 0 wrote the bundle."""

    bundle: Path
    metrics: dict[str, Any]
    history: list[dict[str, float]]
    seconds: float
    skipped: tuple[Problem, ...]
    rank: int = 0


@dataclass(frozen=True)
class _Run:
    recipe: Recipe
    out: Path
    transform: Transform
    labels: tuple[str, ...]
    data: ClipData
    machine: Machine
    seed: int
    resume: bool
    progress: bool
    network: nn.Module | None = None
    teachers: Sequence[Teacher] = ()
    callbacks: Sequence[Callback] = ()


def fit(
    samples: Sequence[Sample],
    recipe: Recipe,
    out: Path,
    *,
    layout: str,
    seed: int = 0,
    resume: bool = False,
    devices: int = 1,
    nodes: int = 1,
    device: str = "auto",
    notes: Sequence[str] = (),
    progress: bool = True,
    cache: Cache | None = None,
    network: nn.Module | None = None,
    teachers: Sequence[Teacher] = (),
    callbacks: Sequence[Callback] = (),
    transform: Transform | None = None,
) -> FitResult:
    """Trains on the samples of split "train", chooses the best epoch on "val"; the bundle is left at out/bundle.

    Without validation samples the last epoch is kept. Broken recordings are skipped and reported. Beside the bundle:
    out/checkpoints, out/logs, out/training.png. With `resume`, training goes on after the last finished epoch in `out`
    and ends as it would have without the break. `network`: trained on, in place, instead of the recipe's fresh one (its
    classes are the labels in alphabetical order); `teachers`: those that the recipe's distillation names, opened;
    `callbacks`: Lightning's, called before an epoch is saved; `transform`: that of `network`, if not the recipe's.
    Raises GestaError for data that cannot be learned from,
    a recipe that does not fit the machine, another run's checkpoint, a loss that is not finite, or a full disk.
    """
    machine = Machine(device, devices, nodes)
    machine.precision(recipe.training.precision)
    if not recipe.training.validation:
        samples = [replace(s, split="train") if s.split == "val" else s for s in samples]
    used, labels = _usable(samples)
    recipe, _ = settle_for(used, recipe)
    transform = transform or transform_for(recipe, used)
    if network is None:
        recipe = settle_padding(recipe)
        with torch.device("meta"):  # wrong settings are said before any clip is prepared
            _fresh(recipe, transform, len(labels))
    store = cache or ClipCache()
    started = time.perf_counter()
    with full_disk_explained(out):
        out.mkdir(parents=True, exist_ok=True)
        good, broken = _prepared(used, transform, store, progress)
        good, labels = _usable(good, broken)
        skipped = broken + _unknown_classes(samples, labels)
        if recipe.augmentation.context > 0:
            _prepared([e for earlier in before(samples).values() for e in earlier], transform, store, progress)
        _clear(out, resume)
        data = _data(good, before(samples), labels, transform, store, recipe, seed)
        said = attend(
            data.train,
            recipe.distillation,
            teachers,
            machine.accelerator,
            lambda clips, sight: _prepared(clips, sight, store, progress)[1],
        )
        run = _Run(recipe, out, transform, labels, data, machine, seed, resume, progress, network, teachers, callbacks)
        network, history, best, rank = _train(run)
        seconds = time.perf_counter() - started
        metrics = _metrics(best, history, data) | said
        if rank == 0:
            draw_history(history, out / "training.png", recipe.name)
            provenance = provenance_of(
                good,
                store,
                layout=layout,
                seed=seed,
                skipped=len(skipped),
                notes=notes,
                seconds=sum(row["seconds"] for row in history),
                accelerator=machine.accelerator,
            )
            write_bundle(
                out / "bundle",
                network,
                labels=labels,
                transform=transform,
                recipe=recipe,
                provenance=provenance,
                metrics=metrics,
                notes=fallback_notes(transform, good),
            )
    return FitResult(out / "bundle", metrics, history, seconds, skipped, rank)


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


def _prepared(
    samples: Sequence[Sample], transform: Transform, store: Cache, progress: bool
) -> tuple[list[Sample], tuple[Problem, ...]]:
    """Fills the cache; the samples that can be used, and a problem for each that cannot."""
    console = Console(stderr=True, emoji=False)
    with Progress(console=console, disable=not (progress and console.is_terminal)) as bar:
        task = bar.add_task("prepare", total=None)
        problems = store.fill(samples, transform, lambda done, total: bar.update(task, completed=done, total=total))
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


def _clear(out: Path, resume: bool) -> None:
    """Removes what an earlier run left, so that nothing of it is taken for this one's; to resume, only half files."""
    for stray in (out / "checkpoints").glob(".*.tmp"):
        stray.unlink(missing_ok=True)
    if not resume:
        for name in ("checkpoints", "logs"):
            shutil.rmtree(out / name, ignore_errors=True)


def _data(
    samples: Sequence[Sample],
    earlier: Mapping[str, Sequence[Sample]],
    labels: Sequence[str],
    transform: Transform,
    store: Cache,
    recipe: Recipe,
    seed: int,
) -> ClipData:
    train = [s for s in samples if s.split == "train"]
    val = [s for s in samples if s.split == "val"]
    if len(train) < 2:
        raise GestaError(f"Only {len(train)} training clip can be used; at least two are needed. Add recordings.")
    return ClipData(
        ClipSet(train, labels, transform, store, recipe.augmentation, seed, before=earlier),
        ClipSet(val, labels, transform, store),
        int(recipe.training.batch),
        seed,
    )


def _train(run: _Run) -> tuple[nn.Module, list[dict[str, float]], dict[str, float], int]:
    """The stages of the recipe, one after another: (network at its best, history, best row, rank)."""
    model, transform, training = run.recipe.model, run.transform, run.recipe.training
    seed_everything(run.seed)
    network = run.network if run.network is not None else _begun(run.recipe, transform, len(run.labels))
    frozen: nn.Module | None = None
    if training.freeze is not None:
        if run.network is None:
            raise GestaError(
                "training.freeze is for a network that has learned: gesta train --from BUNDLE.", usage=True
            )
        frozen = freeze(network, training.freeze)
    if training.pretrain_epochs:
        if not isinstance(network, RecurrentNet):
            raise GestaError(f"pretrain_epochs is for networks over chunks, not {model.name}. Set it to 0.", usage=True)
        _pretrain(run, network)
        if training.freeze_encoder:
            network.encoder.requires_grad_(False)
            frozen = network.encoder
    assert isinstance(training.epochs, int)
    lesson = lesson_of(run.recipe.distillation, run.teachers, run.labels)
    if lesson is not None and lesson.settings.way == "soft_then_hard":
        _learn_softly(run, network, lesson, frozen)
        lesson = None
    stage = _stage(run, "training", 1, "train", training.epochs, training.loss_over, lesson)
    history, best, rank = run_stage(stage, network, run.data, run.machine, frozen)
    return network, history, best, rank


def _fresh(recipe: Recipe, transform: Transform, classes: int) -> nn.Module:
    """The recipe's network, untrained. Raises GestaError (usage) for settings that no network can have."""
    try:
        return build(
            classes=classes,
            streams=len(transform.streams),
            channels=len(transform.channels),
            size=transform.size,
            chunk=transform.chunk,
            window=transform.window,
            **recipe.model.model_dump(),
        )
    except ValueError as error:
        raise GestaError(f"recipe {recipe.name}: {recipe.model.name} cannot be built: {error}", usage=True) from error


def _begun(recipe: Recipe, transform: Transform, classes: int) -> nn.Module:
    """The recipe's network with the published weights that it names. Raises GestaError (usage) if they do not fit."""
    network, model = _fresh(recipe, transform, classes), recipe.model
    try:
        start_from(model.name, network, model.weights, default_root() / "weights", model.motion_weights)
    except WeightsError as error:
        raise GestaError(f"model.weights: {error}", usage=True) from error
    return network


def _learn_softly(run: _Run, network: nn.Module, lesson: Lesson, frozen: nn.Module | None) -> None:
    """First the teachers' answers alone; the best epoch of that stays in `network`, and the labels come after."""
    epochs = lesson.settings.soft_epochs or int(run.recipe.training.epochs)
    alone = replace(lesson, settings=lesson.settings.model_copy(update={"alpha": 1.0}))
    stage = _stage(run, "soft", 2, "soft targets", epochs, run.recipe.training.loss_over, alone)
    done = run.out / "checkpoints" / "soft.safetensors"
    if not (run.resume and done.exists()):
        run_stage(stage, network, run.data, run.machine, frozen)
        save_network(done, network)
    load_network(done, network)


def _pretrain(run: _Run, network: RecurrentNet) -> None:
    """The encoder learns the clip's label from single chunks (spec 1); its best epoch stays in `network`."""
    epochs = run.recipe.training.pretrain_epochs
    stage = _stage(run, "pretraining", 0, "encoder", epochs, "all")
    done = run.out / "checkpoints" / "encoder.safetensors"
    if not (run.resume and done.exists()):
        run_stage(stage, ChunkNet(network, len(run.labels)), run.data, run.machine)
        save_network(done, network.encoder)
    load_network(done, network.encoder)
    network.requires_grad_(True)


def _stage(
    run: _Run, name: str, number: int, title: str, epochs: int, over: Any, lesson: Lesson | None = None
) -> Stage:
    identity = {
        "recipe": run.recipe.model_dump(mode="json"),
        "seed": run.seed,
        "set of classes": list(run.labels),
        "number of training clips": len(run.data.train),
    }
    return Stage(
        name,
        number,
        title,
        epochs,
        run.recipe.training,
        over,
        run.out,
        run.seed,
        identity,
        run.resume,
        run.progress,
        lesson,
        run.callbacks,
    )


def _metrics(best: dict[str, float], history: list[dict[str, float]], data: ClipData) -> dict[str, Any]:
    """What training measured, for the manifest."""
    values = {k: v for k, v in best.items() if k.startswith(("val_", "train_"))}
    return {**values, "best_epoch": int(best["epoch"]), "epochs": len(history), "val_clips": len(data.val)}
