"""Crops of the person and the hand from decoded frames: the pixel part of the transform."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.clips import crops
from gesta.clips.flow import STILL, flow_levels, flow_mirrored
from gesta.clips.plane import Plane, RawFrame, depth_levels
from gesta.clips.skeleton import joint_index
from gesta.clips.transform import COLORS, FLOW, Channel, Transform
from gesta.schema import GestaError

HAND_MARGIN = 0.15  # in h: how much higher the other hand must be to be chosen (rule "so_far")
HAND_LEAK_PER_S = 0.15  # in h: how fast an old height is forgotten
DEPTH_MEMORY = 0.9  # weight of the previous frame's reference depth


class Cropper:
    """Turns groups of frames into pixels S H W C. `hand`: as in gesta.clips.preprocess.Preprocessor."""

    def __init__(self, transform: Transform, joints: Sequence[str], hand: str | None) -> None:
        self.transform = transform
        self._names = tuple(joints)
        self._fixed_hand = hand
        self._index = {n: joint_index(joints, n) for n in ("HipCenter", "Head", "HandLeft", "HandRight")}
        if transform.body == "skeleton" and None in self._index.values():
            lacking = ", ".join(n for n, i in self._index.items() if i is None)
            raise GestaError(f"The skeleton has no joint {lacking}, which the crops need. Joints: {', '.join(joints)}.")
        self.reset()

    def reset(self) -> None:
        """Resets to the state before the first frame."""
        t = self.transform
        self._motion = crops.MotionBox(t.fps, t.box_smoothing)
        self._before: dict[str, Plane] = {}
        self._body: crops.Box | None = None
        self._hand_box: crops.Box | None = None
        self._hand = self._fixed_hand or "left"
        self._heights = {"left": -np.inf, "right": -np.inf}
        self._depth_mm = 0.0
        self._levels = depth_levels(0.0, t.depth_range_mm)

    def preprocess(self, group: Sequence[RawFrame]) -> NDArray[np.uint8]:
        """Preprocesses a chunk of frames, t S H W C. Raises GestaError if they lack what the transform needs."""
        if self.transform.body == "motion":
            for frame in group:
                self._motion.see(*_motion_image(frame))
            self._body = self._motion.follow(*group[0].size)
        return np.stack([self._preprocess_frame(frame) for frame in group])

    @property
    def flips(self) -> bool:
        """Whether the last frame was mirrored because the right hand was chosen."""
        return self.transform.mirror and self.transform.body == "skeleton" and self._hand == "right"

    def _preprocess_frame(self, frame: RawFrame) -> NDArray[np.uint8]:
        t = self.transform
        self._follow(frame)
        planes = {name: _plane(frame, name) for name in {_source(c) for c in t.channels}}
        out = np.zeros(t.frame_shape, np.uint8)
        for s, stream in enumerate(t.pictures):
            box = self._body if stream == "body" else self._hand_box
            if box is not None:
                crop = self._crop(frame, planes, box)
                out[s] = flow_mirrored(crop[:, ::-1], t.planes) if self.flips else crop
        self._before = planes
        return out

    def _crop(self, frame: RawFrame, planes: dict[str, Plane], box: crops.Box) -> NDArray[np.uint8]:
        """All channels of one box, size x size x C."""
        t = self.transform
        mask = frame.mask.crop(box) if frame.mask is not None and t.mask else None
        out = np.empty((t.size, t.size, len(t.planes)), np.uint8)
        flows = self._flows(frame, planes["gray"], box, mask) if any(c in FLOW for c in t.channels) else []
        moved = {name: iter([levels[..., i] for levels in flows]) for i, name in enumerate(FLOW)}
        for c, channel in enumerate(t.planes):  # one at a time: OpenCV has no fast path for two interleaved channels
            if channel in moved:
                out[..., c] = next(moved[channel])
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

    def _flows(
        self, frame: RawFrame, now: Plane, box: crops.Box, mask: NDArray[np.uint8] | None
    ) -> list[NDArray[np.uint8]]:
        """Flow levels up to this frame in the same box, size x size x 2 each; no motion without an earlier frame."""
        t = self.transform
        before = frame.before if t.flow_stack else tuple(filter(None, [self._before.get("gray")]))
        seen = [now, *before]
        shown = [crops.resized(self._smooth(p.crop(box)), t.size) for p in seen if p.raw.shape == now.raw.shape]
        still = np.full((t.size, t.size, 2), STILL, np.uint8)
        flows = [flow_levels(earlier, later) for later, earlier in pairwise(shown)]
        flows += [still] * ((t.flow_stack or 1) - len(flows))
        if mask is not None:
            hidden = crops.resized(mask, t.size)[..., None] < STILL
            flows = [np.where(hidden, np.uint8(0), levels) for levels in flows]
        return flows

    def _smooth(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.asarray(cv2.GaussianBlur(image, (3, 3), 0)) if self.transform.smooth else image

    def _follow(self, frame: RawFrame) -> None:
        """Updates the boxes, the chosen hand and the reference depth for this frame."""
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
            raise GestaError(
                "The model needs a skeleton, but the recording has none. Use a model trained without skeletons."
            )
        if len(uv) != len(self._names):
            raise GestaError(f"A frame has {len(uv)} joints; the stream was opened for {len(self._names)} joints.")
        hip, head, left, right = (uv[self._index[n] or 0] for n in ("HipCenter", "Head", "HandLeft", "HandRight"))
        if not np.isfinite([*hip, *head]).all():
            return  # nobody tracked: keep the previous boxes
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
        """Median depth of the person's pixels in the body box in mm; 0 without any reading."""
        assert frame.depth is not None and self._body is not None
        left, top, right, bottom = self._body
        if (frame.mask is None or not self.transform.mask) and self.transform.body == "skeleton":
            width, height = right - left, bottom - top  # the torso: the middle of the box, between hip and head
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


def _plane(frame: RawFrame, name: str) -> Plane:
    """Gray, one of the colors, or depth. Raises GestaError if the recording has none."""
    if name in COLORS:
        if frame.color is None:
            raise GestaError("The model needs color, but the frames are gray or depth. Use a model trained on them.")
        return Plane(frame.color[..., COLORS.index(name)])
    if name == "gray":
        if frame.gray is None:
            raise GestaError("The model needs color, but the recording has none. Use a model trained on depth.")
        return frame.gray
    if frame.depth is None:
        raise GestaError("The model needs depth, but the recording has none. Use a model trained on RGB.")
    return frame.depth


def _motion_image(frame: RawFrame) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """The image for motion detection, and the lookup table of its levels."""
    if frame.gray is not None:
        return frame.gray.raw, frame.gray.table
    return (np.minimum(_plane(frame, "depth").whole(), 8191) // 32).astype(np.uint8), None  # 32 mm per level
