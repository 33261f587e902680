"""Regions of interest: rotated squares of a frame, cropped for a network, and mapping of points back to the frame.

The rules that derive the next region from a detection or from the last landmarks are those that the networks were
trained with: Zhang et al., "MediaPipe Hands: On-device Real-time Hand Tracking" (2020), Bazarevsky et al., "BlazePose:
On-device Real-time Body Pose Tracking" (2020), and the constants of the published graphs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]

PALM_SCALE, PALM_SHIFT = 2.6, -0.5  # palm box -> whole hand; shift towards the fingers, in box heights
HAND_SCALE, HAND_SHIFT = 2.0, -0.1  # box around the last landmarks -> margin for motion
POSE_SCALE = 1.25
HAND_FRAME = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)
"""Landmarks of the palm and the lower fingers: their bounding box hardly changes when the fingers bend."""
_WRIST, _INDEX, _MIDDLE, _RING = 0, 5, 9, 13


@dataclass(frozen=True)
class Region:
    """A square with center (u, v) and side in pixels; `angle`: clockwise rotation in radians."""

    u: float
    v: float
    side: float
    angle: float = 0.0

    @staticmethod
    def whole(height: int, width: int) -> Region:
        """The smallest centered upright square that contains the whole frame (letterbox)."""
        return Region(width / 2, height / 2, max(height, width))

    @property
    def axes(self) -> NDArray[np.float64]:
        """Its x and y axis as columns, 2 2, one side long, in pixels of the frame."""
        cos, sin = math.cos(self.angle) * self.side, math.sin(self.angle) * self.side
        return np.array([[cos, -sin], [sin, cos]])

    def cut(self, image: NDArray[np.uint8], size: int, zero_border: bool) -> NDArray[np.uint8]:
        """H W 3 -> size size 3, bilinear. Outside the frame: black, or the nearest pixel of the frame.

        Coordinates are rounded to 1/32 pixel, as in the warps of OpenCV 4, not 5, because it affects the detectors.
        """
        axes = self.axes
        u, v = np.array([self.u, self.v]) - axes.sum(axis=1) / 2
        steps = np.arange(size) / size
        columns = np.add.outer((u + axes[0, 1] * steps).astype(np.float32), (axes[0, 0] * steps).astype(np.float32))
        rows = np.add.outer((v + axes[1, 1] * steps).astype(np.float32), (axes[1, 0] * steps).astype(np.float32))
        places, fractions = cv2.convertMaps(columns, rows, cv2.CV_16SC2)
        border = cv2.BORDER_CONSTANT if zero_border else cv2.BORDER_REPLICATE
        return np.asarray(cv2.remap(image, places, fractions, cv2.INTER_LINEAR, borderMode=border), np.uint8)

    def to_frame(self, points: NDArray[np.float32]) -> Points:
        """[..., 2 or 3] in units of the side, (0, 0) its top-left corner -> pixels of the frame; depth is scaled."""
        out = np.array(points, np.float32)
        out[..., :2] = (points[..., :2] - 0.5) @ self.axes.T + np.array([self.u, self.v])
        out[..., 2:] *= self.side
        return out

    def paste(self, mask: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
        """S S values of the region -> H W of the frame, 0 outside the region."""
        axes = self.axes
        corner = np.array([self.u, self.v]) - axes.sum(axis=1) / 2
        matrix = np.column_stack([axes / len(mask), corner])
        return np.asarray(cv2.warpAffine(mask, matrix, (width, height), flags=cv2.INTER_LINEAR), np.float32)

    def moved(self, share: float, scale: float) -> Region:
        """Shifted along its own y axis by a fraction `share` of its side, then scaled about its center."""
        u, v = np.array([self.u, self.v]) + share * self.axes[:, 1]
        return Region(float(u), float(v), self.side * scale, self.angle)

    def overlap(self, other: Region) -> float:
        """Intersection over union of the upright squares with the same centers and sides."""
        shared = [
            max(0.0, min(a + self.side / 2, b + other.side / 2) - max(a - self.side / 2, b - other.side / 2))
            for a, b in ((self.u, other.u), (self.v, other.v))
        ]
        both = shared[0] * shared[1]
        return both / (self.side**2 + other.side**2 - both)


def upright_angle(start: Points, end: Points) -> float:
    """Rotation of a region in which the direction from `start` to `end`, (u, v), points straight up."""
    du, dv = float(end[0] - start[0]), float(end[1] - start[1])
    angle = math.pi / 2 - math.atan2(-dv, du)
    return angle - 2 * math.pi * math.floor((angle + math.pi) / (2 * math.pi))


def palm_region(box: Points, keypoints: Points) -> Region:
    """Region from a palm's box (left, top, right, bottom) and 7 keypoints (0 wrist, 2 middle knuckle), in pixels."""
    width, height = box[2] - box[0], box[3] - box[1]
    angle = upright_angle(keypoints[0], keypoints[2])
    center = Region((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, float(height), angle).moved(PALM_SHIFT, 1.0)
    return Region(center.u, center.v, float(max(width, height)) * PALM_SCALE, angle)


def hand_region(points: Points) -> Region:
    """Region from the 21 landmarks of the last frame, in pixels, rotated so that the fingers point up."""
    knuckles = ((points[_INDEX] + points[_RING]) / 2 + points[_MIDDLE]) / 2
    angle = upright_angle(points[_WRIST], knuckles)
    frame = points[list(HAND_FRAME), :2].astype(np.float64)
    turned = Region(0.0, 0.0, 1.0, angle).axes  # columns: the region's axes
    along = frame @ turned  # coordinates along them
    low, high = along.min(axis=0), along.max(axis=0)
    u, v = turned @ ((low + high) / 2)
    width, height = high - low
    center = Region(float(u), float(v), float(height), angle).moved(HAND_SHIFT, 1.0)
    return Region(center.u, center.v, float(max(width, height)) * HAND_SCALE, angle)


def pose_region(center: Points, top: Points) -> Region:
    """Region from the middle of the hips and a point on the circle around the whole body, both (u, v) in pixels."""
    side = 2 * float(np.hypot(top[0] - center[0], top[1] - center[1]))
    return Region(float(center[0]), float(center[1]), side * POSE_SCALE, upright_angle(center, top))
