"""A hand pose bundle at work on images, folders and recordings; its camera and center; what is refused."""

import importlib.util
import json

import av
import cv2
import numpy as np
import pytest
from calls import load
from sources.hand_files import write_nyu, write_nyu_depth

from gesta.schema import GestaError
from gesta.sources import hand_folder
from gesta.tasks.hands.inputs import find_hands
from gesta.tasks.hands.predictions import parse_center

CAMERA = "{fx: 100, fy: 100, cx: 40, cy: 30}"


def lines(done):
    assert done.exit_code == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def image(hand_data, tmp_path):
    """A depth image alone, and its camera's file elsewhere."""
    (tmp_path / "lens.yaml").write_text(CAMERA)
    path = tmp_path / "one" / "hand.png"
    path.parent.mkdir()
    path.write_bytes((hand_data / "depth" / "000.png").read_bytes())
    return path, tmp_path / "lens.yaml"


def test_folder_with_joints(gesta, pose_bundle, hand_data):
    found = lines(gesta("predict", pose_bundle, hand_data, "--json"))
    assert len(found) == 20 and {one["center_from"] for one in found} == {"data"}
    assert set(found[0]["joints_mm"]) == {"palm", "thumb", "tip"} and found[0]["error_mm"] > 0
    x, y, z = found[0]["joints_mm"]["tip"]
    np.testing.assert_allclose(found[0]["joints_uv"]["tip"], (40 + 100 * x / z, 30 - 100 * y / z), atol=0.01)


def test_one_image_needs_a_camera(gesta, pose_bundle, image):
    path, lens = image
    refused = gesta("predict", pose_bundle, path)
    assert refused.exit_code == 2 and "camera is not known" in refused.stderr and "--camera" in refused.stderr
    (one,) = lines(gesta("predict", pose_bundle, path, "--camera", lens, "--json"))
    assert one["center_from"] == "nearest" and "error_mm" not in one
    (path.parent / "camera.yaml").write_text(CAMERA)
    (beside,) = lines(gesta("predict", pose_bundle, path.parent, "--json"))
    assert beside["joints_mm"] == one["joints_mm"]


def test_given_center(gesta, pose_bundle, hand_data, image):
    path, lens = image
    palm = hand_folder.read(hand_data).frames[0].joints_mm[0]
    u, v = 40 + 100 * palm[0] / palm[2], 30 - 100 * palm[1] / palm[2]
    (one,) = lines(gesta("predict", pose_bundle, path, "--camera", lens, "--center", f"{u},{v},{palm[2]}", "--json"))
    assert one["center_from"] == "given"
    np.testing.assert_allclose(one["center_mm"], palm, atol=0.01)
    (seen,) = lines(gesta("predict", pose_bundle, path, "--camera", lens, "--center", f"{u},{v}", "--json"))
    assert abs(seen["center_mm"][2] - palm[2]) < 40  # the surface there
    away = gesta("predict", pose_bundle, path, "--camera", lens, "--center", "500,2")
    assert away.exit_code == 1 and "has no depth in the 80 x 60 image" in away.stderr


@pytest.mark.parametrize("text", ["middle", "1", "1,2,3,4", "1,nan", "1,2,-5", "a,b"])
def test_center_that_cannot_be(text):
    with pytest.raises(GestaError, match="expected data, nearest") as caught:
        parse_center(text)
    assert caught.value.usage


def write_video(path, images):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.height, stream.width = images[0].shape
        stream.pix_fmt = "gray16le"
        for depth in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(depth, format="gray16le")))
        container.mux(stream.encode())


def depth_images(hand_data, count):
    return [cv2.imread(str(hand_data / "depth" / f"00{row}.png"), cv2.IMREAD_UNCHANGED) for row in range(count)]


def test_recording(gesta, pose_bundle, hand_data, image, tmp_path):
    path, lens = image
    video = tmp_path / "clips" / "hands.mkv"
    video.parent.mkdir()
    write_video(video, depth_images(hand_data, 3))
    drawn = tmp_path / "drawn.mp4"
    found = lines(gesta("predict", pose_bundle, video, "--camera", lens, "--json", "--annotate", drawn))
    assert [one["time_s"] for one in found] == pytest.approx([0, 0.1, 0.2])
    (alone,) = lines(gesta("predict", pose_bundle, path, "--camera", lens, "--json"))
    assert alone["joints_mm"] == found[0]["joints_mm"]
    with av.open(str(drawn)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 3
    assert "camera is not known" in gesta("predict", pose_bundle, video).stderr
    (video.parent / "camera.yaml").write_text(CAMERA)
    assert lines(gesta("predict", pose_bundle, video, "--json")) == found


def test_recording_goes_on_past_images_without_a_hand(gesta, pose_bundle, hand_data, image, tmp_path):
    _, lens = image
    first, second = depth_images(hand_data, 2)
    write_video(tmp_path / "gap.mkv", [np.zeros_like(first), first, np.zeros_like(first), second])
    done = gesta("predict", pose_bundle, tmp_path / "gap.mkv", "--camera", lens, "--json")
    assert done.exit_code == 1 and "image 0 at 0.00 s" in done.stderr and "image 2 at 0.20 s" in done.stderr
    assert [json.loads(line)["frame"] for line in done.stdout.splitlines()] == ["gap:1", "gap:3"]


def test_recording_in_meters_is_refused(gesta, pose_bundle, image, tmp_path):
    _, lens = image
    write_video(tmp_path / "meters.mkv", [np.zeros((60, 80), np.uint16), *[np.ones((60, 80), np.uint16)] * 3])
    done = gesta("predict", pose_bundle, tmp_path / "meters.mkv", "--camera", lens)
    assert done.exit_code == 1 and done.stderr.count("look like meters") == 1 and not done.stdout


def test_unit_of_depth_is_that_of_the_camera_file(gesta, pose_bundle, hand_data, tmp_path):
    """An image alone, its folder and a recording, in steps of a quarter millimeter, beside one camera.yaml."""
    depth = depth_images(hand_data, 1)[0]
    path = tmp_path / "depth" / "hand.png"
    path.parent.mkdir()
    (tmp_path / "camera.yaml").write_text(CAMERA)
    cv2.imwrite(str(path), depth)
    (millimeters,) = lines(gesta("predict", pose_bundle, path, "--json"))
    (tmp_path / "camera.yaml").write_text(CAMERA.replace("}", ", depth_unit_mm: 0.25}"))
    cv2.imwrite(str(path), depth * 4)
    write_video(tmp_path / "hand.mkv", [depth * 4])
    for asked in (path, path.parent, tmp_path, tmp_path / "hand.mkv"):
        (one,) = lines(gesta("predict", pose_bundle, asked, "--center", "nearest", "--json"))
        assert one["joints_mm"] == millimeters["joints_mm"], asked


def test_camera_given_for_a_data_set_is_checked(gesta, pose_bundle, hand_data):
    done = gesta("predict", pose_bundle, hand_data, "--camera", "nyu")
    assert done.exit_code == 1 and done.stderr.count("the intrinsics look wrong for it") == 1


def test_pictures(gesta, pose_bundle, hand_data, image, tmp_path):
    path, lens = image
    one, folder = tmp_path / "one.png", tmp_path / "all"
    assert gesta("predict", pose_bundle, path, "--camera", lens, "--annotate", one).exit_code == 0
    drawn = cv2.imread(str(one))
    assert drawn.shape == (60, 80, 3) and (np.ptp(drawn, axis=2) > 60).any()  # color on gray
    assert gesta("predict", pose_bundle, hand_data, "--annotate", folder).exit_code == 0
    assert len(list(folder.glob("*.png"))) == 20
    several = gesta("predict", pose_bundle, hand_data, "--annotate", one)
    assert several.exit_code == 2 and "there are several" in several.stderr


def test_annotation_by_a_name_of_another_kind_is_refused(gesta, pose_bundle, image, tmp_path):
    path, lens = image
    done = gesta("predict", pose_bundle, path, "--camera", lens, "--annotate", tmp_path / "a.txt")
    assert done.exit_code == 2 and "expected a name that ends in .mp4" in done.stderr and not done.stdout
    assert not (tmp_path / "a.txt").exists()


def test_nyu_without_what_reads_mat_files(gesta, pose_bundle, tmp_path, monkeypatch):
    """As in the base install: the images alone, which is said."""
    root = tmp_path / "nyu"
    write_nyu(root, n=1)
    depth = np.full((480, 640), 1500, np.uint16)
    depth[200:280, 280:360] = 700
    write_nyu_depth(root / "train" / "depth_1_0000001.png", depth)
    write_nyu_depth(root / "test" / "depth_1_0000001.png", depth)
    annotated = lines(gesta("predict", pose_bundle, root, "--center", "nearest", "--json"))
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n, *a: None if n in ("scipy", "h5py") else real(n, *a))
    done = gesta("predict", pose_bundle, root, "--json")
    assert "the nearest object is taken as the hand: reading .mat files needs scipy" in done.stderr
    found = lines(done)
    assert [one["frame"] for one in found] == ["train/depth_1_0000001", "test/depth_1_0000001"]
    assert [one["joints_mm"] for one in found] == [one["joints_mm"] for one in annotated]
    assert {one["center_from"] for one in found} == {"nearest"}


def test_bad_input(gesta, pose_bundle, image, tmp_path):
    path, lens = image
    bad = {
        "eight.png": (np.full((60, 80), 90, np.uint8), "is 8-bit gray; expected depth as 16-bit gray PNG"),
        "color.png": (np.full((60, 80, 3), 90, np.uint8), "is 8-bit color"),
        "meters.png": (np.full((60, 80), 1, np.uint16), "look like meters"),
        "empty.png": (np.zeros((60, 80), np.uint16), "shows no object"),
    }
    for name, (pixels, message) in bad.items():
        cv2.imwrite(str(tmp_path / name), pixels)
        done = gesta("predict", pose_bundle, tmp_path / name, path, "--camera", lens, "--json")
        assert done.exit_code == 1 and message in done.stderr and name in done.stderr
        assert len(done.stdout.splitlines()) == 1  # the good one all the same
    far = gesta("predict", pose_bundle, path, "--camera", lens, "--center", "40,30,4000")
    assert far.exit_code == 1 and "is empty" in far.stderr
    assert "does not exist" in gesta("predict", pose_bundle, tmp_path / "none.png").stderr
    wrong = gesta("predict", pose_bundle, path, "--camera", "nyu")
    assert wrong.exit_code == 1 and "intrinsics look wrong" in wrong.stderr
    (tmp_path / "nothing").mkdir()
    assert "contains no depth images" in gesta("predict", pose_bundle, tmp_path / "nothing").stderr
    streamed = gesta("predict", pose_bundle, path, "--stream")
    assert streamed.exit_code == 2 and "--stream does not apply to hand pose estimation" in streamed.stderr


def test_hand_at_the_border_of_the_image(pose_bundle, tmp_path):
    depth = np.full((60, 80), 2000, np.uint16)
    depth[:25, :18] = 500
    cv2.imwrite(str(tmp_path / "corner.png"), depth)
    (tmp_path / "camera.yaml").write_text(CAMERA)
    (frame,) = find_hands(tmp_path / "corner.png")
    said = load(pose_bundle).predict(frame)
    assert np.isfinite(said.joints_mm).all() and said.center_mm[0] < -100


def test_engines_agree(pose_bundle, hand_data):
    frame = find_hands(hand_data)[0]
    one, other = (load(pose_bundle, engine=name).predict(frame) for name in ("torch", "openvino"))
    np.testing.assert_allclose(one.joints_mm, other.joints_mm, atol=0.01)


def test_prepared_hands_of_another_shape(pose_bundle):
    with pytest.raises(GestaError, match=r"float32 \[n, 1, 16, 16\], not float64"):
        load(pose_bundle).predict_preprocessed(np.zeros((1, 1, 16, 16)))


def test_options_of_hands_are_refused_for_clips(gesta, hand_data):
    done = gesta("predict", "demo", hand_data, "--camera", "nyu")
    assert done.exit_code == 2 and "--camera does not apply to gesture recognition in clips" in done.stderr
