"""Vectors of videos: losses by slow loops, recalls by hand, the index on disk, and search from the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from text.described_features import features, write
from text.test_text_captions import SMALL
from typer.testing import CliRunner

from gesta import api
from gesta.models.video2vec import VideoVectors, matching
from gesta.schema import GestaError
from gesta.tasks.text import search
from gesta.tasks.text.vector_predict import recalls

pytestmark = pytest.mark.integration

SIZES: dict[str, Any] = {"features": 3, "tokens": 7, "classes": 4, "embedding": 5, "hidden": 6, "vector": 8}


def test_matching_is_a_softmax_both_ways() -> None:
    scores, same = torch.randn(4, 4), torch.eye(4, dtype=torch.bool)
    same[0, 2] = same[2, 0] = True  # the same sentence of two videos
    expected = []
    for i in range(4):
        rows = scores[i].softmax(0)[same[i]].sum().log(), scores[:, i].softmax(0)[same[i]].sum().log()
        expected.append(-(rows[0] + rows[1]) / 2)
    torch.testing.assert_close(matching(scores, same), torch.stack(expected))


@pytest.mark.parametrize("objective", ["captions", "classes", "reconstruction"])
def test_padding_changes_nothing(objective: str) -> None:
    torch.manual_seed(0)
    network = VideoVectors(objective=objective, **SIZES).eval()
    videos = [torch.randn(length, 3) for length in (2, 5)]
    batch = torch.nn.utils.rnn.pad_sequence(videos)
    together = network.video(batch, torch.tensor([2, 5]))
    torch.testing.assert_close(together.norm(dim=1), torch.ones(2))
    for b, video in enumerate(videos):
        torch.testing.assert_close(network.video(video.unsqueeze(1), torch.tensor([len(video)]))[0], together[b])
    if objective == "reconstruction":
        given = {"source": batch, "lengths": torch.tensor([2, 5])}
        alone = {"source": videos[0].unsqueeze(1), "lengths": torch.tensor([2])}
        torch.testing.assert_close(network.losses(alone)[0], network.losses(given)[0])


def test_recalls_by_hand() -> None:
    scores = np.array([[0.9, 0.1, 0.5], [0.2, 0.1, 0.3]])
    right = np.array([[False, False, True], [False, False, True]])
    found = recalls(scores, right)
    assert found["recall_1"] == 0.5 and found["recall_5"] == found["recall_10"] == 1
    assert found["chance_1"] == pytest.approx(1 / 3) and found["chance_5"] == pytest.approx(1)
    two = recalls(np.zeros((1, 4)), np.array([[True, True, False, False]]))
    assert two["chance_1"] == pytest.approx(0.5)


def unit(count: int, width: int = 8) -> np.ndarray:
    found = np.random.default_rng(0).normal(size=(count, width)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_index_is_kept_and_brought_up_to_date(tmp_path: Path) -> None:
    vectors = dict(zip("abc", unit(3), strict=True))
    asked: list[list[str]] = []

    def embed(ids: list[str]) -> dict[str, np.ndarray]:
        asked.append(ids)
        return {id: vectors[id] for id in ids if id != "c"}  # c is broken

    made = search.updated(None, {"a": "1", "b": "1", "c": "1"}, embed, 8)
    search.write(tmp_path, "model", made)
    held = search.read(tmp_path, "model", 8)
    assert held is not None and list(held.ids) == ["a", "b"] and isinstance(held.vectors, np.memmap)
    assert held.nearest(vectors["b"], 1)[0][0] == "b"
    again = search.updated(held, {"b": "1", "a": "2"}, embed, 8)  # a has changed
    assert asked == [["a", "b", "c"], ["a"]] and list(again.ids) == ["b", "a"]
    assert search.updated(held, {"a": "1", "b": "1"}, embed, 8) is held


def test_a_hundred_thousand_videos(tmp_path: Path) -> None:
    vectors = unit(100_000, 128)
    ids = [f"videos/person_{i:06d}.mp4" for i in range(len(vectors))]
    search.write(tmp_path, "model", search.Index(ids, ["0" * 16] * len(ids), vectors.astype(np.float16)))
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 50e6
    held = search.read(tmp_path, "model", 128)
    assert held is not None and held.nearest(vectors[77_777], 3)[0][0] == ids[77_777]


def test_an_index_that_cannot_be_used(tmp_path: Path) -> None:
    search.write(tmp_path / "one", "model", search.Index(["a"], ["1"], unit(1).astype(np.float16)))
    with pytest.raises(GestaError, match="the index of another model"):
        search.read(tmp_path / "one", "other", 8)
    (tmp_path / "one" / search.VECTORS).write_bytes(b"no vectors")
    with pytest.raises(GestaError, match=r"cannot be read .* Delete the folder"):
        search.read(tmp_path / "one", "model", 8)
    with pytest.raises(GestaError, match="contains other files"):
        search.read(tmp_path, "model", 8)
    assert search.read(tmp_path / "none", "model", 8) is None


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.float16(3), "do not match"),
        (np.ones(1, np.float16), "do not match"),
        (unit(1, 5).astype(np.float16), "do not match"),
        (unit(2).astype(np.float16), "do not match"),
        (unit(1), "is damaged"),
        (np.full((1, 8), np.nan, np.float16), "is damaged"),
        (np.ones((1, 8), np.float16), "is damaged"),
        (None, "cannot be read"),
    ],
)
def test_vectors_that_do_not_belong_to_the_index(tmp_path: Path, vectors: np.ndarray | None, message: str) -> None:
    search.write(tmp_path, "model", search.Index(["a"], ["1"], unit(1).astype(np.float16)))
    if vectors is None:
        (tmp_path / search.VECTORS).write_bytes(b"")
    else:
        np.save(tmp_path / search.VECTORS, vectors)
    with pytest.raises(GestaError, match=message):
        search.read(tmp_path, "model", 8)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    data, out = write(tmp_path_factory.mktemp("described")), tmp_path_factory.mktemp("run")
    return {"data": data, "bundle": api.train(data, recipe="text/video2vec", out=out, **SMALL).bundle}


def test_sentences_find_videos(trained: dict[str, Any], tmp_path: Path) -> None:
    found = api.evaluate(trained["bundle"], trained["data"], out=tmp_path).document
    assert found["by_text"]["recall_1"] > 0.9 and found["by_video"]["recall_1"] > 0.9
    assert found["by_text"]["chance_1"] == pytest.approx(1 / 3) and found["engine"] == "openvino"
    assert (tmp_path / "nearest.csv").read_text().startswith("video,caption,nearest")
    model = api.load(trained["bundle"])
    vector = model.of_sentences(["a person waves twice"])[0]
    rng = np.random.default_rng(9)
    cosines = {label: vector @ model.predict(features(label, rng)) for label in ("up", "down", "up twice")}
    assert max(cosines, key=lambda label: cosines[label]) == "up twice"
    with pytest.raises(GestaError, match="knows none of these words"):
        model.of_sentences(["entirely different"])


def test_search_from_the_command_line(trained: dict[str, Any], tmp_path: Path) -> None:
    from gesta.cli import app

    arguments = ["search", str(trained["data"]), "--model", str(trained["bundle"]), "--index", str(tmp_path), "--json"]

    def run(*more: str) -> dict[str, Any]:
        result = CliRunner().invoke(app, [*arguments, *more])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    first = run("a person knocks", "--count", "8")
    assert first["videos"] == 72 and all("_down_" in one["video"] for one in first["found"])
    made = (tmp_path / search.VECTORS).stat().st_mtime_ns
    assert run("somebody waves", "--count", "3")["found"] and (tmp_path / search.VECTORS).stat().st_mtime_ns == made
    both = CliRunner().invoke(app, arguments)
    assert isinstance(both.exception, GestaError) and both.exception.usage


def test_search_takes_the_model_that_training_left(
    trained: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gesta.cli import app

    monkeypatch.chdir(tmp_path)
    words = ["search", str(trained["data"]), "somebody waves", "--index", str(tmp_path / "index"), "--json"]
    refused = CliRunner().invoke(app, words)
    assert isinstance(refused.exception, GestaError) and "runs holds no search model" in str(refused.exception)
    for kind in ("captions", "video2vec"):
        folder = tmp_path / "runs" / kind / "bundle"
        shutil.copytree(trained["bundle"], folder)
        document = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps(document | {"kind": kind}))
    broken = tmp_path / "runs" / "broken" / "bundle" / "manifest.json"
    broken.parent.mkdir(parents=True)
    broken.write_text("{")
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "Searching with runs/video2vec/bundle" in result.stderr


def test_classes_do_not_understand_sentences(tmp_path: Path) -> None:
    data = write(tmp_path / "data", takes=2)
    run = api.train(data, recipe="text/video2vec-classes", out=tmp_path / "run", **SMALL | {"training.epochs": 2})
    with pytest.raises(GestaError, match="trained on classes, not on captions"):
        api.load(run.bundle).of_sentences(["a person waves"])
