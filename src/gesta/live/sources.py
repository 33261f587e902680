"""Sources of live frames: a camera, a video file played at its own speed, a network stream, stored skeletons.

A source returns what it captures now: (value, time_s), or None at the end. `lasting` sources are reopened if they fail;
files are not.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.schema import GestaError

Taken = tuple[NDArray[Any], float]
"""An RGB image H W 3, or a skeleton J D, and its capture time in seconds of the source's own clock."""


class Source(Protocol):
    """A source of frames. `lasting`: whether to reopen it if it fails."""

    lasting: bool

    def open(self) -> None:
        """Opens the source. Raises GestaError if that fails."""

    def take(self) -> Taken | None:
        """Waits for the next frame; None at the end, or if the source has failed."""

    def close(self) -> None:
        """Releases the device."""


class Video:
    """A camera number, a file, or a URL such as rtsp://..., read by OpenCV. Files are played at their own speed."""

    def __init__(self, where: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.where, self._clock = where, clock
        self.camera = int(where) if where.isdecimal() and len(where) < 5 else None
        self.is_file = self.camera is None and "://" not in where
        self.lasting = not self.is_file
        self._capture: Any = None
        self._started: float | None = None
        if self.is_file and not Path(where).is_file():
            raise GestaError(f"{where}: no such video. Give a camera's number, a file, or an address.", usage=True)

    def open(self) -> None:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # the error below explains it
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # FFmpeg too; read when the first video is opened
        self._capture = cv2.VideoCapture(self.where if self.camera is None else self.camera)
        if not self._capture.isOpened():
            kind = "video" if self.camera is None else "camera"
            what = (
                "Is it plugged in, allowed, and not used by another program?"
                if self.lasting
                else "Copy or encode it again."
            )
            raise GestaError(f"{self.where}: no {kind} can be opened there. {what}")
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        if self._started is None or self.is_file:
            self._started = self._clock()

    def take(self) -> Taken | None:
        assert self._started is not None
        there, image = self._capture.read()
        if not there:
            return None
        time_s = self._clock() - self._started
        if self.is_file:
            time_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            wait(self._started + time_s, self._clock)
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)), time_s

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()


class Played:
    """Plays values with their times, e.g. from a skeleton file, at their own speed."""

    lasting = False

    def __init__(self, values: Iterable[Taken], clock: Callable[[], float] = time.monotonic) -> None:
        self._values, self._clock = iter(values), clock
        self._started: float | None = None

    def open(self) -> None:
        self._started = None

    def take(self) -> Taken | None:
        found = next(self._values, None)
        if found is None:
            return None
        if self._started is None:
            self._started = self._clock() - found[1]
        wait(self._started + found[1], self._clock)
        return found

    def close(self) -> None:
        pass


def wait(until: float, clock: Callable[[], float]) -> None:
    """Sleeps until a time of the clock."""
    left = until - clock()
    if left > 0:
        time.sleep(left)
