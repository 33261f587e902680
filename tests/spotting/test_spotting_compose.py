"""Windows to train on: labels stay with their frames, joins are smooth, a delay moves the targets."""

from __future__ import annotations

import numpy as np
import pytest
from spotting.skeletons import JOINTS, WAYS, movement, recording

from gesta.clips.skeleton_augment import SkeletonAugmentation
from gesta.clips.skeleton_sets import joint_set
from gesta.schema import Resource
from gesta.sources.recordings import WHOLE, Recording, Span
from gesta.tasks.spotting.compose import IGNORED, Windows, at_speed, joined, late, pieces, transition
from gesta.tasks.spotting.data import Track, frame_classes

STILL = SkeletonAugmentation(turn_degrees=0, scale=0, speed=0)
LABELS = ("none", *WAYS)


def a_recording(tmp_path, spans, isolated=False):
    return Recording("r", Resource(tmp_path / "r.npy"), 20.0, spans, JOINTS, isolated=isolated)


def tracks(tmp_path, isolated=False):
    rng = np.random.default_rng(0)
    found = []
    for _ in range(2):
        frames, spans = recording(["lift", "aside"], rng)
        one = a_recording(tmp_path, tuple(Span(*span) for span in spans))
        found.append(Track(one, frames, frame_classes(one, len(frames), LABELS)))
    if isolated:
        one = a_recording(tmp_path, (Span("lift", 0, WHOLE),), isolated=True)
        return [Track(one, movement("lift"), frame_classes(one, 24, LABELS))]
    return found


def test_classes_of_frames(tmp_path):
    found = frame_classes(
        a_recording(tmp_path, (Span("lift", 2, 3), Span("unknown", 5, 6), Span("aside", 7, 99))), 9, LABELS
    )
    assert found.tolist() == [0, 0, 1, 1, 0, 0, 0, 2, 2]


def test_pieces_are_gestures_and_rests(tmp_path):
    made = pieces(tracks(tmp_path))
    assert len(made.whole) == 2
    assert [set(target) for _, target in made.gestures] == [{1}, {2}] * 2
    assert all(len(skeleton) == 24 for skeleton, _ in made.gestures)
    assert len(made.rests) == 6
    assert sum(len(rest) for rest in made.rests) + 4 * 24 == sum(len(target) for _, target in made.whole)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_gesture_moves_where_the_target_says(share, tmp_path):
    windows = Windows(pieces(tracks(tmp_path)), joint_set(JOINTS), STILL, 100, share)
    for seed in range(5):
        skeleton, target = windows.draw(np.random.default_rng(seed))
        assert len(skeleton) == len(target) <= 100
        hand = skeleton[:, 3, 1] - skeleton[:, 0, 1]
        assert (hand[target == 0] < 0.15).all()
        assert target.max() > 0


def test_without_recordings_rests_are_generated(tmp_path):
    windows = Windows(pieces(tracks(tmp_path, isolated=True)), joint_set(JOINTS), STILL, 60, 0.0)
    _, target = windows.draw(np.random.default_rng(1))
    assert set(target) == {0, 1}


def test_joins_are_smooth():
    one, other = movement("lift"), movement("aside") + np.float32([5, 0, 0])
    skeleton, target = joined([(one, np.full(24, 1)), (other, np.full(24, 2))], np.random.default_rng(0))
    assert np.abs(np.diff(skeleton, axis=0)).max() < 0.2
    assert target[:24].tolist() == [1] * 24
    assert target[-24:].tolist() == [2] * 24
    assert set(target[24:-24]) == {0}


def test_a_transition_lies_between_its_ends():
    before, after = np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32)
    after[1] = np.nan
    frames = transition(before, after, 4)
    assert frames.shape == (4, 2, 3)
    assert (np.diff(frames[:, 0, 0]) > 0).all()
    assert np.isnan(frames[:, 1]).all()


def test_speed_keeps_the_targets_with_their_frames():
    skeleton = np.arange(10, dtype=np.float32)[:, None, None]
    faster, target = at_speed(skeleton, np.arange(10), 2.0)
    assert len(faster) == 5
    assert (np.abs(faster[:, 0, 0] - target) <= 0.5).all()


@pytest.mark.parametrize(("delay", "wanted"), [(0, [1, 2, 3]), (1, [-1, 1, 2]), (5, [-1, -1, -1])])
def test_a_delay_moves_the_targets(delay, wanted):
    assert IGNORED == -1
    assert late(np.array([1, 2, 3]), delay).tolist() == wanted
