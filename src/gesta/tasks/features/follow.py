"""Live use of a classifier of whole videos: it classifies segments delimited by motion or by a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gesta.clips.chosen_frames import fit_frame
from gesta.clips.motion_gate import MotionGate
from gesta.decoder import GestureEvent
from gesta.decoding import DecoderSpec
from gesta.schema import Frame
from gesta.tasks.features.manifest import BackboneUse

LEAST_S = 0.4
"""Shorter segments are ignored."""
MOST_FRAMES = 512
"""When a segment exceeds this, every other frame is dropped."""
SURE = 0.5


class Gate(Protocol):
    """Decides for each frame whether it belongs to a segment."""

    def __call__(self, image: NDArray[np.uint8], time_s: float) -> bool: ...


@dataclass
class Segment:
    """Frames of one segment so far, at the backbone's size: every `every`-th of the `seen` frames is kept."""

    start_s: float
    last_s: float
    kept: list[NDArray[np.uint8]] = field(default_factory=list)
    seen: int = 0
    every: int = 1

    def add(self, image: NDArray[np.uint8], time_s: float, used: BackboneUse) -> None:
        """Add the next frame, an RGB image."""
        if self.seen % self.every == 0:
            self.kept.append(fit_frame(Frame(time_s, color=image), used.size, used.letterbox))
        if len(self.kept) > MOST_FRAMES:
            self.kept, self.every = self.kept[::2], 2 * self.every
        self.last_s, self.seen = time_s, self.seen + 1


class SegmentFollower:
    """RGB images -> an event for each segment classified with a confidence of at least `threshold`.

    `gate` delimits the segments. `probabilities`: those of the last segment, by label; empty before the first.
    """

    takes = "rgb"

    def __init__(self, recognizer: Any, threshold: float | None = None, gate: Gate | None = None) -> None:
        self._recognizer, self._threshold = recognizer, SURE if threshold is None else threshold
        self.gate: Gate = gate or MotionGate()
        self._segment: Segment | None = None
        self.probabilities: Mapping[str, float] = {}

    def push(self, value: NDArray[np.uint8], time_s: float) -> list[GestureEvent]:
        """Add the next image; return the event of the segment that it ends, if any."""
        if not self.gate(value, time_s):
            return self._close(time_s)
        self._segment = self._segment or Segment(time_s, time_s)
        self._segment.add(value, time_s, self._recognizer.manifest.backbone)
        return []

    def finish(self) -> list[GestureEvent]:
        """End the current segment, if any."""
        return self._close(None)

    def decode_with(self, spec: DecoderSpec) -> None:
        """Use `spec.on` as the threshold; its other settings do not apply because the gate delimits segments."""
        self._threshold = spec.on

    def _close(self, time_s: float | None) -> list[GestureEvent]:
        segment, self._segment = self._segment, None
        if segment is None or segment.last_s - segment.start_s < LEAST_S:
            return []
        found = self._recognizer.predict(np.stack(segment.kept))
        self.probabilities = found.probabilities
        if found.confidence < self._threshold:
            return []
        decided_s = segment.last_s if time_s is None else time_s
        return [GestureEvent(found.label, segment.start_s, segment.last_s, found.confidence, decided_s)]
