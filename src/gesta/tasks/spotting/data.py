"""Recordings as network inputs: normalized skeletons and a class for each frame."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gesta.clips.skeleton_files import Skeletons, read_skeletons
from gesta.clips.skeleton_space import Normalizer, Skeleton, SkeletonSpace, fill, resample
from gesta.decoding import DecoderSpec
from gesta.metrics_events import Event
from gesta.schema import GestaError, Problem
from gesta.sources.recordings import Recording
from gesta.words import counted

UNREADABLE = "unreadable"
"""Kind of the problem of a recording that cannot be used."""


@dataclass(frozen=True)
class Facts:
    """The part of a SpottingManifest that describes the network's input and output; same field meanings."""

    space: SkeletonSpace
    fps: float
    classes: tuple[str, ...]
    delay_frames: int = 0
    decoder: DecoderSpec = field(default_factory=DecoderSpec)


@dataclass(frozen=True)
class Track:
    """A recording at the network's rate. `skeleton` [T, J, D]: normalized, NaN for missing joints; `target`: [T]."""

    recording: Recording
    skeleton: Skeleton
    target: NDArray[np.int64]


def positions(recording: Recording) -> Skeletons:
    """Read the skeletons of a recording. Raises GestaError naming the file."""
    return read_skeletons(recording.skeleton, recording.joints)


def raw(recording: Recording, facts: Facts) -> tuple[Skeleton, NDArray[np.float64]]:
    """Return skeletons [T, J, D] in the model's joint order, not normalized, and their times in seconds.

    Joints with too low a confidence are NaN. Raises GestaError if the file lacks joints or a dimension.
    """
    found = positions(recording)
    values = ordered(found, facts.space, str(recording.skeleton))
    times = np.arange(len(values)) / (found.fps or recording.fps) if found.times_s is None else found.times_s
    return values, times - (times[0] if len(times) else 0)


def ordered(found: Skeletons, space: SkeletonSpace, name: str) -> Skeleton:
    """Return the positions in the joint order of `space`; NaN where the confidence is below its minimum."""
    missing = [joint for joint in space.joints if joint not in found.joints]
    if missing or found.values.shape[2] < space.dimensions:
        lack = f"the joints {', '.join(missing[:5])}" if missing else f"a position in {space.dimensions}-D"
        raise GestaError(f"{name}: lacks {lack}. Give skeletons with the joints that the model was trained on.")
    places = [found.joints.index(joint) for joint in space.joints]
    values = found.values[:, places, : space.dimensions]
    if found.confidence is None:
        return values
    return np.where((found.confidence[:, places] >= space.least_confidence)[..., None], values, np.nan)


def track(recording: Recording, facts: Facts) -> Track:
    """Read a recording as network input. Gestures not among the classes count as `none`. Raises GestaError."""
    values, times = raw(recording, facts)
    classes = frame_classes(recording, len(values), facts.classes)
    latest = resample(np.arange(len(values), dtype=np.float32)[:, None, None], times, facts.fps)[:, 0, 0].astype(int)
    skeleton = Normalizer(facts.space)(resample(values, times, facts.fps))
    return Track(recording, skeleton, classes[latest])


def frame_classes(recording: Recording, frames: int, classes: Sequence[str]) -> NDArray[np.int64]:
    """Return the class of each frame of the file, [T]. Where spans overlap, the later one wins."""
    found = np.zeros(frames, np.int64)
    for span in recording.spans:
        if span.label in classes:
            found[span.first : min(span.last, frames - 1) + 1] = classes.index(span.label)
    return found


def events(recording: Recording, frames: int, fps: float) -> list[Event]:
    """Return the true events of a recording of `frames` network frames, with first and last frame in seconds."""
    end_s = (frames - 1) / fps
    found = [Event(s.label, s.first / recording.fps, min(s.last / recording.fps, end_s)) for s in recording.spans]
    return [event for event in found if event.start < event.end]


def tracks(recordings: Sequence[Recording], facts: Facts) -> tuple[list[Track], list[Problem]]:
    """Return (tracks of the readable recordings, problems of the others and of gestures outside their recording)."""
    used, problems = [], []
    for recording in recordings:
        try:
            used.append(track(recording, facts))
        except GestaError as error:
            problems.append(Problem(str(recording.skeleton), UNREADABLE, str(error)))
            continue
        if late := outside(used[-1], facts.fps):
            problems.append(Problem(str(recording.skeleton), "span-outside", late, "Correct the spans."))
    return used, problems


def outside(one: Track, fps: float) -> str:
    """Return which gestures are left out because they start after the recording's end; empty if none do."""
    end_s = len(one.skeleton) / fps
    late = [span for span in one.recording.spans if span.first / one.recording.fps >= end_s]
    if not late:
        return ""
    first_s = late[0].first / one.recording.fps
    return (
        f"{counted(len(late), 'gesture')} left out: after the end at {end_s:.1f} s, the first {late[0].label} at "
        f"{first_s:.1f} s."
    )


def identities(recordings: Sequence[Recording]) -> list[str]:
    """Return a hash of the positions and the subject of each recording."""
    found = []
    for recording in recordings:
        values = fill(positions(recording).values)[0]
        found.append(hashlib.sha256(str(recording.subject).encode() + values.tobytes()).hexdigest()[:16])
    return found
