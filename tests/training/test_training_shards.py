"""Training on shards is training on the recordings, to the last bit."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.numpy
from clips.videos import moving_square, write_video

SETS = "input.fps=10 input.size=16 model.width=0.125 training.epochs=2 training.batch=4 augmentation.context=0.0"
SETS = [word for one in SETS.split() for word in ("--set", one)]


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Squares that go at two speeds, of four people."""
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path / "cache"))
    rows = ["path,label,subject"]
    (tmp_path / "data").mkdir()
    for number in range(16):
        label, subject = ("slow", "fast")[number % 2], f"p{number // 4}"
        write_video(tmp_path / "data" / f"{number}.mkv", moving_square(8 + number % 3, step=1 + 3 * (number % 2)))
        rows.append(f"{number}.mkv,{label},{subject}")
    (tmp_path / "data" / "index.csv").write_text("\n".join(rows))
    return tmp_path / "data"


def weights(run):
    return safetensors.numpy.load_file(next((run / "bundle").glob("*.safetensors")))


@pytest.mark.slow
def test_the_weights_are_the_same(gesta, data, tmp_path):
    packed = gesta("data", "pack", data, "--out", tmp_path / "shards", "--shard-size", "20K", *SETS, "--json")
    assert json.loads(packed.stdout)["clips"] == 16 and json.loads(packed.stdout)["shards"] > 2
    done = {}
    for name, source in (("files", data), ("packed", tmp_path / "shards")):
        call = gesta("train", source, "--out", tmp_path / name, *SETS, "--json")
        assert call.exit_code == 0, call.stderr
        done[name] = json.loads(call.stdout)
    assert done["packed"]["metrics"] == done["files"]["metrics"]
    files, packed_weights = weights(tmp_path / "files"), weights(tmp_path / "packed")
    assert files.keys() == packed_weights.keys() and len(files) > 4
    for name, values in files.items():
        np.testing.assert_array_equal(packed_weights[name], values)
    measured = {}
    for source in (data, tmp_path / "shards"):
        call = gesta(
            "evaluate", tmp_path / "packed" / "bundle", source, "--json", "--out", tmp_path / f"e-{source.name}"
        )
        assert call.exit_code == 0, call.stderr
        measured[source.name] = json.loads(call.stdout)
    assert measured["shards"] == measured["data"] | {"data": measured["shards"].get("data")}


def test_what_needs_recordings_is_refused_before_work_starts(gesta, data, tmp_path):
    call = gesta("data", "pack", data, "--out", tmp_path / "s", "--recipe", "live")
    assert call.exit_code == 2 and "trains on whole recordings" in call.stderr and not (tmp_path / "s").exists()
