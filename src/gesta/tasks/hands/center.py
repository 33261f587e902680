"""Locates the hand's center if the data have none: the hand is the free, wide end of the nearest limb.

The center of mass of the nearest object (the document's rule) is shifted toward the forearm. Instead, the limb that
contains the nearest reading is traced by depth and its long axis is computed. Of its two ends, the one that is not cut
off (by the image border or by continuing into a body) is taken; if both are free, the wider one: fingers spread, an
elbow does not. There, the center of mass is refined in a cube of half the side. The image is subsampled first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.schema import Camera, GestaError
from gesta.tasks.hands.cube import SIDE_MM

COLUMNS = 160
"""The image is subsampled to about this many columns."""
STEP_MM = 30.0
"""Neighboring pixels of one limb differ by less than this in depth; otherwise they are separate objects."""
SPECK = 5
"""A region of fewer pixels of the subsampled image is not an object."""
REACH = 2.0
"""A limb is traced up to this distance from its nearest reading, in sides of the cube."""
LONG = 0.85
"""A limb longer than this share of the side is an arm with a hand at one end."""
HAND = 0.5
"""The hand lies within this share of the side from the arm's end."""
CUT_SHARE = 0.6
"""An end that is cut off over more than this share of its width is not the hand."""
LEAST_MM2 = 2000.0
"""A smaller surface is a part, such as a fingertip, if a larger one lies less than a side behind it."""
ROUNDS = 2
BEHIND_MM = 20.0
"""The middle of a hand is about this far behind its visible surface."""

Find = Callable[[NDArray[np.float32], Camera, float], tuple[float, float, float]]
"""(depth [H, W] in mm, camera, side of the hand's cube in mm) -> center of the hand (x, y, z) in mm."""


def nearest_object(
    depth_mm: NDArray[np.float32], camera: Camera, side_mm: float = SIDE_MM
) -> tuple[float, float, float]:
    """Return the hand's middle (x, y, z) in mm, camera coordinates, from a depth image [H, W] in mm.

    Specks of a few pixels are ignored. Raises GestaError if nothing is left.
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
    """`points` [N, 3] in mm; `cut_mm` [N]: a point's width at the border of the image or of the reach, else 0."""

    points: NDArray[np.float64]
    cut_mm: NDArray[np.float64]


def _limb(depth: NDArray[np.float32], camera: Camera, side_mm: float) -> _Limb:
    """Return the region connected to the nearest reading by depth, up to its reach."""
    rows, columns = np.nonzero(_nearest_region(depth, camera, side_mm))
    points = camera.unproject(np.column_stack([columns, rows, depth[rows, columns]]))  # N 3
    near = np.linalg.norm(points - points[points[:, 2].argmin()], axis=1) < REACH * side_mm
    beyond = np.pad(np.zeros(depth.shape, np.uint8), 1, constant_values=1)  # including the image border
    beyond[rows[~near] + 1, columns[~near] + 1] = 1
    beside = cv2.dilate(beyond, np.ones((3, 3), np.uint8))[rows + 1, columns + 1] > 0
    return _Limb(points[near], (beside * points[:, 2] / camera.fx)[near])


def _nearest_region(depth: NDArray[np.float32], camera: Camera, side_mm: float) -> NDArray[np.bool_]:
    """Return the nearest connected region of readings, skipping small regions if there is a large one."""
    left, largest, most, last_mm = depth > 0, None, 0.0, np.inf
    while left.any():
        row, column = np.unravel_index(np.where(left, depth, np.inf).argmin(), depth.shape)
        if depth[row, column] > last_mm:
            break
        filled = np.zeros((depth.shape[0] + 2, depth.shape[1] + 2), np.uint8)
        seed = (int(column), int(row))
        cv2.floodFill(depth, filled, seed, 0, STEP_MM, STEP_MM, 8 | cv2.FLOODFILL_MASK_ONLY | 1 << 8)
        region = (filled[1:-1, 1:-1] > 0) & left
        area = float((depth[region] ** 2).sum()) / (camera.fx * camera.fy)  # area covered by its pixels, mm2
        if area >= LEAST_MM2:
            return np.asarray(region)
        if area > most and int(region.sum()) >= SPECK:
            largest, most = region, area
            last_mm = min(last_mm, float(depth[row, column]) + side_mm)
        left = left & ~region
    if largest is None:
        raise GestaError(
            "the depth image shows no object, only isolated readings. "
            "Is the hand within the sensor's range? If so, give its center, as in gesta predict --center U,V."
        )
    return np.asarray(largest)


def _hand_end(limb: _Limb, side_mm: float) -> NDArray[np.float64]:
    """Return the points of the hand: all of a short limb, otherwise those at its free or wider end."""
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
