"""Reproduce: what is planned, what is written, and a whole table on a tiny set."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from people import write_set

from gesta.experiments import catalog, reproduce
from gesta.schema import GestaError, Resource, Sample
from gesta.sources.catalog import read
from gesta.tasks.catalog import load_recipe

TINY = ["training.epochs=2", "model.width=0.0625", "input.size=32", "training.batch=4", "input.streams=[body]"]


def samples(tmp_path):
    path = tmp_path / "video.mp4"
    path.write_bytes(b"video")
    return [
        Sample(id=f"{split}{n}", recording=f"{split}{n}", color=Resource(path), label="ab"[n], split=split)
        for split in ("train", "val", "test")
        for n in (0, 1)
    ]


def planned(tmp_path, name="mullick/table-3.2", **changes):
    options = {"scale": "quick", "seeds": 3, "layout": "index_csv", "note": "Generated."} | changes
    return reproduce.plan(name, samples(tmp_path), tmp_path / "out", **options)


def test_every_row_names_a_recipe_that_takes_its_overrides():
    for table in catalog.TABLES.values():
        for row in table.rows:
            if row.recipe:
                for scale in catalog.SCALES.values():
                    load_recipe(row.recipe, (*scale.overrides, *row.quick, *row.overrides))


def test_rows_of_a_table_differ_in_what_the_table_is_about_only(tmp_path):
    recipes = [job.arguments["recipe"] for _, job in planned(tmp_path, "mullick/table-3.1", seeds=1).jobs]
    assert [recipe.input.streams for recipe in recipes] == [("hand",), ("body",), ("body", "hand")]
    assert len({recipe.training.model_dump_json() for recipe in recipes}) == 1
    epochs = {job.arguments["recipe"].training.epochs for _, job in planned(tmp_path, seeds=1).jobs}
    assert len(epochs) == 1


def test_the_cost_is_known_before_and_falls_with_what_is_done(tmp_path):
    first = planned(tmp_path)
    assert "4 lines x 3 seeds: 12 trainings, 0 already done" in first.cost
    _, job = first.jobs[0]
    job.result.parent.mkdir(parents=True)
    job.result.write_text(json.dumps({"key": job.key}))
    second = planned(tmp_path)
    assert "1 already done" in second.cost
    assert second.minutes < first.minutes


def test_tables_share_trainings(tmp_path):
    keys = {name: {job.key for _, job in planned(tmp_path, name).jobs} for name in catalog.TABLES}
    assert keys["mullick/figure-3.6"] == keys["mullick/table-3.2"]
    assert keys["mullick/table-3.3"] < keys["mullick/table-3.2"]


def test_test_people_never_train(tmp_path):
    for _, job in planned(tmp_path).jobs:
        assert {s.split for s in job.arguments["train"]} == {"train", "val"}
        assert {s.split for s in job.arguments["test"]} == {"test"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": "mullick/table-3.22"}, "Did you mean mullick/table-3.2"),
        ({"scale": "large"}, "quick, full"),
        ({"seeds": 0}, "at least 1"),
        ({"sets": ("training.epoch=1",)}, "epochs"),
    ],
)
def test_what_cannot_be_planned_is_explained(tmp_path, changes, says):
    with pytest.raises(GestaError, match=says):
        planned(tmp_path, **changes)


def test_data_without_a_test_part_are_refused(tmp_path):
    with pytest.raises(GestaError, match="no training or no test part"):
        reproduce.plan(
            "mullick/table-3.2",
            [s for s in samples(tmp_path) if s.split != "test"],
            tmp_path,
            scale="quick",
            seeds=1,
            layout="x",
            note="",
        )


def test_markdown_has_reported_beside_measured():
    rows = [
        {
            "label": "ours",
            "reported": 96.4,
            "measured": 91.0,
            "spread": 0.71,
            "by_seed": [90.5, 91.5],
            "shuffled": 40.0,
        },
        {"label": "theirs", "reported": 87.9, "measured": None, "spread": None, "by_seed": [], "shuffled": None},
    ]
    rows = [row | {"parameters": 1_152_000 if row["measured"] else None, "minutes": None} for row in rows]
    text = reproduce.markdown({"name": "n", "title": "t", "note": "Generated.", "source": "s", "rows": rows})
    assert "| ours | 96.40 | 91.00 ± 0.71 | 90.5, 91.5 | 40.0 | 1.15 M | - |" in text
    assert "| theirs | 87.90 | - | - | - | - | - |" in text


def test_curves_are_drawn_for_runs_of_different_length(tmp_path):
    runs = [[{"val_accuracy": a} for a in (0.2, 0.5, 0.7)], [{"val_accuracy": a} for a in (0.1, 0.4)]]
    reproduce.draw_curves({"joint": runs, "without validation": [[{"train_loss": 1.0}]]}, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_figure_on_a_tiny_set_resumes_by_row(tmp_path, monkeypatch):
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path / "cache"))
    splits = {"person0": "train", "person1": "val", "person2": "test"}
    found = read(write_set(tmp_path / "data"))
    parts = [replace(s, split=splits[s.subject]) for s in found.samples]
    out, told = tmp_path / "out", []
    options = {"scale": "quick", "seeds": 1, "layout": found.layout, "note": "Tiny.", "sets": TINY}
    row = reproduce.plan("mullick/table-3.3", parts, out, **options)
    reproduce.run(row, out, told=lambda job, _: told.append(job.title))
    assert len(told) == 1
    whole = reproduce.plan("mullick/figure-3.6", parts, out, **options)
    document = reproduce.run(whole, out, told=lambda job, _: told.append(job.title))
    assert len(told) == 4  # the joint model with pre-training was there
    assert all(line["measured"] is not None and line["n"] == 4 for line in document["rows"])
    assert (out / "mullick-figure-3.6" / "figure.png").exists()
    assert "3D-CNN" in (out / "mullick-figure-3.6" / "table.md").read_text()
