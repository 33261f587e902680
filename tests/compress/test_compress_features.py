"""gesta compress on a feature classifier: both stages stored in fewer bits, exported and measured; what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from calls import load
from runtime.tiny_feature_bundles import make_feature_bundle, narrow, write_videos

from gesta.bundle import io
from gesta.compression.store import store_as
from gesta.compression.weights import prunable
from gesta.evaluation import latency
from gesta.schema import GestaError, evenly
from gesta.sources.catalog import read
from gesta.tasks.features.manifest import FeatureManifest
from gesta.tasks.features.network import load_backbone
from gesta.tasks.features.predict import read_video

pytestmark = pytest.mark.integration

LATENCY = {"feature": {"p50_ms": 2.0, "p95_ms": 3.0}}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow(monkeypatch)
    torch.set_num_threads(1)
    # another process does not have the narrow backbone
    monkeypatch.setattr("gesta.exporting.run.in_own_process", lambda *_: LATENCY)


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    return make_feature_bundle(tmp_path / "features", write_videos(tmp_path / "videos", each=10), every=3).path


def test_both_stages_in_fewer_bits(classifier: Path, tmp_path: Path) -> None:
    video = tmp_path / "videos" / "light" / "light2.mkv"
    expected = np.array(list(load(classifier, "torch").predict(video).probabilities.values()))
    steps = {p: store_as(classifier, tmp_path / p, p) for p in ("fp32", "fp16", "int8")}
    small, half, whole = (steps[p].bytes_after for p in ("int8", "fp16", "fp32"))
    assert small < 0.5 * whole and half < 0.65 * whole
    opened = io.read(classifier, FeatureManifest)
    inner, head = load_backbone(opened, opened).module.network, opened.manifest.parameters
    assert steps["int8"].parameters == head + sum(p.numel() for p in inner.parameters())
    for precision, apart in (("fp32", 1e-6), ("fp16", 0.02), ("int8", 0.2)):
        found = load(tmp_path / precision).predict(video).probabilities
        np.testing.assert_allclose(list(found.values()), expected, atol=apart)
    assert io.read(tmp_path / "int8", FeatureManifest).manifest.metrics["steps"] == "weights stored in 8 bits"
    alone(classifier, tmp_path / "alone")
    with pytest.raises(GestaError, match=r"is not in the bundle.*--backbone-weights FILE"):
        store_as(tmp_path / "alone", tmp_path / "x", "fp16")
    assert store_as(tmp_path / "alone", tmp_path / "x", "fp16", backbone_weights="random").bytes_after == half
    with pytest.raises(GestaError, match="random:1: contains other weights"):
        store_as(tmp_path / "alone", tmp_path / "x", "fp16", backbone_weights="random:1")


def test_latency_of_a_new_frame(classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency.machine, "pin_to_one_core", lambda: True)  # the tests' process goes on
    used = io.read(classifier, FeatureManifest).manifest.backbone
    videos = [read_video(sample, used) for sample in evenly(read(tmp_path / "videos").samples, 2)]
    found = latency.measure(classifier, videos, "torch", "fp32", 0.0)
    assert 0 < found["feature"]["p50_ms"] <= found["feature"]["p95_ms"] and found["engine"] == "torch"
    assert 0 < found["head"]["p50_ms"] < found["feature"]["p50_ms"]


def zeros(bundle: Path, stage: str) -> float:
    """Share of zeros among a network's weights."""
    weights = io.load_weights(io.read(bundle, FeatureManifest), stage)
    held = [weights[name] for name in prunable(weights)]
    return sum(int((w == 0).sum()) for w in held) / sum(w.size for w in held)


def alone(classifier: Path, folder: Path) -> Path:
    """The classifier without its backbone."""
    whole = io.read(classifier, FeatureManifest)
    head = tuple(a for a in whole.manifest.artifacts if a.stage == "head")
    io.write(folder, whole.manifest.model_copy(update={"artifacts": head}), {a.file: whole.read(a) for a in head})
    return folder


def test_pruning_is_of_the_classifier(classifier: Path, tmp_path: Path, gesta) -> None:
    done = gesta("prune", classifier, "--out", tmp_path / "thin", "--sparsity", "0.5")
    assert done.exit_code == 0 and "add --data DATA" in done.stdout, done.stderr
    assert zeros(tmp_path / "thin", "head") == 0.5 and zeros(tmp_path / "thin", "backbone") < 0.01
    before, after = (io.load_weights(io.read(b, FeatureManifest), "backbone") for b in (classifier, tmp_path / "thin"))
    assert all(array.tobytes() == after[name].tobytes() for name, array in before.items())
    assert load(tmp_path / "thin").predict(tmp_path / "videos" / "light" / "light2.mkv").label in ("dark", "light")
    data = ("--data", tmp_path / "videos")
    done = gesta("prune", classifier, "--out", tmp_path / "measured", "--sparsity", "0.2", *data, "--json")
    assert done.exit_code == 0, done.stderr
    comparison = json.loads(done.stdout)["comparison"]
    assert comparison["accuracy_before"] == 1 and comparison["videos"] == 4 and comparison["accuracy_after"] > 0.4
    assert io.read(tmp_path / "measured", FeatureManifest).manifest.metrics["accuracy_before"] == 1
    done = gesta("prune", classifier, "--out", tmp_path / "no", "--sparsity", "0.5", "--epochs", "1", *data)
    assert done.exit_code == 2 and "Fine-tuning (--epochs) is not available for classification of stored" in done.stderr
    done = gesta("prune", classifier, "--out", tmp_path / "no", "--channels", *data)
    assert done.exit_code == 2 and "pruning is not available for classification of stored features" in done.stderr
    assert not (tmp_path / "no").exists()


def test_a_classifier_without_its_backbone_is_pruned_and_quantized(classifier: Path, tmp_path: Path, gesta) -> None:
    bundle = alone(classifier, tmp_path / "alone")
    done = gesta("prune", bundle, "--out", tmp_path / "thin", "--sparsity", "0.5")
    assert done.exit_code == 0 and zeros(tmp_path / "thin", "head") == 0.5, done.stderr
    assert {a.stage for a in io.read(tmp_path / "thin", FeatureManifest).manifest.artifacts} == {"head"}
    given = ("--data", tmp_path / "videos", "--backbone-weights", "random")
    for words in (("prune", bundle, "--sparsity", "0.2"), ("quantize", bundle, "--precision", "fp16")):
        done = gesta(*words, "--out", tmp_path / words[0], *given, "--json")
        assert done.exit_code == 0, done.stderr
        assert json.loads(done.stdout)["comparison"]["accuracy_before"] == 1


def test_options_of_clips_are_refused(classifier: Path, tmp_path: Path, gesta) -> None:
    words = ("compress", classifier, tmp_path / "videos", "--out", tmp_path / "out")
    for option in (("--keep", "0.5"), ("--sparsity", "0.5"), ("--set", "training.batch=4")):
        done = gesta(*words, *option)
        assert done.exit_code == 2 and f"{option[0]} does not apply to classification of stored features" in done.stderr
    done = gesta("compress", classifier, tmp_path / "nowhere", "--out", tmp_path / "out")
    assert done.exit_code == 2 and "no such data folder" in done.stderr


@pytest.mark.slow
def test_whole_path(classifier: Path, tmp_path: Path, gesta) -> None:
    out = tmp_path / "out"
    words = ("compress", classifier, tmp_path / "videos", "--out", out, "--max-drop", "5", "--json")
    done = gesta(*words)
    assert done.exit_code == 0, done.stderr
    document = json.loads((out / "frontier.json").read_text())
    rows = document["rows"]
    assert [(r["step"], r["precision"]) for r in rows] == [("start", p) for p in ("fp32", "fp16", "int8")]
    assert all(r[form]["test"] == 1 and r[form]["val"] == 1 for r in rows for form in ("stored", "runnable"))
    sizes = {form: [r[form]["bytes"] for r in rows] for form in ("stored", "runnable")}
    assert all(max(of[1:]) < of[0] for of in sizes.values())
    assert rows[0]["runnable"]["bytes"] == (out / "runnable" / "start-fp32.zip").stat().st_size
    assert document["chosen"] == {form: of.index(min(of)) for form, of in sizes.items()}
    assert "ms per frame p50 / p95" in (out / "frontier.md").read_text()
    assert "Parameters and bytes are those of head and backbone together." in document["notes"]
    assert (out / "frontier.png").stat().st_size > 5000
    video = tmp_path / "videos" / "light" / "light2.mkv"
    for best in ("stored", "runnable.zip"):
        assert load(out / "best" / best).predict(video).label == "light"
    again = gesta(*words)
    assert again.exit_code == 0 and "storing" not in again.stderr  # nothing is done twice
