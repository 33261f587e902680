"""Cross-validation for any task: each person (or group, or part) is held out once; the rest is used for training."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gesta import metrics
from gesta.experiments.parallel import TWO, Job, Progress, Told, Workers, run_jobs
from gesta.experiments.train import task_of
from gesta.experiments.trial import trial_job
from gesta.files import json_text, write_files
from gesta.recipes import Recipe
from gesta.schema import GestaError, Listing, usable
from gesta.sources.split import folds
from gesta.tasks.base import Parts, Quality, Task, has
from gesta.tasks.catalog import load_recipe

INNER_GROUPS = 2
"""Number of groups of people into which a training part is divided for choosing settings within it."""


@dataclass(frozen=True)
class Folding:
    """`by`: "subject" (one person per fold, or `k` groups of people) or "label". Seeds per fold: 0 to `seeds` - 1."""

    by: str = "subject"
    k: int | None = None
    seeds: int = 1


BY_SUBJECT = Folding()


def crossval(
    task: Task,
    listing: Listing,
    options: Mapping[str, Any],
    out: Path,
    folding: Folding = BY_SUBJECT,
    workers: Workers = TWO,
    job: Callable[..., Job] = trial_job,
) -> dict[str, Any]:
    """Trains one model per fold and seed, and measures each on its held-out samples.

    `options`: one fixed recipe, or several by their settings, of which each fold chooses one within its training part:
    its people are divided into two groups, each measured by a model trained on the other. Nothing is chosen on held-out
    samples. Without `training.patience`, the whole training part is used and the last epoch counts; with it, people of
    the training part are set aside for early stopping. Each fold's result is a JSON file in `out`, reused by later runs
    with the same recipe and data. `job`: creates the job of a fold, like trial_job.

    `pooled`, for tasks that support it: by seed, the task's measures over the samples of all folds together.

    Returns the task's quality under its name (pooled over all held-out samples and seeds), its _mean and _std over
    folds, folds (held_out, quality, n; with several recipes also chosen and inner_...), per_seed, errors, skipped and
    seconds (computing time, summed over folds). Raises GestaError.
    """
    if folding.seeds < 1:
        raise GestaError(f"--seeds is {folding.seeds}, expected at least 1.", usage=True)
    started, metric = time.monotonic(), task.quality.measured
    recipes = list(options.values())
    parts = _folds(task, listing.samples, recipes[0], folding.by, folding.k)
    if has(task, "prepare") and not (out / "crossval.json").exists():
        samples = [s for _, train, test in parts[:1] for s in (*train, *test)]
        task.prepare([replace(s, split=None) for s in samples], recipes, workers.progress)  # type: ignore[attr-defined]
    chosen: dict[str, tuple[str, dict[str, float]]] = {name: (next(iter(options)), {}) for name, _, _ in parts}
    spent = 0.0
    if len(options) > 1:
        chosen, spent = _chosen(task, listing, parts, options, out, folding.by, workers, job)
    jobs, places = [], []
    for name, train, test in parts:
        taken = options[chosen[name][0]]
        known = _parts(listing, train if _stops_early(taken) else _all_train(task, train), test)
        for seed in range(folding.seeds):
            jobs.append(job(f"{name}, seed {seed}", known, taken, out / "folds", seed, workers.device))
            places.append((name, seed))
    results = run_jobs(jobs, workers=workers.count, progress=workers.progress, told=workers.told)
    named = [(name, seed, result) for (name, seed), result in zip(places, results, strict=True)]
    document = summary(named, metric)
    document["seconds"] += spent
    if len(options) > 1:
        for fold in document["folds"]:
            fold["chosen"], fold[f"inner_{metric}"] = chosen[fold["held_out"]]
    if has(task, "pooled"):
        trials = [[result for _, s, result in named if s == seed] for seed in range(folding.seeds)]
        document["pooled"] = [{"seed": seed, **task.pooled(found)} for seed, found in enumerate(trials)]  # type: ignore[attr-defined]
    document |= {
        "by": folding.by if folding.k is None else f"{folding.k} groups",
        "recipe": " | ".join(dict.fromkeys(recipe.name for recipe in recipes)),
        "seconds_waited": time.monotonic() - started,
        "subjects": sorted({s.subject for s in listing.samples if s.subject is not None}),
    }
    write_files(out, {"crossval.json": json_text(document)})
    return document


@dataclass(frozen=True)
class Asked:
    """Options of `gesta crossval` and `gesta.crossval`, besides data, recipe and folder."""

    by: str = "subject"
    seeds: int = 1
    sets: Sequence[str] = ()
    choose: Sequence[str] = ()
    layout: str | None = None
    workers: int = 2
    device: str = "auto"
    progress: Progress | None = None
    told: Told | None = None


def crossval_data(data: Path, recipe: str | None, out: Path, **options: Any) -> dict[str, Any]:
    """Runs `crossval` on a data folder. `recipe`: a name or file; None: the data's default. `options`: see Asked."""
    asked = Asked(**options)
    by, k = fold_by(asked.by)
    task = task_of(data, recipe, asked.layout)
    recipes = choices(recipe or task.default_recipe, asked.sets, asked.choose)
    workers = Workers(asked.workers, asked.device, asked.progress, asked.told)
    return crossval(task, usable(task.read(data, asked.layout)), recipes, out, Folding(by, k, asked.seeds), workers)


def choices(recipe: str, sets: Sequence[str], choose: Sequence[str]) -> dict[str, Recipe]:
    """Returns the recipe in every combination of the --choose values, by its settings. Raises GestaError (usage).

    The key `recipe` chooses between recipes: recipe=auto|dd-net.
    """
    keys = []
    for text in choose:
        key, sign, values = text.partition("=")
        if not sign or "|" not in values:
            raise GestaError(f"--choose is {text!r}; expected 'key=A|B', as in 'training.epochs=40|80'.", usage=True)
        keys.append([f"{key}={value}" for value in values.split("|")])
    found = {" ".join(way): _with(recipe, sets, way) for way in itertools.product(*keys)}
    if len(tasks := sorted({recipe.task for recipe in found.values()})) > 1:
        raise GestaError(f"--choose compares recipes of one task; these are for {' and '.join(tasks)}.", usage=True)
    return found


def _with(recipe: str, sets: Sequence[str], way: Sequence[str]) -> Recipe:
    named = dict(text.split("=", 1) for text in way)
    return load_recipe(named.pop("recipe", recipe), [*sets, *(f"{key}={value}" for key, value in named.items())])


def fold_by(by: str) -> tuple[str, int | None]:
    """Parses --by into ("subject" or "label", number of groups). Raises GestaError (usage)."""
    if by.isdecimal():
        return "subject", int(by)
    if by not in ("subject", "label"):
        raise GestaError(f"--by is {by!r}; choose from subject, label, or a number of groups of people.", usage=True)
    return by, None


def _folds(task: Task, samples: Sequence[Any], recipe: Recipe, by: str, k: int | None) -> list[Any]:
    if has(task, "folds"):
        return list(task.folds(samples, recipe, by, k))  # type: ignore[attr-defined]
    return folds(samples, by=by, k=k, seed=0)


def _parts(listing: Listing, train: Sequence[Any], test: Sequence[Any]) -> Parts:
    return Parts(replace(listing, samples=(*train, *test)))


def _all_train(task: Task, train: Sequence[Any]) -> list[Any]:
    return list(train) if getattr(task, "needs_validation", False) else [replace(s, split="train") for s in train]


def _stops_early(recipe: Any) -> bool:
    return bool(getattr(getattr(recipe, "training", None), "patience", None))


def _chosen(
    task: Task,
    listing: Listing,
    parts: Sequence[Any],
    options: Mapping[str, Any],
    out: Path,
    by: str,
    workers: Workers,
    job: Callable[..., Job],
) -> tuple[dict[str, tuple[str, dict[str, float]]], float]:
    """Returns the best option for each fold, with the options' quality, within its training part; and seconds spent."""
    jobs, places = [], []
    for name, train, _ in parts:
        inside = [replace(s, split=None) for s in train]
        for inner, rest, held in _folds(task, inside, next(iter(options.values())), by, INNER_GROUPS):
            known = _parts(listing, _all_train(task, rest), held)
            for option, recipe in options.items():
                title = f"{name}: {option}, inner fold {inner}, seed 0"
                jobs.append(job(title, known, recipe, out / "folds", 0, workers.device))
                places.append((name, option))
    results = run_jobs(jobs, workers=workers.count, progress=workers.progress)
    inner_quality: dict[str, dict[str, float]] = {name: dict.fromkeys(options, 0.0) for name, _, _ in parts}
    sizes = {name: len(train) for name, train, _ in parts}
    quality: Quality = task.quality
    for (name, option), result in zip(places, results, strict=True):
        inner_quality[name][option] += result[quality.measured] * result["n"] / sizes[name]
    best = max if quality.higher else min
    found = {name: (best(of, key=lambda o: of[o]), of) for name, of in inner_quality.items()}
    return found, sum(result["seconds"] for result in results)


def pooled(results: Sequence[Mapping[str, Any]], metric: str) -> float:
    """Returns the metric over all samples of several folds; for shares, computed exactly from counts."""
    n = sum(r["n"] for r in results)
    if all("errors" in r for r in results):
        return float((n - sum(len(r["errors"]) for r in results)) / n)
    return float(sum(r[metric] * r["n"] for r in results) / n)


def summary(results: Sequence[tuple[str, int, dict[str, Any]]], metric: str = "accuracy") -> dict[str, Any]:
    """Summarizes (held out, seed, fold result) as a document: pooled quality, mean and spread, folds, errors."""
    by_fold = {name: [r for n, _, r in results if n == name] for name, _, _ in results}
    folds_ = [
        {"held_out": name, metric: float(np.mean([r[metric] for r in found])), "n": found[0]["n"]}
        for name, found in by_fold.items()
    ]
    counted = all("errors" in r for _, _, r in results)
    per_seed = []
    for seed in sorted({seed for _, seed, _ in results}):
        found = [r for _, s, r in results if s == seed]
        row = {"seed": seed, metric: pooled(found, metric), "n": sum(r["n"] for r in found)}
        row |= {"correct": row["n"] - sum(len(r["errors"]) for r in found)} if counted else {}
        per_seed.append(row | {"seconds": sum(r["seconds"] for r in found)})
    whole, one = pooled([r for _, _, r in results], metric), per_seed[0]["n"]
    values = [fold[metric] for fold in folds_]
    return {
        metric: whole,
        f"{metric}_mean": float(np.mean(values)),
        f"{metric}_std": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0,
        **({f"{metric}_interval": list(metrics.wilson(round(whole * one), one))} if counted else {}),
        "n": one,
        "folds": folds_,
        "per_seed": per_seed,
        "errors": [{"held_out": name, "seed": seed, **e} for name, seed, r in results for e in r.get("errors", ())],
        "skipped": [{"held_out": name, "seed": seed, **p} for name, seed, r in results for p in r["skipped"]],
        "seconds": sum(s["seconds"] for s in per_seed),
    }
