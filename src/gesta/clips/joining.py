"""Continuous video made from single clips: clips joined with rests in between, using the decoded frames.

The result resembles camera output, so the transform processes it like a stream: its crop depends on earlier frames, and
a clip's first frame has a predecessor. In a rest the person holds the pose from the end of the previous clip or the
start of the next one: still except for sensor noise, swaying slightly, or shifting aside and back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.clips.plane import Plane, RawFrame, gray_plane
from gesta.schema import Sample

REST_S = (0.8, 2.5)
"""Duration of a rest, without the transition to the next clip."""
CHANGE_S = (0.25, 0.6)
"""Duration of the transition from the last pose of one clip to the first of the next."""
SWAY_S = 1.6
SWAY_FRAMES = 3
"""Distance between the frames that are blended for a swaying person."""
SHIFT = 0.08
"""How far a person shifts aside, as a fraction of the picture's width."""
NOISE_LEVELS = 1.5
"""Standard deviation of a still picture's noise."""
UNKNOWN_STEP_S = 1 / 30

Frames = Sequence[RawFrame]
Span = tuple[Sample, float, float]
"""A clip, and its start and end in seconds of the joined video."""


@dataclass(frozen=True)
class Part:
    """Component of a joined video: `frames` returns the frames of the clip `sample`."""

    sample: Sample
    frames: Callable[[], Iterable[RawFrame]]


def joined(parts: Sequence[Part], rng: np.random.Generator, spans: list[Span]) -> Iterator[RawFrame]:
    """Frames of a rest, the first part, a rest, ..., the last part, a rest, with times from 0.

    `spans` is filled with the clips and their times as frames are consumed. Only one part is in memory at a time.
    """
    clock, before = 0.0, None
    for part in parts:
        frames = list(part.frames())
        if not frames:
            continue
        step = _step(frames)
        for frame in between(before or frames[:1], frames, step, rng):
            yield replace(frame, time_s=clock)
            clock += step
        start = clock
        for frame in frames:
            yield replace(frame, time_s=start + frame.time_s - frames[0].time_s)
        clock = start + frames[-1].time_s - frames[0].time_s + step
        spans.append((part.sample, start, clock))
        before = frames[-SWAY_FRAMES - 1 :]
    if before:
        step = _step(before)
        for frame in rest(before, step, rng):
            yield replace(frame, time_s=clock)
            clock += step


def _step(frames: Frames) -> float:
    """Time step between frames in seconds."""
    steps = np.diff([frame.time_s for frame in frames])
    return float(np.median(steps)) if len(steps) and np.median(steps) > 0 else UNKNOWN_STEP_S


def between(before: Frames, after: Frames, step_s: float, rng: np.random.Generator) -> Iterator[RawFrame]:
    """A rest after the frames `before`, or one before `after`, or both, with the transition between the two."""
    kind = int(rng.integers(3))
    if kind != 1:
        yield from rest(before, step_s, rng)
    yield from change(before[-1], after[0], max(2, round(rng.uniform(*CHANGE_S) / step_s)))
    if kind != 0:
        yield from rest(after[SWAY_FRAMES::-1], step_s, rng)


def rest(frames: Frames, step_s: float, rng: np.random.Generator) -> Iterator[RawFrame]:
    """Holds the last frame for a while: still, swaying towards the earlier ones, or shifting aside and back."""
    count = max(2, round(rng.uniform(*REST_S) / step_s))
    kind, noise = int(rng.integers(3)), _Noise(rng)
    angle = np.arange(count) * step_s * 2 * np.pi / SWAY_S
    for phase, place in zip((1 - np.cos(angle)) / 2, np.linspace(0, 1, count), strict=True):
        held = frames[-1]
        if kind == 1:
            held = blended(held, frames[0], 0.5 * float(phase))
        elif kind == 2:
            held = shifted(held, SHIFT * float(np.sin(np.pi * place)) ** 2)
        yield noise(held)


def change(before: RawFrame, after: RawFrame, count: int) -> Iterator[RawFrame]:
    """`count` frames between two, with slow start and end."""
    for share in np.linspace(0, 1, count + 2)[1:-1]:
        yield blended(before, after, float(share**2 * (3 - 2 * share)))


def blended(one: RawFrame, other: RawFrame, share: float) -> RawFrame:
    """Blends pictures and joints of two frames, with weight `share` for the other. Depth and mask: the nearer frame's.

    Pictures of different sizes are not blended: the nearer frame is returned.
    """
    near, far = (one, other) if share < 0.5 else (other, one)
    if _sizes(one) != _sizes(other):
        return near
    color = None if near.color is None or far.color is None else _mixed(one.color, other.color, share)
    gray = near.gray if near.gray is None or far.gray is None else None
    if color is not None:
        gray = gray_plane(color)
    elif gray is None and one.gray is not None and other.gray is not None:
        gray = Plane(_mixed(one.gray.whole(), other.gray.whole(), share))
    joints = {name: _between(getattr(one, name), getattr(other, name), share) for name in ("joints", "joints_uv")}
    return replace(near, color=color if color is not None else near.color, gray=gray, **joints)


def shifted(frame: RawFrame, share: float) -> RawFrame:
    """The picture and joints moved right by a fraction of their width; the border is replicated."""
    size = _sizes(frame)[0]
    pixels = 0 if size is None else round(share * size[1])
    color = None if frame.color is None else _moved(frame.color, pixels)
    planes: dict[str, Any] = {
        name: None if plane is None else replace(plane, raw=_moved(plane.raw, pixels))
        for name, plane in (("gray", frame.gray), ("depth", frame.depth), ("mask", frame.mask))
    }
    if color is not None:
        planes["gray"] = gray_plane(color)
    joints, pixel_joints = frame.joints, frame.joints_uv
    if joints is not None:
        joints = joints.copy()
        joints[:, 0] += share * _width(joints)
    if pixel_joints is not None:
        pixel_joints = pixel_joints + np.array([pixels, 0], np.float32)
    return replace(frame, color=color, joints=joints, joints_uv=pixel_joints, **planes)


class _Noise:
    """Adds sensor noise to pictures and jitter to joints."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._field: NDArray[np.int16] | None = None

    def __call__(self, frame: RawFrame) -> RawFrame:
        color = None if frame.color is None else self._noisy(frame.color)
        gray = frame.gray
        if color is not None:
            gray = gray_plane(color)
        elif gray is not None:
            gray = Plane(self._noisy(np.asarray(gray.whole(), np.uint8)))
        joints = frame.joints
        if joints is not None:
            tremble = 0.01 * _width(joints)
            joints = (joints + self._rng.normal(0, tremble, joints.shape)).astype(np.float32)
        return replace(frame, color=color, gray=gray, joints=joints)

    def _noisy(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self._field is None or self._field.shape[:2] != picture.shape[:2]:
            self._field = self._rng.normal(0, NOISE_LEVELS, picture.shape[:2]).round().astype(np.int16)
        moved = np.roll(self._field, self._rng.integers(0, self._field.shape), (0, 1))
        if picture.ndim == 3:
            moved = moved[..., None]
        return np.asarray(np.clip(picture + moved, 0, 255), np.uint8)


def _sizes(frame: RawFrame) -> tuple[tuple[int, ...] | None, int | None]:
    """(height and width of its pictures, number of its joints)."""
    plane = frame.gray or frame.depth
    joints = frame.joints if frame.joints is not None else frame.joints_uv
    return None if plane is None else plane.raw.shape[:2], None if joints is None else len(joints)


def _mixed(one: Any, other: Any, share: float) -> NDArray[np.uint8]:
    return np.asarray(cv2.addWeighted(one, 1 - share, other, share, 0), np.uint8)


def _between(one: Any, other: Any, share: float) -> Any:
    """Interpolates between two poses; a joint missing in either is missing."""
    return one if one is None or other is None else np.asarray((1 - share) * one + share * other, np.float32)


def _moved(picture: NDArray[Any], pixels: int) -> NDArray[Any]:
    if pixels == 0:
        return picture
    return np.concatenate([np.repeat(picture[:, :1], pixels, axis=1), picture[:, :-pixels]], axis=1)


def _width(joints: NDArray[Any]) -> float:
    """The largest extent of a skeleton; 0 if no joint is visible."""
    seen = joints[np.isfinite(joints).all(axis=-1)]
    return float(np.ptp(seen, axis=0).max()) if len(seen) else 0.0
