"""Videos and image folders -> frames with time stamps, in one pass, skipping unwanted frames.

`walk` determines which pictures are shown and when; `pixels` and `geometry` determine their content.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import av
import numpy as np
from numpy.typing import NDArray

from gesta.clips import damage
from gesta.clips.geometry import Display
from gesta.clips.images import FOLDER_FPS, images, iter_images, rate, read_image
from gesta.clips.pixels import FULL_RANGE, Kind, converted, plane
from gesta.clips.plane import Plane
from gesta.clips.stated import nominal_rate, packet_times
from gesta.clips.tracks import Role, choose_track, open_container
from gesta.clips.walk import Walk
from gesta.schema import GestaError, Resource

__all__ = ["FOLDER_FPS", "FULL_RANGE", "Kind", "VideoInfo", "frame_rate", "frame_times", "iter_frames", "iter_planes"]

DECODER_VERSION = 3
"""Incremented whenever a file gives different frames or times: cached clips are redone, stored features reported.

3: a damaged first frame counts, as do frames that HEVC drops silently.
2: hidden and lost frames, all orientations, square pixels, depth of 9 to 16 bits, gray of more than 8, natural order.
"""

Wanted = Callable[[int, float], bool]
T = TypeVar("T")


class Decoded(NamedTuple):
    """Frame `number` of a video, from 0 and counting lost ones; `image` is None if it is not wanted or lost."""

    number: int
    time_s: float
    image: Any
    lost: bool = False


@dataclass(frozen=True)
class VideoInfo:
    """Result of decoding a whole video. `frames` were decoded, `lost` could not be; times are the file's time stamps.

    `expected` and `stated_s` are the file's claims; only the end of the last frame decides whether it is cut short.
    """

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
    lacks: str = ""
    lost: int = 0
    restarts: int = 0
    times_s: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32), compare=False, repr=False)

    @property
    def damaged(self) -> bool:
        """Whether more frames are lost than allowed."""
        return damage.too_much(self.lost, self.lost + self.frames)

    def at(self, index: int) -> float:
        """Start time of a frame in seconds, counting lost ones; the video's end for indices after the last one."""
        return float(self.times_s[index]) if index < len(self.times_s) else self.duration_s


def probe(resource: Resource, role: Role = "any") -> VideoInfo:
    """Decodes every frame without converting it. Raises GestaError if the file is not a video at all."""
    if resource.is_folder:
        return _probe_folder(resource)
    walk = Walk(resource, role)
    times: list[float] = []
    rotation, error = 0, None
    try:
        for shown in walk:
            times.append(shown.time_s)
            rotation = rotation if shown.frame is None else shown.frame.rotation
    except av.error.FFmpegError as found:
        error = str(found)
    about, seen = walk.about, walk.seen
    fps = _rate(times, seen.rate)
    return VideoInfo(
        seen.good,
        fps,
        *about.size,
        rotation,
        about.codec,
        about.pixels,
        about.frames,
        seen.stated_end_s,
        seen.length_s(times[-1]) if times else 0.0,
        error,
        seen.lacks,
        seen.lost,
        seen.restarts,
        np.array(times, np.float32),
    )


def _probe_folder(resource: Resource) -> VideoInfo:
    files = images(resource.path)
    first = read_image(files[0], None)
    fps = rate(resource)
    times = (np.arange(len(files)) / fps).astype(np.float32)
    pixels = "gray16" if first.dtype == np.uint16 else ""
    size = (first.shape[1], first.shape[0])
    return VideoInfo(len(files), fps, *size, 0, "images", pixels, None, None, len(files) / fps, None, times_s=times)


def _rate(times_s: Sequence[float], nominal: float) -> float:
    """Frames per second from the time stamps, ignoring pauses; the header's rate if it agrees."""
    steps = [after - before for before, after in pairwise(times_s) if after > before]
    if not steps:
        return nominal
    pause_s = 4 * statistics.median(steps)
    moving = [step for step in steps if step <= pause_s]
    measured = len(moving) / sum(moving)
    return nominal if abs(measured / nominal - 1) < 0.01 else measured


_RATE_FRAMES = 400


def frame_rate(resource: Resource) -> float | None:
    """Frames per second from the time stamps of the first frames, without decoding. None if it cannot be read."""
    if resource.is_folder:
        return rate(resource)
    try:
        with resource.open() as stream, open_container(stream, resource) as container:
            track = choose_track(container, resource)
            nominal, base_s = nominal_rate(track), float(track.time_base or 0)
            stamps: list[int] = []
            for packet in container.demux(track):
                if packet.pts is not None and packet.size and not packet.is_discard:
                    stamps.append(packet.pts)
                if len(stamps) == _RATE_FRAMES:
                    break
    except (GestaError, av.error.FFmpegError):
        return None
    return _rate([stamp * base_s for stamp in sorted(stamps)], nominal)


def frame_times(resource: Resource, role: Role = "any") -> list[float]:
    """Times of all frames in seconds from the first one, in presentation order, found by decoding.

    Raises GestaError for a file that is not a video or ends prematurely.
    """
    if resource.is_folder:
        return [index / rate(resource) for index in range(len(images(resource.path)))]
    try:
        return [shown.time_s for shown in Walk(resource, role) if shown.frame is not None]
    except av.error.FFmpegError as error:
        raise _broken_off(resource, error) from error


def header_times(resource: Resource, role: Role = "any") -> list[float]:
    """Like `frame_times`, without decoding: correct for an undamaged file. The last few results are cached."""
    if resource.is_folder:
        return frame_times(resource)
    with resource.open():  # raises GestaError if it is missing
        stat = resource.path.stat()
    return _remembered(resource, role, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=8)
def _remembered(resource: Resource, role: Role, _size: int, _changed: int) -> list[float]:
    return packet_times(resource, role)


def iter_frames(
    resource: Resource, kind: Kind = "rgb", wanted: Wanted | None = None
) -> Iterator[tuple[float, NDArray[Any] | None]]:
    """Yields (time_s from the first frame, array) for every frame; the array is None if `wanted` returns False.

    "rgb": H W 3 uint8; "gray": H W uint8 full range; "gray16": H W uint16 as stored (8-bit sources: gray levels).
    `wanted` gets the index in the recording, which counts lost frames, too; these are skipped, with a warning at the
    end. Raises GestaError for a file that is not a video, at the point where decoding fails, and at the end of one that
    is cut short or has lost more than `damage.max_damage`.
    """
    yield from _without_lost(resource, decoded(resource, kind, wanted))


def iter_planes(resource: Resource, kind: Kind, wanted: Wanted | None = None) -> Iterator[tuple[float, Plane | None]]:
    """Like iter_frames for "gray" and "gray16", but as decoded: lookup tables are not applied yet."""
    yield from _without_lost(resource, decoded_planes(resource, kind, wanted))


def _without_lost(resource: Resource, frames: Iterator[Decoded]) -> Iterator[tuple[float, Any]]:
    lost = total = 0
    for frame in frames:
        lost, total = lost + frame.lost, total + 1
        if not frame.lost:
            yield frame.time_s, frame.image
    damage.check(resource, lost, total)


def decoded(resource: Resource, kind: Kind = "rgb", wanted: Wanted | None = None) -> Iterator[Decoded]:
    """Every frame, including lost ones, marked. Raises GestaError as `iter_frames` does, but not for lost frames."""
    if resource.is_folder:
        yield from _from_folder(resource, kind, wanted, lambda image: image)
    else:
        yield from _converted(resource, kind, wanted, converted)


def decoded_planes(resource: Resource, kind: Kind, wanted: Wanted | None = None) -> Iterator[Decoded]:
    """Like `decoded`, with planes as decoded."""
    if resource.is_folder:
        yield from _from_folder(resource, kind, wanted, Plane)
    else:
        yield from _converted(resource, kind, wanted, plane)


def _from_folder(
    resource: Resource, kind: Kind, wanted: Wanted | None, wrap: Callable[[NDArray[Any]], Any]
) -> Iterator[Decoded]:
    for index, (time_s, image) in enumerate(iter_images(resource, kind, wanted)):
        yield Decoded(index, time_s, None if image is None else wrap(image))


def _converted(
    resource: Resource,
    kind: Kind,
    wanted: Wanted | None,
    convert: Callable[[av.VideoFrame, Kind, Display, Resource], Any],
) -> Iterator[Decoded]:
    walk = Walk(resource, "depth" if kind == "gray16" else "color")
    display: Display | None = None
    try:
        for index, time_s, frame in walk:
            display = display or Display(walk.track)
            take = frame is not None and (wanted is None or wanted(index, time_s))
            image = convert(frame, kind, display, resource) if take and frame is not None else None
            yield Decoded(index, time_s, image, frame is None)
    except av.error.FFmpegError as error:
        raise _broken_off(resource, error) from error
    seen = walk.seen
    if not seen.good:
        raise GestaError(f"{resource}: contains no frames. Copy or encode the file again.")
    if seen.lacks:
        raise GestaError(f"{resource}: is cut short: {seen.lacks} Copy or encode the file again.")
    damage.check_clock(resource, seen.restarts)


def _broken_off(resource: Resource, error: Exception) -> GestaError:
    return GestaError(f"{resource}: decoding failed ({error}). Copy or encode the file again.")
