"""`gesta prune` and `gesta quantize` on small real files: distil, prune, halve, evaluate, predict."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from experiments.people import write_set
from runtime.tiny_bundles import make_bundle

from gesta.bundle import io as bundle_io
from gesta.cli import main
from gesta.schema import GestaError
from gesta.tasks.base import Parts
from gesta.tasks.clips.manifest import ClipManifest

QUICK = ("training.epochs=1", "training.batch=4", "input.size=16", "model.width=0.125")


@pytest.fixture
def gesta(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """gesta("prune", ...) -> (exit code, stdout, stderr)."""
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    before = torch.get_num_threads()
    torch.set_num_threads(1)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["gesta", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capfd.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    yield call
    torch.set_num_threads(before)


def sets(*changes: str) -> list[str]:
    return [part for change in (*QUICK, *changes) for part in ("--set", change)]


@pytest.mark.slow
def test_distil_prune_halve_evaluate_predict(gesta, tmp_path: Path) -> None:
    data = write_set(tmp_path / "data", people=5)
    teacher = sets("input.window=8", "augmentation.window=null")
    code, _, err = gesta("train", data, "--recipe", "mullick/cnn3d", "--out", "teacher", *teacher)
    assert code == 0, err
    student = sets("teacher=teacher/bundle", "distillation.sees=same")
    code, _, err = gesta("train", data, "--out", "student", *student)
    assert code == 0, err
    sparsity = ("--sparsity", 0.8, "--steps", 2, "--epochs", 1, "--figure", "hist.png")
    code, out, err = gesta("prune", "student/bundle", "--out", "pruned", "--data", data, *sparsity)
    assert code == 0, err
    assert "sparse (bitmap)" in out and "test clips" in out and "next        gesta evaluate pruned" in out
    assert Path("hist.png").read_bytes().startswith(b"\x89PNG")
    code, out, err = gesta("quantize", "pruned", "--out", "half", "--data", data, "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["bytes_after"] < document["bytes_before"] and document["comparison"]["clips"] == 4
    assert out.count("\n") == 1
    code, out, err = gesta("evaluate", "half", data, "--engine", "torch", "--json")
    assert code == 0 and json.loads(out)["accuracy"] == document["comparison"]["accuracy_after"], err
    code, out, err = gesta("predict", "half", data / "p0_right_0.mkv")
    assert code == 0 and ("right" in out or "down" in out), err


def test_without_data(gesta, tmp_path: Path) -> None:
    make_bundle(tmp_path / "model", "cnn3d")
    code, out, _ = gesta("prune", "model", "--out", "pruned")
    assert code == 0 and "add --data DATA" in out and "0 of" in out
    weights = [bundle_io.load_weights(bundle_io.read(tmp_path / name, ClipManifest)) for name in ("model", "pruned")]
    assert all(weights[0][name].tobytes() == array.tobytes() for name, array in weights[1].items())


@pytest.mark.parametrize(
    "command", [("prune", "--data"), ("prune", "--channels", "--data"), ("quantize", "--data"), ("slim",)]
)
def test_people_are_divided_as_in_the_training(gesta, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command) -> None:
    model = make_bundle(tmp_path / "model", "cnn3d_lstm")
    manifest = json.loads((model / "manifest.json").read_text())
    manifest["provenance"]["seed"] = 7
    (model / "manifest.json").write_text(json.dumps(manifest))
    data, seeds = write_set(tmp_path / "data"), []

    def stop(_listing: object, seed: int, _protocol: str, _recipe: object) -> None:
        seeds.append(seed)
        raise GestaError("enough")

    monkeypatch.setattr("gesta.tasks.clips.task.split_samples", stop)
    name, *options = command
    arguments = (model, *options, data)
    assert gesta(name, *arguments, "--out", "x")[0] == 1
    assert gesta(name, *arguments, "--out", "x", "--seed", 3)[0] == 1
    assert seeds == [7, 3]


def test_validation_people_are_held_out_although_the_bundle_was_trained_on_them(
    gesta, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def stop(_bundle: object, _plan: object, parts: Parts, *_: object, **__: object) -> None:
        seen.append(parts)
        raise GestaError("enough")

    monkeypatch.setattr("gesta.compression.pipeline.compress", stop)
    data = write_set(tmp_path / "data", people=5)
    bundle = make_bundle(tmp_path / "bundle", "cnn3d_lstm")
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["recipe"]["training"] = {"validation": False}
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    code, _, err = gesta("compress", bundle, data, "--out", "small", "--max-drop", 1)
    assert (code, "enough" in err) == (1, True), err
    assert {s.split for s in seen[0].listing.samples} == {"train", "val", "test"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("prune", "nowhere", "--out", "x"), 2, "no such bundle"),
        (("prune", "model", "--out", "x", "--sparsity", 1.5), 2, "below 1"),
        (("prune", "model", "--out", "x", "--epochs", 1), 2, "--data DATA"),
        (("prune", "model", "--out", "x", "--data", "nowhere"), 2, "no such data folder"),
        (("prune", "model", "--out", "x", "--set", "teacher=model"), 2, "which needs --epochs"),
        (("slim", "model", "data", "--out", "x", "--set", "training.batch=8"), 2, "which needs --epochs"),
        (("prune", "model", "--channels", "--out", "x"), 2, "--channels needs --data DATA"),
        (("prune", "model", "--channels", "--keep", 2, "--data", "data", "--out", "x"), 2, "--keep must be above 0"),
        (
            ("quantize", "model", "--out", "x", "--precision", "int9"),
            2,
            "choose from fp32, fp16, int8. Did you mean int8?",
        ),
        (("quantize", "model", "--out", "model"), 2, "is the bundle itself"),
        (("train", "data", "--recipe", "mullick/distil-small"), 2, "--set teacher=BUNDLE"),
        (("train", "data", "--set", "teacher=nowhere"), 1, "nowhere: no such bundle"),
    ],
)
def test_mistakes(gesta, tmp_path: Path, arguments, code: int, message: str) -> None:
    make_bundle(tmp_path / "model", "cnn3d_lstm")
    if "data" in arguments:
        write_set(tmp_path / "data")
    found, _, err = gesta(*arguments)
    assert (found, True) == (code, message in err), err
