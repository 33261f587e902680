"""Tables and figures about hand pose: comparison of trainings, each measured on the test frames in mm."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.experiments.pose_catalog import POSE_DATA_SEED, POSE_SCALES, QUICK_HIDDEN, PoseRow, PoseScale
from gesta.experiments.pose_published import published, without_published
from gesta.experiments.table import (
    Experiment,
    Line,
    Plan,
    Results,
    Wanted,
    mean,
    number,
    recipe_of,
    runs_line,
    spread,
    trainings,
)
from gesta.experiments.trial import trial_job
from gesta.files import write_whole
from gesta.progress import bar
from gesta.schema import GestaError, HandListing
from gesta.tasks.base import Parts
from gesta.tasks.hands.cube import Cube
from gesta.tasks.hands.drawing import Hand, cloud_of, cloud_view, depth_bar, depth_of, over_depth
from gesta.tasks.hands.figures import draw_per_joint, draw_success
from gesta.tasks.hands.task import TASK


class HandTable(Experiment):
    """`data` of its plans: (a HandListing, errors [n, J] in mm of published predictions by row)."""

    scales = POSE_SCALES
    headings = (
        "line",
        "reported MSE train, val",
        "reported mm",
        "MSE train, val",
        "val mm",
        "test mm",
        "test mm, center nearest",
        "test mm by person",
        "area to 80 mm",
        "parameters",
        "minutes",
    )
    detected = "test mm, center by detector"
    """A further heading, if a row has a detector."""
    brief = ("line", "reported MSE train, val", "reported mm", "MSE train, val", "test mm", "minutes")

    def estimate(self, wanted: Wanted) -> str:
        scale = self.scale_of(wanted)
        costs = {(row.recipe, row.overrides): row.cost for row in self.table.rows if row.recipe is not None}
        count, minutes = trainings(costs, self.seeds_of(wanted), scale.minutes, wanted.workers)
        frames = scale.images + scale.images // 5
        return f"{runs_line(count, minutes)}, after generating {frames} frames."

    def data(self, wanted: Wanted) -> tuple[HandListing, str]:
        if wanted.data is not None:
            return TASK.read(wanted.data, wanted.layout), f"Data: {wanted.data}."
        from gesta.synthetic import nyu_hands

        people = self.table.people
        folder = wanted.out / f"data-nyu-{wanted.scale}{f'-{people}-people' if people > 1 else ''}"
        if not folder.exists():
            partial = folder.with_name(f".{folder.name}.part")
            shutil.rmtree(partial, ignore_errors=True)  # from a run interrupted while generating
            with bar("Generating hands") as tick:
                images = self.scale_of(wanted).images
                nyu_hands.make(partial, images=images, people=people, seed=POSE_DATA_SEED, progress=tick)
            partial.replace(folder)
        return TASK.read(folder, "nyu"), f"Generated hands in NYU's layout, scale {wanted.scale}."

    def plan(self, data: HandListing, note: str, wanted: Wanted) -> Plan:
        """Returns the plan. `--set published=FOLDER` adds curves of published predictions.

        Raises GestaError if a part of the data is empty or lacks the person shown in the figure.
        """
        scale = self.scale_of(wanted)
        beside, sets = without_published(wanted.sets)
        others = {} if beside is None else published(beside)
        parts = TASK.split(data, 0, {})
        self._check(parts)
        lines = []
        for row in (row for row in self.table.rows if row.recipe is not None):
            recipe = hand_recipe(row, wanted.scale, sets)
            for seed in range(self.seeds_of(wanted)):
                known = TASK.split(data, seed, recipe.model_dump())
                title, folder = f"{row.label}, seed {seed}", wanted.out / "rows"
                more: dict[str, Any] = {"whole": True} if "detector=true" in row.overrides else {}  # else not measured
                job = trial_job(title, known, recipe, folder, seed, wanted.device, may_diverge=True, **more)
                lines.append(Line(row.label, job, row.cost))
        counts = ", ".join(f"{split} {len(parts.of(split))}" for split in ("train", "val", "test"))
        told = " ".join([note, *_changed(scale, wanted.sets), f"Frames: {counts}.", *parts.notes])
        told += f" Curves of published predictions on the real NYU test set: {beside}." if others else ""
        return Plan((tuple(lines),), told, scale.minutes, wanted.workers, (data, others))

    def _check(self, parts: Parts) -> None:
        for split in ("train", "val", "test"):
            if not parts.of(split):
                raise GestaError(
                    f"{self.name}: the data have no frames with joints in the part {split!r}. Give data that have some."
                )
        people, person = {frame.subject for frame in parts.of("test")}, self.table.person or 0
        if person >= len(people):
            raise GestaError(
                f"{self.name}: shows person {person + 1} of the test part, but the data name only {len(people)} there. "
                "Give data whose test part has more people."
            )

    def line(self, row: PoseRow, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Returns one row: reported values, and measured ones as lists by seed; diverged seeds are separate."""
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
            "nearest_mm": [r["nearest_mm"] for r in kept if r.get("nearest_mm") is not None],
            "detector_mm": [r["detector_mm"] for r in kept if r.get("detector_mm") is not None],
            "area": [r["success_rate"]["area"] for r in kept],
            "person_mm": {p: [r["per_person"][p]["mean_error_mm"] for r in kept] for p in people},
            "mean_pose_mm": [r["mean_pose_mm"] for r in kept],
            "parameters": kept[0]["parameters"] if kept else None,
            "diverged": [r["seed"] for r in results if "diverged" in r],
            "minutes": mean(r["training_seconds"] / 60 for r in kept),
        }

    def rows(self, results: Results) -> list[dict[str, Any]]:
        rows = super().rows(results)
        if not any(row["detector_mm"] for row in rows):
            for row in rows:
                del row["detector_mm"]
        return rows

    def headings_of(self, document: Mapping[str, Any]) -> Sequence[str]:
        after = self.headings.index("test mm, center nearest") + 1
        more = [self.detected] if any("detector_mm" in row for row in document["rows"]) else []
        return [*self.headings[:after], *more, *self.headings[after:]]

    def cells(self, row: Mapping[str, Any]) -> list[str]:
        reported = "-" if row["reported_mse"] is None else "{:.5f}, {:.5f}".format(*row["reported_mse"])
        people = "; ".join(f"{person}: {spread(values)}" for person, values in row["person_mm"].items())
        lost = f" (diverged: seed {', '.join(map(str, row['diverged']))})" if row["diverged"] else ""
        return [
            row["label"],
            reported,
            number(row["reported_mm"]),
            f"{spread(row['train_mse'], 5)}, {spread(row['val_mse'], 5)}" if row["val_mse"] else "-",
            spread(row["val_mm"]),
            spread(row["test_mm"]) + lost,
            spread(row["nearest_mm"]),
            *([spread(row["detector_mm"])] if "detector_mm" in row else []),
            people or "-",
            spread(row["area"], 3),
            number(row["parameters"], 2, 1e6, " M"),
            number(row["minutes"], 1),
        ]

    def told(self, result: Mapping[str, Any]) -> str:
        if "diverged" in result:
            return "diverged"
        return f"MSE {result['validation']['val_mse']:.5f}, test {result['mean_error_mm']:.2f} mm"

    def draw(self, plan: Plan, results: Results, folder: Path) -> dict[str, Path]:
        measured = {label: kept for label, found in results.items() if (kept := good(found))}
        if not measured or not self.table.figure:
            return {}
        if self.table.figure != "curves":
            return draw_hands(plan.data[0], measured, folder, self.table.person)
        errors = {label: pooled(found) for label, found in measured.items()} | plan.data[1]
        joints = next(iter(measured.values()))[0]["joints"]
        files = {"success rate": folder / "success_rate.png", "joints": folder / "per_joint.png"}
        same = {label: found for label, found in errors.items() if found.shape[1] == len(joints)}
        draw_success(errors, files["success rate"], f"Success rate: {self.table.title}")
        draw_per_joint(same, files["joints"], f"Error of each joint: {self.table.title}", joints)
        return files


def hand_recipe(row: PoseRow, scale: str, sets: Sequence[str] = ()) -> Any:
    """Returns a row's recipe at a scale: at the quick one, the document's networks have fully connected layers of 512.

    Raises GestaError (usage) if `sets` do not fit.
    """
    size = POSE_SCALES[scale]
    changes = [*size.overrides, *(() if row.own else size.optimizer)]
    if scale == "quick" and recipe_of(row).model.hidden > QUICK_HIDDEN:
        changes.append(f"model.hidden={QUICK_HIDDEN}")
    return recipe_of(row, *changes, *row.overrides, *sets)


def _changed(size: PoseScale, sets: Sequence[str]) -> list[str]:
    """Describes how training at this scale differs from the document's."""
    chosen = {change.partition("=")[0]: change for change in (*size.optimizer, *sets)}
    used = [chosen[change.partition("=")[0]] for change in size.optimizer]
    if not used or "training.optimizer=sgd" in used:
        return []
    return [f"The document's networks train with {', '.join(used)} instead of its SGD."]


def good(results: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Returns the results that did not diverge."""
    return [result for result in results if "diverged" not in result]


def pooled(results: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    """Returns the errors of all seeds together, [n, J] in mm."""
    return np.concatenate([np.asarray(result["errors_mm"], np.float64) for result in results])


def draw_hands(listing: HandListing, results: Results, folder: Path, person: int | None) -> dict[str, Path]:
    """Plots joints over depth images in one row, and below each its points in 3D, colored by depth with a color bar:
    truth blue, estimate red."""
    frames = {frame.id: frame for frame in listing.frames}
    files = {}
    for label, found in results.items():
        columns = []
        for one in found[0]["shown"]:
            if person not in (None, one["person"]):
                continue
            frame = frames[one["id"]]
            x, y, z = one["center_mm"]
            cube = Cube(frame.camera, (x, y, z), found[0]["cube_mm"])
            hand = Hand(frame, cube, listing.joint_names, frame.joints_mm, np.asarray(one["found_mm"]))
            depth = depth_of(frame)
            cloud, bar = cloud_of(hand, depth, tones="depth"), depth_bar(cube)
            pictures = np.vstack([over_depth(hand, depth), cloud_view(hand, cloud)])
            columns.append(np.hstack([pictures, np.vstack([np.full_like(bar, 255), bar])]))
        if columns:
            path = folder / f"{label.split(' ')[0].lower()}.png"
            _, data = cv2.imencode(".png", np.hstack(columns)[..., ::-1])
            files[f"figure {label}"] = write_whole(path, data.tobytes())
    return files
