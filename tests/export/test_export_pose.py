"""Export of hand pose models: agreement in millimeters, what is refused, the other commands on such bundles."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from calls import export, load

from gesta.bundle import io
from gesta.schema import GestaError
from gesta.tasks.base import Examples
from gesta.tasks.hands import export as pose
from gesta.tasks.hands.manifest import HandManifest

pytestmark = pytest.mark.integration


@pytest.mark.slow
def test_fp16_openvino_keeps_joints_and_halves_the_bytes(gesta, pose_bundle, hand_data, tmp_path):
    out = tmp_path / "out"
    words = ("--to", "openvino", "--precision", "fp16", "--data", hand_data, "--out", out, "--seconds", "0.1", "--json")
    done = gesta("export", pose_bundle, *words)
    assert done.exit_code == 0, done.stderr
    (artifact,) = io.read(out, HandManifest).manifest.artifacts
    measured = artifact.pose
    assert measured.largest_difference_mm < 2 and measured.frames == 4 and measured.latency_ms
    assert measured.error_mm == pytest.approx(measured.error_mm_torch, abs=0.5)
    assert json.loads(done.stdout)["agrees"] is True
    hands = pose.random_hands(io.read(out, HandManifest).manifest.transform, 3)
    found, true = (
        load(path, engine=e).predict_preprocessed(hands) for path, e in ((out, None), (pose_bundle, "torch"))
    )
    assert pose.compared_mm(true, found, 300)[0] < 2


def test_onnx_runs_in_both_engines(pose_bundle, tmp_path):
    export(pose_bundle, tmp_path / "out", "onnx")
    hands = pose.random_hands(io.read(pose_bundle, HandManifest).manifest.transform, 3)
    one, other = (load(tmp_path / "out", engine=e).predict_preprocessed(hands) for e in ("onnxruntime", "openvino"))
    assert pose.compared_mm(one, other, 300)[0] < 0.01


def test_what_does_not_agree_is_not_written_unless_forced(pose_bundle, tmp_path, monkeypatch):
    monkeypatch.setitem(pose.LARGEST_MM, "fp32", -1.0)
    with pytest.raises(GestaError, match=r"joints differ from PyTorch's by up to .* mm .*--force"):
        export(pose_bundle, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    report = export(pose_bundle, tmp_path / "out", force=True)
    assert not report.agrees and "with --force" in report.bundle.manifest.notes[-1]


def test_nan_never_agrees():
    def answering(value):
        manifest = SimpleNamespace(transform=SimpleNamespace(cube_mm=300))
        return SimpleNamespace(manifest=manifest, predict_preprocessed=lambda hands: np.full((len(hands), 2, 3), value))

    shown = Examples([np.zeros((1, 8, 8), np.float32)], [None], "random")
    for value, passes in ((0.0, True), (float("nan"), False)):
        agreement = pose.compare(answering(0.0), answering(value), shown, SimpleNamespace(precision="int8"))
        assert agreement.passes is passes


def test_distances_in_mm_by_hand():
    one = np.zeros((2, 2, 3))
    other = one.copy()
    other[1, 0] = (0.03, 0.04, 0)
    assert pose.compared_mm(one, other, 300) == pytest.approx((7.5, 1.875))


def test_refusals(gesta, pose_bundle, tmp_path):
    for words, message in (
        (("--to", "onxx"), "unknown format 'onxx'"),
        (("--to", "onnx", "--precision", "int8"), "int8 needs training frames"),
        (("--to", "onnx", "--protocol", "document"), "--protocol does not apply to hand pose estimation"),
    ):
        done = gesta("export", pose_bundle, *words, "--out", tmp_path / "out")
        assert done.exit_code == 2 and message in done.stderr


def test_halved_and_pruned_bundles_say_what_it_cost(gesta, pose_bundle, hand_data, tmp_path):
    done = gesta("quantize", pose_bundle, "--out", tmp_path / "half", "--data", hand_data, "--json")
    assert done.exit_code == 0, done.stderr
    step = json.loads(done.stdout)
    assert step["comparison"]["frames"] == 4 and step["comparison"]["largest_difference_mm"] < 1
    done = gesta("prune", pose_bundle, "--out", tmp_path / "thin", "--sparsity", "0.5")
    assert done.exit_code == 0 and "removed" in done.stdout
    assert np.isfinite(load(tmp_path / "thin").predict_preprocessed(np.zeros((1, 1, 16, 16), np.float32))).all()


def test_benchmark_says_each_part(gesta, pose_bundle, hand_data):
    done = gesta("benchmark", pose_bundle, hand_data, "--engine", "openvino", "--seconds", "0.1", "--json")
    assert done.exit_code == 0, done.stderr
    (row,) = json.loads(done.stdout)["latency"]
    assert row["frame"]["p50_ms"] > 0 and row["way"]["cube_ms"] > 0 and row["way"]["frames_per_s"] > 0


@pytest.mark.slow
def test_int8_and_pruning_with_training(gesta, pose_bundle, hand_data, tmp_path):
    done = gesta("export", pose_bundle, "--to", "openvino", "--precision", "int8", "--data", hand_data, "--out",
                 tmp_path / "eight", "--seconds", "0.1")  # fmt: skip
    assert done.exit_code == 0, done.stderr
    own = tmp_path / "own"
    shutil.copytree(pose_bundle, own)
    done = gesta("prune", own, "--out", tmp_path / "thin", "--sparsity", "0.6", "--epochs", "1", "--data", hand_data)
    assert done.exit_code == 0 and "mm on 4 test frames" in done.stdout, done.stderr
    weights = io.load_weights(io.read(tmp_path / "thin", HandManifest))
    zeros = sum(int((w == 0).sum()) for w in weights.values() if w.ndim > 1)
    assert zeros >= 0.59 * sum(w.size for w in weights.values() if w.ndim > 1)
