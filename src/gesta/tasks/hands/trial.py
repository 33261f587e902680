"""What experiments report of a hand pose model beside its mean error."""

from __future__ import annotations

from typing import Any

import numpy as np

from gesta.tasks.base import Evaluation
from gesta.tasks.hands.evaluate import errors_mm, evaluation, outputs
from gesta.tasks.hands.predict import PoseRecognizer

SHOWN = 6
"""Test frames of a person that a figure shows."""
OTHERWISE = ("skipped", "notes", "warnings", "engine")


def facts(recognizer: Any, result: Evaluation) -> dict[str, Any]:
    """The measurement's numbers, errors_mm by frame and joint, subjects, and some frames' joints."""
    return {
        **{name: value for name, value in result.metrics.items() if name not in OTHERWISE},
        "errors_mm": np.round(errors_mm(result), 2).tolist(),
        "subjects": [frame.subject for frame in result.samples],
        "shown": _shown(result),
        "cube_mm": recognizer.manifest.transform.cube_mm,
        "nearest_mm": _nearest_mm(recognizer, result),
    }


def _nearest_mm(recognizer: PoseRecognizer, result: Evaluation) -> float | None:
    """The mean error where no annotation places the cube: around the nearest object. None where nothing can be."""
    found = PoseRecognizer(recognizer.engine, recognizer.manifest, "nearest")
    used, answers, _ = outputs(found, result.samples, lambda *_: None)
    return evaluation(found, used, answers).metrics["mean_error_mm"] if used else None


def _shown(result: Evaluation) -> list[dict[str, Any]]:
    """Some frames of each person of the test part, evenly spread, with what the model says of them."""
    people = list(dict.fromkeys(frame.subject for frame in result.samples))
    chosen = []
    for number, person in enumerate(people):
        rows = [row for row, frame in enumerate(result.samples) if frame.subject == person]
        for at in np.unique(np.linspace(0, len(rows) - 1, SHOWN).round().astype(int)):
            row = rows[int(at)]
            chosen.append(
                {
                    "id": result.samples[row].id,
                    "person": number,
                    "center_mm": result.facts["centers_mm"][row].tolist(),
                    "found_mm": result.outputs[row].tolist(),
                }
            )
    return chosen
