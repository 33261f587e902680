"""Pixels and skeletons of the same frames, as T records of both. Missing pixels are black, missing skeletons NaN."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.clips.cropping import Cropper
from gesta.clips.plane import RawFrame
from gesta.clips.read import LostFrames, from_zero, iter_raw, span_of
from gesta.clips.skeleton_augment import mirrored
from gesta.clips.skeleton_frames import SkeletonPreprocessor, recording_frames
from gesta.clips.skeleton_sets import joint_set
from gesta.clips.skeleton_space import SkeletonSpace
from gesta.clips.transform import COLORS, Transform
from gesta.schema import Sample

LATE_S = 0.005
"""How much later than its frame a skeleton may be: clocks are rounded to milliseconds."""


class FusedPreprocessor:
    """Turns frames into records of pixels S H W C and a skeleton J D.

    If the body crop should follow a skeleton and there is none, it follows motion and the hand stream is black. If the
    crops are mirrored to one hand, so is the skeleton. `joints`: those that the crops follow.
    """

    def __init__(self, transform: Transform, joints: Sequence[str], hand: str | None) -> None:
        assert transform.skeleton is not None
        self.transform, self._hand, self._crop_joints = transform, hand, joints
        self._set = joint_set(transform.skeleton.joints)
        self._skeleton = SkeletonPreprocessor(transform.skeleton, transform.skeleton.joints)
        self.reset()

    def reset(self) -> None:
        """Resets to the state before the first frame."""
        self._skeleton.reset()
        self._cropper: Cropper | None = None

    def preprocess(self, group: Sequence[RawFrame]) -> NDArray[Any]:
        """Preprocesses a chunk of frames into t records. Raises GestaError if frames have joints of another set."""
        out = self.transform.empty(len(group))
        tracked = [i for i, frame in enumerate(group) if frame.joints is not None]
        if tracked:
            out["skeleton"][tracked] = self._skeleton.preprocess([group[i] for i in tracked])
        if all(self._shows(frame) for frame in group):
            cropper = self._opened(group[0])
            out["pixels"] = cropper.preprocess(group)
            if cropper.flips:
                out["skeleton"] = mirrored(out["skeleton"], self._set)
        return out

    def _opened(self, frame: RawFrame) -> Cropper:
        """The cropper of this recording: by motion if crops need a skeleton that its first frame lacks."""
        if self._cropper is None:
            by_motion = self.transform.body == "skeleton" and frame.joints_uv is None
            changed = self.transform.model_copy(update={"body": "motion"}) if by_motion else self.transform
            self._cropper = Cropper(changed, self._crop_joints, self._hand)
        return self._cropper

    def _shows(self, frame: RawFrame) -> bool:
        """Whether a frame has the source images of every channel."""
        has = {"depth": frame.depth is not None, "gray": frame.gray is not None, "flow": frame.gray is not None}
        has |= dict.fromkeys(COLORS, frame.color is not None)
        return all(has[channel.split("_")[0]] for channel in self.transform.channels)


class JoinedSkeletons:
    """Matches skeletons of a recording to the frames of its video by time: each frame gets the latest one so far."""

    def __init__(self, sample: Sample, space: SkeletonSpace) -> None:
        self._frames = recording_frames(sample, space)
        self._times = np.array([frame.time_s for frame in self._frames])
        steps = np.diff(self._times)
        self._longest_s = 2 * float(np.median(steps)) if len(steps) else 0.1

    def on(self, frame: RawFrame) -> RawFrame:
        """The frame with its joints; without them before the first skeleton or over two frames after the last one."""
        place = int(np.searchsorted(self._times, frame.time_s + LATE_S, side="right")) - 1
        if place < 0 or frame.time_s - self._times[place] > self._longest_s + LATE_S:
            return frame
        return replace(frame, joints=self._frames[place].joints, confidence=self._frames[place].confidence)


def joined(sample: Sample, transform: Transform) -> JoinedSkeletons | None:
    """The skeletons to join to the sample's frames; None if it has none or the transform does not need them."""
    if not transform.fused or transform.tracker is not None or sample.skeleton is None or transform.skeleton is None:
        return None
    return JoinedSkeletons(sample, transform.skeleton)


def iter_joined(sample: Sample, looked_at: Sample, transform: Transform) -> Iterator[RawFrame]:
    """Frames of the sample's span with skeletons, times from the first frame. Raises GestaError as `iter_raw` does."""
    skeletons, lost = joined(sample, transform), LostFrames(sample)
    frames = iter_raw(looked_at, *span_of(sample), transform.colored, lost)
    yield from from_zero(sample, ((i, f if skeletons is None else skeletons.on(f)) for i, f in frames), lost)
