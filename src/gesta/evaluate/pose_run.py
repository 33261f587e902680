"""A hand pose bundle over frames with known joints: estimates, `metrics.json`, files for `gesta pose compare`."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.bundle import io
from gesta.bundle.manifest import PoseManifest
from gesta.bundle.people import fingerprint
from gesta.clips.hand_transform import PreparedHand, prepare_hand
from gesta.evaluate.pose_compare import Compared
from gesta.evaluate.pose_text import write_joints
from gesta.metrics import joint_errors, success_area
from gesta.runtime.pose import BATCH, CenterRule, PoseRecogniser, load_pose
from gesta.schema import GestaError, HandFrame, Problem

AREA_MM = 80.0
"""The success-rate curve's area is taken up to this threshold."""
PREDICTIONS, TRUTH, CAMERA = "predictions.txt", "truth.txt", "camera.yaml"
READERS = 4

Tick = Callable[[int, int], None]


@dataclass(frozen=True)
class PoseEvaluation:
    """Row i of everything speaks of `frames[i]`. Joints in mm in the camera's coordinates."""

    metrics: dict[str, Any]
    truth_mm: NDArray[np.float64]  # n J 3
    found_mm: NDArray[np.float64]  # n J 3
    centers_mm: NDArray[np.float64]  # n 3, the middles of the cubes
    frames: tuple[HandFrame, ...]
    manifest: PoseManifest

    @property
    def errors_mm(self) -> NDArray[np.float64]:
        """n J."""
        return joint_errors(self.truth_mm, self.found_mm)

    def worst(self, count: int) -> list[int]:
        """Rows of the largest mean errors, the worst first."""
        return [int(i) for i in np.argsort(-self.errors_mm.mean(axis=1), kind="stable")[:count]]


def evaluate_pose(
    bundle_path: Path | str,
    frames: Sequence[HandFrame],
    *,
    joint_names: Sequence[str] | None = None,
    engine: str | None = None,
    device: str = "auto",
    rule: CenterRule = "data",
    layout: str | None = None,
    notes: Sequence[str] = (),
    out: Path | None = None,
    progress: Tick | None = None,
) -> PoseEvaluation:
    """Estimates every frame that has joints (the caller has chosen the split) and measures.

    `joint_names`: the data's, compared with the bundle's. `rule`: where the hand's centre comes from. `layout` is the
    data's, to recognise people (default: the bundle's). Frames that cannot be prepared are listed and skipped. With
    `out`, results are written there (see `write`). Raises GestaError if there is nothing to measure or the data have
    other joints than the bundle.
    """
    recogniser = load_pose(bundle_path, engine=engine, device=device)
    manifest = recogniser.manifest
    labelled = [frame for frame in frames if frame.joints_mm is not None]
    if not labelled:
        raise GestaError(f"nothing to measure: of {len(frames)} frames none has joints. Choose another split or data.")
    notes = [*notes, *_check_joints(labelled[0], joint_names, manifest)]
    warnings = _people_warnings(labelled, manifest, layout or manifest.provenance.layout)
    used, found, centers, skipped = _estimates(recogniser, labelled, rule, progress)
    if not used:
        raise GestaError(f"none of the {len(labelled)} frames could be prepared. The first: {skipped[0]}")
    truth = np.array([frame.joints_mm for frame in used], np.float64)
    metrics = measured_pose(truth, found, [f.subject for f in used], manifest.joints) | {
        "frames_all": len(labelled),
        "center": rule,
        "engine": recogniser.engine.name,
        "bundle": str(bundle_path),
        "skipped": [asdict(problem) for problem in skipped],
        "notes": notes,
        "warnings": warnings,
    }
    result = PoseEvaluation(metrics, truth, found, centers, tuple(used), manifest)
    if out is not None:
        write(result, out)
    return result


def measured_pose(
    truth_mm: NDArray[np.float64],
    found_mm: NDArray[np.float64],
    subjects: Sequence[str | None],
    joint_names: Sequence[str],
) -> dict[str, Any]:
    """The numbers of `metrics.json` from joints n J 3 in mm, as plain JSON values; those of `gesta pose compare`."""
    errors = joint_errors(truth_mm, found_mm)
    compared = Compared(Path(PREDICTIONS), "uvd", errors).document()
    people: dict[str, list[int]] = defaultdict(list)
    for row, subject in enumerate(subjects):
        if subject is not None:
            people[subject].append(row)
    return {
        "mean_error_mm": compared["mean_error_mm"],
        "median_error_mm": float(np.median(errors.mean(axis=1))),
        "per_joint_mm": compared["per_joint_mm"],
        "joints": list(joint_names),
        "success_rate": compared["success_rate"],
        "frames": len(errors),
        "per_person": {
            person: {
                "n": len(rows),
                "mean_error_mm": float(errors[rows].mean()),
                "per_joint_mm": errors[rows].mean(axis=0).tolist(),
                "area": success_area(errors[rows], AREA_MM),
            }
            for person, rows in sorted(people.items())
        },
    }


def write(result: PoseEvaluation, out: Path) -> dict[str, Path]:
    """Writes into `out`, each file renamed into place:

    `metrics.json`, `report.html`, `scene.html`, `frames.csv`, and `truth.txt`, `predictions.txt` (u v d, as published)
    with `camera.yaml`, so that `gesta pose compare truth.txt predictions.txt --camera camera.yaml` gives the same
    figures. Raises GestaError.
    """
    from gesta.evaluate.pose_report import render

    report, scene = render(result)
    camera, unit = result.frames[0].camera, result.frames[0].depth_unit_mm
    texts = {
        "metrics.json": json.dumps(result.metrics, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        "report.html": report,
        "scene.html": scene,
        "frames.csv": _frames_csv(result),
        CAMERA: "".join(f"{name}: {value!r}\n" for name, value in {**asdict(camera), "depth_unit_mm": unit}.items()),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for file, text in texts.items():
            part = out / f".{file}.part"
            part.write_text(text, encoding="utf-8", errors="backslashreplace")
            part.replace(out / file)
        for file, joints in ((TRUTH, result.truth_mm), (PREDICTIONS, result.found_mm)):
            write_joints(out / file, uvd(joints, result.frames))
    except OSError as error:
        raise GestaError(f"{out}: the results cannot be written ({error}). Give another --out.") from error
    return {file: out / file for file in (*texts, TRUTH, PREDICTIONS)}


def uvd(joints_mm: NDArray[np.float64], frames: Sequence[HandFrame]) -> NDArray[np.float64]:
    """n J 3 mm -> n J 3 (u px, v px, depth mm), each by its frame's camera."""
    rows = []
    for joints, frame in zip(joints_mm, frames, strict=True):
        camera, (x, y, z) = frame.camera, joints.T
        rows.append(np.stack([camera.cx + camera.fx * x / z, camera.cy - camera.fy * y / z, z], axis=-1))
    return np.array(rows)


def record_pose(bundle_path: Path | str, metrics: dict[str, Any], split: str) -> None:
    """Writes the main numbers into the bundle's manifest and card, as `<split>_mean_error_mm` and so on.

    Raises GestaError for a zip, which is never changed.
    """
    bundle = io.read_pose(bundle_path)
    found = {
        f"{split}_mean_error_mm": metrics["mean_error_mm"],
        f"{split}_success_area": metrics["success_rate"]["area"],
        f"{split}_frames": metrics["frames"],
    }
    io.update(bundle, metrics={**bundle.manifest.metrics, **found})


def _estimates(
    recogniser: PoseRecogniser, frames: Sequence[HandFrame], rule: CenterRule, progress: Tick | None
) -> tuple[list[HandFrame], NDArray[np.float64], NDArray[np.float64], list[Problem]]:
    """(frames estimated, joints n J 3 mm, centres n 3 mm, what could not be prepared)."""
    transform = recogniser.manifest.transform

    def prepared(frame: HandFrame) -> PreparedHand | Problem:
        try:
            return prepare_hand(frame if rule == "data" else replace(frame, center_mm=None), transform)
        except GestaError as error:
            file = str(frame.depth)
            return Problem(file, "unprepared", str(error).removeprefix(f"{file}: "))

    used: list[HandFrame] = []
    found: list[NDArray[np.float64]] = []
    centers: list[tuple[float, float, float]] = []
    problems: list[Problem] = []
    with ThreadPoolExecutor(READERS) as pool:
        for first in range(0, len(frames), BATCH):
            batch = frames[first : first + BATCH]
            hands = list(pool.map(prepared, batch))
            problems += [hand for hand in hands if isinstance(hand, Problem)]
            good = [(f, h) for f, h in zip(batch, hands, strict=True) if isinstance(h, PreparedHand)]
            outputs = recogniser.predict_prepared(np.stack([h.image for _, h in good])) if good else ()
            for (frame, hand), output in zip(good, outputs, strict=True):
                used.append(frame)
                found.append(hand.joints_mm(output))
                centers.append(hand.cube.center_mm)
            if progress is not None:
                progress(min(first + BATCH, len(frames)), len(frames))
    return used, np.array(found), np.array(centers), problems


def _check_joints(frame: HandFrame, names: Sequence[str] | None, manifest: PoseManifest) -> list[str]:
    """A note where the data call their joints otherwise. Raises GestaError where they have another number of them."""
    assert frame.joints_mm is not None
    if len(frame.joints_mm) != len(manifest.joints):
        raise GestaError(
            f"the data have {len(frame.joints_mm)} joints a frame, the model {manifest.name!r} gives "
            f"{len(manifest.joints)}: {', '.join(manifest.joints)}. Give data with these joints."
        )
    if names is None or tuple(names) == manifest.joints:
        return []
    return [f"The data call their joints {', '.join(names)}; they are taken to be the model's, in this order."]


def _people_warnings(frames: Sequence[HandFrame], manifest: PoseManifest, layout: str) -> list[str]:
    """Whether people are met again that the model was trained on; it cannot be told where people are not known."""
    trained = set(manifest.provenance.people)
    people = sorted({f.subject for f in frames if f.subject is not None})
    if not trained or not people:
        side = "The data do" if trained else "The bundle does"
        return [f"{side} not say who is who, so the model may have been trained on the hands it is measured on."]
    seen = [person for person in people if fingerprint(person, layout) in trained]
    if not seen:
        return []
    return [f"{len(seen)} of {len(people)} people were in the training ({', '.join(seen[:8])}): see each person apart."]


def _frames_csv(result: PoseEvaluation) -> str:
    text = StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["id", "file", "subject", "mean_error_mm", "largest_error_mm", "worst_joint"])
    names = result.manifest.joints
    for frame, errors in zip(result.frames, result.errors_mm, strict=True):
        worst = int(errors.argmax())
        rows.writerow(
            [frame.id, frame.depth, frame.subject or "", f"{errors.mean():.3f}", f"{errors[worst]:.3f}", names[worst]]
        )
    return text.getvalue()
