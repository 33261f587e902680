"""Cross validation: the numbers of its document by hand, and whole runs on a tiny set."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from people import write_set
from training.hand_sets import make_hands
from training.test_training_features import feature_folder

from gesta.experiments.crossval import Folding, choices, crossval, crossval_data, fold_by, summary
from gesta.experiments.parallel import Workers
from gesta.schema import GestaError
from gesta.sources.catalog import read
from gesta.tasks.catalog import find, load_recipe

CLIPS = find("clips")

TINY = ["training.epochs=2", "model.width=0.0625", "input.size=32", "training.batch=4"]


def fold(n: int, *wrong: str) -> dict[str, object]:
    errors = [{"id": name, "truth": "a", "predicted": "b"} for name in wrong]
    return {"accuracy": (n - len(wrong)) / n, "n": n, "errors": errors, "skipped": [], "seconds": 60.0}


def test_pooled_accuracy_counts_clips_and_the_mean_counts_folds():
    document = summary([("ann", 0, fold(10, "x")), ("ben", 0, fold(2, "y"))])
    assert document["accuracy"] == pytest.approx(10 / 12)
    assert document["accuracy_mean"] == pytest.approx((0.9 + 0.5) / 2)
    assert document["accuracy_std"] == pytest.approx(0.2 * 2**0.5)
    assert document["folds"] == [
        {"held_out": "ann", "accuracy": 0.9, "n": 10},
        {"held_out": "ben", "accuracy": 0.5, "n": 2},
    ]
    assert [e["id"] for e in document["errors"]] == ["x", "y"]
    assert document["seconds"] == 120.0


def test_seeds_are_told_apart_and_folds_averaged_over_them():
    document = summary([("ann", 0, fold(4)), ("ann", 1, fold(4, "x", "y")), ("ben", 0, fold(4)), ("ben", 1, fold(4))])
    assert [(s["seed"], s["correct"], s["n"]) for s in document["per_seed"]] == [(0, 8, 8), (1, 6, 8)]
    assert document["folds"][0] == {"held_out": "ann", "accuracy": 0.75, "n": 4}
    assert document["n"] == 8
    assert document["errors"][0]["seed"] == 1


def test_ways_to_fold():
    assert fold_by("subject") == ("subject", None)
    assert fold_by("3") == ("subject", 3)
    assert fold_by("label") == ("label", None)
    with pytest.raises(GestaError, match="groups of people"):
        fold_by("color")


def test_each_fold_chooses_inside_its_training_part(tmp_path, monkeypatch):
    """Stands in for training: "b" is better inside wherever person0 trains; the held-out person is never seen there."""
    listing = read(write_set(tmp_path / "data"))
    options = choices("auto", TINY, ["training.weight_decay=0.1|0.2"])
    seen: list[tuple[str, set[str]]] = []

    def trained(jobs, **_):
        results = []
        for job in jobs:
            parts = job.arguments["parts"]
            people = {s.subject for s in parts.listing.samples}
            if "inner fold" in job.title:
                seen.append((job.title.split(":")[0], people))
            good = (job.arguments["recipe"].training.weight_decay == 0.2) == ("person0" in people)
            n = len(parts.of("test"))
            results.append(fold(n) if good else fold(n, *(f"{i}" for i in range(n))))
        return results

    monkeypatch.setattr("gesta.experiments.crossval.run_jobs", trained)
    monkeypatch.setattr(type(CLIPS), "prepare", lambda *_: None)
    document = crossval(CLIPS, listing, options, tmp_path / "out")
    assert {name for name, _ in seen} == {"person0", "person1", "person2"}
    assert all(name not in people for name, people in seen)
    chosen = {f["held_out"]: f["chosen"].split("=")[-1] for f in document["folds"]}
    assert chosen == {"person0": "0.1", "person1": "0.2", "person2": "0.2"}
    assert document["folds"][0]["inner_accuracy"] == {
        "training.weight_decay=0.1": 1.0,
        "training.weight_decay=0.2": 0.0,
    }


def test_choices_are_every_combination():
    found = choices("auto", [], ["training.epochs=3|5", "model.memory=0|0.5"])
    assert [(r.training.epochs, r.model.memory) for r in found.values()] == [(3, 0.0), (3, 0.5), (5, 0.0), (5, 0.5)]
    with pytest.raises(GestaError, match=r"key=A\|B"):
        choices("auto", [], ["training.epochs=3"])


def test_recipes_can_be_chosen_as_well():
    found = choices("auto", ["training.epochs=3"], ["recipe=auto|dd-net", "training.batch=4|8"])
    assert [(r.name, r.training.batch, r.training.epochs) for r in found.values()] == [
        ("auto", 4, 3),
        ("auto", 8, 3),
        ("dd-net", 4, 3),
        ("dd-net", 8, 3),
    ]
    assert list(found)[2] == "recipe=dd-net training.batch=4"
    with pytest.raises(GestaError, match="recipes of one task; these are for clips and hands"):
        choices("auto", [], ["recipe=auto|kazakos/net1"])


@pytest.mark.slow
def test_every_person_is_held_out_once_and_a_second_run_trains_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path / "cache"))
    listing = read(write_set(tmp_path / "data"))
    recipes, out, told = {"": load_recipe("auto", TINY)}, tmp_path / "out", []
    document = crossval(CLIPS, listing, recipes, out, workers=Workers(told=lambda job, _: told.append(job.title)))
    assert [(f["held_out"], f["n"]) for f in document["folds"]] == [("person0", 4), ("person1", 4), ("person2", 4)]
    assert sorted(told) == ["person0, seed 0", "person1, seed 0", "person2, seed 0"]
    assert document["accuracy"] == pytest.approx(1 - len(document["errors"]) / 12)
    assert json.loads((out / "crossval.json").read_text())["accuracy"] == document["accuracy"]
    assert not list((out / "folds").glob("training-*"))
    again = crossval(CLIPS, listing, recipes, out, workers=Workers(told=lambda *_: pytest.fail("trained again")))
    assert again["accuracy"] == document["accuracy"]


@pytest.mark.slow
def test_a_class_that_only_the_held_out_person_shows_counts_as_wrong(tmp_path, monkeypatch):
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path / "cache"))
    root = write_set(tmp_path / "data", people=3, takes=1)
    index = root / "index.csv"
    index.write_text(index.read_text().replace("p0_down_0.mkv,down", "p0_down_0.mkv,unique"))
    listing = read(root)
    document = crossval(CLIPS, listing, {"": load_recipe("auto", TINY)}, tmp_path / "out", Folding("subject"))
    (error,) = [e for e in document["errors"] if e["truth"] == "unique"]
    assert (error["held_out"], error["predicted"]) == ("person0", None)


def in_this_process(jobs, **_):
    """run_jobs without processes of their own, whose start takes longer than these trainings."""
    return [job.call() if job.finished() is None else job.finished() for job in jobs]


@pytest.mark.integration
def test_hands_are_held_out_by_person_and_measured_in_mm(tmp_path, monkeypatch):
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("gesta.experiments.crossval.run_jobs", in_this_process)
    listing = make_hands(tmp_path / "hands", 24, color=False)
    people = tuple(replace(frame, subject=f"p{i % 3}") for i, frame in enumerate(listing.samples))
    listing = replace(listing, samples=people)
    tiny = ["input.size=16", "input.cube_mm=260", "model.hidden=8", "training.batch=8", "training.epochs=1"]
    recipes = [load_recipe("kazakos/net1", [*tiny, f"training.learning_rate={rate}"]) for rate in (0.1, 1e-6)]
    rates = dict(zip(("fast", "slow"), recipes, strict=True))
    document = crossval(find("hands"), listing, rates, tmp_path / "out", workers=Workers(device="cpu"))
    assert [(fold["held_out"], fold["n"]) for fold in document["folds"]] == [("p0", 8), ("p1", 8), ("p2", 8)]
    assert document["mean_error_mm"] == pytest.approx(document["mean_error_mm_mean"])  # folds of one size
    for fold in document["folds"]:
        inner = fold["inner_mean_error_mm"]
        assert inner[fold["chosen"]] == min(inner.values()) < max(inner.values())
    with pytest.raises(GestaError, match="split by person"):
        crossval(find("hands"), make_hands(tmp_path / "unknown", 8, color=False), rates, tmp_path / "x")


@pytest.mark.integration
def test_stored_features_are_held_out_by_person(tmp_path, monkeypatch):
    monkeypatch.setattr("gesta.experiments.crossval.run_jobs", in_this_process)
    task = find("features")
    listing = task.read(feature_folder(tmp_path / "features"))
    recipe = load_recipe("iqbal/mean", ("training.epochs=5", "training.batch=16", "features.every=null"))
    document = crossval(task, listing, {"": recipe}, tmp_path / "out", workers=Workers(device="cpu"))
    changes = ("training.epochs=5", "training.batch=16", "features.every=null")
    again = crossval_data(listing.root, "iqbal/mean", tmp_path / "out", sets=changes, device="cpu")
    assert again["folds"] == document["folds"] and again["seconds"] == document["seconds"]  # nothing is done twice
    assert {fold["held_out"] for fold in document["folds"]} == {s.subject for s in listing.samples}
    assert document["n"] == len(listing.samples) and document["accuracy"] > 0.5
    assert document["accuracy"] == 1 - len(document["errors"]) / document["n"]
