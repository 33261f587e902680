"""The skeleton stream: recordings -> frames of joints in a model's order -> normalized skeletons.

No video is decoded. A recording's times come from its skeleton file, else from its video (matched frame by frame), else
from its frame rate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gesta.clips.decode import frame_rate, header_times
from gesta.clips.plane import RawFrame
from gesta.clips.read import inside
from gesta.clips.skeleton import suffix_of
from gesta.clips.skeleton_files import Skeletons, read_skeletons
from gesta.clips.skeleton_sets import describe_joints, order_of
from gesta.clips.skeleton_space import Normalizer, Skeleton, SkeletonSpace
from gesta.schema import GestaError, Resource, Sample

UNKNOWN_FPS = 30.0
"""Frame rate assumed for skeletons without times or a rate."""


class SkeletonPreprocessor:
    """Turns frames with joints into normalized skeletons J D. `joints`: joint names of the frames, in order.

    Raises GestaError if they differ from the space's.
    """

    def __init__(self, space: SkeletonSpace, joints: Sequence[str]) -> None:
        self.space = space
        self._order, self._count = _order(joints, space), len(joints)
        self._normalize = Normalizer(space)

    def reset(self) -> None:
        """Resets to the state before the first frame."""
        self._normalize.reset()

    def preprocess(self, group: Sequence[RawFrame]) -> Skeleton:
        """Preprocesses a chunk of frames, t J D. Raises GestaError if one has no joints, or a different number."""
        return np.stack([self._frame(frame) for frame in group])

    def _frame(self, frame: RawFrame) -> Skeleton:
        if frame.joints is None:
            raise GestaError("The model needs a skeleton, but the frames have none. Give each frame its joints.")
        wanted = (self._count, self.space.dimensions)
        if frame.joints.shape != wanted:
            raise GestaError(
                f"A frame has joints of shape {list(frame.joints.shape)}; the model takes {wanted[0]} joints in "
                f"{wanted[1]}-D."
            )
        seen = None if frame.confidence is None else frame.confidence[None, self._order]
        found: Skeleton = self._normalize(frame.joints[None, self._order], seen)[0]
        return found


def skeletons_of(sample: Sample, joints: Sequence[str] | None = None) -> Skeletons:
    """Content of the sample's skeleton file, for the whole recording. `joints`: for a `.npy` without joint names.

    Raises GestaError naming the file.
    """
    if sample.skeleton is None:
        raise GestaError(f"{sample.id} has no skeleton, which the model's input needs.")
    named = suffix_of(sample.skeleton) == ".npy"  # the other formats define their joints
    return read_skeletons(sample.skeleton, (sample.joints or joints) if named else None)


def recording_frames(sample: Sample, space: SkeletonSpace) -> list[RawFrame]:
    """Every frame of the sample's recording, joints in the order of the space, times from the first frame.

    Raises GestaError naming the file if it cannot be read, or its joints differ from the space's.
    """
    found = skeletons_of(sample, space.joints)
    try:
        order = _order(found.joints, space)
        if found.values.shape[2] != space.dimensions:
            raise GestaError(
                f"its joints are {found.values.shape[2]}-D, but the model takes {space.dimensions}-D ones."
            )
    except GestaError as error:
        raise GestaError(f"{sample.skeleton}: {error}") from error
    values = found.values[:, order]
    seen = None if found.confidence is None else found.confidence[:, order]
    return [
        RawFrame(float(time_s), joints=values[i], confidence=None if seen is None else seen[i])
        for i, time_s in enumerate(times_of(sample, found))
    ]


def iter_skeleton(sample: Sample, space: SkeletonSpace) -> Iterator[RawFrame]:
    """Frames of the sample's span, times from its first one. Raises GestaError as `recording_frames` does, and if the
    span has no frame."""
    frames = [f for i, f in enumerate(recording_frames(sample, space)) if inside(sample, i, f.time_s)]
    if not frames:
        raise GestaError(f"{sample.id}: the span lies outside {sample.skeleton}. Correct the label's frames or times.")
    for frame in frames:
        yield replace(frame, time_s=frame.time_s - frames[0].time_s)


def times_of(sample: Sample, found: Skeletons) -> NDArray[np.float64]:
    """Times of all frames of the skeleton in seconds, from the first one."""
    count = len(found.values)
    if found.times_s is not None:
        return np.asarray(found.times_s - found.times_s[0])
    video = sample.color or sample.depth
    if video is None:
        return np.arange(count) / _rate(sample.skeleton, found)
    times = np.array(header_times(video, "color" if sample.color is not None else "depth")[:count])
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1 / UNKNOWN_FPS
    last = times[-1] if len(times) else 0.0
    return np.concatenate([times, last + step * np.arange(1, count - len(times) + 1)])


def rate_of(sample: Sample) -> float | None:
    """Frames per second from the headers of a recording's video, else of its skeleton; None if unknown."""
    if sample.files[0].is_packed:
        return sample.files[0].fps
    video = sample.color or sample.depth
    if video is not None:
        return frame_rate(video)
    try:
        found = skeletons_of(sample)
    except GestaError:
        return None
    if found.times_s is not None and len(found.times_s) > 1 and found.times_s[-1] > found.times_s[0]:
        return float((len(found.times_s) - 1) / (found.times_s[-1] - found.times_s[0]))
    return (sample.skeleton.fps if sample.skeleton else None) or found.fps


def _rate(resource: Resource | None, found: Skeletons) -> float:
    return (resource.fps if resource is not None else None) or found.fps or UNKNOWN_FPS


def _order(joints: Sequence[str], space: SkeletonSpace) -> list[int]:
    """Indices of the space's joints in `joints`. Raises GestaError if the joint sets differ."""
    order = order_of(joints, space.joints)
    if order is None:
        raise GestaError(
            f"it has {describe_joints(joints)}, but the model takes {describe_joints(space.joints)}. "
            "Leave it out, or train on recordings of one joint set."
        )
    return order
