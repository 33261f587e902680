"""Search of hyperparameters: ranges that narrow, a stopped search that resumes, several workers, what it leaves."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from training.hand_sets import make_hands

from gesta.cli import app
from gesta.experiments import tune as tune_module
from gesta.experiments.tune import Range, Search, markdown, open_study, tune
from gesta.leftovers import this_process
from gesta.schema import GestaError, Listing, Resource, Sample
from gesta.tasks.base import Parts
from gesta.tasks.catalog import find, load_recipe
from gesta.tasks.hands.recipe import HandRecipe

pytest.importorskip("optuna")

TINY = ("input.size=16", "input.cube_mm=260", "model.hidden=8", "training.batch=8", "training.epochs=1")


HANDS = find("hands")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    return HANDS.split(make_hands(tmp_path_factory.mktemp("hands"), 20, color=False), 0, {})


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def search_of(*sets: str, rounds: int = 3, trials: int = 50) -> Search:
    return Search(HANDS, recipe(*sets), rounds, trials, device="cpu")


def recipe(*sets: str) -> HandRecipe:
    return load_recipe("kazakos/net1", [*TINY, *sets])  # type: ignore[return-value]


def test_ranges_narrow_around_the_best_and_stay_inside() -> None:
    plain = Range(0.0, 0.1)
    middle = plain.narrowed(0.05, 0.5)
    assert (middle.low, middle.high) == (pytest.approx(0.025), pytest.approx(0.075))
    assert plain.narrowed(0.0, 0.5) == Range(0.0, 0.05) and plain.narrowed(0.1, 0.5).low == pytest.approx(0.05)
    log = Range(1e-3, 1e-1, log=True).narrowed(1e-2, 0.5)
    assert (log.low, log.high, log.log) == (pytest.approx(10**-2.5), pytest.approx(10**-1.5), True)


@pytest.mark.integration
def test_rounds_a_stop_and_a_second_worker(parts: Parts, tmp_path: Path) -> None:
    search = search_of(rounds=2, trials=2)

    class Stop(Exception):
        pass

    def stop(number: int, _: dict[str, Any]) -> None:
        if number == 1:
            raise Stop

    with pytest.raises(Stop):
        tune(search, parts, tmp_path / "a", told=stop)
    url = f"sqlite:///{(tmp_path / 'a' / 'study.db').as_posix()}"
    seen: list[int] = []
    document = tune(search, parts, tmp_path / "b", storage=url, told=lambda number, _: seen.append(number))
    assert seen == [1, 2, 3] and [t["number"] for t in document["trials"]] == [0, 1, 2, 3]  # 1 died, and is drawn again
    assert [t["round"] for t in document["trials"]] == [0, 0, 1, 1] and document["missing"] == 0
    first, second = (document["rounds"][f"round {n}"] for n in (0, 1))
    for key, space in search.space.items():
        assert first[key] == [space.low, space.high, space.log]
        assert space.low <= second[key][0] < second[key][1] <= space.high
        for trial in document["trials"][2:]:
            assert second[key][0] <= trial[key] <= second[key][1]
    again = tune(search, parts, tmp_path / "a", told=lambda number, _: seen.append(number))
    assert again["trials"] == document["trials"] and len(seen) == 3  # nothing is done twice
    best = load_recipe(document["files"]["recipe"])
    assert best.training.momentum == document["best"]["training.momentum"] and best.name == "kazakos/net1-tuned"
    table = Path(document["files"]["table"]).read_text()
    assert table == markdown(document) and len(table.splitlines()) == 6
    assert not list((tmp_path / "b").glob("trial-*"))


@pytest.mark.integration
@pytest.mark.parametrize("told_by", ["heartbeat", "process", "nobody"])
def test_the_last_trial_died(parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told_by: str) -> None:
    """Its process was killed, so that it counts as running: with a heartbeat that has ended, a process of this computer
    that is gone, or, killed at once, with nothing at all."""
    search = search_of(rounds=1, trials=2)
    reached = {"val_mse": 0.1, "val_error_mm": 9.0, "epochs": 1, "best_epoch": 1, "seconds": 1.0}
    monkeypatch.setattr(tune_module, "train", lambda *_: reached)
    study = open_study(search, parts, tmp_path, None)
    done, dead = study.ask(), study.ask()
    tune_module.draw(study, done, search, 0)
    for name, value in reached.items():
        done.set_user_attr(name, value)
    study.tell(done, 0.1)
    with closing(sqlite3.connect(tmp_path / "study.db")) as database, database:
        if told_by == "heartbeat":
            row = (dead._trial_id, "2020-01-01 00:00:00")
            database.execute("INSERT INTO trial_heartbeats (trial_id, heartbeat) VALUES (?, ?)", row)
        elif told_by == "nobody":
            database.execute("UPDATE trials SET datetime_start = '2020-01-01 00:00:00'")
        else:
            gone = subprocess.run(
                [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True
            )
            dead.set_user_attr(tune_module.PROCESS, f"{this_process().partition('-')[0]}-{gone.stdout.strip()}")
    seen: list[int] = []
    document = tune(search, parts, tmp_path, told=lambda number, _: seen.append(number))
    assert seen == [1] and [t["number"] for t in document["trials"]] == [0, 1] and document["missing"] == 0


@pytest.mark.integration
def test_another_worker_made_the_database_meanwhile(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy.exc import IntegrityError

    real, calls = tune_module._opened, []

    def raced(url: str) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise IntegrityError("insert", None, Exception("UNIQUE constraint failed: alembic_version.version_num"))
        return real(url)

    monkeypatch.setattr(tune_module, "_opened", raced)
    assert open_study(search_of(), parts, tmp_path, None).study_name.startswith("kazakos/net1")
    assert len(calls) == 2


def test_momentum_only_for_sgd_and_what_cannot_be(parts: Parts, tmp_path: Path) -> None:
    search = search_of("training.optimizer=adam", rounds=1, trials=1)
    assert "training.momentum" not in search.space
    with pytest.raises(GestaError, match="cannot be opened"):
        tune(search, parts, tmp_path, storage="sqlite:////no/such/folder/study.db")


def test_data_told_otherwise_are_another_search(parts: Parts, tmp_path: Path) -> None:
    search = search_of()
    first, *rest = parts.listing.samples
    others = [
        first,
        replace(first, split="val" if first.split == "train" else "train"),
        replace(first, camera=replace(first.camera, fx=98.0)),
        replace(first, center_mm=first.center_mm + 1),  # type: ignore[operator]
        replace(first, depth_unit_mm=0.5),
    ]
    names = {open_study(search, parts.only([other, *rest]), tmp_path, None).study_name for other in (*others, first)}
    assert len(names) == len(others)


@pytest.mark.integration
def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    make_hands(tmp_path / "hands", 20, color=False)
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path / "cache"))
    sets = [argument for change in TINY for argument in ("--set", change)]
    arguments = ["tune", str(tmp_path / "hands"), "--out", str(tmp_path / "out"), "--rounds", "1", "--trials", "1"]
    app([*arguments, *sets, "--recipe", "kazakos/net1", "--device", "cpu", "--json"], standalone_mode=False)
    document = json.loads(capsys.readouterr().out)
    assert len(document["trials"]) == 1 and document["best"]["val_mse"] > 0
    with pytest.raises(GestaError, match="hand pose"):
        app([*arguments, "--recipe", "auto"], standalone_mode=False)


def test_other_tasks_search_around_their_recipe_by_their_quality() -> None:
    search = Search(find("clips"), load_recipe("mullick/cnn3d-lstm", ["training.learning_rate=0.01"]))
    assert search.objective == ("val_accuracy", True) and set(search.space) >= {"training.learning_rate"}
    rate = search.space["training.learning_rate"]
    assert (rate.low, rate.high, rate.log) == (pytest.approx(0.001), pytest.approx(0.1), True)
    mean = Search(find("features"), load_recipe("iqbal/mean", ["training.optimizer=adam"]))
    assert set(mean.space) == {"training.learning_rate", "model.dropout"}


@pytest.mark.integration
def test_the_highest_accuracy_is_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for training: the accuracy is the dropout."""
    monkeypatch.setattr(
        tune_module,
        "train",
        lambda _s, values, *_: {"val_accuracy": values["model.dropout"], "epochs": 1, "best_epoch": 1, "seconds": 1.0},
    )
    search = Search(find("features"), load_recipe("iqbal/mean"), rounds=1, trials=4)
    known = Parts(
        Listing(tmp_path, "x", (Sample(id="a", recording="a", color=Resource(tmp_path / "a.mp4"), split="val"),))
    )
    document = tune(search, known, tmp_path)
    reached = [trial["val_accuracy"] for trial in document["trials"]]
    assert document["best"]["val_accuracy"] == max(reached) and len(set(reached)) == 4
    rows = [line.split("|")[1].strip() for line in markdown(document).splitlines()[2:]]
    assert rows == [str(t["number"]) for t in sorted(document["trials"], key=lambda t: -t["val_accuracy"])]


def test_without_a_validation_part_no_trial_begins(parts: Parts, tmp_path: Path) -> None:
    known = parts.only([frame for frame in parts.of("all") if frame.split != "val"])
    with pytest.raises(GestaError, match=r"no validation part.*input.validation=0.02") as refused:
        tune(search_of(), known, tmp_path / "out")
    assert refused.value.usage and not (tmp_path / "out").exists()
