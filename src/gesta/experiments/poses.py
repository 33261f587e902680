"""Tables and figures about hand pose: trainings side by side, each measured on the test frames in mm."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gesta.experiments import tables
from gesta.experiments.parallel import Job, Progress, key_of, run_jobs, write_json, write_text
from gesta.experiments.pose_catalog import POSE_SCALES, POSE_TABLES, QUICK_HIDDEN, PoseRow, PoseScale, PoseTable
from gesta.experiments.tables import cost, spread
from gesta.recipes import PoseRecipe, RecipeError, load_pose_recipe
from gesta.schema import GestaError, HandFrame, HandListing

if TYPE_CHECKING:
    from gesta.evaluate.pose_run import PoseEvaluation

TRAINING = "halving goes back to the best epoch"
"""In the keys of finished trainings, so that those from before it are made again."""
SHOWN = 6
"""Test frames of a person that a figure shows."""


@dataclass(frozen=True)
class PosePlan:
    """What is going to be run, and what it costs. `jobs`: (row, job). `note` says on what data. `others`: errors
    [n, J] in mm of published predictions, by the line that they belong to."""

    name: str
    table: PoseTable
    data: Path
    layout: str
    jobs: tuple[tuple[PoseRow, Job], ...]
    note: str
    minutes: float
    to_train: int
    others: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def cost(self) -> str:
        """One line for people, before anything is trained."""
        return cost((job for _, job in self.jobs), self.to_train, self.minutes)


def recipe_of(row: PoseRow, scale: str, sets: Sequence[str] = ()) -> PoseRecipe:
    """The recipe of a line at a scale: the document's networks with fully connected layers of 512 at the quick one.

    Raises GestaError (usage) for `sets` that do not fit.
    """
    size = POSE_SCALES[scale]
    assert row.recipe is not None
    changes = [*size.overrides, *(() if row.own else size.optimizer)]
    try:
        if scale == "quick" and load_pose_recipe(row.recipe).model.hidden > QUICK_HIDDEN:
            changes.append(f"model.hidden={QUICK_HIDDEN}")
        return load_pose_recipe(row.recipe, (*changes, *row.overrides, *sets))
    except RecipeError as error:
        raise GestaError(str(error), usage=True) from error


def estimate_poses(table: PoseTable, size: PoseScale, seeds: int, workers: int) -> str:
    """What a table costs where nothing is done yet, in words, before anything is generated."""
    costs = {(row.recipe, row.overrides): row.cost for row in table.rows if row.recipe is not None}
    trainings = seeds * len(costs)
    minutes = seeds * sum(costs.values()) * size.minutes / min(workers, trainings)
    frames = size.images + size.images // 5
    return f"{trainings} trainings, about {minutes:.0f} minutes, on {frames} frames, which are generated first."


def plan_poses(
    name: str,
    listing: HandListing,
    out: Path,
    *,
    scale: str,
    seeds: int,
    note: str,
    workers: int = 2,
    sets: Sequence[str] = (),
    device: str = "auto",
) -> PosePlan:
    """The trainings that a table needs on this data. `sets`: `--set` entries; "published=FOLDER" is for curves.

    Raises GestaError where a part of the data is empty, or lacks the person whom the figure shows.
    """
    from gesta.experiments.pose_published import published, without_published
    from gesta.sources.hand_split import assign_hand_splits
    from gesta.training.pose_save import frames_fingerprint

    table, size = POSE_TABLES[name], POSE_SCALES[scale]
    folder, sets = without_published(sets)
    others = {} if folder is None else published(folder)
    frames, notes = assign_hand_splits(listing.frames)
    _check(name, frames)
    content = frames_fingerprint(listing.frames)  # before the validation is drawn, by each seed anew
    jobs = []
    for row in table.rows:
        if row.recipe is None:
            continue
        recipe = recipe_of(row, scale, sets)
        for seed in range(seeds):
            title = f"{row.label}, seed {seed}"
            jobs.append((row, _job(title, listing, recipe, content, out / "rows", seed, device)))
    todo = {job.key: row.cost for row, job in jobs if job.finished() is None}
    minutes = sum(todo.values()) * size.minutes / min(workers, max(len(todo), 1))
    counts = ", ".join(f"{part} {sum(f.split == part for f in frames)}" for part in ("train", "val", "test"))
    told = " ".join([note, *_changed(size), f"Frames: {counts}.", *notes])
    told += f" Curves of published predictions on the real NYU test set: {folder}." if others else ""
    return PosePlan(name, table, listing.root, listing.layout, tuple(jobs), told, minutes, len(todo), others)


def _check(name: str, frames: Sequence[HandFrame]) -> None:
    for part in ("train", "val", "test"):
        if not any(frame.split == part for frame in frames):
            raise GestaError(f"{name}: the data have no frames with joints in the part {part!r}. Give data with some.")
    person = POSE_TABLES[name].person or 0
    people = {frame.subject for frame in frames if frame.split == "test"}
    if person >= len(people):
        raise GestaError(
            f"{name}: shows person {person + 1} of the test part, and the data tell of {len(people)} there. Give data "
            "whose test part has more people."
        )


def _changed(size: PoseScale) -> list[str]:
    """What of the document's own training is another at this scale, in words."""
    if not size.optimizer:
        return []
    return [f"The document's networks train with {', '.join(size.optimizer)} in the place of its SGD."]


def _job(
    title: str, listing: HandListing, recipe: PoseRecipe, content: str, folder: Path, seed: int, device: str
) -> Job:
    key = key_of(recipe.model_dump(mode="json"), seed, listing.layout, content, TRAINING)
    arguments = {
        "data": listing.root,
        "layout": listing.layout,
        "recipe": recipe,
        "folder": folder / f"training-{key}",
        "seed": seed,
        "device": device,
    }
    return Job(title, "gesta.experiments.poses:run_pose_trial", arguments, key, folder / f"{key}.json")


def run_pose_trial(data: Path, layout: str, recipe: PoseRecipe, folder: Path, seed: int, device: str) -> dict[str, Any]:
    """Trains (a stopped training goes on), measures on the test frames; the folder is removed at the end.

    Returns mean_error_mm, per_joint_mm, success_rate, per_person and more (gesta.evaluate.pose_run), errors_mm by frame
    and joint, subjects, shown (some frames' joints), validation, mean_pose_mm, history, parameters, seconds; where
    training diverged only `diverged`, what happened.
    """
    from gesta.evaluate.pose_run import evaluate_pose
    from gesta.sources.hand_catalog import read
    from gesta.sources.hand_split import assign_hand_splits
    from gesta.training.pose_fit import fit_pose
    from gesta.training.task import LossNotFinite

    begun = time.monotonic()
    listing = read(data, layout)
    frames, _ = assign_hand_splits(listing.frames, seed=seed, validation_share=recipe.training.validation_share)
    try:
        fitted = fit_pose(
            frames,
            recipe,
            folder,
            layout=layout,
            joint_names=listing.joint_names,
            seed=seed,
            resume=True,
            device=device,
            progress=False,
        )
        found = evaluate_pose(
            fitted.bundle,
            [f for f in frames if f.split == "test"],
            joint_names=listing.joint_names,
            engine="torch",
            layout=layout,
        )
    except LossNotFinite as error:
        shutil.rmtree(folder, ignore_errors=True)
        return {"diverged": str(error), "seed": seed, "seconds": time.monotonic() - begun}
    shutil.rmtree(folder, ignore_errors=True)
    return {
        **{k: v for k, v in found.metrics.items() if k not in ("bundle", "skipped")},
        "errors_mm": np.round(found.errors_mm, 2).tolist(),
        "subjects": [frame.subject for frame in found.frames],
        "shown": _shown(found),
        "cube_mm": recipe.input.cube_mm,
        "validation": fitted.metrics,
        "mean_pose_mm": fitted.mean_pose_mm,
        "history": fitted.history,
        "training_seconds": sum(row["seconds"] for row in fitted.history),
        "parameters": found.manifest.parameters,
        "recipe": recipe.model_dump(mode="json"),
        "seed": seed,
        "seconds": time.monotonic() - begun,
    }


def _shown(found: PoseEvaluation) -> list[dict[str, Any]]:
    """Some frames of each person of the test part, evenly spread, with what the model says of them."""
    people = list(dict.fromkeys(frame.subject for frame in found.frames))
    chosen = []
    for number, person in enumerate(people):
        rows = [row for row, frame in enumerate(found.frames) if frame.subject == person]
        for at in np.unique(np.linspace(0, len(rows) - 1, SHOWN).round().astype(int)):
            row = rows[int(at)]
            chosen.append(
                {
                    "id": found.frames[row].id,
                    "person": number,
                    "center_mm": found.centers_mm[row].tolist(),
                    "found_mm": found.found_mm[row].tolist(),
                }
            )
    return chosen


def run_poses(
    planned: PosePlan,
    out: Path,
    *,
    workers: int = 2,
    progress: Progress | None = None,
    told: Callable[[Job, dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Trains what is missing and writes result.json, table.md and, for a figure, its pictures, in `out`/name.

    Returns the document: name, title, source, note, rows (label, reported, measured, by seed), files.
    """
    from gesta.experiments.pose_pictures import draw

    jobs = list({job.key: job for _, job in planned.jobs}.values())
    done = dict(zip([j.key for j in jobs], run_jobs(jobs, workers=workers, progress=progress, told=told), strict=True))
    results: dict[str, list[dict[str, Any]]] = {}
    for row, job in planned.jobs:
        results.setdefault(row.label, []).append(done[job.key])
    folder = out / planned.name.replace("/", "-")
    files = {"result": folder / "result.json", "table": folder / "table.md"}
    files |= draw(planned, {label: good(found) for label, found in results.items()}, folder)
    document = {
        "name": planned.name,
        "title": planned.table.title,
        "source": planned.table.source,
        "note": planned.note,
        "rows": [line(row, results.get(row.label, [])) for row in planned.table.rows],
        "seconds": sum(result["seconds"] for result in done.values()),
        "files": {name: str(path) for name, path in files.items()},
    }
    write_text(files["table"], markdown(document))
    write_json(files["result"], document)
    return document


def good(results: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those that did not diverge."""
    return [result for result in results if "diverged" not in result]


def line(row: PoseRow, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One line: reported, and measured as lists by seed; seeds that diverged are named apart."""
    kept = good(results)
    people = sorted({person for result in kept for person in result["per_person"]})
    return {
        "label": row.label,
        "recipe": row.recipe,
        "overrides": list(row.overrides),
        "reported_mse": row.mse,
        "reported_mm": row.mm,
        "train_mse": [r["validation"]["train_mse"] for r in kept],
        "val_mse": [r["validation"]["val_mse"] for r in kept],
        "val_mm": [r["validation"]["val_error_mm"] for r in kept],
        "test_mm": [r["mean_error_mm"] for r in kept],
        "area": [r["success_rate"]["area"] for r in kept],
        "person_mm": {p: [r["per_person"][p]["mean_error_mm"] for r in kept] for p in people},
        "mean_pose_mm": [r["mean_pose_mm"] for r in kept],
        "parameters": kept[0]["parameters"] if kept else None,
        "diverged": [r["seed"] for r in results if "diverged" in r],
        "minutes": float(np.mean([r["training_seconds"] for r in kept])) / 60 if kept else None,
    }


HEADINGS = (
    "line",
    "reported MSE train, val",
    "reported mm",
    "MSE train, val",
    "val mm",
    "test mm",
    "test mm by person",
    "area to 80 mm",
    "parameters",
    "minutes",
)


def cells(row: Mapping[str, Any]) -> list[str]:
    """A line of the table: reported beside measured."""
    reported = "-" if row["reported_mse"] is None else "{:.5f}, {:.5f}".format(*row["reported_mse"])
    people = "; ".join(f"{person}: {spread(values)}" for person, values in row["person_mm"].items())
    lost = f" (diverged: seed {', '.join(map(str, row['diverged']))})" if row["diverged"] else ""
    return [
        row["label"],
        reported,
        "-" if row["reported_mm"] is None else f"{row['reported_mm']:.2f}",
        f"{spread(row['train_mse'], 5)}, {spread(row['val_mse'], 5)}" if row["val_mse"] else "-",
        spread(row["val_mm"]),
        spread(row["test_mm"]) + lost,
        people or "-",
        spread(row["area"], 3),
        "-" if row["parameters"] is None else f"{row['parameters'] / 1e6:.2f} M",
        "-" if row["minutes"] is None else f"{row['minutes']:.1f}",
    ]


def markdown(document: Mapping[str, Any]) -> str:
    """The document as a markdown table, reported beside measured."""
    return tables.markdown(document, HEADINGS, map(cells, document["rows"]))


def pooled(results: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    """Errors [n, J] in mm of all seeds together."""
    return np.concatenate([np.asarray(result["errors_mm"], np.float64) for result in results])
