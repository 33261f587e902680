"""Tracking of one person: detected once, then 33 landmarks tracked from frame to frame, and a mask of the person.

Sources: Bazarevsky et al., "BlazePose: On-device Real-time Body Pose Tracking" (2020), Grishchenko et al., "BlazePose
GHUM Holistic" (2022), and the model card. Landmarks are regressed, then moved to the center of their heat map nearby.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gesta.trackers.detector import Detector
from gesta.trackers.joints import BLAZEPOSE_JOINTS
from gesta.trackers.landmarks import Person
from gesta.trackers.networks import Network
from gesta.trackers.regions import Region, pose_region
from gesta.trackers.smoothing import OneEuro

MIN_PRESENCE = 0.5
POINTS = len(BLAZEPOSE_JOINTS)
CENTER, TOP = 33, 34  # points after the 33: middle of the hips, and one on the circle around the body
HEATMAP_WINDOW = 3  # cells around a landmark on each side
MIN_HEAT = 0.5
MASK_CLIP = 8.0
SMOOTHING = (0.05, 80.0)  # cutoff at rest in Hz, and beta
REGION_SMOOTHING = (0.01, 10.0)

Outputs = tuple[NDArray[np.float32], ...]


class PoseTracker:
    """Tracks one person. `static`: runs the detector on every frame, no smoothing. `mask`: also computes a mask."""

    def __init__(
        self, detector: Detector, network: Network, *, static: bool = False, smooth: bool = True, mask: bool = False
    ) -> None:
        self._detector, self._network = detector, network
        self._static, self._smooth, self._mask = static, smooth, mask
        self._count = 0
        self.reset()

    def reset(self) -> None:
        """Drops the person before the frames of another recording."""
        self._region: Region | None = None
        self._time_s = -np.inf

    def step(self, image: NDArray[np.uint8], time_s: float) -> Person | None:
        """The person in an RGB frame, H W 3; if `time_s` decreases, the tracker is reset."""
        if time_s < self._time_s or self._static:
            self.reset()
        self._time_s = time_s
        region = self._region
        outputs = None if region is None else self._look(image, region)
        if outputs is None:
            region = self._detected(image)
            outputs = None if region is None else self._look(image, region)
            if outputs is not None:
                self._begin()
        if outputs is None or region is None:
            self._region = None
            return None
        return self._person(image, region, outputs, time_s)

    def _detected(self, image: NDArray[np.uint8]) -> Region | None:
        detections = self._detector(image)
        return pose_region(*detections[0].keypoints[:2]) if detections else None

    def _begin(self) -> None:
        self._count += 1
        self._points, self._alignment = OneEuro(*SMOOTHING), OneEuro(*REGION_SMOOTHING)

    def _look(self, image: NDArray[np.uint8], region: Region) -> Outputs | None:
        """The network's outputs for a region, or None if there is no person."""
        if not 1.0 <= region.side <= 100 * max(image.shape[:2]):
            return None
        outputs = self._network(region.cut(image, self._network.size, zero_border=False))
        return outputs if outputs[1][0, 0] >= MIN_PRESENCE else None

    def _person(self, image: NDArray[np.uint8], region: Region, outputs: Outputs, time_s: float) -> Person:
        raw = outputs[0].reshape(-1, 5)  # x, y, depth, visibility, presence
        points = np.asarray(raw[:, :3] / self._network.size, np.float32)
        points[:, :2] = refined(points[:, :2], outputs[2][0])
        points = region.to_frame(points)
        size = _size(points[:POINTS])
        if self._smooth and not self._static:
            points[CENTER : TOP + 1, :2] = self._alignment(points[CENTER : TOP + 1, :2], time_s, size)
            points[:POINTS] = self._points(points[:POINTS], time_s, size)
        self._region = pose_region(points[CENTER], points[TOP])
        return Person(
            points[:POINTS],
            _sigmoid(raw[:POINTS, 3]),
            float(min(outputs[1][0, 0], 1.0)),
            person_mask(outputs[3][0, :, :, 0], region, image.shape[:2]) if self._mask else None,
            self._count,
        )


def refined(points: NDArray[np.float32], heatmap: NDArray[np.float32]) -> NDArray[np.float32]:
    """Moves points J 2, in units of the input, to the weighted center of their heat map, S S J logits, near each point.

    A point outside the map, or without a value of at least MIN_HEAT in its window, is unchanged.
    """
    size, joints = len(heatmap), np.arange(len(points))
    cell = np.floor(points * size).astype(int)
    inside = ((cell >= 0) & (cell < size)).all(axis=1)
    steps = np.arange(-HEATMAP_WINDOW, HEATMAP_WINDOW + 1)
    columns, rows = (cell[:, axis, None] + steps for axis in (0, 1))  # J 7
    valid = ((rows >= 0) & (rows < size))[:, :, None] & ((columns >= 0) & (columns < size))[:, None]  # J 7 7
    where = (rows.clip(0, size - 1)[:, :, None], columns.clip(0, size - 1)[:, None], joints[:, None, None])
    heat = np.where(valid, _sigmoid(heatmap[where]), 0)
    total = np.maximum(heat.sum(axis=(1, 2)), 1e-12)
    x = (heat * columns[:, None]).sum(axis=(1, 2)) / total
    y = (heat * rows[:, :, None]).sum(axis=(1, 2)) / total
    moves = inside & (heat.max(axis=(1, 2)) >= MIN_HEAT)
    return np.where(moves[:, None], np.stack([x, y], axis=1) / size, points).astype(np.float32)


def person_mask(logits: NDArray[np.float32], region: Region, size: tuple[int, ...]) -> NDArray[np.bool_]:
    """S S logits of a region -> H W, True on the person."""
    raised = np.clip(logits, -MASK_CLIP, MASK_CLIP) + MASK_CLIP  # 0 outside the region: no person
    return np.asarray(region.paste(raised, size[0], size[1]) > MASK_CLIP)


def _size(points: NDArray[np.float32]) -> float:
    """Mean of width and height of the box around the landmarks, at least one pixel."""
    return max(float(np.ptp(points[:, :2], axis=0).mean()), 1.0)


def _sigmoid(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -60, 60))), np.float32)
