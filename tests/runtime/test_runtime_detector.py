"""The hand detector of a pose bundle: where it places the cube, when it is used, what keeps it."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from calls import evaluate, export, load

from gesta.bundle import io
from gesta.schema import Camera, GestaError
from gesta.tasks import catalog
from gesta.tasks.hands import export as pose
from gesta.tasks.hands.center import nearest_object
from gesta.tasks.hands.cube import Cube
from gesta.tasks.hands.detect import moved, offset, search_cube
from gesta.tasks.hands.inputs import find_hands
from gesta.tasks.hands.manifest import HandManifest
from gesta.tasks.hands.read import read_hand


@pytest.fixture
def unlabeled(hand_data):
    return replace(find_hands(hand_data)[0], center_mm=None, joints_mm=None)


@pytest.fixture
def image(hand_data, tmp_path):
    path = tmp_path / "alone" / "hand.png"
    path.parent.mkdir()
    path.write_bytes((hand_data / "depth" / "000.png").read_bytes())
    (path.parent / "camera.yaml").write_text("{fx: 100, fy: 100, cx: 40, cy: 30}")
    return path


@pytest.mark.parametrize("turn", [0.0, 50.0])
def test_an_offset_leads_to_the_center_it_was_measured_from(turn):
    cube = Cube(Camera(240.0, 230.0, 160.0, 120.0), (80.0, -60.0, 500.0), 600.0, turn)
    center = (150.0, 20.0, 430.0)
    np.testing.assert_allclose(moved(cube, offset(cube, center)), center, atol=0.01)
    np.testing.assert_allclose(offset(cube, cube.center_mm), 0, atol=1e-6)


def test_an_offset_is_measured_along_the_ray():
    cube = Cube(Camera(240.0, 240.0, 160.0, 120.0), (100.0, 0.0, 500.0), 600.0)
    np.testing.assert_allclose(offset(cube, (130.0, 60.0, 650.0)), (0, 60 / 650 * 500 / 300, 0.5), atol=1e-6)


def test_a_center_stays_in_front_of_the_camera():
    assert moved(Cube(Camera(240.0, 240.0, 160.0, 120.0), (0.0, 0.0, 200.0), 600.0), np.array([0, 0, -5.0]))[2] == 100


def test_a_center_does_not_leave_the_cube():
    cube = search_cube(Camera(588, 587, 320, 240), (0.0, 0.0, 800.0), 300.0)
    assert moved(cube, np.array([9.0, -9.0, 0])) == pytest.approx(moved(cube, np.array([1.0, -1.0, 0])))


def test_an_older_gesta_is_told_that_it_is_older(detector_bundle, pose_bundle):
    versions = [catalog.read_bundle(bundle).manifest.format_version for bundle in (detector_bundle, pose_bundle)]
    assert versions == [5, 4]


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_the_center_is_corrected_twice(detector_bundle, unlabeled, engine):
    depth, _ = read_hand(unlabeled)
    x, y, z = nearest_object(depth, unlabeled.camera, 300)
    for _ in range(2):
        after = z + 0.05 * 300
        x, y, z = after * (x + 0.1 * 300) / z, after * (y + 0.2 * 300) / z, after
    found = load(detector_bundle, engine=engine).predict(unlabeled)
    assert found.center_source == "detector"
    np.testing.assert_allclose(found.center_mm, (x, y, z), atol=0.01)


def test_a_known_center_is_kept(detector_bundle, hand_data, unlabeled):
    model, labeled = load(detector_bundle), find_hands(hand_data)[0]
    assert model.predict(labeled).center_source == "data"
    assert model.predict(unlabeled, (0, 0, 500)).center_source == "given"


def test_the_nearest_object_can_be_forced(gesta, detector_bundle, pose_bundle, image):
    said = []
    for words in ((detector_bundle, "--center", "nearest"), (pose_bundle,), (detector_bundle,)):
        done = gesta("predict", words[0], image, *words[1:], "--json")
        said.append(json.loads(done.stdout))
    assert said[0] == said[1] and said[1]["center_from"] == "nearest" and said[2]["center_from"] == "detector"


def test_a_bundle_without_a_detector_says_what_to_do(gesta, pose_bundle, hand_data, image):
    for command, data in (("evaluate", hand_data), ("predict", image)):
        done = gesta(command, pose_bundle, data, "--center", "detector")
        assert done.exit_code == 2 and "has no hand detector. Use --center nearest, or train" in done.stderr


def test_an_image_without_an_object_is_refused_as_before(gesta, detector_bundle, image):
    cv2.imwrite(str(image), np.zeros((60, 80), np.uint16))
    done = gesta("predict", detector_bundle, image)
    assert done.exit_code == 1 and "shows no object" in done.stderr


def test_evaluation_with_detected_centers(detector_bundle, hand_data):
    frames = find_hands(hand_data)
    found = evaluate(detector_bundle, frames, center="detector", progress=False)
    apart = np.linalg.norm(found.facts["centers_mm"] - [f.center_mm for f in frames], axis=1)
    assert found.metrics["center"] == "detector"
    assert found.metrics["center_error_mm"] == pytest.approx(apart.mean()) and apart.mean() > 30
    unknown = evaluate(detector_bundle, [replace(f, center_mm=None) for f in frames], progress=False)
    np.testing.assert_allclose(unknown.outputs, found.outputs)


@pytest.mark.integration
def test_an_exported_detector_is_compared_and_runs(detector_bundle, unlabeled, tmp_path, monkeypatch):
    report = export(detector_bundle, tmp_path / "out", "onnx")
    assert {one.stage for one in report.artifacts} == {"network", "center"}
    assert all(one.pose.center_difference_mm < 0.01 for one in report.artifacts)
    expected = load(detector_bundle, engine="torch").predict(unlabeled)
    for engine in ("onnxruntime", "openvino"):
        found = load(tmp_path / "out", engine=engine).predict(unlabeled)
        assert found.center_source == "detector"
        np.testing.assert_allclose(found.joints_mm, expected.joints_mm, atol=0.01)
    monkeypatch.setattr(pose, "_centers_mm", lambda *_: (7.0, 5.0))
    with pytest.raises(GestaError, match=r"detected centers by up to 7 mm \(99 %\), by 5 mm"):
        export(detector_bundle, tmp_path / "other", "onnx")


@pytest.mark.integration
def test_other_commands_keep_the_detector(gesta, detector_bundle, hand_data, unlabeled, tmp_path):
    commands = {"prune": ("--sparsity", "0.5"), "quantize": ()}
    for command, words in commands.items():
        done = gesta(command, detector_bundle, "--out", tmp_path / command, *words)
        assert done.exit_code == 0, done.stderr
        assert io.read(tmp_path / command, HandManifest).manifest.has_detector
        assert load(tmp_path / command, engine="torch").predict(unlabeled).center_source == "detector"
    done = gesta("benchmark", detector_bundle, hand_data, "--engine", "openvino", "--seconds", "0.1", "--json")
    assert json.loads(done.stdout)["latency"][0]["way"]["center_ms"] > 0
    words = ("--to", "openvino", "--precision", "int8", "--data", hand_data, "--seconds", "0.1")
    done = gesta("export", detector_bundle, *words, "--out", tmp_path / "eight")
    assert done.exit_code == 0 and "openvino_center_int8.xml" in done.stdout, done.stderr
