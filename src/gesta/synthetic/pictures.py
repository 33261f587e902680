"""Small pictures of ten shapes in ten textures, for image sets in the layout of CIFAR.

Position, size, rotation and both pairs of colors are random in each picture, the background is textured, too, and part
of the shape may be hidden, so that neither a pixel nor the mean color reveals the class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE = 32
_FINE = 2  # drawn at twice the size, then averaged

Plane = NDArray[np.float64]
Mask = NDArray[np.bool_]


def _box(x: Plane, y: Plane, width: float, height: float) -> Mask:
    return (np.abs(x) < width) & (np.abs(y) < height)


def _star(x: Plane, y: Plane) -> Mask:
    angle = np.arctan2(x, y)
    return np.hypot(x, y) < 0.45 + 0.5 * np.abs(((angle * 5 / (2 * np.pi)) % 1) * 2 - 1) ** 1.5


SHAPES: dict[str, Callable[[Plane, Plane], Mask]] = {
    "disc": lambda x, y: np.hypot(x, y) < 0.85,
    "ring": lambda x, y: (np.hypot(x, y) < 0.95) & (np.hypot(x, y) > 0.5),
    "square": lambda x, y: _box(x, y, 0.75, 0.75),
    "frame": lambda x, y: _box(x, y, 0.85, 0.85) & ~_box(x, y, 0.45, 0.45),
    "triangle": lambda x, y: (y < 0.7) & (y > 1.8 * np.abs(x) - 0.95),
    "cross": lambda x, y: _box(x, y, 0.95, 0.3) | _box(x, y, 0.3, 0.95),
    "bar": lambda x, y: _box(x, y, 0.3, 1.0),
    "crescent": lambda x, y: (np.hypot(x, y) < 0.95) & (np.hypot(x - 0.45, y) > 0.7),
    "star": _star,
    "ell": lambda x, y: _box(x + 0.4, y, 0.3, 0.9) | _box(x, y - 0.6, 0.7, 0.3),
}
"""Name -> mask of the shape, for x to the right and y downwards, both about -1 to 1."""


def _waves(values: Plane) -> Plane:
    """Returns square waves of period 1 between 0 and 1."""
    return ((values % 1.0) < 0.5).astype(np.float64)


def _speckled(x: Plane, y: Plane, rng: np.random.Generator) -> NDArray[Any]:  # noqa: ARG001
    return np.kron(rng.random((x.shape[0] // 4, x.shape[1] // 4)) < 0.5, np.ones((4, 4)))


def _fading(x: Plane, y: Plane, rng: np.random.Generator) -> NDArray[Any]:
    angle = rng.uniform(0, 2 * np.pi)
    return np.clip((x * np.cos(angle) + y * np.sin(angle) + 1) / 2, 0, 1)


TEXTURES: dict[str, Callable[[Plane, Plane, np.random.Generator], NDArray[Any]]] = {
    "plain": lambda x, y, rng: np.zeros_like(x),  # noqa: ARG005
    "rows": lambda x, y, rng: _waves(3.2 * y + rng.random()),  # noqa: ARG005
    "columns": lambda x, y, rng: _waves(3.2 * x + rng.random()),  # noqa: ARG005
    "slanted": lambda x, y, rng: _waves(2.3 * (x + y) + rng.random()),
    "checks": lambda x, y, rng: np.abs(_waves(1.8 * x + rng.random()) - _waves(1.8 * y + rng.random())),
    "dots": lambda x, y, rng: (np.hypot((2.4 * x + rng.random()) % 1 - 0.5, (2.4 * y) % 1 - 0.5) < 0.32) * 1.0,
    "circles": lambda x, y, rng: _waves(3.0 * np.hypot(x, y) + rng.random()),
    "fading": _fading,
    "speckled": _speckled,
    "grid": lambda x, y, rng: np.maximum((2.2 * x + rng.random()) % 1 < 0.25, (2.2 * y) % 1 < 0.25) * 1.0,
}
"""Name -> a value from 0 to 1 at each position, which mixes two colors."""


def draw(shape: str, texture: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draws one picture of SHAPES[shape] filled with TEXTURES[texture], uint8 H W C (RGB), 32 x 32."""
    size = SIDE * _FINE
    v, u = (np.mgrid[:size, :size] + 0.5) * 2 / size - 1  # -1 to 1 over the picture
    angle, scale = np.deg2rad(rng.uniform(-20, 20)), rng.uniform(0.5, 0.85)
    right, down = rng.uniform(-1, 1, 2) * (1 - scale)
    x = (np.cos(angle) * (u - right) + np.sin(angle) * (v - down)) / scale
    y = (np.cos(angle) * (v - down) - np.sin(angle) * (u - right)) / scale
    inside = SHAPES[shape](x, y) & ~_hidden(u, v, rng)
    behind = TEXTURES[str(rng.choice(list(TEXTURES)))](u, v, rng)
    colors = _colors(rng)
    front = colors[0] + TEXTURES[texture](x, y, rng)[..., None] * (colors[1] - colors[0])
    back = colors[2] + 0.5 * behind[..., None] * (colors[3] - colors[2])
    picture = np.where(inside[..., None], front, back)
    picture = picture.reshape(SIDE, _FINE, SIDE, _FINE, 3).mean((1, 3))
    light = rng.uniform(0.75, 1.1) + rng.uniform(-0.15, 0.15) * np.linspace(-1, 1, SIDE)[:, None, None]
    noisy = picture * light + rng.normal(0, rng.uniform(2, 12), picture.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def _colors(rng: np.random.Generator) -> NDArray[np.float64]:
    """Samples two colors of the shape and two of the background, 4 x 3; the first two stand out from the others."""
    while True:
        colors = rng.uniform(0, 255, (4, 3))
        gaps = np.linalg.norm(colors[:, None] - colors[None], axis=-1)[:2]
        if gaps[gaps > 0].min() > 90:
            return colors


def _hidden(u: Plane, v: Plane, rng: np.random.Generator) -> Mask:
    """Returns the area beyond a line near the edge, which the background covers in one of four pictures."""
    angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.6)
    hidden: Mask = u * np.cos(angle) + v * np.sin(angle) > distance
    return hidden & (rng.random() < 0.25)
