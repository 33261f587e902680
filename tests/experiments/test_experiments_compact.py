"""Tables 4.1 to 4.3 and figure 4.3: which trainings they share, what they show, and all of them on a tiny set."""

from __future__ import annotations

from dataclasses import replace

import pytest
from people import write_set

from gesta.experiments import catalog, compact, reproduce
from gesta.schema import Resource, Sample
from gesta.sources.catalog import read

TINY = ["training.epochs=2", "input.size=32", "training.batch=4", "input.streams=[body]"]
NAMES = ("mullick/table-4.1", "mullick/table-4.2", "mullick/table-4.3", "mullick/figure-4.3")


def planned(tmp_path, name, scale="quick", seeds=1):
    path = tmp_path / "video.mp4"
    path.write_bytes(b"video")
    samples = [
        Sample(id=f"{split}{n}", recording=f"{split}{n}", color=Resource(path), label="ab"[n], split=split)
        for split in ("train", "val", "test")
        for n in (0, 1)
    ]
    return reproduce.plan(name, samples, tmp_path / "out", scale=scale, seeds=seeds, layout="x", note="")


def jobs_of(plan):
    return {row.label: job.arguments["recipe"] for row, job in plan.jobs}


def test_students_learn_from_the_teacher_of_their_seed(tmp_path):
    plan = planned(tmp_path, "mullick/table-4.1", seeds=2)
    assert len(plan.jobs) == 12 and len(plan.teachers) == 2 and plan.to_train == 12  # the teacher is a line, too
    bundles = {job.arguments["seed"]: str(compact.bundle_of(job)) for job in plan.teachers}
    for row, job in plan.jobs:
        distillation = job.arguments["recipe"].distillation
        assert (distillation is not None) == ("distilled" in row.label)
        if distillation is not None:
            assert distillation.teachers == (bundles[job.arguments["seed"]],)


@pytest.mark.parametrize(("scale", "widths"), [("quick", (0.25, 0.125, 0.0625)), ("full", (1.0, 0.5, 0.25))])
def test_sizes_keep_their_ratio_at_every_scale(tmp_path, scale, widths):
    found = jobs_of(planned(tmp_path, "mullick/table-4.1", scale))
    assert [found[n].model.width for n in ("original joint", "medium, distilled", "small, labels only")] == list(widths)


def test_tables_share_trainings(tmp_path):
    keys = {name: {job.key for _, job in planned(tmp_path, name).jobs} for name in NAMES}
    assert keys["mullick/table-4.2"] < keys["mullick/table-4.1"]
    assert len(keys["mullick/table-4.3"]) == 6 and len(keys["mullick/table-4.3"] & keys["mullick/table-4.1"]) == 3
    assert keys["mullick/figure-4.3"] < keys["mullick/table-4.3"]
    assert not keys["mullick/table-4.1"] & {job.key for _, job in planned(tmp_path, "mullick/table-3.2").jobs}
    cost = planned(tmp_path, "mullick/table-4.2").cost
    assert "8 lines x 1 seeds: 4 trainings, 0 already done" in cost


def test_adam_and_sgd_differ_in_the_optimiser_alone(tmp_path):
    found = jobs_of(planned(tmp_path, "mullick/table-4.3"))
    for size in ("original joint", "medium, distilled", "small, distilled"):
        sgd, adam = (found[f"{size}, {name}"] for name in ("SGD", "Adam"))
        settings = {"optimizer": "adam", "learning_rate": 0.001}
        assert adam.training == sgd.training.model_copy(update=settings) and adam.model == sgd.model
        assert found[f"{size}, Adam, pruned"] == adam and adam.training.weight_decay == 1e-6


def test_quick_scale_takes_at_most_two_hours(tmp_path):
    assert all(planned(tmp_path, name, seeds=3).minutes <= 120 for name in NAMES)


def test_markdown_of_compact_models():
    row = catalog.TABLES["mullick/table-4.3"].rows[2]
    stored = {"pruned": {"accuracy": 0.9, "parameters": 260_000, "bytes": 1_200_000}}
    result = {"accuracy": 0.92, "n": 9, "stored": stored, "magnitudes": {"share_below": 0.75}, "training_seconds": 60}
    line = reproduce._line(row, [result | {"parameters": 1_150_000}])
    document = {"name": "n", "title": "t", "note": "", "source": "s", "rows": [line]}
    shown = reproduce.markdown(document)
    assert "| original joint, Adam, pruned | 92.30 | 90.00 | 90.0 | 3.94 M (-78.56 %) | 1.200 | 75.0 |" in shown


@pytest.mark.slow
def test_all_of_them_on_a_tiny_set(tmp_path, monkeypatch):
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path / "cache"))
    splits = {"person0": "train", "person1": "val", "person2": "test"}
    found = read(write_set(tmp_path / "data"))
    parts = [replace(s, split=splits[s.subject]) for s in found.samples]
    out, told = tmp_path / "out", []
    options = {"scale": "quick", "seeds": 1, "layout": found.layout, "note": "Tiny.", "sets": TINY}
    for name, trained in zip(NAMES, (6, 6, 9, 9), strict=True):
        document = reproduce.run(
            reproduce.plan(name, parts, out, **options), out, told=lambda job, _: told.append(job.title)
        )
        assert len(told) == trained, name
        assert all(row["measured"] is not None and row["bytes"] > 0 for row in document["rows"])
    rows = {row["label"]: row for row in document["rows"]}
    assert set(rows) == {"SGD", "Adam"}
    assert (out / "mullick-figure-4.3" / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert "| small, distilled, half | 85.98 |" in (out / "mullick-table-4.2" / "table.md").read_text()
    teacher = reproduce.plan("mullick/table-4.1", parts, out, **options).teachers[0]
    compact.bundle_of(teacher).rename(tmp_path / "elsewhere")
    compact.forget_lost(teacher)
    assert teacher.finished() is None
