"""Value objects for what a tracker finds in one frame. Validated on construction, immutable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gesta.trackers.joints import BLAZEPOSE_JOINTS, HAND_JOINTS, SIDES, SOUGHT, What

Side = Literal["left", "right"]


def _checked(name: str, points: NDArray[np.float32], count: int) -> None:
    if points.shape != (count, 3) or points.dtype != np.float32:
        raise ValueError(f"{name}: expected float32 [{count}, 3] pixels, got {points.dtype} {points.shape}")
    if not np.isfinite(points).all():
        raise ValueError(f"{name}: landmarks must be finite")


def _share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name}: expected a value from 0 to 1, got {value}")


@dataclass(frozen=True)
class Hand:
    """One hand. `points_px` [21, 3]: column u, row v in pixels of the frame, and depth relative to the wrist in
    pixels, negative towards the camera. `confidence`: probability of a hand. `side`: the person's own left or right in
    an unmirrored frame, with `side_confidence` (0.5 to 1). `track` stays the same while a hand is tracked.
    """

    points_px: NDArray[np.float32]
    confidence: float
    side: Side
    side_confidence: float = 1.0
    track: int = 0

    def __post_init__(self) -> None:
        _checked("hand", self.points_px, len(HAND_JOINTS))
        _share("hand confidence", self.confidence)
        _share("hand side_confidence", self.side_confidence)
        if self.side not in SIDES:
            raise ValueError(f"hand side: expected left or right, got {self.side!r}")


@dataclass(frozen=True)
class Person:
    """One person. `points_px` [33, 3]: column u, row v in pixels of the frame, depth relative to the hips in pixels.

    `visibility` [33]: probability that a point is in the frame and not hidden. `confidence`: probability of a person.
    `mask` [H, W]: True on the person; None if not requested. `track` stays the same while a person is tracked.
    """

    points_px: NDArray[np.float32]
    visibility: NDArray[np.float32]
    confidence: float
    mask: NDArray[np.bool_] | None = None
    track: int = 0

    def __post_init__(self) -> None:
        _checked("person", self.points_px, len(BLAZEPOSE_JOINTS))
        _share("person confidence", self.confidence)
        if self.visibility.shape != (len(BLAZEPOSE_JOINTS),):
            raise ValueError(f"person visibility: expected [33], got {self.visibility.shape}")
        if not ((self.visibility >= 0) & (self.visibility <= 1)).all():
            raise ValueError("person visibility: expected values from 0 to 1")


@dataclass(frozen=True)
class Landmarks:
    """Landmarks found in the frame at `time_s`, of `size` (height, width)."""

    time_s: float
    size: tuple[int, int]
    hands: tuple[Hand, ...] = ()
    person: Person | None = None

    def __post_init__(self) -> None:
        if not np.isfinite(self.time_s):
            raise ValueError(f"landmarks: time_s must be finite, got {self.time_s}")
        if min(self.size) < 1:
            raise ValueError(f"landmarks: size must be positive, got {self.size}")

    def hand(self, side: Side) -> Hand | None:
        """The hand on that side. If both hands are classified as the same side, the more confident one keeps it."""
        places = dict(zip(SIDES, placed(self.hands), strict=True))
        return places[side]

    def joints(self, what: What) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(pixels [N, 3], confidence [N]) in the order of `joint_names(what)`; NaN and 0 for missing joints."""
        parts = [_person_rows(self.person)] if SOUGHT[what].body else []
        if SOUGHT[what].hands:
            parts += [_hand_rows(hand) for hand in placed(self.hands)]
        points, confidence = zip(*parts, strict=True)
        return np.concatenate(points), np.concatenate(confidence)


def placed(hands: tuple[Hand, ...]) -> tuple[Hand | None, Hand | None]:
    """(left, right): hands assigned by side confidence; a second hand of the same side takes the free place."""
    places: dict[Side, Hand | None] = {"left": None, "right": None}
    for hand in sorted(hands, key=lambda hand: -hand.side_confidence):
        other: Side = "left" if hand.side == "right" else "right"
        free = hand.side if places[hand.side] is None else other
        if places[free] is None:
            places[free] = hand
    return places["left"], places["right"]


def _hand_rows(hand: Hand | None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    count = len(HAND_JOINTS)
    if hand is None:
        return np.full((count, 3), np.nan, np.float32), np.zeros(count, np.float32)
    return hand.points_px, np.full(count, hand.confidence, np.float32)


def _person_rows(person: Person | None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    count = len(BLAZEPOSE_JOINTS)
    if person is None:
        return np.full((count, 3), np.nan, np.float32), np.zeros(count, np.float32)
    return person.points_px, person.visibility.astype(np.float32)
