"""Features in 8 bits: the backbone calibrated on training videos, the classifier's matrices with a scale a row."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from calls import load
from runtime.tiny_feature_bundles import make_feature_bundle, narrow, write_videos

from gesta.bundle import io
from gesta.bundle.manifest import Artifact, Provenance
from gesta.engines.base import Placement
from gesta.engines.catalog import open_engine
from gesta.exporting.run import make, random_examples
from gesta.models.catalog import build_sequence
from gesta.tasks import catalog
from gesta.tasks.features.manifest import BackboneUse, FeatureManifest
from gesta.training.checkpoints import network_bytes

WIDE = 1100


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow(monkeypatch)
    torch.set_num_threads(1)


@pytest.mark.integration
@pytest.mark.parametrize("to", ["openvino", pytest.param("onnx", marks=pytest.mark.slow)])
def test_eight_bits(to: str, tmp_path: Path, gesta) -> None:
    videos = write_videos(tmp_path / "videos")
    bundle = make_feature_bundle(tmp_path / "features", videos, every=3)
    out = tmp_path / "int8"
    words = ("export", bundle.path, "--to", to, "--precision", "int8")
    done = gesta(*words, "--out", out)
    assert done.exit_code == 2 and "int8 needs training videos for calibration" in done.stderr
    done = gesta(*words, "--data", videos, "--out", out, "--json")
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["agrees"] and all(a["parity"]["top_class_agreement"] >= 0.99 for a in document["artifacts"])
    assert {(a.stage, a.precision) for a in io.read(out, FeatureManifest).manifest.artifacts} == {
        ("head", "int8"),
        ("backbone", "int8"),
    }
    recognizer = load(out)
    assert recognizer.engine.name == {"openvino": "openvino", "onnx": "onnxruntime"}[to]
    for label in ("dark", "light"):
        path = videos / label / f"{label}3.mkv"
        assert recognizer.predict(path).label == label
        assert list(recognizer.stream(path))[-1].label == label
    made = io.read(out, FeatureManifest)
    backbone = made.find("whole", recognizer.engine.name, stage="backbone")
    if to == "onnx":
        assert b"QuantizeLinear" in made.read(backbone)
    else:
        (weights,) = (len(made.read(backbone, name)) for name in backbone.companions)
        assert weights < 0.3 * len(bundle.read(bundle.find("weights", "torch", stage="backbone")))


@pytest.mark.parametrize("name", ["lstm", "gru", "mean"])
@pytest.mark.parametrize("engine", ["openvino", pytest.param("onnxruntime", marks=pytest.mark.slow)])
def test_classifiers_beside_an_eight_bit_backbone(name: str, engine: str, tmp_path: Path) -> None:
    """Also with a z-normalization, whose deviations one common scale would turn to zeros."""
    torch.manual_seed(0)
    settings = {"name": name, "normalise": True} | ({} if name == "mean" else {"hidden": 48, "layers": 2})
    network = build_sequence(features=WIDE, classes=5, **settings).eval()
    spread = torch.logspace(-4, 0, WIDE)
    network.fit_statistics(torch.randn(50, WIDE) * spread)
    data = network_bytes(network)
    manifest = FeatureManifest(
        name="head",
        labels=tuple("abcde"),
        backbone=BackboneUse(name="n", weights="0", stage="s", size=8, every=1, features=WIDE),
        recipe={"model": settings},
        parameters=1,
        provenance=Provenance(created="now", gesta="0", seed=0, layout="", data_fingerprint="0"),
        artifacts=(Artifact(role="weights", engine="torch", file=io.WEIGHTS, sha256=io.digest(data), stage="head"),),
    )
    bundle = io.write(tmp_path / "head", manifest, {io.WEIGHTS: data})
    task = catalog.find("features")
    shown = random_examples(task, bundle)
    (made,) = make(task, bundle, task.graphs(bundle, needed=False), shown, engine, "int8", shown)
    size = sum(len(content) for content in made.files.values())
    assert size < (0.35 if engine == "openvino" else 0.55) * len(data) + 40_000
    written = io.write(tmp_path / "made", manifest.model_copy(update={"artifacts": (made.artifact,)}), made.files)
    running = open_engine(written, Placement(engine, "cpu"), lambda: [], ["head"])
    features = np.random.default_rng(0).normal(size=(6, 4, WIDE)).astype(np.float32) * spread.numpy()
    lengths = np.array([4, 4, 3, 2, 1, 4])
    with torch.no_grad():
        expected = network(torch.from_numpy(features), torch.from_numpy(lengths)).numpy()
    found = running.run({"features": features, "lengths": lengths}, stage="head")["logits"]
    np.testing.assert_allclose(found, expected, atol=0.05 * np.abs(expected).max())
