"""Simulates a structured-light sensor like the first Kinect: noise, steps, holes, ragged masks.

Random fields are sampled once per recording and shifted randomly in each frame, which is fast and looks the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.synthetic.body import smooth_noise
from gesta.synthetic.render import FAR
from gesta.synthetic.scene import Room

Array = NDArray[np.float64]
Bytes = NDArray[np.uint8]

_STEPS = 350.0
"""Disparity steps times meters: a step is z^2 / 350 m, 11 mm at 2 m and 26 mm at 3 m."""


@dataclass(frozen=True)
class Reading:
    """One frame as stored: color (H, W, 3) RGB; depth (H, W), 255 = max_depth_mm, 0 = no reading; user (H, W)."""

    color: Bytes
    depth: Bytes
    user: Bytes


class Sensor:
    """Stores the recording's random fields. `strength` scales all disturbances; 1 is a typical Kinect."""

    def __init__(self, rng: np.random.Generator, room: Room, max_depth_mm: int, strength: float) -> None:
        height, width = room.depth.shape
        self._rng, self._room, self._strength = rng, room, strength
        self._per_mm = np.float32(1000 * 255.0 / max_depth_mm)
        self._shape, self._scale = (height, width), max(1, round(width / 320))
        self._held: dict[int, tuple[int, NDArray]] = {}
        big = (height + 64, width + 64)
        tones = rng.normal(0, 2.6 * strength, (*big, 3)) + rng.normal(0, 1.6 * strength, (*big, 1))
        self._tones = tones.astype(np.float32)
        self._jitter = (rng.normal(0, 0.35 * strength, big)).astype(np.float32)
        blotches = cv2.GaussianBlur(rng.normal(0, 1, big).astype(np.float32), (0, 0), 2.0 * self._scale)
        self._dropout = blotches > np.quantile(blotches, 1 - 0.0025 * strength)
        edges = cv2.GaussianBlur(rng.normal(0, 1, big).astype(np.float32), (0, 0), 1.2 * self._scale)
        self._edges = np.clip(edges / edges.std(), -2.5, 2.5) * np.float32(0.15 * strength)

    def _window(self, field: NDArray, hold: int = 1) -> NDArray:
        """Returns the field at a random shift, which is kept for `hold` frames."""
        left, window = self._held.get(id(field), (0, field))
        if left == 0:
            y, x = (int(v) for v in self._rng.integers(0, 64, 2))
            left, window = hold, field[y : y + self._shape[0], x : x + self._shape[1]]
        self._held[id(field)] = (left - 1, window)
        return window

    def read(self, color: NDArray[np.float32], person: NDArray[np.float32]) -> Reading:
        """Returns the reading of a scene. color: float RGB; person: meters, FAR outside. May modify `color`."""
        color += self._window(self._tones)
        rgb = cv2.convertScaleAbs(np.maximum(color, 0, out=color)).astype(np.uint8, copy=False)
        body = person < FAR
        return Reading(rgb, self._depth(np.minimum(person, self._room.depth)), self._user(body))

    def _depth(self, meters: NDArray[np.float32]) -> Bytes:
        steps = np.float32(_STEPS) / meters
        steps += self._window(self._jitter)
        np.rint(steps, out=steps)
        value = np.divide(np.float32(_STEPS) * self._per_mm, steps, out=steps)
        # the projector is next to the camera: one side behind an edge is in its shadow
        shift = 3 * self._scale
        limit = np.float32(0.12) + np.float32(0.2) * self._window(self._edges, 6)[:, :-shift]
        value[:, :-shift][meters[:, :-shift] - meters[:, shift:] > limit] = 0
        value[self._window(self._dropout, 3)] = 0
        return cv2.convertScaleAbs(value)

    def _user(self, body: NDArray[np.bool_]) -> Bytes:
        size = 2 * self._scale + 1
        soft = cv2.blur(body.astype(np.float32), (size, size))
        soft += np.clip(self._window(self._edges, 6), -0.45, 0.45)
        return (soft > 0.5).astype(np.uint8) * np.uint8(255)


def track_skeleton(joints: Array, rng: np.random.Generator, strength: float, lost: int) -> Array:
    """Returns joints (T, 20, 3), meters, as from a tracker: noise, rare jumps of hands, zeros in the first frames."""
    n = len(joints)
    noise = np.stack([smooth_noise(rng, n, 20, 5) for _ in range(3)], 2) * 0.005
    noise += rng.normal(0, 0.002, joints.shape)
    spread = np.ones(20)
    spread[[6, 7, 10, 11]] = 1.8  # wrists and hands
    spread[[13, 14, 15, 17, 18, 19]] = 2.0
    out = joints + noise * spread[:, None] * strength
    for hand in ((6, 7), (10, 11)):  # tracked hand positions drift, with an offset per person
        drift = rng.normal(0, 0.009, 3) + 0.006 * smooth_noise(rng, n, 3, 25)
        out[:, hand] += strength * drift[:, None]
    for hand in ((6, 7), (10, 11)):
        for start in np.flatnonzero(rng.random(n) < 0.0025 * strength):
            jump = rng.normal(0, 0.07, 3)
            out[start : start + int(rng.integers(1, 4)), hand, :] += jump
    out[:lost] = 0
    return out
