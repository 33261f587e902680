"""A video with the model's prediction, chunk by chunk, drawn over it (and the skeleton, where there is one)."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from gesta import draw
from gesta.clips.read import iter_raw_sample, iter_sample
from gesta.schema import Frame, GestaError, Prediction, Sample
from gesta.tasks.clips.inputs import require
from gesta.tasks.clips.predict import Recogniser
from gesta.tasks.features.predict import SequenceRecogniser

LEAST_HEIGHT = 240
"""Smaller videos are enlarged, so that the label can be read."""
ENCODERS = {"libx264": {"crf": "23", "preset": "veryfast"}, "mpeg4": {"qscale": "4"}}
_TICKS = 1000  # a second, of the written time stamps


def annotate(recogniser: Recogniser | SequenceRecogniser, sample: Sample, out: Path) -> Iterator[Prediction]:
    """Streams a sample through the model and writes `out` (.mp4); yields a prediction a chunk as it goes.

    Every frame carries the prediction of its own chunk; of a chain the newest one, or that of the whole video where the
    model sees exactly n frames of it. The file appears when the last frame is written.
    Raises GestaError if the sample cannot be read or lacks what the model needs, or the file cannot be written.
    """
    if out.suffix.lower() != ".mp4":
        raise GestaError(f"{out}: annotated videos are written as .mp4. Give a name that ends so.", usage=True)
    if isinstance(recogniser, SequenceRecogniser):
        whole = recogniser.manifest.backbone.every is None
        yield from (_annotate_whole if whole else _annotate_chain)(recogniser, sample, out)
        return
    require(sample, recogniser.manifest)
    stream, half_tick = recogniser.open_stream(sample.joints), 0.5 / recogniser.manifest.transform.fps
    waiting: list[tuple[float, NDArray[np.uint8]]] = []
    with VideoWriter(out) as writer:
        raw = iter_raw_sample(sample, recogniser.manifest.transform.colored)
        for frame, seen in zip(iter_sample(sample, color=True), raw, strict=True):
            waiting.append((frame.time_s, _picture(frame, sample)))
            for found in stream.push(seen):
                while waiting and found.time_s is not None and waiting[0][0] < found.time_s - half_tick:
                    writer.write(*waiting.pop(0), found)
                yield found
        for found in stream.finish():
            while waiting:
                writer.write(*waiting.pop(0), found)
            yield found


def _annotate_chain(recogniser: SequenceRecogniser, sample: Sample, out: Path) -> Iterator[Prediction]:
    """Every frame carries the newest prediction, those before the first one carry that."""
    waiting: list[tuple[float, NDArray[np.uint8]]] = []
    shown: Prediction | None = None
    stream = recogniser.open_stream()
    with VideoWriter(out) as writer:
        for frame in iter_sample(sample, color=True):
            waiting.append((frame.time_s, _picture(frame, sample)))
            for shown in stream.push(frame):
                yield shown
            while waiting and shown is not None:
                writer.write(*waiting.pop(0), shown)
        for found in stream.finish():
            while waiting:
                writer.write(*waiting.pop(0), found)
            yield found


def _annotate_whole(recogniser: SequenceRecogniser, sample: Sample, out: Path) -> Iterator[Prediction]:
    """The one prediction of a model of exactly n frames of a whole video, on all of them."""
    found = recogniser.predict(sample)
    with VideoWriter(out) as writer:
        for frame in iter_sample(sample, color=True):
            writer.write(frame.time_s, _picture(frame, sample), found)
    yield found


def _picture(frame: Frame, sample: Sample) -> NDArray[np.uint8]:
    """H W 3 to draw on: the colours, or the depth as grey."""
    image = frame.color
    if image is None:
        assert frame.depth_mm is not None
        image = draw.depth_image(frame.depth_mm)
    if frame.joints_uv is not None:
        image = draw.draw_skeleton(image, frame.joints_uv, sample.joints)
    factor = -(-LEAST_HEIGHT // image.shape[0])
    return np.asarray(cv2.resize(image, None, fx=factor, fy=factor)) if factor > 1 else image


class VideoWriter:
    """A video under a temporary name; renamed when all went well, deleted when not."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._temporary = out.with_name(f".{out.stem}.{secrets.token_hex(4)}.tmp.mp4")
        self._last = -1

    def __enter__(self) -> VideoWriter:
        try:
            self._out.parent.mkdir(parents=True, exist_ok=True)
            self._container = av.open(str(self._temporary), "w")
        except (OSError, av.error.FFmpegError) as error:
            raise GestaError(f"{self._out}: cannot be written ({error}). Choose another place.") from error
        name = next(name for name in ENCODERS if name in av.codecs_available)
        self._video = cast(VideoStream, self._container.add_stream(name, rate=25, options=dict(ENCODERS[name])))
        self._video.codec_context.time_base = Fraction(1, _TICKS)
        self._video.pix_fmt = "yuv420p"
        return self

    def write(self, time_s: float, image: NDArray[np.uint8], found: Prediction) -> None:
        self.picture(time_s, draw.draw_label(image, found.label, found.confidence))

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
        except (OSError, av.error.FFmpegError) as error:
            if failed is None:
                raise GestaError(f"{self._out}: writing failed ({error}). Check the space on the disk.") from error
        finally:
            self._temporary.unlink(missing_ok=True)
