"""Training of array classifiers: one network, one stage, all arrays in memory."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gesta.schema import GestaError
from gesta.sources.split import without_validation
from gesta.tasks.base import Parts
from gesta.training.checkpoints import full_disk_explained, seed_everything
from gesta.training.classify import BEST_BY, Classify
from gesta.training.data import Batch, ByIndex, TrainingData
from gesta.training.figure import FIGURE, draw_history
from gesta.training.run import Fitted, Run, clear
from gesta.training.save import provenance_of, write_bundle
from gesta.training.stage import Stage, run_stage


@dataclass
class Arrays(ByIndex):
    """Arrays [n, ...] and their classes [n], as batches in the format used for clips."""

    arrays: NDArray[np.float32]
    classes: NDArray[np.int64]
    epoch: int = 0

    def __len__(self) -> int:
        return len(self.classes)

    def collate(self, items: Sequence[int]) -> Batch:
        chosen = np.asarray(items)
        return {
            "clip": torch.from_numpy(self.arrays[chosen]),
            "lengths": torch.ones(len(chosen), dtype=torch.int64),
            "target": torch.from_numpy(self.classes[chosen]),
            "start": torch.zeros(len(chosen), dtype=torch.int64),
        }


def fit(task: Any, parts: Parts, recipe: Any, run: Run, *, drawn: bool = True) -> Fitted:
    """Trains on "train", selects the epoch on "val" (if empty, the last one), and writes the bundle to run.out/bundle.

    Samples of classes absent from the training part are left out. Raises GestaError for data that cannot be learned
    from, another run's checkpoint, a loss that is not finite, or a full disk.
    """
    settings, started = recipe.training, time.perf_counter()
    samples = [s for s in (*parts.of("train"), *parts.of("val")) if s.label is not None]
    if not settings.validation:
        samples = without_validation(samples)
    used, arrays, broken = task.readable(samples)
    shapes, labels = {array.shape for array in arrays}, sorted({s.label for s in used if s.split == "train"})
    if len(labels) < 2:
        raise GestaError(
            f"At least two classes are needed, found {labels} in the training part. Add {task.unit} of another class."
        )
    if len(shapes) > 1:
        raise GestaError(
            f"The {task.unit} have different shapes: {', '.join(map(str, sorted(shapes)))}. Expected the same shape "
            "for all."
        )
    known = [(s, array) for s, array in zip(used, arrays, strict=True) if s.label in labels]
    train, val = (_set([pair for pair in known if pair[0].split == part], labels) for part in ("train", "val"))
    content = train.arrays.tobytes() + train.classes.tobytes()
    identity = {"recipe": recipe.model_dump(mode="json"), "seed": run.seed, "data": hashlib.sha256(content).hexdigest()}
    clear(run)
    seed_everything(run.seed)
    shape = arrays[0].shape
    network = task.network(recipe, shape, len(labels))
    stage = Stage("training", 1, recipe.name, settings.epochs, settings, run, identity, BEST_BY)
    with full_disk_explained(run.out):
        run.out.mkdir(parents=True, exist_ok=True)
        data = TrainingData(train, val, settings.batch, run.seed)
        history, best, rank = run_stage(stage, network, data, lambda steps: Classify(network, settings, steps=steps))
        metrics: dict[str, Any] = {k: v for k, v in best.items() if k.startswith(("val_", "train_"))}
        metrics |= {"best_epoch": int(best["epoch"]), "epochs": len(history), "train_clips": len(train)}
        metrics |= {"val_clips": len(val)} if len(val) else {}
        if rank == 0:
            origin = provenance_of(
                [s for s, _ in known],
                run,
                layout=parts.listing.layout,
                data=content,
                identities=task.identities,
                skipped=len(broken),
                seconds=sum(row["seconds"] for row in history),
            )
            facts: dict[str, Any] = {"metrics": metrics, "labels": tuple(labels), "shape": shape}
            write_bundle(run.out / "bundle", task.manifest, network, recipe, origin, **facts)
            if drawn:
                draw_history(history, run.out / FIGURE, recipe.name)
    seconds = time.perf_counter() - started
    return Fitted(run.out / "bundle", metrics, history, seconds, recipe, tuple(broken), rank=rank, network=network)


def _set(pairs: Sequence[tuple[Any, NDArray[np.float32]]], labels: Sequence[str]) -> Arrays:
    classes = np.array([labels.index(sample.label) for sample, _ in pairs], np.int64)
    return Arrays(np.stack([array for _, array in pairs]) if pairs else np.zeros((0, 0), np.float32), classes)
