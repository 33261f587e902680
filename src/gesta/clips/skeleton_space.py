"""Skeletons in a normalized space: causal normalization, missing joints, resampling. NumPy only.

A skeleton is float32 T J D (D = 2 or 3), NaN where a joint is missing. `to_network` turns NaN into a mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field

from gesta.clips.skeleton_sets import Group, JointSet, describe_joints, joint_set

Skeleton = NDArray[np.float32]


class SkeletonSpace(BaseModel):
    """How skeletons are normalized: a specification stored with a model, like the transform for pixels.

    Everything is causal: a stream gives the same values as the whole recording. `origin`: the zero point; `scale`:
    what has length 1; `view`: "first" rotates about the vertical axis so that the shoulders of the first frame with a
    person lie along x (3-D only).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    joints: tuple[str, ...] = Field(description="names in the order of the files")
    dimensions: Literal[2, 3] = 3
    origin: Literal["frame", "first", "none"] = Field("frame", description="middle of each frame, or of the first")
    scale: Literal["so_far", "first", "none"] = Field("so_far", description="mean size until now, or the first one")
    view: Literal["first", "none"] = "none"
    least_confidence: float = Field(0.0, ge=0, le=1, description="joints below it count as missing")

    @property
    def line(self) -> str:
        """Human-readable description of the input."""
        return (
            f"skeletons of {describe_joints(self.joints)} in {self.dimensions}-D; origin: {self.origin}, "
            f"scale: {self.scale}, view: {self.view}, minimum confidence: {self.least_confidence:g}"
        )


class Normalizer:
    """Applies a SkeletonSpace to frames one after another. Call `reset` before another recording."""

    def __init__(self, space: SkeletonSpace) -> None:
        self.space = space
        self._set = joint_set(space.joints)
        self.reset()

    def reset(self) -> None:
        self._origin: NDArray[np.float64] | None = None
        self._size_sum, self._sizes = 0.0, 0
        self._turn: NDArray[np.float64] | None = None

    def __call__(self, skeleton: ArrayLike, confidence: ArrayLike | None = None) -> Skeleton:
        """Normalizes frames T J D, NaN where joints are missing, with confidence T J.

        Frames before the first one with a person are all NaN. Raises ValueError for the wrong shape.
        """
        frames = np.array(skeleton, np.float64)
        wanted = (len(self.space.joints), self.space.dimensions)
        if frames.ndim != 3 or frames.shape[1:] != wanted:
            raise ValueError(f"expected a skeleton T {wanted[0]} {wanted[1]}, got {frames.shape}")
        frames[~np.isfinite(frames).all(axis=-1)] = np.nan
        if confidence is not None:
            frames[~(np.asarray(confidence) >= self.space.least_confidence)] = np.nan
        return np.stack([self._frame(frame) for frame in frames]).astype(np.float32) if len(frames) else _empty(wanted)

    def _frame(self, frame: NDArray[np.float64]) -> NDArray[np.float64]:
        if np.isnan(frame).all():
            return frame
        self._see(frame)
        if self.space.origin != "none" and self._origin is not None:
            frame = frame - self._origin
        if self.space.scale != "none" and self._sizes:
            frame = frame * (self._sizes / self._size_sum)
        return frame if self._turn is None else frame @ self._turn

    def _see(self, frame: NDArray[np.float64]) -> None:
        """Updates origin, size and view from this frame."""
        middle = _mean(frame, self._set.origin)
        if np.isnan(middle).any():
            middle = np.nanmean(frame, axis=0) if self._origin is None else self._origin
        if self._origin is None or self.space.origin == "frame":
            self._origin = middle
        size = size_of(frame, self._set)
        if size > 0 and (self.space.scale == "so_far" or not self._sizes):
            self._size_sum, self._sizes = self._size_sum + size, self._sizes + 1
        if self.space.view == "first" and self._turn is None and frame.shape[-1] == 3:
            self._turn = _facing(frame, self._set)


def size_of(frame: NDArray[np.floating], joints: JointSet) -> float:
    """A frame's size: mean length of the set's spans, or without spans, mean distance of the joints from their mean.

    0 if the required joints are missing.
    """
    if joints.spans:
        lengths = [float(np.linalg.norm(_mean(frame, a) - _mean(frame, b))) for a, b in joints.spans]
    else:
        lengths = np.linalg.norm(frame - np.nanmean(frame, axis=0), axis=-1).tolist()
    known = [length for length in lengths if length > 0]
    return float(np.mean(known)) if known else 0.0


def fill(skeleton: Skeleton) -> tuple[Skeleton, NDArray[np.bool_]]:
    """Fills the NaN in T J D; returns the result and the mask T J of the joints that were present.

    A missing joint keeps its last position (causal); before it is first seen, it is at zero.
    """
    mask = np.asarray(np.isfinite(skeleton).all(axis=-1))  # T J
    last = np.maximum.accumulate(np.where(mask, np.arange(len(skeleton))[:, None], -1), axis=0)  # T J
    held = np.take_along_axis(np.where(mask[..., None], skeleton, 0), np.maximum(last, 0)[..., None], axis=0)
    return np.where(last[..., None] >= 0, held, 0).astype(np.float32), mask


def to_network(clips: Sequence[Skeleton]) -> tuple[Skeleton, NDArray[np.bool_], NDArray[np.int64]]:
    """Normalized skeletons T J D of any length -> B T J D, mask B T J, lengths B; shorter ones are zero-padded."""
    lengths = np.array([len(clip) for clip in clips], np.int64)
    joints, dimensions = clips[0].shape[1:]
    batch = np.zeros((len(clips), int(lengths.max()), joints, dimensions), np.float32)
    masks = np.zeros(batch.shape[:3], np.bool_)
    for index, clip in enumerate(clips):
        batch[index, : len(clip)], masks[index, : len(clip)] = fill(clip)
    return batch, masks, lengths


def resample(skeleton: Skeleton, times_s: ArrayLike, fps: float) -> Skeleton:
    """Resamples to `fps` from the first time on: each output is the latest frame so far (causal), T' J D.

    Raises ValueError if the number of times differs from that of frames, or times decrease.
    """
    times = np.asarray(times_s, np.float64)
    if times.shape != (len(skeleton),) or (np.diff(times) < 0).any():
        raise ValueError(f"expected {len(skeleton)} times that do not decrease")
    if len(skeleton) == 0:
        return skeleton
    count = int(np.floor((times[-1] - times[0]) * fps + 1e-6)) + 1
    wanted = times[0] + np.arange(count) / fps
    latest = np.searchsorted(times, wanted + 1e-9, side="right") - 1
    return np.asarray(skeleton[latest])


def stretch(skeleton: Skeleton, frames: int) -> Skeleton:
    """The same movement in `frames` frames by linear interpolation; NaN where either neighbor is missing, T' J D."""
    place = np.linspace(0, len(skeleton) - 1, frames)
    low = np.minimum(np.floor(place).astype(int), len(skeleton) - 1)
    high = np.minimum(low + 1, len(skeleton) - 1)
    share = (place - low)[:, None, None]
    between = (1 - share) * skeleton[low] + share * skeleton[high]
    return np.asarray(np.where(share == 0, skeleton[low], between), np.float32)


def _facing(frame: NDArray[np.float64], joints: JointSet) -> NDArray[np.float64] | None:
    """The 3 x 3 rotation about y that aligns the line across the shoulders with x; None if it is not visible."""
    if joints.across is None:
        return None
    left, right = (_mean(frame, group) for group in joints.across)
    x, _, z = right - left
    length = float(np.hypot(x, z))
    if not length > 0:
        return None
    cos, sin = x / length, z / length
    return np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])  # row vectors: (x, z) -> (length, 0)


def _mean(frame: NDArray[np.floating], group: Group) -> NDArray[np.float64]:
    """Mean of the group's present joints, D; NaN if there are none."""
    points = frame[list(group)]
    there = points[np.isfinite(points).all(axis=-1)]
    return there.mean(axis=0) if len(there) else np.full(frame.shape[-1], np.nan)


def _empty(wanted: tuple[int, int]) -> Skeleton:
    return np.zeros((0, *wanted), np.float32)
