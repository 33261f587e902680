"""Recognizers side by side, each person held out once: real lines on a tiny set, frame features, words for people."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from people import write_set

from gesta.experiments.frame_features import frame_features
from gesta.experiments.people_catalog import LEAVE_OUT_TABLES, LeaveOutRow, LeaveOutTable
from gesta.experiments.people_tables import PeopleTable, recipes_of, trainings
from gesta.experiments.table import Wanted
from gesta.models.catalog import build
from gesta.schema import GestaError
from gesta.sources.catalog import read

TABLE = LEAVE_OUT_TABLES["gesta/actions"]
TINY = ("training.epochs=1", "model.width=0.0625", "input.size=32", "training.batch=4", "input.window=8")


@pytest.mark.parametrize("row", TABLE.rows, ids=[row.label for row in TABLE.rows])
def test_every_line_has_its_recipes(row: LeaveOutRow) -> None:
    found = recipes_of(row)
    assert len(found) == max(1, len(row.choices)) == len({str(recipe) for recipe in found.values()})


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(GestaError, match=r"frames alone.*epoch"):
        recipes_of(TABLE.rows[0], ("training.epoch=1",))


def test_cost_counts_the_choosing() -> None:
    rows = (LeaveOutRow("a", "auto"), LeaveOutRow("b", "auto", choices=("model.dropout=0", "model.dropout=0.1")))
    assert trainings(LeaveOutTable("", "", rows), people=9, seeds=3) == 9 * (3 + 3 + 4)


def test_features_of_a_frame_do_not_know_the_others() -> None:
    torch.manual_seed(0)
    network = build("st_resnet18", classes=2, streams=1, channels=1, size=32, window=8, width=0.0625, context="1")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 1, 32, 32, 1), dtype=np.uint8)
    whole = frame_features(network, pixels)
    assert whole.shape[0] == 5
    np.testing.assert_allclose(frame_features(network, pixels[2:3])[0], whole[2], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_clip_line_and_a_line_of_stored_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path / "cache"))
    rows = (TABLE.rows[0], TABLE.rows[3])
    table = PeopleTable("gesta/actions", LeaveOutTable("two lines", "-", rows))
    listing = read(write_set(tmp_path / "data"))
    told: list[str] = []
    plan = table.plan(listing, "Tiny.", Wanted(tmp_path, seeds=2, sets=TINY))

    def run() -> dict:
        return table.run(plan, tmp_path, told=lambda job, _: told.append(job.title.rpartition(", person")[0]))

    document = run()
    clips, stored = document["rows"]
    assert clips["n"] == stored["n"] == 12 and len(clips["correct"]) == len(stored["correct"]) == 2
    assert sum(clips["chosen"].values()) == 3 and stored["chosen"] == {}
    assert told.count(rows[0].label) == told.count(rows[1].label) == 6
    shown = Path(document["files"]["table"]).read_text()
    assert "Tiny." in shown and f"{clips['correct'][0]}, {clips['correct'][1]} of 12" in shown
    assert json.loads(Path(document["files"]["result"]).read_text())["rows"][0]["label"] == rows[0].label
    told.clear()
    assert run()["rows"] == document["rows"]  # everything was there
    held = list((tmp_path / "gesta-actions" / "features").iterdir())
    assert len(held) == 6  # three people by two seeds, and no training folder left
