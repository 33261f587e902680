"""Regions, anchors, decoding, blending, heat maps and smoothing, against slow loops or examples worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gesta.trackers import pose
from gesta.trackers.detector import Detector, anchors, blended, overlaps
from gesta.trackers.regions import Region, hand_region, palm_region, pose_region, upright_angle
from gesta.trackers.smoothing import OneEuro


def slow_anchors(size: int, strides: tuple[int, ...]) -> np.ndarray:
    out, layer = [], 0
    while layer < len(strides):
        last = layer
        while last < len(strides) and strides[last] == strides[layer]:
            last += 1
        cells = size // strides[layer]
        for row in range(cells):
            for column in range(cells):
                out += [((column + 0.5) / cells, (row + 0.5) / cells)] * 2 * (last - layer)
        layer = last
    return np.array(out)


@pytest.mark.parametrize(("size", "strides", "count"), [(192, (8, 16, 16, 16), 2016), (224, (8, 16, 32, 32, 32), 2254)])
def test_anchors_are_those_of_the_loop(size, strides, count):
    found = anchors(size, strides)
    assert found.shape == (count, 2)
    np.testing.assert_allclose(found, slow_anchors(size, strides), atol=1e-6)


class OneBox:
    """A network that fires at one anchor only: box 40 x 20 pixels of 192, moved by (8, -4), keypoints in a row."""

    size = 192

    def __init__(self, anchor: int, logit: float) -> None:
        self.raw = np.zeros((1, 2016, 18), np.float32)
        self.raw[0, anchor] = [8, -4, 40, 20, *(v for k in range(7) for v in (k, 2 * k))]
        self.logits = np.full((1, 2016, 1), -9, np.float32)
        self.logits[0, anchor] = logit

    def __call__(self, image):
        assert image.shape == (192, 192, 3)
        return self.raw, self.logits


def test_a_detection_is_decoded_from_its_anchor_into_the_letterboxed_frame():
    detector = Detector(OneBox(anchor=5, logit=1.0), (8, 16, 16, 16))
    (found,) = detector(np.zeros((100, 400, 3), np.uint8))  # side 400, top of the square at -150
    x, y = 2.5 / 24, 0.5 / 24  # anchor 5: third cell of the first row
    center = ((x + 8 / 192) * 400, (y - 4 / 192) * 400 - 150)
    np.testing.assert_allclose(
        found.box,
        [
            center[0] - 20 / 192 * 400,
            center[1] - 10 / 192 * 400,
            center[0] + 20 / 192 * 400,
            center[1] + 10 / 192 * 400,
        ],
        rtol=1e-5,
    )
    np.testing.assert_allclose(found.keypoints[3], [(x + 3 / 192) * 400, (y + 6 / 192) * 400 - 150], rtol=1e-5)
    assert found.score == pytest.approx(1 / (1 + math.exp(-1)))


def test_nothing_sure_enough_is_nothing():
    assert Detector(OneBox(anchor=5, logit=-0.1), (8, 16, 16, 16))(np.zeros((50, 50, 3), np.uint8)) == []


def test_boxes_that_overlap_are_blended_by_score_and_others_kept():
    box = np.array([[0, 0], [1, 1], [0.5, 0.5]], np.float32)
    points = np.stack([box + 0.1, box, box + 5])
    (first, score), (second, _) = blended(points, np.array([0.6, 0.9, 0.7], np.float32))
    np.testing.assert_allclose(first, box + 0.1 * 0.6 / 1.5, atol=1e-6)
    assert score == pytest.approx(0.9)
    np.testing.assert_allclose(second, box + 5)


def test_overlap_of_boxes():
    one = np.array([[0, 0], [2, 2]], np.float32)
    others = np.array([[[1, 1], [3, 3]], [[0, 0], [2, 2]], [[4, 4], [5, 5]]], np.float32)
    np.testing.assert_allclose(overlaps(one, others), [1 / 7, 1, 0], atol=1e-6)


def test_upright_angle_turns_the_way_up():
    assert upright_angle(np.array([0, 10]), np.array([0, 0])) == pytest.approx(0)
    assert upright_angle(np.array([0, 0]), np.array([10, 0])) == pytest.approx(math.pi / 2)
    assert upright_angle(np.array([10, 0]), np.array([0, 0])) == pytest.approx(-math.pi / 2)


def test_a_cut_shows_the_region_and_points_lead_back():
    image = np.zeros((200, 300, 3), np.uint8)
    image[120:124, 210:214] = 255  # its center is (211.5, 121.5)
    region = Region(200.0, 110.0, 80.0, 0.5)
    crop = region.cut(image, 160, zero_border=True)
    rows, columns = np.nonzero(crop[..., 0] > 100)
    seen = np.array([[columns.mean() / 160, rows.mean() / 160, 0.25]], np.float32)
    u, v, depth = region.to_frame(seen)[0]
    assert math.hypot(u - 211.5, v - 121.5) < 0.6
    assert depth == pytest.approx(20)


def test_outside_of_the_frame_is_black_or_the_border():
    image = np.full((20, 20, 3), 200, np.uint8)
    region = Region(0.0, 0.0, 20.0)
    assert region.cut(image, 20, zero_border=True)[0, 0, 0] == 0
    assert region.cut(image, 20, zero_border=False)[0, 0, 0] == 200


def test_a_mask_is_pasted_where_the_region_is():
    region = Region(50.0, 40.0, 20.0, math.pi / 2)
    pasted = region.paste(np.ones((64, 64), np.float32), 80, 100)
    assert pasted.shape == (80, 100)
    assert pasted[35:45, 45:55].min() == pytest.approx(1)
    assert pasted[:28].max() == 0 and pasted[:, 62:].max() == 0


def test_palm_region_reaches_from_the_palm_to_the_fingers():
    keypoints = np.zeros((7, 2), np.float32)
    keypoints[0], keypoints[2] = (100, 120), (100, 90)  # fingers up
    region = palm_region(np.array([85, 80, 115, 110], np.float32), keypoints)
    assert (region.u, region.v) == pytest.approx((100, 95 - 15))
    assert (region.side, region.angle) == pytest.approx((78, 0))


def test_hand_region_turns_with_the_hand():
    points = np.zeros((21, 3), np.float32)
    points[:, 0], points[:, 1] = 50, np.linspace(100, 60, 21)
    points[1], points[17] = (40, 95, 0), (60, 80, 0)
    upright = hand_region(points)
    quarter = points.copy()
    quarter[:, 0], quarter[:, 1] = 200 - points[:, 1], points[:, 0]  # clockwise by 90 degrees
    turned = hand_region(quarter)
    assert upright.angle == pytest.approx(0, abs=1e-6)
    assert turned.angle == pytest.approx(math.pi / 2, abs=1e-6)
    assert turned.side == pytest.approx(upright.side)
    assert (turned.u, turned.v) == pytest.approx((200 - upright.v, upright.u), abs=1e-4)


def test_pose_region_is_centered_on_the_hips():
    region = pose_region(np.array([50.0, 60.0]), np.array([50.0, 20.0]))
    assert (region.u, region.v, region.side, region.angle) == pytest.approx((50, 60, 100, 0))


def slow_refined(points: np.ndarray, heatmap: np.ndarray) -> np.ndarray:
    size, out = len(heatmap), points.copy()
    for j, (x, y) in enumerate(points):
        column, row = math.floor(x * size), math.floor(y * size)
        if not (0 <= column < size and 0 <= row < size):
            continue
        total = most = sum_x = sum_y = 0.0
        for r in range(max(row - 3, 0), min(row + 4, size)):
            for c in range(max(column - 3, 0), min(column + 4, size)):
                heat = 1 / (1 + math.exp(-heatmap[r, c, j]))
                total, most = total + heat, max(most, heat)
                sum_x, sum_y = sum_x + heat * c, sum_y + heat * r
        if most >= 0.5:
            out[j] = sum_x / total / size, sum_y / total / size
    return out


def test_heat_maps_move_points_as_in_the_loop():
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.2, 1.2, (39, 2)).astype(np.float32)
    heatmap = rng.normal(-2.5, 1.0, (64, 64, 39)).astype(np.float32)
    found = pose.refined(points, heatmap)
    np.testing.assert_allclose(found, slow_refined(points, heatmap), atol=1e-5)
    moved = (found != points).any(axis=1)
    assert 0 < moved.sum() < 39


def test_one_euro_is_the_papers_filter():
    rng = np.random.default_rng(1)
    values, times = rng.normal(size=(30, 2)).astype(np.float32), np.cumsum(rng.uniform(0.02, 0.05, 30))
    smooth = OneEuro(0.5, 2.0)
    found = [smooth(value, float(t), 4.0) for value, t in zip(values, times, strict=True)]

    def alpha(cutoff: float, dt: float) -> float:
        return 1 / (1 + 1 / (2 * math.pi * cutoff) / dt)

    for axis in range(2):
        x, dx = float(values[0, axis]), 0.0
        for i in range(1, 30):
            dt = times[i] - times[i - 1]
            speed = (float(values[i, axis]) - float(values[i - 1, axis])) / dt / 4.0
            dx += alpha(1.0, dt) * (speed - dx)
            x += alpha(0.5 + 2.0 * abs(dx), dt) * (float(values[i, axis]) - x)
            assert found[i][axis] == pytest.approx(x, abs=1e-5)


def test_one_euro_starts_anew_when_time_runs_back():
    smooth = OneEuro(0.1, 0.0)
    smooth(np.zeros(1, np.float32), 1.0, 1.0)
    assert smooth(np.ones(1, np.float32), 0.5, 1.0)[0] == 1


def test_a_cut_interpolates_between_the_four_nearest_pixels():
    rng = np.random.default_rng(2)
    image = rng.integers(0, 255, (60, 90, 3), np.uint8)
    for _ in range(30):
        region = Region(*rng.uniform(-40, 120, 2), rng.uniform(5, 90), rng.uniform(-3, 3))
        axes, corner = region.axes, np.array([region.u, region.v]) - region.axes.sum(axis=1) / 2
        found = region.cut(image, 32, zero_border=False)
        for row, column in ((0, 0), (5, 20), (31, 31)):
            u, v = corner + axes @ np.array([column, row]) / 32
            u, v = np.clip(np.round(32 * np.array([u, v])) / 32, 0, [89, 59])  # the nearest pixel of the frame
            c, r = min(int(u), 88), min(int(v), 58)
            window = image[r : r + 2, c : c + 2].astype(float)
            across = window[:, 0] + (window[:, 1] - window[:, 0]) * (u - c)
            expected = across[0] + (across[1] - across[0]) * (v - r)
            np.testing.assert_allclose(found[row, column], expected, atol=2)  # OpenCV's weights are integers
