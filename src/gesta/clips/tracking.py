"""Tracker for preprocessing: adds joints, confidence, joints for crops and the person's mask to plain RGB frames.

The user installs the tracker's networks (`gesta fetch trackers`); a model refers to them by sha256 and does not contain
them.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import replace

import numpy as np

from gesta.clips.plane import Plane, RawFrame
from gesta.clips.tracker_spec import TrackerSpec
from gesta.schema import GestaError
from gesta.trackers.joints import with_centers
from gesta.trackers.landmarks import Landmarks
from gesta.trackers.tracker import Tracker


class FrameTracker:
    """Adds the tracker's results to frames of one recording, in order. Call `close` before another recording."""

    def __init__(self, spec: TrackerSpec) -> None:
        self._spec = spec
        self._tracker: Tracker | None = None

    def __call__(self, frame: RawFrame) -> RawFrame:
        """Adds joints in (u, -v) pixels, NaN where nothing was found; frames that already have joints keep them.

        Raises GestaError if a frame has no colors, or the model's tracker is not installed.
        """
        if frame.joints is not None:
            return frame
        if frame.color is None:
            raise GestaError("The model's tracker looks for people in color images, but the frames have none.")
        if self._tracker is None:
            self._tracker = _borrowed(self._spec)
        return self.with_landmarks(frame, self._tracker.step(frame.color, frame.time_s))

    def with_landmarks(self, frame: RawFrame, found: Landmarks) -> RawFrame:
        """The frame with the landmarks found in it."""
        points, confidence = found.joints(self._spec.what)
        person = found.person
        mask = frame.mask
        if self._spec.mask and mask is None:
            inside = None if person is None else person.mask
            levels = np.zeros(found.size, np.uint8) if inside is None else inside.view(np.uint8) * np.uint8(255)
            mask = Plane(levels)
        return replace(
            frame,
            joints=points[:, :2] * np.array([1, -1], np.float32),
            confidence=confidence,
            joints_uv=with_centers(points[:, :2], self._spec.what),
            mask=mask,
        )

    def close(self) -> None:
        """Ends the recording and releases its tracker for another one."""
        if self._tracker is not None:
            with _lock:
                _idle[self._spec].append(self._tracker)
            self._tracker = None


_idle: dict[TrackerSpec, list[Tracker]] = defaultdict(list)
"""Loaded trackers that are not in use."""
_lock = threading.Lock()


def _borrowed(spec: TrackerSpec) -> Tracker:
    """A tracker for one recording. Raises GestaError if the installed networks are not those of the model."""
    with _lock:
        tracker = _idle[spec].pop() if _idle[spec] else None
    if tracker is None:
        tracker = Tracker(spec.what, hand_model=spec.hand_model, max_hands=spec.max_hands, mask=spec.mask, threads=1)
    if tracker.sha256 != spec.sha256:
        raise GestaError(
            f"The model was trained with another tracker (sha256 {spec.sha256[:12]}..., here "
            f"{tracker.sha256[:12]}...). Get the published networks: gesta fetch trackers; or train again."
        )
    tracker.reset()
    return tracker
