"""Rooms: a still background in color and depth, and the light."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.synthetic.person import muted

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Room:
    """color: (H, W, 3) float RGB 0-255; depth: (H, W) meters; light: unit vector to the light, camera coordinates."""

    color: Image
    depth: Image
    light: NDArray[np.float64]
    ambient: float
    tint: NDArray[np.float64]  # factor on each color channel of person and room


def _texture(rng: np.random.Generator, height: int, width: int, coarse: int) -> Image:
    """Returns smooth zero-mean noise of unit size; `coarse` points across."""
    small = rng.normal(0, 1, (max(2, coarse * height // width + 1), coarse)).astype(np.float32)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32, copy=False)


def make_room(rng: np.random.Generator, size: tuple[int, int], person_distance: float) -> Room:
    """Returns a wall behind the person with objects on and in front of it."""
    width, height = size
    wall = rng.uniform(70, 215) * np.clip(1 + rng.normal(0, 0.09, 3), 0.6, 1.3)
    distance = person_distance + rng.uniform(0.55, 1.3)
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    depth = np.float32(distance) + np.float32(rng.uniform(-0.2, 0.2)) * x + 0 * y
    shade = 1 + rng.uniform(-0.18, 0.18) * x + rng.uniform(-0.15, 0.1) * y
    shade = shade + 0.03 * _texture(rng, height, width, 6) + 0.02 * _texture(rng, height, width, 60)
    color = np.clip(shade, 0.2, 1.6)[..., None] * wall.astype(np.float32)
    for _ in range(int(rng.integers(3, 9))):
        _add_thing(rng, color, depth, person_distance)
    angle, tilt = rng.uniform(-1.0, 1.0), rng.uniform(0.1, 0.9)
    light = np.array([np.sin(angle) * np.cos(tilt), np.sin(tilt), -np.cos(angle) * np.cos(tilt)])
    tint = rng.uniform(0.8, 1.12) * np.array([1 + rng.normal(0, 0.04), 1.0, 1 + rng.normal(0, 0.06)])
    color = np.clip(color * tint, 0, 255).astype(np.float32)
    return Room(
        cv2.GaussianBlur(color, (3, 3), 0), depth.astype(np.float32), light, float(rng.uniform(0.35, 0.6)), tint
    )


def _add_thing(rng: np.random.Generator, color: Image, depth: Image, person_distance: float) -> None:
    """Adds a picture, shelf, window or cupboard: a rectangle with its own color, texture and depth, or a round lamp."""
    height, width = depth.shape
    w, h = int(width * rng.uniform(0.06, 0.3)), int(height * rng.uniform(0.08, 0.5))
    left, top = int(rng.uniform(-0.05, 0.95) * width), int(rng.uniform(-0.05, 0.85) * height)
    place = (slice(max(top, 0), max(top + h, 1)), slice(max(left, 0), max(left + w, 1)))
    patch = color[place]
    if not patch.size:
        return
    tone = muted(rng, 20, 235)
    rows, columns = patch.shape[:2]
    grain = 1 + 0.08 * _texture(rng, rows, columns, 9)
    if rng.random() < 0.35:  # shelves or blinds
        grain = grain * (1 - 0.35 * (np.arange(rows) % max(4, rows // 5) < 2))[:, None]
    patch[:] = np.clip(grain[..., None] * tone, 0, 255)
    cv2.rectangle(color, (left, top), (left + w, top + h), (tone * 0.6).tolist(), max(1, width // 320))
    if rng.random() < 0.6:
        nearer = rng.uniform(person_distance + 0.3, float(depth.min()) + 0.02)
        depth[place] = np.minimum(depth[place], np.float32(nearer))
