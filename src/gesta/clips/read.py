"""Sample -> frames with all its modalities aligned, in one decode pass."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gesta.clips import damage
from gesta.clips.decode import Decoded, Kind, decoded, decoded_planes
from gesta.clips.plane import Plane, RawFrame, gray_plane
from gesta.clips.skeleton import read_joints
from gesta.schema import Frame, GestaError, Resource, Sample

F = TypeVar("F", Frame, RawFrame)

ALLOWED_DIFFERENCE = 2
"""Maximum difference in length between the files of a recording: Kinect recorders start and stop streams in turn."""
_BELONG = "Check that the files belong together: gesta data inspect."

MASK_THRESHOLD = 150
"""Mean of the user video's color channels above which a pixel is the person (spec 0; the videos are lossy)."""


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
    """Frames of the sample's span, times from its first frame. `color`: RGB as well as gray.

    Raises GestaError naming the file if one is unreadable, damaged or cut short, or the span contains no frame.
    """
    wanted, stop = span_of(sample)
    lost = LostFrames(sample)
    yield from from_zero(sample, iter_recording(sample, wanted, color, stop, lost), lost)


def iter_raw_sample(sample: Sample, color: bool = False) -> Iterator[RawFrame]:
    """Like iter_sample, with planes as decoded: the same input as for `prepare`, so streams give equal results.

    `color`: the transform's `colored`.
    """
    lost = LostFrames(sample)
    yield from from_zero(sample, iter_raw(sample, *span_of(sample), color, lost), lost)


def span_of(sample: Sample) -> tuple[Callable[[int, float], bool], Callable[[int, float], bool]]:
    """Two predicates of (index, time_s): the frame belongs to the sample; the frame comes after it."""
    return (lambda i, t: inside(sample, i, t)), (lambda i, t: past(sample, i, t))


class LostFrames:
    """Counts the lost frames of a sample's span."""

    def __init__(self, sample: Sample) -> None:
        self._sample = sample
        self.count = 0

    def __call__(self, index: int, time_s: float) -> None:
        self.count += inside(self._sample, index, time_s)

    def check(self, good: int) -> None:
        """Warns about lost frames, given the number of good ones. Raises GestaError if there are too many."""
        damage.check(self._sample.files[0], self.count, self.count + good)


def from_zero(sample: Sample, frames: Iterable[tuple[int, F]], lost: LostFrames) -> Iterator[F]:
    """The sample's frames with times from the first one. Raises GestaError if none is left, or too many are lost."""
    start: float | None = None
    good = 0
    for _, frame in frames:
        start = frame.time_s if start is None else start
        good += 1
        yield replace(frame, time_s=frame.time_s - start)
    lost.check(good)
    if start is None:
        raise GestaError(f"{sample.id}: the span lies outside {sample.files[0]}. Correct the label's frames or times.")


def iter_recording(
    sample: Sample,
    wanted: Callable[[int, float], bool],
    color: bool = False,
    stop: Callable[[int, float], bool] | None = None,
    lost: damage.Lost | None = None,
) -> Iterator[tuple[int, Frame]]:
    """(index, frame) of a recording, for the wanted frames only; the others are decoded but never converted.

    Modalities are aligned by frame index and end with the shortest one. Frames with a part lost to damage are skipped
    and reported to `lost`.
    """
    for index, time_s, parts, joints in _together(sample, wanted, stop, color, lost):
        depth, mask = parts.get("depth"), parts.get("mask")
        yield (
            index,
            Frame(
                time_s,
                color=parts.get("color"),
                gray=None if "gray" not in parts else parts["gray"].whole(),
                depth_mm=None if depth is None else _millimeters(depth, sample).whole().astype(np.uint16),
                mask=None if mask is None else mask.whole() > MASK_THRESHOLD,
                joints_uv=joints,
            ),
        )


def iter_raw(
    sample: Sample,
    wanted: Callable[[int, float], bool],
    stop: Callable[[int, float], bool],
    color: bool = False,
    lost: damage.Lost | None = None,
) -> Generator[tuple[int, RawFrame], None, None]:
    """Like iter_recording, with planes as decoded: for the transform, which needs only crops."""
    for index, time_s, parts, joints in _together(sample, wanted, stop, color, lost):
        depth, mask, colors = parts.get("depth"), parts.get("mask"), parts.get("color")
        yield (
            index,
            RawFrame(
                time_s,
                parts.get("gray") if colors is None else gray_plane(colors),
                None if depth is None else _millimeters(depth, sample),
                None if mask is None else _person(mask),
                joints,
                colors,
            ),
        )


def _together(
    sample: Sample,
    wanted: Callable[[int, float], bool],
    stop: Callable[[int, float], bool] | None,
    color: bool,
    lost: damage.Lost | None,
) -> Iterator[tuple[int, float, dict[str, Any], NDArray[np.float32] | None]]:
    """(index, time_s, images by name, joints) of the wanted frames."""
    joints = read_joints(sample)
    take = False

    def decide(index: int, time_s: float) -> bool:
        nonlocal take
        take = wanted(index, time_s)
        return take

    names: list[str] = []
    streams: list[Iterator[Decoded]] = []
    for name, resource, kind in _parts(sample, color):
        names.append(name)
        chosen = decide if not streams else lambda _i, _t: take
        streams.append((decoded if kind == "rgb" else decoded_planes)(resource, kind, chosen))
    for parts in zip(*streams, strict=False):
        index, time_s = parts[0].number, parts[0].time_s
        if stop is not None and stop(index, time_s):
            return
        if joints is not None and index >= len(joints):
            if index - len(joints) < ALLOWED_DIFFERENCE:
                continue
            raise GestaError(f"{sample.skeleton}: has {len(joints)} frames, but the video is longer. {_BELONG}")
        if any(part.lost for part in parts):
            if lost is not None:
                lost(index, time_s)
        elif take:
            images = dict(zip(names, (part.image for part in parts), strict=True))
            yield index, time_s, images, None if joints is None else joints[index]
    for name, stream in zip(names, streams, strict=True):
        if sum(1 for _ in itertools.islice(stream, ALLOWED_DIFFERENCE + 1)) > ALLOWED_DIFFERENCE:
            raise GestaError(f"{sample.files[0]}: the {name} video continues after another one has ended. {_BELONG}")


def _parts(sample: Sample, color: bool) -> Iterator[tuple[str, Resource, Kind]]:
    if sample.color is not None:
        yield ("color", sample.color, "rgb") if color else ("gray", sample.color, "gray")
    if sample.depth is not None:
        yield "depth", sample.depth, "gray16"
    if sample.mask is not None:
        yield "mask", sample.mask, "gray"


def _millimeters(plane: Plane, sample: Sample) -> Plane:
    """A depth plane whose values are millimeters. Raises GestaError for 8-bit depth without a unit."""
    unit_mm = sample.depth_unit_mm
    check_depth(plane.raw, sample)
    if unit_mm == 1.0:
        return plane
    if plane.raw.dtype != np.uint8:
        return Plane(np.round(plane.whole() * unit_mm).clip(0, 65535).astype(np.uint16))
    levels = np.arange(256) if plane.table is None else plane.table
    return Plane(plane.raw, np.round(levels * unit_mm).clip(0, 65535).astype(np.uint16))


def check_depth(image: NDArray[Any], sample: Sample) -> None:
    """Raises GestaError if the sample's depth has 8 bits and no unit (mm per gray level) is given."""
    if image.dtype == np.uint8 and sample.depth_unit_mm == 1.0:
        raise GestaError(
            f"{sample.depth}: is an 8-bit video, but depth was expected: 16-bit gray (e.g. FFV1 gray16le) in mm. Name "
            "the depth video; or, if its gray levels are distances, give the mm per level as depth_unit_mm in "
            "index.csv."
        )


def _person(plane: Plane) -> Plane:
    """255 on the person, 0 elsewhere."""
    levels = np.arange(256) if plane.table is None else plane.table
    return Plane(plane.raw, np.where(levels > MASK_THRESHOLD, 255, 0).astype(np.uint8))
