"""The demo: finished steps are not done again, the stream is scored by the metric's rule, and the whole runs small."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gesta.cli.demo import text
from gesta.experiments import demo as module
from gesta.schema import GestaError, Prediction, Resource, Sample
from gesta.tasks.catalog import load_recipe

LABELS = ("ok", "basta")


def span(label: str, first: int, last: int) -> Sample:
    file = Resource(Path("video.mp4"))
    return Sample(id=label, recording="r", color=file, label=label, first_frame=first, last_frame=last)


def prediction(label: str, time_s: float) -> Prediction:
    return Prediction(label, {name: 0.9 if name == label else 0.1 for name in LABELS}, time_s)


def test_gestures_are_found_at_their_time_in_the_stream():
    spans = [span("ok", 0, 19), span("basta", 40, 59), span("ok", 80, 99)]  # at 20 frames/s: 0-1, 2-3 and 4-5 s
    stream = [prediction("ok", 0.8), prediction("basta", 2.8), prediction("basta", 4.8)]
    assert module.recognized(spans, stream, LABELS, 20.0).tolist() == [True, True, False]


@pytest.fixture
def steps(monkeypatch):
    """Steps that note that they were done."""
    done: list[str] = []

    def work(name, result):
        def do(run):  # noqa: ARG001
            done.append(name)
            if name == "stream" and fails:
                raise GestaError("the disk is full")
            return dict(result)

        return do

    results = {
        "first_look": {"picture": "look.jpg", "video": "look.mp4", "gestures": 6, "recognized": 5},
        "inspect": {"page": "page.html", "problems": []},
        "train": {},
        "evaluate": {"accuracy": 0.9, "accuracy_interval": [0.8, 0.95], "n": 20, "people": 1},
        "stream": {"recording": "Sample0001", "gestures": 20, "recognized": 15, "share": 0.75, "missed": ["fame"]},
    }
    fails: list[bool] = []
    monkeypatch.setattr(module, "STEPS", {name: (name, work(name, result)) for name, result in results.items()})
    return done, fails


def test_a_stopped_demo_goes_on_where_it_was(tmp_path, steps):
    done, fails = steps
    recipe = load_recipe("cnn3d-lstm-stream")
    fails.append(True)
    with pytest.raises(GestaError, match="disk is full"):
        module.demo(tmp_path, recipe)
    fails.clear()
    document = module.demo(tmp_path, recipe)
    assert done == ["first_look", "inspect", "train", "evaluate", "stream", "stream"]
    assert document["accuracy"] == 0.9
    assert document["streaming"]["share"] == 0.75
    assert json.loads((tmp_path / "demo.json").read_text())["n"] == 20
    assert "15 of 20 gestures of Sample0001 recognized (0.75), missed: fame (hungry)" in text(document)
    assert "5 of 6 gestures: look.jpg" in text(document)


def test_other_settings_are_done_anew(tmp_path, steps):
    done, _ = steps
    module.demo(tmp_path, load_recipe("cnn3d-lstm-stream"))
    module.demo(tmp_path, load_recipe("cnn3d-lstm-stream", ["training.epochs=2"]))
    assert len(done) == 10


@pytest.mark.slow
def test_the_whole_demo_with_three_people_and_one_epoch(tmp_path, monkeypatch):
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path / "cache"))
    recipe = load_recipe("cnn3d-lstm-stream", ["training.epochs=1", "model.width=0.0625", "input.size=32"])
    document = module.demo(tmp_path / "demo", recipe, people=3, recordings=1)
    assert document["n"] == document["streaming"]["gestures"] == 20
    assert document["people"] == 1
    assert all(Path(file).exists() for file in document["files"].values())
