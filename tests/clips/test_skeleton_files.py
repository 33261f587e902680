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
    """Positions, and confidences from 0 on as the fourth numbers."""
    found = np.random.default_rng(seed).normal(size=(frames, joints, numbers)).round(4)
    found[..., 3:4] = np.abs(found[..., 3:4])
    return found


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
        ("a.npy", b"", "its header cannot be read"),
        ("a.npy", b"\x93NUMPY\x01\x00\x06\x00{'desc", "its header cannot be read"),
        ("a.npy", npy(points(5, 20))[:-9], "its header announces 300 numbers, but only 2,391 bytes follow"),
        ("a.npy", npy(np.zeros((0, 20, 3))), "contains no frames"),
        ("a.npy", npy(np.full((5, 20, 3), np.nan)), "nobody is tracked in any of its 5 frames"),
        ("a.npy", npy(np.zeros((5, 60))), "its shape is"),
        ("a.npy", npy(np.zeros((5, 21, 3))), "has 21 joints, but 20 are named"),
        ("a.npy", npy(np.array([["a"]])), "it contains <U1 of shape (1, 1), not numbers"),
        ("a.npy", npy(np.ones((5, 20, 4)) * [1, 1, 1, -1]), "nobody is tracked in any of its 5 frames"),
        ("a.npy", npy(np.full((5, 20, 3), 1e300)), "nobody is tracked in any of its 5 frames"),
        ("a.skeleton", "0\n", "contains no frames"),
        ("a.skeleton", "2\n0\n1\n", "ends in the middle of a frame"),
        ("a.skeleton", "many\n", "expected a count, found 'many'"),
        ("a.skeleton", "1\n1\n7 0\n1\n1 2 3\n", "expected 25 joints of 12 numbers"),
        ("a.skeleton", "99999999999\n", "expected a count"),
        ("a.skeleton", "1\n0\n0\n", "announces 1 frames, but it goes on after them"),
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
        ("a.json", json.dumps([[{"x": 10**400, "y": 1}] * 21]), "where a number is expected"),
        ("a.json", json.dumps([[{"x": [1], "y": 1}] * 21]), "it has '[1]' where a number is expected"),
        ("a.json", json.dumps([[{"x": True, "y": 1}] * 21]), "it has 'True' where a number is expected"),
        ("a.json", json.dumps([[[[1, 2]] * 21] * 2]), "the landmarks of 2 people or hands"),
        ("a.json", json.dumps({"fps": "fast", "frames": [[[1, 2]] * 21]}), "it has 'fast' where a number"),
        ("a.json", json.dumps({"fps": 0, "frames": [[[1, 2]] * 21]}), "its frame rate is 0"),
    ],
)
def test_what_is_wrong_is_told_with_the_files_name(tmp_path, name, content, message):
    with pytest.raises(GestaError) as caught:
        read(tmp_path / name, content, KINECT_JOINTS if name == "a.npy" else None)
    assert str(caught.value).startswith(str(tmp_path / name)) and message in str(caught.value)


HEADER = ",".join(f"x{i},y{i}" for i in range(21))
ROW = ",".join(["1,2"] * 21)


def wide(*rows, first=""):
    return "\n".join([first + HEADER, *rows])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([ROW, ROW[:-2]], "row 2 below the header has 41 cells, the header 42"),
        ([f"{ROW},3"], "row 1 below the header has 43 cells, the header 42"),
        ([f'"{ROW}', ROW], "below the header has"),
        ([ROW, ROW.replace("1", "l", 1)], "row 2 below the header has 'l' where a number is expected"),
    ],
)
def test_a_broken_row_of_landmarks_is_told(tmp_path, rows, message):
    with pytest.raises(GestaError) as caught:
        read(tmp_path / "a.csv", wide(*rows))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (("0", "0.2", "0.1"), "its times jump back, from 0.2 s to 0.1 s"),
        (("0", "inf", "1"), "frame 1 (from 0) has no time"),
        (("0", "", "1"), "frame 1 (from 0) has no time"),
        (("2", "2", "2"), "all its frames have the time 2 s"),
        (("0", "33", "1e300"), "its times span 1e+300 s, more than a day"),
    ],
)
def test_times_that_no_recording_has_are_told(tmp_path, times, message):
    frames = [{"time_s": float(time or "nan"), "landmarks": [[1, 2]] * 21} for time in times]
    for name, content in (
        ("a.csv", wide(*(f"{time},{ROW}" for time in times), first="time_s,")),
        ("a.json", json.dumps(frames)),
    ):
        with pytest.raises(GestaError) as caught:
            read(tmp_path / name, content)
        assert message in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["0,20,1,2"], "a frame has the landmark 20 twice"),
        (["inf,20,1,2"], "its frame numbers are not whole numbers"),
        (["1,0,1,2", "1e18,20,1,2"], "its 3 frames are numbered from 0 to 1e+18"),
        (["1,21,1,2", "1,30,1,2"], "its 23 landmarks are numbered from 0 to 30, with gaps"),
    ],
)
def test_a_broken_table_with_one_row_per_landmark_is_told(tmp_path, rows, message):
    with pytest.raises(GestaError) as caught:
        read(tmp_path / "a.csv", "\n".join(["frame,landmark,x,y", *(f"0,{i},1,2" for i in range(21)), *rows]))
    assert message in str(caught.value)


def test_rows_of_landmarks_keep_times_gaps_and_the_landmarks_order(tmp_path):
    rows = [f"{frame},{frame / 10},{i},{i},{frame}" for frame in (20, 22, 26) for i in range(20, -1, -1)]
    found = read(tmp_path / "a.csv", "\n".join(["frame,time_s,landmark,x,y", *rows]))
    assert found.joints == HAND_JOINTS and found.times_s.tolist() == pytest.approx([2, 2.2, 2.4, 2.6])
    assert found.values[3].tolist() == [[i, 26] for i in range(21)]
    assert np.isnan(found.values[2]).all()


def test_tables_as_a_spreadsheet_with_decimal_commas_writes_them(tmp_path):
    header = ";".join(f"x{i};y{i}" for i in range(21))
    found = read(tmp_path / "a.csv", f"{header};\n" + ";".join(["1,5;2,5"] * 21) + ";\n")
    assert found.values[0, 20].tolist() == [1.5, 2.5]
    numbers = ";".join(["1,5;2,5;3,5;0;0;0;0;0;0"] * 20)
    assert read(tmp_path / "b.csv", numbers).values[0, 19].tolist() == [1.5, 2.5, 3.5]
    assert read(tmp_path / "c.csv", numbers.replace(",", ".").replace(";", ",").replace("2.5", "1e-05")).fps is None


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
