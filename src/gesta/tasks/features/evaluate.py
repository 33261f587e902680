"""Run a backbone and a classifier of its features over videos, reading them one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.clips.preprocess import unreadable
from gesta.schema import GestaError, Prediction, Problem, Sample
from gesta.tasks.base import Bar
from gesta.tasks.feature_store import RECIPE, FeatureFolder
from gesta.tasks.features.predict import SequenceRecognizer
from gesta.tasks.predicting import Item


def outputs(
    recognizer: SequenceRecognizer, samples: Sequence[Sample], bar: Bar
) -> tuple[list[Sample], NDArray[np.float64], list[Problem]]:
    """Return (videos read, probabilities [n, N], problems).

    For samples in a feature folder, the stored features are used.
    """
    stored = _stored(recognizer, samples)
    used: list[Sample] = []
    rows: list[NDArray[Any]] = []
    problems: list[Problem] = []
    for number, sample in enumerate(samples):
        try:
            features = recognizer.features(sample) if stored is None else stored.load(sample.id)
            rows.append(recognizer.predict_features([features])[0])
            used.append(sample)
        except GestaError as error:
            problems.append(unreadable(sample, error))
        bar("Recognizing", number + 1, len(samples))
    return used, np.stack(rows) if rows else np.zeros((0, len(recognizer.labels))), problems


def _stored(recognizer: SequenceRecognizer, samples: Sequence[Sample]) -> FeatureFolder | None:
    """Return the samples' feature folder, if any. Raises GestaError for features of another backbone."""
    folder = samples[0].files[0].path.parent
    if not (folder / RECIPE).is_file():
        return None
    return FeatureFolder(folder, recognizer.manifest.backbone.computed)


def answers(
    recognizer: SequenceRecognizer, items: Sequence[Item], failed: list[str]
) -> Iterator[tuple[Item, Prediction]]:
    """Yield one prediction per video."""
    for item in items:
        try:
            found = recognizer.predict(item.sample)
        except GestaError as error:
            failed.append(str(error))
        else:
            yield item, found
