"""Hostile and odd files: each is listed with its name and reason, the rest is read, nothing waits or fills up."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from cases.shared_cases import case, put
from clips.videos import gray_frames, write_video

from gesta import untrusted
from gesta.audit.inspection import inspect
from gesta.audit.page import write_html
from gesta.clips.images import read_image
from gesta.clips.skeleton import read_joints
from gesta.schema import KINECT_JOINTS, Camera, GestaError, Resource, Sample
from gesta.sources.catalog import detect, read
from gesta.tasks.hands.read import read_depth
from gesta.untrusted import printable, read_npy, valid_text


def video(path, count=12):
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_video(path, gray_frames(count), codec="libx264", pix_fmt="yuv420p")


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npy_header(text):
    header = text.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


def saved(function, *arguments, **named):
    stream = io.BytesIO()
    function(stream, *arguments, **named)
    return stream.getvalue()


WORLD = np.random.default_rng(0).normal(size=(12, 20, 3)).astype(np.float32)
WORLD[..., 2] += 3
BAD_NPY = {
    "an npz": saved(np.savez, a=WORLD),
    "10^12 rows": npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 20, 3), }"),
    "10^20 rows": npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (100000000000000000000, 20, 3), }"),
    "negative rows": npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 20, 3), }"),
    "an open bracket": npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 20, 3"),
    "no dictionary": npy_header("[[[[1]]]]"),
    "another dtype": npy_header("{'descr': '<q9', 'fortran_order': False, 'shape': (1, 20, 3), }"),
    "nested brackets": npy_header("(" * 100),
    "objects": saved(np.save, np.array([[[{}] * 3] * 20], object), allow_pickle=True),
    "text": npy(np.full((2, 20, 3), "x")),
    "complex": npy(np.ones((2, 20, 3), complex)),
    "cut short": npy(WORLD)[:-1],
    "another shape": npy(WORLD[:, :5]),
    "empty": b"",
    "magic only": b"\x93NUMPY",
    "version 9": b"\x93NUMPY\x09\x00" + bytes(100),
}


def skeleton_sample(path):
    return Sample(
        id="a",
        recording="a",
        color=Resource(path.with_suffix(".mp4")),
        skeleton=Resource(path),
        camera=Camera(500, 500, 32, 24),
    )


@pytest.mark.parametrize("name", BAD_NPY)
def test_bad_npy_skeletons_are_listed_and_the_set_is_read(tmp_path, name):
    for label in ("a", "b"):
        video(tmp_path / f"{label}.mp4")
    (tmp_path / "bad.npy").write_bytes(BAD_NPY[name])
    (tmp_path / "good.npy").write_bytes(npy(WORLD))
    (tmp_path / "joints.txt").write_text("\n".join(KINECT_JOINTS))
    (tmp_path / "camera.yaml").write_text("fx: 500\nfy: 500\ncx: 32\ncy: 24\n")
    (tmp_path / "index.csv").write_text("path,label,skeleton\nb.mp4,b,good.npy\na.mp4,a,bad.npy\n")
    report = inspect(read(tmp_path))
    assert (report.samples, report.usable) == (2, 2)
    listed = [p for p in report.problems if p.path.endswith("bad.npy") or "bad.npy" in p.reason]
    assert {p.kind for p in listed} <= {"unreadable", "bad-skeleton"}
    assert listed


@pytest.mark.parametrize("array", [np.asfortranarray(WORLD), WORLD.astype(">f8"), WORLD.astype(np.float16)])
def test_healthy_npy_of_other_orders_and_widths(tmp_path, array):
    path = tmp_path / "s.npy"
    path.write_bytes(npy(array))
    uv = read_joints(skeleton_sample(path))
    right = np.stack([32 + 500 * WORLD[..., 0] / WORLD[..., 2], 24 - 500 * WORLD[..., 1] / WORLD[..., 2]], -1)
    right[(WORLD[..., 2] <= 0) | (np.abs(right) > 1e5).any(-1)] = np.nan
    np.testing.assert_allclose(uv, right, rtol=0.02 if array.dtype == np.float16 else 1e-4, atol=0.6)


def test_numbers_beyond_any_image_are_no_reading(tmp_path):
    world = WORLD.copy()
    world[0], world[1, 0], world[2, 0], world[3, 0, 2] = np.nan, np.inf, [1e30, 1e30, 1e-30], 0
    path = tmp_path / "s.npy"
    path.write_bytes(npy(world))
    uv = read_joints(skeleton_sample(path))
    assert np.isnan(uv[0]).all()
    assert all(np.isnan(uv[t, 0]).all() for t in (1, 2, 3))
    assert np.isfinite(uv[4]).all()


def test_npy_reader_agrees_with_numpy():
    for array in (WORLD, np.asfortranarray(WORLD), np.arange(5, dtype=">i4"), np.float64(3), np.zeros((0, 3))):
        np.testing.assert_array_equal(read_npy(npy(array)), array)


@pytest.mark.parametrize("numbers", [1, 9, 18, 90, 99, 179, 181, 225])
def test_skeleton_csv_with_another_number_of_joints_is_listed(tmp_path, numbers):
    video(tmp_path / "a.mp4")
    row = ",".join(["1"] * numbers)
    (tmp_path / "s.csv").write_text(f"{row}\n" * 12)
    (tmp_path / "index.csv").write_text("path,label,skeleton\na.mp4,a,s.csv\n")
    report = inspect(read(tmp_path))
    (problem,) = [p for p in report.problems if p.path.endswith("s.csv")]
    assert f"{numbers} numbers per row. Expected 9 per joint, 180 for 20 joints" in problem.reason


@pytest.mark.parametrize("content", ["", "a,b\n", "1,2\n1\n", "\0", "nan\n"])
def test_skeleton_csv_that_is_none(tmp_path, content):
    (tmp_path / "s.csv").write_text(content)
    with pytest.raises(GestaError, match=r"s\.csv"):
        read_joints(skeleton_sample(tmp_path / "s.csv"))


def irregular(root):
    """A pipe, a socket, a link to a device, to nothing, to itself and a folder that is named like a video."""
    os.mkfifo(root / "pipe.mp4")
    with contextlib.chdir(root), socket.socket(socket.AF_UNIX) as made:  # a socket's path is short
        made.bind("socket.mp4")
    (root / "device.mp4").symlink_to("/dev/zero")
    (root / "nothing.mp4").symlink_to("nowhere.mp4")
    (root / "loop.mp4").symlink_to("loop.mp4")
    (root / "folder.mp4").mkdir()
    return ["pipe.mp4", "socket.mp4", "device.mp4", "nothing.mp4", "loop.mp4", "folder.mp4"]


@pytest.mark.parametrize("column", ["path", "depth", "mask", "skeleton"])
def test_what_is_no_file_is_never_opened_by_an_index(tmp_path, column):
    video(tmp_path / "a.mp4")
    names = irregular(tmp_path)
    rows = [f"{n},x" if column == "path" else f"a.mp4,x,{n},{i},{i + 1}" for i, n in enumerate(names)]
    header = "path,label" if column == "path" else f"path,label,{column},start_s,end_s"
    (tmp_path / "index.csv").write_text("\n".join([header, *rows]))
    report = inspect(read(tmp_path))
    assert "pipe.mp4 is a pipe, socket or device, not a file" in " ".join(p.reason for p in report.problems)
    assert len({line for p in report.problems for line in [p.reason.split(":")[0]] if line.startswith("line")}) >= 5


def test_what_is_no_file_is_listed_in_folders(tmp_path):
    video(tmp_path / "wave" / "a.mp4")
    video(tmp_path / "clap" / "a.mp4")
    irregular(tmp_path / "wave")
    (tmp_path / "clap" / "up").symlink_to(tmp_path)
    report = inspect(read(tmp_path))
    assert (report.samples, report.usable) == (2, 2)
    assert {Path(p.path).name: p.kind for p in report.problems if p.kind in ("no-file", "link")} == {
        "pipe.mp4": "no-file",
        "socket.mp4": "no-file",
        "device.mp4": "link",
        "nothing.mp4": "link",
        "loop.mp4": "link",
        "up": "link",
    }


def test_a_pipe_is_refused_by_the_resource_itself(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(GestaError, match="not a regular file"):
        Resource(tmp_path / "pipe.mp4").open()


def odd_zips():
    """Archives that zipfile has its own ways to fail on."""
    whole = saved(lambda stream: zipfile.ZipFile(stream, "w").close() or None)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Sample0001_data.csv", "10,20,4000")
        archive.writestr("Sample0001_color.mp4", b"x" * 1000)
    good = stream.getvalue()
    central = good.index(b"PK\x01\x02")

    def patched(offset, data):
        return good[: central + offset] + data + good[central + offset + len(data) :]

    return {
        "empty": whole,
        "version 20.0": patched(6, struct.pack("<H", 200)),
        "encrypted": patched(8, struct.pack("<H", 1)),
        "unknown compression": patched(10, struct.pack("<H", 77)),
        "name no utf-8": patched(8, struct.pack("<H", 0x800)).replace(b"Sample0001_data", b"Sample\xff\xfe01_data"),
        "offset beyond the end": patched(42, struct.pack("<I", 0x7FFFFFFF)),
        "cut": good[:-30],
        "no zip": b"PK\x03\x04" + bytes(50),
        "nothing": b"",
    }


@pytest.mark.parametrize("name", odd_zips())
def test_odd_zips_beside_class_folders_and_alone(tmp_path, name):
    put(tmp_path, "wave/a.mp4", "clap/b.mp4")
    (tmp_path / "notes.zip").write_bytes(odd_zips()[name])
    try:
        listing = read(tmp_path)
    except GestaError as error:
        pytest.fail(str(error))
    if name not in ("encrypted", "unknown compression", "offset beyond the end", "name no utf-8"):
        assert listing.layout == "class_folders"
        assert listing.labels == ("clap", "wave")
        assert [p.kind for p in listing.problems] == ["archive"]
    try:
        alone = inspect(read(tmp_path / "notes.zip"))
    except GestaError as error:
        assert "notes.zip" in str(error)
    else:
        assert alone.problems


def recording_zip(path, **contents):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, content in contents.items():
            archive.writestr(f"Sample0001_{part.replace('__', '.')}", content)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of the memory is read from /proc")
def test_a_zip_bomb_is_refused_in_little_memory(tmp_path):
    """A labels' csv of 320 MB of zeros in a small zip: its process stays far below that."""
    path = tmp_path / "Sample0001.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("Sample0001_labels.csv", "w", force_zip64=True) as member:
            block = bytes(16 * 2**20)
            for _ in range(20):
                member.write(block)
        archive.writestr("Sample0001_color.mp4", b"")
    code = (
        "import sys, pathlib; from gesta.sources.catalog import read\n"
        "listing = read(sys.argv[1]); print([p.reason for p in listing.problems if 'labels' in p.path])\n"
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "print(int(status.split('VmHWM:')[1].split()[0]) // 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60, check=True
    )
    reasons, peak_mb = done.stdout.splitlines()
    assert "would unpack to" in reasons
    assert int(peak_mb) < 300


def test_members_of_a_zip_are_read_as_before(tmp_path):
    recording_zip(
        tmp_path / "Sample0001.zip",
        data__csv="12,20,4000",
        labels__csv="1,1,10\n",
        color__mp4=video(tmp_path / "v.mp4").read_bytes(),
    )
    listing = read(tmp_path / "Sample0001.zip")
    assert [(s.label, s.first_frame, s.last_frame) for s in listing.samples] == [("vattene", 0, 9)]
    assert inspect(listing).usable == 1


@pytest.mark.parametrize("unit", ["0", "-1", "nan", "inf", "1e999", "text", "[]"])
def test_a_depth_unit_that_is_none(tmp_path, unit):
    video(tmp_path / "a.mp4")
    (tmp_path / "camera.yaml").write_text(f"fx: 500\nfy: 500\ncx: 32\ncy: 24\ndepth_unit_mm: {unit}\n")
    (tmp_path / "index.csv").write_text("path,label\na.mp4,x\n")
    assert [p.kind for p in read(tmp_path).problems] == ["bad-camera"]
    (tmp_path / "camera.yaml").unlink()
    (tmp_path / "index.csv").write_text(f"path,label,depth_unit_mm\na.mp4,x,{unit}\n")
    listing = read(tmp_path)
    assert [p.kind for p in listing.problems] == ["bad-number"]
    assert not listing.samples


def test_names_with_control_characters_are_escaped_where_they_are_shown(tmp_path):
    label = "wa\x1b[31mve\r\x07"
    put(tmp_path, f"{label}/a\n.mp4", "clap/b.mp4")
    listing = read(tmp_path)
    assert label in listing.labels
    problem = next(p for p in inspect(listing).problems if "a\n" in p.path)
    assert "\x1b" not in str(problem)
    assert "\n" not in str(problem)
    assert printable(label) == r"wa\x1b[31mve\x0d\x07"
    assert printable("\u202egpj.exe\x9b") == r"\u202egpj.exe\x9b"
    assert valid_text("caf\udce9 ü") == "caf\\xe9 ü"


def unknown_codec(path):
    """An avi of raw pictures whose FourCC nobody knows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, gray_frames(4), codec="mpeg4", pix_fmt="yuv420p")
    data = path.read_bytes()
    for name in (b"FMP4", b"fmp4"):
        data = data.replace(name, b"ZZZZ")
    path.write_bytes(data)


def test_a_codec_that_nobody_knows_among_healthy_videos(tmp_path):
    unknown_codec(tmp_path / "a" / "v1.avi")
    video(tmp_path / "b" / "v2.mp4")
    report = inspect(read(tmp_path))
    assert (report.samples, report.usable) == (2, 1)
    (problem,) = [p for p in report.problems if p.kind == "unreadable"]
    assert problem.path.endswith("v1.avi")
    assert "not known" in problem.reason


@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".mp4", ".avi"])
def test_metadata_that_is_not_utf8(tmp_path, suffix):
    import av

    path = tmp_path / f"m{suffix}"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "QQQQ"
        stream = container.add_stream("libvpx" if suffix == ".webm" else "mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for image in gray_frames(4, 24, 32):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode())
    data = path.read_bytes()
    assert b"QQQQ" in data
    path.write_bytes(data.replace(b"QQQQ", b"\xe9\xb2\xff\x80"))
    assert inspect(read(path)).usable == 1


@pytest.mark.parametrize(("height", "width"), [(2, 640), (640, 2)])
def test_a_video_of_hardly_any_lines_has_a_page(tmp_path, height, width):
    path = write_video(tmp_path / "v.mkv", gray_frames(4, height, width))
    listing = read(path)
    page = write_html(inspect(listing), listing, tmp_path / "out")
    assert "data:image/jpeg" in page.read_text()


HOSTILE = {
    "029_npy_is_npz": (2, 2, "s.npy"),
    "031_npy_huge": (2, 2, "s.npy"),
    "032_npy_huge2": (2, 2, "s.npy"),
    "045_npy_badhdr": (2, 2, "s.npy"),
    "1x640.mkv": (1, 1, ""),
    "b30": (1, 1, ""),
    "latin1_title.mkv": (1, 1, ""),
    "csv_field": (0, 0, "index.csv"),
    "skel_9": (2, 2, "s.csv"),
    "unit0": (1, 1, "camera.yaml"),
    "unknown_codec": (2, 1, "v1.avi"),
    "stray_zip": (16, 16, "notes.zip"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_shared_hostile(tmp_path, name):
    samples, usable, listed = HOSTILE[name]
    listing = read(case("hostile") / name)
    report = inspect(listing)
    assert (report.samples, report.usable) == (samples, usable)
    assert not listed or any(p.path.endswith(listed) for p in report.problems)
    assert write_html(report, listing, tmp_path / "out").exists()


def test_shared_odd_zip():
    path = case("hostile") / "zips" / "min_v.zip"
    with pytest.raises(GestaError, match=r"min_v\.zip"):
        detect(path)


def test_images_that_state_more_pixels_than_are_read(tmp_path):
    import cv2

    from gesta.untrusted import MAX_PIXELS, image_pixels

    for suffix in (".png", ".jpg"):
        done, data = cv2.imencode(suffix, np.full((30, 50, 3), 90, np.uint8))
        assert done
        assert image_pixels(data.tobytes()) == 1500
        assert image_pixels(data.tobytes()[:10]) is None
    assert image_pixels(b"GIF89a" + bytes(40)) is None
    vast = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR" + struct.pack(">II", 30_000, 30_000) + bytes(20)
    assert image_pixels(vast) > MAX_PIXELS
    for i in range(3):
        (tmp_path / "clip").mkdir(exist_ok=True)
        (tmp_path / "clip" / f"{i}.png").write_bytes(vast)
    (tmp_path / "index.csv").write_text("path,label\nclip,wave\n")
    report = inspect(read(tmp_path))
    assert report.usable == 0
    assert "more than 40,000,000 pixels" in " ".join(p.reason for p in report.problems)


@pytest.mark.parametrize("damage", ["a chunk of 4 GB", "cut short", "no width", "another format"])
def test_a_damaged_png_is_refused_before_it_is_decoded(tmp_path, damage):
    """OpenCV makes room for the length that a chunk states: 4 GB of it, 40 s long."""
    import cv2

    data = cv2.imencode(".png", np.full((30, 50), 1500, np.uint16))[1].tobytes()
    at = data.index(b"IDAT") - 4
    bad = {
        "a chunk of 4 GB": data[:at] + b"\xff\xff\0\0" + data[at + 4 :],
        "cut short": data[: at + 20],
        "no width": data[:16] + bytes(4) + data[20:],
        "another format": cv2.imencode(".bmp", np.zeros((3, 5), np.uint8))[1].tobytes(),
    }[damage]
    for path in (tmp_path / "clip" / "0.png", tmp_path / "clip" / "1.png"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bad)
    start = time.perf_counter()
    with pytest.raises(GestaError, match=r"0\.png: is (not a readable PNG or JPEG|a PNG that is cut short or damaged)"):
        read_image(tmp_path / "clip" / "0.png")
    with pytest.raises(GestaError, match=r"0\.png: is (not a readable PNG or JPEG|a PNG that is cut short or damaged)"):
        read_depth(Resource(tmp_path / "clip" / "0.png"))
    assert inspect(read(tmp_path / "clip")).usable == 0
    assert time.perf_counter() - start < 5


def test_images_are_decoded_with_bytes_that_fill_up(tmp_path):
    import cv2

    data = cv2.imencode(".jpg", np.full((30, 50, 3), 90, np.uint8))[1].tobytes()
    path = tmp_path / "a.jpg"
    path.write_bytes(data[:2] + b"\xff" * 3 + data[2:])  # T.81, B.1.1.2
    assert read_image(path).shape == (30, 50, 3)
    png = cv2.imencode(".png", np.full((30, 50, 3), 90, np.uint8))[1].tobytes()
    (tmp_path / "b.png").write_bytes(png + b"what some programs add")
    assert read_image(tmp_path / "b.png").shape == (30, 50, 3)


def test_videos_of_more_pixels_than_are_read(tmp_path, monkeypatch):
    from gesta.clips import walk

    path = video(tmp_path / "v.mp4")
    assert inspect(read(path)).usable == 1
    monkeypatch.setattr(walk, "MAX_PIXELS", 100)
    assert inspect(read(path)).usable == 0


def test_a_pipe_in_the_place_of_a_table_or_of_the_data(tmp_path):
    put(tmp_path, "wave/a.mp4", "clap/a.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    for name in ("index.csv", "pipe.mp4"):
        if name == "index.csv":
            os.mkfifo(tmp_path / name)
        with pytest.raises(GestaError, match=name):
            read(tmp_path if name == "index.csv" else tmp_path / name)
    for name in (
        "signs.csv",
        "train_list.txt",
        "trainlist01.txt",
        "testlist01.txt",
        "jester-v1-train.csv",
        "train_labels.csv",
    ):
        root = tmp_path / f"set of {name}"
        put(root, "wave/a.mp4", "clap/a.mp4")
        os.mkfifo(root / name)
        assert read(root).labels == ("clap", "wave")


@pytest.mark.parametrize(("failures", "read"), [(2, True), (3, False)])
def test_a_header_that_pythons_parser_stumbles_over_is_read_again(monkeypatch, failures, read):
    """`ast` raises SystemError where another thread parses at the same moment: no fault of the file."""
    stream, real, left = io.BytesIO(), untrusted._header, [None] * failures
    np.save(stream, np.arange(6.0))

    def stumbles(given):
        if left:
            left.pop()
            given.read(3)
            raise SystemError("AST constructor recursion depth mismatch")
        return real(given)

    monkeypatch.setattr(untrusted, "_header", stumbles)
    if read:
        assert untrusted.read_npy(stream.getvalue()).tolist() == list(range(6))
    else:
        with pytest.raises(ValueError, match="its header cannot be read"):
            untrusted.read_npy(stream.getvalue())
