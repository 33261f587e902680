"""What experiments report about a hand pose model besides its mean error."""

from __future__ import annotations

from typing import Any

import numpy as np

from gesta.tasks.base import Evaluation
from gesta.tasks.hands.evaluate import errors_mm, evaluation, outputs
from gesta.tasks.hands.predict import CenterRule, PoseRecognizer

SHOWN = 6
"""Number of test frames per person shown in figures."""
OTHERWISE = ("skipped", "notes", "warnings", "engine")


def facts(recognizer: Any, result: Evaluation) -> dict[str, Any]:
    """Return the metrics, errors_mm by frame and joint, subjects, and the joints of some frames."""
    return {
        **{name: value for name, value in result.metrics.items() if name not in OTHERWISE},
        "errors_mm": np.round(errors_mm(result), 2).tolist(),
        "subjects": [frame.subject for frame in result.samples],
        "shown": _shown(result),
        "cube_mm": recognizer.manifest.transform.cube_mm,
        "nearest_mm": _found_mm(recognizer, result, "nearest"),
        "detector_mm": _found_mm(recognizer, result, "detector") if recognizer.manifest.has_detector else None,
    }


def _found_mm(recognizer: PoseRecognizer, result: Evaluation, rule: CenterRule) -> float | None:
    """Return the mean error with the center found by this rule instead of the annotated one, or None."""
    found = PoseRecognizer(recognizer.engine, recognizer.manifest, rule)
    used, answers, _ = outputs(found, result.samples, lambda *_: None)
    return evaluation(found, used, answers).metrics["mean_error_mm"] if used else None


def _shown(result: Evaluation) -> list[dict[str, Any]]:
    """Return evenly spaced frames of each person in the test part, with the model's estimates."""
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
