"""Measures training throughput in clips per second, and the fraction of time spent waiting for data. Needs torch."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch

from gesta.bundle.io import Bundle
from gesta.clips.cache import ClipCache
from gesta.clips.transform import Transform
from gesta.schema import Clip, GestaError, Resource, Sample
from gesta.tasks.clips.data import ClipSet, ClipStore
from gesta.tasks.clips.export import random_clip
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.module import ClassifyClips
from gesta.tasks.clips.network import fresh
from gesta.tasks.clips.recipe import ClipRecipe
from gesta.training.data import TrainingData
from gesta.training.machine import quiet
from gesta.training.stage import fit_or_stop

BATCHES = 3
"""Batches per epoch. The first epoch is the warm-up; the others are measured."""
MOST_EPOCHS = 20
RANDOM_CLIP_S = 2.0


class RandomClips:
    """Replaces the cache when there is no data: the same random pixels for every sample, from memory."""

    def __init__(self, transform: Transform, seed: int) -> None:
        frames = max(transform.window if transform.sampling == "central" else 0, round(RANDOM_CLIP_S * transform.fps))
        self._pixels = random_clip(transform, frames, np.random.default_rng(seed))

    def load(self, sample: Sample, transform: Transform) -> Clip:  # noqa: ARG002
        return Clip(self._pixels, sample.label, sample.subject, sample.id)


class Stopwatch(pl.Callback):
    """Splits the time of the epochs after the first into processing a batch and waiting for the next one."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.waiting_s, self.working_s, self.clips = seconds, 0.0, 0.0, 0
        self._mark: float | None = None

    def on_train_epoch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self._mark = time.perf_counter() if trainer.current_epoch > 0 else None

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:  # noqa: ARG002
        self._lap("waiting_s")

    def on_train_batch_end(self, _trainer: Any, _module: Any, _outputs: Any, batch: Any, *_: Any) -> None:
        if self._mark is not None:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self._lap("working_s")
            self.clips += len(batch["target"])

    def on_train_epoch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.current_epoch > 0 and self.waiting_s + self.working_s > self.seconds:
            trainer.should_stop = True

    def _lap(self, part: str) -> None:
        if self._mark is not None:
            now = time.perf_counter()
            setattr(self, part, getattr(self, part) + now - self._mark)
            self._mark = now


def train_benchmark(
    bundle: Bundle[ClipManifest],
    samples: Sequence[Sample] = (),
    *,
    cache: ClipCache | None = None,
    device: str = "auto",
    seconds: float = 10.0,
    seed: int = 0,
) -> dict[str, Any]:
    """Trains the bundle's network anew by its recipe for about `seconds` and measures; the bundle is not changed.

    Clips come from the cache, which is filled first, so the epochs from the second on are measured. Without samples,
    random clips are used and waiting is not measured. Raises GestaError if no clip can be preprocessed, and for a
    lookup.
    """
    manifest = bundle.manifest
    recipe, transform = ClipRecipe.model_validate(manifest.recipe), manifest.transform
    if recipe.model.name == "nearest":
        raise GestaError("the nearest neighbor has nothing to train.")
    wanted = BATCHES * int(recipe.training.batch)
    store: ClipStore = cache or ClipCache()
    chosen = _preprocessed(samples, transform, cache or ClipCache(), wanted, seed) if samples else []
    if not samples:
        store = RandomClips(transform, seed)
        blank = Sample(id="random", recording="random", color=Resource(Path("random")))
        chosen = [
            replace(blank, id=f"random {i}", label=manifest.labels[i % len(manifest.labels)]) for i in range(wanted)
        ]
    watch = _train(chosen, store, manifest, recipe, device, seconds, seed)
    total = watch.waiting_s + watch.working_s
    return {
        "clips_per_s": round(watch.clips / total, 2),
        "waiting_share": round(watch.waiting_s / total, 4) if samples else None,
        "clips": watch.clips,
        "different_clips": len(chosen),
        "batch": min(int(recipe.training.batch), len(chosen)),
        "seconds": round(total, 2),
        "device": _device_name(device),
        "threads": torch.get_num_threads(),
    }


def _preprocessed(
    samples: Sequence[Sample], transform: Transform, cache: ClipCache, wanted: int, seed: int
) -> list[Sample]:
    """Returns up to `wanted` labeled samples that can be preprocessed, drawn by seed."""
    labeled = [s for s in samples if s.label is not None]
    order = np.random.default_rng(seed).permutation(len(labeled))[:wanted]
    drawn = [labeled[int(i)] for i in order]
    cache.fill(drawn, transform)
    usable = []
    for sample in drawn:
        try:
            cache.load(sample, transform)
            usable.append(sample)
        except GestaError:
            continue
    if len(usable) < 2:
        raise GestaError(
            f"of {len(drawn)} labeled clips {len(usable)} could be preprocessed; training needs at least 2."
        )
    return usable


def _train(
    samples: Sequence[Sample],
    store: ClipStore,
    manifest: ClipManifest,
    recipe: ClipRecipe,
    device: str,
    seconds: float,
    seed: int,
) -> Stopwatch:
    transform = manifest.transform
    labels = sorted({s.label for s in samples if s.label is not None} | set(manifest.labels))
    torch.manual_seed(seed)
    network = fresh(recipe.model.model_dump(), transform, len(labels))
    clips = ClipSet(samples, labels, transform, store, recipe.augmentation, seed)
    nothing = ClipSet([], labels, transform, store)
    data = TrainingData(clips, nothing, min(int(recipe.training.batch), len(samples)), seed)
    watch = Stopwatch(seconds)
    with quiet():
        trainer = pl.Trainer(
            accelerator={"cuda": "gpu"}.get(device, device),
            devices=1,
            max_epochs=MOST_EPOCHS,
            reload_dataloaders_every_n_epochs=1,
            limit_val_batches=0,
            callbacks=[watch],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        task = ClassifyClips(
            network, recipe.training, over=recipe.training.loss_over, steps=MOST_EPOCHS * (BATCHES + 1)
        )
        fit_or_stop(trainer, task, data)
    return watch


def _device_name(device: str) -> str:
    if device != "cpu" and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"cpu, {os.cpu_count()} cores"
