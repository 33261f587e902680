"""Simulates a structured-light sensor for a hand before a wall: noise, steps, holes, projector shadow, color.

Random fields are sampled once and shifted randomly for every view, which is fast and looks the same.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.synthetic.hand_model import FOREARM
from gesta.synthetic.hand_render import NOTHING, Rendered

Image = NDArray[np.float32]

_STEPS = 350_000.0
"""Disparity steps times mm: a step is z^2 / 350,000 mm, 1.8 mm at 0.8 m."""
_MARGIN = 64
_SHADOW_PX, _SHADOW_MM = 8, 120.0


class HandSensor:
    """Stores the random fields for images of `size` (width, height)."""

    def __init__(self, rng: np.random.Generator, size: tuple[int, int]) -> None:
        width, height = size
        big = (height + _MARGIN, width + _MARGIN)
        self._size = size
        self._jitter = rng.normal(0, 0.45, big).astype(np.float32)
        blotches = cv2.GaussianBlur(rng.normal(0, 1, big).astype(np.float32), (0, 0), 2.5)
        self._holes = blotches > np.quantile(blotches, 0.999)
        edges = cv2.GaussianBlur(rng.normal(0, 1, big).astype(np.float32), (0, 0), 1.5)
        self._shadow_mm = np.float32(_SHADOW_MM) + (edges / edges.std() * 60).astype(np.float32)
        self._grain = rng.normal(0, 3, (*big, 3)).astype(np.float32)
        tones = [cv2.resize(rng.uniform(30, 200, (n, n, 3)).astype(np.float32), big[::-1]) for n in (3, 9, 40)]
        wall = 0.5 * tones[0] + 0.3 * tones[1] + 0.2 * tones[2] + rng.normal(0, 3, (*big, 3))
        self._wall = np.clip(wall, 0, 255).astype(np.uint8)
        self._across = np.linspace(-0.5, 0.5, width, dtype=np.float32)
        self._down = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None]

    def depth(self, hand: Rendered, rng: np.random.Generator) -> NDArray[np.uint16]:
        """Returns depth H W in millimeters, before a slanted wall; 0 = no reading."""
        tilt = rng.uniform(-250, 250, 2)
        wall = np.float32(rng.uniform(1350, 1900)) + np.float32(tilt[0]) * self._across
        scene = wall + np.float32(tilt[1]) * self._down
        np.minimum(hand.depth_mm, scene, out=scene)
        value = np.float32(_STEPS) / scene
        value += self._window(self._jitter, rng)
        np.rint(value, out=value)  # disparity steps
        np.divide(np.float32(_STEPS), value, out=value)
        reading = np.rint(value, out=value).astype(np.uint16)
        # the projector is next to the camera: one side behind an edge is in its shadow
        edge = np.subtract(scene[:, :-_SHADOW_PX], scene[:, _SHADOW_PX:], out=value[:, :-_SHADOW_PX])
        np.copyto(reading[:, :-_SHADOW_PX], 0, where=edge > self._window(self._shadow_mm, rng)[:, :-_SHADOW_PX])
        np.copyto(reading, 0, where=self._window(self._holes, rng))
        return reading

    def color(
        self, hand: Rendered, depth: NDArray[np.uint16], skin: Image, sleeve: Image, rng: np.random.Generator
    ) -> NDArray[np.uint8]:
        """Returns RGB H W 3, black where depth has no reading (as in NYU). `skin`, `sleeve`: RGB, 0 to 255."""
        image = self._window(self._wall, rng)
        grain = self._window(self._grain, rng)
        left, top, width, height = cv2.boundingRect((hand.parts != NOTHING).view(np.uint8))
        box = slice(top, top + height), slice(left, left + width)
        parts = hand.parts[box]
        light = (0.3 + 0.7 * hand.shade[box])[..., None]
        tone = np.where((parts == FOREARM)[..., None], sleeve, skin)
        lit = np.clip(tone * light + grain[box], 0, 255).astype(np.uint8)
        image = cv2.bitwise_and(image, image, mask=(depth != 0).view(np.uint8))
        cv2.copyTo(lit, ((parts != NOTHING) & (depth[box] != 0)).view(np.uint8), image[box])
        return np.asarray(image, np.uint8)

    def _window(self, field: NDArray, rng: np.random.Generator) -> NDArray:
        x, y = (int(v) for v in rng.integers(0, _MARGIN, 2))
        return field[y : y + self._size[1], x : x + self._size[0]]
