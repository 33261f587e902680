"""Selects the frames of a recording for a backbone, and reads their pixels at its input size.

Symbols: n frames, w frames of a window (video backbones), H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.clips import damage
from gesta.clips.crops import cut, whole_frame
from gesta.clips.decode import Kind, decoded, header_times
from gesta.clips.read import check_depth, inside, past
from gesta.schema import Frame, GestaError, Resource, Sample

_DEPTH_STEP_MM = 16.0
"""Millimeters per gray level for depth of more than 8 bits: 255 is 4.08 m."""


def chosen(count: int, frames: int | None, every: int | None) -> list[int]:
    """Positions among `count` frames: exactly `frames`, evenly spaced and repeated in a short video; or every
    `every`-th from the first one.
    """
    if frames is not None:
        return [(2 * index + 1) * count // (2 * frames) for index in range(frames)]
    return list(range(0, count, every or 1))


def windows(positions: list[int], window: int) -> list[int]:
    """The positions, padded by repeating the last one to a multiple of `window`."""
    return positions + positions[-1:] * (-len(positions) % window)


def read_frames(
    sample: Sample,
    size: int,
    *,
    frames: int | None = None,
    every: int | None = None,
    window: int = 1,
    letterbox: bool = False,
) -> NDArray[np.uint8]:
    """The chosen frames of a sample as RGB, stretched to size x size: uint8 [n, size, size, 3]; depth as gray.

    `letterbox`: with black bars instead of stretched.

    Decodes once and converts only the chosen frames; a whole recording is decoded to its end to detect truncation.
    If decoding finds other frames than the header promises, a second pass chooses among those.
    Raises GestaError naming the file if it is unreadable, damaged or cut short, or the span contains no frame.
    """
    resource = sample.color or sample.depth
    assert resource is not None  # a sample has one of them
    promised = [
        n
        for n, time_s in enumerate(header_times(resource, "color" if sample.color is not None else "depth"))
        if inside(sample, n, time_s)
    ]
    wanted = _chosen(sample, promised, frames, every, window)
    seen = _decoded(sample, resource, set(wanted), size, letterbox)
    if seen.good != promised:
        wanted = _chosen(sample, seen.good, frames, every, window)
        seen = _decoded(sample, resource, set(wanted), size, letterbox)
    damage.check(resource, seen.lost, seen.lost + len(seen.good))
    return np.stack([seen.images[index] for index in wanted])


def _chosen(sample: Sample, indices: list[int], frames: int | None, every: int | None, window: int) -> list[int]:
    """Indices in the recording of the frames chosen from a span."""
    if not indices:
        raise GestaError(f"{sample.id}: the span lies outside {sample.files[0]}. Correct the label's frames or times.")
    return [indices[position] for position in windows(chosen(len(indices), frames, every), window)]


def iter_every(
    sample: Sample, size: int, every: int, letterbox: bool = False
) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Like `read_frames` with `every`, lazily: (seconds from the span's first frame, uint8 [size, size, 3]).

    Raises GestaError as `read_frames` does, for a damaged file when the damage is reached.
    """
    resource = sample.color or sample.depth
    assert resource is not None  # a sample has one of them
    seen = lost = 0

    def wanted(index: int, time_s: float) -> bool:
        nonlocal seen
        seen += inside(sample, index, time_s)
        return inside(sample, index, time_s) and (seen - 1) % every == 0

    first: float | None = None
    for frame in decoded(resource, _kind(sample), wanted):
        if past(sample, frame.number, frame.time_s):
            break
        lost += frame.lost and inside(sample, frame.number, frame.time_s)
        if frame.image is not None:
            first = frame.time_s if first is None else first
            yield frame.time_s - first, _fitted(frame.image, sample, size, letterbox)
    damage.check(resource, lost, lost + seen)
    if first is None:
        raise GestaError(f"{sample.id}: the span lies outside {resource}. Correct the label's frames or times.")


def fit_frame(frame: Frame, size: int, letterbox: bool = False) -> NDArray[np.uint8]:
    """A camera frame as backbone input: its colors, else its depth or gray as gray, [size, size, 3].

    Raises GestaError for a frame without an image.
    """
    image: NDArray[Any] | None = frame.color
    for other in (frame.depth_mm, frame.gray):
        image = other if image is None else image
    if image is None:
        raise GestaError("The frame has no image. Give its color, depth or gray.")
    return _fitted(image, None, size, letterbox)


def _kind(sample: Sample) -> Kind:
    return "rgb" if sample.color is not None else "gray16"


@dataclass
class _Seen:
    """Result of decoding a span: indices of its frames, and images of the wanted ones by index."""

    good: list[int] = field(default_factory=list)
    images: dict[int, NDArray[np.uint8]] = field(default_factory=dict)
    lost: int = 0


def _decoded(sample: Sample, resource: Resource, wanted: set[int], size: int, letterbox: bool) -> _Seen:
    seen = _Seen()
    for index, time_s, image, lost in decoded(resource, _kind(sample), lambda index, _: index in wanted):
        if past(sample, index, time_s):
            break
        if inside(sample, index, time_s):
            seen.lost += lost
            seen.good += [] if lost else [index]
        if image is not None:
            seen.images[index] = _fitted(image, sample, size, letterbox)
    return seen


def _fitted(image: NDArray[np.generic], sample: Sample | None, size: int, letterbox: bool) -> NDArray[np.uint8]:
    """The image stretched or letterboxed to size x size; depth is scaled by the sample's unit (None: mm)."""
    if image.ndim == 2:
        if sample is not None:
            check_depth(image, sample)
        step = (1.0 if sample is None else sample.depth_unit_mm) / _DEPTH_STEP_MM
        gray = image if image.dtype == np.uint8 else image * step  # type: ignore[operator]
        image = np.repeat(np.clip(gray, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    if letterbox:
        image = cut(image, whole_frame(*image.shape[:2]))
    shrinks = min(image.shape[:2]) > size
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (size, size), interpolation=how), np.uint8)  # type: ignore[arg-type]
