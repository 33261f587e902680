"""Where live frames come from: a camera, a video file played at its own speed, a stream of the net, stored skeletons.

A source gives what it takes now: (value, time_s), or None where there is nothing any more. `lasting` ones are opened
again when they break; a file that has ended has ended.
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
"""An RGB image H W 3, or a skeleton J D; and when it was taken, in seconds of the source's own clock."""


class Source(Protocol):
    """One place that frames come from. `lasting`: whether it is worth opening again."""

    lasting: bool

    def open(self) -> None:
        """Raises GestaError where there is nothing."""

    def take(self) -> Taken | None:
        """Waits for the next frame; None at the end, or where the source has broken."""

    def close(self) -> None:
        """Lets go of the device."""


class Video:
    """OpenCV: a camera by its number, a file, or an address such as rtsp://... Files are played at their own speed."""

    def __init__(self, where: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.where, self._clock = where, clock
        self.is_file = not where.isdecimal() and "://" not in where
        self.lasting = not self.is_file
        self._capture: Any = None
        self._started: float | None = None
        if self.is_file and not Path(where).is_file():
            raise GestaError(f"{where}: no such video. Give a camera's number, a file, or an address.", usage=True)

    def open(self) -> None:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # the error below says it in words
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # so does FFmpeg's; read when the first video is opened
        self._capture = cv2.VideoCapture(int(self.where) if self.where.isdecimal() else self.where)
        if not self._capture.isOpened():
            kind = "camera" if self.where.isdecimal() else "video"
            what = "Is it plugged in, allowed, and not used by others?" if self.lasting else "Copy or encode it again."
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
    """Values with their times, as of a file of skeletons, one after the other at their own speed."""

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
    """Sleeps until a moment of the clock."""
    left = until - clock()
    if left > 0:
        time.sleep(left)
