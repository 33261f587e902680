"""One training and its measurement, as crossval and reproduce run it in a process of its own."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gesta.experiments.parallel import Job, Progress, key_of
from gesta.schema import Sample
from gesta.tasks.clips import transfer as begin
from gesta.tasks.clips.recipe import ClipRecipe

if TYPE_CHECKING:
    from gesta.clips.cache import ClipCache
    from gesta.tasks.base import Evaluation


def trial_job(
    title: str,
    train: Sequence[Sample],
    test: Sequence[Sample],
    recipe: ClipRecipe,
    folder: Path,
    layout: str,
    seed: int,
    device: str = "auto",
) -> Job:
    """A trial as a job: its result lies in `folder` under a key made of the recipe, the seed and the samples."""
    key = key_of(recipe.model_dump(mode="json"), seed, layout, identity(train), identity(test))
    arguments = {
        "train": train,
        "test": test,
        "recipe": recipe,
        "folder": folder / f"training-{key}",
        "layout": layout,
        "seed": seed,
        "device": device,
    }
    return Job(title, "gesta.experiments.trial:run_trial", arguments, key, folder / f"{key}.json")


def run_trial(
    train: Sequence[Sample],
    test: Sequence[Sample],
    recipe: ClipRecipe,
    folder: Path,
    layout: str,
    seed: int,
    device: str,
    keep: bool = False,
    start: Path | None = None,
) -> dict[str, Any]:
    """Trains on `train` (splits train, perhaps val), measures on `test`; the training folder is removed at the end,
    unless it is to `keep`. `start`: the bundle to begin with; the recipe is then as of `begin.recipe_from`.

    "auto" values of the recipe are settled from the training part alone. A test clip whose class the training part
    lacks counts as an error. Returns accuracy, n, errors, probabilities' right ones by id, seconds and history.
    """
    from gesta.clips.cache import ClipCache
    from gesta.tasks.clips.distil import teachers_of
    from gesta.tasks.clips.evaluate import evaluate
    from gesta.tasks.clips.fit import fit, settle_for

    begun = time.monotonic()
    settled, notes = settle_for(train, recipe)
    base = None if start is None else begin.begun(start, settled, train, seed)
    cache = ClipCache()
    fitted = fit(
        train,
        settled,
        folder,
        layout=layout,
        seed=seed,
        device=device,
        notes=notes,
        progress=False,
        cache=cache,
        teachers=teachers_of(settled),
        network=None if base is None else base.network,
        transform=None if base is None else base.transform,
    )
    trained = time.monotonic()
    known = {s.label for s in train}
    seen = [s for s in test if s.label in known]
    strange = [s for s in test if s.label not in known]
    found = evaluate(fitted.bundle, seen, engine="torch", device=device, layout=layout, cache=cache, progress=False)
    shuffled = _accuracy_of_shuffled(fitted.bundle, found, cache, seed, device) * len(found.samples) / len(test)
    labels = found.manifest.labels
    errors = [
        {"id": s.id, "truth": s.label, "predicted": labels[int(p)]}
        for s, p in zip(found.samples, found.predicted, strict=True)
        if s.label != labels[int(p)]
    ] + [{"id": s.id, "truth": s.label, "predicted": None} for s in strange]
    n = len(found.samples) + len(strange)
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "accuracy": (n - len(errors)) / n,
        "n": n,
        "shuffled_accuracy": shuffled,
        "errors": errors,
        "ids": [s.id for s in (*found.samples, *strange)],
        "seed": seed,
        "recipe": settled.model_dump(mode="json"),
        "parameters": found.manifest.parameters,
        "validation": fitted.metrics,
        "history": fitted.history,
        "notes": list(notes),
        "skipped": [asdict(p) for p in fitted.skipped] + found.metrics["skipped"],
        "seconds": time.monotonic() - begun,
        "training_seconds": trained - begun,
    }


def _accuracy_of_shuffled(bundle: Path, found: Evaluation, cache: ClipCache, seed: int, device: str) -> float:
    """Accuracy on the same clips with their frames in random order: what the order of time is worth."""
    import gesta

    rng = np.random.default_rng(seed)
    recogniser = gesta.load(bundle, engine="torch", device=device)
    clips = [rng.permutation(cache.load(s, recogniser.manifest.transform).pixels) for s in found.samples]
    predicted = recogniser.predict_clips(clips).argmax(axis=1)
    return float((predicted == found.truth).mean()) if clips else 0.0


def prefill(samples: Sequence[Sample], recipes: Sequence[ClipRecipe], progress: Progress | None = None) -> None:
    """Prepares the clips once for all trials, so that no two of them decode the same recording side by side.

    What cannot be prepared is reported by the trials themselves.
    """
    from gesta.clips.cache import ClipCache
    from gesta.tasks.clips.facts import settle_for, transform_for

    transforms = {}
    for recipe in recipes:
        transform = transform_for(settle_for(samples, recipe)[0], samples)
        transforms[transform.key()] = transform
    for transform in transforms.values():
        ClipCache().fill(samples, transform, progress)


def identity(samples: Sequence[Sample]) -> list[tuple[str | int | None, ...]]:
    """What makes a set of samples the same set: ids, labels, people, splits and sizes of the files."""
    sizes: dict[str, int] = {}
    for sample in samples:
        for resource in sample.files:
            if str(resource) not in sizes:
                sizes[str(resource)] = resource.path.stat().st_size if resource.path.is_file() else -1
    return [(s.id, s.label, s.subject, s.split, sum(sizes[str(r)] for r in s.files)) for s in samples]
