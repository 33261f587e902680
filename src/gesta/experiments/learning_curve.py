"""Accuracy against clips per class, from scratch and from a trained bundle, over several seeds.

The test part is the same for all. A seed draws the clips of each class in an order, and k clips are its first k, so a
larger part holds the smaller ones; with and without transfer see the same clips. Nothing but those is learned from:
there is no validation part, and the last epoch counts.
"""

from __future__ import annotations

import io
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gesta import metrics
from gesta.experiments.parallel import Job, Progress, key_of, run_jobs, write_json, write_text
from gesta.experiments.trial import identity
from gesta.schema import GestaError, Sample
from gesta.sources.split import assign_splits
from gesta.tasks.clips.recipe import ClipRecipe
from gesta.tasks.features.recipe import FeatureClassifierRecipe
from gesta.tasks.features.store import read_recipe

TEST_SHARE = 0.2
T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""Student's t of a 95 % interval for 1, 2, ... degrees of freedom; above 9 the normal's 1.96."""
ARMS = {"scratch": "from scratch", "transfer": "from the bundle"}


@dataclass(frozen=True)
class Curve:
    """What is measured. `recipes`: by arm of ARMS; `features`: the folder of stored features, None for recordings."""

    recipes: dict[str, ClipRecipe | FeatureClassifierRecipe]
    clips: tuple[int, ...]
    seeds: int
    start: Path | None = None
    features: Path | None = None
    layout: str = ""
    device: str = "auto"


def learning_curve(
    curve: Curve,
    samples: Sequence[Sample],
    out: Path,
    *,
    workers: int = 2,
    progress: Progress | None = None,
    told: Callable[[Job, dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Runs what is missing and writes learning_curve.json, table.md and curve.png in `out`.

    Returns rows (arm, clips, accuracy, interval, spread, by_seed, n), gains of transfer by clips, test and seconds.
    Raises GestaError where there is no test part, a class has fewer clips than the largest number asked for, or a
    training fails.
    """
    pool, test, notes = parts(samples)
    _check(curve, pool, test)
    notes += _people_met(curve, test)
    jobs, places = [], []
    for arm in curve.recipes:
        for clips in curve.clips:
            for seed in range(curve.seeds):
                jobs.append(_job(curve, arm, drawn(pool, clips, seed), test, out / "points", clips, seed))
                places.append((arm, clips))
    found = run_jobs(jobs, workers=workers, progress=progress, told=told)
    by_place: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for place, result in zip(places, found, strict=True):
        by_place[place].append(result)
    rows = [_row(arm, clips, results) for (arm, clips), results in by_place.items()]
    document = {
        "rows": rows,
        "gains": _gains(rows),
        "classes": len({s.label for s in pool}),
        "test_clips": len(test),
        "seeds": curve.seeds,
        "start": None if curve.start is None else str(curve.start),
        "notes": notes,
        "seconds": sum(result["seconds"] for result in found),
    }
    document["files"] = {"table": str(out / "table.md"), "figure": str(out / "curve.png")}
    write_text(out / "table.md", markdown(document))
    draw(document, out / "curve.png")
    write_json(out / "learning_curve.json", document)
    return document


def parts(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample], list[str]]:
    """(what clips are drawn from, the test part, notes): by person where people are known."""
    divided, notes = assign_splits(samples, seed=0, fractions=(0.0, TEST_SHARE))
    assigned = [s for s in divided if s.label is not None]
    pool = [replace(s, split="train") for s in assigned if s.split in ("train", "val")]
    known = {s.label for s in pool}
    return pool, [s for s in assigned if s.split == "test" and s.label in known], notes


def drawn(pool: Sequence[Sample], clips: int, seed: int) -> list[Sample]:
    """`clips` of each class: the first ones in the seed's order."""
    rng = np.random.default_rng(seed)
    by_label: dict[str, list[Sample]] = defaultdict(list)
    for sample in pool:
        by_label[str(sample.label)].append(sample)
    return [found[int(i)] for _, found in sorted(by_label.items()) for i in rng.permutation(len(found))[:clips]]


def _check(curve: Curve, pool: Sequence[Sample], test: Sequence[Sample]) -> None:
    counts: dict[str, int] = defaultdict(int)
    for sample in pool:
        counts[str(sample.label)] += 1
    if len(counts) < 2:
        raise GestaError(f"the training part has {len(counts)} classes; two are needed to learn.")
    if not test:
        raise GestaError(
            "the test part has no clip of a class that is trained on, so there is no accuracy to measure. Add clips, "
            "two recordings of each class or three people where people are known; a given test part needs labels."
        )
    fewest = min(counts, key=lambda label: counts[label])
    if max(curve.clips) > counts[fewest]:
        raise GestaError(
            f"--clips {max(curve.clips)}: the class {fewest!r} has {counts[fewest]} clips outside the test part. "
            "Give at most that many, or leave rare classes out: --format +allxN reads those with at least N clips.",
            usage=True,
        )


def _job(curve: Curve, arm: str, train: list[Sample], test: list[Sample], folder: Path, clips: int, seed: int) -> Job:
    recipe = curve.recipes[arm]
    start = curve.start if arm == "transfer" else None
    data: list[Any] = [curve.layout if curve.features is None else read_recipe(curve.features).key]
    data += [identity(train), identity(test), _weights(start)]
    key = key_of(recipe.model_dump(mode="json"), seed, *data)
    arguments: dict[str, Any] = {"recipe": recipe, "folder": folder / f"training-{key}", "seed": seed}
    arguments |= {"device": curve.device, "train": train, "test": test, "start": start}
    function = "gesta.experiments.trial:run_trial"
    if curve.features is not None:
        function = "gesta.experiments.learning_curve:run_features"
        arguments["features"] = curve.features
    else:
        arguments["layout"] = curve.layout
    return Job(f"{ARMS[arm]}, {clips} clips a class, seed {seed}", function, arguments, key, folder / f"{key}.json")


def _people_met(curve: Curve, test: Sequence[Sample]) -> list[str]:
    """Whether the bundle to begin with was trained on people of the test part."""
    from gesta.evaluation.people import people_warnings
    from gesta.tasks.catalog import read_bundle

    if curve.start is None:
        return []
    origin = read_bundle(curve.start).manifest.provenance
    return [f"The bundle to begin with: {note}" for note in people_warnings(test, origin, curve.layout)]


def _weights(start: Path | None) -> list[str]:
    from gesta.tasks.catalog import read_bundle

    return [] if start is None else [a.sha256 for a in read_bundle(start).manifest.artifacts if a.role == "weights"]


def run_features(
    features: Path,
    train: Sequence[Sample],
    test: Sequence[Sample],
    recipe: FeatureClassifierRecipe,
    folder: Path,
    seed: int,
    device: str,
    start: Path | None,
) -> dict[str, Any]:
    """One classifier of stored features; its folder is removed. Returns accuracy, n and seconds."""
    from gesta.bundle.io import read_sequence
    from gesta.tasks.features.fit import fit_sequences

    begun = time.monotonic()
    fitted = fit_sequences(
        features,
        recipe,
        folder,
        seed=seed,
        device=device,
        progress=False,
        samples=[*train, *test],
        start=None if start is None else read_sequence(start),
    )
    shutil.rmtree(folder, ignore_errors=True)
    seconds = time.monotonic() - begun
    return {"accuracy": fitted.metrics["test_accuracy"], "n": len(test), "seed": seed, "seconds": seconds}


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
    """95 %, the wider of two: Wilson's for the mean accuracy on `n` test clips, Student's for the mean over seeds."""
    mean = float(np.mean(accuracies))
    low, high = metrics.wilson(round(mean * n), n)
    freedom = len(accuracies) - 1
    if freedom:
        t = T_975[freedom - 1] if freedom <= len(T_975) else 1.96
        half = t * float(np.std(accuracies, ddof=1)) / np.sqrt(len(accuracies))
        low, high = min(low, mean - half), max(high, mean + half)
    return max(0.0, low), min(1.0, high)


def _gains(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What transfer adds, by number of clips; seed by seed, since both saw the same clips."""
    found = {(row["arm"], row["clips"]): row["by_seed"] for row in rows}
    return [
        {"clips": clips, "by_seed": (gain := [b - a for a, b in zip(scratch, found["transfer", clips], strict=True)]),
         "gain": float(np.mean(gain))}
        for (arm, clips), scratch in found.items()
        if arm == "scratch" and ("transfer", clips) in found
    ]  # fmt: skip


def markdown(document: dict[str, Any]) -> str:
    """The curve as a table, a line for each number of clips a class."""
    arms = list(dict.fromkeys(row["arm"] for row in document["rows"]))
    heads = [title for arm in arms for title in (ARMS[arm], "95 % interval", "by seed")]
    lines = ["| clips a class | " + " | ".join(heads) + " |", "|" + "---|" * (1 + len(heads))]
    for clips in dict.fromkeys(row["clips"] for row in document["rows"]):
        cells = [str(clips)]
        for row in (r for arm in arms for r in document["rows"] if (r["arm"], r["clips"]) == (arm, clips)):
            low, high = row["interval"]
            cells += [
                f"{row['accuracy']:.3f}",
                f"{low:.3f} to {high:.3f}",
                " ".join(f"{a:.3f}" for a in row["by_seed"]),
            ]
        lines.append("| " + " | ".join(cells) + " |")
    foot = f"{document['classes']} classes, {document['test_clips']} test clips, {document['seeds']} seeds."
    return "\n".join([*lines, "", foot]) + "\n"


def draw(document: dict[str, Any], path: Path) -> None:
    """The curves with their intervals, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for arm in dict.fromkeys(row["arm"] for row in document["rows"]):
        rows = sorted((row for row in document["rows"] if row["arm"] == arm), key=lambda row: row["clips"])
        clips = [row["clips"] for row in rows]
        axes.plot(clips, [row["accuracy"] for row in rows], marker="o", label=ARMS[arm])
        axes.fill_between(clips, [r["interval"][0] for r in rows], [r["interval"][1] for r in rows], alpha=0.15)
    axes.axhline(1 / document["classes"], color="grey", linewidth=0.8, linestyle=":", label="chance")
    ticks = sorted({row["clips"] for row in document["rows"]})
    axes.set(xscale="log", xlabel="training clips a class", ylabel="accuracy on the test part", ylim=(0, 1.02))
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    partial.write_bytes(buffer.getvalue())
    partial.replace(path)
