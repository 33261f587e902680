"""A hand pose bundle at work on images, folders and recordings; its camera and centre; what is refused."""

import json

import av
import cv2
import numpy as np
import pytest

from gesta.cli.predict_pose import parse_center
from gesta.runtime.hand_inputs import find_hands
from gesta.runtime.pose import load_pose
from gesta.schema import GestaError
from gesta.sources import hand_folder

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


def test_given_centre(gesta, pose_bundle, hand_data, image):
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
def test_centre_that_cannot_be(text):
    with pytest.raises(GestaError, match="expected data, nearest") as caught:
        parse_center(text)
    assert caught.value.usage


def test_recording(gesta, pose_bundle, hand_data, image, tmp_path):
    path, lens = image
    video = tmp_path / "hands.mkv"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 80, 60, "gray16le"
        for row in range(3):
            depth = cv2.imread(str(hand_data / "depth" / f"00{row}.png"), cv2.IMREAD_UNCHANGED)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(depth, format="gray16le")))
        container.mux(stream.encode())
    drawn = tmp_path / "drawn.mp4"
    found = lines(gesta("predict", pose_bundle, video, "--camera", lens, "--json", "--annotate", drawn))
    assert [one["time_s"] for one in found] == pytest.approx([0, 0.1, 0.2])
    (alone,) = lines(gesta("predict", pose_bundle, path, "--camera", lens, "--json"))
    assert alone["joints_mm"] == found[0]["joints_mm"]
    with av.open(str(drawn)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 3
    assert "camera is not known" in gesta("predict", pose_bundle, video).stderr


def test_pictures(gesta, pose_bundle, hand_data, image, tmp_path):
    path, lens = image
    one, folder = tmp_path / "one.png", tmp_path / "all"
    assert gesta("predict", pose_bundle, path, "--camera", lens, "--annotate", one).exit_code == 0
    drawn = cv2.imread(str(one))
    assert drawn.shape == (60, 80, 3) and (np.ptp(drawn, axis=2) > 60).any()  # colour on grey
    assert gesta("predict", pose_bundle, hand_data, "--annotate", folder).exit_code == 0
    assert len(list(folder.glob("*.png"))) == 20
    several = gesta("predict", pose_bundle, hand_data, "--annotate", one)
    assert several.exit_code == 2 and "there are several" in several.stderr


def test_bad_input(gesta, pose_bundle, image, tmp_path):
    path, lens = image
    bad = {
        "eight.png": (np.full((60, 80), 90, np.uint8), "is 8-bit grey; expected depth as 16-bit grey PNG"),
        "color.png": (np.full((60, 80, 3), 90, np.uint8), "is 8-bit colour"),
        "metres.png": (np.full((60, 80), 1, np.uint16), "look like metres"),
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
    assert "holds no depth images" in gesta("predict", pose_bundle, tmp_path / "nothing").stderr
    streamed = gesta("predict", pose_bundle, path, "--stream")
    assert streamed.exit_code == 2 and "--stream is not for a hand pose model" in streamed.stderr


def test_hand_at_the_border_of_the_image(pose_bundle, tmp_path):
    depth = np.full((60, 80), 2000, np.uint16)
    depth[:25, :18] = 500
    cv2.imwrite(str(tmp_path / "corner.png"), depth)
    (tmp_path / "camera.yaml").write_text(CAMERA)
    (frame,) = find_hands(tmp_path / "corner.png")
    said = load_pose(pose_bundle).predict(frame)
    assert np.isfinite(said.joints_mm).all() and said.center_mm[0] < -100


def test_engines_agree(pose_bundle, hand_data):
    frame = find_hands(hand_data)[0]
    one, other = (load_pose(pose_bundle, engine=name).predict(frame) for name in ("torch", "openvino"))
    np.testing.assert_allclose(one.joints_mm, other.joints_mm, atol=0.01)


def test_prepared_hands_of_another_shape(pose_bundle):
    with pytest.raises(GestaError, match=r"float32 \[n, 1, 16, 16\], not float64"):
        load_pose(pose_bundle).predict_prepared(np.zeros((1, 1, 16, 16)))


def test_options_of_hands_are_refused_for_clips(gesta, hand_data):
    done = gesta("predict", "demo", hand_data, "--camera", "nyu")
    assert done.exit_code == 2 and "--camera is not for a recogniser of clips" in done.stderr
