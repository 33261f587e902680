"""Display geometry of decoded pictures: one of eight orientations, and square pixels.

A display matrix (ISO/IEC 14496-12, 8.3.2: x' = a x + c y, y' = b x + d y) maps the stored columns and rows.
The sample aspect ratio is the width of a stored pixel over its height.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import av
import cv2
import numpy as np
from av.sidedata.sidedata import SideData
from av.video.stream import VideoStream
from numpy.typing import NDArray

_SQUARE = (0.99, 1.01)
"""Ratios treated as 1: encoders round, and the difference is invisible."""
_BELIEVED = (0.2, 5.0)


@dataclass(frozen=True)
class Orientation:
    """Applied in this order: transpose, mirror left to right, flip upside down."""

    transposed: bool = False
    mirrored: bool = False
    upside_down: bool = False

    def apply(self, image: NDArray[Any]) -> NDArray[Any]:
        """H W [C] in display orientation."""
        if self.transposed:
            image = image.swapaxes(0, 1)
        if self.mirrored:
            image = image[:, ::-1]
        return image[::-1] if self.upside_down else image


UPRIGHT = Orientation()


_TURNS = {
    90: Orientation(True, upside_down=True),
    180: Orientation(mirrored=True, upside_down=True),
    270: Orientation(True, mirrored=True),
}
"""By PyAV's rotation in degrees, counterclockwise, which does not include mirroring."""


class Display:
    """Applies a track's geometry to its pictures; the orientation is read again only when the rotation changes."""

    def __init__(self, track: VideoStream) -> None:
        self._ratio = pixel_ratio(track)
        self._orientation = UPRIGHT
        self._turn: int | None = None

    def shown(self, image: NDArray[Any], frame: av.VideoFrame) -> NDArray[Any]:
        """H W [C] as a player shows it: stretched along the side with too few pixels, then rotated."""
        if frame.rotation != self._turn:
            self._turn, self._orientation = frame.rotation, orientation(frame)
        if self._ratio != 1.0:
            image = _stretched(image, self._ratio)
        return image if self._orientation == UPRIGHT else self._orientation.apply(image)


def pixel_ratio(track: VideoStream) -> float:
    """The width of a stored pixel over its height; 1 if it is nearly that or implausible."""
    ratio = float(track.sample_aspect_ratio or 1)
    plain = _SQUARE[0] < ratio < _SQUARE[1] or not _BELIEVED[0] <= ratio <= _BELIEVED[1]
    return 1.0 if plain else ratio


def square_size(width: int, height: int, ratio: float) -> tuple[int, int]:
    """Width and height in square pixels: the side with too few pixels is stretched."""
    return (round(width * ratio), height) if ratio > 1 else (width, round(height / ratio))


def orientation(frame: av.VideoFrame) -> Orientation:
    """Orientation from the frame's display matrix; upright if it has none."""
    try:
        everything = list(cast("Iterable[SideData]", frame.side_data))
    except ValueError:  # PyAV gives no side data if one item is of a kind it does not know, such as Exif
        return _TURNS.get(frame.rotation % 360, UPRIGHT)
    for data in everything:
        if data.type.name == "DISPLAYMATRIX":
            a, b, _, c, d = struct.unpack("=5i", bytes(data)[:20])
            if abs(b) + abs(c) > abs(a) + abs(d):
                return Orientation(True, mirrored=c < 0, upside_down=b < 0)
            return Orientation(False, mirrored=a < 0, upside_down=d < 0)
    return UPRIGHT


def _stretched(image: NDArray[Any], ratio: float) -> NDArray[Any]:
    size = square_size(image.shape[1], image.shape[0], ratio)
    # depth must not be interpolated across edges
    how = cv2.INTER_NEAREST if image.dtype == np.uint16 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(image), size, interpolation=how))
