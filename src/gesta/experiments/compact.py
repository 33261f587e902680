"""The documents' compact models: a training, perhaps from a teacher, and what is left of it halved and pruned.

One job gives all that tables 4.1 to 4.3 and figure 4.3 of Mullick 2018 say of a model, so that tables share trainings.
A teacher is a job too; its bundle stays on disk, in the folder of its training, for the students.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gesta.experiments.parallel import Job, key_of
from gesta.experiments.trial import identity, run_trial
from gesta.recipes import changed
from gesta.schema import Sample
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.recipe import ClipRecipe

if TYPE_CHECKING:
    from gesta.compression.store import Step


def compact_job(
    title: str,
    train: Sequence[Sample],
    test: Sequence[Sample],
    recipe: ClipRecipe,
    folder: Path,
    layout: str,
    seed: int,
    teacher: Job | None = None,
    device: str = "auto",
) -> Job:
    """A compact model as a job. `teacher`: the job whose bundle it learns from, which must be run before."""
    key = key_of(
        "compact",
        recipe.model_dump(mode="json"),
        seed,
        layout,
        identity(train),
        identity(test),
        teacher and teacher.key,
    )
    arguments = {
        "train": train,
        "test": test,
        "recipe": recipe if teacher is None else changed(recipe, [f"teacher={bundle_of(teacher)}"]),
        "folder": folder / f"training-{key}",
        "layout": layout,
        "seed": seed,
        "device": device,
    }
    return Job(title, "gesta.experiments.compact:run_compact", arguments, key, folder / f"{key}.json")


def bundle_of(job: Job) -> Path:
    """Where a job's bundle lies once it has run."""
    return Path(job.arguments["folder"]) / "bundle"


def forget_lost(job: Job) -> None:
    """A teacher whose bundle is gone counts as not done: its result is removed."""
    if job.finished() is not None and not bundle_of(job).is_dir():
        job.result.unlink()


def run_compact(
    train: Sequence[Sample],
    test: Sequence[Sample],
    recipe: ClipRecipe,
    folder: Path,
    layout: str,
    seed: int,
    device: str,
) -> dict[str, Any]:
    """`run_trial`, and under "stored" the same model as it is, in half precision and pruned below 2**-20.

    Each with accuracy on the test part, parameters that are not zero, bytes of the weights' file; "magnitudes": its
    weights by log2 |w|.
    """
    from gesta.bundle import io
    from gesta.compression.magnitudes import magnitudes
    from gesta.compression.prune import prune
    from gesta.compression.store import halve

    found = run_trial(train, test, recipe, folder, layout, seed, device, keep=True)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    bundle = io.read(folder / "bundle", ClipManifest)
    seen = [s for s in test if s.label in bundle.manifest.labels]
    half = halve(bundle.path, folder / "half")
    pruned = prune(bundle.path, folder / "pruned")
    whole = {
        "accuracy": found["accuracy"],
        "parameters": found["parameters"],
        "bytes": half.bytes_before,
    }
    stored = {
        "fp32": whole,
        "fp16": _measured(half, seen, found["n"], layout, device),
        "pruned": _measured(pruned, seen, found["n"], layout, device),
    }
    weights = magnitudes(io.load_weights(bundle))
    return {**found, "stored": stored, "magnitudes": weights.document()}


def _measured(step: Step, test: Sequence[Sample], n: int, layout: str, device: str) -> dict[str, Any]:
    """Accuracy over `n` clips (those of unknown classes count as errors), parameters that are not zero, bytes."""
    from gesta.tasks.clips.evaluate import evaluate

    found = evaluate(step.bundle, test, engine="torch", device=device, layout=layout, progress=False)
    right = int((found.predicted == found.truth).sum())
    shutil.rmtree(step.bundle, ignore_errors=True)
    return {"accuracy": right / n, "parameters": step.nonzero, "bytes": step.bytes_after}


def draw_magnitudes(results: Mapping[str, Sequence[Mapping[str, Any]]], path: Path, title: str) -> None:
    """Histograms of log2 |w|, one a line of the table, of its first seed."""
    from gesta.compression.magnitudes import Magnitudes, draw

    first = {label: runs[0]["magnitudes"] for label, runs in results.items()}
    draw(
        {
            label: Magnitudes(tuple(m["counts"]), m["zeros"], m["below_threshold"], m["threshold"])
            for label, m in first.items()
        },
        path,
        title,
    )
