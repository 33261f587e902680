"""Reproduce: what is planned, what is written, and a whole table on a tiny set."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from people import write_set

from gesta.experiments import catalog, tables
from gesta.experiments.clip_tables import ClipTable, draw_curves
from gesta.experiments.table import Wanted
from gesta.files import write_json
from gesta.schema import GestaError, Listing, Resource, Sample
from gesta.sources.catalog import read
from gesta.tasks.base import Parts
from gesta.tasks.catalog import find as find_task
from gesta.tasks.catalog import load_recipe

TINY = ["training.epochs=2", "model.width=0.0625", "input.size=32", "training.batch=4", "input.streams=[body]"]


def samples(tmp_path):
    path = tmp_path / "video.mp4"
    path.write_bytes(b"video")
    found = [
        Sample(id=f"{split}{n}", recording=f"{split}{n}", color=Resource(path), label="ab"[n], split=split)
        for split in ("train", "val", "test")
        for n in (0, 1)
    ]
    return Parts(Listing(tmp_path, "index_csv", tuple(found)))


def planned(tmp_path, name="mullick/table-3.2", **changes):
    wanted = Wanted(tmp_path / "out", **{"seeds": 3, **changes})
    return tables.find(name).plan(samples(tmp_path), "Generated.", wanted)


def document(rows):
    return {"name": "n", "title": "t", "note": "Generated.", "source": "s", "rows": rows}


@pytest.mark.integration
def test_every_row_names_a_recipe_that_takes_its_overrides():
    for table in catalog.TABLES.values():
        for row in table.rows:
            if row.recipe:
                for scale in catalog.SCALES.values():
                    load_recipe(row.recipe, (*scale.overrides, *row.quick, *row.overrides))


def test_rows_of_a_table_differ_in_what_the_table_is_about_only(tmp_path):
    recipes = [line.job.arguments["recipe"] for line in planned(tmp_path, "mullick/table-3.1", seeds=1).lines]
    assert [recipe.input.streams for recipe in recipes] == [("hand",), ("body",), ("body", "hand")]
    assert len({recipe.training.model_dump_json() for recipe in recipes}) == 1
    epochs = {line.job.arguments["recipe"].training.epochs for line in planned(tmp_path, seeds=1).lines}
    assert len(epochs) == 1


def test_the_cost_is_known_before_and_falls_with_what_is_done(tmp_path):
    first = planned(tmp_path)
    assert "4 rows x 3 seeds: 12 training runs, 0 of them already done" in first.cost
    before = first.minutes
    job = first.lines[0].job
    job.result.parent.mkdir(parents=True)
    job.result.write_text(json.dumps({"key": job.key}))
    second = planned(tmp_path)
    assert "1 of them already done" in second.cost
    assert second.minutes < before


@pytest.mark.integration
def test_tables_share_trainings(tmp_path):
    keys = {name: set(planned(tmp_path, name).trainings) for name in catalog.TABLES}
    assert not keys["mullick/figure-3.6"] & keys["mullick/table-3.2"]  # the figure follows the test people
    assert keys["mullick/table-3.3"] < keys["mullick/table-3.2"]


def test_test_people_never_train(tmp_path):
    for line in planned(tmp_path).lines:
        parts = line.job.arguments["parts"]
        assert {s.split for s in parts.listing.samples} == {"train", "val", "test"}
        assert not {s.id for s in parts.of("test")} & {s.id for part in ("train", "val") for s in parts.of(part)}


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


def test_single_rows_can_be_trained_and_what_is_done_stays(tmp_path):
    whole = planned(tmp_path, "mullick/table-3.1", seeds=2)
    part = whole.only(["HAND", "both"])
    assert [line.label for line in part.lines] == ["only hand"] * 2 + ["both"] * 2 and part.cost.startswith(
        "2 rows x 2"
    )
    done = whole.lines[2].job  # the upper body, seed 0
    write_json(done.result, {"key": done.key, "seconds": 1.0})
    assert [line.label for line in whole.only(["hand"]).lines] == ["only hand"] * 2  # one seed is not all of a row
    again = whole.lines[3].job
    write_json(again.result, {"key": again.key, "seconds": 1.0})
    assert [line.label for line in whole.only(["hand"]).lines] == ["only hand"] * 2 + ["only upper body"] * 2
    with pytest.raises(
        GestaError, match=r"--row face: no row has this in its name\. Rows: only hand; only upper body; b"
    ):
        whole.only(["hand", "face"])


@pytest.mark.parametrize("name", [name for name in tables.every() if name != "gesta/actions"])  # it has no such rows
def test_rows_that_were_not_trained_are_empty(name):
    one = tables.find(name)
    found = {**document(one.rows({})), **one.facts()}
    assert name in one.markdown({**found, "name": name}) and "nan" not in one.markdown(found)
    assert one.text({**found, "files": {}}).row_count == len(found["rows"])


def test_data_without_a_test_part_are_refused(tmp_path):
    with pytest.raises(GestaError, match="no training or no test part"):
        parts = samples(tmp_path)
        tables.find("mullick/table-3.2").plan(parts.only(parts.of("train")), "", Wanted(tmp_path))


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
    text = ClipTable("n", catalog.TABLES["mullick/table-3.3"]).markdown(document(rows))
    assert "| ours | 96.40 | 91.00 ± 0.71 | 90.5, 91.5 | 40.0 | 1.15 M | - |" in text
    assert "| theirs | 87.90 | - | - | - | - | - |" in text


@pytest.mark.parametrize(("part", "said"), [("test", "accuracy on test people"), ("val", "validation accuracy")])
def test_curves_are_drawn_for_runs_of_different_length(tmp_path, monkeypatch, part, said):
    drawn = []
    monkeypatch.setattr("gesta.experiments.clip_tables.save_figure", lambda figure, _path: drawn.append(figure.axes[0]))
    runs = [[{f"{part}_accuracy": a} for a in (0.2, 0.5, 0.7)], [{f"{part}_accuracy": a} for a in (0.1, 0.4)]]
    draw_curves({"joint": runs, "not measured": [[{"train_loss": 1.0}]]}, tmp_path / "figure.png", part)
    (line,) = drawn[0].lines
    assert line.get_label() == "joint" and line.get_ydata().tolist() == pytest.approx([15, 45])
    assert said in drawn[0].get_ylabel()


@pytest.mark.slow
def test_a_figure_on_a_tiny_set_resumes_by_row(tmp_path, monkeypatch):
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path / "cache"))
    splits = {"person0": "train", "person1": "val", "person2": "test"}
    found = read(write_set(tmp_path / "data"))
    parts = Parts(found).only([replace(s, split=splits[s.subject]) for s in found.samples])
    out, told = tmp_path / "out", []
    wanted = Wanted(out, seeds=1, sets=TINY)

    def run(name):
        table = tables.find(name)
        return table.run(table.plan(parts, "Tiny.", wanted), out, told=lambda job, _: told.append(job.title))

    run("mullick/table-3.3")
    assert len(told) == 1
    document = run("mullick/figure-3.6")
    assert len(told) == 1 + 4
    assert all(line["measured"] is not None and line["n"] == 4 for line in document["rows"])
    assert (out / "mullick-figure-3.6" / "figure.png").exists()
    assert "3D-CNN" in (out / "mullick-figure-3.6" / "table.md").read_text()
    assert not list((out / "rows").glob("training-*"))


def test_a_task_brings_tables_of_its_own(monkeypatch):
    one = ClipTable("toy/table-1", catalog.TABLES["mullick/table-3.3"])
    monkeypatch.setattr(type(find_task("clips")), "tables", {"toy/table-1": one}, raising=False)
    assert tables.find("toy/table-1") is one
