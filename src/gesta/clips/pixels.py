"""Decoded frames -> arrays: colors, gray from any pixel format, and depth as stored.

Gray is the stored luma with its range expanded (limited range 16-235 -> 0-255), for any bit depth; no color matrix is
applied, which takes a fraction of the time. For Rec. 601 it equals decoding to RGB and converting to gray.
"""

from __future__ import annotations

from typing import Any, Literal

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.clips.geometry import Display
from gesta.clips.plane import Plane
from gesta.clips.tracks import is_depth
from gesta.schema import GestaError, Resource

Kind = Literal["rgb", "gray", "gray16"]

_values = np.arange(256, dtype=np.float64)
FULL_RANGE = np.clip(np.round((_values - 16) * 255 / 219), 0, 255).astype(np.uint8)
_JPEG_RANGE = 2
_PLANAR = {"yuyv422": "yuv422p", "uyvy422": "yuv422p", "yvyu422": "yuv422p", "uyyvyy411": "yuv411p"}
"""Packed formats, and the planar formats with the same values."""
_HIGH_BITS = ("p0", "p2", "p4", "xv", "y2", "v3", "ayuv", "vuya", "vuyx", "xyz")
"""Prefixes of formats with more than 8 bits, or packed, that ffmpeg converts first."""


def converted(frame: av.VideoFrame, kind: Kind, display: Display, resource: Resource) -> NDArray[Any]:
    """Like `plane`, with its lookup table applied; "rgb": H W 3."""
    if kind == "rgb":
        _refuse_depth(frame, resource)
        return display.shown(frame.to_ndarray(format="rgb24"), frame)
    return plane(frame, kind, display, resource).whole()


def plane(frame: av.VideoFrame, kind: Kind, display: Display, resource: Resource) -> Plane:
    """Gray levels; for "gray16" the stored values, or the gray levels of an 8-bit source.

    Raises GestaError for a depth video if gray is requested: 8 of its bits would not be a meaningful picture.
    """
    if is_depth(frame.format.name):
        if kind != "gray16":
            _refuse_depth(frame, resource)
        return Plane(display.shown(stored(frame), frame))
    raw, table = _gray(frame)
    return Plane(display.shown(raw, frame), table)


def stored(frame: av.VideoFrame, number: int = 0) -> NDArray[Any]:
    """Plane `number` of the frame, H W uint8 or uint16, unchanged."""
    part, name = frame.planes[number], frame.format.name
    kind = ">u2" if name.endswith("be") else "<u2"
    if frame.format.components[0].bits <= 8:
        kind = "u1"
    rows = np.frombuffer(memoryview(part), np.uint8).reshape(-1, part.line_size)
    values = rows[: part.height].view(kind)[:, : part.width]
    return values if kind == "u1" else values.astype(np.uint16)


def _gray(frame: av.VideoFrame) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Gray levels as stored, and the lookup table that expands a limited range."""
    name = frame.format.name
    if name == "gray":
        return stored(frame), None
    if name in _PLANAR or name.startswith(_HIGH_BITS):
        name = _PLANAR.get(name, "yuv444p16le")
        full = frame.color_range == _JPEG_RANGE
        frame = frame.reformat(format=name)
    else:
        full = name.startswith("yuvj") or frame.color_range == _JPEG_RANGE
    if not name.startswith(("yuv", "nv")):
        rgb = frame.to_ndarray(format="rgb24")
        return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8), None
    luma, bits = stored(frame), frame.format.components[0].bits
    if bits > 8:
        half = 1 << (bits - 9)
        luma = np.minimum((luma.astype(np.uint32) + half) >> (bits - 8), 255).astype(np.uint8)
    return luma, None if full else FULL_RANGE


def _refuse_depth(frame: av.VideoFrame, resource: Resource) -> None:
    if is_depth(frame.format.name):
        raise GestaError(
            f"{resource}: is a video of depth ({frame.format.name}), but color was expected. Name it in an index.csv: "
            "in the column depth, or in path if there is no color video."
        )
