"""Training windows, cut from recordings or composed of single gestures separated by rests. NumPy only.

Gestures come from single-gesture files and from the labeled spans of recordings; rests are the stretches between spans.
If the data contain no rests, they are generated: a person holding still in the pose at the start of a gesture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gesta.clips.skeleton_augment import SkeletonAugmentation
from gesta.clips.skeleton_sets import JointSet
from gesta.clips.skeleton_space import Skeleton, stretch
from gesta.metrics_events import runs
from gesta.tasks.spotting.data import Track

IGNORED = -1
"""Target of a frame that is ignored in the loss."""
SHORTEST_REST = 8
REST_FRAMES = (8, 60)
STEP_FRAMES = (3, 10)
"""Range of transition lengths between two pieces."""
STILL = 0.01
"""Standard deviation of the joints of a person holding still, relative to the skeleton's size."""

Labeled = tuple[Skeleton, NDArray[np.int64]]
"""Skeleton [T, J, D], target [T]."""


@dataclass(frozen=True)
class Pieces:
    """The material that windows are made from."""

    whole: tuple[Labeled, ...]
    gestures: tuple[Labeled, ...]
    rests: tuple[Skeleton, ...]


def pieces(tracks: Sequence[Track]) -> Pieces:
    """Collect recordings, gestures, and the rests between them. Single-gesture files do not count as recordings."""
    whole = [(t.skeleton, t.target) for t in tracks if not t.recording.isolated]
    gestures, rests = [(t.skeleton, t.target) for t in tracks if t.recording.isolated], []
    for skeleton, target in whole:
        for label, first, last in runs(target):
            part = skeleton[first : last + 1]
            if label > 0:
                gestures.append((part, np.full(len(part), label)))
            elif len(part) >= SHORTEST_REST:
                rests.append(part)
    known = [(s, t) for s, t in gestures if np.isfinite(s).all(axis=(1, 2)).any()]
    return Pieces(tuple(whole), tuple(known), tuple(rests))


@dataclass(frozen=True)
class Windows:
    """Makes windows of `frames` frames. `share`: fraction that is composed; without recordings, all are."""

    pieces: Pieces
    joints: JointSet
    augmentation: SkeletonAugmentation
    frames: int
    share: float

    def draw(self, rng: np.random.Generator) -> Labeled:
        """Return a random augmented window: skeleton [t, J, D], target [t], with t <= `frames`."""
        composed = not self.pieces.whole or (self.pieces.gestures and rng.random() < self.share)
        skeleton, target = self._composed(rng) if composed else self._cut(rng)
        skeleton, target = at_speed(skeleton, target, self._speed(rng))
        start = int(rng.integers(0, max(len(skeleton) - self.frames, 0) + 1))
        skeleton, target = skeleton[start : start + self.frames], target[start : start + self.frames]
        still = self.augmentation.of_fixed_length
        return still(skeleton, self.joints, rng), target

    def _speed(self, rng: np.random.Generator) -> float:
        return float(rng.uniform(1 - self.augmentation.speed, 1 + self.augmentation.speed))

    def _cut(self, rng: np.random.Generator) -> Labeled:
        """Cut a stretch from a recording, drawn with probability proportional to its length."""
        lengths = np.array([len(target) for _, target in self.pieces.whole], float)
        skeleton, target = self.pieces.whole[int(rng.choice(len(lengths), p=lengths / lengths.sum()))]
        wanted = round(self.frames * (1 + self.augmentation.speed)) + 1
        start = int(rng.integers(0, max(len(skeleton) - wanted, 0) + 1))
        return skeleton[start : start + wanted], target[start : start + wanted]

    def _composed(self, rng: np.random.Generator) -> Labeled:
        parts: list[Labeled] = []
        while sum(len(target) for _, target in parts) < self.frames * (1 + self.augmentation.speed):
            rest = self._rest(rng)
            gesture = self.pieces.gestures[int(rng.integers(len(self.pieces.gestures)))]
            parts += [(rest, np.zeros(len(rest), np.int64)), at_speed(*gesture, self._speed(rng))]
        return joined(parts, rng)

    def _rest(self, rng: np.random.Generator) -> Skeleton:
        frames = int(rng.integers(*REST_FRAMES))
        if not self.pieces.rests:
            gesture, _ = self.pieces.gestures[int(rng.integers(len(self.pieces.gestures)))]
            return still_rest(gesture, frames, rng)
        rest = self.pieces.rests[int(rng.integers(len(self.pieces.rests)))]
        start = int(rng.integers(0, max(len(rest) - frames, 0) + 1))
        return rest[start : start + frames]


def still_rest(skeleton: Skeleton, frames: int, rng: np.random.Generator) -> Skeleton:
    """Repeat the first frame in which all joints are seen, with noise on the joints."""
    seen = np.isfinite(skeleton).all(axis=(1, 2))
    pose = skeleton[int(seen.argmax())]
    return (pose + rng.normal(0, STILL, (frames, *pose.shape))).astype(np.float32)


def joined(parts: Sequence[Labeled], rng: np.random.Generator) -> Labeled:
    """Join the parts: each is moved to where the previous one ended, after a transition of class `none`."""
    skeletons, targets = [parts[0][0]], [parts[0][1]]
    for skeleton, target in parts[1:]:
        before = skeletons[-1][-1]
        moved = skeleton + np.nan_to_num(_middle(before) - _middle(skeleton[0]))
        step = transition(before, moved[0], int(rng.integers(*STEP_FRAMES)))
        skeletons += [step, moved.astype(np.float32)]
        targets += [np.zeros(len(step), np.int64), target]
    return np.concatenate(skeletons), np.concatenate(targets)


def transition(before: Skeleton, after: Skeleton, frames: int) -> Skeleton:
    """Interpolate between two poses [J, D], easing in and out; NaN where a joint is missing in either."""
    share = np.linspace(0, 1, frames + 2)[1:-1, None, None]
    share = share**2 * (3 - 2 * share)
    return np.asarray((1 - share) * before + share * after, np.float32)


def at_speed(skeleton: Skeleton, target: NDArray[np.int64], speed: float) -> Labeled:
    """Return the same movement `speed` times as fast, with the target of the nearest frame."""
    frames = max(2, round(len(skeleton) / speed))
    nearest = np.round(np.linspace(0, len(target) - 1, frames)).astype(int)
    return stretch(skeleton, frames), target[nearest]


def _middle(pose: Skeleton) -> NDArray[np.float64]:
    """Return the mean of the visible joints, [D]; NaN if there are none."""
    seen = pose[np.isfinite(pose).all(axis=-1)]
    return seen.mean(axis=0) if len(seen) else np.full(pose.shape[-1], np.nan)


def late(target: NDArray[np.int64], delay: int) -> NDArray[np.int64]:
    """Shift targets by `delay` frames: the network labels the frame `delay` earlier. The first ones are IGNORED."""
    before = np.full(min(delay, len(target)), IGNORED, np.int64)
    return np.concatenate([before, target[: len(target) - len(before)]])
