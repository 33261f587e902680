"""Following a person: stand-in networks that find a bright block, so that the truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from gesta.trackers.detector import Detection
from gesta.trackers.pose import PoseTracker, person_mask
from gesta.trackers.regions import Region


def scene(u: float, v: float) -> np.ndarray:
    """A frame with a block of 20 x 60 pixels around (u, v)."""
    image = np.zeros((240, 320, 3), np.uint8)
    image[round(v) - 30 : round(v) + 30, round(u) - 10 : round(u) + 10] = 250
    return image


class People:
    calls = 0

    def __call__(self, image):
        self.calls += 1
        rows, columns = np.nonzero(image[..., 0])
        if not len(rows):
            return []
        center = np.array([columns.mean(), rows.mean()], np.float32)
        keypoints = np.stack([center, center - [0, 45], center, center]).astype(np.float32)
        return [Detection(np.zeros(4, np.float32), keypoints, 0.9)]


class Body:
    """All 33 points in the middle of the block, the two behind them in its center and 45 pixels above."""

    size = 256
    heat = -9.0  # logits of the heat map: nothing is refined

    def __call__(self, crop):
        rows, columns = np.nonzero(crop[..., 0] > 100)
        raw = np.zeros((1, 39, 5), np.float32)
        present = len(rows) > 500
        if present:
            height = np.ptp(rows) + 1
            raw[0, :, :2] = columns.mean(), rows.mean()
            raw[0, :33, 0] += np.linspace(-20, 20, 33)
            raw[0, 34, 1] -= height * 45 / 60
        mask = np.where(crop[..., :1] > 100, 5.0, -5.0).astype(np.float32)[None]
        heat = np.full((1, 64, 64, 39), self.heat, np.float32)
        return raw.reshape(1, 195), np.full((1, 1), 0.9 * present, np.float32), heat, mask


def tracker(**options) -> PoseTracker:
    return PoseTracker(People(), Body(), **options)


def middle(person) -> np.ndarray:
    return person.points_px[:, :2].mean(axis=0)


def test_a_person_is_detected_once_and_followed():
    pose = tracker()
    for i in range(30):
        person = pose.step(scene(100 + 3 * i, 120), i / 30)
        assert np.abs(middle(person) - [100 + 3 * i - 0.5, 119.5]).max() < 6
        assert person.track == 1
    assert pose._detector.calls == 1


def test_a_lost_person_is_searched_for_in_the_same_frame():
    pose = tracker()
    pose.step(scene(60, 120), 0.0)
    person = pose.step(scene(290, 120), 1 / 30)
    assert person is not None and person.track == 2
    np.testing.assert_allclose(middle(person), [289.5, 119.5], atol=1.5)
    empty = np.zeros((240, 320, 3), np.uint8)
    assert [pose.step(empty, i / 30) for i in (2, 3, 4)] == [None] * 3
    assert pose.step(scene(60, 120), 1.0).track == 3


def test_static_mode_detects_in_every_frame():
    pose = tracker(static=True)
    first, again = (pose.step(scene(100, 120), 0.0) for _ in range(2))
    np.testing.assert_array_equal(first.points_px, again.points_px)
    assert pose._detector.calls == 2


def test_the_mask_is_where_the_person_is():
    person = tracker(mask=True).step(scene(150, 110), 0.0)
    truth = scene(150, 110)[..., 0] > 0
    both = (person.mask & truth).sum() / (person.mask | truth).sum()
    assert person.mask.shape == (240, 320) and both > 0.85
    assert tracker().step(scene(150, 110), 0.0).mask is None


def test_a_mask_ends_with_its_region():
    mask = person_mask(np.full((64, 64), 20.0, np.float32), Region(100, 100, 40), (200, 300))
    assert mask.sum() == pytest.approx(40 * 40, rel=0.1)


def test_time_that_runs_back_begins_anew():
    pose = tracker()
    pose.step(scene(100, 120), 5.0)
    pose.step(scene(100, 120), 0.0)
    assert pose._detector.calls == 2
