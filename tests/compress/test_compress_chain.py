"""gesta compress on a chain: both stages stored in fewer bits, exported and measured; what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from calls import load
from gesta.tasks.features.compress_store import store_chain
from runtime.tiny_chains import make_chain, narrow, write_videos

from gesta.bundle import io
from gesta.evaluation import latency
from gesta.schema import GestaError
from gesta.sources.catalog import read
from gesta.tasks.features import compress as sequence_path
from gesta.tasks.features.manifest import FeatureManifest
from gesta.tasks.features.predict import videos_of

LATENCY = {"feature": {"p50_ms": 2.0, "p95_ms": 3.0}}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow(monkeypatch)
    torch.set_num_threads(1)
    # another process does not have the narrow backbone
    monkeypatch.setattr(sequence_path, "in_own_process", lambda *_: LATENCY)


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    return make_chain(tmp_path / "chain", write_videos(tmp_path / "videos", each=10), every=3).path


def test_both_stages_in_fewer_bits(chain: Path, tmp_path: Path) -> None:
    video = tmp_path / "videos" / "light" / "light2.mkv"
    expected = np.array(list(load(chain, "torch").predict(video).probabilities.values()))
    steps = {p: store_chain(chain, tmp_path / p, p) for p in ("fp32", "fp16", "int8")}
    small, half, whole = (steps[p].bytes_after for p in ("int8", "fp16", "fp32"))
    assert small < 0.5 * whole and half < 0.65 * whole
    inner = load(chain, "torch").engine.backbone.network
    head = io.read(chain, FeatureManifest).manifest.parameters
    assert steps["int8"].parameters == head + sum(p.numel() for p in inner.parameters())
    for precision, apart in (("fp32", 1e-6), ("fp16", 0.02), ("int8", 0.2)):
        found = load(tmp_path / precision).predict(video).probabilities
        np.testing.assert_allclose(list(found.values()), expected, atol=apart)
    assert io.read(tmp_path / "int8", FeatureManifest).manifest.metrics["steps"] == "weights stored in 8 bits"
    alone = io.read(chain, FeatureManifest)
    head_only = tuple(a for a in alone.manifest.artifacts if a.stage == "head")
    files = {a.file: alone.read(a) for a in head_only}
    io.write(tmp_path / "alone", alone.manifest.model_copy(update={"artifacts": head_only}), files)
    with pytest.raises(GestaError, match=r"is not in the bundle.*--backbone-weights FILE"):
        store_chain(tmp_path / "alone", tmp_path / "x", "fp16")
    assert store_chain(tmp_path / "alone", tmp_path / "x", "fp16", "random").bytes_after == half
    with pytest.raises(GestaError, match="random:1: holds other weights"):
        store_chain(tmp_path / "alone", tmp_path / "x", "fp16", "random:1")


def test_latency_of_a_new_frame(chain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency.machine, "pin_to_one_core", lambda: True)  # the tests' process goes on
    used = io.read(chain, FeatureManifest).manifest.backbone
    videos = list(videos_of(read(tmp_path / "videos").samples, used, 2))
    found = latency.MEASURES["sequence"](chain, videos, "torch", "fp32", 0.0)
    assert 0 < found["feature"]["p50_ms"] <= found["feature"]["p95_ms"] and found["engine"] == "torch"
    assert 0 < found["head"]["p50_ms"] < found["feature"]["p50_ms"]


def test_options_of_clips_are_refused(chain: Path, tmp_path: Path, gesta) -> None:
    words = ("compress", chain, tmp_path / "videos", "--out", tmp_path / "out")
    for option in (("--keep", "0.5"), ("--sparsity", "0.5"), ("--set", "training.batch=4")):
        done = gesta(*words, *option)
        assert done.exit_code == 2 and f"{option[0]} is not for a classifier of a backbone's features" in done.stderr
    done = gesta("compress", chain, tmp_path / "nowhere", "--out", tmp_path / "out")
    assert done.exit_code == 2 and "no such data folder" in done.stderr


@pytest.mark.slow
def test_whole_path(chain: Path, tmp_path: Path, gesta) -> None:
    out = tmp_path / "out"
    words = ("compress", chain, tmp_path / "videos", "--out", out, "--max-drop", "5", "--json")
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
    assert "ms a frame p50 / p95" in (out / "frontier.md").read_text()
    assert (out / "frontier.png").stat().st_size > 5000
    video = tmp_path / "videos" / "light" / "light2.mkv"
    for best in ("stored", "runnable.zip"):
        assert load(out / "best" / best).predict(video).label == "light"
    again = gesta(*words)
    assert again.exit_code == 0 and "storing" not in again.stderr  # nothing is done twice
