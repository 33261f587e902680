"""Tables and figures about hand pose: their rows, one budget for all, one trial end to end, pictures, resuming."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from training.hand_sets import NAMES, make_hands

from gesta.experiments import pose_pictures, poses
from gesta.experiments.parallel import write_json
from gesta.experiments.pose_catalog import POSE_SCALES, POSE_TABLES
from gesta.experiments.poses import cells, estimate_poses, line, plan_poses, recipe_of, run_pose_trial, run_poses
from gesta.experiments.tables import spread
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


def test_the_documents_tables_are_there() -> None:
    figures = [f"kazakos/figure-4.{n}" for n in range(7, 12)]
    assert {"kazakos/table-4.3", *figures} <= set(POSE_TABLES)
    nets = POSE_TABLES["kazakos/table-4.3"].rows
    assert [row.label for row in nets] == [f"Net{n}" for n in range(1, 10)]
    assert nets[5].mse == (0.00183, 0.00242) and min(row.mse or (1, 1) for row in nets) == nets[5].mse
    assert len(POSE_TABLES["kazakos/figure-4.7"].rows) == 5 and len(POSE_TABLES["kazakos/figure-4.8"].rows) == 4


@pytest.mark.parametrize("row", ROWS, ids=[row.label for row in ROWS])
def test_quick_rows_have_one_budget(row: poses.PoseRow) -> None:
    recipe = recipe_of(row, "quick")
    assert (recipe.input.size, recipe.training.epochs, recipe.training.batch) == (64, 12, 32)
    assert recipe.model.hidden == (4096 if "4096" in row.label else 512) or recipe.model.name == "anchors"
    assert recipe.training.optimizer == ("adamw" if row.own else "adam")
    full = recipe_of(row, "full")
    assert (full.input.size, full.training.batch) == (128, 32 if row.own else 128)


def test_quick_is_small_enough() -> None:
    assert POSE_SCALES["quick"].images * 1.2 <= 3000
    words = estimate_poses(POSE_TABLES["kazakos/table-4.3"], POSE_SCALES["quick"], 3, 2)
    assert "27 trainings" in words and "2400 frames" in words


def test_one_trial_its_table_and_its_pictures(
    listing: HandListing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path / "cache"))
    wanted = {"scale": "quick", "seeds": 1, "note": "Tiny.", "sets": TINY, "device": "cpu"}
    planned = plan_poses("kazakos/figure-4.10", listing, tmp_path, **wanted)  # type: ignore[arg-type]
    assert planned.to_train == 1 and "1 trainings, 0 already done" in planned.cost
    (_, job) = planned.jobs[0]
    result = run_pose_trial(**job.arguments)
    assert not list((tmp_path / "rows").glob("training-*"))
    assert len(result["errors_mm"]) == 5 and len(result["errors_mm"][0]) == len(NAMES) == len(result["per_joint_mm"])
    write_json(job.result, {"key": job.key, **result})
    document = run_poses(planned, tmp_path)  # nothing left to train
    row = document["rows"][0]
    assert row["test_mm"] == [result["mean_error_mm"]] and row["reported_mse"] is None
    table = (tmp_path / "kazakos-figure-4.10" / "table.md").read_text()
    assert (
        f"{result['mean_error_mm']:.2f}" in table
        and "Tiny. The document's networks train with training.optimizer=adam" in table
    )
    picture = cv2.imread(document["files"]["figure Depth-Net (depth alone)"])
    assert picture.shape[0] == 2 * 340 and picture.shape[1] == 5 * (340 + 84)  # and a bar of depths
    assert json.loads((tmp_path / "kazakos-figure-4.10" / "result.json").read_text())["rows"] == document["rows"]
    again = plan_poses("kazakos/figure-4.7", listing, tmp_path, **wanted)  # type: ignore[arg-type]
    assert again.to_train == 4  # Depth-Net is shared between the figures
    monkeypatch.setattr(poses, "run_jobs", lambda jobs, **_: [{"key": j.key, **result} for j in jobs])
    curves = run_poses(again, tmp_path)["files"]
    assert all(Path(curves[name]).stat().st_size > 0 for name in ("success rate", "joints"))


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
    wanted = {"scale": "quick", "seeds": 1, "note": "", "device": "cpu"}
    plan = plan_poses("kazakos/figure-4.9", listing, tmp_path, sets=[*TINY, f"published={folder}"], **wanted)  # type: ignore[arg-type]
    label = "DeepPrior (Oberweger et al. 2015a), published"
    assert label in {row.label for row in plan.table.rows} and str(folder) in plan.note
    np.testing.assert_allclose(plan.others[label], np.full((7, 14), 5.0), atol=1e-3)
    drawn: dict[str, list[str]] = {}
    monkeypatch.setattr(pose_pictures, "draw_success", lambda errors, *_: drawn.update(curves=list(errors)))
    monkeypatch.setattr(pose_pictures, "draw_per_joint", lambda errors, *_: drawn.update(bars=list(errors)))
    own = {"joints": NAMES, "errors_mm": [[1.0] * len(NAMES)]}
    pose_pictures.draw(plan, {"Depth-Net (depth alone)": [own]}, tmp_path / "figure")
    assert drawn == {"curves": ["Depth-Net (depth alone)", label], "bars": ["Depth-Net (depth alone)"]}  # of 3 joints
    (folder / "predictions" / "CVWW15_NYU_Prior.txt").unlink()
    with pytest.raises(GestaError, match=r"published: expected groundtruth/ .* predictions/\*\.txt \(0 there\)"):
        plan_poses("kazakos/figure-4.9", listing, tmp_path, sets=[f"published={folder}"], **wanted)  # type: ignore[arg-type]


def test_a_part_that_is_empty_and_a_person_who_is_not_there(listing: HandListing, tmp_path: Path) -> None:
    def plan(name: str, *splits: Split) -> int:
        frames = [replace(f, split=splits[i % len(splits)]) for i, f in enumerate(listing.frames)]
        given = replace(listing, frames=tuple(frames))
        return plan_poses(name, given, tmp_path, scale="quick", seeds=1, note="", sets=TINY).to_train

    assert plan("kazakos/figure-4.10", "train", "test") == 1
    for splits, empty in ((("train",), "test"), (("test",), "train"), (("val", "test"), "train")):
        with pytest.raises(GestaError, match=f"no frames with joints in the part '{empty}'"):
            plan("kazakos/figure-4.10", *splits)  # type: ignore[arg-type]
    with pytest.raises(GestaError, match=r"figure-4\.11: shows person 2 of the test part, and the data tell of 1"):
        plan("kazakos/figure-4.11", "train", "test")


def test_lines_for_people() -> None:
    row = POSE_TABLES["kazakos/figure-4.9"].rows[-1]
    shown = cells(line(row, []))
    assert shown[2] == "17.04" and shown[5] == "-" and shown[-1] == "-"
    lost = cells(line(POSE_TABLES["kazakos/table-4.3"].rows[0], [{"diverged": "at once", "seed": 2}]))
    assert lost[1] == "0.00366, 0.00447" and "diverged: seed 2" in lost[5]
    assert (spread([]), spread([1.0]), spread([1.0, 2.0])) == ("-", "1.00", "1.50 ± 0.71")
