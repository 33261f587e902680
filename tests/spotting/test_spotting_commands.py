"""Spotting by the commands, on small generated recordings: train, evaluate, predict, export, benchmark, crossval."""

from __future__ import annotations

import csv
import json

import pytest
from spotting.skeletons import write_frame_labels, write_sequences

import gesta as package
from gesta.tasks import catalog

pytestmark = pytest.mark.integration

QUICK = {
    "model.width": 24,
    "model.dilations": [1, 2, 4],
    "training.epochs": 6,
    "training.windows": 96,
    "training.batch": 8,
    "training.window_s": 5,
    "training.learning_rate": 0.01,
    "augmentation.noise": 0.005,
}
SETS = [word for key, value in QUICK.items() for word in ("--set", f"{key}={value}")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(data, bundle) of a quick training."""
    folder = tmp_path_factory.mktemp("spotting")
    data = write_sequences(folder / "data", count=10, dictionary=2)
    run = package.train(data, out=folder / "run", **QUICK)
    return data, run.bundle


def test_training_keeps_the_decoder_and_where_it_comes_from(trained):
    _, bundle = trained
    manifest = catalog.read_bundle(bundle).manifest
    assert manifest.classes == ("none", "aside", "lift")
    assert manifest.fps == 20
    assert manifest.metrics["val_jaccard"] > 0.5
    assert manifest.provenance.layout == "sfinge3d"


def test_a_refit_keeps_the_decoder_and_the_metrics(trained, tmp_path):
    data, bundle = trained
    again = catalog.read_bundle(bundle).manifest
    once = package.train(data, out=tmp_path / "run", **QUICK, **{"training.refit": False}).bundle
    first = catalog.read_bundle(once).manifest
    assert (again.decoder, again.metrics) == (first.decoder, first.metrics)
    assert again.artifacts[0].sha256 != first.artifacts[0].sha256
    assert "trained once more with the validation recordings" in "".join(again.notes) and not first.notes


def test_evaluate(gesta, trained, tmp_path):
    data, bundle = trained
    called = gesta("evaluate", bundle, data, "--out", tmp_path / "report", "--json")
    assert called.exit_code == 0, called.stderr
    found = json.loads(called.stdout)
    assert found["detection_rate"] >= 0.75
    assert found["frame_accuracy"] > 0.8
    assert found["events"] == 2 * found["n"]
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count("<svg") == found["n"]
    rows = list(csv.DictReader((tmp_path / "report" / "events.csv").open()))
    right = sum(row["verdict"] == "right" for row in rows)
    assert right == round(found["detection_rate"] * found["events"])


def test_predict_whole_and_as_a_stream(gesta, trained):
    data, bundle = trained
    file = data / "sequences" / "00.npy"
    whole, streamed = (
        [json.loads(line) for line in gesta("predict", bundle, file, "--json", *more).stdout.splitlines()]
        for more in ((), ("--stream",))
    )
    assert whole == streamed
    assert {event["label"] for event in whole} <= {"lift", "aside"}
    assert all(event["start_s"] < event["end_s"] <= event["decided_s"] for event in whole)
    assert gesta("predict", bundle, file).stdout.startswith(str(file))


def test_python_gives_the_same_events(trained):
    data, bundle = trained
    model = package.load(bundle)
    file = data / "sequences" / "01.npy"
    whole, streamed = model.predict(file), list(model.stream(file))
    assert [(e.label, e.start_s, e.end_s) for e in whole] == [(e.label, e.start_s, e.end_s) for e in streamed]


def test_a_file_that_is_no_skeleton_is_told(gesta, trained, tmp_path):
    _, bundle = trained
    (tmp_path / "bad.npy").write_bytes(b"no array")
    called = gesta("predict", bundle, tmp_path / "bad.npy")
    assert called.exit_code == 1
    assert "bad.npy" in called.stderr


@pytest.mark.slow
def test_export_and_benchmark(gesta, trained, tmp_path):
    data, bundle = trained
    called = gesta("export", bundle, "--to", "onnx", "--out", tmp_path / "small", "--data", data, "--seconds", "0.1")
    assert called.exit_code == 0, called.stderr
    assert "same top class as PyTorch on 100.0%" in called.stdout
    files = [data / "sequences" / f"{number:02d}.npy" for number in range(3)]
    one, other = (gesta("predict", place, *files, "--json").stdout for place in (bundle, tmp_path / "small"))
    assert [json.loads(line)["label"] for line in one.splitlines()] == [
        json.loads(line)["label"] for line in other.splitlines()
    ]
    rows = json.loads(gesta("benchmark", tmp_path / "small", data, "--seconds", "0.1", "--json").stdout)["latency"]
    assert any("frame" in row for row in rows)


@pytest.mark.slow
def test_folds_are_measured_together(gesta, tmp_path):
    data = write_frame_labels(tmp_path / "data")
    called = gesta("crossval", data, "--out", tmp_path / "folds", "--workers", 1, *SETS, "--json")
    assert called.exit_code == 0, called.stderr
    found = json.loads(called.stdout)
    assert [fold["held_out"] for fold in found["folds"]] == ["ann", "ben", "cleo"]
    assert found["pooled"][0]["events"] == 6
    assert found["pooled"][0]["jaccard"] == pytest.approx(found["jaccard"])
