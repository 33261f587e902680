"""The benchmark: what it counts, what it says where something cannot be measured, and one real run at small size."""

import hashlib
import importlib.util
import json
import math
import sys
import time

import numpy as np
import pytest

from gesta.bundle import io
from gesta.bundle.manifest import Artifact
from gesta.cli import main
from gesta.clips.transform import Transform
from gesta.engines import host as machine
from gesta.evaluation import benchmark as bench
from gesta.evaluation import latency
from gesta.schema import GestaError
from gesta.sources.catalog import read
from gesta.tasks.clips import benchmark as of_clips
from gesta.tasks.clips.manifest import ClipManifest

TRANSFORM = Transform(fps=10, size=16, streams=("body",), channels=("gray",), body="frame")
needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")


@pytest.fixture
def network_bundle(make_bundle):
    """A bundle with the weights of a tiny, untrained joint network."""
    import safetensors.torch
    import torch

    from gesta.models.catalog import build
    from gesta.tasks.clips.recipe import ClipRecipe

    settings = {"name": "cnn3d_lstm", "width": 0.125, "dropout": 0.0}
    torch.manual_seed(0)
    network = build(classes=4, streams=1, channels=1, size=16, chunk=4, window=32, **settings)
    weights = safetensors.torch.save({name: tensor.contiguous() for name, tensor in network.state_dict().items()})
    digest = hashlib.sha256(weights).hexdigest()
    artifact = Artifact(role="weights", engine="torch", file="weights.safetensors", sha256=digest)
    recipe = ClipRecipe.model_validate(
        {"name": "tiny", "title": "tiny", "input": {}, "model": settings, "training": {"epochs": 1, "batch": 4}}
    )
    empty = io.read(make_bundle(), ClipManifest)
    changes = {"recipe": recipe.model_dump(mode="json"), "artifacts": (artifact,)}
    manifest = empty.manifest.model_copy(update=changes)
    return io.write(empty.path, manifest, {"weights.safetensors": weights}).path


def test_timed_counts_and_orders():
    calls = []
    found = latency.timed(lambda i: (calls.append(i), time.sleep(0.001)), 0.0)
    assert found["repeats"] == 10 and calls == list(range(10 + latency.WARM_UP))
    assert 1.0 <= found["p50_ms"] <= found["p95_ms"]


def test_preparing_is_compared_with_decoding_the_same_files(data):
    samples = read(data).samples
    found = of_clips.preparing_rates(samples, TRANSFORM, recordings=3, rounds=2)
    assert (found["recordings"], found["frames"], found["videos_each"]) == (3, 8 + 9 + 8, 1)
    assert found["share_of_decoding"] == pytest.approx(
        found["preprocessed_frames_per_s"] / found["decoded_frames_per_s"], abs=0.01
    )


def test_a_broken_recording_is_named_and_left_out(data):
    samples = read(data).samples
    samples[1].color.path.write_bytes(b"no video")
    found = of_clips.preparing_rates(samples[:3], TRANSFORM, rounds=1)
    assert found["recordings"] == 2 and found["frames"] == 16 and samples[1].color.name in found["failed"][0]
    only = of_clips.preparing_rates(samples[1:2], TRANSFORM, rounds=1)
    assert "no recording could be read" in only["skipped"]


def test_why_preparing_is_not_measured(data):
    assert "no data given" in of_clips.preparing_rates((), TRANSFORM)["skipped"]
    with_depth = TRANSFORM.model_copy(update={"channels": ("gray", "depth")})
    assert "depth" in of_clips.preparing_rates(read(data).samples, with_depth)["skipped"]


def test_spans_of_one_recording_are_prepared_once_as_a_whole(data):
    from dataclasses import replace

    first = read(data).samples[0]
    spans = [replace(first, id=f"{first.id}/{i}", first_frame=i, last_frame=i + 2) for i in range(3)]
    assert of_clips.preparing_rates(spans, TRANSFORM, rounds=1)["frames"] == 8


def test_engines_without_artifact_are_named(make_bundle):
    manifest = io.read(make_bundle(), ClipManifest).manifest
    assert [reason for *_, reason in bench.candidates(manifest, None)] == ["the bundle has no network for it"] * 3
    with pytest.raises(GestaError, match="unknown engine 'tensorrt'; choose from openvino"):
        bench.candidates(manifest, ["tensorrt"])


def test_the_machine_is_described():
    found = machine.describe()
    assert found["cpu"] and 1 <= found["cores_usable"] <= found["cores"]
    assert found["versions"]["numpy"] == np.__version__
    assert found["cpu"] in machine.text(json.loads(json.dumps(found)))


def test_peak_memory_grows_with_what_is_held():
    before = machine.peak_memory_mb()
    if before is None:
        pytest.skip("this system does not tell")
    held = np.ones(2**25)  # 256 MiB
    assert machine.peak_memory_mb() > before - 1 and machine.peak_memory_mb() > 256
    assert math.isfinite(held[0])


@pytest.mark.slow
@needs_torch
def test_one_engine_measured_in_its_own_process(network_bundle, tmp_path):
    file = tmp_path / "clips.npz"
    clips = [np.zeros((frames, 1, 16, 16, 1), np.uint8) for frames in (9, 13, 8)]
    np.savez(file, *clips)
    found = latency.in_own_process(network_bundle, file, "torch", "fp32", 0.05)
    assert (found["engine"], found["chunk"]["frames"], found["clip"]["frames"]) == ("torch", 4, 9)
    assert 0 < found["chunk"]["p50_ms"] <= found["chunk"]["p95_ms"] and found["clip"]["repeats"] >= 10
    with pytest.raises(GestaError, match=r"measuring openvino failed: .*has no network for openvino"):
        latency.in_own_process(network_bundle, file, "openvino", "fp32", 0.05)


@pytest.mark.integration
@needs_torch
def test_a_recording_is_followed_from_file_to_prediction(network_bundle, data):
    sample = read(data).samples[0]
    found = of_clips.followed(network_bundle, of_clips.whole(sample), "torch", "fp32")
    assert found["frames"] == 8 and found["recorded_s"] == pytest.approx(0.8, abs=0.02)
    assert found["times_real_time"] == pytest.approx(found["recorded_s"] / found["seconds"], rel=0.2, abs=0.1)
    sample.color.path.write_bytes(b"no video")
    with pytest.raises(GestaError, match=sample.color.path.name):
        of_clips.followed(network_bundle, sample, "torch", "fp32")


@needs_torch
def test_training_is_measured_on_cached_and_on_random_clips(network_bundle, data, cache):
    pytest.importorskip("lightning")
    from gesta.tasks.clips.train_benchmark import train_benchmark

    samples = read(data).samples
    before = {path.name: path.read_bytes() for path in network_bundle.iterdir()}
    bundle = io.read(network_bundle, ClipManifest)
    found = train_benchmark(bundle, samples, cache=cache, device="cpu", seconds=0.0)
    assert (found["batch"], found["different_clips"], found["clips"]) == (4, 12, 12), "the second epoch alone"
    assert found["clips_per_s"] == pytest.approx(12 / found["seconds"], rel=0.5) and 0 <= found["waiting_share"] <= 1
    random = train_benchmark(bundle, (), device="cpu", seconds=0.0)
    assert random["waiting_share"] is None and random["clips"] == 12
    assert before == {path.name: path.read_bytes() for path in network_bundle.iterdir()}
    with pytest.raises(GestaError, match="at least 2"):
        train_benchmark(bundle, samples[:1], cache=cache, device="cpu")


@pytest.fixture
def call(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["gesta", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        seen = capsys.readouterr()
        return code, seen.out, " ".join(seen.err.split())

    return run


@needs_torch
def test_the_command_with_data(call, network_bundle, data, monkeypatch):
    measured = {
        "chunk": {"frames": 4, "p50_ms": 1.0, "p95_ms": 2.0},
        "clip": {"frames": 9, "p50_ms": 3.0, "p95_ms": 4.0},
    }
    rest = {"ready_s": 0.5, "peak_memory_mb": None}

    def stand_in(_bundle, clips, engine, precision, _seconds):
        with np.load(clips) as arrays:
            assert len(arrays.files) in (7, 8)  # one is broken, at last
        return {"engine": engine, "precision": precision, **measured, **rest}

    def followed(_bundle, sample, _engine, _precision):
        if sample.color.path.stat().st_size < 20:
            raise GestaError(f"{sample.color.path}: cannot be read")
        return {"times_real_time": 12.3, "frames": 8, "recorded_s": 0.8}

    monkeypatch.setattr(bench, "in_own_process", stand_in)
    monkeypatch.setattr(of_clips, "followed", followed)
    code, out, err = call("benchmark", network_bundle, data, "--seconds", "0.1", "--no-train", "--json")
    document = json.loads(out)
    assert code == 0 and "Measuring latency of torch" in err
    assert document["preparing"]["recordings"] == 3 and document["training"] == {"skipped": "--no-train"}
    by_engine = {row["engine"]: row for row in document["latency"]}
    assert set(by_engine) == {"openvino", "onnxruntime", "torch"}
    assert by_engine["torch"]["clip"]["p50_ms"] == 3.0 and "no network for it" in by_engine["openvino"]["skipped"]
    assert document["model"]["bytes"]["torch fp32 weights"] > 1000 and document["inputs"]["source"] == "data"
    code, out, _ = call("benchmark", network_bundle, data, "--engine", "torch", "--no-train")
    assert code == 0 and "torch fp32" in out and "onnxruntime  " not in out and "4.00       0.50          -" in out
    assert "torch fp32          12.3 times as fast as real time" in out
    read(data).samples[0].color.path.write_bytes(b"no video")
    code, out, _ = call("benchmark", network_bundle, data, "--engine", "torch", "--no-train")
    assert code == 0 and "torch fp32          stream not measured: " in out


@pytest.mark.slow
@needs_torch
def test_halved_weights_are_measured_and_a_network_that_fails_is_named(call, network_bundle, tmp_path):
    from gesta.compression.store import store_as

    half = io.read(store_as(network_bundle, tmp_path / "half", "fp16").bundle, ClipManifest)
    assert [(engine, precision) for engine, precision, _ in bench.candidates(half.manifest, ["torch"])] == [
        ("torch", "fp32")
    ]
    broken = {"step.xml": b"no network", "step.bin": b""}
    artifact = Artifact(
        role="step",
        engine="openvino",
        precision="int8",
        file="step.xml",
        sha256=io.digest(broken["step.xml"]),
        companions={"step.bin": io.digest(b"")},
    )
    io.add_artifact(half, artifact, broken)
    code, out, err = call("benchmark", half.path, "--no-train", "--seconds", "0.1", "--json")
    assert code == 0, err
    rows = {(row["engine"], row["precision"]): row for row in json.loads(out)["latency"]}
    assert rows["torch", "fp32"]["chunk"]["p50_ms"] > 0
    assert "measuring openvino failed" in rows["openvino", "int8"]["skipped"]


def test_the_command_without_anything_to_measure(call, make_bundle, tmp_path):
    code, out, _ = call("benchmark", make_bundle(), "--no-train")
    assert code == 0 and "preparing  not measured: no data given" in out
    assert "onnxruntime         not measured: the bundle has no network for it" in out
    code, _, err = call("benchmark", make_bundle(), tmp_path / "nowhere")
    assert code == 2 and "no such data folder" in err
