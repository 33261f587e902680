"""The hand's centre where the data have none: the centre of mass of the nearest object."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.clips.hand_cube import MIN_PIXELS, SIDE_MM
from gesta.schema import Camera, GestaError

ROUNDS = 3


def nearest_object(
    depth_mm: NDArray[np.float32], camera: Camera, side_mm: float = SIDE_MM
) -> tuple[float, float, float]:
    """(x, y, z) mm in camera coordinates, from H W millimetres.

    The connected region with the nearest reading, no deeper than half a cube, is the start; then the mean of what lies
    in the cube around it, a few times. Specks of a few pixels are passed over. Raises GestaError if nothing is left.
    """
    near = _nearest_region(depth_mm, side_mm)
    v, u = np.nonzero(near)
    center = camera.unproject(np.column_stack([u, v, depth_mm[near]])).mean(axis=0)
    v, u = np.nonzero((depth_mm > 0) & (np.abs(depth_mm - center[2]) < side_mm))
    points = camera.unproject(np.column_stack([u, v, depth_mm[v, u]]))  # N 3
    for _ in range(ROUNDS):
        inside = (np.abs(points - center) < side_mm / 2).all(axis=1)
        if not inside.any():
            break
        center = points[inside].mean(axis=0)
    return float(center[0]), float(center[1]), float(center[2])


def _nearest_region(depth_mm: NDArray[np.float32], side_mm: float) -> NDArray[np.bool_]:
    left = depth_mm > 0
    while left.any():
        nearest = float(depth_mm[left].min())
        slab = left & (depth_mm < nearest + side_mm / 2)
        _, labels = cv2.connectedComponents(slab.astype(np.uint8), connectivity=8)
        region = labels == labels[left & (depth_mm == nearest)][0]
        if region.sum() >= MIN_PIXELS:
            return np.asarray(region, np.bool_)
        left &= ~region
    raise GestaError(
        "the depth image shows no object: no region of readings is larger than a speck. "
        "Is the hand within the sensor's range? Give its centre otherwise."
    )
