"""Evaluation of detected events, for spotters and continuous clip recognizers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

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


@dataclass(frozen=True)
class Seen:
    """One recording: true and detected events in seconds, number of frames, number of correctly classified ones."""

    id: str
    fps: float
    frames: int
    right_frames: int
    truth: tuple[Event, ...]
    spotted: tuple[Event, ...]

    @property
    def document(self) -> dict[str, Any]:
        """Returns plain values."""
        return {**vars(self), "truth": [list(e) for e in self.truth], "spotted": [list(e) for e in self.spotted]}

    @classmethod
    def read(cls, document: dict[str, Any]) -> Seen:
        """Restores from plain values."""
        events = {key: tuple(Event(*row) for row in document[key]) for key in ("truth", "spotted")}
        return cls(**{**document, **events})

    @property
    def jaccard(self) -> float:
        """ChaLearn's frame-wise Jaccard index of this recording; 1 if there are neither true nor detected events."""
        names = sorted({str(e.label) for e in (*self.truth, *self.spotted)})
        return float(jaccard_spans(self.spans(self.truth, names), self.spans(self.spotted, names), self.frames))

    def spans(self, events: Sequence[Event], names: Sequence[str]) -> list[tuple[int, int, int]]:
        """Returns (class, first frame, last frame), both inclusive."""
        last = self.frames - 1
        return [
            (names.index(str(e.label)), round(e.start * self.fps), min(round(e.end * self.fps), last)) for e in events
        ]


def measures(recordings: Sequence[Seen]) -> dict[str, Any]:
    """Computes the values of `metrics.json` over all recordings together, as plain JSON values.

    frame_accuracy: of the network's raw prediction per frame, before the decoder. jaccard: as in ChaLearn 2014.
    delay_...: from the end of a gesture to its detection. shrec_...: rates of SHREC 2022, averaged over classes.
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
    """Returns the metrics that need true events; None for each if there are none."""
    names = ("edit_error", "shrec_detection_rate", "shrec_false_positive_rate", "shrec_jaccard_index")
    if not any(truth):
        return {**dict.fromkeys(names), "per_class": {}}
    rates = shrec_rates(truth, spotted)
    values = (edit_error(truth, spotted), rates.detection_rate, rates.false_positive_rate, rates.jaccard_index)
    counts = {
        str(label): {"true": c.true, "right": c.right, "false": c.false} for label, c in sorted(rates.by_class.items())
    }
    return {**dict(zip(names, values, strict=True)), "per_class": counts}
