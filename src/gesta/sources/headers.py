"""Facts about a file from its header alone, without decoding: whether it is depth, and its number of joints."""

from __future__ import annotations

import re
from pathlib import Path

from gesta.schema import IMAGE_SUFFIXES, frame_files
from gesta.untrusted import PNG, npy_header, open_file

_DEPTH_FORMAT = re.compile(r"gray(9|10|12|14|16)([lb]e)?")


def holds_depth(path: Path) -> bool | None:
    """Returns True for a gray video with more than 8 bits and no color track, a 16-bit PNG or a folder of them; None if
    unreadable."""
    if path.is_dir():
        images = frame_files(path)
        return _is_gray16_png(images[0]) if images else None
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return _is_gray16_png(path)
    tracks = tracks_of(path)
    return all(tracks) if tracks else None


def tracks_of(path: Path) -> list[bool]:
    """Returns whether each video track with a known codec is depth (gray, more than 8 bits); [] if unreadable."""
    import av

    try:
        with open_file(path), av.open(str(path), metadata_errors="ignore") as container:
            codecs = [track.codec_context for track in container.streams.video]
            formats = [codec.pix_fmt or "" for codec in codecs if codec is not None]
    except (OSError, ValueError, av.FFmpegError):
        return []
    return [_DEPTH_FORMAT.fullmatch(name) is not None for name in formats]


def joint_count(path: Path) -> int | None:
    """Returns J of a `.npy` array T J 3, or None for other files."""
    try:
        with open_file(path) as stream:
            shape, _, _ = npy_header(stream)
    except (OSError, ValueError):
        return None
    return int(shape[1]) if len(shape) == 3 and shape[2] == 3 else None


def png_header(path: Path) -> tuple[int, int, int, int] | None:
    """Returns (width, height, bits per channel, color type) of a PNG, else None. Color type 0 is gray, 2 is RGB.

    PNG specification, IHDR: width and height are bytes 16 to 23, bit depth is byte 24, color type byte 25.
    """
    with open_file(path) as stream:
        head = stream.read(26)
    if not head.startswith(PNG) or len(head) < 26:
        return None
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big"), head[24], head[25]


def _is_gray16_png(path: Path) -> bool | None:
    header = png_header(path)
    if header is None:
        return None if path.suffix.lower() == ".png" else False
    return header[2] == 16 and header[3] == 0
