"""One-Euro filter: stable at rest, responsive in motion (Casiez, Roussel, Vogel, CHI 2012)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


class OneEuro:
    """Smooths an array of any fixed shape over time with a low-pass filter whose cutoff rises with speed.

    `min_cutoff_hz`: at rest. `beta`: how fast the cutoff rises, in Hz for a speed of one object size per second; the
    size is given with every value, so that near and far objects are smoothed equally.
    """

    def __init__(self, min_cutoff_hz: float, beta: float, speed_cutoff_hz: float = 1.0) -> None:
        self._min_cutoff_hz, self._beta, self._speed_cutoff_hz = min_cutoff_hz, beta, speed_cutoff_hz
        self._time_s: float | None = None
        self._value = self._raw = self._speed = np.zeros(0)

    def __call__(self, value: NDArray[np.float32], time_s: float, size: float) -> NDArray[np.float32]:
        """The smoothed value; the first one, and any whose time does not increase, is returned unchanged."""
        raw = value.astype(np.float64)
        dt = None if self._time_s is None else time_s - self._time_s
        self._time_s = time_s
        if dt is None or dt <= 0:
            self._value, self._speed = raw, np.zeros_like(raw)
        else:
            speed = (raw - self._raw) / (dt * max(size, 1e-6))
            self._speed = self._speed + smoothing_factor(self._speed_cutoff_hz, dt) * (speed - self._speed)
            cutoff_hz = self._min_cutoff_hz + self._beta * np.abs(self._speed)
            self._value = self._value + smoothing_factor(cutoff_hz, dt) * (raw - self._value)
        self._raw = raw
        return self._value.astype(np.float32)


def smoothing_factor(cutoff_hz: NDArray[np.float64] | float, dt: float) -> NDArray[np.float64]:
    """Weight of a new value in a first-order low-pass filter with this cutoff, `dt` seconds after the last one."""
    r = 2 * math.pi * np.asarray(cutoff_hz) * dt
    return r / (r + 1)
