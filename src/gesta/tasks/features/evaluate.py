"""A backbone and a classifier of its features over videos, read one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.clips.prepare import unreadable
from gesta.schema import GestaError, Problem, Sample
from gesta.tasks.base import Bar
from gesta.tasks.features.predict import SequenceRecogniser


def outputs(
    recogniser: SequenceRecogniser, samples: Sequence[Sample], bar: Bar
) -> tuple[list[Sample], NDArray[np.float64], list[Problem]]:
    """(videos read, probabilities n N, what could not be read)."""
    used: list[Sample] = []
    rows: list[NDArray[Any]] = []
    problems: list[Problem] = []
    for number, sample in enumerate(samples):
        try:
            rows.append(recogniser.predict_features([recogniser.features(sample)])[0])
            used.append(sample)
        except GestaError as error:
            problems.append(unreadable(sample, error))
        bar("Recognising", number + 1, len(samples))
    return used, np.stack(rows) if rows else np.zeros((0, len(recogniser.labels))), problems
