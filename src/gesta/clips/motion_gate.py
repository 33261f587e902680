"""Motion detection for a camera: the gate opens with motion and closes after a period of stillness."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.clips.crops import MOTION_LEAST, MOTION_SIDE, MOTION_THRESHOLD

STILL_S = 0.5
"""How long nothing must move before the gate closes."""


class MotionGate:
    """`gate(image, time_s)`: whether the frame belongs to a period with motion. Images are RGB H W 3."""

    def __init__(self, still_s: float = STILL_S) -> None:
        self._still_s = still_s
        self.reset()

    def reset(self) -> None:
        """Resets to the state before the first frame."""
        self._before: NDArray[np.int16] | None = None
        self._moved_s = -np.inf

    def __call__(self, image: NDArray[np.uint8], time_s: float) -> bool:
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        scale = min(1.0, MOTION_SIDE / max(gray.shape))
        small = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.int16)
        before = small if self._before is None or self._before.shape != small.shape else self._before
        self._before = small
        if float((np.abs(small - before) > MOTION_THRESHOLD).mean()) >= MOTION_LEAST:
            self._moved_s = time_s
        return time_s - self._moved_s < self._still_s
