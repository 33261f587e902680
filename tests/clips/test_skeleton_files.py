"""Files of skeletons: each format as it is written, and what is wrong with a file told by name."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from gesta.clips.skeleton_files import read_skeletons
from gesta.clips.skeleton_msr import JOINTS as MSR_JOINTS
from gesta.clips.skeleton_sets import (
    BLAZEPOSE_JOINTS,
    HAND_JOINTS,
    KINECT2_JOINTS,
    SFINGE3D_JOINTS,
    TWO_HANDS_JOINTS,
    joint_set,
)
from gesta.schema import KINECT_JOINTS, GestaError, Resource

REAL = Path(__file__).parents[3] / "shared" / "data"


def points(frames, joints, numbers=3, seed=0):
    return np.random.default_rng(seed).normal(size=(frames, joints, numbers)).round(4)


def read(path, content, joints=None):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_skeletons(Resource(path), joints)


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def test_npy_with_names_dimensions_and_confidence(tmp_path):
    values = points(4, 20)
    found = read(tmp_path / "a.npy", npy(values), KINECT_JOINTS)
    assert found.joints == KINECT_JOINTS and found.confidence is None
    np.testing.assert_allclose(found.values, values, rtol=1e-6)
    assert read(tmp_path / "b.npy", npy(points(4, 33, 2))).joints == BLAZEPOSE_JOINTS
    four = read(tmp_path / "c.npy", npy(points(4, 21, 4)))
    assert four.values.shape == (4, 21, 3) and four.confidence.shape == (4, 21)


def test_half_missing_joints_are_missing(tmp_path):
    values = points(2, 20)
    values[0, 3, 1], values[1, 4, 0] = np.nan, np.inf
    found = read(tmp_path / "a.npy", npy(values), KINECT_JOINTS).values
    assert np.isnan(found[0, 3]).all() and np.isnan(found[1, 4]).all()
    assert np.isfinite(found).all(-1).sum() == 38


def ntu(bodies):
    """Frames of {id: joints 25 12} as NTU's files are written."""
    lines = [str(len(bodies))]
    for frame in bodies:
        lines.append(str(len(frame)))
        for name, table in frame.items():
            lines += [f"{name} 0 1 1 1 1 0 0.02 -0.3 2", "25"]
            lines += [" ".join(map(str, row)) for row in table]
    return "\n".join(lines) + "\n"


def ntu_body(seed, state=2):
    table = points(1, 25, 12, seed)[0]
    table[:, 11] = state
    return table


def test_ntu_takes_the_body_that_is_there_longest(tmp_path):
    one, other = ntu_body(0), ntu_body(1)
    one[5, 11], one[6, 11] = 0, 1
    found = read(tmp_path / "a.skeleton", ntu([{}, {"72057": one}, {"9": other, "72057": one}]))
    assert found.joints == KINECT2_JOINTS and found.fps == 30
    assert np.isnan(found.values[0]).all() and np.isnan(found.values[1, 5]).all()
    np.testing.assert_allclose(found.values[2, 6:], one[6:, :3], rtol=1e-6)
    assert found.confidence[2, 4:8].tolist() == [1, 0, 0.5, 1]


def test_msr_and_sfinge3d_texts(tmp_path):
    values = points(3, 20, 4)
    values[1] = 0
    rows = "\n".join(" ".join(map(str, row)) for row in values.reshape(-1, 4))
    found = read(tmp_path / "a01_s01_e01.txt", rows)
    assert found.joints == MSR_JOINTS
    np.testing.assert_allclose(found.values[2], values[2, :, :3], rtol=1e-6)
    assert np.isnan(found.values[1]).all()
    values = points(3, 20, 7)
    rows = "\n".join(";".join(map(str, row)) + ";" for row in values.reshape(3, -1))
    found = read(tmp_path / "1.txt", rows)
    assert found.joints == SFINGE3D_JOINTS and found.fps == 20
    np.testing.assert_allclose(found.values, values[..., :3], rtol=1e-6)


def test_chalearn_csv_gives_world_positions(tmp_path):
    values = points(3, 20, 9)
    values[0] = 0
    rows = "\n".join(",".join(map(str, row)) for row in values.reshape(3, -1))
    found = read(tmp_path / "s.csv", rows)
    assert found.joints == KINECT_JOINTS and np.isnan(found.values[0]).all()
    np.testing.assert_allclose(found.values[1:], values[1:, :, :3], rtol=1e-6)


STYLES = {
    "name_axis": lambda i, axis: f"{BLAZEPOSE_JOINTS[i].upper()}_{axis}",
    "axis_name": lambda i, axis: f"{axis}_{BLAZEPOSE_JOINTS[i]}",
    "landmark": lambda i, axis: f"landmark_{i}_{axis}",
    "counted": lambda i, axis: f"{axis[0]}{i + 1}",
    "short": lambda i, axis: f"lm_{i}_{axis.replace('visibility', 'vis')}",
}


@pytest.mark.parametrize("style", STYLES)
def test_mediapipe_csv_wide(tmp_path, style):
    values = points(4, 33, 4)
    axes = ("x", "y", "z", "visibility")
    header = ["class", "frame", "timestamp_ms", *(STYLES[style](i, a) for i in range(33) for a in axes)]
    rows = [["wave", t, 40 * t, *values[t].ravel()] for t in range(4)]
    rows[2][3:7] = ["", "", "", ""]
    stream = io.StringIO()
    csv.writer(stream).writerows([header, *rows])
    found = read(tmp_path / "a.csv", stream.getvalue())
    assert joint_set(found.joints).name == "blazepose"
    assert found.times_s.tolist() == pytest.approx([0, 0.04, 0.08, 0.12])
    assert np.isnan(found.values[2, 0]).all()
    np.testing.assert_allclose(found.values[3], values[3, :, :3], rtol=1e-5)
    np.testing.assert_allclose(found.confidence[3], values[3, :, 3], rtol=1e-5)


def test_mediapipe_csv_long(tmp_path):
    values = points(3, 21)
    lines = ["frame_id,landmark_id,x,y,z"]
    lines += [f"{t},{j},{','.join(map(str, values[t, j]))}" for t in range(3) for j in range(21) if (t, j) != (1, 4)]
    found = read(tmp_path / "a.csv", "\n".join(lines))
    assert found.joints == HAND_JOINTS and found.confidence is None
    assert np.isnan(found.values[1, 4]).all()
    np.testing.assert_allclose(found.values[2], values[2], rtol=1e-5)


def landmarks(frame):
    return [dict(zip(("x", "y", "z"), map(float, point), strict=False)) for point in frame]


def test_mediapipe_json_forms(tmp_path):
    values = points(3, 33)
    plain = [frame.tolist() for frame in values]
    forms = {
        "lists": plain,
        "landmarks": {"frames": [{"landmarks": landmarks(f), "time_s": i / 25} for i, f in enumerate(values)]},
        "pose": [{"poseLandmarks": landmarks(f)} for f in values],
        "proto": [{"pose_landmarks": {"landmark": landmarks(f)}} for f in values],
        "persons": {"data": [{"pose_landmarks": [landmarks(f)]} for f in values]},
    }
    for name, form in forms.items():
        found = read(tmp_path / f"{name}.json", json.dumps(form))
        assert found.joints == BLAZEPOSE_JOINTS
        np.testing.assert_allclose(found.values, values, rtol=1e-5, err_msg=name)
        assert (found.times_s is not None) == (name == "landmarks")
    gap = read(tmp_path / "gap.json", json.dumps([plain[0], None, {"landmarks": []}, plain[2]]))
    assert np.isnan(gap.values[1:3]).all() and gap.values.shape == (4, 33, 3)


def test_mediapipe_json_of_hands_and_body(tmp_path):
    hands, body = points(2, 42), points(2, 33)
    frames = [
        {"left_hand_landmarks": landmarks(hands[0, :21]), "right_hand_landmarks": landmarks(hands[0, 21:])},
        {"left_hand_landmarks": None, "right_hand_landmarks": landmarks(hands[1, 21:])},
    ]
    found = read(tmp_path / "hands.json", json.dumps(frames))
    assert found.joints == TWO_HANDS_JOINTS
    assert np.isnan(found.values[1, :21]).all()
    np.testing.assert_allclose(found.values[1, 21:], hands[1, 21:], rtol=1e-5)
    whole = [frame | {"pose_landmarks": landmarks(b)} for frame, b in zip(frames, body, strict=True)]
    assert joint_set(read(tmp_path / "all.json", json.dumps(whole)).joints).name == "holistic"


def test_positions_in_the_image_alone_have_two_dimensions(tmp_path):
    found = read(tmp_path / "flat.json", json.dumps(points(2, 21, 2).tolist()))
    assert found.values.shape == (2, 21, 2)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.mp4", b"", "is not a file of skeletons"),
        ("a.npy", b"", "is not a .npy array"),
        ("a.npy", b"\x93NUMPY\x01\x00\x06\x00{'desc", "is not a .npy array"),
        ("a.npy", npy(np.zeros((0, 20, 3))), "contains no frames"),
        ("a.npy", npy(np.full((5, 20, 3), np.nan)), "nobody is tracked in any of its 5 frames"),
        ("a.npy", npy(np.zeros((5, 60))), "its shape is"),
        ("a.npy", npy(np.zeros((5, 21, 3))), "has 21 joints, but 20 are named"),
        ("a.npy", npy(np.array([["a"]])), "expected a .npy array of numbers"),
        ("a.skeleton", "0\n", "contains no frames"),
        ("a.skeleton", "2\n0\n1\n", "ends in the middle of a frame"),
        ("a.skeleton", "many\n", "expected a count, found 'many'"),
        ("a.skeleton", "1\n1\n7 0\n1\n1 2 3\n", "expected 25 joints of 12 numbers"),
        ("a.skeleton", "99999999999\n", "expected a count"),
        ("a.txt", "1 2 3 4\n", "expected 20 rows"),
        ("a.txt", "1;2;3\n", "expected 140"),
        ("a.txt", "words\n", "expected rows of numbers"),
        ("a.txt", b"\xff\xfe", "is not UTF-8 text"),
        ("a.txt", "", "expected 20 rows"),
        ("a.csv", "1,2,3\n", "expected 180 (ChaLearn 2014)"),
        ("a.csv", "name,age\n1,2\n", "names no landmarks"),
        ("a.csv", "x,y\n1,2\n", "needs the columns frame"),
        ("a.json", "{", "is not JSON"),
        ("a.json", "[" * 100_000, "is not JSON"),
        ("a.json", "3", "expected a list of frames"),
        ("a.json", "[]", "contains no frames"),
        ("a.json", json.dumps([[[1, 2]] * 5]), "no known set has 5 landmarks"),
        ("a.json", json.dumps([[[1, 2]] * 21, [[1, 2]] * 33]), "[21, 33] landmarks"),
        ("a.json", json.dumps([{"landmarks": [{"a": 1}]}]), "expected 1 landmarks with x, y, z"),
    ],
)
def test_what_is_wrong_is_told_with_the_files_name(tmp_path, name, content, message):
    with pytest.raises(GestaError) as caught:
        read(tmp_path / name, content, KINECT_JOINTS if name == "a.npy" else None)
    assert str(caught.value).startswith(str(tmp_path / name)) and message in str(caught.value)


def test_another_number_of_joints_than_expected_is_told(tmp_path):
    with pytest.raises(GestaError, match="has 33 joints, expected 20"):
        read(tmp_path / "a.json", json.dumps(points(2, 33).tolist()), KINECT_JOINTS)
    with pytest.raises(GestaError, match="the names of its 20 joints are not known"):
        read(tmp_path / "a.npy", npy(points(2, 20)))


@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/data is not here")
def test_every_real_skeleton_is_read():
    utd = (REAL / "utd_mhad" / "joints.txt").read_text().split()
    sfinge = (REAL / "sfinge3d" / "joints.txt").read_text().split()
    assert joint_set(utd).name == "kinect" and joint_set(sfinge).name == "sfinge3d"
    for pattern, joints in (
        ("utd_mhad/skeleton/*_t1.npy", utd),
        ("sfinge3d/sequences/*.npy", sfinge),
        ("msr_action3d/skeletons/*_e01_*.txt", None),
    ):
        paths = sorted(REAL.glob(pattern))
        assert paths, pattern
        for path in paths:
            found = read_skeletons(Resource(path), joints)
            assert len(found.joints) == 20 and found.values.shape[1:] == (20, 3)
