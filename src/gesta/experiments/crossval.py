"""Cross validation: every person (or group, or part) is held out once, and the rest trains a model."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gesta import metrics
from gesta.experiments.parallel import Job, Progress, run_jobs, write_json
from gesta.experiments.trial import prefill, trial_job
from gesta.schema import GestaError, Sample
from gesta.sources.split import folds
from gesta.tasks.clips.recipe import ClipRecipe

INNER_GROUPS = 2
"""Into how many groups of people a training part is divided to choose settings inside it."""


def crossval(
    samples: Sequence[Sample],
    recipe: ClipRecipe,
    out: Path,
    *,
    choices: Mapping[str, ClipRecipe] | None = None,
    by: str = "subject",
    k: int | None = None,
    seeds: int = 1,
    layout: str,
    device: str = "auto",
    workers: int = 2,
    progress: Progress | None = None,
    told: Callable[[Job, dict[str, Any]], None] | None = None,
    job: Callable[..., Job] = trial_job,
) -> dict[str, Any]:
    """Trains one model a fold and seed, `workers` at a time, and measures each on what it has not seen.

    The recipe is fixed beforehand, or each fold chooses one of `choices` (by what it says) inside its training part:
    two groups of its people, trained on one, measured on the other. Nothing is chosen on held-out clips. Without
    `training.patience` the whole training part trains and the last epoch counts; with it, people of the training part
    are set aside to stop by. Each fold's result is a JSON file in `out`, and a run with the same recipe and data takes
    what it finds there. `job`: what a fold is, as trial_job.

    Returns accuracy (pooled over all held-out clips and seeds), accuracy_mean and accuracy_std over folds, folds
    (held_out, accuracy, n, with choices also chosen and inner_accuracy), per_seed, errors, skipped and seconds (of
    computing, summed over folds). Raises GestaError.
    """
    if seeds < 1:
        raise GestaError(f"--seeds is {seeds}, expected at least 1.", usage=True)
    begun = time.monotonic()
    options = dict(choices or {recipe.name: recipe})
    if not (out / "crossval.json").exists():
        prefill([s for s in samples if s.label is not None], list(options.values()), progress)
    parts = folds(samples, by=by, k=k, seed=0)
    chosen: dict[str, tuple[str, dict[str, float]]] = {name: (next(iter(options)), {}) for name, _, _ in parts}
    spent = 0.0
    if len(options) > 1:
        chosen, spent = _chosen(parts, options, out, by, layout, device, workers, progress, job)
    jobs, places = [], []
    for name, train, test in parts:
        taken = options[chosen[name][0]]
        part = train if taken.training.patience else [replace(s, split="train") for s in train]
        for seed in range(seeds):
            jobs.append(job(f"{name}, seed {seed}", part, test, taken, out / "folds", layout, seed, device))
            places.append((name, seed))
    results = run_jobs(jobs, workers=workers, progress=progress, told=told)
    document = summary([(name, seed, result) for (name, seed), result in zip(places, results, strict=True)])
    document["seconds"] += spent
    if len(options) > 1:
        for fold in document["folds"]:
            fold["chosen"], fold["inner_accuracy"] = chosen[fold["held_out"]]
    document |= {
        "by": by if k is None else f"{k} groups",
        "recipe": recipe.name,
        "seconds_waited": time.monotonic() - begun,
        "subjects": sorted({s.subject for s in samples if s.subject is not None}),
    }
    write_json(out / "crossval.json", document)
    return document


def _chosen(
    parts: Sequence[tuple[str, list[Sample], list[Sample]]],
    options: Mapping[str, ClipRecipe],
    out: Path,
    by: str,
    layout: str,
    device: str,
    workers: int,
    progress: Progress | None,
    job: Callable[..., Job],
) -> tuple[dict[str, tuple[str, dict[str, float]]], float]:
    """For each fold the best of the options inside its training part, with their accuracies there; seconds spent."""
    jobs, places = [], []
    for name, train, _ in parts:
        for inner, rest, held in folds([replace(s, split=None) for s in train], by=by, k=INNER_GROUPS, seed=0):
            for option, recipe in options.items():
                part = [replace(s, split="train") for s in rest]
                jobs.append(
                    job(
                        f"{name}: {option}, inside on {inner}, seed 0",
                        part,
                        held,
                        recipe,
                        out / "folds",
                        layout,
                        0,
                        device,
                    )
                )
                places.append((name, option))
    results = run_jobs(jobs, workers=workers, progress=progress)
    right: dict[str, dict[str, float]] = {name: dict.fromkeys(options, 0.0) for name, _, _ in parts}
    sizes = {name: len(train) for name, train, _ in parts}
    for (name, option), result in zip(places, results, strict=True):
        right[name][option] += result["accuracy"] * result["n"] / sizes[name]
    best = {name: (max(found, key=lambda o: found[o]), found) for name, found in right.items()}
    return best, sum(result["seconds"] for result in results)


def summary(results: Sequence[tuple[str, int, dict[str, Any]]]) -> dict[str, Any]:
    """The document from (held out, seed, result of that fold): pooled accuracy, mean and spread, folds, errors."""
    names = list(dict.fromkeys(name for name, _, _ in results))
    seeds = sorted({seed for _, seed, _ in results})
    by_fold = {name: [r for n, _, r in results if n == name] for name in names}
    folds_ = [
        {"held_out": name, "accuracy": float(np.mean([r["accuracy"] for r in found])), "n": found[0]["n"]}
        for name, found in by_fold.items()
    ]
    per_seed = []
    for seed in seeds:
        found = [r for _, s, r in results if s == seed]
        n, wrong = sum(r["n"] for r in found), sum(len(r["errors"]) for r in found)
        seconds = sum(r["seconds"] for r in found)
        per_seed.append({"seed": seed, "accuracy": (n - wrong) / n, "correct": n - wrong, "n": n, "seconds": seconds})
    n, correct = sum(s["n"] for s in per_seed), sum(s["correct"] for s in per_seed)
    accuracies = [fold["accuracy"] for fold in folds_]
    one = per_seed[0]["n"]
    return {
        "accuracy": correct / n,
        "accuracy_mean": float(np.mean(accuracies)),
        "accuracy_std": float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else 0.0,
        "accuracy_interval": list(metrics.wilson(round(correct / n * one), one)),
        "n": one,
        "folds": folds_,
        "per_seed": per_seed,
        "errors": [{"held_out": name, "seed": seed, **e} for name, seed, r in results for e in r["errors"]],
        "skipped": [{"held_out": name, "seed": seed, **p} for name, seed, r in results for p in r["skipped"]],
        "seconds": sum(s["seconds"] for s in per_seed),
    }
