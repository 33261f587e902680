"""Tables 4.1 to 4.3 and figure 4.3: which trainings they share, what they show, and all of them on a tiny set."""

from __future__ import annotations

from dataclasses import replace

import pytest
from people import write_set

from gesta.experiments import catalog, tables
from gesta.experiments.clip_tables import ClipTable, bundle_of
from gesta.experiments.table import Wanted
from gesta.schema import Listing, Resource, Sample
from gesta.sources.catalog import read
from gesta.tasks.base import Parts

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
    parts = Parts(Listing(tmp_path, "x", tuple(samples)))
    return tables.find(name).plan(parts, "", Wanted(tmp_path / "out", scale, seeds))


def jobs_of(plan):
    return {line.label: line.job.arguments["recipe"] for line in plan.lines}


def test_students_learn_from_the_teacher_of_their_seed(tmp_path):
    plan = planned(tmp_path, "mullick/table-4.1", seeds=2)
    assert len(plan.lines) == 12 and len(plan.steps[0]) == 2 and len(plan.todo) == 12  # the teacher is a line, too
    bundles = {line.job.arguments["seed"]: str(bundle_of(line.job)) for line in plan.steps[0]}
    for line in plan.lines:
        distillation = line.job.arguments["recipe"].distillation
        assert (distillation is not None) == ("distilled" in line.label)
        if distillation is not None:
            assert distillation.teachers == (bundles[line.job.arguments["seed"]],)


@pytest.mark.parametrize(("scale", "widths"), [("quick", (0.25, 0.125, 0.0625)), ("full", (1.0, 0.5, 0.25))])
def test_sizes_keep_their_ratio_at_every_scale(tmp_path, scale, widths):
    found = jobs_of(planned(tmp_path, "mullick/table-4.1", scale))
    assert [
        found[n].model.width for n in ("original 3D-CNN + LSTM", "medium, distilled", "small, labels only")
    ] == list(widths)


def test_tables_share_trainings(tmp_path):
    keys = {name: {line.job.key for line in planned(tmp_path, name).lines} for name in NAMES}
    assert keys["mullick/table-4.2"] < keys["mullick/table-4.1"]
    assert len(keys["mullick/table-4.3"]) == 6 and len(keys["mullick/table-4.3"] & keys["mullick/table-4.1"]) == 3
    assert keys["mullick/figure-4.3"] == keys["mullick/table-4.3"]
    assert not keys["mullick/table-4.1"] & set(planned(tmp_path, "mullick/table-3.2").trainings)
    cost = planned(tmp_path, "mullick/table-4.2").cost
    assert "8 rows x 1 seed: 4 training runs, 0 of them already done" in cost


def test_adam_and_sgd_differ_in_the_optimizer_alone(tmp_path):
    found = jobs_of(planned(tmp_path, "mullick/table-4.3"))
    for size in ("original 3D-CNN + LSTM", "medium, distilled", "small, distilled"):
        sgd, adam = (found[f"{size}, {name}"] for name in ("SGD", "Adam"))
        settings = {"optimizer": "adam", "learning_rate": 0.001}
        assert adam.training == sgd.training.model_copy(update=settings) and adam.model == sgd.model
        assert found[f"{size}, Adam, pruned"] == adam and adam.training.weight_decay == 1e-6


@pytest.mark.integration
def test_quick_scale_takes_at_most_two_hours(tmp_path):
    assert all(planned(tmp_path, name, seeds=3).minutes <= 120 for name in NAMES)


def test_markdown_of_compact_models():
    row = catalog.TABLES["mullick/table-4.3"].rows[2]
    stored = {"pruned": {"accuracy": 0.9, "parameters": 260_000, "bytes": 1_200_000}}
    result = {"accuracy": 0.92, "n": 9, "stored": stored, "magnitudes": {"share_below": 0.75}, "training_seconds": 60}
    table = ClipTable("mullick/table-4.3", catalog.TABLES["mullick/table-4.3"])
    line = table.line(row, [result | {"parameters": 1_150_000}])
    shown = table.markdown({"name": "n", "title": "t", "note": "", "source": "s", "rows": [line]})
    assert "| original 3D-CNN + LSTM, Adam, pruned | 92.30 | 90.00 | 90.0 | 3.94 M (-78.56 %) | 1.200 | 75.0 |" in shown


@pytest.mark.slow
def test_all_of_them_on_a_tiny_set(tmp_path, monkeypatch):
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path / "cache"))
    splits = {"person0": "train", "person1": "val", "person2": "test"}
    found = read(write_set(tmp_path / "data"))
    parts = Parts(found).only([replace(s, split=splits[s.subject]) for s in found.samples])
    out, told = tmp_path / "out", []
    wanted = Wanted(out, seeds=1, sets=TINY)
    for name, trained in zip(NAMES, (6, 6, 9, 9), strict=True):
        table = tables.find(name)
        plan = table.plan(parts, "Tiny.", wanted)
        document = table.run(plan, out, told=lambda job, _: told.append(job.title))
        assert len(told) == trained, name
        assert all(row["measured"] is not None and row["bytes"] > 0 for row in document["rows"])
    assert len(document["rows"]) == 6
    assert (out / "mullick-figure-4.3" / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert "| small, distilled, half | 85.98 |" in (out / "mullick-table-4.2" / "table.md").read_text()
    teacher = tables.find("mullick/table-4.1").plan(parts, "", wanted).steps[0][0].job
    assert teacher.finished() is not None
    bundle_of(teacher).rename(tmp_path / "elsewhere")
    assert teacher.finished() is None
