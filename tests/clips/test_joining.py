"""Continuous video made of single clips: order, times, truth, and what lies between."""

import numpy as np

from gesta.clips.joining import Part, blended, joined, shifted
from gesta.clips.plane import Plane, RawFrame


def clip(level, frames=10, fps=10.0):
    return [RawFrame(n / fps, Plane(np.full((8, 16), level, np.uint8))) for n in range(frames)]


def parts(*levels):
    return [Part(lambda level=level: clip(level), f"g{level}" if level < 200 else None) for level in levels]


def test_clips_stand_in_their_order_with_rests_between():
    truth = []
    frames = list(joined(parts(20, 120), np.random.default_rng(0), truth))
    times = [frame.time_s for frame in frames]
    assert np.diff(times).min() > 0.09
    assert [label for label, _, _ in truth] == ["g20", "g120"]
    for level, (_, start, end) in zip((20, 120), truth, strict=True):
        assert abs(end - start - 1.0) < 1e-6
        shown = [f.gray.raw.mean() for f in frames if start - 1e-6 <= f.time_s < end - 1e-6]
        assert shown == [level] * 10
    assert truth[0][1] > 0.2 and truth[1][1] - truth[0][2] > 0.2 and times[-1] > truth[1][2]
    between = [f.gray.raw.mean() for f in frames if truth[0][2] < f.time_s < truth[1][1]]
    assert any(40 < level < 100 for level in between)  # one picture becomes the other


def test_other_motion_is_no_event_and_the_seed_tells_everything():
    def made(seed):
        truth = []
        frames = list(joined(parts(20, 220), np.random.default_rng(seed), truth))
        return truth, np.stack([f.gray.raw for f in frames])

    truth, pictures = made(3)
    assert [label for label, _, _ in truth] == ["g20"]
    assert (pictures.mean(axis=(1, 2)) > 210).sum() >= 10
    np.testing.assert_array_equal(made(3)[1], pictures)


def test_joints_go_from_pose_to_pose_and_missing_ones_stay_missing():
    one = RawFrame(0.0, joints=np.array([[0.0, 0.0], [1.0, 1.0]], np.float32))
    other = RawFrame(0.0, joints=np.array([[1.0, 0.0], [np.nan, np.nan]], np.float32))
    np.testing.assert_allclose(blended(one, other, 0.25).joints, [[0.25, 0.0], [np.nan, np.nan]])
    np.testing.assert_allclose(shifted(one, 0.5).joints, [[0.5, 0.0], [1.5, 1.0]])


def test_pictures_of_two_sizes_are_not_mixed():
    small, large = clip(20)[0], RawFrame(0.0, Plane(np.zeros((16, 16), np.uint8)))
    assert blended(small, large, 0.4) is small
    assert blended(small, large, 0.6) is large
