"""Stored features from end to end: train, a bundle that holds its backbone or names it, predict, evaluate, export."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from calls import divided, load
from features.numbered_videos import write_numbered
from typer.testing import CliRunner

from gesta.bundle import io
from gesta.bundle.io import Bundle
from gesta.cli import app
from gesta.clips.decode import iter_frames
from gesta.models.catalog import BACKBONES
from gesta.models.resnet import ResNet
from gesta.schema import GestaError, Resource
from gesta.sources.inputs import one_sample
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.feature_store import FeatureFolder
from gesta.tasks.features import save as sequence_save
from gesta.tasks.features.backbone_source import backbone_of
from gesta.tasks.features.manifest import FeatureManifest

SETS = ("training.epochs=12", "training.batch=8", "features.stage=null", "features.backbone=null")
CHANGES = [part for change in (*SETS, "features.every=null", "features.frames=null") for part in ("--set", change)]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """ResNet-18 of a sixteenth of the width."""
    narrow = {"width": 1 / 16}
    monkeypatch.setitem(BACKBONES, "resnet18", lambda **given: ResNet(18, **(given | narrow)))
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path / "cache"))
    torch.set_num_threads(1)


def call(*arguments: object) -> Any:
    found = CliRunner().invoke(app, [str(a) for a in arguments])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found


def videos(folder: Path, classes: tuple[str, ...] = ("dark", "light")) -> Path:
    for number, label in enumerate(classes):
        for i in range(8):
            write_numbered(folder / label / f"{label}{i}.mkv", 4, 90 * number + 3 * i)
    return folder


@pytest.fixture
def features(tmp_path: Path) -> Path:
    data, out = videos(tmp_path / "data"), tmp_path / "features"
    call("features", data, "--backbone", "resnet18", "--weights", "random", "--size", 32, "--frames", 2, "--out", out,
         "--engine", "torch", "--json")  # fmt: skip
    return out


def trained(features: Path, out: Path, *more: object) -> Bundle[FeatureManifest]:
    made = call("train", features, "--recipe", "iqbal/mean-znorm", "--out", out, "--json", *CHANGES, *more)
    assert json.loads(made.stdout)["parity"]["top_class_agreement"] == 1
    return io.read(out / "bundle", FeatureManifest)


@pytest.mark.integration
def test_from_videos_to_predictions_without_torch(features: Path, tmp_path: Path) -> None:
    bundle, data = trained(features, tmp_path / "run"), tmp_path / "data"
    assert {(a.stage, a.engine) for a in bundle.manifest.artifacts} == {
        (stage, engine) for stage in ("backbone", "head") for engine in ("torch", "openvino")
    }
    assert bundle.manifest.labels == ("dark", "light") and "resnet18" in (bundle.path / io.CARD).read_text()
    out = call("predict", bundle.path, data / "dark" / "dark1.mkv", data / "light" / "light2.mkv", "--json").stdout
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["label"] for row in rows] == ["dark", "light"]
    sample = data / "light" / "light2.mkv"
    by_torch = load(bundle.path, engine="torch").predict(sample).probabilities
    np.testing.assert_allclose(list(by_torch.values()), list(rows[1]["probabilities"].values()), atol=1e-4)
    (data / "dark" / "broken.mkv").write_bytes(b"nothing")
    found = json.loads(call("evaluate", bundle.path, data, "--split", "all", "--out", tmp_path / "e", "--json").stdout)
    (told,) = found["skipped"]
    assert told["path"].endswith("broken.mkv") and told["reason"].startswith("is not a readable video")
    (data / "dark" / "broken.mkv").unlink()
    assert found["n"] == 16 and found["accuracy"] > 0.8 and found["engine"] == "openvino"
    assert "resnet18" in (tmp_path / "e" / "report.html").read_text()
    exported = tmp_path / "fp16"
    call("export", bundle.path, "--to", "openvino", "--precision", "fp16", "--data", data, "--out", exported, "--json")
    assert {a.engine for a in io.read(exported, FeatureManifest).manifest.artifacts} == {"openvino"}
    assert load(exported).predict(sample).label == "light"
    with pytest.raises(GestaError, match="sees exactly 2 frames, spread evenly over the whole video"):
        call("predict", bundle.path, sample, "--stream")
    with pytest.raises(GestaError, match="int8 needs training videos for calibration"):
        call("export", bundle.path, "--to", "openvino", "--precision", "int8", "--out", tmp_path / "x")
    with pytest.raises(GestaError, match="a bundle for the task 'features', but a gesture recognizer was expected"):
        io.read(bundle.path, ClipManifest)


@pytest.mark.integration
def test_letterboxed_features_are_those_a_bundle_computes_itself(tmp_path: Path) -> None:
    data, stored = videos(tmp_path / "data"), {}
    shared = ("features", data, "--backbone", "resnet18", "--weights", "random", "--size", 64, "--every", 2)
    for name, options in {"stretched": (), "letterboxed": ("--letterbox",)}.items():
        call(*shared, "--out", tmp_path / name, "--engine", "torch", *options)
        stored[name] = FeatureFolder(tmp_path / name).load("light/light2.mkv")
    assert not np.allclose(stored["stretched"], stored["letterboxed"], atol=0.01)
    bundle = trained(tmp_path / "letterboxed", tmp_path / "run")
    assert bundle.manifest.backbone.letterbox and "letterboxed to 64 x 64" in (bundle.path / io.CARD).read_text()
    model, path = load(bundle.path, engine="torch"), data / "light" / "light2.mkv"
    np.testing.assert_allclose(model.features(one_sample(path)), stored["letterboxed"], atol=1e-4)
    whole = model.predict(path).probabilities
    frames = [image for _, image in iter_frames(Resource(path), "rgb")]
    for last in (list(model.stream(path))[-1], list(model.stream(frames))[-1], model.predict(np.stack(frames))):
        assert last.probabilities == pytest.approx(whole, abs=1e-4)
    with pytest.raises(GestaError, match="letterbox False in the folder, True in the bundle"):
        call("train", tmp_path / "stretched", "--from", bundle.path, "--out", tmp_path / "no")
    with pytest.raises(GestaError, match="letterbox True, but the folder has False"):
        call("evaluate", bundle.path, tmp_path / "stretched", "--split", "all")


@pytest.mark.integration
def test_what_was_tested_in_training_is_tested_again(tmp_path: Path) -> None:
    """A dictionary with a rare sign, left out, and a broken video: both commands divide the same people."""
    data, rows = tmp_path / "signs", ["file,sign,person"]
    for number, sign in enumerate(("dark", "light", "rare")):
        for i in range(10 if sign != "rare" else 2):
            write_numbered(data / f"{sign}{i}.mkv", 4, 90 * number + 3 * i)
            rows.append(f"{sign}{i}.mkv,{sign},p{i % 5}")
    (data / "dark2.mkv").write_bytes(b"no video")
    (data / "signs.csv").write_text("\n".join(rows) + "\n")
    out = tmp_path / "features"
    made = call("features", data, "--backbone", "resnet18", "--weights", "random", "--size", 32, "--frames", 2, "--out",
                out, "--engine", "torch", "--most-frequent", 2, "--at-least", 3, "--json")  # fmt: skip
    assert json.loads(made.stdout)["videos"] == 19
    bundle = trained(out, tmp_path / "run")
    assert bundle.manifest.provenance.layout == "ledasila+2x3"
    found = json.loads(call("evaluate", bundle.path, data, "--out", tmp_path / "e", "--json").stdout)
    tested = {s.id for s in divided(out)[0] if s.split == "test"}
    with (tmp_path / "e" / "predictions.csv").open() as file:
        assert {row["id"] for row in csv.DictReader(file)} == tested
    assert not found["warnings"] and any("Read as ledasila+2x3" in note for note in found["notes"])


@pytest.mark.slow
def test_a_backbone_too_large_to_embed_is_named_by_its_hash(
    features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(features, tmp_path / "whole")
    monkeypatch.setattr(sequence_save, "EMBED_BYTES", 10)
    bundle = trained(features, tmp_path / "run")
    assert {a.stage for a in bundle.manifest.artifacts} == {"head"}
    assert (
        "too large to embed" in bundle.manifest.notes[0] and "NOT in this bundle" in (bundle.path / io.CARD).read_text()
    )
    sample = tmp_path / "data" / "dark" / "dark0.mkv"
    digits = bundle.manifest.backbone.weights[:12]
    with pytest.raises(
        GestaError, match=rf"resnet18 \(weights {digits}\) is not in the bundle.*--backbone-weights FILE"
    ):
        call("predict", bundle.path, sample)
    expected = load(whole.path).predict(sample)
    assert load(bundle.path, backbone="random:0").predict(sample).label == expected.label  # by PyTorch
    assert load(bundle.path, backbone=whole.path).predict(sample) == expected  # by OpenVINO
    with pytest.raises(GestaError, match="random:1: contains other weights of resnet18"):
        load(bundle.path, backbone="random:1")
    with pytest.raises(GestaError, match="there is no such file or folder"):
        load(bundle.path, backbone=tmp_path / "nowhere.pth")
    (tmp_path / "empty").mkdir()
    with pytest.raises(GestaError, match="expected one weights file of resnet18 in it, found none"):
        load(bundle.path, backbone=tmp_path / "empty")
    with pytest.raises(GestaError, match="a weights file runs with PyTorch"):
        load(bundle.path, "openvino", backbone="random:0")
    full = tmp_path / "full"
    call("export", bundle.path, "--to", "openvino", "--backbone-weights", "random", "--out", full, "--json")
    assert load(full).predict(sample).label == expected.label


@pytest.mark.integration
@pytest.mark.slow
def test_freeze_none_after_a_frozen_training(features: Path, tmp_path: Path) -> None:
    first = trained(features, tmp_path / "run", "--set", "model.name=gru", "--set", "model.hidden=4").path

    def begun(start: Path, name: str, how: str) -> tuple[Path, Any]:
        made = call("train", features, "--from", start, "--freeze", how, "--out", tmp_path / name, "--json")
        return tmp_path / name / "bundle", json.loads(made.stdout)["recipe"]["training"].get("freeze")

    frozen, said = begun(first, "frozen", "all")
    moved, said_then = begun(frozen, "moved", "none")
    assert (said, said_then) == ("all", None)
    states = [io.load_weights(io.read(path, FeatureManifest), "head") for path in (first, frozen, moved)]
    recurrent = next(name for name in states[0] if "weight_hh" in name)
    assert np.array_equal(states[0][recurrent], states[1][recurrent])
    assert not np.array_equal(states[1][recurrent], states[2][recurrent])


@pytest.mark.integration
def test_a_file_of_weights_may_have_any_suffix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, features, files = videos(tmp_path / "data"), tmp_path / "features", [tmp_path / "w.tar", tmp_path / "old.bin"]
    network = BACKBONES["resnet18"](classes=1000)
    for file, zipped in zip(files, (True, False), strict=True):
        torch.save(network.state_dict(), file, _use_new_zipfile_serialization=zipped)
    call("features", data, "--backbone", "resnet18", "--weights", files[0], "--size", 32, "--frames", 2,
         "--out", features, "--engine", "torch", "--json")  # fmt: skip
    monkeypatch.setattr(sequence_save, "EMBED_BYTES", 10)
    bundle = trained(features, tmp_path / "run")
    assert [backbone_of(bundle, file) for file in files] == files
    whole = tmp_path / "full"
    call("export", bundle.path, "--to", "openvino", "--backbone-weights", files[0], "--out", whole, "--json")
    packed = io.save_zip(io.read(whole, FeatureManifest), tmp_path / "full.anything")
    held = backbone_of(bundle, packed)
    assert isinstance(held, Bundle) and held.path == packed


def test_what_training_on_features_refuses(features: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "x")
    with pytest.raises(
        GestaError, match=r"contains data for classification of stored features, but auto is for .*iqbal/mean-znorm"
    ):
        call("train", features, "--recipe", "auto", *out)
    for option, value in (("devices", 2), ("nodes", 2), ("protocol", "document"), ("format", "class_folders")):
        with pytest.raises(
            GestaError, match=f"--{option} does not apply to classification of stored features"
        ) as caught:
            call("train", features, "--recipe", "iqbal/mean-znorm", f"--{option}", value, *out)
        assert caught.value.usage
    data = (tmp_path / "data").rename(tmp_path / "my data")
    makes = f"gesta features '{data}' --backbone resnet50 --stage layer4 --every 10 --out FEATURES"
    with pytest.raises(GestaError, match=f"contains no stored features.*: {makes}$") as caught:
        call("train", data, "--recipe", "iqbal/mean", *out)
    assert caught.value.usage


@pytest.mark.integration
def test_parts_that_are_not_there_are_said(features: Path, tmp_path: Path) -> None:
    index = json.loads((features / "index.json").read_text())
    index["videos"] = [index["videos"][0], index["videos"][8]]  # one of each class
    (features / "index.json").write_text(json.dumps(index))
    shown = call("train", features, "--recipe", "iqbal/mean", "--out", tmp_path / "run", *CHANGES)
    assert f"Results go to {tmp_path / 'run'}." in shown.stderr.splitlines()[0]
    said = shown.stdout
    assert "accuracy  not measured: there is no validation clip; the last epoch is kept\n" in said
    assert "accuracy  not measured: there is no test clip\n" in said


@pytest.mark.integration
def test_beginning_from_a_bundle(features: Path, tmp_path: Path) -> None:
    bundle = trained(features, tmp_path / "run")
    again = call("train", features, "--from", bundle.path, "--freeze", "all", "--out", tmp_path / "again", "--json")
    assert "the same 2 classes: the last layer is kept" in json.loads(again.stdout)["notes"][-1]
    kept = load(tmp_path / "again" / "bundle").manifest.provenance.split_notes
    assert any(note.startswith(f"From {bundle.path}, ") for note in kept)
    for recipe in ((), ("--recipe", "iqbal/mean-znorm")):
        with pytest.raises(
            GestaError, match=r"--set model.hidden=3: with --from, the network is the bundle's"
        ) as caught:
            call("train", features, "--from", bundle.path, *recipe, "--set", "model.hidden=3", "--out", tmp_path / "x")
        assert caught.value.usage
    with pytest.raises(GestaError, match=r"no layer 'classifer'; choose from classifier.*Did you mean classifier\?"):
        call("train", features, "--from", bundle.path, "--freeze", "classifer", "--out", tmp_path / "x")
    with pytest.raises(GestaError, match="--freeze needs --from BUNDLE"):
        call("train", features, "--freeze", "all", "--out", tmp_path / "x")
    with pytest.raises(GestaError, match="--freeze classifier freezes every layer"):
        call("train", features, "--from", bundle.path, "--freeze", "classifier", "--out", tmp_path / "x")
    other = tmp_path / "other"
    call("features", tmp_path / "data", "--backbone", "resnet18", "--weights", "random:5", "--size", 32, "--frames", 2,
         "--out", other, "--engine", "torch", "--json")  # fmt: skip
    with pytest.raises(GestaError, match=r"other features than .* was trained on: weights .* in the folder"):
        call("train", other, "--from", bundle.path, "--out", tmp_path / "x")
    with pytest.raises(GestaError, match="--backbone-weights: random:0 contains other weights"):
        call(
            "train",
            other,
            "--recipe",
            "iqbal/mean",
            *CHANGES,
            "--backbone-weights",
            "random:0",
            "--out",
            tmp_path / "x",
        )
