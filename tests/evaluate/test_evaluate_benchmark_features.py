"""gesta benchmark on a backbone and a classifier of its features."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from calls import export
from runtime.tiny_feature_bundles import make_feature_bundle, narrow, write_videos

from gesta.bundle import io
from gesta.tasks.features.manifest import FeatureManifest


@pytest.fixture
def classifier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    narrow(monkeypatch)
    torch.set_num_threads(1)
    return make_feature_bundle(tmp_path / "features", write_videos(tmp_path / "videos", each=2), every=3).path


@pytest.mark.slow
def test_an_export_on_videos_and_on_noise(classifier: Path, tmp_path: Path, gesta) -> None:
    export(classifier, tmp_path / "small")
    words = ("benchmark", tmp_path / "small", "--seconds", "0.1")
    done = gesta(*words, tmp_path / "videos", "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    rows = {row["engine"]: row for row in found["latency"]}
    assert 0 < rows["openvino"]["head"]["p50_ms"] < rows["openvino"]["feature"]["p50_ms"]
    assert {rows[name]["skipped"] for name in ("onnxruntime", "torch")} == {"the bundle has no network for it"}
    assert found["inputs"] == {"source": "data", "n": 4, "features": [3, 3, 3, 3]} and found["data"].endswith("videos")
    assert found["model"]["backbone"] == "resnet18"
    assert set(found["model"]["bytes"]) == {"openvino fp32 backbone", "openvino fp32 head"}
    done = gesta(*words, "--engine", "openvino")
    assert done.exit_code == 0 and "new frame p50" in done.stdout and "openvino fp32 " in done.stdout
    assert "4 videos of 16 to 16 features (random)" in done.stdout and "torch  " not in done.stdout


def test_what_is_refused(classifier: Path, tmp_path: Path, gesta) -> None:
    done = gesta("benchmark", classifier, "--train")
    assert done.exit_code == 2 and "--train does not apply to classification of stored features" in done.stderr
    whole = io.read(classifier, FeatureManifest)
    head = tuple(a for a in whole.manifest.artifacts if a.stage == "head")
    alone = whole.manifest.model_copy(update={"artifacts": head})
    io.write(tmp_path / "alone", alone, {a.file: whole.read(a) for a in head})
    done = gesta("benchmark", tmp_path / "alone")
    assert done.exit_code == 1 and "its backbone resnet18 is not in the bundle" in done.stderr
    assert f"gesta export {tmp_path / 'alone'} --to openvino --backbone-weights FILE --out OUT" in done.stderr
    done = gesta("benchmark", classifier, tmp_path / "nowhere", "--no-train")
    assert done.exit_code == 2 and "no such data folder" in done.stderr
