"""A hand pose bundle measured: figures, files that `gesta pose compare` reads, pages without outside files."""

import json
import re
import shutil

import numpy as np
import pytest
from calls import evaluate, load

from gesta.bundle import io
from gesta.schema import GestaError
from gesta.sources import hand_folder
from gesta.tasks.hands.evaluate import errors_mm, measured_pose, worst
from gesta.tasks.hands.manifest import HandManifest
from gesta.tasks.hands.task import TASK
from gesta.tasks.hands.transform import preprocess_hand


def test_figures_equal_a_slow_loop(pose_bundle, hand_data):
    frames = hand_folder.read(hand_data).frames[:6]
    found = evaluate(pose_bundle, frames)
    recognizer, errors = load(pose_bundle), []
    for frame in frames:
        hand = preprocess_hand(frame, recognizer.manifest.transform)
        joints = hand.joints_mm(recognizer.predict_preprocessed(hand.image[None])[0])
        errors.append([np.linalg.norm(a - b) for a, b in zip(joints, frame.joints_mm, strict=True)])
    np.testing.assert_allclose(errors_mm(found), errors, atol=1e-3)
    assert found.metrics["mean_error_mm"] == pytest.approx(np.mean(errors), abs=1e-3)
    np.testing.assert_allclose(found.metrics["per_joint_mm"], np.mean(errors, axis=0), atol=1e-3)
    curve = found.metrics["success_rate"]
    assert curve["shares"][40] == pytest.approx(np.mean([max(row) < 40 for row in errors]))


def test_people_apart():
    truth = np.zeros((4, 2, 3))
    truth[..., 2] = 500
    found = truth + np.array([1.0, 1, 3, 5])[:, None, None] * (0, 0, 1)
    people = measured_pose(truth, found, ["A", "A", "B", None], ("a", "b"))["per_person"]
    assert people["A"]["mean_error_mm"] == pytest.approx(1) and people["B"]["n"] == 1
    assert people["B"]["mean_error_mm"] == pytest.approx(3) and set(people) == {"A", "B"}


def test_command_writes_what_pose_compare_measures_the_same(gesta, pose_bundle, hand_data, tmp_path):
    out = tmp_path / "out"
    done = gesta("evaluate", pose_bundle, hand_data, "--out", out, "--json")
    assert done.exit_code == 0, done.stderr
    metrics = json.loads((out / "metrics.json").read_text())
    assert json.loads(done.stdout)["mean_error_mm"] == metrics["mean_error_mm"]
    assert metrics["frames"] == 4  # the last fifth
    compared = gesta(
        "pose", "compare", out / "truth.txt", out / "predictions.txt", "--camera", out / "camera.yaml", "--json"
    )
    (one,) = json.loads(compared.stdout)
    assert one["mean_error_mm"] == pytest.approx(metrics["mean_error_mm"], abs=2e-3)
    np.testing.assert_allclose(one["per_joint_mm"], metrics["per_joint_mm"], atol=5e-3)
    for page in ("report.html", "scene.html"):
        text = (out / page).read_text()
        assert not re.search(r'src="(?!data:)|href="(?!frames|metrics|scene|truth|predictions)', text)
        assert "http" not in text
        assert '"bones"' in text and not re.search(r"[\[:,] ?NaN", text)
    assert len((out / "frames.csv").read_text().splitlines()) == 5


def test_center_from_the_detector_gives_other_figures(pose_bundle, hand_data):
    frames = hand_folder.read(hand_data).frames[:4]
    annotated, detected = (evaluate(pose_bundle, frames, center=rule) for rule in ("data", "nearest"))
    assert detected.metrics["center"] == "nearest"
    apart = np.linalg.norm(annotated.facts["centers_mm"] - detected.facts["centers_mm"], axis=1)
    assert (apart > 0.1).all() and (apart < 80).all()


def test_record_writes_into_the_card(gesta, pose_bundle, hand_data, tmp_path):
    own = tmp_path / "bundle"
    shutil.copytree(pose_bundle, own)
    assert gesta("evaluate", own, hand_data, "--record", "--split", "all").exit_code == 0
    assert io.read(own, HandManifest).manifest.metrics["all_frames"] == 20
    assert "all mean error mm" in (own / "CARD.md").read_text()


def test_worst_frames_come_first_and_a_lost_image_does_not_stop_the_report(pose_bundle, hand_data, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(hand_data, root)
    found = evaluate(pose_bundle, hand_folder.read(root).frames[:5])
    first, second = worst(found, 2)
    errors = errors_mm(found).mean(axis=1)
    assert errors[first] >= errors[second] >= np.median(errors)
    found.samples[first].depth.path.unlink()
    TASK.report(found, tmp_path / "out")
    text = (tmp_path / "out" / "report.html").read_text()
    assert f"</b> {found.samples[first].id}" not in text and f"</b> {found.samples[second].id}" in text


def test_unreadable_frames_are_skipped_and_named(pose_bundle, hand_data, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(hand_data, root)
    broken = root / "depth" / "003.png"
    broken.write_bytes(broken.read_bytes()[:40])
    found = evaluate(pose_bundle, hand_folder.read(root).frames)
    assert found.metrics["frames"] == 19 and "003.png" in found.metrics["skipped"][0]["path"]


def test_data_that_do_not_fit(pose_bundle, hand_data, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(hand_data, root)
    lines = [",".join(line.split(",")[:7]) for line in (root / "joints.csv").read_text().splitlines()]
    (root / "joints.csv").write_text("\n".join(lines))
    with pytest.raises(GestaError, match=r"have 2 joints per frame, the model .* gives 3: palm, thumb, tip"):
        evaluate(pose_bundle, hand_folder.read(root).frames)
    (root / "joints.csv").unlink()
    with pytest.raises(GestaError, match=r"none of the \d+ frames has joints"):
        evaluate(pose_bundle, hand_folder.read(root).frames)


def test_wrong_usage(gesta, pose_bundle, hand_data):
    for words, message in (
        (("--split", "tset"), "unknown split 'tset'"),
        (("--center", "middle"), "unknown --center 'middle'"),
        (("--protocol", "document"), "--protocol does not apply to hand pose estimation"),
    ):
        done = gesta("evaluate", pose_bundle, hand_data, *words)
        assert done.exit_code == 2 and message in done.stderr
