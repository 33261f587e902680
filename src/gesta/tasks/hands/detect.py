"""Finds the hand's center with a small trained network (gesta.models.hand_center). NumPy only.

The search starts at the nearest object. The network sees the depth in a cube around it, twice as wide as that of the
hand, and corrects the center; then it sees the cube around the corrected center. An offset is measured in the patch
(right, up, behind, in units of half its cube), so that it depends neither on the camera nor on the place in the image.
"""

from __future__ import annotations

from threading import Lock

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gesta.engines.base import Engine
from gesta.schema import Camera
from gesta.tasks.hands.center import nearest_object
from gesta.tasks.hands.cube import SIDE_MM, Cube

CENTER = "center"
"""The stage of the network in a bundle."""
SIZE = 64
"""Height and width of its patch."""
WIDTHS = 2.0
"""Side of its cube, in sides of the hand's cube."""
ROUNDS = 2


class Detector:
    """Finds the hand with the network of an engine, as `nearest_object` does. Several threads may call it."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._lock = engine, Lock()

    def __call__(
        self, depth_mm: NDArray[np.float32], camera: Camera, side_mm: float = SIDE_MM
    ) -> tuple[float, float, float]:
        """Return the hand's center (x, y, z) in mm. Raises GestaError if there is no object to start at."""
        center = nearest_object(depth_mm, camera, side_mm)
        for _ in range(ROUNDS):
            cube = search_cube(camera, center, side_mm)
            with self._lock:
                found = self._engine.run({"patch": seen(depth_mm, cube)[None]}, stage=CENTER)["offset"][0]
            center = moved(cube, found)
        return center


def search_cube(camera: Camera, center_mm: tuple[float, float, float], side_mm: float) -> Cube:
    """Return the cube that the network sees; `side_mm`: that of the hand's cube."""
    return Cube(camera, center_mm, WIDTHS * side_mm)


def seen(depth_mm: NDArray[np.float32], cube: Cube) -> NDArray[np.float32]:
    """Return the network's input for a cube, [1, SIZE, SIZE]."""
    return cube.normal_depth(cube.cut(depth_mm, SIZE))[None]


def offset(cube: Cube, center_mm: ArrayLike) -> NDArray[np.float64]:
    """Return the offset [3] of a center from the cube's, as the network predicts it."""
    center = np.asarray(center_mm, np.float32)
    column, row = cube.to_patch(cube.camera.project(center), SIZE)
    depth = (center[2] - cube.center_mm[2]) / (cube.side_mm / 2)
    return np.array([(2 * column + 1) / SIZE - 1, 1 - (2 * row + 1) / SIZE, depth])


def moved(cube: Cube, found: NDArray[np.floating]) -> tuple[float, float, float]:
    """Return the center at an offset [3] from the cube's, at most to its side: `offset` inverted."""
    right, up, depth = (float(value) for value in np.clip(found, -1, 1))
    pixel = np.array([((right + 1) * SIZE - 1) / 2, ((1 - up) * SIZE - 1) / 2, 1.0])
    before = cube.center_mm[2]
    z = max(before + depth * cube.side_mm / 2, before / 2)  # in front of the camera
    x, y, z = cube.camera.unproject(np.array([*(cube.to_image(SIZE) @ pixel), z]))
    return float(x), float(y), float(z)
