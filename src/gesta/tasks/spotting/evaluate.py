"""What a spotter's events are worth: measures over recordings, and of each recording what a report shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.decoding import GestureEvent
from gesta.metrics import jaccard_spans
from gesta.metrics_events import (
    Event,
    delays,
    detection_rate,
    edit_error,
    f1_at_overlaps,
    false_alarms_per_minute,
    percentiles,
    shrec_rates,
)
from gesta.schema import GestaError, Problem
from gesta.sources.recordings import Recording
from gesta.tasks.base import Bar, Evaluation
from gesta.tasks.spotting import data
from gesta.tasks.spotting.data import Track
from gesta.tasks.spotting.predict import Spotter

KEPT = (
    "jaccard",
    "frame_accuracy",
    "edit_error",
    "detection_rate",
    "false_alarms_per_minute",
    "delay_p50_s",
    "delay_p95_s",
    "n",
)
Probabilities = NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """One recording: its true and spotted events in seconds, its length in frames and how many were named rightly."""

    id: str
    fps: float
    frames: int
    right_frames: int
    truth: tuple[Event, ...]
    spotted: tuple[Event, ...]

    @property
    def document(self) -> dict[str, Any]:
        """As plain values."""
        return {**vars(self), "truth": [list(e) for e in self.truth], "spotted": [list(e) for e in self.spotted]}

    @classmethod
    def read(cls, document: dict[str, Any]) -> Seen:
        """From plain values."""
        events = {key: tuple(Event(*row) for row in document[key]) for key in ("truth", "spotted")}
        return cls(**{**document, **events})

    @property
    def jaccard(self) -> float:
        """ChaLearn's frame-wise index of this recording; 1 where nothing was done and nothing spotted."""
        names = sorted({str(e.label) for e in (*self.truth, *self.spotted)})
        return float(jaccard_spans(self.spans(self.truth, names), self.spans(self.spotted, names), self.frames))

    def spans(self, events: Sequence[Event], names: Sequence[str]) -> list[tuple[int, int, int]]:
        """(class, first frame, last frame), both inclusive."""
        last = self.frames - 1
        return [
            (names.index(str(e.label)), round(e.start * self.fps), min(round(e.end * self.fps), last)) for e in events
        ]


def seen(track: Track, probabilities: Probabilities, spotted: Sequence[GestureEvent], fps: float) -> Seen:
    """One recording with what a spotter made of it."""
    right = int((probabilities.argmax(axis=1) == track.target).sum())
    truth = data.events(track.recording, len(track.target), fps)
    found = tuple(event.measured() for event in spotted)
    return Seen(track.recording.id, fps, len(track.target), right, tuple(truth), found)


def measures(recordings: Sequence[Seen]) -> dict[str, Any]:
    """The numbers of `metrics.json` over all recordings together, as plain JSON values.

    frame_accuracy: of the network's own answer in every frame, before the decoder. jaccard: ChaLearn 2014's. delay_...:
    from the end of a gesture to the moment it was known. shrec_...: SHREC 2022's rates, averaged over classes.
    """
    truth, spotted = ([list(getattr(r, side)) for r in recordings] for side in ("truth", "spotted"))
    frames = sum(r.frames for r in recordings)
    seconds = sum(r.frames / r.fps for r in recordings)
    f1 = f1_at_overlaps(truth, spotted)
    late = percentiles(delays(truth, spotted, since="end")) or (None, None)
    return {
        "jaccard": float(np.mean([r.jaccard for r in recordings])),
        "frame_accuracy": sum(r.right_frames for r in recordings) / frames,
        **{f"f1_{overlap * 100:.0f}": value for overlap, value in f1.items()},
        "detection_rate": detection_rate(truth, spotted),
        "false_alarms_per_minute": false_alarms_per_minute(truth, spotted, seconds),
        "delay_p50_s": late[0],
        "delay_p95_s": late[1],
        **_where_there_are_gestures(truth, spotted),
        "events": sum(map(len, truth)),
        "minutes": seconds / 60,
        "n": len(recordings),
    }


def _where_there_are_gestures(truth: list[list[Event]], spotted: list[list[Event]]) -> dict[str, Any]:
    """What is counted per true event; None where there is none."""
    names = ("edit_error", "shrec_detection_rate", "shrec_false_positive_rate", "shrec_jaccard_index")
    if not any(truth):
        return {**dict.fromkeys(names), "per_class": {}}
    rates = shrec_rates(truth, spotted)
    values = (edit_error(truth, spotted), rates.detection_rate, rates.false_positive_rate, rates.jaccard_index)
    counts = {
        str(label): {"true": c.true, "right": c.right, "false": c.false} for label, c in sorted(rates.by_class.items())
    }
    return {**dict(zip(names, values, strict=True)), "per_class": counts}


def measured(tracks: Sequence[Track], outputs: Sequence[Probabilities], spotter: Spotter) -> dict[str, Any]:
    """`measures` of recordings from a spotter's probabilities."""
    fps = spotter.manifest.fps
    return measures([seen(t, p, spotter.events(p), fps) for t, p in zip(tracks, outputs, strict=True)])


def outputs(
    spotter: Spotter, recordings: Sequence[Recording], bar: Bar
) -> tuple[list[Recording], NDArray[Any], list[Problem]]:
    """(the recordings that could be read, probabilities [T, N] of each, what could not be read)."""
    used, problems, rows = [], [], []
    for number, recording in enumerate(recordings, start=1):
        try:
            rows.append(spotter.probabilities(spotter.skeleton(recording)))
            used.append(recording)
        except GestaError as error:
            problems.append(Problem(str(recording.skeleton), "unreadable", str(error)))
        bar("Spotting", number, len(recordings))
    found = np.empty(len(rows), object)
    found[:] = rows
    return used, found, problems


def evaluation(spotter: Spotter, recordings: Sequence[Recording], found: NDArray[Any]) -> Evaluation:
    """What the probabilities are worth; `facts["seen"]` holds each recording's events."""
    manifest = spotter.manifest
    tracks, _ = data.tracks(recordings, manifest)
    shown = [seen(t, p, spotter.events(p), manifest.fps) for t, p in zip(tracks, found, strict=True)]
    strange = sorted({s.label for r in recordings for s in r.spans if s.label not in manifest.classes})
    notes = [f"The model does not know {', '.join(strange)}: those events count as missed."] if strange else []
    truth = np.empty(len(tracks), object)
    truth[:] = [t.target for t in tracks]
    return Evaluation({**measures(shown), "notes": notes}, tuple(recordings), found, truth, manifest, {"seen": shown})
