"""Following hands: stand-in networks that find colored discs, so that the truth is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gesta.trackers.detector import Detection
from gesta.trackers.hands import HandTracker
from gesta.trackers.landmarks import placed

RADIUS = 16
SHAPE = np.array([[0, 60], *((12 * (f - 2), 45 - 22 * p) for f in range(5) for p in range(4))], np.float32)  # 21 2
RED = {"left": 160, "right": 250}


def scene(**centers: tuple[float, float]) -> np.ndarray:
    """A frame with a disc for each hand: `left=(u, v)`; the one named last is in front."""
    image = np.zeros((240, 320, 3), np.uint8)
    for side, (u, v) in centers.items():
        cv2.circle(image, (round(u), round(v)), RADIUS, (RED[side], 0, 0), -1)
    return image


class Palms:
    """Finds the discs of the whole frame."""

    calls = 0

    def __call__(self, image):
        self.calls += 1
        found = []
        for red in RED.values():
            rows, columns = np.nonzero(image[..., 0] == red)
            if len(rows) > 200:
                center = np.array([columns.mean(), rows.mean()], np.float32)
                keypoints = np.tile(center, (7, 1))
                keypoints[0, 1] += RADIUS
                found.append(Detection(np.concatenate([center - RADIUS, center + RADIUS]), keypoints, 0.9))
        return found


class Discs:
    """Landmarks around the disc nearest to the middle of a region; how big it is in the region does not matter."""

    size = 224
    says: float | None = None  # instead of the truth about left and right

    def __call__(self, crop):
        red = crop[..., 0]
        best = None
        for side, value in RED.items():
            rows, columns = np.nonzero(np.abs(red.astype(int) - value) < 20)
            if len(rows) > 400:  # not the blurred edge of the other
                center = np.array([columns.mean(), rows.mean()])
                distance = np.linalg.norm(center - 112)
                if best is None or distance < best[0]:
                    best = (distance, side, center, np.sqrt(len(rows) / np.pi))
        if best is None:
            return np.zeros((1, 63), np.float32), np.zeros((1, 1), np.float32), np.zeros((1, 1), np.float32)
        _, side, center, radius = best
        points = np.zeros((21, 3), np.float32)
        points[:, :2] = center + SHAPE * radius / RADIUS * 0.5
        right = self.says if self.says is not None else float(side == "right") * 0.8 + 0.1
        return points.reshape(1, 63), np.full((1, 1), 0.9, np.float32), np.full((1, 1), right, np.float32)


def tracker(**options) -> HandTracker:
    return HandTracker(Palms(), Discs(), **options)


def center(hand) -> np.ndarray:
    return hand.points_px[:, :2].mean(axis=0)


def test_landmarks_are_where_the_hand_is():
    (hand,) = tracker().step(scene(right=(100, 120)), 0.0)
    middle = np.array([100, 120]) + SHAPE.mean(axis=0) / 2
    np.testing.assert_allclose(center(hand), middle, atol=1.5)
    assert hand.side == "right" and hand.side_confidence == pytest.approx(0.9)


def test_the_detector_runs_only_when_a_hand_is_missing():
    one = tracker(max_hands=1)
    for i in range(20):
        assert len(one.step(scene(right=(100 + i, 120)), i / 30)) == 1
    assert one._detector.calls == 1
    two = tracker(max_hands=2, search_s=0.2)
    for i in range(31):
        two.step(scene(right=(100 + i, 120)), i / 30)
    assert two._detector.calls <= 6  # at first and every 0.2 s for the second hand
    nobody = tracker()
    for i in range(5):
        assert nobody.step(scene(), i / 30) == ()
    assert nobody._detector.calls == 5


def test_a_lost_hand_is_searched_for_at_once_and_keeps_its_number():
    hands = tracker(max_hands=1)
    (before,) = hands.step(scene(left=(60, 80)), 0.0)
    assert hands.step(scene(), 1 / 30) == ()
    (after,) = hands.step(scene(left=(80, 90)), 2 / 30)
    (jumped,) = hands.step(scene(left=(250, 200)), 3 / 30)  # out of the region: found in the same frame
    assert before.track == after.track
    np.testing.assert_allclose(center(jumped), np.array([250, 200]) + SHAPE.mean(axis=0) / 2, atol=120)


def test_two_hands_pass_each_other_without_swapping():
    hands = tracker(smooth=False)
    numbers = {}
    for i in range(81):
        u = {"left": 60 + 2.5 * i, "right": 260 - 2.5 * i}  # right passes in front
        found = hands.step(scene(left=(u["left"], 110), right=(u["right"], 125)), i / 30)
        for hand in found:
            assert abs(center(hand)[0] - u[hand.side]) < 12, (i, hand.side)
            numbers.setdefault(hand.side, set()).add(hand.track)
    assert len(found) == 2
    assert all(len(seen) <= 2 for seen in numbers.values())
    assert not numbers["left"] & numbers["right"]


def test_one_wrong_word_about_the_side_does_not_turn_a_hand_over():
    hands = tracker(max_hands=1)
    hands.step(scene(right=(100, 120)), 0.0)
    hands._network.says = 0.05
    (hand,) = hands.step(scene(right=(101, 120)), 1 / 30)
    assert hand.side == "right"
    for i in range(2, 40):
        (hand,) = hands.step(scene(right=(101, 120)), i / 30)
    assert hand.side == "left"  # it goes on saying so


def test_two_hands_that_look_alike_share_the_sides():
    hands = tracker()
    hands._network.says = 0.9
    for i in range(10):
        found = hands.step(scene(left=(80, 120), right=(240, 120)), i / 30)
        assert sorted(hand.side for hand in found) == ["left", "right"]
    assert {hand.side: hand.track for hand in found} == {h.side: h.track for h in placed(found) if h}


def test_static_mode_remembers_nothing():
    hands = tracker(static=True)
    first = hands.step(scene(left=(80, 120), right=(240, 120)), 0.0)
    assert [hand.track for hand in first] == [1, 2]
    assert hands.step(scene(), 0.0) == ()
    again = hands.step(scene(left=(80, 120), right=(240, 120)), 0.0)
    np.testing.assert_array_equal(first[0].points_px, again[0].points_px)
    assert hands._detector.calls == 3


def test_time_that_runs_back_begins_anew():
    hands = tracker(max_hands=1)
    (one,) = hands.step(scene(left=(80, 120)), 5.0)
    (other,) = hands.step(scene(left=(80, 120)), 0.0)
    assert other.track != one.track


def test_smoothing_lowers_jitter_and_follows():
    rng = np.random.default_rng(0)
    noisy = [scene(left=(150 + rng.normal(0, 2), 120)) for _ in range(60)]
    raw, smooth = (
        np.array([center(hands.step(image, i / 30)[0])[0] for i, image in enumerate(noisy)])
        for hands in (tracker(max_hands=1, smooth=False), tracker(max_hands=1))
    )
    assert np.abs(np.diff(smooth, 2)).mean() < 0.6 * np.abs(np.diff(raw, 2)).mean()
    moving = tracker(max_hands=1)
    for i in range(30):
        (hand,) = moving.step(scene(left=(60 + 5 * i, 120)), i / 30)
    assert abs(center(hand)[0] - (60 + 5 * 29)) < 8
