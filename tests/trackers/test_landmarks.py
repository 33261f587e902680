"""Value objects and names."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from gesta.schema import GestaError
from gesta.trackers import BLAZEPOSE_JOINTS, HAND_JOINTS, Hand, Landmarks, Person, Tracker, files, joint_names
from gesta.trackers.joints import BLAZEPOSE_BONES, HAND_BONES
from gesta.trackers.tracker import identity, needed

POINTS = np.zeros((21, 3), np.float32)
BODY = np.zeros((33, 3), np.float32)
SEEN = np.ones(33, np.float32)


def hand(side, sure=0.9, at=0.0, track=0):
    return Hand(POINTS + np.float32(at), 0.8, side, sure, track)


def test_names():
    assert len(HAND_JOINTS) == 21 and len(BLAZEPOSE_JOINTS) == 33
    assert (HAND_JOINTS[4], HAND_JOINTS[5], HAND_JOINTS[20]) == ("thumb_tip", "index_mcp", "pinky_tip")
    numbers = {0: "nose", 3: "left_eye_outer", 10: "mouth_right", 11: "left_shoulder", 16: "right_wrist"}
    numbers |= {19: "left_index", 23: "left_hip", 28: "right_ankle", 29: "left_heel", 32: "right_foot_index"}
    assert {i: BLAZEPOSE_JOINTS[i] for i in numbers} == numbers
    for what, count in (("hands", 42), ("pose", 33), ("both", 75)):
        assert len(set(joint_names(what))) == count
    assert len(HAND_BONES) == 20 and all(0 <= joint < 33 for bone in BLAZEPOSE_BONES for joint in bone)


def test_arrays_follow_the_names():
    person = Person(BODY + 7, SEEN * np.float32(0.25), 0.9)
    points, confidence = Landmarks(0.0, (10, 10), (hand("right", at=3),), person).joints("both")
    assert points.shape == (75, 3) and points.dtype == np.float32
    assert (points[:33] == 7).all() and np.isnan(points[33:54]).all() and (points[54:] == 3).all()
    assert confidence[[0, 33, 54]] == pytest.approx([0.25, 0, 0.8])


def test_a_second_hand_of_the_same_side_takes_the_free_place():
    found = Landmarks(0.0, (10, 10), (hand("left", 0.6, 1), hand("left", 0.9, 2)))
    assert found.hand("left").points_px[0, 0] == 2
    assert found.hand("right").points_px[0, 0] == 1
    assert Landmarks(0.0, (10, 10)).hand("left") is None


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Hand(POINTS[:20], 0.5, "left"),
        lambda: Hand(POINTS.astype(np.float64), 0.5, "left"),
        lambda: Hand(POINTS * np.nan, 0.5, "left"),
        lambda: Hand(POINTS, 1.5, "left"),
        lambda: Hand(POINTS, 0.5, "Left"),
        lambda: Person(BODY, SEEN * 2, 0.5),
        lambda: Person(BODY, SEEN[:3], 0.5),
        lambda: Landmarks(float("nan"), (10, 10)),
        lambda: Landmarks(0.0, (0, 10)),
    ],
)
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError):
        wrong()


def test_identity_depends_on_networks_and_settings_only(tmp_path, monkeypatch):
    for name in files.SHA256:
        (tmp_path / f"{name}.tflite").write_bytes(name.encode())
    contents = {name: hashlib.sha256(name.encode()).hexdigest() for name in files.SHA256}
    monkeypatch.setattr(files, "SHA256", contents)
    one = identity("both", folder=tmp_path)
    assert one == identity("both", folder=tmp_path, mask=True)
    others = [{"what": "pose"}, {"what": "hands"}, {"static": True}, {"smooth": False}, {"hand_model": "lite"}]
    others.append({"max_hands": 1})
    assert len({one, *(identity(**{"what": "both", **options}, folder=tmp_path) for options in others)}) == 7
    assert identity("pose", folder=tmp_path, max_hands=1) == identity("pose", folder=tmp_path)


def test_what_a_tracker_needs():
    assert needed("hands", "lite") == ("palm_detection_lite", "hand_landmark_lite")
    assert set(needed("both")) == {*needed("hands"), *needed("pose")}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"what": "face"}, "tracker 'face' is unknown"),
        ({"hand_model": "heavy"}, "hand model 'heavy' is unknown"),
        ({"max_hands": 0}, "max_hands is 0"),
        ({"mask": True}, "Masks are of whole people"),
    ],
)
def test_wrong_settings_are_told_before_any_file_is_looked_for(tmp_path, options, text):
    with pytest.raises(GestaError, match=text):
        Tracker(**options, folder=tmp_path)


def test_missing_networks_are_told(tmp_path):
    with pytest.raises(GestaError, match="gesta fetch trackers"):
        Tracker("pose", folder=tmp_path)
