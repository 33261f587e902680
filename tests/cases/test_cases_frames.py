"""A folder of images is a video: their order, their pixels, and everywhere where videos are read."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from cases import odd_videos as odd
from cases.shared_cases import case

from gesta.audit.inspection import inspect
from gesta.clips.cache import ClipCache
from gesta.clips.chosen_frames import read_frames
from gesta.clips.decode import frame_times, iter_frames, probe
from gesta.clips.preprocess import preprocess
from gesta.clips.read import iter_sample
from gesta.clips.transform import Transform
from gesta.schema import GestaError, Resource, Sample
from gesta.sources.catalog import detect, read

FRAME = Transform(fps=30, size=64, streams=("body",), channels=("gray", "gray_difference"), body="frame")


def frames(folder, numbers, name="{:05d}.jpg"):
    """Images that show their numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        cv2.imwrite(str(folder / name.format(number)), odd.numbered(number)[..., ::-1])
    return folder


def values(folder, kind="rgb"):
    return [image for _, image in iter_frames(Resource(folder), kind)]


NAMES = {
    "unpadded": "img_{}.png",
    "padded": "{:06d}.png",
    "capitals": "IMG{}.PNG",
    "two numbers": "cam2_{}_v10.png",
    "brackets": "frame ({}).png",
    "jpeg": "{}.jpg",
    "jpeg ending": "f{}.JPEG",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_images_come_in_the_order_of_their_numbers(tmp_path, name):
    folder = frames(tmp_path / "clip", range(1, 41), name)
    assert [odd.number_in(image) for image in values(folder)] == list(range(1, 41))
    assert len(frame_times(Resource(folder))) == probe(Resource(folder)).frames == 40
    assert [odd.number_in(f) for f in read_frames(odd.sample(folder), 160, frames=4)] == [6, 16, 26, 36]


def test_what_systems_leave_in_a_folder_is_no_frame(tmp_path):
    folder = frames(tmp_path / "clip", range(10), "{:03d}.png")
    before = ClipCache(tmp_path / "cache").fingerprint(odd.sample(folder))
    for name in ("._000.png", ".DS_Store", "Thumbs.db", "desktop.ini", ".hidden.png", "notes.txt"):
        (folder / name).write_bytes(b"\0\5\26\7 no picture")
    (folder / "011.png").mkdir()
    assert [odd.number_in(image) for image in values(folder)] == list(range(10))
    assert ClipCache(tmp_path / "cache").fingerprint(odd.sample(folder)) == before


def ramp(height=24, width=32):
    return np.tile(np.linspace(0, 255, width).round().astype(np.uint8), (height, 1))


def encodings():
    """Name -> (what is written, what it shows as RGB)."""
    gray = ramp()
    rgb = np.stack([gray, gray[:, ::-1], np.full_like(gray, 60)], axis=2)
    alpha = np.full(gray.shape, 100, np.uint8)
    return {
        "8 bits": (rgb[..., ::-1], rgb),
        "16 bits": (rgb[..., ::-1].astype(np.uint16) * 257, rgb),
        "16 bits and alpha": (np.dstack([rgb[..., ::-1].astype(np.uint16) * 257, alpha.astype(np.uint16) * 257]), rgb),
        "alpha": (np.dstack([rgb[..., ::-1], alpha]), rgb),
        "gray": (gray, np.repeat(gray[..., None], 3, 2)),
    }


@pytest.mark.parametrize("name", encodings())
def test_pngs_of_every_kind_show_the_same(tmp_path, name):
    written, right = encodings()[name]
    for n in range(3):
        cv2.imwrite(str(tmp_path / f"{n}.png"), written)
    assert np.abs(values(tmp_path)[1].astype(int) - right).max() <= 1
    gray = cv2.cvtColor(right, cv2.COLOR_RGB2GRAY).astype(int)
    assert np.abs(values(tmp_path, "gray")[1].astype(int) - gray).max() <= 1


def test_a_palette_png_shows_its_colors(tmp_path):
    from gesta.clips.images import read_image

    def chunk(kind, data):
        import struct
        import zlib

        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    import struct
    import zlib

    head = struct.pack(">IIBBBBB", 4, 2, 8, 3, 0, 0, 0)
    rows = zlib.compress(b"\0\0\1\2\1\0\2\1\0\0")
    palette = bytes([255, 0, 0, 0, 200, 0, 10, 20, 250])
    file = tmp_path / "p.png"
    parts = chunk(b"IHDR", head) + chunk(b"PLTE", palette) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    colors = np.frombuffer(palette, np.uint8).reshape(3, 3)
    np.testing.assert_array_equal(read_image(file), colors[[[0, 1, 2, 1], [2, 1, 0, 0]]])


def test_a_photograph_is_turned_as_the_camera_was_held(tmp_path):
    path = frames(tmp_path, [1, 2]) / "00001.jpg"
    data = path.read_bytes()
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"  # orientation 6: a quarter turn clockwise
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01" + entry + b"\0\0\0\0"
    path.write_bytes(data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:])
    image = values(tmp_path)[0]
    assert image.shape == (odd.WIDTH, odd.HEIGHT, 3)
    assert odd.number_in(np.rot90(image)) == 1


def test_sixteen_bit_gray_is_depth_and_nothing_else(tmp_path):
    folder = tmp_path / "rec"
    folder.mkdir()
    for n in range(12):
        cv2.imwrite(str(folder / f"depth_{n}.png"), np.full((24, 32), 1000 + n, np.uint16))
    (tmp_path / "index.csv").write_text("path,label\nrec,a\n")
    (sample,) = read(tmp_path).samples
    assert sample.modalities == ("depth",)
    assert [int(f.depth_mm.max()) for f in iter_sample(sample)] == [1000 + n for n in range(12)]
    with pytest.raises(GestaError, match=r"depth_0\.png: is a 16-bit gray PNG.*index\.csv"):
        values(folder)
    eight = frames(tmp_path / "eight", range(4), "{}.png")
    with pytest.raises(GestaError, match="expected a 16-bit gray PNG of depth"):
        values(eight, "gray16")


def test_two_videos_in_one_folder_are_refused(tmp_path):
    frames(frames(tmp_path, range(4), "{}.png"), range(4), "{}.jpg")
    with pytest.raises(GestaError, match="contains both JPEG and PNG images"):
        values(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no picture at all"])
def test_an_image_that_is_none_is_named(tmp_path, content):
    (frames(tmp_path, range(4)) / "00002.jpg").write_bytes(content)
    with pytest.raises(GestaError, match=r"00002\.jpg: is not a readable PNG or JPEG"):
        values(tmp_path)


# -- everywhere ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["{:05d}.jpg", "img_{}.png"])
def test_class_folders_of_frame_folders(tmp_path, name):
    for label in ("wave", "clap"):
        for clip in range(2):
            frames(tmp_path / label / f"clip_{clip}", range(10 * clip, 10 * clip + 12), name)
    odd.write(tmp_path / "wave" / "film.mp4", 20)
    listing = read(tmp_path)
    assert (listing.layout, listing.labels) == ("class_folders", ("clap", "wave"))
    assert [s.id for s in listing.samples] == [
        "clap/clip_0",
        "clap/clip_1",
        "wave/clip_0",
        "wave/clip_1",
        "wave/film.mp4",
    ]
    report = inspect(listing)
    assert report.usable == 5 and not {"unread-format", "pictures-left-out", "empty-class"} & set(report.kinds())
    assert [odd.number_in(f) for f in read_frames(listing.samples[1], 160, every=4)] == [10, 14, 18]
    assert preprocess(listing.samples[0], FRAME).pixels.shape[0] == 12


def test_parts_people_and_depth_in_frame_folders(tmp_path):
    for part in ("train", "val", "test"):
        for label in ("wave", "clap"):
            frames(tmp_path / "rgb" / part / label / "c1", range(5))
            folder = tmp_path / "depth" / part / label / "c1"
            folder.mkdir(parents=True)
            for n in range(5):
                cv2.imwrite(str(folder / f"{n}.png"), np.full((24, 32), 900 + n, np.uint16))
    color, depth = read(tmp_path / "rgb"), read(tmp_path / "depth")
    assert {(s.split, s.label, s.modalities) for s in color.samples} == {
        (part, label, ("color",)) for part in ("train", "val", "test") for label in ("wave", "clap")
    }
    assert {s.modalities for s in depth.samples} == {("depth",)}


def test_predict_takes_a_frame_folder_and_a_folder_of_them(tmp_path, gesta):
    for clip in range(3):
        frames(tmp_path / f"clip_{clip}", range(20))
    done = gesta("predict", "demo", tmp_path / "clip_1", "--json")
    assert done.exit_code == 0 and len(done.stdout.splitlines()) == 1
    done = gesta("predict", "demo", tmp_path, "--json")
    assert done.exit_code == 0
    assert [json.loads(line)["sample"] for line in done.stdout.splitlines()] == [f"clip_{n}" for n in range(3)]
    done = gesta("predict", "demo", tmp_path / "clip_1", "--stream", "--json")
    assert json.loads(done.stdout.splitlines()[-1])["time_s"] == pytest.approx(20 / 30, abs=0.06)


@pytest.mark.parametrize("kind", ["original", "table"])
def test_jester(tmp_path, kind):
    for number in (12, 7, 100):
        frames(tmp_path / "20bn-jester-v1" / str(number), range(1, 37))
    if kind == "original":
        (tmp_path / "jester-v1-train.csv").write_text("12;Swiping Left\n7;Drumming Fingers\n")
        (tmp_path / "jester-v1-validation.csv").write_text("100;Swiping Left\n")
        (tmp_path / "jester-v1-labels.csv").write_text("Swiping Left\nDrumming Fingers\n")
    else:
        head = "video_id,label,frames\n"
        (tmp_path / "Train.csv").write_text(f"{head}12,Swiping Left,36\n7,Drumming Fingers,36\n")
        (tmp_path / "Validation.csv").write_text(f"{head}100,Swiping Left,36\n")
    listing = read(tmp_path)
    assert listing.layout == "jester"
    assert [(s.id, s.label, s.split) for s in listing.samples] == [
        ("12", "Swiping Left", "train"),
        ("7", "Drumming Fingers", "train"),
        ("100", "Swiping Left", "val"),
    ]
    report = inspect(listing)  # 36 frames at Jester's 12 a second
    assert report.usable == 3 and report.lengths_s.median == pytest.approx(3.0) and report.frame_rates == {"12": 3}
    assert len(preprocess(listing.samples[0], FRAME).pixels) == pytest.approx(90, abs=2)


def test_jester_names_what_is_missing(tmp_path):
    frames(tmp_path / "videos" / "12", range(3))
    (tmp_path / "jester-v1-train.csv").write_text("12;Swiping Left\n13;Stop Sign\n")
    with pytest.raises(GestaError, match="names 1 video that cannot be found:\n  13"):
        read(tmp_path)
    (tmp_path / "jester-v1-train.csv").write_text("12;Swiping Left\nx;Stop Sign\n")
    with pytest.raises(GestaError, match=r"jester-v1-train\.csv:2: expected a video's number"):
        read(tmp_path, "jester")


@pytest.mark.parametrize("how", ["video", "frames", "plain frames"])
def test_autsl(tmp_path, how):
    for part, names in {"train": ("signer0_sample1", "signer3_sample2"), "val": ("signer5_sample1",)}.items():
        for name in names:
            if how == "video":
                (tmp_path / part).mkdir(exist_ok=True)
                odd.write(tmp_path / part / f"{name}_color.mp4", 12)
                odd.write(tmp_path / part / f"{name}_depth.mp4", 12)
            else:
                frames(tmp_path / part / (f"{name}_color" if how == "frames" else name), range(12))
        rows = "".join(f"{name},{41 + n}\n" for n, name in enumerate(names))
        (tmp_path / f"{part}_labels.csv").write_text(rows)
    listing = read(tmp_path)
    assert listing.layout == "autsl"
    assert [(s.id, s.label, s.subject, s.split) for s in listing.samples] == [
        ("train/signer0_sample1", "041", "0", "train"),
        ("train/signer3_sample2", "042", "3", "train"),
        ("val/signer5_sample1", "041", "5", "val"),
    ]
    assert inspect(listing).usable == 3
    (tmp_path / "SignList_ClassId_TR_EN.csv").write_text("ClassId,TR,EN\n41,abla,sister\n42,acele,hurry\n")
    assert read(tmp_path).labels == ("hurry", "sister")


def test_photographs_in_class_folders_are_no_videos(tmp_path):
    for label in ("a", "b"):
        frames(tmp_path / label, range(5))
    assert detect(tmp_path) == "videos"  # without labels: two clips
    odd.write(tmp_path / "a" / "film.mp4", 5)
    assert [s.id for s in read(tmp_path).samples] == ["a/film.mp4"]


# -- the shared cases ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "count"), [("png_frames_unpadded", 40), ("png_frames_appledouble", 10)])
def test_shared_depth_frames(name, count):
    (sample,) = read(case(name)).samples
    assert [int(f.depth_mm.max()) for f in iter_sample(sample)] == list(range(1001, 1001 + count))


def test_shared_sixteen_bit_colors():
    eight, sixteen = (preprocess(s, FRAME).pixels.astype(int) for s in read(case("png_frames_rgb16")).samples)
    assert eight.shape == sixteen.shape and np.abs(eight - sixteen)[..., 0].max() <= 1


def test_a_sample_may_be_a_frame_folder_in_python(tmp_path):
    import gesta

    folder = frames(tmp_path / "clip", range(12))
    assert gesta.load("demo").predict(str(folder)).label
    assert gesta.load("demo").predict(Sample(id="x", recording="x", color=Resource(folder))).label
