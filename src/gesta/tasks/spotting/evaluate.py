"""Evaluate a spotter: metrics over recordings, and what a report shows of each recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.clips.skeleton_space import Skeleton
from gesta.decoder import GestureEvent
from gesta.decoding import as_measured
from gesta.metrics_events import runs
from gesta.schema import GestaError, Problem
from gesta.sources.recordings import Recording
from gesta.tasks.base import Bar, Evaluation
from gesta.tasks.events import Seen, measures
from gesta.tasks.spotting import data
from gesta.tasks.spotting.data import Track
from gesta.tasks.spotting.predict import Spotter

Probabilities = NDArray[np.float64]
SHUFFLING = 0
"""Random seed for shuffling frames."""


def seen(track: Track, probabilities: Probabilities, spotted: Sequence[GestureEvent], fps: float) -> Seen:
    """Return a recording's true events with those that a spotter found."""
    right = int((probabilities.argmax(axis=1) == track.target).sum())
    truth = data.events(track.recording, len(track.target), fps)
    found = tuple(as_measured(event) for event in spotted)
    return Seen(track.recording.id, fps, len(track.target), right, tuple(truth), found)


def measured(tracks: Sequence[Track], outputs: Sequence[Probabilities], spotter: Spotter) -> dict[str, Any]:
    """Compute `measures` of recordings from a spotter's probabilities."""
    fps = spotter.manifest.fps
    return measures([seen(t, p, spotter.events(p), fps) for t, p in zip(tracks, outputs, strict=True)])


def outputs(
    spotter: Spotter, recordings: Sequence[Recording], bar: Bar
) -> tuple[list[Recording], NDArray[Any], list[Problem]]:
    """Return (the recordings that could be read, probabilities [T, N] of each, problems of the others)."""
    used, problems, rows, rng = [], [], [], np.random.default_rng(SHUFFLING)
    for number, recording in enumerate(recordings, start=1):
        try:
            skeleton = spotter.skeleton(recording)
            if spotter.shuffled:
                skeleton = shuffled(skeleton, data.track(recording, spotter.manifest).target, rng)
            rows.append(spotter.probabilities(skeleton))
            used.append(recording)
        except GestaError as error:
            problems.append(Problem(str(recording.skeleton), data.UNREADABLE, str(error)))
        bar("Spotting", number, len(recordings))
    found = np.empty(len(rows), object)
    found[:] = rows
    return used, found, problems


def shuffled(skeleton: Skeleton, target: NDArray[np.int64], rng: np.random.Generator) -> Skeleton:
    """Put the frames of each gesture (class > 0 in `target` [T]) in random order."""
    order = np.arange(len(skeleton))
    for label, first, last in runs(target):
        if label > 0:
            order[first : last + 1] = first + rng.permutation(last + 1 - first)
    return skeleton[order]


def evaluation(spotter: Spotter, recordings: Sequence[Recording], found: NDArray[Any]) -> Evaluation:
    """Evaluate the probabilities. `facts["seen"]` contains the events of each recording."""
    manifest = spotter.manifest
    tracks, _ = data.tracks(recordings, manifest)
    shown = [seen(t, p, spotter.events(p), manifest.fps) for t, p in zip(tracks, found, strict=True)]
    strange = sorted({s.label for r in recordings for s in r.spans if s.label not in manifest.classes})
    notes = [f"The model does not know {', '.join(strange)}: those events count as missed."] if strange else []
    notes += [f"{t.recording.id}: {late}" for t in tracks if (late := data.outside(t, manifest.fps))]
    truth = np.empty(len(tracks), object)
    truth[:] = [t.target for t in tracks]
    return Evaluation({**measures(shown), "notes": notes}, tuple(recordings), found, truth, manifest, {"seen": shown})
