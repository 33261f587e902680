"""One training and its measurement, for any task; crossval, learning curves and tables run it in a separate process."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gesta.engines.base import Placement
from gesta.evaluation.run import measure
from gesta.experiments.parallel import Job, Progress, key_of
from gesta.recipes import Recipe
from gesta.schema import Resource
from gesta.tasks import catalog
from gesta.tasks.base import Evaluation, Parts, Task, has
from gesta.training.run import Run


def trial_job(
    title: str,
    parts: Parts,
    recipe: Recipe,
    folder: Path,
    seed: int,
    device: str = "auto",
    start: Path | None = None,
    **options: Any,
) -> Job:
    """Returns a trial as a job, whose result is stored in `folder` under a key of recipe, seed and samples.

    `parts`: samples of train, optionally val, and test. `start`: a bundle to start from. `options`: see `run_trial`.
    """
    task = recipe.task
    begun = [] if start is None else _weights(start)
    key = key_of(task, recipe.model_dump(mode="json"), seed, parts.listing.layout, identity(parts), begun, options)
    arguments = {
        "task": task,
        "parts": parts,
        "recipe": recipe,
        "folder": folder / f"training-{key}",
        "seed": seed,
        "device": device,
        "start": start,
        **options,
    }
    return Job(title, "gesta.experiments.trial:run_trial", arguments, key, folder / f"{key}.json")


def run_trial(
    task: str,
    parts: Parts,
    recipe: Recipe,
    folder: Path,
    seed: int,
    device: str,
    start: Path | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Trains (resuming if interrupted), measures on the split "test", and removes the training folder.

    `options`: `whole` trains also what is not part of the quality, as a hand detector; `keep` keeps the folder;
    `may_diverge` turns a non-finite loss into a result with only `diverged`;
    `followed` adds the test part's accuracy after every epoch to the history, for tasks that can. Test
    samples of classes missing in the training part count as errors. Returns the task's quality under its name, n,
    errors and ids (for tasks with classes), parameters, validation, history, notes, skipped, seconds, and anything else
    the task reports for a trial.
    """
    from gesta.training.learner import LossNotFinite

    kind, begun = catalog.find(task), time.monotonic()
    followed = bool(options.get("followed"))
    run = Run(folder, seed, resume=True, device=device, progress=False, followed=followed)
    try:
        fitted = kind.fit(parts, recipe, run, start, light=not options.get("whole"))
    except LossNotFinite as error:
        if not options.get("may_diverge"):
            raise
        shutil.rmtree(folder, ignore_errors=True)
        return {"diverged": str(error), "seed": seed, "seconds": time.monotonic() - begun}
    trained = time.monotonic()
    found = measured(kind, fitted.bundle, parts, seed, device)
    if not options.get("keep"):
        shutil.rmtree(folder, ignore_errors=True)
    return {
        **fitted.facts,
        **found,
        "seed": seed,
        "recipe": fitted.recipe.model_dump(mode="json"),
        "validation": fitted.metrics,
        "history": fitted.history,
        "notes": list(fitted.picked),
        "skipped": [asdict(problem) for problem in fitted.skipped] + found["skipped"],
        "seconds": time.monotonic() - begun,
        "training_seconds": trained - begun,
    }


def measured(task: Task, bundle: Path, parts: Parts, seed: int, device: str, facts: bool = True) -> dict[str, Any]:
    """Returns the results of a bundle on the split "test": see `run_trial`."""
    predictor = task.load(catalog.read_bundle(bundle), Placement("torch", device), light=True)
    test, manifest = parts.of("test"), predictor.manifest
    by_events = getattr(manifest, "decoder", None) is not None  # then there are no per-sample predictions
    labels = None if by_events else getattr(manifest, "labels", None)
    seen = test if labels is None else [s for s in test if s.label in labels]
    result = measure(task, predictor, seen, layout=parts.listing.layout, progress=False)
    more = task.trial_facts(predictor, result, len(test), seed) if facts and has(task, "trial_facts") else {}  # type: ignore[attr-defined]
    strange = [] if labels is None else [s for s in test if s.label not in labels]
    n = len(result.samples) + len(strange)
    found = {task.quality.measured: result.metrics[task.quality.measured], "n": n}
    if labels is not None:
        errors = [*_errors(result), *({"id": s.id, "truth": s.label, "predicted": None} for s in strange)]
        ids = [s.id for s in (*result.samples, *strange)]
        found |= {task.quality.measured: (n - len(errors)) / n, "errors": errors, "ids": ids}
    return {**more, **found, "parameters": manifest.parameters, "skipped": result.metrics["skipped"]}


def _errors(result: Evaluation) -> list[dict[str, Any]]:
    labels = result.manifest.labels
    answers = [labels[int(best)] for best in result.outputs.argmax(axis=1)]
    pairs = zip(result.samples, answers, strict=True)
    return [{"id": s.id, "truth": s.label, "predicted": answer} for s, answer in pairs if s.label != answer]


def _weights(start: Path) -> list[str]:
    return [a.sha256 for a in catalog.read_bundle(start).manifest.artifacts if a.role == "weights"]


def prepare(jobs: Sequence[Job], progress: Progress | None = None) -> None:
    """Does work shared by unfinished trials once in advance, for tasks that define `prepare`."""
    done: list[tuple[Parts, str, list[Recipe]]] = []
    for job in jobs:
        if "parts" not in job.arguments or job.finished() is not None:
            continue
        parts, task, recipe = (job.arguments[name] for name in ("parts", "task", "recipe"))
        known = next((one for one in done if one[0] is parts and one[1] == task), None)
        if known is None:
            done.append((parts, task, [recipe]))
        elif recipe not in known[2]:
            known[2].append(recipe)
    for parts, name, recipes in done:
        task = catalog.find(name)
        if has(task, "prepare"):
            task.prepare(parts.listing.samples, recipes, progress)  # type: ignore[attr-defined]


def identity(parts: Parts) -> str:
    """Returns a hash that identifies the samples: all their fields, with file sizes in place of paths."""
    content, sizes = hashlib.sha256(), dict[Path, int]()
    for sample in parts.listing.samples:
        content.update(repr(_plain(sample, sizes)).encode())
    return content.hexdigest()[:16]


def _plain(value: Any, sizes: dict[Path, int]) -> Any:
    if isinstance(value, Resource):
        if value.path not in sizes:
            sizes[value.path] = value.path.stat().st_size if value.path.is_file() else -1
        return sizes[value.path]
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if is_dataclass(value):
        return [_plain(getattr(value, field.name), sizes) for field in fields(value)]
    return value
