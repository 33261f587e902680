"""Each fault of a file, a recording or a label: found, named by file, said in words. Nothing crashes."""

from __future__ import annotations

import shutil
import zipfile

import cv2
import numpy as np
import pytest
from audit.videos import write_video

from gesta.audit.inspection import inspect
from gesta.clips.decode import iter_frames
from gesta.schema import GestaError, Resource
from gesta.sources.catalog import read


def look(root, *rows):
    """Report on a folder whose index has these rows."""
    if rows:
        (root / "index.csv").write_text("\n".join(rows) + "\n")
    return inspect(read(root))


def found(report, kind):
    """The one problem of a kind, as text."""
    (problem,) = [p for p in report.problems if p.kind == kind]
    return str(problem)


def test_nothing_is_wrong_with_a_healthy_folder(healthy):
    report = look(healthy)
    assert [p for p in report.problems if p.kind != "few-clips"] == []
    assert (report.samples, report.usable, report.recordings) == (12, 12, 12)
    assert report.people == {"p0": 4, "p1": 4, "p2": 4}
    assert (report.sizes, report.frame_rates) == ({"32 x 24": 12}, {"10": 12})
    assert report.lengths_s.median == pytest.approx(1.0)


def test_unreadable_video(healthy):
    (healthy / "wave_0_0.mkv").write_bytes(b"this is not a video" * 50)
    report = look(healthy)
    assert "wave_0_0.mkv: is not a readable video" in found(report, "unreadable")
    assert report.usable == 11


def test_missing_file_is_listed_by_the_reader(healthy):
    (healthy / "wave_0_0.mkv").unlink()
    assert "wave_0_0.mkv is not there" in found(look(healthy), "missing-file")


def test_empty_file_and_video_without_frames(healthy):
    (healthy / "wave_0_0.mkv").write_bytes(b"")
    assert "contains no frames: the file has 0 bytes" in found(look(healthy), "empty-video")


def test_video_with_a_header_only(tmp_path):
    write_video(tmp_path / "wave" / "a.avi", frames=0, codec="mpeg4")
    report = look(tmp_path)
    assert "a.avi: contains no frames. Copy or encode it again" in found(report, "empty-video")
    assert report.usable == 0


@pytest.mark.parametrize(("name", "codec"), [("long.mkv", "ffv1"), ("long.avi", "mpeg4"), ("long.mp4", "mpeg4")])
def test_video_that_was_cut_off(tmp_path, name, codec):
    path = write_video(tmp_path / name, frames=60, size=(64, 48), codec=codec)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    report = look(tmp_path, "path,label", f"{name},wave")
    assert set(report.kinds()) & {"truncated-video", "unreadable"}
    words = ("could be decoded", "is not a readable video", "decoding stopped")
    assert any(name in p.path and any(word in p.reason for word in words) for p in report.problems)
    assert report.usable == 0
    with pytest.raises(GestaError, match=f"{name}: (is cut short|is not a readable video|decoding failed)"):
        list(iter_frames(Resource(path), "gray"))


def test_depth_taken_as_color(tmp_path):
    write_video(tmp_path / "wave" / "a.mkv", pixels="gray16le")
    assert "is a 16-bit gray video, but listed as color. Name it in an index.csv" in found(
        look(tmp_path), "depth-as-color"
    )


@pytest.mark.parametrize("frames", [17, 25])
def test_modality_of_another_length(tmp_path, frames):
    write_video(tmp_path / "a.mkv", frames=20)
    write_video(tmp_path / "d.mkv", frames=frames, pixels="gray16le")
    report = look(tmp_path, "path,label,depth", "a.mkv,wave,d.mkv")
    assert f"d.mkv: has {frames} frames, but a.mkv has 20" in found(report, "other-length")
    write_video(tmp_path / "d.mkv", frames=18, pixels="gray16le")
    assert "other-length" not in look(tmp_path).kinds()


def test_skeleton_of_another_length_empty_or_unreadable(tmp_path):
    write_video(tmp_path / "a.mkv", frames=20)
    (tmp_path / "joints.txt").write_text("head\nleft_hand\n")
    (tmp_path / "camera.yaml").write_text("fx: 30\nfy: 30\ncx: 16\ncy: 12\n")
    rows = ("path,label,skeleton", "a.mkv,wave,a.npy")
    np.save(tmp_path / "a.npy", np.ones((15, 2, 3), np.float32))
    assert "a.npy: has 15 frames, but a.mkv has 20" in found(look(tmp_path, *rows), "other-length")
    np.save(tmp_path / "a.npy", np.zeros((20, 2, 3), np.float32))
    assert "a.npy: no person is tracked in any frame" in found(look(tmp_path, *rows), "skeleton-all-zero")
    (tmp_path / "a.npy").write_bytes(b"no array")
    assert "a.npy: is not a .npy array" in found(look(tmp_path, *rows), "unreadable")


def test_labels_outside_the_video_and_over_each_other(tmp_path):
    write_video(tmp_path / "a.mkv", frames=20)
    head = "path,label,start_s,end_s"
    report = look(tmp_path, head, "a.mkv,wave,0,1", "a.mkv,clap,1,4")
    assert "the label clap of a.mkv@1-4 extends to 4 s, but the video has 2.00 s" in found(
        report, "label-outside-video"
    )
    assert report.usable == 2
    report = look(tmp_path, head, "a.mkv,wave,0,1", "a.mkv,clap,3,4")
    assert "extends to 4 s" in found(report, "label-outside-video")
    assert report.usable == 1
    report = look(tmp_path, head, "a.mkv,wave,0,1.2", "a.mkv,clap,0.8,2")
    assert "a.mkv@0-1.2 (wave) and a.mkv@0.8-2 (clap) overlap by 0.40 s" in found(report, "overlapping-labels")
    assert "overlapping-labels" not in look(tmp_path, head, "a.mkv,wave,0,1", "a.mkv,clap,1,2").kinds()


def put_recording(folder, name="Sample0001", frames=20, stated=20, labels="5,1,10\n6,11,20\n", tracked=None):
    """A ChaLearn recording with real small videos; `tracked` says for each frame whether a person is there."""
    for seed, suffix in enumerate(("_color.mp4", "_depth.mp4", "_user.mp4")):
        write_video(folder / f"{name}{suffix}", frames=frames, codec="mpeg4", seed=seed)
    tracked = [True] * frames if tracked is None else tracked
    rows = [",".join(["0.5" if here else "0"] * 180) for here in tracked]
    (folder / f"{name}_skeleton.csv").write_text("\n".join(rows) + "\n")
    (folder / f"{name}_labels.csv").write_text(labels)
    (folder / f"{name}_data.csv").write_text(f"{stated},20,3500\n")
    return folder


def test_chalearn_recording_shorter_than_data_csv_says(tmp_path):
    put_recording(tmp_path / "Train1" / "Sample0001", stated=40, labels="5,1,10\n6,25,40\n")
    report = look(tmp_path)
    assert "_data.csv states 40 frames, but 20 could be decoded" in found(report, "truncated-video")
    text = found(report, "label-outside-video")
    assert "the label furbo of Sample0001/02 ends at frame 40, but the video has 20 frames" in text.replace(
        "chevuoi", "furbo"
    )


def test_chalearn_skeletons_without_a_person(tmp_path):
    put_recording(tmp_path / "Sample0001", "Sample0001", tracked=[False] * 20)
    put_recording(tmp_path / "Sample0002", "Sample0002", tracked=[True] * 10 + [False] * 10)
    texts = [str(p) for p in look(tmp_path).problems if p.kind == "skeleton-all-zero"]
    assert "Sample0001_skeleton.csv: no person is tracked in any frame" in texts[0]
    assert "no person is tracked during Sample0002/02" in texts[1]
    assert len(texts) == 2


def test_recordings_in_zips_are_opened_too(tmp_path):
    folder = put_recording(tmp_path / "Sample0001", stated=40)
    shutil.make_archive(str(folder), "zip", folder)
    shutil.rmtree(folder)
    report = look(tmp_path)
    assert (report.samples, report.usable) == (2, 2)
    assert "Sample0001.zip!Sample0001_color.mp4: _data.csv states 40 frames" in found(report, "truncated-video")


@pytest.mark.parametrize("damage", ["password", "bytes"])
def test_a_zip_that_cannot_be_unpacked_is_listed(tmp_path, damage):
    folder = put_recording(tmp_path / "Sample0001")
    with zipfile.ZipFile(tmp_path / "Sample0001.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
        skeleton = archive.getinfo("Sample0001_skeleton.csv")
    shutil.rmtree(folder)
    data = bytearray((tmp_path / "Sample0001.zip").read_bytes())
    start = skeleton.header_offset + 30 + len(skeleton.filename)
    if damage == "bytes":
        data[start : start + 40] = b"\xff" * 40
    else:  # the flag "encrypted" of its entry in the directory at the end
        data[data.rindex(b"PK\x01\x02", 0, data.rindex(b"Sample0001_skeleton.csv")) + 8] |= 1
    (tmp_path / "Sample0001.zip").write_bytes(data)
    assert "Sample0001.zip!Sample0001_skeleton.csv: cannot be read" in found(look(tmp_path), "unreadable")


def test_folders_of_depth_images(tmp_path):
    for number in range(4):
        (tmp_path / "shots").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "shots" / f"{number}.png"), np.full((6, 8), 900, np.uint16))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    report = look(tmp_path, "path,label", "shots,wave", "broken,clap")
    assert report.modalities["depth"] == 1
    assert report.sizes == {"8 x 6": 1}
    assert "0.png: is not a readable PNG" in found(report, "unreadable")
