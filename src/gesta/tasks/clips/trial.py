"""Support for experiments on clips: shared preprocessing, and accuracy with shuffled frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gesta.clips.cache import ClipCache
from gesta.schema import Sample
from gesta.tasks.base import Evaluation
from gesta.tasks.clips.facts import resolve_for, transform_for
from gesta.tasks.clips.recipe import ClipRecipe


def prepare(
    samples: Sequence[Sample], recipes: Sequence[ClipRecipe], progress: Callable[[int, int], None] | None = None
) -> None:
    """Preprocesses the clips once for all trainings, so that no two of them decode the same recording in parallel.

    Clips that cannot be preprocessed are reported by the trainings themselves.
    """
    transforms = {}
    for recipe in recipes:
        transform = transform_for(resolve_for(samples, recipe)[0], samples)
        transforms[transform.key()] = transform
    for transform in transforms.values():
        ClipCache().fill(samples, transform, progress)


def shuffled_accuracy(recognizer: Any, result: Evaluation, total: int, seed: int) -> float:
    """Returns the accuracy on `total` clips with the frames of each in random order."""
    rng, cache = np.random.default_rng(seed), ClipCache()
    clips = [rng.permutation(cache.load(s, recognizer.manifest.transform).pixels) for s in result.samples]
    predicted = recognizer.predict_clips(clips).argmax(axis=1)
    return float((predicted == result.truth).mean()) * len(clips) / total if clips else 0.0
