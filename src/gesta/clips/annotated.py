"""Writes a video with annotations drawn on every frame, and a figure of the predictions over time."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from gesta import draw
from gesta.clips.timeline import timeline
from gesta.files import write_whole
from gesta.leftovers import remove_left_behind, temporary
from gesta.schema import Frame, GestaError, Prediction, Sample
from gesta.words import in_english

LEAST_HEIGHT = 240
"""Videos lower than this are enlarged to keep the label readable."""
ENCODERS = {"libx264": {"crf": "23", "preset": "veryfast"}, "mpeg4": {"qscale": "4"}}
_TICKS = 1000  # per second, in the written time stamps


def picture_of(frame: Frame, sample: Sample) -> NDArray[np.uint8]:
    """Image H W 3 to draw on: the colors, or the depth as gray."""
    image = frame.color
    if image is None:
        assert frame.depth_mm is not None
        image = draw.depth_image(frame.depth_mm)
    if frame.joints_uv is not None:
        image = draw.draw_skeleton(image, frame.joints_uv, sample.joints)
    factor = -(-LEAST_HEIGHT // image.shape[0])
    return np.asarray(cv2.resize(image, None, fx=factor, fy=factor)) if factor > 1 else image


class VideoWriter:
    """Writes a video under a temporary name; renames it on success and deletes it on failure.

    If there are predictions, a figure of them over time is written beside it, with the suffix .svg.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._temporary = temporary(out, "tmp.mp4")
        self._last = -1
        self._answers: list[tuple[float, Prediction]] = []

    def __enter__(self) -> VideoWriter:
        try:
            self._out.parent.mkdir(parents=True, exist_ok=True)
            remove_left_behind(self._out)
            self._container = av.open(str(self._temporary), "w")
        except (OSError, av.error.FFmpegError) as error:
            raise GestaError(f"{self._out}: cannot be written ({error}). Choose another place.") from error
        name = next(name for name in ENCODERS if name in av.codecs_available)
        self._video = cast(VideoStream, self._container.add_stream(name, rate=25, options=dict(ENCODERS[name])))
        self._video.codec_context.time_base = Fraction(1, _TICKS)
        self._video.pix_fmt = "yuv420p"
        return self

    def write(self, time_s: float, image: NDArray[np.uint8], found: Prediction) -> None:
        label = in_english(found.label, found.probabilities)
        self._answers.append((time_s, found))
        self.picture(time_s, draw.draw_label(image, label, found.confidence))

    def picture(self, time_s: float, image: NDArray[np.uint8]) -> None:
        height, width = (n - n % 2 for n in image.shape[:2])  # the encoder takes even sizes only
        drawn = image[:height, :width]
        if self._last < 0:
            self._video.width, self._video.height = width, height
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(drawn), format="rgb24")
        self._last = max(self._last + 1, round(time_s * _TICKS))
        frame.pts, frame.time_base = self._last, Fraction(1, _TICKS)
        try:
            self._container.mux(self._video.encode(frame))
        except (OSError, av.error.FFmpegError) as error:
            raise GestaError(f"{self._out}: writing failed ({error}). Check the space on the disk.") from error

    def __exit__(self, failed: object, *_: object) -> None:
        try:
            if failed is None and self._last >= 0:
                self._container.mux(self._video.encode())
            self._container.close()
            if failed is None:
                self._temporary.replace(self._out)
                if self._answers:
                    write_whole(self._out.with_suffix(".svg"), timeline(self._out.stem, self._answers))
        except (OSError, av.error.FFmpegError) as error:
            if failed is None:
                raise GestaError(f"{self._out}: writing failed ({error}). Check the space on the disk.") from error
        finally:
            self._temporary.unlink(missing_ok=True)
