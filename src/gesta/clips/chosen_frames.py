"""Which frames of a recording a backbone sees, and their pixels at its size.

Letters: n frames, w frames of a window (video backbones), H height, W width.
"""

from __future__ import annotations

import itertools

import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.clips.decode import frame_times, iter_frames
from gesta.clips.read import inside
from gesta.schema import GestaError, Resource, Sample

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


def _decoded(sample: Sample, resource: Resource, wanted: set[int], size: int) -> dict[int, NDArray[np.uint8]]:
    kind = "rgb" if sample.color is not None else "gray16"
    has_span = sample.last_frame is not None or sample.end_s is not None
    stop = max(wanted) + 1 if has_span else None
    found = {}
    stream = iter_frames(resource, kind, lambda index, _: index in wanted)  # type: ignore[arg-type]
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
