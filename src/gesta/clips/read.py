"""Sample -> frames with all its modalities side by side, in one decode pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.clips.decode import Kind, iter_frames
from gesta.clips.skeleton import read_joints
from gesta.schema import Frame, GestaError, Resource, Sample

MASK_THRESHOLD = 150
"""The person is where the mean of the user video's colour channels is above this (spec 0; the videos are lossy)."""


def inside(sample: Sample, index: int, time_s: float) -> bool:
    """Whether a frame of the recording belongs to the sample's span."""
    if sample.first_frame is not None and sample.last_frame is not None:
        return sample.first_frame <= index <= sample.last_frame
    return (sample.start_s or 0.0) - 1e-6 <= time_s and (sample.end_s is None or time_s < sample.end_s - 1e-6)


def past(sample: Sample, index: int, time_s: float) -> bool:
    """Whether the span ended before this frame."""
    if sample.last_frame is not None:
        return index > sample.last_frame
    return sample.end_s is not None and time_s >= sample.end_s - 1e-6


def iter_sample(sample: Sample, color: bool = False) -> Iterator[Frame]:
    """Frames of the sample's span, times from its first frame. `color`: RGB as well as grey.

    Raises GestaError naming the file where one is unreadable, damaged or shorter than the span needs.
    """
    start: float | None = None
    for _, frame in iter_recording(sample, lambda i, t: inside(sample, i, t), color, lambda i, t: past(sample, i, t)):
        start = frame.time_s if start is None else start
        yield _shifted(frame, start)
    if start is None:
        raise GestaError(f"{sample.id}: the span lies outside {sample.files[0]}. Correct the label's frames or times.")


def _shifted(frame: Frame, start_s: float) -> Frame:
    time_s = frame.time_s - start_s
    return Frame(time_s, frame.color, frame.gray, frame.depth_mm, frame.mask, frame.joints_uv)


def iter_recording(
    sample: Sample,
    wanted: Callable[[int, float], bool],
    color: bool = False,
    stop: Callable[[int, float], bool] | None = None,
) -> Iterator[tuple[int, Frame]]:
    """(index, frame) of a recording, for the wanted frames only; the others are decoded but never converted.

    Modalities go side by side by frame index and end with the shortest one.
    """
    joints = read_joints(sample)
    take = False

    def decide(index: int, time_s: float) -> bool:
        nonlocal take
        take = wanted(index, time_s)
        return take

    names: list[str] = []
    streams: list[Iterator[tuple[float, NDArray[Any] | None]]] = []
    for name, resource, kind in _parts(sample, color):
        names.append(name)
        streams.append(iter_frames(resource, kind, decide if not streams else lambda _i, _t: take))
    for index, parts in enumerate(zip(*streams, strict=False)):
        time_s = parts[0][0]
        if stop is not None and stop(index, time_s):
            return
        if joints is not None and index >= len(joints):
            return
        if not take:
            continue
        arrays = dict(zip(names, (array for _, array in parts), strict=True))
        depth, mask = arrays.get("depth"), arrays.get("mask")
        yield (
            index,
            Frame(
                time_s,
                color=arrays.get("color"),
                gray=arrays.get("gray"),
                depth_mm=None if depth is None else _millimetres(depth, sample.depth_unit_mm),
                mask=None if mask is None else mask > MASK_THRESHOLD,
                joints_uv=None if joints is None else joints[index],
            ),
        )


def _parts(sample: Sample, color: bool) -> Iterator[tuple[str, Resource, Kind]]:
    if sample.color is not None:
        yield ("color", sample.color, "rgb") if color else ("gray", sample.color, "gray")
    if sample.depth is not None:
        lossy = sample.depth.name.lower().endswith(".mp4")  # ChaLearn: 8-bit grey in h264
        yield "depth", sample.depth, "gray" if lossy else "gray16"
    if sample.mask is not None:
        yield "mask", sample.mask, "gray"


def _millimetres(raw: NDArray[Any], unit_mm: float) -> NDArray[np.uint16]:
    if unit_mm == 1.0:
        return raw if raw.dtype == np.uint16 else raw.astype(np.uint16)
    if raw.dtype == np.uint8:
        table = np.round(np.arange(256) * unit_mm).clip(0, 65535).astype(np.uint16)
        return np.asarray(cv2.LUT(raw, table), np.uint16)
    return np.round(raw * unit_mm).clip(0, 65535).astype(np.uint16)
