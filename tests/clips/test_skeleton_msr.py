"""MSR Action3D skeletons, and the evidence for the order of their joints in the real data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gesta.clips.skeleton_files import read_skeletons
from gesta.clips.skeleton_msr import JOINTS
from gesta.schema import KINECT_JOINTS, GestaError, Resource

REAL = Path(__file__).parents[3] / "shared" / "data" / "msr_action3d" / "skeletons"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="../shared/data/msr_action3d is not here")
BONES = [("Shoulder", "Elbow"), ("Elbow", "Wrist"), ("Hip", "Knee"), ("Knee", "Ankle")]


def joint(frames, name):
    return frames[:, JOINTS.index(name)]


def sequences(pattern):
    for path in sorted(REAL.glob(pattern)):
        frames = read_skeletons(Resource(path)).values
        yield frames[~np.isnan(frames).any((1, 2))]


def test_reads_frames_of_twenty_rows(tmp_path):
    rows = np.arange(2 * 20 * 4, dtype=np.float32).reshape(-1, 4)
    np.savetxt(tmp_path / "s.txt", rows)
    frames = read_skeletons(Resource(tmp_path / "s.txt")).values
    assert frames.shape == (2, 20, 3)
    assert frames.dtype == np.float32
    assert np.array_equal(frames[1, 0], rows[20, :3])
    assert set(JOINTS) == set(KINECT_JOINTS)


def test_incomplete_or_strange_files_are_named(tmp_path):
    np.savetxt(tmp_path / "cut.txt", np.zeros((30, 4)))
    with pytest.raises(GestaError, match=r"cut.txt: cannot be read as a skeleton: it has 30 rows of 4, expected 20"):
        read_skeletons(Resource(tmp_path / "cut.txt"))
    (tmp_path / "words.txt").write_text("no numbers here\n")
    with pytest.raises(GestaError, match=r"words.txt: cannot be read as a skeleton"):
        read_skeletons(Resource(tmp_path / "words.txt"))


@needs_real
def test_head_is_highest_feet_lowest_and_joints_stand_in_their_order():
    height = np.median(np.concatenate(list(sequences("a0[1-5]_*"))), axis=0)[:, 1]
    assert JOINTS[int(height.argmax())] == "Head"
    assert {JOINTS[i] for i in height.argsort()[:2]} == {"FootLeft", "FootRight"}
    for higher, lower in (
        ("Head", "ShoulderCenter"),
        ("ShoulderCenter", "Spine"),
        ("Spine", "HipCenter"),
        ("HipLeft", "KneeLeft"),
        ("KneeRight", "AnkleRight"),
        ("AnkleRight", "FootRight"),
    ):
        assert height[JOINTS.index(higher)] > height[JOINTS.index(lower)]


@needs_real
def test_bones_keep_their_length_and_belong_to_one_side():
    frames = np.concatenate(list(sequences("a*_s01_*")))
    for upper, lower in BONES:
        for side, other in (("Left", "Right"), ("Right", "Left")):
            own = np.linalg.norm(joint(frames, upper + side) - joint(frames, lower + side), axis=1)
            crossed = np.linalg.norm(joint(frames, upper + side) - joint(frames, lower + other), axis=1)
            spread = (np.percentile(own, 75) - np.percentile(own, 25)) / np.median(own)
            assert spread < 0.2, (upper, side)
            assert np.median(own) < np.median(crossed), (upper, side)


@needs_real
def test_one_handed_actions_move_the_right_hand_and_kicks_the_right_foot():
    for action, name in (("a01", "Hand"), ("a02", "Hand"), ("a05", "Hand"), ("a14", "Foot")):
        moves = [
            [np.abs(np.diff(joint(frames, name + side), axis=0)).sum() for side in ("Left", "Right")]
            for frames in sequences(f"{action}_*")
        ]
        assert all(right > left for left, right in moves), action
