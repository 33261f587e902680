"""A backbone and a classifier of its features over videos, read one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.clips.prepare import unreadable
from gesta.schema import GestaError, Prediction, Problem, Sample
from gesta.tasks.base import Bar
from gesta.tasks.features.predict import SequenceRecogniser
from gesta.tasks.predicting import Item


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


def answers(
    recogniser: SequenceRecogniser, items: Sequence[Item], failed: list[str]
) -> Iterator[tuple[Item, Prediction]]:
    """One prediction a video, by a backbone's features of it."""
    for item in items:
        try:
            found = recogniser.predict(item.sample)
        except GestaError as error:
            failed.append(str(error))
        else:
            yield item, found
