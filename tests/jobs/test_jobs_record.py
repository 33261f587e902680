"""Who is at work on a job, what is kept of it, and what `gesta jobs` says of that."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gesta import events
from gesta.cli import app
from gesta.jobs import claims, ledger, perform, pool
from gesta.jobs.claims import claimed
from gesta.jobs.cluster import Cluster
from gesta.jobs.job import Job, key_of
from gesta.schema import GestaError


def jobs(folder: Path, *numbers: int, seconds: float = 0.0) -> list[Job]:
    function, log = "jobs.cluster_work:square", str(folder / "log.txt")
    return [
        Job(f"job {n}", function, {"number": n, "log": log, "seconds": seconds}, key_of(n), folder / f"{n}.json")
        for n in numbers
    ]


def run(folder: Path, *numbers: int) -> dict[str, perform.Outcome]:
    """Done here, one after another."""
    with pool.working(folder, command="test"):
        return {job.title: outcome for job, outcome in pool.outcomes(jobs(folder, *numbers), 1, inline=True)}


def shown(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    app(["jobs", *map(str, words)], standalone_mode=False)
    return capsys.readouterr().out


def test_what_is_left_of_jobs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run(tmp_path, 3, -1)
    assert found["job 3"].document == {"key": key_of(3), "square": 9}
    assert capsys.readouterr().out.count("working on") == 2
    assert (found["job -1"].why, found["job -1"].kind) == ("-1 is negative.", "ValueError")
    document = json.loads(shown(capsys, tmp_path, "--json"))
    assert document["counts"] == {"running": 0, "failed": 1, "stopped": 0, "waiting": 0, "done": 1}
    assert [(job["title"], job["state"], job["why"]) for job in document["jobs"]] == [
        ("job 3", "done", ""),
        ("job -1", "failed", "-1 is negative."),
    ]
    assert document["at_work"] is True and document["where"] == "1 processes"
    assert "2 jobs: 1 failed, 1 done" in shown(capsys, tmp_path)
    assert [one["event"] for one in events.read(tmp_path)] == [
        "started",
        "planned",
        "job done",
        "job failed",
        "finished",
    ]
    assert run(tmp_path, -1)["job -1"].document is None
    assert [one["event"] for one in events.read(tmp_path)][5:] == ["resumed", "planned", "job failed", "finished"]


def test_states_of_jobs_that_no_process_has_ended(tmp_path: Path) -> None:
    with pool.working(tmp_path):
        list(pool.outcomes(jobs(tmp_path, 1), 1, of=jobs(tmp_path, 1, 2, 3, 4), inline=True))
    folder = tmp_path / ledger.FOLDER
    with claimed(folder / f"{key_of(2)}.running"):
        (folder / f"{key_of(3)}.running").write_text(json.dumps(_claim_of_a_dead_process(folder)))
        found = {job.title: job.state for job in ledger.overview(tmp_path).jobs}
    assert found == {"job 1": "done", "job 2": "running", "job 3": "stopped", "job 4": "waiting"}
    (tmp_path / "4.json").write_text(json.dumps({"key": key_of(4)}))
    assert ledger.overview(tmp_path).counts["done"] == 2, "the result is the truth"


@pytest.mark.parametrize(
    "damage",
    [
        {"jobs": None},
        {"jobs": "all"},
        {"jobs": ["one"]},
        {"jobs": [{"title": "without a key"}]},
        {"jobs": [{"key": "../up", "result": 3}]},
        {"name": "a\0b"},
    ],
)
def test_damaged_plans_count_as_missing(tmp_path: Path, damage: dict[str, Any]) -> None:
    with pool.working(tmp_path):
        list(pool.outcomes(jobs(tmp_path, 1), 1, inline=True))
    folder = tmp_path / ledger.FOLDER
    (plan,) = folder.glob("plan-*.json")
    whole = plan.read_text()
    plan.write_text(json.dumps(json.loads(whole) | damage))
    assert ledger.overview(tmp_path).jobs == ()
    plan.write_text(whole)
    for record in ({"state": "failed", "why": 3}, {"state": "done", "seconds": math.nan}, {"state": "odd"}, []):
        (folder / f"{key_of(1)}.json").write_text(json.dumps(record))
        (tmp_path / "1.json").unlink(missing_ok=True)
        assert ledger.overview(tmp_path).jobs[0].state == "waiting"
    for name in ("a/b", "", "a\0b"):
        claim = folder / f"{key_of(1)}.running"
        claim.write_text(json.dumps({"name": name}))
        assert ledger.overview(tmp_path).jobs[0].state == "running"


def test_a_job_that_another_process_has_is_waited_for_and_not_done_twice(tmp_path: Path) -> None:
    (job,) = jobs(tmp_path, 5)
    at = perform.site(tmp_path / ledger.FOLDER)
    place = tmp_path / ledger.FOLDER / f"{job.key}.running"
    with claimed(place):
        other = threading.Thread(target=lambda: seen.append(perform.perform(job, at)))
        seen: list[perform.Outcome] = []
        other.start()
        time.sleep(0.3)
        assert not seen and not (tmp_path / "log.txt").exists()
        job.call()
    other.join(5)
    assert seen[0].document == job.finished() and not place.exists()
    assert (tmp_path / "log.txt").read_text().count("begun") == 1


def test_a_claim_of_a_dead_process_is_taken_at_once_a_silent_one_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "a.running"
    place.write_text(json.dumps(_claim_of_a_dead_process(tmp_path)))
    with claimed(place):
        assert claims.holder(place)["pid"] == os.getpid()  # type: ignore[index]
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(claims, "PATIENCE_S", 0.4)
    place.write_text(json.dumps({"host": "elsewhere", "pid": 1, "name": ".a.running.000000-1-00000000.tmp"}))
    started = time.monotonic()
    with claimed(place):
        assert 0.4 <= time.monotonic() - started < 3


def test_a_claim_is_touched_while_it_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "BEAT_S", 0.05)
    place = tmp_path / "a.running"
    with claimed(place):
        os.utime(place, (0, 0))
        time.sleep(0.3)
        assert place.stat().st_mtime > 0 and not claims.is_given_up(place)
    assert claims.is_given_up(place)


def test_a_worker_that_differs_is_named(tmp_path: Path) -> None:
    (job,) = jobs(tmp_path, 1)
    at = perform.site(None)
    for wrong, message in (
        (replace(at, version="9.9"), "has gesta .*, but the command 9.9. Update one"),
        (replace(at, folder=tmp_path / "none"), "none: the worker on .* does not see this folder"),
        (replace(at, shared=(tmp_path / "gone" / "plan.json",)), "gone: the worker on .* does not see this folder"),
    ):
        with pytest.raises(AssertionError, match=message):
            raise AssertionError(perform.perform(job, wrong).why)


def test_the_commands_variables_hold_for_a_job_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GESTA_CACHE", "mine")
    job = Job("where", "jobs.test_jobs_record:cache_of", {}, "k")
    at = replace(perform.site(None), variables={"GESTA_DATA": "theirs"}, folder=tmp_path)
    found = perform.perform(job, at).document
    assert found is not None and found["seen"] == [None, "theirs", str(tmp_path)]
    assert os.environ["GESTA_CACHE"] == "mine" and "GESTA_DATA" not in os.environ


def cache_of() -> dict[str, Any]:
    return {"seen": [os.environ.get("GESTA_CACHE"), os.environ.get("GESTA_DATA"), str(Path.cwd())]}


def test_a_torn_line_and_numbers_that_json_has_not(tmp_path: Path) -> None:
    events.tell(tmp_path, "epoch", loss=float("nan"), at=tmp_path)
    with (tmp_path / events.NAME).open("ab") as stream:
        stream.write(b'{"time": "20')
    events.tell(tmp_path, "finished")
    assert [(one["event"], one.get("loss")) for one in events.read(tmp_path)] == [("epoch", None), ("finished", None)]
    events.tell(tmp_path / events.NAME / "no folder", "lost")  # a run never fails by its events
    assert events.read(tmp_path / "none") == []


def test_what_gesta_jobs_says_of_other_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(GestaError, match="no such folder"):
        shown(capsys, tmp_path / "none")
    with pytest.raises(GestaError, match="contains no record of jobs"):
        shown(capsys, tmp_path)
    run(tmp_path, 1)
    capsys.readouterr()
    with pytest.raises(GestaError, match="no job has the key 'x'"):
        shown(capsys, tmp_path, "--log", "x")
    with pytest.raises(GestaError, match="job 1: wrote no log; the job is done"):
        shown(capsys, tmp_path, "--log", "job 1")


def test_the_functions_that_strings_name_are_there() -> None:
    source = Path(pool.__file__).parents[2]
    texts = {path: path.read_text(encoding="utf-8") for path in source.rglob("*.py")}
    named = {name for text in texts.values() for name in re.findall(r'"(gesta[\w.]*:\w+)"', text)}
    for module, names in re.findall(r'deferred_from\("([\w.]+)", "([\w ]+)"\)', "".join(texts.values())):
        named |= {f"{module}:{name}" for name in names.split()}
    assert len(named) > 70
    for module, _, name in (one.partition(":") for one in named):
        there = texts[source / f"{module.replace('.', '/')}.py"]
        assert re.search(rf"^(def |class )?{name}\b", there, re.MULTILINE), f"{module}:{name}"


def test_portions_of_many_small_pieces() -> None:
    assert [len(part) for part in pool.portions(range(5))] == [1] * 5
    parts = pool.portions(range(2500))
    assert len(parts) <= pool.MOST_JOBS and [i for part in parts for i in part] == list(range(2500))


@pytest.mark.parametrize(("cluster", "jobs"), [("local:2", 100), ("local:64", 400), ("tcp://127.0.0.1:8786", 400)])
def test_portions_for_a_cluster(monkeypatch: pytest.MonkeyPatch, cluster: str, jobs: int) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(pool, "_CURRENT", SimpleNamespace(get=lambda: pool.Working(cluster=Cluster(cluster))))
    assert 0.9 * jobs <= len(pool.portions(range(20_000))) <= jobs


def _claim_of_a_dead_process(folder: Path) -> dict[str, Any]:
    """As a process of this computer leaves it that was killed."""
    from gesta.leftovers import temporary

    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    name = temporary(folder / "x").name.replace(f"-{os.getpid()}-", f"-{dead.stdout.strip()}-")
    return {"host": "here", "pid": int(dead.stdout), "started": "", "name": name}


def test_a_run_that_is_refused_leaves_no_folder_and_nothing_for_the_next(tmp_path):
    out = tmp_path / "run"
    events.tell(out, "started", seed=0)
    events.tell(out, "failed", why="one class")
    assert not out.exists()
    events.tell(out, "started", seed=1)
    events.tell(out, "epoch", epoch=1)
    assert [(line["event"], line.get("seed")) for line in events.read(out)] == [("started", 1), ("epoch", None)]
