"""Evaluate a hand pose model on frames with known joints: estimates, and errors in millimeters."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.metrics import joint_errors, success_area
from gesta.schema import GestaError, HandFrame, Problem, grouped
from gesta.tasks.base import Bar, Evaluation
from gesta.tasks.hands.compare import Compared
from gesta.tasks.hands.manifest import HandManifest
from gesta.tasks.hands.predict import BATCH, PoseRecognizer
from gesta.tasks.hands.transform import PreprocessedHand, preprocess_hand
from gesta.threads import Threads

AREA_MM = 80.0
"""The area under the success-rate curve is computed up to this threshold."""
PREDICTIONS = "predictions.txt"
READERS = 4


def labeled(frames: Sequence[HandFrame], manifest: HandManifest) -> list[HandFrame]:
    """Return the frames with joints. Raises GestaError if there are none or the number of joints differs."""
    found = [frame for frame in frames if frame.joints_mm is not None]
    if not found:
        raise GestaError(
            f"nothing to measure: none of the {len(frames)} frames has joints. Choose another split or other data."
        )
    joints = found[0].joints_mm
    if joints is not None and len(joints) != len(manifest.joints):
        raise GestaError(
            f"the data have {len(joints)} joints per frame, the model {manifest.name!r} gives "
            f"{len(manifest.joints)}: {', '.join(manifest.joints)}. Give data with these joints."
        )
    return found


def outputs(
    recognizer: PoseRecognizer, frames: Sequence[HandFrame], bar: Bar
) -> tuple[list[HandFrame], NDArray[np.float64], list[Problem]]:
    """Return (frames estimated, joints followed by the cube's center [n, J + 1, 3] in mm, problems of other frames).

    The center is chosen by `recognizer.rule`: "data", "nearest" or "detector".
    """
    transform, rule = recognizer.manifest.transform, recognizer.rule

    def preprocessed(frame: HandFrame) -> PreprocessedHand | Problem:
        try:
            seen = frame if rule == "data" else replace(frame, center_mm=None)
            return preprocess_hand(seen, transform, find=recognizer.find)
        except GestaError as error:
            file = str(frame.depth)
            return Problem(file, "unprepared", str(error).removeprefix(f"{file}: "))

    used: list[HandFrame] = []
    found: list[NDArray[np.float64]] = []
    problems: list[Problem] = []
    with Threads(READERS) as pool:
        for first in range(0, len(frames), BATCH):
            batch = frames[first : first + BATCH]
            hands = list(pool.map(preprocessed, batch))
            problems += [hand for hand in hands if isinstance(hand, Problem)]
            good = [(f, h) for f, h in zip(batch, hands, strict=True) if isinstance(h, PreprocessedHand)]
            answers = recognizer.predict_preprocessed(np.stack([h.image for _, h in good])) if good else ()
            for (frame, hand), answer in zip(good, answers, strict=True):
                used.append(frame)
                found.append(np.concatenate([hand.joints_mm(answer), [hand.cube.center_mm]]))
            bar("Estimating hands", min(first + BATCH, len(frames)), len(frames))
    return used, np.array(found), problems


def evaluation(recognizer: PoseRecognizer, frames: Sequence[HandFrame], found: NDArray[np.float64]) -> Evaluation:
    """Compute the errors of `outputs` on frames with joints. `facts` contains "centers_mm" [n, 3]."""
    truth = np.array([frame.joints_mm for frame in frames], np.float64)
    joints, centers = found[:, :-1], found[:, -1]
    metrics = measured_pose(truth, joints, [f.subject for f in frames], recognizer.manifest.joints)
    metrics |= {"success_area": metrics["success_rate"]["area"], "center": recognizer.rule}
    annotated = [(c, f.center_mm) for c, f in zip(centers, frames, strict=True) if f.center_mm is not None]
    if annotated and recognizer.rule != "data":
        metrics["center_error_mm"] = float(np.mean([np.linalg.norm(one - other) for one, other in annotated]))
    return Evaluation(metrics, tuple(frames), joints, truth, recognizer.manifest, {"centers_mm": centers})


def errors_mm(result: Evaluation) -> NDArray[np.float64]:
    """Return the joint errors in mm, [n, J]."""
    return joint_errors(result.truth, result.outputs)


def worst(result: Evaluation, count: int) -> list[int]:
    """Return the rows with the largest mean errors, worst first."""
    return [int(i) for i in np.argsort(-errors_mm(result).mean(axis=1), kind="stable")[:count]]


def measured_pose(
    truth_mm: NDArray[np.float64],
    found_mm: NDArray[np.float64],
    subjects: Sequence[str | None],
    joint_names: Sequence[str],
) -> dict[str, Any]:
    """Compute metrics from joints [n, J, 3] in mm, as JSON values for `metrics.json`, like `gesta pose compare`."""
    errors = joint_errors(truth_mm, found_mm)
    compared = Compared(Path(PREDICTIONS), "uvd", errors).document()
    people = grouped((subject, row) for row, subject in enumerate(subjects) if subject is not None)
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


def identities(frames: Sequence[HandFrame]) -> list[str]:
    """Return a short hash of each frame's joints and depth file size. The images themselves are not read."""
    found = []
    for frame in frames:
        size = frame.depth.path.stat().st_size if frame.depth.path.is_file() else 0
        joints = b"" if frame.joints_mm is None else frame.joints_mm.astype("<f4").tobytes()
        found.append(hashlib.sha256(joints + str(size).encode()).hexdigest()[:16])
    return found
