"""Learning curves: accuracy over clips per class, from scratch and from a trained bundle, over several seeds.

The test part is the same for all. Each seed shuffles the clips of each class, and k clips are the first k, so larger
parts include the smaller ones; all curves use the same clips. Only these are used for training: there is no validation
part, and the last epoch counts. A recipe that is compared with lookups gets the nearest neighbor's curve, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gesta import metrics
from gesta.evaluation.people import people_warnings
from gesta.experiments.parallel import TWO, Workers, run_jobs
from gesta.experiments.table import table
from gesta.experiments.train import recipe_of
from gesta.experiments.trial import trial_job
from gesta.files import json_text, write_files
from gesta.recipes import Recipe
from gesta.schema import GestaError, Listing, Sample, grouped
from gesta.sources.split import assign_splits
from gesta.tasks.base import Parts, Task, has
from gesta.tasks.catalog import read_bundle
from gesta.training.figure import empty_figure, png
from gesta.words import counted

TEST_SHARE = 0.2
T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""Student's t for a 95 % interval with 1, 2, ... degrees of freedom; above 9, 1.96 (normal distribution) is used."""
NEIGHBOR = "nearest neighbor"
ARMS = {"scratch": "from scratch", "neighbor": NEIGHBOR, "transfer": "from the bundle"}


@dataclass(frozen=True)
class Curve:
    """What to measure. `recipes`: by arm of ARMS; `start`: the bundle that the arm "transfer" starts from;
    `one_person`: each seed draws all its clips from one person of the training part, another for each seed."""

    task: Task
    recipes: Mapping[str, Recipe]
    clips: tuple[int, ...]
    seeds: int
    start: Path | None = None
    one_person: bool = False


def curve_of(task: Task, recipe: str | None, start: Path | None, sets: Sequence[str], freeze: str | None) -> Any:
    """Returns the recipes by arm. With a bundle to start from, both use its network; `freeze` is for transfer only."""
    frozen = [*sets, *([] if freeze in (None, "none") else [f"training.freeze={freeze}"])]
    scratch = recipe_of(task, recipe, sets, start)
    if start is not None and has(task, "from_scratch"):
        scratch = task.from_scratch(scratch)  # type: ignore[attr-defined]
    found = {"scratch": scratch}
    if getattr(scratch, "baselines", False) and scratch.deliver is None:
        found["neighbor"] = scratch.model_copy(update={"deliver": NEIGHBOR})
    return found if start is None else found | {"transfer": recipe_of(task, recipe, frozen, start)}


def learning_curve(curve: Curve, listing: Listing, out: Path, workers: Workers = TWO) -> dict[str, Any]:
    """Runs the missing trainings and writes learning_curve.json, table.md and curve.png to `out`.

    Returns rows (arm, clips, accuracy, interval, spread, by_seed, n), gains of transfer by clips, test and seconds.
    Raises GestaError if the task has no classes, there is no test part, a class has fewer clips than the largest number
    requested, or a training fails.
    """
    if curve.task.quality.unit != "%":
        raise GestaError(
            f"learning-curve draws clips of each class, but {curve.task.title} has no classes.", usage=True
        )
    samples = listing.samples
    if has(curve.task, "usable"):
        samples = curve.task.usable(listing)  # type: ignore[attr-defined]
    pool, test, notes = parts(samples)
    _check(curve, pool, test)
    notes += _people_met(curve, listing, test)
    jobs, places = [], []
    for arm, recipe in curve.recipes.items():
        for clips in curve.clips:
            for seed in range(curve.seeds):
                taken = drawn(one_person(pool, seed) if curve.one_person else pool, clips, seed)
                known = Parts(replace(listing, samples=(*taken, *test)))
                title = f"{ARMS[arm]}, {clips} clips per class, seed {seed}"
                start = curve.start if arm == "transfer" else None
                jobs.append(trial_job(title, known, recipe, out / "points", seed, workers.device, start))
                places.append((arm, clips))
    found = run_jobs(jobs, workers=workers.count, progress=workers.progress, told=workers.told)
    by_place = grouped(zip(places, found, strict=True))
    rows = [_row(arm, clips, results) for (arm, clips), results in by_place.items()]
    files = {"table": out / "table.md", "figure": out / "curve.png"}
    document = {
        "rows": rows,
        "gains": _gains(rows),
        "classes": len({s.label for s in pool}),
        "test_clips": len(test),
        "seeds": curve.seeds,
        "start": None if curve.start is None else str(curve.start),
        "notes": notes,
        "seconds": sum(result["seconds"] for result in found),
        "files": {name: str(path) for name, path in files.items()},
    }
    write_files(
        out, {"table.md": markdown(document), "learning_curve.json": json_text(document), "curve.png": draw(document)}
    )
    return document


def parts(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample], list[str]]:
    """Returns (pool of training clips, test part, notes), split by person if people are known."""
    divided, notes = assign_splits(samples, seed=0, fractions=(0.0, TEST_SHARE))
    assigned = [s for s in divided if s.label is not None]
    pool = [replace(s, split="train") for s in assigned if s.split in ("train", "val")]
    known = {s.label for s in pool}
    return pool, [s for s in assigned if s.split == "test" and s.label in known], notes


def drawn(pool: Sequence[Sample], clips: int, seed: int) -> list[Sample]:
    """Returns `clips` clips of each class: the first ones in the seed's order."""
    rng = np.random.default_rng(seed)
    by_label = grouped((str(sample.label), sample) for sample in pool)
    return [found[int(i)] for _, found in sorted(by_label.items()) for i in rng.permutation(len(found))[:clips]]


def one_person(pool: Sequence[Sample], seed: int) -> list[Sample]:
    """Returns the clips of one person: another person for each seed, until all have had their turn."""
    people = sorted({sample.subject for sample in pool if sample.subject is not None})
    person = people[int(np.random.default_rng(0).permutation(len(people))[seed % len(people)])]
    return [sample for sample in pool if sample.subject == person]


def _check(curve: Curve, pool: Sequence[Sample], test: Sequence[Sample]) -> None:
    counts = _fewest_of_one_person(pool) if curve.one_person else Counter(str(sample.label) for sample in pool)
    if len(counts) < 2:
        raise GestaError("the training part has fewer than two classes. Add labeled clips of other classes.")
    if not test:
        raise GestaError(
            "the test part has no clip of a trained class, so accuracy cannot be measured. Record at least two clips "
            "of each class, or three people if people are named; if the data have their own test part, label it."
        )
    fewest = min(counts, key=lambda label: counts[label])
    if max(curve.clips) > counts[fewest]:
        raise GestaError(
            f"--clips {max(curve.clips)}: the class {fewest!r} has {counted(counts[fewest], 'clip')} "
            f"{'of one person' if curve.one_person else 'outside the test part'}. "
            "Give at most that many, or leave out rare classes: --format +allxN reads only those with at least N "
            "clips.",
            usage=True,
        )


def _fewest_of_one_person(pool: Sequence[Sample]) -> dict[str, int]:
    """Returns the number of clips of each class that every person has. Raises GestaError (usage) without people."""
    people = {sample.subject for sample in pool}
    if None in people:
        raise GestaError("--one-person needs to know who performs each clip: add the column subject.", usage=True)
    having = Counter((str(sample.label), sample.subject) for sample in pool)
    return {label: min(having[label, person] for person in people) for label in {str(s.label) for s in pool}}


def _people_met(curve: Curve, listing: Listing, test: Sequence[Sample]) -> list[str]:
    """Returns notes on whether the bundle to start from was trained on people of the test part."""
    if curve.start is None:
        return []
    origin = read_bundle(curve.start).manifest.provenance
    return [f"The bundle to start from: {note}" for note in people_warnings(test, origin, listing.layout)]


def _row(arm: str, clips: int, results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    accuracies = [float(result["accuracy"]) for result in results]
    n = int(results[0]["n"])
    return {
        "arm": arm,
        "clips": clips,
        "accuracy": float(np.mean(accuracies)),
        "interval": list(interval(accuracies, n)),
        "spread": float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else None,
        "by_seed": accuracies,
        "n": n,
    }


def interval(accuracies: Sequence[float], n: int) -> tuple[float, float]:
    """Returns a 95 % interval covering Wilson's (mean accuracy on `n` test clips) and Student's (mean over seeds)."""
    mean = float(np.mean(accuracies))
    low, high = metrics.wilson(round(mean * n), n)
    freedom = len(accuracies) - 1
    if freedom:
        t = T_975[freedom - 1] if freedom <= len(T_975) else 1.96
        half = t * float(np.std(accuracies, ddof=1)) / np.sqrt(len(accuracies))
        low, high = min(low, mean - half), max(high, mean + half)
    return max(0.0, low), min(1.0, high)


def _gains(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the gain of transfer by number of clips; paired by seed, since both use the same clips."""
    found = {(row["arm"], row["clips"]): row["by_seed"] for row in rows}
    return [
        {"clips": clips, "by_seed": (gain := [b - a for a, b in zip(scratch, found["transfer", clips], strict=True)]),
         "gain": float(np.mean(gain))}
        for (arm, clips), scratch in found.items()
        if arm == "scratch" and ("transfer", clips) in found
    ]  # fmt: skip


def markdown(document: dict[str, Any]) -> str:
    """Returns the curve as a Markdown table, with one row per number of clips per class."""
    arms = list(dict.fromkeys(row["arm"] for row in document["rows"]))
    heads = [title for arm in arms for title in (ARMS[arm], "95 % interval", "by seed")]
    lines = []
    for clips in dict.fromkeys(row["clips"] for row in document["rows"]):
        cells = [str(clips)]
        for row in (r for arm in arms for r in document["rows"] if (r["arm"], r["clips"]) == (arm, clips)):
            low, high = row["interval"]
            seeds = " ".join(f"{a:.3f}" for a in row["by_seed"])
            cells += [f"{row['accuracy']:.3f}", f"{low:.3f} to {high:.3f}", seeds]
        lines.append(cells)
    foot = f"{document['classes']} classes, {document['test_clips']} test clips, {counted(document['seeds'], 'seed')}."
    return f"{table(['clips per class', *heads], lines)}\n{foot}\n"


def draw(document: dict[str, Any]) -> bytes:
    """Plots the curves with their intervals as a PNG."""
    figure = empty_figure(6, 4)
    axes = figure.subplots()
    for arm in dict.fromkeys(row["arm"] for row in document["rows"]):
        rows = sorted((row for row in document["rows"] if row["arm"] == arm), key=lambda row: row["clips"])
        clips = [row["clips"] for row in rows]
        axes.plot(clips, [row["accuracy"] for row in rows], marker="o", label=ARMS[arm])
        axes.fill_between(clips, [r["interval"][0] for r in rows], [r["interval"][1] for r in rows], alpha=0.15)
    axes.axhline(1 / document["classes"], color="gray", linewidth=0.8, linestyle=":", label="chance")
    ticks = sorted({row["clips"] for row in document["rows"]})
    axes.set(xscale="log", xlabel="training clips per class", ylabel="accuracy on the test part", ylim=(0, 1.02))
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(loc="best")
    return png(figure)
