"""Boxes around body, hand and motion, and cropping to them (spec 1 "Input" 2 and 3; Mullick 2018, eq. 3.1)."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.clips.transform import Transform

Box = tuple[float, float, float, float]
"""left, top, right, bottom in pixels."""

MOTION_SIDE = 120  # longer side in pixels of the image used for motion detection
MOTION_THRESHOLD = 10  # gray levels
MOTION_HALF_LIFE_S = 0.12
MOTION_LEAST = 0.002  # minimum fraction of the image that must move for a box to be trusted
MOTION_MARGIN = 0.15
MOTION_SMALLEST = 0.35  # as a fraction of the image's shorter side


def whole_frame(height: int, width: int) -> Box:
    """The smallest centered square that contains the whole image; the area outside the image is zero (letterbox)."""
    side = max(height, width)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def body_box(hip: NDArray[np.float32], head: NDArray[np.float32], t: Transform) -> Box:
    """Eq. 3.1, y growing downwards, factors from the transform; h = |hip - head| in pixels."""
    h = max(float(np.linalg.norm(hip - head)), 1.0)
    u, v = float(hip[0]), float(hip[1])
    return u - t.body_width * h, v - t.body_up * h, u + t.body_width * h, v + t.body_down * h


def hand_box(hand: NDArray[np.float32], h: float, t: Transform) -> Box:
    """A square of side hand_side * h centered on the hand joint.

    Decision: l = h / 2 of Mullick's eq. 3.2, "the size of the area to be cut", is its side and not half of it.
    """
    half = max(t.hand_side * h / 2, 1.0)
    return float(hand[0]) - half, float(hand[1]) - half, float(hand[0]) + half, float(hand[1]) + half


def cut(image: NDArray[Any], box: Box) -> NDArray[Any]:
    """The box's pixels, zeros outside the image."""
    left, top, right, bottom = (round(x) for x in box)
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    height, width = image.shape[:2]
    inner = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if top >= 0 and left >= 0 and bottom <= height and right <= width:
        return inner
    out = np.zeros((bottom - top, right - left, *image.shape[2:]), dtype=image.dtype)
    y, x = max(-top, 0), max(-left, 0)
    out[y : y + inner.shape[0], x : x + inner.shape[1]] = inner[: out.shape[0] - y, : out.shape[1] - x]
    return out


def resized(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """H W [C] -> size x size [C]: halved while at least twice as large, then area averaging; linear for upscaling."""
    while min(image.shape[:2]) >= 2 * size:
        half = (image.shape[1] // 2, image.shape[0] // 2)
        image = np.asarray(cv2.resize(image[: half[1] * 2, : half[0] * 2], half, interpolation=cv2.INTER_AREA))
    grows = image.shape[0] < size or image.shape[1] < size
    mode = cv2.INTER_LINEAR if grows else cv2.INTER_AREA
    return np.asarray(cv2.resize(image, (size, size), interpolation=mode), dtype=np.uint8)


class MotionBox:
    """A square that follows motion in gray frames; the whole frame until something moves.

    The center is smoothed together with its velocity, to avoid lag behind a walking person; the side is smoothed on
    its own. `follow` advances by one group of frames; `smoothing` is the weight of the past, per group.
    """

    def __init__(self, fps: float, smoothing: float) -> None:
        self._decay = 0.5 ** (1 / (fps * MOTION_HALF_LIFE_S))
        self._smoothing = smoothing
        self._before: NDArray[np.float32] | None = None
        self._energy: NDArray[np.float32] | None = None
        self._center: NDArray[np.float64] | None = None
        self._velocity = np.zeros(2)
        self._side = 0.0

    def see(self, gray: NDArray[np.uint8], table: NDArray[np.uint8] | None = None) -> None:
        """Adds one frame, H W; its gray levels are table[gray], or gray itself."""
        scale = MOTION_SIDE / max(gray.shape)
        size = (max(1, round(gray.shape[1] * scale)), max(1, round(gray.shape[0] * scale)))
        seen = cv2.resize(np.ascontiguousarray(gray), size, interpolation=cv2.INTER_AREA)
        small = np.asarray(seen if table is None else cv2.LUT(seen, table), np.float32)
        if self._before is None or self._energy is None or self._before.shape != small.shape:
            self._energy = np.zeros_like(small)
        else:
            moved = (np.abs(small - self._before) > MOTION_THRESHOLD).astype(np.float32)
            moved = np.asarray(cv2.medianBlur(moved, 3))
            self._energy = np.maximum(self._energy * self._decay, moved)
        self._before = small

    def follow(self, height: int, width: int) -> Box:
        """The box for the frames seen since the last call, in pixels of an image of the given size."""
        if self._energy is None or float(self._energy.mean()) < MOTION_LEAST:
            self._velocity[:] = 0
        else:
            center, side = self._around_energy(height, width)
            if self._center is None:
                self._center, self._side = center, side
            else:
                a = 1 - self._smoothing
                guess = self._center + self._velocity
                self._center = guess + a * (center - guess)
                self._velocity += a * a / 2 * (center - guess)
                self._side += a * (side - self._side)
        if self._center is None:
            return whole_frame(height, width)
        (u, v), half = self._center, self._side / 2
        return float(u - half), float(v - half), float(u + half), float(v + half)

    def _around_energy(self, height: int, width: int) -> tuple[NDArray[np.float64], float]:
        """Center (u, v) and side of a square around the energy."""
        assert self._energy is not None
        rows, cols = self._energy.sum(axis=1), self._energy.sum(axis=0)
        (top, bottom), (left, right) = _extent(rows), _extent(cols)
        sy, sx = height / len(rows), width / len(cols)
        side = max((bottom - top) * sy, (right - left) * sx) * (1 + 2 * MOTION_MARGIN)
        side = min(max(side, MOTION_SMALLEST * min(height, width)), max(height, width))
        return np.array([(left + right) / 2 * sx, (top + bottom) / 2 * sy]), side


def _extent(weights: NDArray[np.float32]) -> tuple[float, float]:
    """The range that contains the central 96 % of the weight."""
    share = np.cumsum(weights) / weights.sum()
    first = int(np.searchsorted(share, 0.02))
    last = int(np.searchsorted(share, 0.98)) + 1
    return float(first), float(min(last, len(weights)))
