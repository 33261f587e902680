"""Read a hand frame's images: depth in millimeters and color, from the encodings of the data sets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.schema import DepthEncoding, GestaError, HandFrame, Resource
from gesta.untrusted import image_fault
from gesta.words import counted

METERS_BELOW = 20.0
"""A median reading below this many "millimeters" is assumed to be in meters (or centimeters)."""
MSRA_HEADER = 6


def read_depth(resource: Resource, encoding: DepthEncoding = "gray16", unit_mm: float = 1.0) -> NDArray[np.float32]:
    """Return depth [H, W] in mm, 0 for no reading.

    Raises GestaError if the file cannot be read, has another encoding or bit depth, or seems to be in meters.
    """
    depth = _DECODERS[encoding](resource) * np.float32(unit_mm)
    check_unit(depth, str(resource))
    return depth


def check_unit(depth_mm: NDArray[np.float32], name: str) -> None:
    """Raise GestaError, naming the file, if depth [H, W] in "millimeters" seems to be in meters."""
    seen = depth_mm[depth_mm > 0]
    if seen.size and np.median(seen) < METERS_BELOW:
        raise GestaError(
            f"{name}: half of its readings are under {METERS_BELOW:g} mm, so they look like meters. "
            "Expected whole millimeters; write those, or give depth_unit_mm in camera.yaml."
        )


def read_hand(frame: HandFrame, color: bool = False) -> tuple[NDArray[np.float32], NDArray[np.uint8] | None]:
    """Return (depth [H, W] in mm, RGB [H, W, 3] or None) of a frame.

    Raises GestaError like `read_depth`, and if color is requested but missing or of another size than depth.
    """
    depth = read_depth(frame.depth, frame.encoding, frame.depth_unit_mm)
    if not color:
        return depth, None
    if frame.color is None:
        raise GestaError(f"{frame.depth}: has no color image, which this model needs.")
    image = read_color(frame.color)
    if image.shape[:2] != depth.shape:
        sizes = [f"{shape[1]} x {shape[0]}" for shape in (image.shape, depth.shape)]
        raise GestaError(
            f"{frame.color}: is {sizes[0]}, but its depth image {frame.depth.name} is {sizes[1]}. "
            "Color must be registered to depth, pixel for pixel."
        )
    return depth, image


def read_color(resource: Resource) -> NDArray[np.uint8]:
    """Return RGB [H, W, 3]. Raises GestaError if the file is not an image."""
    return np.asarray(_image(resource, cv2.IMREAD_COLOR_RGB), np.uint8)


def _image(resource: Resource, how: int = cv2.IMREAD_UNCHANGED) -> NDArray[Any]:
    data = resource.read()
    if fault := image_fault(data):
        raise GestaError(f"{resource}: {fault}. Is the file complete?")
    image = cv2.imdecode(np.frombuffer(data, np.uint8), how)
    if image is None:
        raise GestaError(f"{resource}: cannot be read as an image. Is the file complete?")
    return np.asarray(image)


def _gray16(resource: Resource) -> NDArray[np.float32]:
    image = _image(resource)
    if image.ndim != 2 or image.dtype != np.uint16:
        raise GestaError(f"{resource}: is {_kind(image)}; expected depth as 16-bit gray PNG, in whole millimeters.")
    return image.astype(np.float32)


def _nyu(resource: Resource) -> NDArray[np.float32]:
    image = _image(resource)  # H W 3, BGR
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise GestaError(f"{resource}: is {_kind(image)}; expected NYU's depth, in green and blue of an 8-bit RGB PNG.")
    return np.asarray(image[..., 1].astype(np.float32) * 256 + image[..., 0], np.float32)


def _msra(resource: Resource) -> NDArray[np.float32]:
    raw = resource.read()
    if len(raw) < 4 * MSRA_HEADER:
        raise GestaError(f"{resource}: has {len(raw)} bytes; expected six int32 and the depths of a box.")
    width, height, left, top, right, bottom = (int(v) for v in np.frombuffer(raw, "<i4", MSRA_HEADER))
    if not (0 <= left < right <= width <= 4096 and 0 <= top < bottom <= height <= 4096):
        raise GestaError(
            f"{resource}: the box ({left}, {top}) to ({right}, {bottom}) in its header does not fit into the "
            f"{width} x {height} image. Is it a depth file of MSRA?"
        )
    box = np.frombuffer(raw[: len(raw) // 4 * 4], "<f4", offset=4 * MSRA_HEADER)
    if box.size != (right - left) * (bottom - top):
        raise GestaError(
            f"{resource}: contains {box.size} depths; its box of {right - left} x {bottom - top} needs "
            f"{(right - left) * (bottom - top)}. Is the file complete?"
        )
    depth = np.zeros((height, width), np.float32)
    depth[top:bottom, left:right] = box.reshape(bottom - top, right - left)
    if not np.isfinite(depth).all():
        raise GestaError(f"{resource}: contains depths that are not finite. Get the original file again.")
    return depth


def _kind(image: NDArray[Any]) -> str:
    channels = 1 if image.ndim == 2 else image.shape[2]
    return f"an image of {image.dtype.itemsize * 8} bits and {counted(channels, 'channel')}"


_DECODERS: dict[DepthEncoding, Callable[[Resource], NDArray[np.float32]]] = {
    "gray16": _gray16,
    "nyu": _nyu,
    "msra": _msra,
}
