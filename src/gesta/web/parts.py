"""Parts of a recording as sent by the page, and the resulting video: the camera's JPEGs and times, unchanged.

A part is `count` u32, then for each frame `captured` u64 in microseconds, `size` u32 and the JPEG, little-endian.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import av

from gesta.files import replacing
from gesta.untrusted import image_size
from gesta.web.messages import Limits
from gesta.web.refuse import Refuse

SUFFIX = ".mkv"
TICK = Fraction(1, 1_000_000)
_COUNT, _FRAME = struct.Struct("<I"), struct.Struct("<QI")
_LATEST_US = 2**62


class Frame(NamedTuple):
    """Capture time on the page's clock, and the JPEG."""

    captured_us: int
    jpeg: bytes


def read_part(data: bytes, size: tuple[int, int], limits: Limits) -> list[Frame]:
    """The frames of a part; each must be a JPEG of `size` (width, height). Raises Refuse 413 and 422."""
    if len(data) > limits.part_bytes:
        raise Refuse(413, "The part is too large.", f"at most {limits.part_bytes // 2**20} MB")
    frames = list(_frames(data, limits))
    for one in frames:
        check_jpeg(one.jpeg, limits.side_pixels, size)
    if any(later.captured_us <= one.captured_us for one, later in pairwise(frames)):
        raise Refuse(
            422, "The times of the frames do not increase.", "each later than the one before", field="captured"
        )
    return frames


def _frames(data: bytes, limits: Limits) -> Iterator[Frame]:
    broken = Refuse(422, "The part is cut short or damaged.", "count, then time, size and JPEG of each frame")
    if len(data) < _COUNT.size:
        raise broken
    (count,) = _COUNT.unpack_from(data)
    if not 1 <= count <= limits.part_frames:
        raise Refuse(422, f"The part announces {count} frames.", f"1 to {limits.part_frames}", field="count")
    at = _COUNT.size
    for _ in range(count):
        if at + _FRAME.size > len(data):
            raise broken
        captured_us, size = _FRAME.unpack_from(data, at)
        at += _FRAME.size
        if at + size > len(data) or captured_us > _LATEST_US:
            raise broken
        yield Frame(captured_us, data[at : at + size])
        at += size
    if at != len(data):
        raise broken


def check_jpeg(jpeg: bytes, side: int, size: tuple[int, int] | None = None) -> None:
    """Raises Refuse 422 for what is not a JPEG, 413 for one with a longer side, 422 for another size than `size`."""
    found = image_size(jpeg) if jpeg.startswith(b"\xff\xd8") else None
    if not found or not min(found):
        raise Refuse(422, "A frame is not a readable JPEG.", "a baseline JPEG", field="jpeg")
    if max(found) > side:
        raise Refuse(413, f"A frame is {found[0]} x {found[1]}.", f"at most {side} pixels per side", field="jpeg")
    if size is not None and found != size:
        expected = f"{size[0]} x {size[1]}, as at the start of the recording"
        raise Refuse(422, f"A frame is {found[0]} x {found[1]}.", expected, "Begin another recording.", "jpeg")


def usable_frames(parts: Iterable[Sequence[Frame]]) -> list[Frame]:
    """Frames of all parts, skipping those that are not later than the previous one."""
    found: list[Frame] = []
    for frame in (one for part in parts for one in part):
        if not found or frame.captured_us > found[-1].captured_us:
            found.append(frame)
    return found


def write_video(path: Path, frames: Sequence[Frame], size: tuple[int, int]) -> None:
    """Atomically writes MJPEG in Matroska: the bytes of each frame unchanged, times relative to the first one (in
    milliseconds, Matroska's resolution). Raises OSError."""
    starts = [frame.captured_us - frames[0].captured_us for frame in frames]
    steps = [after - before for before, after in pairwise(starts)]
    usual = sorted(steps)[len(steps) // 2] if steps else 33_333
    with replacing(path) as made:
        with av.open(str(made), "w", format="matroska") as container:
            stream = container.add_mux_stream("mjpeg", rate=30, width=size[0], height=size[1], time_base=TICK)
            for frame, start_us, step_us in zip(frames, starts, [*steps, usual], strict=True):
                packet = av.Packet(frame.jpeg)
                packet.stream, packet.time_base, packet.is_keyframe = stream, TICK, True
                packet.pts = packet.dts = start_us
                packet.duration = step_us
                container.mux(packet)
        with made.open("rb+") as stream_:
            os.fsync(stream_.fileno())
