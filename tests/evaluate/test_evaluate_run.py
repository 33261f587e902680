"""Evaluation over a split: the numbers, what is refused, what is said."""

import csv
import json
import re
import time
from dataclasses import replace

import numpy as np
import pytest
from calls import evaluate

from gesta.bundle import io
from gesta.engines.base import Placement
from gesta.schema import GestaError
from gesta.sources.catalog import read
from gesta.tasks.classification import measured, most_confident_mistakes
from gesta.tasks.clips import predict
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.task import TASK

pytestmark = pytest.mark.usefixtures("recognizer")


@pytest.fixture
def tested(data):
    return [s for s in read(data).samples if s.split == "test"]


def test_numbers_by_hand(make_bundle, tested):
    result = evaluate(make_bundle(), tested, progress=False)
    m = result.metrics
    # persons B and C, 8 clips each; C's two "light" clips look white
    assert (m["n"], m["people"], m["accuracy"], m["top5"]) == (16, 2, 14 / 16, 1.0)
    assert m["labels"] == ["dark", "dim", "light", "white"]
    assert m["confusion"][2] == [0, 0, 2, 2] and np.trace(m["confusion"]) == 14
    assert m["per_class"]["light"] == {
        "n": 4,
        "predicted": 2,
        "precision": 1.0,
        "recall": 0.5,
        "f1": pytest.approx(2 / 3),
    }
    assert m["per_person"] == {"B": {"n": 8, "accuracy": 1.0}, "C": {"n": 8, "accuracy": 0.75}}
    assert m["interval_by_person"] == [0.75, 1.0]
    assert m["accuracy_interval"][0] <= min(0.75, m["interval_wilson"][0]) and m["accuracy_interval"][1] == 1.0
    assert m["skipped"] == [] and m["warnings"] == [] and m["engine"] == "stand-in"
    assert [s.id for s in result.samples] == [s.id for s in tested]
    assert {result.samples[i].label for i in most_confident_mistakes(result, 9)} == {"light"}


def test_unknown_labels_are_refused_and_named(make_bundle, tested):
    bundle = make_bundle(labels=("dark", "dim", "white"))
    with pytest.raises(GestaError, match=r"labels that the bundle does not know: light \(4\).*dark, dim, white"):
        evaluate(bundle, tested, progress=False)


def test_people_of_the_training_are_recognized(make_bundle, data):
    everybody = read(data).samples
    result = evaluate(make_bundle(), everybody, layout="index_csv", progress=False)
    (warning,) = result.metrics["warnings"]
    assert "1 of 3 people were used in training (A)" in warning
    other = evaluate(make_bundle(), everybody, layout="chalearn2014", progress=False)
    assert other.metrics["warnings"] == []


def test_unknown_people_are_said(make_bundle, tested):
    nobody = [replace(s, subject=None) for s in tested]
    result = evaluate(make_bundle(), nobody, progress=False)
    assert "not say who the people are" in result.metrics["warnings"][0]
    assert result.metrics["interval_by_person"] is None and result.metrics["people"] is None
    assert result.metrics["accuracy_interval"] == result.metrics["interval_wilson"]


def test_broken_clips_are_listed_and_skipped(make_bundle, tested, data):
    (data / "B_dim_0.mkv").write_bytes(b"no video")
    (data / "C_dark_1.mkv").unlink()
    result = evaluate(make_bundle(), tested, progress=False)
    assert result.metrics["n"] == 14
    assert sorted(p["path"].split("/")[-1] for p in result.metrics["skipped"]) == ["B_dim_0.mkv", "C_dark_1.mkv"]
    assert all(p["reason"] and not p["reason"].startswith(p["path"]) for p in result.metrics["skipped"])


def test_nothing_to_measure_is_said(make_bundle, tested, data):
    with pytest.raises(GestaError, match=r"none of the .* samples has a label"):
        evaluate(make_bundle(), [replace(s, label=None) for s in tested], progress=False)
    for file in data.glob("*.mkv"):
        file.write_bytes(b"no video")
    with pytest.raises(GestaError, match="none of the 16 clips could be read"):
        evaluate(make_bundle(), tested, progress=False)


def test_unlabeled_clips_are_counted_as_left_out(make_bundle, tested):
    mixed = [replace(tested[0], label=None), *tested[1:]]
    result = evaluate(make_bundle(), mixed, progress=False)
    assert result.metrics["n"] == 15 and "1 recording without a label" in result.metrics["warnings"][0]


def test_files_written(make_bundle, tested, tmp_path):
    out = tmp_path / "out"
    result = evaluate(make_bundle(), tested, out=out, notes=["about <the> split"], progress=False)
    assert json.loads((out / "metrics.json").read_text()) == result.metrics
    rows = list(csv.DictReader((out / "predictions.csv").open()))
    assert len(rows) == 16 and sum(row["correct"] == "0" for row in rows) == 2
    page = (out / "report.html").read_text()
    assert "about &lt;the&gt; split" in page and "87.5 %" in page
    wrong, right = page.split("<h2>Recognized correctly</h2>")
    strips = [part.count("data:image/png;base64,") for part in (wrong, right)]
    assert strips == [2, 4], "one for each of the two mistakes, and for a right one of each class"
    assert page.count("data:image/jpeg;base64,") == 6, "beside each the video"
    assert not re.search(r"src=\"(?!data:)|href=\"(?!predictions.csv|metrics.json|file:)", page), "it stands alone"
    assert page.count('class="sorts"') == 3 and "aria-sort" in page
    assert re.search(rf"<h1>.+, \d+ \w+ {time.localtime().tm_year}</h1>", page)
    assert len(list(out.iterdir())) == 3, "nothing half written"


def test_a_place_that_cannot_be_written_is_named(make_bundle, tested, tmp_path):
    result = evaluate(make_bundle(), tested, progress=False)
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(GestaError, match="cannot be written"):
        TASK.report(result, tmp_path / "taken")


def test_the_report_of_many_classes_and_no_mistakes(make_bundle, tested, tmp_path, monkeypatch):
    labels = ("dark", "dim", "light", "white", *(f"class {i}" for i in range(80)))
    bundle = make_bundle(labels=labels)
    wide = predict.load(io.read(bundle, ClipManifest), Placement())
    narrow = wide.predict_clips
    monkeypatch.setattr(wide, "predict_clips", lambda clips: np.pad(narrow(clips), ((0, 0), (0, 80))))
    monkeypatch.setattr(predict, "load", lambda *_: wide)
    right = [s for s in tested if s.label != "light"]
    evaluate(bundle, right, out=tmp_path / "out", progress=False)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "too many for a matrix" in page and "every clip was recognized" in page


def test_the_interval_is_the_wider_of_the_two():
    truth = np.zeros(40, int)
    scores = np.tile([1.0, 0.0], (40, 1))
    scores[:20] = [0.0, 1.0]
    apart = measured(truth, scores, ["a"] * 20 + ["b"] * 20, ("x", "y"))
    assert apart["accuracy_interval"] == [0.0, 1.0], "one person always wrong, one always right"
    alike = measured(truth, scores, ["a", "b"] * 20, ("x", "y"))
    assert alike["interval_by_person"] == [0.5, 0.5]
    assert alike["accuracy_interval"] == alike["interval_wilson"]
