"""Which frames of a recording a backbone sees, and their pixels at its size.

Letters: n frames, w frames of a window (video backbones), H height, W width.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.clips.decode import Kind, frame_times, iter_frames
from gesta.clips.read import inside, past
from gesta.schema import Frame, GestaError, Resource, Sample

_DEPTH_STEP_MM = 16.0
"""Depth beyond 8 bits becomes grey by this: 255 is 4.08 m."""


def chosen(count: int, frames: int | None, every: int | None) -> list[int]:
    """Positions among `count` frames: exactly `frames` of them, evenly spread and repeated in a short video; or every
    n-th from the first one.
    """
    if frames is not None:
        return [(2 * index + 1) * count // (2 * frames) for index in range(frames)]
    return list(range(0, count, every or 1))


def windows(positions: list[int], window: int) -> list[int]:
    """The positions, the last one repeated so that they fill windows of `window` frames."""
    return positions + positions[-1:] * (-len(positions) % window)


def read_frames(
    sample: Sample, size: int, *, frames: int | None = None, every: int | None = None, window: int = 1
) -> NDArray[np.uint8]:
    """The chosen frames of a sample as RGB, stretched to size x size: uint8 [n, size, size, 3]; depth as grey.

    Decodes once and converts only what is chosen; a whole recording is followed to its end, so that a cut is found.
    Raises GestaError naming the file where it is unreadable, damaged or cut short, or no frame lies in the span.
    """
    resource = sample.color or sample.depth
    assert resource is not None  # a sample has one of them
    times = [(index, time) for index, time in enumerate(frame_times(resource)) if inside(sample, index, time)]
    if not times:
        raise GestaError(f"{sample.id}: the span lies outside {resource}. Correct the label's frames or times.")
    positions = windows(chosen(len(times), frames, every), window)
    wanted = [times[position][0] for position in positions]
    images = _decoded(sample, resource, set(wanted), size)
    if not images:
        raise GestaError(f"{resource}: none of its {len(times)} frames can be decoded. Copy the file again.")
    last = max(images)  # stands for the few that a file may lack at its end
    return np.stack([images.get(index, images[last]) for index in wanted])


def iter_every(sample: Sample, size: int, every: int) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """As `read_frames` with `every`, one by one: (seconds from the span's first frame, uint8 [size, size, 3]).

    Raises GestaError as `read_frames` does, for a damaged file when the damage is reached.
    """
    resource = sample.color or sample.depth
    assert resource is not None  # a sample has one of them
    seen = 0

    def wanted(index: int, time_s: float) -> bool:
        nonlocal seen
        seen += inside(sample, index, time_s)
        return inside(sample, index, time_s) and (seen - 1) % every == 0

    first: float | None = None
    stream = iter_frames(resource, _kind(sample), wanted)
    for index, (time_s, image) in enumerate(stream):
        if past(sample, index, time_s):
            break
        if image is not None:
            first = time_s if first is None else first
            yield time_s - first, _fitted(image, sample.depth_unit_mm, size)
    if first is None:
        raise GestaError(f"{sample.id}: the span lies outside {resource}. Correct the label's frames or times.")


def fit_frame(frame: Frame, size: int) -> NDArray[np.uint8]:
    """A frame from a camera as a backbone sees it: its colours, else its depth or grey as grey, [size, size, 3].

    Raises GestaError for a frame without an image.
    """
    image: NDArray[Any] | None = frame.color
    for other in (frame.depth_mm, frame.gray):
        image = other if image is None else image
    if image is None:
        raise GestaError("The frame has no image. Give its colour, depth or grey.")
    return _fitted(image, 1.0, size)


def _kind(sample: Sample) -> Kind:
    return "rgb" if sample.color is not None else "gray16"


def _decoded(sample: Sample, resource: Resource, wanted: set[int], size: int) -> dict[int, NDArray[np.uint8]]:
    has_span = sample.last_frame is not None or sample.end_s is not None
    stop = max(wanted) + 1 if has_span else None
    found = {}
    stream = iter_frames(resource, _kind(sample), lambda index, _: index in wanted)
    for index, (_, image) in enumerate(itertools.islice(stream, stop)):
        if image is not None:
            found[index] = _fitted(image, sample.depth_unit_mm, size)
    return found


def _fitted(image: NDArray[np.generic], depth_unit_mm: float, size: int) -> NDArray[np.uint8]:
    if image.ndim == 2:
        grey = image if image.dtype == np.uint8 else image * (depth_unit_mm / _DEPTH_STEP_MM)  # type: ignore[operator]
        image = np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    shrinks = min(image.shape[:2]) > size
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (size, size), interpolation=how), np.uint8)  # type: ignore[arg-type]
