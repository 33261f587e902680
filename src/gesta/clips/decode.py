"""Videos and image folders -> frames with time stamps, in one pass, skipping what is not wanted.

Grey is read from the luma plane with its range expanded (limited range 16-235 -> 0-255), which equals decoding to RGB
and taking the Rec. 601 grey, at a fraction of the time. Rotation flags are honoured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from gesta.clips.plane import Plane
from gesta.schema import GestaError, Resource

Kind = Literal["rgb", "gray", "gray16"]
Wanted = Callable[[int, float], bool]
T = TypeVar("T")

FOLDER_FPS = 30.0
"""Rate assumed for a folder of numbered images, which carries no time stamps."""

LOST_FRAMES = 2
LOST_SHARE = 0.01
"""A video that lacks more than so many frames, and more than this share, of what its header states is cut short."""

_values = np.arange(256, dtype=np.float64)
FULL_RANGE = np.clip(np.round((_values - 16) * 255 / 219), 0, 255).astype(np.uint8)
_JPEG_RANGE = 2


@dataclass(frozen=True)
class VideoInfo:
    """What a walk through a video found. `frames` were decoded; `expected` and `stated_s` are what the file claims."""

    frames: int
    fps: float
    width: int
    height: int
    rotation: int
    codec: str
    pixels: str
    expected: int | None
    stated_s: float | None
    duration_s: float
    error: str | None

    @property
    def lacks(self) -> str:
        """What is missing of what the header states, as a sentence; empty where nothing is."""
        return _lacks(self.frames, self.duration_s, self.expected, self.stated_s, self.fps)


def probe(resource: Resource) -> VideoInfo:
    """Decodes every frame without converting it. Raises GestaError if the file is no video at all."""
    if resource.member is None and resource.path.is_dir():
        files = _images(resource.path)
        image = _read_image(files[0])
        length = len(files) / FOLDER_FPS
        size = (image.shape[1], image.shape[0])
        return VideoInfo(len(files), FOLDER_FPS, *size, 0, "images", "", None, None, length, None)
    with resource.open() as stream, _container(stream, resource) as container:
        video = _video_stream(container, resource)
        video.thread_type = "AUTO"
        frames, last, rotation, error, first = 0, 0.0, 0, None, None
        try:
            for frame in container.decode(video):
                stamp = float(frame.time) if frame.time is not None else frames / float(video.average_rate or 25)
                first = stamp if first is None else first
                last, rotation, frames = stamp - first, frame.rotation, frames + 1
        except av.error.FFmpegError as found:
            error = str(found)
        rate = float(video.average_rate or 0) or ((frames - 1) / last if last > 0 else 25.0)
        stated = (video.frames or None, _stated_s(container, video))
        codec = video.codec_context
        size, name, pixels = (codec.width, codec.height), codec.name, codec.pix_fmt or ""
    return VideoInfo(frames, rate, *size, rotation, name, pixels, *stated, last + 1 / rate, error)


def _stated_s(container: InputContainer, video: VideoStream) -> float | None:
    """The length in seconds that the file states for its video."""
    if video.duration is not None and video.time_base is not None:
        return float(video.duration * video.time_base)
    if "DURATION" in video.metadata:
        return _clock(video.metadata["DURATION"])
    if container.duration is not None and len(container.streams) == 1:
        return container.duration / 1_000_000
    return None


def _clock(text: str) -> float | None:
    """`00:01:02.500` -> 62.5; None where it is something else."""
    try:
        hours, minutes, seconds = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return None


def _lacks(frames: int, length_s: float, stated_frames: int | None, stated_s: float | None, fps: float) -> str:
    if stated_frames is not None and stated_frames - frames > max(LOST_FRAMES, LOST_SHARE * stated_frames):
        return f"its header states {stated_frames} frames, {frames} could be decoded."
    if stated_s is not None and stated_s - length_s > max((LOST_FRAMES + 0.5) / fps, LOST_SHARE * stated_s):
        return f"its header states {stated_s:.2f} s, {length_s:.2f} s could be decoded."
    return ""


def frame_rate(resource: Resource) -> float | None:
    """Frames a second by the header alone; None where it cannot be read."""
    if resource.member is None and resource.path.is_dir():
        return FOLDER_FPS
    try:
        with resource.open() as stream, _container(stream, resource) as container:
            rate = _video_stream(container, resource).average_rate
    except GestaError:
        return None
    return float(rate) if rate else None


def frame_times(resource: Resource) -> list[float]:
    """Seconds of every frame from the first one, in the order in which they are shown; nothing is decoded.

    Raises GestaError for a file that is no video.
    """
    if resource.member is None and resource.path.is_dir():
        return [index / FOLDER_FPS for index in range(len(_images(resource.path)))]
    with resource.open() as stream, _container(stream, resource) as container:
        video = _video_stream(container, resource)
        rate = float(video.average_rate or 25)
        try:
            stamps = [packet.pts for packet in container.demux(video) if packet.size]
        except av.error.FFmpegError as error:
            raise GestaError(f"{resource}: is damaged ({error}). Copy or encode the file again.") from error
        base = video.time_base
    if base is None or any(stamp is None for stamp in stamps):  # avi may have no times: frames at a constant rate
        return [index / rate for index in range(len(stamps))]
    shown = sorted(float(stamp * base) for stamp in stamps if stamp is not None)
    return [stamp - shown[0] for stamp in shown]


def iter_frames(
    resource: Resource, kind: Kind = "rgb", wanted: Wanted | None = None
) -> Iterator[tuple[float, NDArray[Any] | None]]:
    """Yields (time_s from the first frame, array) for every frame; the array is None where `wanted` says no.

    "rgb": H W 3 uint8; "gray": H W uint8 full range; "gray16": H W uint16 as stored (8-bit sources: grey levels).
    Raises GestaError for a file that is no video, at the place where it is damaged, and at the end of one that lacks
    frames which its header states.
    """
    yield from _iter_converted(resource, kind, wanted, lambda frame: _convert(frame, kind), lambda image: image)


def iter_planes(resource: Resource, kind: Kind, wanted: Wanted | None = None) -> Iterator[tuple[float, Plane | None]]:
    """Like iter_frames for "gray" and "gray16", but as the decoder left them: their tables are not applied yet."""
    yield from _iter_converted(resource, kind, wanted, lambda frame: _plane(frame, kind), Plane)


def _iter_converted(
    resource: Resource,
    kind: Kind,
    wanted: Wanted | None,
    convert: Callable[[av.VideoFrame], T],
    wrap: Callable[[NDArray[Any]], T],
) -> Iterator[tuple[float, T | None]]:
    if resource.member is None and resource.path.is_dir():
        for time_s, image in _iter_images(resource.path, kind, wanted):
            yield time_s, None if image is None else wrap(image)
        return
    with resource.open() as stream, _container(stream, resource) as container:
        video = _video_stream(container, resource)
        video.thread_type = "AUTO"
        first: float | None = None
        before = -math.inf
        try:
            for index, frame in enumerate(container.decode(video)):
                stamp = float(frame.time) if frame.time is not None else index / float(video.average_rate or 25)
                first = stamp if first is None else first
                before = max(stamp - first, before)
                yield before, convert(frame) if wanted is None or wanted(index, before) else None
        except av.error.FFmpegError as error:
            raise GestaError(f"{resource}: decoding broke off ({error}). Copy or encode the file again.") from error
        if first is None:
            raise GestaError(f"{resource}: holds no frame. Copy or encode the file again.")
        rate = float(video.average_rate or 25)
        lacks = _lacks(index + 1, before + 1 / rate, video.frames or None, _stated_s(container, video), rate)
        if lacks:
            raise GestaError(f"{resource}: is cut short: {lacks} Copy or encode the file again.")


def _container(stream: BinaryIO, resource: Resource) -> InputContainer:
    try:
        source: str | BinaryIO = str(resource.path) if resource.member is None else stream
        return av.open(source, mode="r", metadata_errors="ignore")
    except (av.error.FFmpegError, ValueError) as error:
        raise GestaError(f"{resource}: is no readable video ({error}). Copy or encode the file again.") from error


def _video_stream(container: InputContainer, resource: Resource) -> VideoStream:
    if not container.streams.video:
        raise GestaError(f"{resource}: has no video stream. Expected a video file.")
    video = container.streams.video[0]
    if video.codec_context is None:
        raise GestaError(f"{resource}: is encoded in a way that is not known here. Convert it, e.g. to H.264 in mp4.")
    return video


def _convert(frame: av.VideoFrame, kind: Kind) -> NDArray[Any]:
    if kind == "rgb":
        return _rotated(frame.to_ndarray(format="rgb24"), frame.rotation)
    return _plane(frame, kind).whole()


def _plane(frame: av.VideoFrame, kind: Kind) -> Plane:
    """Grey levels, or for "gray16" the values as stored, of a decoded frame."""
    name = frame.format.name
    if kind == "gray16" and name.startswith("gray16"):
        return Plane(_rotated(frame.to_ndarray(), frame.rotation))
    if name == "gray":
        return Plane(_rotated(frame.to_ndarray(), frame.rotation))
    if not name.startswith(("yuv", "nv")) or frame.format.components[0].bits != 8:
        rgb = frame.to_ndarray(format="rgb24")
        return Plane(_rotated(np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)), frame.rotation))
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    luma = _rotated(rows[: frame.height, : frame.width], frame.rotation)
    full = name.startswith("yuvj") or frame.color_range == _JPEG_RANGE
    return Plane(luma, None if full else FULL_RANGE)


def _rotated(image: NDArray[Any], degrees: int) -> NDArray[Any]:
    """The image as a player shows it: `degrees` is the display rotation, counter-clockwise."""
    turns = round(degrees / 90) % 4
    return np.rot90(image, turns) if turns else image


def _images(folder: Path) -> list[Path]:
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() == ".png")
    if not files:
        raise GestaError(f"{folder}: holds no PNG image. Expected a folder of 16-bit PNGs, one a frame.")
    return files


def _read_image(file: Path) -> NDArray[Any]:
    image = cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise GestaError(f"{file}: is no readable PNG. Copy the file again.")
    return np.asarray(image)


def _iter_images(folder: Path, kind: Kind, wanted: Wanted | None) -> Iterator[tuple[float, NDArray[Any] | None]]:
    for index, file in enumerate(_images(folder)):
        time_s = index / FOLDER_FPS
        if wanted is not None and not wanted(index, time_s):
            yield time_s, None
            continue
        image = _read_image(file)
        if kind == "gray16":
            if image.dtype != np.uint16 or image.ndim != 2:
                raise GestaError(f"{file}: expected a 16-bit grey PNG of depth, found {image.dtype} {image.shape}.")
            yield time_s, image
        else:
            rgb = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB if image.ndim == 2 else cv2.COLOR_BGR2RGB)
            yield time_s, np.asarray(rgb if kind == "rgb" else cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))
