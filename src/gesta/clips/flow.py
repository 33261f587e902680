"""Dense optical flow between two crops, as gray levels (Simonyan and Zisserman 2014, section 3; spec 4, two streams).

Farneback's method gives the same result with any number of threads, so cached and live clips agree.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

BOUND_PX = 20.0
"""Displacements, in pixels of the crop, are clipped to this length."""
STILL = 128
"""The level of no motion; 255 is BOUND_PX to the right or down, 1 as far in the opposite direction."""

_PYRAMID, _LEVELS, _WINDOW, _ROUNDS, _NEIGHBORS, _SIGMA = 0.5, 3, 11, 3, 5, 1.1


def flow_levels(before: NDArray[np.uint8], now: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Two gray images H W -> H W 2: displacement of each pixel of `before` to the right and down, as levels."""
    flow = np.zeros((*before.shape, 2), np.float32)
    settings = (_PYRAMID, _LEVELS, _WINDOW, _ROUNDS, _NEIGHBORS, _SIGMA, 0)
    flow = np.asarray(cv2.calcOpticalFlowFarneback(before, now, flow, *settings), np.float32)
    steps = np.clip(np.rint(flow * np.float32(127 / BOUND_PX)), -127, 127)
    return np.asarray(steps + STILL, np.uint8)


def flow_mirrored(pixels: NDArray[np.uint8], planes: Sequence[str]) -> NDArray[np.uint8]:
    """Negates the horizontal flow among the named planes of the last axis; 0, outside every crop, stays 0."""
    turned = [i for i, name in enumerate(planes) if name == "flow_x"]
    if not turned:
        return pixels
    out = pixels.copy()
    levels = out[..., turned]
    out[..., turned] = np.where(levels > 0, np.uint8(0) - levels, levels)  # 256 - level
    return out
