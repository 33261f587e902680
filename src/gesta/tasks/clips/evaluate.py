"""Runs a recognizer on samples: preprocessed through the cache, predicted in batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.clips.cache import ClipCache
from gesta.clips.preprocess import preprocess_recording, unreadable
from gesta.schema import GestaError, Prediction, Problem, Sample
from gesta.tasks.base import Bar, Evaluation
from gesta.tasks.clips.inputs import notes, require
from gesta.tasks.clips.predict import Recognizer
from gesta.tasks.predicting import Item

SHORT = 16
"""Number of hex digits of a sample's hash."""
SHUFFLING = 0
"""Random seed for shuffling frames."""
BATCH = 32
"""Batch size for reading and predicting."""


def outputs(
    recognizer: Recognizer, samples: Sequence[Sample], bar: Bar, cache: ClipCache | None = None
) -> tuple[list[Sample], NDArray[np.float64], list[Problem]]:
    """Returns (samples predicted, probabilities [n, N], what could not be preprocessed)."""
    cache, transform = cache or ClipCache(), recognizer.manifest.transform
    cache.fill(samples, transform, lambda done, total: bar("Preparing clips", done, total))
    used, rng = list[Sample](), np.random.default_rng(SHUFFLING)
    rows: list[NDArray[np.float64]] = []
    problems: list[Problem] = []
    for start in range(0, len(samples), BATCH):
        clips = []
        for sample in samples[start : start + BATCH]:
            try:
                clip = cache.load(sample, transform)
                clips.append(rng.permutation(clip.pixels) if recognizer.shuffled else clip.pixels)
                used.append(sample)
            except GestaError as error:
                problems.append(unreadable(sample, error, "unprepared"))
        if clips:
            rows.append(np.asarray(recognizer.predict_clips(clips), np.float64))
        bar("Recognizing", min(start + BATCH, len(samples)), len(samples))
    return used, np.concatenate(rows) if rows else np.zeros((0, 0)), problems


def with_withheld(result: Evaluation) -> Evaluation:
    """Adds the number of samples without pixels or without skeletons, for models that use both."""
    transform = result.manifest.transform
    if not transform.fused:
        return result
    parts = Counter(part for sample in result.samples for part in transform.withheld(sample.modalities))
    notes = [f"The {part} is missing in {n} of {len(result.samples)} clips." for part, n in parts.items()]
    return replace(result, metrics={**result.metrics, "withheld": dict(parts), "notes": notes})


def identities(samples: Sequence[Sample], cache: Any = None) -> list[str]:
    """Returns a short hash of each sample's files and span; "" if they cannot be read."""
    store, found = cache or ClipCache(), []
    for sample in samples:
        try:
            found.append(store.fingerprint(sample)[:SHORT])
        except GestaError:
            found.append("")
    return found


def answers(
    recognizer: Recognizer, items: Sequence[Item], failed: list[str], noted: set[str]
) -> Iterator[tuple[Item, Prediction]]:
    """Yields one prediction per sample; samples of one recording share a decode pass. Notes on missing inputs are added
    to `noted`."""
    for _, group in groupby(items, key=lambda item: item.sample.files):
        fit: dict[str, Item] = {}
        for item in group:
            try:
                require(item.sample, recognizer.manifest)
                fit[item.sample.id] = item
            except GestaError as error:
                failed.append(str(error))
        for clip in preprocess_recording([item.sample for item in fit.values()], recognizer.manifest.transform):
            if isinstance(clip, Problem):
                failed.append(str(clip))
            else:
                lacks = notes(fit[clip.id].sample, recognizer.manifest)
                noted.update(lacks)
                yield fit[clip.id], replace(recognizer.predict(clip), notes=lacks)
