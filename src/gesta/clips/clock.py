"""Time stamps as they come -> a clock that never runs back."""

from __future__ import annotations

import math
from typing import Any

from gesta.schema import GestaError

JITTER_S = 0.1
"""A stamp that lies back by no more than this is late, not a new beginning: time stands still until it is passed."""
STEP_S = 1 / 25  # before two frames were seen


class Clock:
    """Follows the stamps over gaps of any length. Where they jump back, as in files that were joined or in a camera
    that started anew, it continues one step after the last frame; `restarts` counts these.
    """

    def __init__(self) -> None:
        self.restarts = 0
        self._shift_s = 0.0
        self._step_s = STEP_S
        self._last_s: float | None = None

    def at(self, stamp_s: float, jitter_s: float = JITTER_S) -> float:
        """Seconds on this clock, for the next stamp."""
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
    """A frame's time as a number of seconds. Raises GestaError that names the `number`-th frame if it is none."""
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
