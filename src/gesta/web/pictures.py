"""Pictures of clips: film strips, the network's input, an MP4 that every browser plays. Made on demand and cached."""

from __future__ import annotations

import base64
import hashlib
from fractions import Fraction
from pathlib import Path
from threading import Lock
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.clips.decode import iter_frames
from gesta.clips.preprocess import preprocess
from gesta.clips.transform import Transform
from gesta.draw import film_strip, jpeg
from gesta.files import replacing
from gesta.schema import Resource, Sample
from gesta.web.messages import Channel, Seen

MOMENTS = 8
TICK = Fraction(1, 90_000)
STAND_IN = Transform(fps=15, streams=("body",), channels=("gray", "gray_difference"), body="motion")
"""The network's input transform before any model is trained."""
_one_at_a_time = Lock()


def strip(file: Path, times_s: NDArray[Any], span: tuple[float, float], n: int, height: int) -> bytes:
    """JPEG of `n` frames of a span side by side; for 1, the middle one. `times_s`: times of the file's frames."""
    inside = np.flatnonzero((times_s >= span[0] - 1e-3) & (times_s <= span[1] + 1e-3))
    inside = inside if len(inside) else np.arange(len(times_s))
    places = [0.5] if n == 1 else np.linspace(0, 1, n)
    wanted = {int(inside[round(place * (len(inside) - 1))]) for place in places}
    frames: list[NDArray[np.uint8]] = []
    with _one_at_a_time:
        source = iter_frames(Resource(file), "rgb", lambda index, _time: index in wanted)
        for index, (_, image) in enumerate(source):
            if image is not None:
                frames.append(image)
            if index >= max(wanted):
                break
    return jpeg(film_strip(frames, n, height))


def seen(file: Path, span: tuple[float | None, float | None], transform: Transform | None) -> Seen:
    """The network's input for a clip: some frames of each channel side by side. Raises GestaError."""
    transform = transform if transform is not None and transform.skeleton is None else STAND_IN
    if "skeleton" in transform.needs or "depth" in transform.needs:
        transform = STAND_IN
    sample = Sample(id=file.name, recording=file.name, color=Resource(file), start_s=span[0], end_s=span[1])
    with _one_at_a_time:
        pixels = preprocess(sample, transform).pixels
    shown = np.linspace(0, len(pixels) - 1, MOMENTS).round().astype(int)
    channels = [
        Channel(name=f"{stream} {name.replace('_', ' ')}".removeprefix("body "), jpeg=_row(pixels[shown, s, :, :, c]))
        for s, stream in enumerate(transform.streams)
        for c, name in enumerate(transform.channels)
    ]
    start_s = span[0] or 0.0
    return Seen(times_s=[round(start_s + index / transform.fps, 3) for index in shown.tolist()], channels=channels)


def _row(pixels: NDArray[np.uint8]) -> str:
    """[N, H, W] -> base64 of a JPEG with the images side by side, separated by white."""
    gap = np.full((pixels.shape[1], 1), 255, np.uint8)
    parts = [part for frame in pixels for part in (frame, gap)]
    return base64.b64encode(cv2.imencode(".jpg", np.concatenate(parts[:-1], axis=1))[1].tobytes()).decode()


def playable(file: Path, span: tuple[float, float], store: Path) -> Path:
    """An H.264 MP4 of the span for browsers, with the frames' own times. Raises GestaError and OSError."""
    stat = file.stat()
    key = hashlib.sha256(f"{file} {stat.st_size} {stat.st_mtime_ns} {span}".encode()).hexdigest()[:20]
    path = store / f"{key}.mp4"
    with _one_at_a_time:
        if not path.is_file():
            with replacing(path) as made:
                _encode(file, span, made)
    return path


def _encode(file: Path, span: tuple[float, float], made: Path) -> None:
    def wanted(_index: int, time_s: float) -> bool:
        return span[0] - 1e-3 <= time_s <= span[1] + 1e-3

    with av.open(str(made), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream: Any = container.add_stream("h264", rate=30)
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", TICK
        stream.options = {"crf": "23", "preset": "ultrafast", "bf": "0"}
        last = -1
        for time_s, image in iter_frames(Resource(file), "rgb", wanted):
            if image is None:
                continue
            even = np.ascontiguousarray(image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2])
            if last < 0:
                stream.height, stream.width = even.shape[:2]
            frame = av.VideoFrame.from_ndarray(even, format="rgb24")
            frame.pts, frame.time_base = max(last + 1, round((time_s - span[0]) / TICK)), TICK
            last = frame.pts
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
