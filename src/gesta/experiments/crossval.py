"""Cross validation: every person (or group, or part) is held out once, and the rest trains a model."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gesta import metrics
from gesta.experiments.parallel import Job, Progress, key_of, run_jobs, write_json
from gesta.experiments.trial import identity, prefill
from gesta.recipes.schema import Recipe
from gesta.schema import GestaError, Sample
from gesta.sources.split import folds


def crossval(
    samples: Sequence[Sample],
    recipe: Recipe,
    out: Path,
    *,
    by: str = "subject",
    k: int | None = None,
    seeds: int = 1,
    layout: str,
    workers: int = 2,
    progress: Progress | None = None,
    told: Callable[[Job, dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Trains one model a fold and seed, `workers` at a time, and measures each on what it has not seen.

    The recipe is fixed beforehand; nothing is chosen on held-out clips. Without `training.patience` the whole training
    part trains and the last epoch counts; with it, people of the training part are set aside to stop by.
    Each fold's result is a JSON file in `out`, and a run with the same recipe and data takes what it finds there.

    Returns accuracy (pooled over all held-out clips and seeds), accuracy_mean and accuracy_std over folds, folds
    (held_out, accuracy, n), per_seed, errors, skipped and seconds (of computing, summed over folds). Raises GestaError.
    """
    if seeds < 1:
        raise GestaError(f"--seeds is {seeds}, expected at least 1.", usage=True)
    begun = time.monotonic()
    jobs, places = [], []
    for name, train, test in folds(samples, by=by, k=k, seed=0):
        part = train if recipe.training.patience else [replace(s, split="train") for s in train]
        for seed in range(seeds):
            jobs.append(_job(name, part, test, recipe, out, layout, seed))
            places.append((name, seed))
    if any(job.finished() is None for job in jobs):
        prefill([s for s in samples if s.label is not None], [recipe], progress)
    results = run_jobs(jobs, workers=workers, progress=progress, told=told)
    document = summary([(name, seed, result) for (name, seed), result in zip(places, results, strict=True)])
    document |= {
        "by": by if k is None else f"{k} groups",
        "recipe": recipe.name,
        "seconds_waited": time.monotonic() - begun,
        "subjects": sorted({s.subject for s in samples if s.subject is not None}),
    }
    write_json(out / "crossval.json", document)
    return document


def _job(name: str, train: list[Sample], test: list[Sample], recipe: Recipe, out: Path, layout: str, seed: int) -> Job:
    key = key_of(recipe.model_dump(mode="json"), seed, layout, identity(train), identity(test))
    arguments = {
        "train": train,
        "test": test,
        "recipe": recipe,
        "folder": out / "folds" / f"training-{key}",
        "layout": layout,
        "seed": seed,
    }
    return Job(
        title=f"{name}, seed {seed}",
        function="gesta.experiments.trial:run_trial",
        arguments=arguments,
        key=key,
        result=out / "folds" / f"{key}.json",
    )


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
