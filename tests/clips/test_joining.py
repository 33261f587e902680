"""Continuous video made of single clips: order, times, and what lies between."""

from pathlib import Path

import numpy as np

from gesta.clips.joining import Part, blended, joined, shifted
from gesta.clips.plane import Plane, RawFrame
from gesta.schema import Resource, Sample


def clip(level, frames=10, fps=10.0):
    return [RawFrame(n / fps, Plane(np.full((8, 16), level, np.uint8))) for n in range(frames)]


def parts(*levels):
    samples = [Sample(f"g{level}", f"g{level}", color=Resource(Path(f"{level}.mp4"))) for level in levels]
    return [Part(sample, lambda level=level: clip(level)) for sample, level in zip(samples, levels, strict=True)]


def test_clips_stand_in_their_order_with_rests_between():
    spans = []
    frames = list(joined(parts(20, 120), np.random.default_rng(0), spans))
    times = [frame.time_s for frame in frames]
    assert np.diff(times).min() > 0.09
    assert [sample.id for sample, _, _ in spans] == ["g20", "g120"]
    for level, (_, start, end) in zip((20, 120), spans, strict=True):
        assert abs(end - start - 1.0) < 1e-6
        shown = [f.gray.raw.mean() for f in frames if start - 1e-6 <= f.time_s < end - 1e-6]
        assert shown == [level] * 10
    assert spans[0][1] > 0.2 and spans[1][1] - spans[0][2] > 0.2 and times[-1] > spans[1][2]
    between = [f.gray.raw.mean() for f in frames if spans[0][2] < f.time_s < spans[1][1]]
    assert any(40 < level < 100 for level in between)  # one picture becomes the other


def test_the_same_seed_gives_the_same_video():
    def made(seed):
        return np.stack([f.gray.raw for f in joined(parts(20, 220), np.random.default_rng(seed), [])])

    pictures = made(3)
    assert (pictures.mean(axis=(1, 2)) > 210).sum() >= 10
    np.testing.assert_array_equal(made(3), pictures)


def test_joints_go_from_pose_to_pose_and_missing_ones_stay_missing():
    one = RawFrame(0.0, joints=np.array([[0.0, 0.0], [1.0, 1.0]], np.float32))
    other = RawFrame(0.0, joints=np.array([[1.0, 0.0], [np.nan, np.nan]], np.float32))
    np.testing.assert_allclose(blended(one, other, 0.25).joints, [[0.25, 0.0], [np.nan, np.nan]])
    np.testing.assert_allclose(shifted(one, 0.5).joints, [[0.5, 0.0], [1.5, 1.0]])


def test_pictures_of_two_sizes_are_not_mixed():
    small, large = clip(20)[0], RawFrame(0.0, Plane(np.zeros((16, 16), np.uint8)))
    assert blended(small, large, 0.4) is small
    assert blended(small, large, 0.6) is large
