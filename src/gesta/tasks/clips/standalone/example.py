"""A synthetic example: a disc that swings over a color gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.clips.transform import Transform

SIZE = 96, 128
"""Height and width of the frames."""
RADIUS, COLOR = 14, (230, 180, 120)


def count_for(t: Transform) -> int:
    """Returns the number of frames: several chunks, at 1.25 times the model's rate."""
    return round(1.25 * min(max(3 * t.chunk + 2, 18), 48))


def times(t: Transform) -> NDArray[np.float64]:
    """Returns the frames' times in seconds: slightly faster than the model's rate, and uneven."""
    return np.cumsum(np.random.default_rng(0).uniform(0.6, 1.0, count_for(t))) / t.fps


def drawing(count: int) -> dict[str, Any]:
    """Returns the parameters of the drawing."""
    middles = [(round(48 + 20 * np.sin(i / 2), 2), round(64 + 36 * np.cos(i / 5), 2)) for i in range(count)]
    return {"height": SIZE[0], "width": SIZE[1], "radius": RADIUS, "color": COLOR, "middles": middles}


def drawn(what: dict[str, Any]) -> NDArray[np.uint8]:
    """Renders the drawing as RGB frames [T, H, W, 3]."""
    rows, columns = np.mgrid[: what["height"], : what["width"]]
    slope = np.stack([rows, columns, rows + columns], axis=-1).astype(np.uint8)
    near = [(rows - v) ** 2 + (columns - u) ** 2 < what["radius"] ** 2 for v, u in what["middles"]]
    return np.stack([np.where(disc[..., None], np.array(what["color"], np.uint8), slope) for disc in near])
