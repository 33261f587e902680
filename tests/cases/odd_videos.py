"""Videos as cameras, phones and cutters leave them, written byte by byte where PyAV cannot: helpers of the tests.

Frame n of every video shows its number: block b of eight in the top rows is white where bit b of n is set.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from gesta.clips.decode import iter_frames
from gesta.schema import Resource, Sample

WIDTH, HEIGHT, BLOCK = 160, 64, 20


def numbered(number: int) -> np.ndarray:
    """H W 3 RGB: the number in the top 16 rows, gray below."""
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    for bit in range(8):
        image[:16, bit * BLOCK : (bit + 1) * BLOCK] = 235 if number >> bit & 1 else 20
    return image


def number_in(image: np.ndarray) -> int:
    """Of gray H W or RGB H W 3 at any size."""
    gray = image if image.ndim == 2 else image[..., 1]
    small = cv2.resize(gray, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return sum(int(small[4:12, b * BLOCK + 6 : b * BLOCK + 14].mean() > 128) << b for b in range(8))


def write(
    path: Path,
    count: int = 120,
    *,
    codec: str = "libx264",
    fps: int = 30,
    gop: int = 30,
    b_frames: int = 2,
    pts_ms: Sequence[int] | None = None,
    audio_first: bool = False,
    options: dict[str, str] | None = None,
    pix_fmt: str = "yuv420p",
    first: int = 0,
) -> Path:
    """Frames `first`, `first` + 1, ... at `fps`, or at the given milliseconds."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=16000, layout="mono") if audio_first else None
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
        stream.options = {"crf": "10", "preset": "veryfast", "threads": "1"} if codec == "libx264" else {}
        stream.options = {**stream.options, **(options or {})}
        stream.codec_context.gop_size = gop
        if codec in ("libx264", "mpeg4", "mpeg2video"):
            stream.codec_context.max_b_frames = b_frames
        if codec in ("mpeg4", "mpeg2video", "libvpx"):
            stream.codec_context.bit_rate = 3_000_000
        if pts_ms is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if sound is not None:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 16000 * count // fps), np.float32), "fltp", "mono")
            silence.sample_rate = 16000
            container.mux(sound.encode(silence))
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(numbered(first + index), "rgb24")
            if pts_ms is not None:
                frame.time_base, frame.pts = Fraction(1, 1000), pts_ms[index]
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if sound is not None:
            container.mux(sound.encode())
    return path


def remux(source: Path, out: Path, change: Callable[[int, bytes], bytes | None]) -> Path:
    """The same packets in another file, in their order of decoding; `change` gives each its bytes, or None to drop."""
    with av.open(str(source)) as old, av.open(str(out), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        kept = [packet for packet in old.demux(old.streams.video[0]) if packet.size]
        for number, packet in enumerate(kept):
            data = change(number, bytes(packet))
            if data is None:
                continue
            other = av.Packet(data)
            other.pts, other.dts, other.duration = packet.pts, packet.dts, packet.duration
            other.time_base, other.is_keyframe, other.stream = packet.time_base, packet.is_keyframe, stream
            new.mux(other)
    return out


# -- mp4 -----------------------------------------------------------------------------------------------------------

_HOLD_BOXES = {b"moov", b"trak", b"mdia", b"edts", b"minf", b"stbl"}


def boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    """(kind, payload) of each box in a payload; sizes of 32 bits."""
    found, at = [], 0
    while at < len(data):
        size = struct.unpack(">I", data[at : at + 4])[0] or len(data) - at
        found.append((data[at + 4 : at + 8], data[at + 8 : at + size]))
        at += size
    return found


def box(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload) + 8) + kind + payload


def edited(data: bytes, change: Callable[[list[bytes], bytes], bytes], above: list[bytes] | None = None) -> bytes:
    """The boxes again, each payload as `change(kinds from the top, payload)` gives it. moov must lie last."""
    above = above or []
    out = b""
    for kind, payload in boxes(data):
        kinds = [*above, kind]
        inner = edited(payload, change, kinds) if kind in _HOLD_BOXES else payload
        out += box(kind, change(kinds, inner))
    return out


def moov_first(path: Path) -> Path:
    """The same file with its tables before the data, as for the web: one that can be cut and still be opened."""
    parts = dict(boxes(path.read_bytes()))
    start = path.read_bytes().index(parts[b"mdat"])
    front = len(box(b"ftyp", parts[b"ftyp"])) + len(parts[b"moov"]) + 8 + 8

    def change(kinds: list[bytes], payload: bytes) -> bytes:
        if kinds[-1] != b"stco":
            return payload
        offsets = struct.unpack(f">{len(payload) // 4 - 2}I", payload[8:])
        return payload[:8] + struct.pack(f">{len(offsets)}I", *(offset + front - start for offset in offsets))

    moov = edited(box(b"moov", parts[b"moov"]), change)
    path.write_bytes(box(b"ftyp", parts[b"ftyp"]) + moov + box(b"mdat", parts[b"mdat"]))
    return path


def is_video_track(payload: bytes) -> bool:
    media = dict(boxes(dict(boxes(payload))[b"mdia"]))
    return media[b"hdlr"][8:12] == b"vide"


def with_edits(path: Path, out: Path, edits: Sequence[tuple[float, float]], fps: float = 30) -> Path:
    """The video track with an edit list: (seconds, first frame shown; -1: nothing is shown) for each segment."""

    def change(kinds: list[bytes], payload: bytes) -> bytes:
        if kinds != [b"moov", b"trak"] or not is_video_track(payload):
            return payload
        inside = dict(boxes(payload))
        old = boxes(inside[b"edts"])[0][1] if b"edts" in inside else struct.pack(">IIIIi", 0, 1, 0, 0, 1)
        start = struct.unpack(">i", old[12:16])[0]  # the media time of frame 0 on, which B frames delay
        scale = struct.unpack(">I", dict(boxes(inside[b"mdia"]))[b"mdhd"][12:16])[0]
        rows = [
            struct.pack(">Iihh", round(seconds * 1000), -1 if first < 0 else start + round(first / fps * scale), 1, 0)
            for seconds, first in edits
        ]
        edit = box(b"edts", box(b"elst", struct.pack(">II", 0, len(rows)) + b"".join(rows)))
        kept = [box(kind, part) for kind, part in boxes(payload) if kind != b"edts"]
        return kept[0] + edit + b"".join(kept[1:])

    out.write_bytes(edited(path.read_bytes(), change))
    return out


def with_matrix(path: Path, out: Path, a: int, b: int, c: int, d: int) -> Path:
    """The video track with the display matrix x' = a x + c y, y' = b x + d y."""

    def change(kinds: list[bytes], payload: bytes) -> bytes:
        if kinds != [b"moov", b"trak", b"tkhd"] or payload[0] != 0:
            return payload
        one = 1 << 16
        matrix = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
        return payload[:40] + matrix + payload[76:]

    out.write_bytes(edited(path.read_bytes(), change))
    return out


# -- avi -----------------------------------------------------------------------------------------------------------


def write_avi(path: Path, slots: Sequence[int | None], fps: int = 30) -> Path:
    """Motion JPEG: the number shown in each slot; None is an empty chunk, in which the picture before stays on."""
    chunks, index, at = b"", b"", 4
    for number in slots:
        data = b"" if number is None else cv2.imencode(".jpg", numbered(number)[..., ::-1])[1].tobytes()
        index += struct.pack("<4sIII", b"00dc", 0x10, at, len(data))
        padded = data + b"\0" * (len(data) % 2)
        chunks += struct.pack("<4sI", b"00dc", len(data)) + padded
        at += 8 + len(padded)
    usec = round(1e6 / fps)
    avih = struct.pack("<14I", usec, 0, 0, 0x10, len(slots), 0, 1, 1 << 16, WIDTH, HEIGHT, 0, 0, 0, 0)
    strh = struct.pack(
        "<4s4sIHHIIIIIIII4H", b"vids", b"MJPG", 0, 0, 0, 0, 1, fps, 0, len(slots), 1 << 16, 0, 0, *[0] * 4
    )
    strf = struct.pack("<IiiHH4sIiiII", 40, WIDTH, HEIGHT, 1, 24, b"MJPG", WIDTH * HEIGHT * 3, 0, 0, 0, 0)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack("<4sI", kind, len(data)) + data + b"\0" * (len(data) % 2)

    strl = chunk(b"LIST", b"strl" + chunk(b"strh", strh) + chunk(b"strf", strf))
    body = (
        chunk(b"LIST", b"hdrl" + chunk(b"avih", avih) + strl) + chunk(b"LIST", b"movi" + chunks) + chunk(b"idx1", index)
    )
    path.write_bytes(chunk(b"RIFF", b"AVI " + body))
    return path


# -- looking -------------------------------------------------------------------------------------------------------


def sample(path: Path | Resource, **settings: object) -> Sample:
    resource = path if isinstance(path, Resource) else Resource.at(path)
    return Sample(id="x", recording="x", color=resource, label="a", **settings)  # type: ignore[arg-type]


def shown(path: Path) -> tuple[list[int], list[float]]:
    """(numbers, times in s to the millisecond) of the frames that decoding gives."""
    frames = list(iter_frames(Resource.at(path), "gray"))
    return [number_in(image) for _, image in frames if image is not None], [round(time_s, 3) for time_s, _ in frames]
