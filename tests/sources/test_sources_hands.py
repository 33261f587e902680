"""Readers of hand poses on tiny sets written as the originals are; the real first frame of NYU; each message."""

import struct
import time
import zlib
from pathlib import Path

import cv2
import hand_files as files
import numpy as np
import pytest

from gesta.schema import Camera, GestaError, Resource
from gesta.sources import hand_catalog, hand_folder, icvl, msra_hand, nyu
from gesta.sources.cameras import CAMERAS, find_camera, read_camera
from gesta.tasks.hands.read import read_color, read_depth, read_hand

REAL = Path(__file__).parents[3] / "shared" / "data"
needs_real = pytest.mark.skipif(not (REAL / "nyu_sample").is_dir(), reason="../shared/data/nyu_sample is not here")


@pytest.mark.parametrize("flavour", ["v5", "v7.3"])
def test_nyu(tmp_path, flavour):
    made = files.write_nyu(tmp_path, flavour=flavour)
    listing = hand_catalog.read(tmp_path)
    assert listing.layout == "nyu" and not listing.problems and listing.joint_names[-1] == "C"
    assert [f.id for f in listing.frames][:4] == [f"train/depth_1_{i:07d}" for i in (1, 2, 3)] + [
        "test/depth_1_0000001"
    ]
    frame = listing.frames[4]
    assert (frame.split, frame.view, frame.camera) == ("test", 1, CAMERAS["nyu"])
    np.testing.assert_allclose(frame.joints_mm, made["test"][0, 1][list(nyu.PROTOCOL)], rtol=1e-6)
    np.testing.assert_allclose(frame.center_mm, made["test"][0, 1, 32], rtol=1e-6)
    depth, color = read_hand(frame, color=True)
    assert depth.shape == (480, 640) and (depth == 702).all() and (color == 90).all()
    assert {f.subject for f in listing.frames if f.split == "train"} == {"1"}
    side = nyu.read(tmp_path, views=(3, 2), joints=range(36))
    assert [f.view for f in side.frames[:6]] == [3, 3, 3, 2, 2, 2]
    np.testing.assert_allclose(side.frames[3].joints_mm, made["train"][1, 0], rtol=1e-6)
    assert len(nyu.read(tmp_path / "test").frames) == 3 and nyu.read(tmp_path / "test").frames[0].split == "test"


@pytest.mark.parametrize("flavour", ["v5", "v7.3"])
def test_nyu_of_pixels_only_and_people(tmp_path, flavour):
    made = files.write_nyu(tmp_path, views=(1,))
    fields = {"joint_uvd": files.uvd(CAMERAS["nyu"], made["train"]), "subject": np.array([[4.0, 4, 7]])}
    files.write_annotation(tmp_path / "train" / "joint_data.mat", flavour, fields)
    frames = nyu.read(tmp_path / "train").frames
    np.testing.assert_allclose(frames[2].joints_mm, made["train"][0, 2][list(nyu.PROTOCOL)], atol=1e-3)
    assert [f.subject for f in frames] == ["4", "4", "7"]


@pytest.mark.parametrize("flavour", ["v5", "v7.3"])
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"other": np.zeros((2, 2))}, "has neither joint_xyz nor joint_uvd, only .*other"),
        ({"joint_xyz": np.zeros((3, 2, 14, 3))}, r"expected 3 views x frames x 36 x 3"),
        ({"joint_xyz": np.zeros((36, 3))}, r"of the shape \(36, 3\), expected 3 views"),
        (
            {"joint_xyz": np.ones((3, 2, 36, 3)), "subject": np.ones((1, 5))},
            "subject has 5 numbers, expected .* 2 frames",
        ),
    ],
)
def test_annotation_without_the_expected_fields(tmp_path, flavour, fields, message):
    files.write_annotation(tmp_path / "joint_data.mat", flavour, fields)
    with pytest.raises(GestaError, match=message):
        nyu.read(tmp_path)


def test_nyu_faults(tmp_path):
    files.write_nyu(tmp_path, views=(1,))
    (tmp_path / "train" / "depth_1_0000002.png").unlink()
    xyz = files.world(3, 36, views=3)
    xyz[0, 2, 5, 1] = np.nan
    files.write_annotation(tmp_path / "test" / "joint_data.mat", "v5", {"joint_xyz": xyz})
    listing = nyu.read(tmp_path)
    assert len(listing.frames) == 4
    assert [p.kind for p in listing.problems] == ["missing-image", "nan-joints"]
    assert "first: depth_1_0000003.png" in listing.problems[1].reason
    with pytest.raises(GestaError, match="views 1, 2 and 3, not 4"):
        nyu.read(tmp_path, views=(4,))
    (tmp_path / "train" / "joint_data.mat").write_bytes(b"MATLAB 5.0 MAT-file" + b"\0" * 100)
    with pytest.raises(GestaError, match="cannot be read as a MATLAB file"):
        nyu.read(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(GestaError, match=r"no joint_data\.mat here"):
        nyu.read(tmp_path / "empty")


def test_annotation_names_what_is_not_installed(tmp_path, monkeypatch):
    files.write_annotation(tmp_path / "joint_data.mat", "v5", {"joint_xyz": np.ones((3, 2, 36, 3))})
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    with pytest.raises(GestaError, match=r"needs scipy, .* pip install .*\[train\]'"):
        nyu.read(tmp_path)


@pytest.mark.slow
def test_index_of_80000_frames_under_5_seconds(tmp_path):
    n = 80_000
    xyz = np.cumsum(np.random.default_rng(0).normal(size=(3, n, 36, 3)), axis=1)
    xyz[..., 2] += 800
    files.write_annotation(tmp_path / "joint_data.mat", "v5", {"joint_xyz": xyz, "joint_uvd": xyz}, compress=False)
    for row in range(1, n + 1):
        (tmp_path / f"depth_1_{row:07d}.png").touch()
        (tmp_path / f"rgb_1_{row:07d}.png").touch()
    start = time.process_time()
    listing = nyu.read(tmp_path)
    assert time.process_time() - start < 5
    assert len(listing.frames) == n


@needs_real
def test_real_first_frame_of_nyu():
    """Joints lie a little behind the surface that the decoded depth shows; color has the same size."""
    depth = read_depth(Resource(REAL / "nyu_sample" / "depth_1_0000001.png"), "nyu")
    assert depth.shape == (480, 640) == read_color(Resource(REAL / "nyu_sample" / "rgb_1_0000001.png")).shape[:2]
    with (REAL / "nyu_eval" / "groundtruth" / "nyu_test_groundtruth_label.txt").open() as stream:
        joints = np.array(stream.readline().split(), float).reshape(14, 3)
    u, v = np.rint(joints[:, :2]).astype(int).T
    behind = joints[:, 2] - depth[v, u]
    assert 0 < np.median(behind) < 20 and (np.abs(behind) < 40).mean() > 0.8


@needs_real
def test_second_person_of_nyu_begins_where_the_bones_change():
    uvd = np.loadtxt(REAL / "nyu_eval" / "groundtruth" / "nyu_test_groundtruth_label.txt").reshape(-1, 14, 3)
    world = CAMERAS["nyu"].unproject(uvd)
    assert len(world) == nyu.TEST_FRAMES
    palm = np.linalg.norm(world[:, 11] - world[:, 13], axis=1)  # W1 to C, stiff
    first, second = palm[: nyu.SECOND_PERSON], palm[nyu.SECOND_PERSON :]
    assert first.min() > second.max() + 5


def test_icvl(tmp_path):
    made = files.write_icvl(tmp_path)
    listing = hand_catalog.read(tmp_path)
    assert listing.layout == "icvl" and not listing.problems and len(listing.joint_names) == 16
    assert [f.split for f in listing.frames] == ["train"] * 3 + ["test"] * 3
    frame = listing.frames[4]
    np.testing.assert_allclose(frame.camera.project(frame.joints_mm), made[1][1, :, :2], atol=1e-2)
    np.testing.assert_allclose(frame.joints_mm[:, 2], made[1][1, :, 2], atol=1e-2)
    assert (read_hand(frame)[0] == 800).all()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a/image_0000.png 1 2 3", "row 1 has 3 numbers, expected 48"),
        ("a/image_0000.png " + "x " * 48, "row 1: .*Expected `path u v d"),
        ("../image_0000.png " + "1 " * 48, "is outside the folder"),
    ],
)
def test_icvl_bad_rows(tmp_path, row, message):
    (tmp_path / "Training").mkdir()
    (tmp_path / "Training" / "labels.txt").write_text(row)
    with pytest.raises(GestaError, match=message):
        icvl.read(tmp_path)


def test_icvl_says_what_it_left_out(tmp_path):
    files.write_icvl(tmp_path)
    labels = tmp_path / "Training" / "labels.txt"
    rows = labels.read_text().splitlines()
    labels.write_text("\n".join([rows[0], "gone/image_0000.png " + "1 " * 48, f"{rows[1].split()[0]} nan {'1 ' * 47}"]))
    listing = icvl.read(tmp_path)
    assert len(listing.frames) == 4 and [p.kind for p in listing.problems] == ["missing-image", "nan-joints"]


def test_msra(tmp_path):
    made = files.write_msra(tmp_path)
    listing = hand_catalog.read(tmp_path)
    assert listing.layout == "msra" and len(listing.frames) == 8 and len(listing.joint_names) == 21
    assert {f.subject for f in listing.frames} == {"P0", "P3"}
    frame = next(f for f in listing.frames if f.id == "P3/TIP/000001")
    np.testing.assert_allclose(frame.joints_mm, made["P3", "TIP"][1], atol=1e-3)
    depth = read_hand(frame)[0]
    assert depth.shape == (240, 320) and (depth[60:100, 100:130] == 801).all() and (depth > 0).sum() == 40 * 30


def test_msra_faults(tmp_path):
    files.write_msra(tmp_path, people=("P0",), gestures=("1",))
    folder = tmp_path / "P0" / "1"
    raw = (folder / "000001_depth.bin").read_bytes()
    for spoilt, message in (
        (raw[:-4], "contains 1199 depths; its box of 30 x 40 needs 1200"),
        (raw[:10], "has 10 bytes"),
        (np.array([320, 240, 200, 0, 100, 9], np.int32).tobytes(), "does not fit into"),
        (raw[:-4] + np.array([np.nan], np.float32).tobytes(), "not finite"),
    ):
        (folder / "000001_depth.bin").write_bytes(spoilt)
        with pytest.raises(GestaError, match=message):
            read_depth(Resource(folder / "000001_depth.bin"), "msra")
    (folder / "000001_depth.bin").unlink()
    assert msra_hand.read(tmp_path).problems[0].kind == "missing-image"
    joints = (folder / "joint.txt").read_text()
    (folder / "joint.txt").write_text(joints.replace("2\n", "5\n", 1))
    with pytest.raises(GestaError, match="expected 315 numbers for 5 frames of 21 joints, found 126"):
        msra_hand.read(tmp_path)


@pytest.mark.parametrize("axes", ["xyz", "uvd"])
def test_folder_of_any_camera(tmp_path, axes):
    joints = files.world(3, 5)
    files.write_folder(tmp_path)
    camera = Camera(285.6, 285.6, 160, 120)
    files.write_joints(tmp_path / "joints.csv", joints if axes == "xyz" else files.uvd(camera, joints), axes)
    listing = hand_catalog.read(tmp_path)
    assert listing.layout == "hand_folder" and listing.joint_names == ("j0", "j1", "j2", "j3", "j4")
    frame = listing.frames[1]
    assert (frame.subject, frame.split, frame.camera) == ("B", "train", camera)
    np.testing.assert_allclose(frame.joints_mm, joints[1], atol=2e-3)
    depth, color = read_hand(frame, color=True)
    assert (depth == 801).all() and color.shape == (240, 320, 3)


def test_folder_without_color_and_joints(tmp_path):
    files.write_folder(tmp_path, rgb=False)
    files.write_camera(tmp_path / "camera.yaml", 285, 285, 160, 120, "depth_unit_mm: 0.125")
    frame = hand_folder.read(tmp_path).frames[0]
    assert frame.joints_mm is None and frame.center_mm is None and read_hand(frame)[0].max() == 100
    with pytest.raises(GestaError, match="has no color image, which this model needs"):
        read_hand(frame, color=True)


@pytest.mark.parametrize(
    ("camera", "message"),
    [
        ((285, 285, 120, 160), "cx = 120 and cy = 160 seem to be swapped: the image is 320 x 240"),
        ((285, 285, 640, 480), r"principal point \(640, 480\) lies outside the 320 x 240 image"),
        ((3.6, 3.6, 160, 120), "field of view of 177 degrees, expected 20 to 120"),
        ((3000, 3000, 160, 120), "field of view of 6 degrees"),
        ((285, 330, 160, 120), "fx = 285 and fy = 330 differ by more than 10 %"),
        ((285, -285, 160, 120), "should be positive"),
        ((285, "nan", 160, 120), "should be positive"),
        ((285, "x", 160, 120), "expected the numbers fx, fy, cx, cy"),
    ],
)
def test_intrinsics_that_look_wrong(tmp_path, camera, message):
    files.write_folder(tmp_path, camera=camera)
    with pytest.raises(GestaError, match=message):
        hand_folder.read(tmp_path)


@pytest.mark.parametrize(("name", "size"), [("nyu", (640, 480)), ("icvl", (320, 240)), ("msra", (320, 240))])
def test_known_cameras_are_not_doubted(name, size):
    assert CAMERAS[name].doubts(size) == []


def test_camera_file(tmp_path):
    path = tmp_path / "camera.yaml"
    with pytest.raises(GestaError, match=r"camera.yaml: not found"):
        read_camera(path)
    path.write_text("fx: 5\nfy: 5\ncx: 3")
    with pytest.raises(GestaError, match="cy is missing"):
        read_camera(path)
    for text in ("[" * 100_000, "fx: 2020-13-45", "fx: !!bool maybe", "fx: 1:" + "1:" * 300 + "1.5"):
        path.write_text(text)
        with pytest.raises(GestaError, match=r"camera.yaml: is not readable YAML"):
            read_camera(path)
    path.write_text(f"fx: 1{'0' * 400}\nfy: 5\ncx: 3\ncy: 3")
    with pytest.raises(GestaError, match="expected the numbers fx, fy, cx, cy"):
        read_camera(path)
    files.write_camera(path, 285, 285, 160, 120, "depth_unit_mm: 0.25")
    assert read_camera(path) == (Camera(285, 285, 160, 120), 0.25) == find_camera(str(path))
    files.write_camera(path, 285, 285, 160, 120, "depth_unit_mm: 0")
    with pytest.raises(GestaError, match="depth_unit_mm is 0"):
        read_camera(path)
    files.write_camera(path, 285, 285, 120, 160, "width: 320\nheight: 240")
    with pytest.raises(GestaError, match="swapped"):
        read_camera(path)
    files.write_camera(path, 285, 285, 120, 160, "width: wide\nheight: 240")
    with pytest.raises(GestaError, match="whole numbers"):
        read_camera(path)
    files.write_camera(path, 285, 285, 120, 160, "width: 0\nheight: 240")
    with pytest.raises(GestaError, match="should be positive, not 0"):
        read_camera(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda j: j / 1000, "look like meters. Write mm"),
        (lambda j: j * (1, 1, -1), "are behind the camera"),
        (lambda j: j + np.array((0, 900, 0)), "are inside the 320 x 240 images"),
        (lambda j: j * (0.1, 0.1, 1) + (0, -900, 0), "check them and the intrinsics"),
    ],
)
def test_joints_that_look_wrong(tmp_path, change, message):
    files.write_folder(tmp_path, joints=change(files.world(3, 5)))
    with pytest.raises(GestaError, match=message):
        hand_folder.read(tmp_path)


def test_split_of_an_unknown_name_is_no_training_data(tmp_path):
    files.write_folder(tmp_path, joints=files.world(3, 5))
    csv = tmp_path / "joints.csv"
    head, first, second, third = csv.read_text().splitlines()
    rows = [head, first, second.replace("train", "Testing"), third.replace("train", "")]
    csv.write_text("\n".join(rows))
    assert [frame.split for frame in hand_folder.read(tmp_path).frames] == ["train", "test", None]
    csv.write_text("\n".join([*rows[:3], third.replace("train", "eval")]))
    with pytest.raises(GestaError, match="line 4: split 'eval' is unknown; use train, val or test"):
        hand_folder.read(tmp_path)


def test_joints_with_y_down_are_recognized(tmp_path):
    """Hands in the lower half, with a camera that looks at it from above the middle."""
    camera = (285.6, 285.6, 160, 60)
    up = files.world(3, 5) * (0.3, 0.3, 1) - (0, 300, 0)  # in the lower half, y up
    files.write_folder(tmp_path / "up", camera=camera, joints=up)
    assert hand_folder.read(tmp_path / "up").frames
    files.write_folder(tmp_path / "down", camera=camera, joints=up * (1, -1, 1))
    with pytest.raises(GestaError, match="y seems to point down"):
        hand_folder.read(tmp_path / "down")


def test_folder_faults(tmp_path):
    files.write_folder(tmp_path, joints=files.world(3, 5))
    csv = tmp_path / "joints.csv"
    text = csv.read_text()
    rows = text.splitlines()
    cells = rows[2].split(",")
    csv.write_text("\n".join([rows[0], rows[1].replace("0.png", "9.png"), ",".join([*cells[:3], "nan", *cells[4:]])]))
    listing = hand_folder.read(tmp_path)
    assert [p.kind for p in listing.problems] == ["nan-joints", "missing-image"]
    csv.write_text("\n".join([rows[0], ",".join(cells[:7])]))
    with pytest.raises(GestaError, match="line 2 does not have a number"):
        hand_folder.read(tmp_path)
    csv.write_text("name,x\n1,2")
    with pytest.raises(GestaError, match="expected the columns file, NAME_x"):
        hand_folder.read(tmp_path)
    csv.unlink()
    (tmp_path / "rgb" / "0.png").write_bytes(cv2.imencode(".png", np.zeros((480, 640, 3), np.uint8))[1].tobytes())
    with pytest.raises(GestaError, match="is 640 x 480, but its depth image is 320 x 240"):
        hand_folder.read(tmp_path)


def test_color_of_another_size_is_told_when_opened(tmp_path):
    files.write_folder(tmp_path)
    cv2.imwrite(str(tmp_path / "rgb" / "2.jpg"), np.zeros((20, 30, 3), np.uint8))
    with pytest.raises(GestaError, match=r"is 30 x 20, but its depth image 2\.png is 320 x 240"):
        read_hand(hand_folder.read(tmp_path).frames[2], color=True)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((9, 9), 80, np.uint8), "is 8-bit gray; expected 16-bit gray depth"),
        (np.full((9, 9, 3), 80, np.uint8), "is 8-bit color; expected 16-bit gray depth"),
    ],
)
def test_depth_of_the_wrong_bit_depth(tmp_path, image, message):
    files.write_folder(tmp_path)
    images = sorted((tmp_path / "depth").iterdir())
    whole = len(hand_folder.read(tmp_path).frames)
    cv2.imwrite(str(tmp_path / "depth" / "0.png"), image)
    listing = hand_folder.read(tmp_path)
    assert len(listing.frames) == whole - 1 and listing.problems[0].reason.startswith(message.split(";")[0])
    for path in images:
        cv2.imwrite(str(path), image)
    with pytest.raises(GestaError, match=message):
        hand_folder.read(tmp_path)
    with pytest.raises(GestaError, match="expected depth as 16-bit gray PNG"):
        read_depth(Resource(tmp_path / "depth" / "0.png"))


def test_depth_files_that_look_wrong(tmp_path):
    path = tmp_path / "d.png"
    cv2.imwrite(str(path), np.full((9, 9), 2, np.uint16))
    with pytest.raises(GestaError, match="look like meters"):
        read_depth(Resource(path))
    with pytest.raises(GestaError, match=r"16 bits and 1 channel; expected NYU's depth, in green and blue"):
        read_depth(Resource(path), "nyu")
    vast = b"IHDR" + struct.pack(">II5B", 70_000, 70_000, 16, 0, 0, 0, 0)
    header = path.read_bytes()[:12] + vast + struct.pack(">I", zlib.crc32(vast)) + path.read_bytes()[33:]
    for spoilt in (b"no image", b"", header):
        path.write_bytes(spoilt)
        for reader in (read_depth, read_color):
            with pytest.raises(
                GestaError, match=r"cannot be read as an image|more than 40,000,000 pixels|not a readable PNG"
            ):
                reader(Resource(path))


def test_recordings_with_depth_are_no_hands(tmp_path):
    """A folder with index.csv holds recordings, whatever its depth files and camera are called."""
    (tmp_path / "depth").mkdir()
    (tmp_path / "camera.yaml").write_text("fx: 1\n")
    assert hand_catalog.detect(tmp_path) == "hand_folder"
    (tmp_path / "index.csv").touch()
    assert hand_catalog.detect(tmp_path) is None


def test_catalog_messages(tmp_path):
    with pytest.raises(GestaError, match="Did you mean nyu") as error:
        hand_catalog.read(tmp_path, "nyuu")
    assert error.value.usage
    with pytest.raises(GestaError, match="no known layout of a hand pose data set"):
        hand_catalog.read(tmp_path)
    with pytest.raises(GestaError, match="no such folder"):
        hand_catalog.read(tmp_path / "gone")
    (tmp_path / "depth").mkdir()
    (tmp_path / "camera.yaml").touch()
    with pytest.raises(GestaError, match="contains no PNG"):
        hand_catalog.read(tmp_path)
    for layout, message in (("icvl", "no Training/labels.txt"), ("msra", "no P0/1/joint.txt")):
        with pytest.raises(GestaError, match=message):
            hand_catalog.read(tmp_path, layout)
