"""Images as decoded, with lookup tables for their values, which are applied late, to the crops only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.clips import crops
from gesta.schema import Frame, GestaError

_DEPTHS = 10_000  # mm; one table entry per millimeter for 16-bit depth


@dataclass(frozen=True)
class Plane:
    """`raw` H W as stored; its values are `table[raw]` (uint8 gray levels or uint16 millimeters), or raw itself."""

    raw: NDArray[Any]
    table: NDArray[Any] | None = None

    def whole(self) -> NDArray[Any]:
        """The image with its table applied, H W."""
        return _looked_up(self.raw, self.table)

    def crop(self, box: crops.Box, levels: NDArray[np.uint8] | None = None) -> NDArray[Any]:
        """The box's pixels, zeros outside the image; with `levels` (one entry per millimeter), levels[value]."""
        table = self.table
        if levels is not None:
            table = levels if table is None else levels[np.minimum(table, len(levels) - 1)]
        return _looked_up(crops.cut(self.raw, box), table)


@dataclass(frozen=True)
class RawFrame:
    """One instant of a recording: like schema.Frame, but without conversions that crops may not need."""

    time_s: float
    gray: Plane | None = None
    depth: Plane | None = None
    mask: Plane | None = None  # 255 on the person, else 0
    joints_uv: NDArray[np.float32] | None = None
    color: NDArray[np.uint8] | None = None  # H W 3, RGB; only if a channel needs it
    joints: NDArray[np.float32] | None = None  # as in schema.Frame
    confidence: NDArray[np.float32] | None = None
    before: tuple[Plane, ...] = ()  # gray of the preceding frames, latest first

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        plane = self.gray or self.depth
        if plane is not None:
            return plane.raw.shape[0], plane.raw.shape[1]
        raise GestaError("The model needs images, but the frames have none. Give their color, gray or depth.")


def gray_plane(color: NDArray[np.uint8]) -> Plane:
    """RGB H W 3 as gray."""
    return Plane(np.asarray(cv2.cvtColor(color, cv2.COLOR_RGB2GRAY), np.uint8))


def raw_frame(frame: Frame) -> RawFrame:
    """A decoded frame, with its colors and as gray."""
    gray = None if frame.gray is None else Plane(frame.gray)
    if gray is None and frame.color is not None:
        gray = gray_plane(frame.color)
    return RawFrame(
        frame.time_s,
        gray,
        None if frame.depth_mm is None else Plane(frame.depth_mm),
        None if frame.mask is None else Plane(frame.mask.view(np.uint8) * np.uint8(255)),
        frame.joints_uv,
        frame.color,
        frame.joints,
        frame.confidence,
    )


def check_frame(frame: Any, number: int) -> None:
    """Raises GestaError naming frame `number` of a stream if it has no images, or invalid ones."""
    if not isinstance(frame, (Frame, RawFrame)):
        raise GestaError(f"Frame {number} of the stream is a {type(frame).__name__}. Expected a gesta.schema.Frame.")
    named: dict[str, tuple[Any, Any, int]] = {
        "color": (frame.color, np.uint8, 3),
        "joints_uv": (frame.joints_uv, None, 2),
        "joints": (frame.joints, None, 2),
    }
    if isinstance(frame, Frame):
        named |= {"gray": (frame.gray, np.uint8, 2), "depth_mm": (frame.depth_mm, np.uint16, 2)}
        named |= {"mask": (frame.mask, np.bool_, 2)}
    else:
        planes = {"gray": frame.gray, "depth": frame.depth, "mask": frame.mask}
        named |= {name: (None if plane is None else plane.raw, None, 2) for name, plane in planes.items()}
    images = set()
    for name, (image, kind, dimensions) in named.items():
        if image is None:
            continue
        shape, dtype = getattr(image, "shape", None), getattr(image, "dtype", None)
        fits = shape is not None and len(shape) == dimensions and 0 not in shape and kind in (None, dtype)
        if not fits or (name == "color" and image.shape[2] != 3):
            found = f"{dtype} {list(shape)}" if shape is not None else type(image).__name__
            raise GestaError(f"Frame {number} of the stream: {name} is {found}. Expected {_EXPECTED[name]}.")
        images.add(name)
    if not images - {"mask", "joints_uv"}:
        raise GestaError(f"Frame {number} of the stream has no image. Give its color, gray or depth (or joints).")


_EXPECTED = {
    "color": "uint8 H W 3, RGB",
    "gray": "uint8 H W",
    "depth_mm": "uint16 H W in mm",
    "depth": "a plane H W",
    "mask": "bool H W",
    "joints_uv": "float J 2, pixels",
    "joints": "float J 2 or J 3",
}


def depth_levels(reference_mm: float, range_mm: float) -> NDArray[np.uint8]:
    """Table mm -> level: 255 at `range_mm` before the reference, 1 as far behind or more, 0 without a reading."""
    table = 128 + (reference_mm - np.arange(_DEPTHS, dtype=np.float32)) * np.float32(127 / range_mm)
    levels: NDArray[np.uint8] = np.clip(np.round(table), 1, 255).astype(np.uint8)
    levels[0] = 0
    return levels


def _looked_up(image: NDArray[Any], table: NDArray[Any] | None) -> NDArray[Any]:
    if table is None:
        return image
    if image.dtype == np.uint8:
        return np.asarray(cv2.LUT(image, table))
    return np.asarray(table.take(np.minimum(image, len(table) - 1)))


def as_frame(image: Frame | RawFrame | NDArray[np.uint8], index: int, fps: float) -> Frame | RawFrame:
    """Returns a frame unchanged, an RGB image H W 3 as frame `index` at `fps`. Raises GestaError for anything else."""
    if isinstance(image, (Frame, RawFrame)):
        return image
    if getattr(image, "dtype", None) != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise GestaError(f"A stream takes gesta Frames or RGB images (uint8, H W 3), not {found}.")
    return Frame(index / fps, color=image)


def timed(image: Frame | RawFrame | NDArray[np.uint8], time_s: float | None) -> Frame | RawFrame:
    """A frame as it is, an RGB image H W 3 as a frame at `time_s`. Raises GestaError if `time_s` is missing."""
    if not isinstance(image, np.ndarray):
        return image  # a frame, or something that the stream rejects, naming its number
    if time_s is None:
        raise GestaError("An image needs the time (in seconds) at which it was taken: push(image, time_s).")
    return replace(as_frame(image, 0, 1.0), time_s=time_s)


def is_video(array: NDArray[Any]) -> bool:
    """Whether an array is RGB frames T H W 3."""
    return array.ndim == 4 and array.shape[3] == 3 and array.dtype == np.uint8 and bool(len(array))
