"""Tables about actions and signs: every line has a recipe that takes its changes; planning; a whole small table."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gesta.experiments.action_catalog import ACTION_SCALES, ACTION_TABLES, ActionRow
from gesta.experiments.action_tables import ActionTables, trained
from gesta.experiments.table import Wanted
from gesta.recipes import document_of
from gesta.schema import GestaError
from gesta.tasks.catalog import load_recipe


def table(name):
    return ActionTables(name, ACTION_TABLES[name])


def plan(name, data, out, **wanted):
    return table(name).plan(data, "Empty files.", Wanted(out, **{"seeds": 1, **wanted}))


def ucf101(root):
    """The lists and empty files: planning reads no pixels."""
    for split in (1, 2, 3):
        test = (split + 1) % 3 + 1
        for part, groups in (("train", {1, 2, 3} - {test}), ("test", {test})):
            names = [f"{label}/v_{label}_g{g:02d}_c01.avi" for label in ("Wave", "Clap") for g in groups]
            (root / f"{part}list{split:02d}.txt").write_text("\n".join(f"{n} 1" for n in names))
            for name in names:
                (root / name).parent.mkdir(exist_ok=True)
                (root / name).write_bytes(b"video")
    return root


@pytest.mark.parametrize("name", ACTION_TABLES)
def test_every_line_has_a_recipe_that_takes_its_changes(name):
    for row in trained(ACTION_TABLES[name]):
        for scale in ACTION_SCALES.values():
            if "features" in document_of(row.recipe):
                load_recipe(row.recipe, (*scale.sequences, *row.overrides, *row.quick))
            else:
                load_recipe(row.recipe, (*scale.clips, *row.overrides, *row.quick))


@pytest.mark.parametrize("name", ACTION_TABLES)
def test_the_cost_of_a_quick_table_is_at_most_ten_minutes_of_a_core(name):
    row_minutes = sum(row.cost for row in trained(ACTION_TABLES[name])) * ACTION_SCALES["quick"].minutes
    assert row_minutes <= 10
    assert "training runs, about" in table(name).estimate(Wanted(Path("out"), seeds=1))


def test_tables_share_trainings_and_test_people_never_train(tmp_path):
    data = {"ucf101": ucf101(tmp_path)}
    planned = {n: plan(f"iqbal/table-5.{n}", data, tmp_path) for n in (3, 4, 5, 6, 7, 8, 9)}
    main = {n: set(one.trainings) for n, one in planned.items()}
    shared = set.intersection(*main.values())
    assert len(shared) == 1  # 98-104, identity, Adam after 1 %, every 10th, split 1
    for one in planned.values():
        for parts in (line.job.arguments["parts"] for line in one.lines):
            assert {s.split for s in parts.listing.samples} == {"train", "val", "test"}
            assert len({s.id.split("_")[2] for s in parts.of("test")}) == 1
    windows = [line.job.arguments["recipe"].input.window for line in planned[6].lines]
    assert windows == [30, 12, 6, 4]


def test_features_are_made_once_and_by_the_weights_that_are_named(tmp_path):
    data = {"ucf101": ucf101(tmp_path)}
    first = plan("iqbal/table-5.1", data, tmp_path, seeds=2)
    backbones, features, begun, lines = (len(step) for step in first.steps)
    assert (backbones, features, begun, lines) == (0, 3, 0, 24)
    made = [line.job.arguments for line in first.steps[1]]
    assert {(a["backbone"], a["size"], a["weights"]) for a in made} == {("efficientnet_lite0", 224, None)}
    assert {a["wanted"].stage for a in made} == {"layer2", "layer3", "layer4"} and "ImageNet" in first.note
    other = plan("iqbal/table-5.1", data, tmp_path, sets=["weights=random:1"], seeds=2)
    assert other.steps[1][0].job.arguments["weights"] == "random:1" and "random:1" in other.note
    assert other.steps[1][0].job.key != first.steps[1][0].job.key
    tuned = plan("iqbal/table-5.2", data, tmp_path, seeds=2)
    assert [len(step) for step in tuned.steps] == [1, 4, 0, 16]
    assert "random weights" in tuned.note  # of the network that can be fine-tuned on single frames
    assert {line.job.arguments["backbone"] for line in tuned.steps[1]} == {"resnet18"}


def test_a_line_of_several_splits_is_their_mean_by_seed(tmp_path):
    planned = plan("iqbal/table-5.8", {"ucf101": ucf101(tmp_path)}, tmp_path, seeds=2)
    keys = {}
    for one in planned.lines:
        keys.setdefault(one.label, []).append(one.job.key)
    first, second, third = (keys[f"split {n}"] for n in (1, 2, 3))
    assert keys["mean of the three"] == [first[0], second[0], third[0], first[1], second[1], third[1]]
    assert len(planned.trainings) == 6  # the mean's are the splits'
    results = [
        {"accuracy": a, "n": 8, "parameters": 1, "training_seconds": 1.0, "history": [{"val_accuracy": a}]}
        for a in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    ]
    means = next(row for row in ACTION_TABLES["iqbal/table-5.8"].rows if len(row.splits) == 3)
    measured = table("iqbal/table-5.8").line(means, results)
    assert measured["measured"] == pytest.approx([0.4, 0.1])  # errors
    assert measured["best_validation_accuracy"] == pytest.approx([0.6, 0.9])


def test_a_mistake_in_set_is_a_usage_error(tmp_path):
    with pytest.raises(GestaError, match="epochs") as caught:
        plan("iqbal/table-5.3", {"ucf101": ucf101(tmp_path)}, tmp_path, sets=["training.epoch=1"])
    assert caught.value.usage


def test_a_line_in_words():
    result = {"accuracy": 0.75, "n": 8, "parameters": 10, "training_seconds": 60.0}
    result["history"] = [{"val_accuracy": 0.5, "val_loss": 1.5}, {"val_accuracy": 0.4, "val_loss": 1.25}]
    one = table("iqbal/table-5.1")
    measured = one.line(ActionRow("x", 0.2, "iqbal/gru", loss=2.0), [result])
    assert measured["measured"] == [0.25] and measured["best_validation_accuracy"] == [0.5]
    published = one.line(ActionRow("y", 0.1), [])
    document = {"name": "n", "title": "t", "note": "Note.", "source": "s", "measure": "error"}
    text = one.markdown({**document, "rows": [measured, published]})
    assert "| x | 0.200 | 2.000 | 0.250 | 0.500 | 1.250 | 1.0 |" in text
    assert "| y | 0.100 | - | - | - | - | - |" in text


def test_data_of_two_layouts_lie_in_folders_of_their_names(gesta, tmp_path):
    found = gesta("reproduce", "sprint/transfer", "--data", tmp_path, "--out", tmp_path / "out")
    assert found.exit_code == 2 and "isogd, ledasila" in found.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sprint/transfer", "iqbal/table-5.2", "iqbal/table-5.9"])
def test_a_whole_table_on_few_videos(name, gesta, tmp_path, monkeypatch):
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path / "cache"))
    quick = ACTION_SCALES["quick"]
    few = {
        "ucf101": {"people": 4, "recordings": 1, "classes": 2},
        "isogd": {"people": 4, "recordings": 1, "classes": 2},
        "ledasila": {"people": 3, "recordings": 2, "classes": 2},
    }
    monkeypatch.setitem(ACTION_SCALES, "quick", replace(quick, videos=few, kept=(2, 2), backbone=("resnet18", 32)))
    small = ["--set", "training.epochs=1"]
    small += [] if name == "sprint/transfer" else ["--set", "training.batch=2"]
    found = gesta("reproduce", name, "--out", tmp_path / "out", "--workers", 1, *small, "--json")
    assert found.exit_code == 0, found.stderr
    document = json.loads(found.stdout)
    for row in document["rows"]:
        assert (row["recipe"] is None) == (not row["measured"])
        assert all(0 <= value <= 1 for value in row["measured"])
    assert "trainings, about" in found.stderr
