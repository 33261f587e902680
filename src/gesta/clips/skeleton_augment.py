"""Augmentation in joint space: view, body shape, speed, missing joints, and mirroring. NumPy only.

Skeletons are normalized, T J D, NaN where a joint is missing; NaN stays NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from gesta.clips.skeleton_sets import JointSet
from gesta.clips.skeleton_space import Skeleton, stretch


class SkeletonAugmentation(BaseModel):
    """Strength of each augmentation; 0 disables it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    turn_degrees: float = Field(10.0, ge=0, le=180, description="about the vertical (3-D) or in the image (2-D)")
    tilt_degrees: float = Field(0.0, ge=0, le=90, description="about the two other axes (3-D)")
    scale: float = Field(0.1, ge=0, lt=1, description="1 +- this for all axes, and half as much for each axis")
    shear: float = Field(0.0, ge=0, le=1)
    speed: float = Field(0.1, ge=0, lt=1, description="1 +- this")
    cut: float = Field(0.0, ge=0, lt=0.5, description="largest share of the frames cut off at each end")
    noise: float = Field(
        0.0, ge=0, le=1, description="standard deviation of a random shift of every joint in every frame"
    )
    joint_dropout: float = Field(0.0, ge=0, lt=1, description="share of joints set to missing for a stretch of time")
    mirror: float = Field(0.0, ge=0, le=1, description="probability; only where left and right mean the same")

    def __call__(self, skeleton: Skeleton, joints: JointSet, rng: np.random.Generator) -> Skeleton:
        """One random variant of a skeleton T J D. T changes with the speed and the cut."""
        changed = skeleton
        if self.cut:
            first, last = (rng.uniform(0, self.cut, 2) * len(skeleton)).astype(int)
            changed = changed[first : len(skeleton) - last]
        if self.mirror and rng.random() < self.mirror:
            changed = mirrored(changed, joints)
        changed = (changed @ self._matrix(skeleton.shape[-1], rng)).astype(np.float32)
        if self.speed:
            changed = stretch(changed, max(2, round(len(changed) / rng.uniform(1 - self.speed, 1 + self.speed))))
        if self.noise:
            changed = changed + rng.normal(0, self.noise, changed.shape).astype(np.float32)
        return drop_joints(changed, self.joint_dropout, rng) if self.joint_dropout else changed

    @property
    def of_fixed_length(self) -> SkeletonAugmentation:
        """The same without what changes the number of frames, for skeletons whose frames have labels."""
        return self.model_copy(update={"speed": 0.0, "cut": 0.0})

    def _matrix(self, dimensions: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """D x D for row vectors: rotation, scale and shear in one."""
        axes = rng.uniform(1 - self.scale, 1 + self.scale) * rng.uniform(
            1 - self.scale / 2, 1 + self.scale / 2, dimensions
        )
        shear = np.eye(dimensions) + rng.uniform(-self.shear, self.shear, (dimensions, dimensions)) * (
            1 - np.eye(dimensions)
        )
        turn, *tilts = np.radians([self.turn_degrees, self.tilt_degrees, self.tilt_degrees]) * rng.uniform(-1, 1, 3)
        return rotation(turn, *tilts, dimensions=dimensions) @ np.diag(axes) @ shear


def mirrored(skeleton: Skeleton, joints: JointSet) -> Skeleton:
    """Swaps left and right: negates x and exchanges each joint with its partner."""
    flipped = skeleton[:, list(joints.mirror)].copy()
    flipped[..., 0] *= -1
    return flipped


def drop_joints(skeleton: Skeleton, share: float, rng: np.random.Generator) -> Skeleton:
    """With probability `share` each, makes a joint missing in one contiguous run of up to half of the frames."""
    lost = skeleton.copy()
    frames, joints = skeleton.shape[:2]
    for joint in np.flatnonzero(rng.random(joints) < share):
        length = int(rng.integers(1, max(frames // 2, 1) + 1))
        start = int(rng.integers(0, frames - length + 1))
        lost[start : start + length, joint] = np.nan
    return lost


def rotation(turn: float, tilt: float = 0.0, roll: float = 0.0, *, dimensions: int = 3) -> NDArray[np.float64]:
    """Rotation for row vectors, radians: `turn` about y, `tilt` about x, `roll` about z; in 2-D `turn` in the image."""
    if dimensions == 2:
        return _plane(turn, 0, 1, 2)
    return _plane(turn, 2, 0, 3) @ _plane(tilt, 1, 2, 3) @ _plane(roll, 0, 1, 3)


def _plane(angle: float, a: int, b: int, dimensions: int) -> NDArray[np.float64]:
    matrix = np.eye(dimensions)
    matrix[a, a] = matrix[b, b] = np.cos(angle)
    matrix[a, b], matrix[b, a] = np.sin(angle), -np.sin(angle)
    return matrix
