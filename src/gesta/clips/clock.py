"""Converts raw time stamps to a monotonic clock."""

from __future__ import annotations

import math
from typing import Any

from gesta.schema import GestaError

JITTER_S = 0.1
"""Largest backward step treated as jitter instead of a restart: the clock stands still until the stamps catch up."""
STEP_S = 1 / 25  # assumed until two frames were seen


class Clock:
    """Follows the time stamps over gaps of any length. If they jump back, as in concatenated files or after a camera
    restart, it continues one step after the last frame; `restarts` counts these jumps.
    """

    def __init__(self) -> None:
        self.restarts = 0
        self._shift_s = 0.0
        self._step_s = STEP_S
        self._last_s: float | None = None

    def at(self, stamp_s: float, jitter_s: float = JITTER_S) -> float:
        """Time of the next stamp on this clock, in seconds."""
        time_s, last_s = stamp_s + self._shift_s, self._last_s
        if last_s is not None and time_s < last_s - jitter_s:
            self.restarts += 1
            self._shift_s += last_s + self._step_s - time_s
            time_s = last_s + self._step_s
        elif last_s is not None:
            time_s = max(time_s, last_s)
            if 0 < time_s - last_s < 1:
                self._step_s = time_s - last_s
        self._last_s = time_s
        return time_s


def checked_time(time_s: Any, number: int) -> float:
    """A frame's time in seconds. Raises GestaError naming the frame by its `number` if it is not a finite number."""
    try:
        seconds = float(time_s)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not math.isfinite(seconds):
        raise GestaError(
            f"Frame {number} of the stream has the time {time_s!r}. Expected seconds as a finite number: give each "
            "frame the time at which it was taken."
        )
    return seconds
