"""Applies the transform: frames in, uint8 T S H W C (or skeletons T J D) out. Causal, so live and offline agree."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.clips import shards
from gesta.clips.ahead import ahead
from gesta.clips.clock import Clock, checked_time
from gesta.clips.cropping import Cropper
from gesta.clips.damage import note
from gesta.clips.decode import header_times
from gesta.clips.fused_frames import FusedPreprocessor, JoinedSkeletons, iter_joined, joined
from gesta.clips.plane import Plane, RawFrame, check_frame, raw_frame
from gesta.clips.read import LostFrames, inside, iter_raw, iter_raw_sample, past
from gesta.clips.sampling import central_window, ticks_due
from gesta.clips.skeleton import joint_index, read_joints
from gesta.clips.skeleton_frames import SkeletonPreprocessor, iter_skeleton, recording_frames
from gesta.clips.tracking import FrameTracker
from gesta.clips.transform import Transform
from gesta.schema import KINECT_JOINTS, Clip, Frame, GestaError, Problem, Sample
from gesta.words import counted

LONGEST_GAP_S = 2.0  # longer gaps between two frames (a stalled camera) are clipped to this
LEAST_SHARE = 0.5  # minimum fraction of a span's frames that the recording must contain


class Preprocessor:
    """Preprocesses frames chunk by chunk: resampled to the transform's rate, cropped, scaled, uint8.

    `joints`: joint names of the frames, in order; None: the Kinect's, or the model's for a skeleton stream. `hand`
    fixes the hand ("left", "right") if the rule is "clip"; without it the highest hand so far is used.
    """

    def __init__(self, transform: Transform, joints: Sequence[str] | None = None, hand: str | None = None) -> None:
        self.transform = transform
        self._tracker = None if transform.tracker is None else FrameTracker(transform.tracker)
        self._maker = _maker(transform, joints, hand)
        self.reset()

    def reset(self) -> None:
        """Resets to the state before the first frame."""
        self._maker.reset()
        if self._tracker is not None:
            self._tracker.close()
        self._pending: RawFrame | None = None
        self._past: tuple[Plane, ...] = ()
        self._clock = Clock()
        self._frames = self._restarts = 0
        self._first_s = 0.0
        self._done = 0
        self._group: list[tuple[RawFrame, float]] = []
        self.ends_s: list[float] = []

    def push(self, frame: Frame | RawFrame) -> NDArray[Any]:
        """Adds a frame; returns the preprocessed frames now complete, t S H W C (t = 0 or whole chunks).

        `ends_s` holds the end time of each of these chunks on the frames' own clock. Raises GestaError naming the
        frame if its time is not a number or its images are invalid.
        """
        time_s = self._checked(frame)
        frame = raw_frame(frame) if isinstance(frame, Frame) else frame
        if self._pending is None:
            self._first_s = time_s
        else:
            due = ticks_due(time_s - self._first_s, self.transform.fps, self._done)
            most = round(LONGEST_GAP_S * self.transform.fps)
            self._take(self._pending, min(due, most))
            if due > most:  # the frame lasted longer: the network's input is cut, the clock continues
                self._first_s += (due - most) / self.transform.fps
        self._pending = self._with_past(frame)
        return self._preprocessed(complete=True)

    def flush(self) -> NDArray[Any]:
        """Ends the stream: returns the remaining frames, t S H W C with t up to a chunk, unpadded; then resets."""
        if self._pending is not None:
            self._take(self._pending, 1, self._last_s)
        out = self._preprocessed(complete=False)
        ends_s = self.ends_s
        self.reset()
        self.ends_s = ends_s
        return out

    def _with_past(self, frame: RawFrame) -> RawFrame:
        """The frame with as many preceding frames as its flow needs."""
        past = self._past
        if self.transform.flow_stack and frame.gray is not None:
            self._past = (frame.gray, *past)[: self.transform.flow_stack]
        return replace(frame, before=past) if past else frame

    def _checked(self, frame: Frame | RawFrame) -> float:
        """The frame's time on a monotonic clock. Raises GestaError for an unusable frame."""
        self._frames += 1
        check_frame(frame, self._frames)
        self._last_s = self._clock.at(checked_time(frame.time_s, self._frames))
        if self._clock.restarts and not self._restarts:
            note(
                f"The time stamps of the stream jump back at frame {self._frames}; time continues from the frame "
                "before."
            )
        self._restarts = self._clock.restarts
        return self._last_s

    def _take(self, frame: RawFrame, times: int, least_s: float = -math.inf) -> None:
        """Adds the frame for that many ticks, each with its end time."""
        if times and self._tracker is not None:
            frame = self._tracker(frame)
        for _ in range(times):
            self._done += 1
            self._group.append((frame, max(self._first_s + self._done / self.transform.fps, least_s)))

    def _preprocessed(self, complete: bool) -> NDArray[Any]:
        t, out = self.transform, list[NDArray[Any]]()
        self.ends_s = []
        while len(self._group) >= t.chunk or (self._group and not complete):
            group, self._group = self._group[: t.chunk], self._group[t.chunk :]
            self.ends_s.append(group[-1][1])
            out.append(self._maker.preprocess([frame for frame, _ in group]))
        return np.concatenate(out) if out else t.empty(0)


def _maker(
    transform: Transform, joints: Sequence[str] | None, hand: str | None
) -> Cropper | SkeletonPreprocessor | FusedPreprocessor:
    """The object that turns chunks of frames into arrays."""
    space = transform.skeleton
    if space is not None and not transform.fused:
        return SkeletonPreprocessor(space, joints or space.joints)
    named = joints or KINECT_JOINTS if transform.tracker is None else transform.tracker.crop_joints
    return (Cropper if space is None else FusedPreprocessor)(transform, named, hand)


def highest_hand(sample: Sample) -> str:
    """ "left" or "right": the hand that rises highest in the image over the whole gesture (spec 1, Input 3)."""
    joints = read_joints(sample)
    if joints is None:
        return "left"
    if sample.first_frame is not None and sample.last_frame is not None:
        joints = joints[sample.first_frame : sample.last_frame + 1]
    elif sample.start_s is not None or sample.end_s is not None:
        times = enumerate(header_times(sample.files[0]))
        joints = joints[[n for n, time_s in times if n < len(joints) and inside(sample, n, time_s)]]
    best = {}
    for side in ("left", "right"):
        index = joint_index(sample.joints, f"Hand{side.title()}")
        v = joints[:, index, 1] if index is not None else np.array([], np.float32)
        best[side] = float(np.nanmin(v)) if np.isfinite(v).any() else np.inf
    return "right" if best["right"] < best["left"] else "left"


def preprocessor_for(sample: Sample, transform: Transform) -> Preprocessor:
    """A preprocessor with the joints of the sample's frames and, if the rule is "clip", its hand."""
    if not transform.pictures or transform.tracker is not None:
        return Preprocessor(transform)
    fixed = highest_hand(sample) if transform.body == "skeleton" and transform.hand_rule == "clip" else None
    return Preprocessor(transform, sample.joints, fixed)


def looked_at(sample: Sample, transform: Transform) -> Sample:
    """The sample reduced to the files that the transform uses, and the video that its labels refer to.

    Files that are not needed are not decoded, and may be broken or missing.
    """
    needs = transform.needs
    depth = sample.depth if "depth" in needs or sample.color is None else None
    alone = sample.color is None and depth is None
    crops = transform.body == "skeleton" and "skeleton" in needs
    skeleton = sample.skeleton if crops or alone else None
    return replace(sample, depth=depth, skeleton=skeleton, mask=sample.mask if transform.mask else None)


def raw_frames(sample: Sample, transform: Transform) -> Iterator[RawFrame]:
    """The sample's frames as input to a stream with this transform. Raises GestaError as `iter_raw_sample` does."""
    if transform.skeleton is not None and not _decodes(sample, transform):
        return iter_skeleton(sample, transform.skeleton)
    if transform.fused:
        return iter_joined(sample, looked_at(sample, transform), transform)
    return iter_raw_sample(looked_at(sample, transform), transform.colored)


def _decodes(sample: Sample, transform: Transform) -> bool:
    """Whether the sample's video is decoded: it is not if only its skeleton can be used."""
    return transform.decoded and "pixels" not in transform.withheld(sample.modalities)


def preprocess(sample: Sample, transform: Transform) -> Clip:
    """Preprocesses one sample. Raises GestaError naming the file if it is unreadable or lacks a needed modality."""
    result = next(preprocess_recording([sample], transform))
    if isinstance(result, Problem):
        raise GestaError(str(result))
    return result


def preprocess_recording(samples: Sequence[Sample], transform: Transform) -> Iterator[Clip | Problem]:
    """Preprocesses samples of ONE recording in one decode pass; yields a clip or problem for each, by end of span."""
    if samples and samples[0].files[0].is_packed:
        yield from _packed(samples, transform)
        return
    lacking = {s.id: transform.lacking(s.modalities) for s in samples}
    for s in samples:
        if lacking[s.id]:
            what = " and ".join(lacking[s.id])
            yield Problem(str(s.files[0]), "modality", f"{s.id} has no {what}, which the model's input needs.")
    whole = [s for s in samples if not lacking[s.id]]
    waiting = [looked_at(s, transform) for s in whole]
    if not waiting:
        return
    try:
        if transform.skeleton is not None and not _decodes(whole[0], transform):
            waiting = whole
            yield from _skeletons(waiting, transform)
        else:
            yield from _one_pass(waiting, transform, joined(whole[0], transform))
    except GestaError as error:
        for s in waiting:  # the file is damaged: samples that ended before the damage have been yielded and removed
            yield unreadable(s, error)


def _packed(samples: Sequence[Sample], transform: Transform) -> Iterator[Clip | Problem]:
    """Clips that are already preprocessed."""
    for sample in samples:
        try:
            yield shards.load(sample, transform)
        except GestaError as error:
            yield unreadable(sample, error)


def unreadable(sample: Sample, error: GestaError, kind: str = "unreadable") -> Problem:
    """A problem with the sample's first file as its path; if another file is at fault, the reason names it."""
    path = str(sample.files[0])
    return Problem(path, kind, str(error).removeprefix(f"{path}: "))


def _one_pass(
    waiting: list[Sample], transform: Transform, skeletons: JoinedSkeletons | None
) -> Iterator[Clip | Problem]:
    work = {s.id: (preprocessor_for(s, transform), []) for s in waiting}  # type: ignore[var-annotated]
    lost = {s.id: LostFrames(s) for s in waiting}
    last = list(waiting)

    def wanted(index: int, time_s: float) -> bool:
        return any(inside(s, index, time_s) for s in last)

    def stop(index: int, time_s: float) -> bool:
        return all(past(s, index, time_s) for s in last)

    def finished(ended: Sequence[Sample]) -> Iterator[Clip | Problem]:
        for s in ended:
            waiting.remove(s)
            yield _finished(s, *work.pop(s.id), transform, lost[s.id])

    def lose(index: int, time_s: float) -> None:
        for count in lost.values():
            count(index, time_s)

    try:
        for index, found in ahead(iter_raw(waiting[0], wanted, stop, transform.colored, lose)):
            frame = found if skeletons is None else skeletons.on(found)
            for s in last:
                if inside(s, index, frame.time_s):
                    preprocessor, parts = work[s.id]
                    parts.append(preprocessor.push(frame))
            yield from finished([s for s in waiting if past(s, index, frame.time_s)])
    except GestaError:
        yield from finished([s for s in waiting if len(work[s.id][1]) == _span_frames(s)])  # complete before the damage
        raise
    yield from finished(list(waiting))


def _span_frames(sample: Sample) -> int | None:
    """Length of the span in frames; None if it is not given in frames."""
    if sample.first_frame is None or sample.last_frame is None:
        return None
    return sample.last_frame - sample.first_frame + 1


def _skeletons(waiting: list[Sample], transform: Transform) -> Iterator[Clip | Problem]:
    """Preprocesses samples of one recording from its skeleton alone."""
    assert transform.skeleton is not None
    frames = recording_frames(waiting[0], transform.skeleton)
    for sample in list(waiting):
        own = [frame for i, frame in enumerate(frames) if inside(sample, i, frame.time_s)]
        waiting.remove(sample)
        if own and not any(np.isfinite(frame.joints).any() for frame in own if frame.joints is not None):
            reason = f"{sample.skeleton}: nobody is tracked in any of the {len(own)} frames of {sample.id}."
            yield Problem(str(sample.files[0]), "untracked", reason, "Leave it out.")
            continue
        preprocessor = preprocessor_for(sample, transform)
        yield _clip(sample, [*(preprocessor.push(frame) for frame in own), preprocessor.flush()], len(own), transform)


def _finished(
    sample: Sample, preprocessor: Preprocessor, parts: list[NDArray[np.uint8]], transform: Transform, lost: LostFrames
) -> Clip | Problem:
    try:
        lost.check(len(parts))
    except GestaError as error:
        return unreadable(sample, error)
    frames = [*parts, preprocessor.flush()]
    if transform.tracker is not None and not transform.pictures and not any(np.isfinite(p).any() for p in frames):
        reason = f"{sample.id}: the tracker finds nobody in any of the {len(parts)} frames."
        return Problem(str(sample.files[0]), "untracked", reason, "Leave it out.")
    return _clip(sample, frames, len(parts), transform)


def _clip(sample: Sample, parts: list[NDArray[Any]], frames: int, transform: Transform) -> Clip | Problem:
    """Builds the clip from its preprocessed parts; `frames`: how many frames of the recording they cover."""
    if frames < LEAST_SHARE * (_span_frames(sample) or 1):
        reason = f"{sample.id}: the recording has {counted(frames, 'frame') if frames else 'no frames'} in its span."
        return Problem(str(sample.files[0]), "span", reason, "Correct the label's frames or times.")
    pixels = np.concatenate(parts)
    if transform.sampling == "central":
        start, end = central_window(len(pixels), transform.window)
        pixels = pixels[start:end]
        pixels = np.concatenate([pixels, transform.empty(transform.window - len(pixels))])
    return Clip(pixels, sample.label, sample.subject, sample.id)
