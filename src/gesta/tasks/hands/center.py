"""The hand's center where the data have none: the hand is the free, wide end of the nearest limb.

The center of mass of the nearest object (the document's rule) is pulled along the forearm. So the limb that holds the
nearest reading is followed by its depth, its long axis found, and of its two ends the one taken that is not cut off (by
the image's edge, or by going on into a body) and, of two free ones, the wider: fingers spread, an elbow does not. There
the center of mass is refined in a cube of half the side. The image is looked at in steps of a few pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.schema import Camera, GestaError
from gesta.tasks.hands.cube import SIDE_MM

COLUMNS = 160
"""The image is thinned to about so many columns."""
STEP_MM = 30.0
"""Neighbors of one limb differ by less; what lies further apart in depth is another object."""
SPECK = 5
"""Fewer pixels of the thinned image are not an object."""
REACH = 2.0
"""A limb is followed so many sides from its nearest reading."""
LONG = 0.85
"""A limb longer than this share of the side is an arm with a hand at one end."""
HAND = 0.5
"""Share of the side, from an arm's end, in which its hand lies."""
CUT_SHARE = 0.6
"""An end that is cut off along more than this share of its width is not the hand."""
LEAST_MM2 = 2000.0
"""A smaller surface is a part, such as a finger's end before the palm, if a larger one lies less than a side behind."""
ROUNDS = 2
BEHIND_MM = 20.0
"""The middle of a hand lies about so far behind the surface that is seen."""


def nearest_object(
    depth_mm: NDArray[np.float32], camera: Camera, side_mm: float = SIDE_MM
) -> tuple[float, float, float]:
    """(x, y, z) mm of the hand's middle in camera coordinates, from H W millimeters.

    Specks of a few pixels are passed over. Raises GestaError if nothing is left.
    """
    step = max(1, depth_mm.shape[1] // COLUMNS)
    thin = np.ascontiguousarray(depth_mm[step // 2 :: step, step // 2 :: step], np.float32)
    depth = np.asarray(cv2.medianBlur(thin, 3), np.float32)
    lens = Camera(camera.fx / step, camera.fy / step, camera.cx / step, camera.cy / step)
    limb = _limb(depth, lens, side_mm)
    points = _hand_end(limb, side_mm)
    center = points.mean(axis=0)
    for _ in range(ROUNDS):
        inside = (np.abs(points - center) < side_mm / 4).all(axis=1)
        if inside.any():
            center = points[inside].mean(axis=0)
    x, y, z = center * (1 + BEHIND_MM / center[2])  # further along the ray
    return float(x), float(y), float(z)


@dataclass(frozen=True)
class _Limb:
    """`points` N 3 mm; `cut_mm` N: their width where they are at the edge of image or reach, else 0."""

    points: NDArray[np.float64]
    cut_mm: NDArray[np.float64]


def _limb(depth: NDArray[np.float32], camera: Camera, side_mm: float) -> _Limb:
    """What is connected with the nearest reading, depth by depth, within reach of it."""
    rows, columns = np.nonzero(_nearest_region(depth, camera, side_mm))
    points = camera.unproject(np.column_stack([columns, rows, depth[rows, columns]]))  # N 3
    near = np.linalg.norm(points - points[points[:, 2].argmin()], axis=1) < REACH * side_mm
    beyond = np.pad(np.zeros(depth.shape, np.uint8), 1, constant_values=1)  # the image's edge, too
    beyond[rows[~near] + 1, columns[~near] + 1] = 1
    beside = cv2.dilate(beyond, np.ones((3, 3), np.uint8))[rows + 1, columns + 1] > 0
    return _Limb(points[near], (beside * points[:, 2] / camera.fx)[near])


def _nearest_region(depth: NDArray[np.float32], camera: Camera, side_mm: float) -> NDArray[np.bool_]:
    """The connected readings with the nearest one, passing over small ones where there is a large one."""
    left, largest, most, last_mm = depth > 0, None, 0.0, np.inf
    while left.any():
        row, column = np.unravel_index(np.where(left, depth, np.inf).argmin(), depth.shape)
        if depth[row, column] > last_mm:
            break
        filled = np.zeros((depth.shape[0] + 2, depth.shape[1] + 2), np.uint8)
        seed = (int(column), int(row))
        cv2.floodFill(depth, filled, seed, 0, STEP_MM, STEP_MM, 8 | cv2.FLOODFILL_MASK_ONLY | 1 << 8)
        region = (filled[1:-1, 1:-1] > 0) & left
        area = float((depth[region] ** 2).sum()) / (camera.fx * camera.fy)  # mm2 that its pixels cover
        if area >= LEAST_MM2:
            return np.asarray(region)
        if area > most and int(region.sum()) >= SPECK:
            largest, most = region, area
            last_mm = min(last_mm, float(depth[row, column]) + side_mm)
        left = left & ~region
    if largest is None:
        raise GestaError(
            "the depth image shows no object: no region of readings is larger than a speck. "
            "Is the hand within the sensor's range? Give its center otherwise."
        )
    return np.asarray(largest)


def _hand_end(limb: _Limb, side_mm: float) -> NDArray[np.float64]:
    """The points of the hand: all of a short limb, else those at the end that is free, or the wider one."""
    points = limb.points
    middle = points.mean(axis=0)
    if len(points) < 3:
        return points
    axes = np.linalg.eigh(np.cov((points - middle).T))[1]  # columns, the longest axis last
    along, across = (points - middle) @ axes[:, 2], (points - middle) @ axes[:, 1]
    low, high = np.percentile(along, (1, 99))
    if high - low < LONG * side_mm:
        return points
    from_ends = (along - low, high - along)
    widths = [float(np.ptp(np.percentile(across[away < 0.6 * side_mm], (3, 97)))) for away in from_ends]
    cuts = [float(limb.cut_mm[away < HAND * side_mm].sum()) for away in from_ends]
    best = max((0, 1), key=lambda end: (cuts[end] <= CUT_SHARE * widths[end], widths[end]))
    return np.asarray(points[from_ends[best] < HAND * side_mm])
