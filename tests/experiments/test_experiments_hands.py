"""Tables and figures about hand pose: their rows, one budget for all, one trial end to end, pictures, resuming."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from training.hand_sets import NAMES, make_hands

from gesta.experiments import hand_tables
from gesta.experiments import table as table_module
from gesta.experiments.hand_tables import HandTable, hand_recipe
from gesta.experiments.pose_catalog import POSE_SCALES, POSE_TABLES, PoseRow
from gesta.experiments.table import Plan, Wanted, spread
from gesta.experiments.trial import run_trial
from gesta.files import write_json
from gesta.schema import GestaError, HandListing, Split

TINY = (
    "input.size=16",
    "input.cube_mm=260",
    "model.hidden=8",
    "training.batch=8",
    "training.epochs=1",
    "model.name=net1",
    "input.inputs=depth",
)
ROWS = list(dict.fromkeys(row for table in POSE_TABLES.values() for row in table.rows if row.recipe is not None))


@pytest.fixture(scope="module")
def listing(tmp_path_factory: pytest.TempPathFactory) -> HandListing:
    return make_hands(tmp_path_factory.mktemp("hands"), 24)


def table(name: str) -> HandTable:
    return HandTable(name, POSE_TABLES[name])


def plan(name: str, listing: HandListing, out: Path) -> Plan:
    return table(name).plan(listing, "Tiny.", Wanted(out, seeds=1, sets=TINY, device="cpu"))


def test_the_documents_tables_are_there() -> None:
    figures = [f"kazakos/figure-4.{n}" for n in range(7, 12)]
    assert {"kazakos/table-4.3", *figures} <= set(POSE_TABLES)
    nets = POSE_TABLES["kazakos/table-4.3"].rows
    assert [row.label for row in nets] == [f"Net{n}" for n in range(1, 10)]
    assert nets[5].mse == (0.00183, 0.00242) and min(row.mse or (1, 1) for row in nets) == nets[5].mse
    assert len(POSE_TABLES["kazakos/figure-4.7"].rows) == 5 and len(POSE_TABLES["kazakos/figure-4.8"].rows) == 4


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ((), "training.optimizer=adam, training.learning_rate=0.0007 instead of its SGD"),
        (("training.learning_rate=0.01",), "training.optimizer=adam, training.learning_rate=0.01 instead of its SGD"),
        (("training.optimizer=sgd", "training.learning_rate=0.01"), None),
    ],
)
def test_the_note_names_the_optimizer_that_is_used(listing: HandListing, tmp_path: Path, sets, said) -> None:
    note = table("kazakos/table-4.3").plan(listing, "Tiny.", Wanted(tmp_path, seeds=1, sets=sets, device="cpu")).note
    assert said in note if said else "instead of" not in note


@pytest.mark.parametrize("row", ROWS, ids=[row.label for row in ROWS])
def test_quick_rows_have_one_budget(row: PoseRow) -> None:
    recipe = hand_recipe(row, "quick")
    assert (recipe.input.size, recipe.training.epochs, recipe.training.batch) == (64, 12, 32)
    assert recipe.model.hidden == (4096 if "4096" in row.label else 512) or recipe.model.name == "anchors"
    assert recipe.training.optimizer == ("adamw" if row.own else "adam")
    full = hand_recipe(row, "full")
    assert (full.input.size, full.training.batch) == (128, 32 if row.own else 128)


def test_quick_is_small_enough() -> None:
    assert POSE_SCALES["quick"].images * 1.2 <= 3000
    words = table("kazakos/table-4.3").estimate(Wanted(Path("out"), seeds=3))
    assert "27 training runs" in words and "2400 frames" in words


@pytest.mark.integration
def test_one_trial_its_table_and_its_pictures(
    listing: HandListing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path / "cache"))
    planned = plan("kazakos/figure-4.10", listing, tmp_path)
    assert len(planned.todo) == 1 and "1 training run, 0 of them already done" in planned.cost
    job = planned.lines[0].job
    result = run_trial(**job.arguments)
    assert not list((tmp_path / "rows").glob("training-*"))
    assert len(result["errors_mm"]) == 5 and len(result["errors_mm"][0]) == len(NAMES) == len(result["per_joint_mm"])
    write_json(job.result, {"key": job.key, **result})
    document = table("kazakos/figure-4.10").run(planned, tmp_path)  # nothing left to train
    row = document["rows"][0]
    assert row["test_mm"] == [result["mean_error_mm"]] and row["reported_mse"] is None
    assert row["nearest_mm"] == [result["nearest_mm"]] and result["nearest_mm"] != result["mean_error_mm"]
    text = (tmp_path / "kazakos-figure-4.10" / "table.md").read_text()
    assert (
        f"{result['mean_error_mm']:.2f}" in text
        and "Tiny. The document's networks train with training.optimizer=adam" in text
    )
    picture = cv2.imread(document["files"]["figure Depth-Net (depth alone)"])
    assert picture.shape[0] == 2 * 340 and picture.shape[1] == 5 * (340 + 84)  # and a bar of depths
    assert json.loads((tmp_path / "kazakos-figure-4.10" / "result.json").read_text())["rows"] == document["rows"]
    again = plan("kazakos/figure-4.7", listing, tmp_path)
    assert len(again.todo) == 4  # Depth-Net is shared between the figures
    monkeypatch.setattr(table_module, "run_jobs", lambda jobs, **_: [{"key": j.key, **result} for j in jobs])
    curves = table("kazakos/figure-4.7").run(again, tmp_path)["files"]
    assert all(Path(curves[name]).stat().st_size > 0 for name in ("success rate", "joints"))


def test_a_column_for_the_detector_only_if_a_row_has_one() -> None:
    measured = {"train_mse": 0.1, "val_mse": 0.2, "val_error_mm": 9.0}
    result: dict[str, Any] = {"mean_error_mm": 20.0, "nearest_mm": 42.0, "validation": measured, "per_person": {}}
    result |= {"success_rate": {"area": 0.3}, "mean_pose_mm": 30.0, "parameters": 5, "training_seconds": 60, "seed": 0}
    hands, (plain, *_, detecting) = table("kazakos/next-steps"), POSE_TABLES["kazakos/next-steps"].rows
    assert detecting.overrides == ("detector=true",)
    for results, wanted in (
        ({plain.label: [result]}, None),
        ({plain.label: [result | {"detector_mm": None}], detecting.label: [result | {"detector_mm": 23.5}]}, "23.50"),
    ):
        document = {"rows": hands.rows(results)}
        headings, (first, *_, last) = hands.headings_of(document), map(hands.cells, document["rows"])
        assert len(headings) == len(first) == len(last)
        assert (hands.detected in headings) is (wanted is not None)
        if wanted:
            at = list(headings).index(hands.detected)
            assert (first[at - 1], first[at], last[at]) == ("42.00", "-", wanted)


@pytest.mark.integration
def test_the_row_with_a_detector_measures_it(
    listing: HandListing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path / "cache"))
    first, *_, last = plan("kazakos/next-steps", listing, tmp_path).lines
    found, plain = run_trial(**last.job.arguments), run_trial(**first.job.arguments)
    assert found["detector_mm"] not in (None, found["nearest_mm"]) and plain["detector_mm"] is None
    assert found["mean_error_mm"] == plain["mean_error_mm"]  # around the annotated center


def test_published_predictions_stand_beside_in_the_figure(
    listing: HandListing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, rng = tmp_path / "published", np.random.default_rng(0)
    truth = rng.normal(size=(7, 14, 3)) * 30 + (0, 0, 700)
    for name, values in (("groundtruth/label", truth), ("predictions/CVWW15_NYU_Prior", truth + np.array([3, 0, 4]))):
        path = folder / f"{name}.txt"
        path.parent.mkdir(parents=True)
        uvd = np.stack(
            [
                320 + 588.03 * values[..., 0] / values[..., 2],
                240 - 587.07 * values[..., 1] / values[..., 2],
                values[..., 2],
            ],
            axis=-1,
        )
        np.savetxt(path, uvd.reshape(7, -1), fmt="%.6f")
    (folder / "groundtruth" / "nyu_test_list.txt").write_text("test_1_0000001.png\n")
    name = "kazakos/figure-4.9"
    table = HandTable(name, POSE_TABLES[name])
    planned = table.plan(listing, "", Wanted(tmp_path, seeds=1, sets=[*TINY, f"published={folder}"]))
    label = "DeepPrior (Oberweger et al. 2015a), published"
    assert label in {row.label for row in table.table.rows} and str(folder) in planned.note
    np.testing.assert_allclose(planned.data[1][label], np.full((7, 14), 5.0), atol=1e-3)
    drawn: dict[str, list[str]] = {}
    monkeypatch.setattr(hand_tables, "draw_success", lambda errors, *_: drawn.update(curves=list(errors)))
    monkeypatch.setattr(hand_tables, "draw_per_joint", lambda errors, *_: drawn.update(bars=list(errors)))
    own = {"joints": NAMES, "errors_mm": [[1.0] * len(NAMES)]}
    table.draw(planned, {"Depth-Net (depth alone)": [own]}, tmp_path / "figure")
    assert drawn == {"curves": ["Depth-Net (depth alone)", label], "bars": ["Depth-Net (depth alone)"]}  # of 3 joints
    (folder / "predictions" / "CVWW15_NYU_Prior.txt").unlink()
    with pytest.raises(GestaError, match=r"published: expected groundtruth/ .* predictions/\*\.txt \(0 there\)"):
        table.plan(listing, "", Wanted(tmp_path, seeds=1, sets=[f"published={folder}"]))


def test_a_part_that_is_empty_and_a_person_who_is_not_there(listing: HandListing, tmp_path: Path) -> None:
    def planned(name: str, *splits: Split) -> int:
        frames = [replace(f, split=splits[i % len(splits)]) for i, f in enumerate(listing.frames)]
        given = replace(listing, samples=tuple(frames))
        return len(plan(name, given, tmp_path).todo)

    assert planned("kazakos/figure-4.10", "train", "test") == 1
    for splits, empty in ((("train",), "test"), (("test",), "train"), (("val", "test"), "train")):
        with pytest.raises(GestaError, match=f"no frames with joints in the part '{empty}'"):
            planned("kazakos/figure-4.10", *splits)  # type: ignore[arg-type]
    with pytest.raises(GestaError, match=r"figure-4\.11: shows person 2 of the test part, but the data name only 1"):
        planned("kazakos/figure-4.11", "train", "test")


def test_lines_for_people() -> None:
    one = table("kazakos/figure-4.9")
    shown = one.cells(one.line(one.table.rows[-1], []))
    assert shown[2] == "17.04" and shown[5] == "-" and shown[-1] == "-"
    lost = one.cells(one.line(POSE_TABLES["kazakos/table-4.3"].rows[0], [{"diverged": "at once", "seed": 2}]))
    assert lost[1] == "0.00366, 0.00447" and "diverged: seed 2" in lost[5]
    assert (spread([]), spread([1.0]), spread([1.0, 2.0])) == ("-", "1.00", "1.50 ± 0.71")
