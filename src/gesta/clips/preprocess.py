"""The transform at work: frames in, uint8 T S H W C out. Causal, so that live equals offline."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.clips import crops
from gesta.clips.ahead import ahead
from gesta.clips.clock import Clock, checked_time
from gesta.clips.damage import note
from gesta.clips.decode import header_times
from gesta.clips.flow import STILL, flow_levels, mirrored
from gesta.clips.plane import Plane, RawFrame, check_frame, depth_levels, raw_frame
from gesta.clips.read import LostFrames, inside, iter_raw, iter_raw_sample, past
from gesta.clips.sampling import central_window, ticks_due
from gesta.clips.skeleton import joint_index, read_joints
from gesta.clips.transform import COLORS, FLOW, Channel, Transform
from gesta.schema import KINECT_JOINTS, Clip, Frame, GestaError, Problem, Sample

HAND_MARGIN = 0.15  # of h: how much higher the other hand must be before it is taken (rule "so_far")
HAND_LEAK_PER_S = 0.15  # of h: how fast an old height is forgotten
LONGEST_GAP_S = 2.0  # a longer pause between two frames counts as one of this length: a stalled camera
LEAST_SHARE = 0.5  # of a span of frames must lie inside the recording
DEPTH_MEMORY = 0.9  # weight of the previous frame's reference depth


class Preprocessor:
    """Turns frames into preprocessed ones, a chunk at a time: at the transform's rate, cropped, scaled, uint8.

    `hand` fixes the hand ("left", "right") where the rule is "clip"; without it the highest hand so far is taken.
    """

    def __init__(self, transform: Transform, joints: Sequence[str] = KINECT_JOINTS, hand: str | None = None) -> None:
        self.transform = transform
        self._names = tuple(joints)
        self._fixed_hand = hand
        self._index = {n: joint_index(joints, n) for n in ("HipCenter", "Head", "HandLeft", "HandRight")}
        if transform.body == "skeleton" and None in self._index.values():
            lacking = ", ".join(n for n, i in self._index.items() if i is None)
            raise GestaError(f"The skeleton has no joint {lacking}, which the crops need. Joints: {', '.join(joints)}.")
        self.reset()

    def reset(self) -> None:
        """Forgets everything, as before the first frame."""
        t = self.transform
        self._pending: RawFrame | None = None
        self._clock = Clock()
        self._frames = self._restarts = 0
        self._first_s = 0.0
        self._done = 0
        self._group: list[tuple[RawFrame, float]] = []
        self.ends_s: list[float] = []
        self._motion = crops.MotionBox(t.fps, t.box_smoothing)
        self._before: dict[str, Plane] = {}
        self._body: crops.Box | None = None
        self._hand_box: crops.Box | None = None
        self._hand = self._fixed_hand or "left"
        self._heights = {"left": -np.inf, "right": -np.inf}
        self._depth_mm = 0.0
        self._levels = depth_levels(0.0, t.depth_range_mm)

    def push(self, frame: Frame | RawFrame) -> NDArray[np.uint8]:
        """Adds a frame; returns the preprocessed frames that are complete now, t S H W C (t = 0 or whole chunks).

        `ends_s` has the time of the frames' own clock at which each of these chunks ends. Raises GestaError that names
        the frame where its time is no number or its images are none.
        """
        time_s = self._checked(frame)
        frame = raw_frame(frame) if isinstance(frame, Frame) else frame
        if self._pending is None:
            self._first_s = time_s
        else:
            due = ticks_due(time_s - self._first_s, self.transform.fps, self._done)
            most = round(LONGEST_GAP_S * self.transform.fps)
            self._take(self._pending, min(due, most))
            if due > most:  # the frame was on for longer: what the network sees is cut, the clock goes on
                self._first_s += (due - most) / self.transform.fps
        self._pending = frame
        return self._preprocessed(complete=True)

    def flush(self) -> NDArray[np.uint8]:
        """The end: the frames left over, t S H W C with t up to a chunk; not padded. Starts anew afterwards."""
        if self._pending is not None:
            self._take(self._pending, 1, self._last_s)
        out = self._preprocessed(complete=False)
        ends_s = self.ends_s
        self.reset()
        self.ends_s = ends_s
        return out

    def _checked(self, frame: Frame | RawFrame) -> float:
        """The frame's time on a clock that does not run back. Raises GestaError for a frame that cannot be used."""
        self._frames += 1
        check_frame(frame, self._frames)
        self._last_s = self._clock.at(checked_time(frame.time_s, self._frames))
        if self._clock.restarts and not self._restarts:
            note(f"The clock of the stream jumps back at frame {self._frames}; it continues after the frame before.")
        self._restarts = self._clock.restarts
        return self._last_s

    def _take(self, frame: RawFrame, times: int, least_s: float = -math.inf) -> None:
        """The frame for as many ticks, with the time at which each of them ends."""
        for _ in range(times):
            self._done += 1
            self._group.append((frame, max(self._first_s + self._done / self.transform.fps, least_s)))

    def _preprocessed(self, complete: bool) -> NDArray[np.uint8]:
        t, out = self.transform, []
        self.ends_s = []
        while len(self._group) >= t.chunk or (self._group and not complete):
            group, self._group = self._group[: t.chunk], self._group[t.chunk :]
            self.ends_s.append(group[-1][1])
            out += self._preprocess_group([frame for frame, _ in group])
        return np.stack(out) if out else np.zeros((0, *t.frame_shape), np.uint8)

    def _preprocess_group(self, group: list[RawFrame]) -> list[NDArray[np.uint8]]:
        if self.transform.body == "motion":
            for frame in group:
                self._motion.see(*_motion_image(frame))
            self._body = self._motion.follow(*group[0].size)
        return [self._preprocess_frame(frame) for frame in group]

    def _preprocess_frame(self, frame: RawFrame) -> NDArray[np.uint8]:
        t = self.transform
        self._follow(frame)
        planes = {name: _plane(frame, name) for name in {_source(c) for c in t.channels}}
        out = np.zeros(t.frame_shape, np.uint8)
        flip = t.mirror and t.body == "skeleton" and self._hand == "right"
        for s, stream in enumerate(t.streams):
            box = self._body if stream == "body" else self._hand_box
            if box is not None:
                crop = self._crop(frame, planes, box)
                out[s] = _mirrored(crop, t.channels) if flip else crop
        self._before = planes
        return out

    def _crop(self, frame: RawFrame, planes: dict[str, Plane], box: crops.Box) -> NDArray[np.uint8]:
        """All channels of one box, size x size x C."""
        t = self.transform
        mask = frame.mask.crop(box) if frame.mask is not None and t.mask else None
        out = np.empty((t.size, t.size, len(t.channels)), np.uint8)
        flow = self._flow(planes["gray"], box, mask) if any(c in FLOW for c in t.channels) else None
        for c, channel in enumerate(t.channels):  # one by one: OpenCV has no fast way for two channels side by side
            if flow is not None and channel in FLOW:
                out[..., c] = flow[..., FLOW.index(channel)]
                continue
            image = self._channel(planes, channel, box)
            if mask is not None:
                image = np.asarray(cv2.bitwise_and(image, mask))
            out[..., c] = crops.resized(self._smooth(image), t.size)
        return out

    def _channel(self, planes: dict[str, Plane], channel: Channel, box: crops.Box) -> NDArray[np.uint8]:
        name = channel.removesuffix("_difference")
        levels = self._levels if name == "depth" else None
        image = planes[name].crop(box, levels)
        if channel.endswith("_difference"):
            before = self._before.get(name, planes[name])
            other = before.crop(box, levels) if before.raw.shape == planes[name].raw.shape else image
            gain = self.transform.difference_gain
            image = cv2.addWeighted(image, gain, other, -gain, 128.0)
        return np.asarray(image, np.uint8)

    def _flow(self, now: Plane, box: crops.Box, mask: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
        """Levels of the flow from the frame before, size x size x 2, in the same box; still in the first frame."""
        t = self.transform
        before = self._before.get("gray", now)
        if before is now or before.raw.shape != now.raw.shape:
            levels = np.full((t.size, t.size, 2), STILL, np.uint8)
        else:
            pair = (crops.resized(self._smooth(plane.crop(box)), t.size) for plane in (before, now))
            levels = flow_levels(*pair)
        if mask is not None:
            levels[crops.resized(mask, t.size) < STILL] = 0
        return levels

    def _smooth(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.asarray(cv2.GaussianBlur(image, (3, 3), 0)) if self.transform.smooth else image

    def _follow(self, frame: RawFrame) -> None:
        """Moves the boxes, the chosen hand and the reference depth on to this frame."""
        t = self.transform
        height, width = frame.size
        if t.body == "skeleton":
            self._follow_skeleton(frame)
        if self._body is None or t.body == "frame":
            self._body = crops.whole_frame(height, width)
        if frame.depth is not None and any(c.startswith("depth") for c in t.channels):
            seen = self._person_depth(frame)
            old = self._depth_mm or seen
            self._depth_mm = DEPTH_MEMORY * old + (1 - DEPTH_MEMORY) * seen if seen else old
            self._levels = depth_levels(self._depth_mm, t.depth_range_mm)

    def _follow_skeleton(self, frame: RawFrame) -> None:
        t = self.transform
        uv = frame.joints_uv
        if uv is None:
            raise GestaError("The model needs a skeleton, and the recording has none. Use a model trained without.")
        if len(uv) != len(self._names):
            raise GestaError(f"A frame has {len(uv)} joints; the stream was opened for {len(self._names)} of them.")
        hip, head, left, right = (uv[self._index[n] or 0] for n in ("HipCenter", "Head", "HandLeft", "HandRight"))
        if not np.isfinite([*hip, *head]).all():
            return  # nobody tracked: the boxes stay where they were
        h = max(float(np.linalg.norm(hip - head)), 1.0)
        self._choose_hand(float(hip[1]), h, float(left[1]), float(right[1]))
        hand = left if self._hand == "left" else right
        self._body = self._smoothed(self._body, crops.body_box(hip, head, t))
        if np.isfinite(hand).all():
            self._hand_box = crops.hand_box(hand, h, t)

    def _choose_hand(self, hip_v: float, h: float, left_v: float, right_v: float) -> None:
        if self._fixed_hand is not None:
            return
        leak = HAND_LEAK_PER_S / self.transform.fps
        for side, v in (("left", left_v), ("right", right_v)):
            height = (hip_v - v) / h if np.isfinite(v) else -np.inf
            self._heights[side] = max(self._heights[side] - leak, height)
        other = "right" if self._hand == "left" else "left"
        if self._heights[other] > self._heights[self._hand] + HAND_MARGIN:
            self._hand = other

    def _smoothed(self, old: crops.Box | None, new: crops.Box) -> crops.Box:
        a = self.transform.box_smoothing
        if old is None or a == 0:
            return new
        left, top, right, bottom = (a * o + (1 - a) * n for o, n in zip(old, new, strict=True))
        return left, top, right, bottom

    def _person_depth(self, frame: RawFrame) -> float:
        """Median depth of the person's pixels in the body box, mm; 0 where there is no reading."""
        assert frame.depth is not None and self._body is not None
        left, top, right, bottom = self._body
        if (frame.mask is None or not self.transform.mask) and self.transform.body == "skeleton":
            width, height = right - left, bottom - top  # the torso: in the middle, between hip and head
            left, right = left + width * 3 / 8, left + width * 5 / 8
            top, bottom = top + height / 3, top + height * 2 / 3
        box = (left, top, right, bottom)
        depth = Plane(crops.cut(frame.depth.raw, box)[::4, ::4], frame.depth.table).whole()
        valid = depth > 0
        if frame.mask is not None and self.transform.mask:
            valid &= Plane(crops.cut(frame.mask.raw, box)[::4, ::4], frame.mask.table).whole() > 0
        values = depth[valid]
        return float(np.median(values)) if values.size else 0.0


def _source(channel: Channel) -> str:
    """The plane that a channel is computed from."""
    return "gray" if channel in FLOW else channel.removesuffix("_difference")


def _mirrored(crop: NDArray[np.uint8], channels: Sequence[Channel]) -> NDArray[np.uint8]:
    """H W C as in a mirror: what went to the right goes to the left."""
    out = crop[:, ::-1]
    if "flow_x" in channels:
        out = out.copy()
        out[..., channels.index("flow_x")] = mirrored(out[..., channels.index("flow_x")])
    return out


def _plane(frame: RawFrame, name: str) -> Plane:
    """Grey, one of the colours, or depth. Raises GestaError where the recording has none."""
    if name in COLORS:
        if frame.color is None:
            raise GestaError("The model needs colour, and the frames are grey or depth. Use a model trained on them.")
        return Plane(frame.color[..., COLORS.index(name)])
    if name == "gray":
        if frame.gray is None:
            raise GestaError("The model needs colour, and the recording has none. Use a model trained on depth.")
        return frame.gray
    if frame.depth is None:
        raise GestaError("The model needs depth, and the recording has none. Use a model trained on RGB.")
    return frame.depth


def _motion_image(frame: RawFrame) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """The image that motion is looked for in, and the table of its levels."""
    if frame.gray is not None:
        return frame.gray.raw, frame.gray.table
    return (np.minimum(_plane(frame, "depth").whole(), 8191) // 32).astype(np.uint8), None  # 32 mm a level


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
    """A preprocessor with the sample's joints and, where the rule is "clip", its hand."""
    fixed = highest_hand(sample) if transform.body == "skeleton" and transform.hand_rule == "clip" else None
    return Preprocessor(transform, sample.joints, fixed)


def looked_at(sample: Sample, transform: Transform) -> Sample:
    """The sample with what the transform looks at only, and the video that its labels count in.

    What is not needed is not decoded, and may be broken or missing.
    """
    needs = transform.needs
    depth = sample.depth if "depth" in needs or sample.color is None else None
    skeleton = sample.skeleton if "skeleton" in needs else None
    return replace(sample, depth=depth, skeleton=skeleton, mask=sample.mask if transform.mask else None)


def raw_frames(sample: Sample, transform: Transform) -> Iterator[RawFrame]:
    """The sample's frames as a stream of this transform takes them. Raises GestaError as `iter_raw_sample` does."""
    return iter_raw_sample(looked_at(sample, transform), transform.colored)


def preprocess(sample: Sample, transform: Transform) -> Clip:
    """One sample. Raises GestaError naming the file for what cannot be read or lacks what the transform needs."""
    result = next(preprocess_recording([sample], transform))
    if isinstance(result, Problem):
        raise GestaError(str(result))
    return result


def preprocess_recording(samples: Sequence[Sample], transform: Transform) -> Iterator[Clip | Problem]:
    """Samples of ONE recording, in one decode pass; yields a clip or a problem for each, in the order they end."""
    lacking = {s.id: [m for m in transform.needs if getattr(s, m) is None] for s in samples}
    for s in samples:
        if lacking[s.id]:
            what = " and ".join(lacking[s.id])
            yield Problem(str(s.files[0]), "modality", f"{s.id} has no {what}, which the model's input needs.")
    waiting = [looked_at(s, transform) for s in samples if not lacking[s.id]]
    if not waiting:
        return
    try:
        yield from _one_pass(waiting, transform)
    except GestaError as error:
        for s in waiting:  # the damage lies in the file: what ended before it has been yielded and removed
            yield unreadable(s, error)


def unreadable(sample: Sample, error: GestaError, kind: str = "unreadable") -> Problem:
    """A problem that names the sample's first file, and in its reason another one if that is to blame."""
    path = str(sample.files[0])
    return Problem(path, kind, str(error).removeprefix(f"{path}: "))


def _one_pass(waiting: list[Sample], transform: Transform) -> Iterator[Clip | Problem]:
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
        for index, frame in ahead(iter_raw(waiting[0], wanted, stop, transform.colored, lose)):
            for s in last:
                if inside(s, index, frame.time_s):
                    preprocessor, parts = work[s.id]
                    parts.append(preprocessor.push(frame))
            yield from finished([s for s in waiting if past(s, index, frame.time_s)])
    except GestaError:
        yield from finished([s for s in waiting if len(work[s.id][1]) == _span_frames(s)])  # whole before the damage
        raise
    yield from finished(list(waiting))


def _span_frames(sample: Sample) -> int | None:
    """Frames between the sample's first and last, where it is a span of frames."""
    if sample.first_frame is None or sample.last_frame is None:
        return None
    return sample.last_frame - sample.first_frame + 1


def _finished(
    sample: Sample, preprocessor: Preprocessor, parts: list[NDArray[np.uint8]], transform: Transform, lost: LostFrames
) -> Clip | Problem:
    try:
        lost.check(len(parts))
    except GestaError as error:
        return unreadable(sample, error)
    pixels = np.concatenate([*parts, preprocessor.flush()])
    if len(parts) < LEAST_SHARE * (_span_frames(sample) or 1):
        reason = f"{sample.id}: the recording holds {len(parts) or 'no'} frames of its span."
        return Problem(str(sample.files[0]), "span", reason, "Correct the label's frames or times.")
    if transform.sampling == "central":
        start, end = central_window(len(pixels), transform.window)
        pixels = pixels[start:end]
        pad = np.zeros((transform.window - len(pixels), *pixels.shape[1:]), np.uint8)
        pixels = np.concatenate([pixels, pad])
    return Clip(pixels, sample.label, sample.subject, sample.id)
