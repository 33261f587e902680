"""Which frames are chosen, exactly, and what is said of videos that cannot be read."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from features.numbered_videos import video, write_numbered

from gesta.clips.chosen_frames import chosen, fit_frame, iter_every, read_frames, windows
from gesta.clips.decode import frame_times
from gesta.schema import Frame, GestaError, Resource, Sample


def values(frames: np.ndarray) -> list[int]:
    return [int(v) for v in frames.reshape(len(frames), -1).mean(1)]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 20, 21, 399])
def test_exactly_n_evenly_spread_frames_whatever_the_length(count: int) -> None:
    positions = chosen(count, 20, None)
    assert len(positions) == 20 and positions == sorted(positions)
    assert positions[0] >= 0 and positions[-1] < count
    assert [p + q for p, q in zip(positions, reversed(positions), strict=True)] == pytest.approx(
        [count - 1] * 20, abs=1
    )
    steps = {b - a for a, b in itertools.pairwise(positions)}
    assert max(steps) - min(steps) <= 1


def test_every_nth_frame() -> None:
    assert chosen(10, None, 4) == [0, 4, 8]
    assert chosen(1, None, 15) == [0]
    assert windows([0, 4, 8], 2) == [0, 4, 8, 8] and windows([0, 4], 2) == [0, 4]


def test_pixels_are_those_of_the_chosen_frames(tmp_path: Path) -> None:
    sample = video(write_numbered(tmp_path / "a.mkv", 9))
    frames = read_frames(sample, 32, frames=3)
    assert frames.shape == (3, 32, 32, 3) and frames.dtype == np.uint8
    assert values(frames) == [2, 8, 14]
    assert values(read_frames(sample, 80, every=4)) == [0, 8, 16]
    assert values(read_frames(sample, 32, every=4, window=2)) == [0, 8, 16, 16]
    assert len(frame_times(Resource(tmp_path / "a.mkv"))) == 9


def test_short_videos_repeat_frames(tmp_path: Path) -> None:
    sample = video(write_numbered(tmp_path / "a.mkv", 2))
    assert values(read_frames(sample, 32, frames=4)) == [0, 0, 2, 2]


def test_spans_in_frames_and_seconds(tmp_path: Path) -> None:
    sample = video(write_numbered(tmp_path / "a.mkv", 20))
    assert values(read_frames(replace(sample, first_frame=4, last_frame=6), 32, every=1)) == [8, 10, 12]
    assert values(read_frames(replace(sample, start_s=0.4, end_s=0.48), 32, every=1)) == [20, 22]
    with pytest.raises(GestaError, match="the span lies outside"):
        read_frames(replace(sample, first_frame=30, last_frame=31), 32, every=1)


def test_depth_becomes_gray(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "d.mkv", 5, depth=True)
    sample = Sample(id="d", recording="d", depth=Resource(path))
    assert values(read_frames(sample, 32, every=2)) == [0, 4, 8]


def test_a_video_cut_short(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "a.mkv", 60)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(GestaError, match=r"a\.mkv"):
        read_frames(video(path), 32, frames=20)
    path.write_bytes(b"nothing")
    with pytest.raises(GestaError, match=r"a\.mkv: is not a readable video"):
        read_frames(video(path), 32, frames=20)


def test_a_letterbox_keeps_the_shape_whichever_way_frames_come(tmp_path: Path) -> None:
    sample = video(write_numbered(tmp_path / "a.mkv", 3, 100))  # 64 x 48
    frames = read_frames(sample, 64, every=2, letterbox=True)
    expected = np.zeros((2, 64, 64, 3), np.uint8)
    expected[0, 8:56], expected[1, 8:56] = 100, 104
    np.testing.assert_array_equal(frames, expected)
    np.testing.assert_array_equal([image for _, image in iter_every(sample, 64, 2, letterbox=True)], expected)
    camera = Frame(0.0, color=np.full((48, 64, 3), 100, np.uint8))
    np.testing.assert_array_equal(fit_frame(camera, 64, letterbox=True), expected[0])
