"""The index.csv reader: all columns, depth without color, spans, skeletons, and each row that cannot be used."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest

from gesta.schema import GestaError
from gesta.sources import headers, index_csv
from gesta.sources.catalog import read


def write_index(root, *rows):
    (root / "index.csv").write_text("\n".join(rows) + "\n")


def write_video(path, codec, pixels, size=(32, 24)):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        frame = av.VideoFrame.from_ndarray(np.zeros((size[1], size[0], 3), np.uint8), "rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def one_problem(tmp_path, *rows):
    (tmp_path / "a.mp4").touch()
    write_index(tmp_path, *rows)
    (problem,) = read(tmp_path).problems
    return problem


def test_all_columns_with_semicolons_bom_and_odd_case(tmp_path):
    for name in ("v/a.mp4", "v/a_mask.mp4", "v/a.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    write_video(tmp_path / "v" / "a_depth.mkv", "ffv1", "gray16le")
    text = (
        "Path ; LABEL;subject;split;depth;mask;skeleton;depth_unit_mm;start_s;end_s;camera_height\r\n"
        "v\\a.mp4;wave;anna;Validation;v/a_depth.mkv;v/a_mask.mp4;v/a.csv;0,25;1.5;3;tall\r\n\r\n"
    )
    (tmp_path / "index.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    listing = read(tmp_path)
    (sample,) = listing.samples
    assert listing.problems == ()
    assert (sample.id, sample.recording) == ("v/a.mp4@1.5-3", "v/a.mp4")
    assert (sample.label, sample.subject, sample.split) == ("wave", "anna", "val")
    assert sample.modalities == ("color", "depth", "mask", "skeleton")
    assert (sample.depth_unit_mm, sample.start_s, sample.end_s) == (0.25, 1.5, 3.0)


def test_spans_of_one_long_recording_share_it(tmp_path):
    (tmp_path / "long.mp4").touch()
    write_index(tmp_path, "path,label,start_s,end_s", "long.mp4,wave,0,2", "long.mp4,clap,2,4.5", "long.mp4,rest,4.5,")
    samples = read(tmp_path).samples
    assert {s.recording for s in samples} == {"long.mp4"}
    assert [(s.start_s, s.end_s) for s in samples] == [(0, 2), (2, 4.5), (4.5, None)]
    assert len({s.id for s in samples}) == 3


def test_depth_video_or_folder_of_16_bit_images_as_path_has_no_color(tmp_path):
    write_video(tmp_path / "depth_01.mkv", "ffv1", "gray16le")
    write_video(tmp_path / "color_01.mkv", "ffv1", "yuv420p")
    for name, dtype in (("shots16", np.uint16), ("shots8", np.uint8)):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "0001.png"), np.zeros((4, 4), dtype))
    names = ("depth_01.mkv", "color_01.mkv", "shots16", "shots8")
    write_index(tmp_path, "path,label,depth_unit_mm", *(f"{name},wave,0.5" for name in names))
    modalities = {s.id: s.modalities for s in read(tmp_path).samples}
    assert modalities == {
        "depth_01.mkv": ("depth",),
        "color_01.mkv": ("color",),
        "shots16": ("depth",),
        "shots8": ("color",),
    }


def test_one_header_for_all_mp4_of_a_folder(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(index_csv, "holds_depth", lambda path: bool(opened.append(path)))
    rows = []
    for number in range(200):
        (tmp_path / f"clip_{number}.mp4").touch()
        rows.append(f"clip_{number}.mp4,wave")
    write_index(tmp_path, "path,label", *rows)
    assert len(read(tmp_path).samples) == 200
    assert len(opened) == 1


def test_npy_skeleton_takes_joints_and_camera_beside_the_index(tmp_path):
    (tmp_path / "a.mp4").touch()
    np.save(tmp_path / "a.npy", np.zeros((5, 2, 3), np.float32))
    (tmp_path / "joints.txt").write_text("left_hand\nhead\n")
    (tmp_path / "camera.yaml").write_text(
        "fx: 285.63\nfy: 285.5\ncx: 160\ncy: 120\ndepth_unit_mm: 2\nworld: x right, y up\n"
    )
    write_index(tmp_path, "path,label,skeleton", "a.mp4,wave,a.npy")
    (sample,) = read(tmp_path).samples
    assert sample.joints == ("left_hand", "head")
    assert (sample.camera.fx, sample.camera.cy, sample.depth_unit_mm) == (285.63, 120.0, 2.0)


@pytest.mark.parametrize(
    ("files", "words", "kept"),
    [
        ({}, "need joints.txt next to the index", False),
        ({"joints.txt": "head\nleft_hand\n"}, "need camera.yaml next to the index", True),  # for the skeleton stream
        (
            {"joints.txt": "head\n", "camera.yaml": "fx: 1\nfy: 1\ncx: 1\ncy: 1\n"},
            "has 2 joints, but joints.txt lists 1",
            False,
        ),
    ],
)
def test_npy_skeleton_that_cannot_be_used_is_left_out_and_said_once(tmp_path, files, words, kept):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    for name in ("a", "b"):
        (tmp_path / f"{name}.mp4").touch()
        np.save(tmp_path / f"{name}.npy", np.zeros((5, 2, 3), np.float32))
    write_index(tmp_path, "path,label,skeleton", "a.mp4,wave,a.npy", "b.mp4,wave,b.npy")
    listing = read(tmp_path)
    assert [s.skeleton is not None for s in listing.samples] == [kept, kept]
    assert all(words in problem.reason or "b.npy" in problem.reason for problem in listing.problems)
    assert words in listing.problems[0].reason


@pytest.mark.parametrize("text", ["fx: wide\n", "[" * 100_000, "fx: 2020-13-45", f"fx: 1{'0' * 400}"])
def test_broken_camera_is_named(tmp_path, text):
    (tmp_path / "a.mp4").touch()
    (tmp_path / "camera.yaml").write_text(text)
    write_index(tmp_path, "path,label", "a.mp4,wave")
    (problem,) = read(tmp_path).problems
    assert problem.path.endswith("camera.yaml")
    assert "expected the numbers fx, fy, cx, cy" in problem.reason


@pytest.mark.parametrize(
    ("row", "kind", "words"),
    [
        ("../a.mp4,wave,,,", "path-outside", "../a.mp4 is outside the folder"),
        ("v/../../a.mp4,wave,,,", "path-outside", "is outside the folder"),
        ("/etc/passwd,wave,,,", "path-outside", "/etc/passwd is outside"),
        ("C:\\a.mp4,wave,,,", "path-outside", "is outside"),
        ("b.mp4,wave,,,", "missing-file", "b.mp4 is not there"),
        (",wave,,,", "missing-file", "the path is empty"),
        ("a.mp4,wave,fold1,,", "unknown-split", "split 'fold1' is unknown; use train, val or test"),
        ("a.mp4,wave,,3,1", "bad-span", "the span from 3 s to 1.0 s is empty"),
        ("a.mp4,wave,,-1,1", "bad-span", "starts before 0"),
        ("a.mp4,wave,,soon,1", "bad-number", "start_s is 'soon', expected a number"),
        ("a.mp4,wave,,nan,1", "bad-number", "start_s is 'nan'"),
        ("index.csv,wave,,,", "no-video", "index.csv is not a video"),
        (
            "a.mp4,hello, world,,1,2",
            "bad-row",
            "it has 6 cells, the first line 5; put texts with commas in quotation marks",
        ),
    ],
)
def test_rows_that_cannot_be_used_are_listed(tmp_path, row, kind, words):
    problem = one_problem(tmp_path, "path,label,split,start_s,end_s", row)
    assert problem.kind == kind
    assert "line 2" in problem.reason
    assert words in problem.reason


def test_same_row_twice_missing_modality_and_missing_label(tmp_path):
    assert "already exists with label wave" in one_problem(tmp_path, "path,label", "a.mp4,wave", "a.mp4,clap").reason
    rows = "path,label,start_s,end_s", "a.mp4,wave,0,1", "a.mp4,clap,0.0,1.00"
    assert "a.mp4@0.0-1.00 already exists with label wave" in one_problem(tmp_path, *rows).reason
    problem = one_problem(tmp_path, "path,label,mask", "a.mp4,wave,m.mp4")
    assert (problem.kind, "is used without mask" in problem.hint) == ("missing-modality", True)
    assert "no column label" in one_problem(tmp_path, "path", "a.mp4").reason


def test_depth_twice_is_refused(tmp_path):
    for name in ("a.mkv", "b.mkv"):
        write_video(tmp_path / name, "ffv1", "gray16le")
    write_index(tmp_path, "path,label,depth", "a.mkv,wave,b.mkv")
    assert "a.mkv is a depth video, and so is b.mkv" in read(tmp_path).problems[0].reason


def test_index_without_the_right_columns_or_encoding(tmp_path):
    write_index(tmp_path, "id,label", "a.mp4,wave")
    with pytest.raises(GestaError, match="expected a first line with the columns path,label, found id, label"):
        read(tmp_path, "index_csv")
    (tmp_path / "index.csv").write_bytes("path,label\na.mp4,grüß\n".encode("latin-1"))
    with pytest.raises(GestaError, match="is not UTF-8"):
        read(tmp_path)
    (tmp_path / "index.csv").unlink()
    with pytest.raises(GestaError, match=r"has no index.csv"):
        read(tmp_path, "index_csv")


def test_headers_of_broken_files_say_nothing(tmp_path):
    (tmp_path / "broken.mkv").write_bytes(b"no video")
    (tmp_path / "broken.npy").write_bytes(b"no array")
    (tmp_path / "empty").mkdir()
    assert headers.holds_depth(tmp_path / "broken.mkv") is None
    assert headers.holds_depth(tmp_path / "empty") is None
    assert headers.joint_count(tmp_path / "broken.npy") is None
