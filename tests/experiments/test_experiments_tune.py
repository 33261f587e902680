"""Search of hyperparameters: ranges that narrow, a stopped search that goes on, several workers, what it leaves."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from training.hand_sets import NAMES, make_hands, split_hands

from gesta.cli import app
from gesta.experiments import tune as tune_module
from gesta.experiments.tune import SPACE, Range, Search, markdown, open_study, tune
from gesta.schema import GestaError, HandFrame
from gesta.tasks.catalog import load_recipe
from gesta.tasks.hands.recipe import HandRecipe

pytest.importorskip("optuna")

TINY = ("input.size=16", "input.cube_mm=260", "model.hidden=8", "training.batch=8", "training.epochs=1")


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> list[HandFrame]:
    return split_hands(make_hands(tmp_path_factory.mktemp("hands"), 20, color=False))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def recipe(*sets: str) -> HandRecipe:
    return load_recipe("kazakos/net1", [*TINY, *sets])


def run(search: Search, frames: list[HandFrame], out: Path, cache: Path, **more: Any) -> dict[str, Any]:
    return tune(search, frames, out, layout="hand_folder", joint_names=NAMES, cache=cache, **more)


def test_ranges_narrow_around_the_best_and_stay_inside() -> None:
    plain = Range(0.0, 0.1)
    middle = plain.narrowed(0.05, 0.5)
    assert (middle.low, middle.high) == (pytest.approx(0.025), pytest.approx(0.075))
    assert plain.narrowed(0.0, 0.5) == Range(0.0, 0.05) and plain.narrowed(0.1, 0.5).low == pytest.approx(0.05)
    log = Range(1e-3, 1e-1, log=True).narrowed(1e-2, 0.5)
    assert (log.low, log.high, log.log) == (pytest.approx(10**-2.5), pytest.approx(10**-1.5), True)


def test_rounds_a_stop_and_a_second_worker(frames: list[HandFrame], cache: Path, tmp_path: Path) -> None:
    search = Search(recipe(), rounds=2, trials=2, device="cpu")

    class Stop(Exception):
        pass

    def stop(number: int, _: dict[str, Any]) -> None:
        if number == 1:
            raise Stop

    with pytest.raises(Stop):
        run(search, frames, tmp_path / "a", cache, told=stop)
    url = f"sqlite:///{(tmp_path / 'a' / 'study.db').as_posix()}"
    seen: list[int] = []
    document = run(search, frames, tmp_path / "b", cache, storage=url, told=lambda number, _: seen.append(number))
    assert seen == [2, 3, 4] and [t["number"] for t in document["trials"]] == [0, 2, 3, 4]  # 1 died
    assert [t["round"] for t in document["trials"]] == [0, 0, 1, 1] and document["missing"] == 0
    first, second = (document["rounds"][f"round {n}"] for n in (0, 1))
    for key, space in SPACE.items():
        assert first[key] == [space.low, space.high, space.log]
        assert space.low <= second[key][0] < second[key][1] <= space.high
        for trial in document["trials"][2:]:
            assert second[key][0] <= trial[key] <= second[key][1]
    again = run(search, frames, tmp_path / "a", cache, told=lambda number, _: seen.append(number))
    assert again["trials"] == document["trials"] and len(seen) == 3  # nothing is done twice
    best = load_recipe(document["files"]["recipe"])
    assert best.training.momentum == document["best"]["training.momentum"] and best.name == "kazakos/net1-tuned"
    table = Path(document["files"]["table"]).read_text()
    assert table == markdown(document) and len(table.splitlines()) == 6
    assert not list((tmp_path / "b").glob("trial-*"))


def test_the_last_trial_died(
    frames: list[HandFrame], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process was killed, so that it counts as running, with a heartbeat that has ended."""
    search = Search(recipe(), rounds=1, trials=2, device="cpu")
    reached = {"val_mse": 0.1, "val_error_mm": 9.0, "epochs": 1, "best_epoch": 1, "seconds": 1.0}
    monkeypatch.setattr(tune_module, "_train", lambda *_: reached)
    study = open_study(search, frames, tmp_path, None)
    done, dead = study.ask(), study.ask()
    tune_module._draw(study, done, search)
    for name, value in reached.items():
        done.set_user_attr(name, value)
    study.tell(done, 0.1)
    with closing(sqlite3.connect(tmp_path / "study.db")) as database, database:
        row = (dead._trial_id, "2020-01-01 00:00:00")
        database.execute("INSERT INTO trial_heartbeats (trial_id, heartbeat) VALUES (?, ?)", row)
    seen: list[int] = []
    document = run(search, frames, tmp_path, cache, told=lambda number, _: seen.append(number))
    assert seen == [2] and [t["number"] for t in document["trials"]] == [0, 2] and document["missing"] == 0


def test_another_worker_made_the_database_meanwhile(
    frames: list[HandFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy.exc import IntegrityError

    real, calls = tune_module._opened, []

    def raced(url: str) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise IntegrityError("insert", None, Exception("UNIQUE constraint failed: alembic_version.version_num"))
        return real(url)

    monkeypatch.setattr(tune_module, "_opened", raced)
    assert open_study(Search(recipe()), frames, tmp_path, None).study_name.startswith("kazakos/net1")
    assert len(calls) == 2


def test_momentum_only_for_sgd_and_what_cannot_be(frames: list[HandFrame], cache: Path, tmp_path: Path) -> None:
    search = Search(recipe("training.optimizer=adam"), rounds=1, trials=1, device="cpu")
    assert "training.momentum" not in search.space
    with pytest.raises(GestaError, match="cannot be opened"):
        run(search, frames, tmp_path, cache, storage="sqlite:////no/such/folder/study.db")


def test_data_told_otherwise_are_another_search(frames: list[HandFrame], tmp_path: Path) -> None:
    search = Search(recipe())
    first = frames[0]
    others = [
        first,
        replace(first, split="val" if first.split == "train" else "train"),
        replace(first, camera=replace(first.camera, fx=98.0)),
        replace(first, center_mm=first.center_mm + 1),  # type: ignore[operator]
        replace(first, depth_unit_mm=0.5),
    ]
    names = {open_study(search, [other, *frames[1:]], tmp_path, None).study_name for other in (*others, first)}
    assert len(names) == len(others)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    make_hands(tmp_path / "hands", 20, color=False)
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path / "cache"))
    sets = [argument for change in TINY for argument in ("--set", change)]
    arguments = ["tune", str(tmp_path / "hands"), "--out", str(tmp_path / "out"), "--rounds", "1", "--trials", "1"]
    app([*arguments, *sets, "--recipe", "kazakos/net1", "--device", "cpu", "--json"], standalone_mode=False)
    document = json.loads(capsys.readouterr().out)
    assert len(document["trials"]) == 1 and document["best"]["val_mse"] > 0
    with pytest.raises(GestaError, match="hand poses"):
        app([*arguments, "--recipe", "auto"], standalone_mode=False)
