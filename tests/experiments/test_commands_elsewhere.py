"""What commands find on shards, and what a cluster's workers find, is what they find here on the recordings."""

from __future__ import annotations

import json

import pytest

from tools.drills.works import INPUT, LEARN, made, results, sets, untimed

ONE_EPOCH = [*sets(LEARN), "--set", "training.epochs=1"]
MANY = {
    "crossval": ["crossval", "DATA", "--recipe", "auto", "--by", 2, *ONE_EPOCH],
    "learning-curve": ["learning-curve", "DATA", "--recipe", "auto", "--clips", 2, "--seeds", 2, *ONE_EPOCH],
    "tune": ["tune", "DATA", "--recipe", "auto", "--rounds", 1, "--trials", 2, *ONE_EPOCH],
    "compress": ["compress", "BUNDLE", "DATA", "--epochs", 1, "--steps", 1, "--keep", 0.5, "--seconds", 0.01],
    "reproduce": ["reproduce", "mullick/table-3.2", "--data", "DATA", "--seeds", 1, *ONE_EPOCH],
}
ONCE = {
    "export": ["export", "BUNDLE", "--to", "onnx", "--data", "DATA", "--seconds", 0.1],
    "evaluate": ["evaluate", "BUNDLE", "DATA"],
}
PLACES = ("data", "out", "files", "command")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("elsewhere")


@pytest.fixture
def place(folder, gesta, monkeypatch):
    """A folder with data, the same as shards, and a trained bundle; made once."""
    monkeypatch.setenv("GESTA_CACHE", str(folder / "cache"))
    data = made(folder / "data")
    if not (folder / "run").exists():
        assert gesta("data", "pack", data, "--out", folder / "shards", *sets(INPUT)).exit_code == 0
        assert gesta("train", data, "--out", folder / "run", *ONE_EPOCH).exit_code == 0
    return folder


@pytest.fixture
def outcome(place, gesta):
    """Runs a command on "data" or "shards", here or on a cluster; what it printed and left, without what was timed."""

    def run(words, source, out, *more):
        names = {"DATA": place / source, "BUNDLE": place / "run" / "bundle"}
        path = place / out
        if not path.exists():
            call = gesta(*(names.get(word, word) for word in words), "--out", path, "--json", *more)
            assert call.exit_code == 0, call.stderr
            (place / f"{out}.json").write_text(call.stdout)
        document = json.loads((place / f"{out}.json").read_text())
        said = {name: value for name, value in document.items() if name not in PLACES}
        jobs = (
            [] if "tune" in words else sorted(results(path).items.values())
        )  # whose trials are jobs on a cluster only
        return untimed(said), jobs

    return run


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*MANY, *ONCE} - {"reproduce"}))  # whose recipes look at other inputs
def test_shards_give_what_the_recordings_give(outcome, name):
    words = (MANY | ONCE)[name]
    assert outcome(words, "shards", f"{name}-shards") == outcome(words, "data", f"{name}-data")


@pytest.fixture(scope="module")
def cluster():
    """The address of a scheduler with two workers."""
    distributed = pytest.importorskip("distributed")
    how = {"n_workers": 2, "threads_per_worker": 1, "protocol": "tcp", "dashboard_address": None, "silence_logs": 50}
    with distributed.LocalCluster(host="127.0.0.1", **how) as kept:
        yield kept.scheduler_address


@pytest.mark.slow
@pytest.mark.parametrize("name", MANY)
def test_a_cluster_gives_what_is_computed_here(outcome, cluster, name):
    on_cluster = outcome(MANY[name], "data", f"{name}-cluster", "--cluster", cluster)
    assert on_cluster == outcome(MANY[name], "data", f"{name}-data")
