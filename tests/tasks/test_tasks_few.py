"""Few examples of skeletons: the choice, classes that are enrolled without training, and training on everything."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import gesta as package
from gesta.bundle import io
from gesta.schema import GestaError
from gesta.tasks.clips.manifest import ClipManifest

JOINTS = ("HipCenter", "ShoulderCenter", "Head", "HandLeft", "HandRight")
MOVES = {"left": (3, 1), "right": (4, 1), "out": (4, 0), "forward": (4, 2)}
"""Class -> the joint that moves, and along which axis."""


def move(name: str, seed: int) -> np.ndarray:
    """T J 3: a person of whom one hand goes to and fro."""
    rng, (joint, axis) = np.random.default_rng(seed), MOVES[name]
    body = np.array([[0, 0, 2], [0, 0.5, 2], [0, 0.7, 2], [-0.3, 0.1, 2], [0.3, 0.1, 2]], np.float32)
    clip = np.repeat(body[None], 20 + seed, 0) * rng.uniform(0.9, 1.1) + rng.normal(0, 0.005, (20 + seed, 5, 3))
    clip[:, joint, axis] += 0.5 * np.sin(np.arange(len(clip)) / 3) ** 2
    return clip.astype(np.float32)


def folder(root: Path, *names: str, count: int = 2, first: int = 0) -> Path:
    for name in names:
        (root / name).mkdir(parents=True)
        for i in range(first, first + count):
            np.save(root / name / f"{i}.npy", move(name, i))
    (root / "joints.txt").write_text("\n".join(JOINTS))
    return root


def trained(root: Path, data: Path, *, final: bool = False, **sets: object) -> Path:
    given = {"model.width": 0.1, "training.epochs": 10, "training.learning_rate": 0.01, **sets}
    return package.train(data, recipe="dd-net", out=root, final=final, **given).bundle


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("few") / "known", "left", "right")


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("few") / "new", "out", "forward")


@pytest.fixture(scope="module")
def embedding(known: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    sets = {"model.head": "prototypes", "training.validation": False, "baselines": False}
    return trained(tmp_path_factory.mktemp("runs") / "embedding", known, **sets)


@pytest.mark.integration
@pytest.mark.parametrize("kind", ["embedding", "nearest", "vote"])
def test_classes_are_enrolled_without_training(kind, known, new, embedding, tmp_path):
    bundle = embedding
    if kind != "embedding":
        deliver = {"nearest": "nearest neighbor", "vote": "embedding with nearest neighbor"}[kind]
        bundle = trained(tmp_path / "run", known, **{"deliver": deliver, "training.validation": False})
    more = package.enroll(bundle, new, tmp_path / "more")
    before, after = package.load(bundle), package.load(more.bundle)
    assert after.labels == ("left", "right", "forward", "out") and after.engine.name == "openvino"
    asked = folder(tmp_path / "asked", *MOVES, count=1, first=5)
    for name in MOVES:
        path = asked / name / "5.npy"
        found, whole = after.predict(path), package.load(more.bundle, engine="torch").predict(path)
        assert np.isclose(found.confidence, whole.confidence, atol=1e-3)
        if kind != "embedding":  # ten epochs of two clips leave an embedding that need not know other classes
            assert found.label == name
        old, now = (model.predict(path).probabilities for model in (before, after))
        if kind != "vote":  # which is between probabilities, and those are of more classes now
            assert (old["left"] > old["right"]) == (now["left"] > now["right"])
    note = io.read(more.bundle, ClipManifest).manifest.notes[-1]
    assert "forward (2), out (2)" in note


@pytest.mark.integration
def test_what_cannot_be_enrolled_is_told_by_name(embedding, known, new, tmp_path, gesta):
    for data, words in ((known, "left, right"), (tmp_path / "empty", "no labeled")):
        data.mkdir(exist_ok=True)
        answer = gesta("enroll", embedding, data, "--out", tmp_path / "x")
        assert answer.exit_code != 0 and words in answer.stderr if data == known else answer.exit_code != 0
    linear = trained(tmp_path / "linear", known, **{"baselines": False, "training.epochs": 1})
    with pytest.raises(GestaError, match="linear last layer"):
        package.enroll(linear, new, tmp_path / "x")
    broken = folder(tmp_path / "broken", "out", count=1)
    (broken / "out" / "0.npy").write_bytes(b"nothing")
    assert gesta("enroll", embedding, broken, "--out", tmp_path / "x").exit_code == 1
    assert not (tmp_path / "x").exists()
    done = gesta("enroll", embedding, new, "--out", tmp_path / "more", "--json")
    assert json.loads(done.stdout)["new"] == ["forward", "out"]
    assert gesta("enroll", embedding, new, "--out", tmp_path / "more").exit_code == 2
    assert gesta("enroll", embedding, new, "--out", embedding).exit_code == 2


@pytest.mark.integration
def test_final_trains_on_everything_and_says_where_its_accuracy_is_from(tmp_path):
    data = folder(tmp_path / "data", "left", "right", "out", count=6)
    run = package.train(
        data, recipe="dd-net", out=tmp_path / "run", final=True, **{"model.width": 0.1, "training.epochs": 4}
    )
    manifest = io.read(run.bundle, ClipManifest).manifest
    assert manifest.provenance.clips == {"train": 18}
    assert "all 18 clips" in manifest.metrics["final"] and "training before" in manifest.metrics["final"]
    assert manifest.metrics["val_accuracy"] == run.metrics["val_accuracy"]
    assert "all 18 clips" in "".join(path.read_text() for path in run.bundle.glob("*.md"))
    assert not (tmp_path / "run" / "final" / "bundle").exists()
