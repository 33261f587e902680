"""Jobs in processes of their own: results in order, resumed by key, failures named without losing the others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gesta.experiments.parallel import Job, key_of, run_jobs
from gesta.schema import GestaError


@pytest.fixture(autouse=True)
def _processes_find_the_work(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


def jobs(folder: Path, *numbers: int) -> list[Job]:
    log = str(folder / "log.txt")
    return [
        Job(f"job {n}", "work:double", {"number": n, "log": log}, key_of("double", n), folder / f"{n}.json")
        for n in numbers
    ]


def done(folder: Path) -> list[int]:
    return sorted(int(line) for line in (folder / "log.txt").read_text().split())


@pytest.mark.integration
def test_results_come_in_order_and_are_taken_again_when_started_again(tmp_path):
    seen = []
    first = run_jobs(jobs(tmp_path, 3, 1), workers=2, told=lambda job, _: seen.append(job.title))
    assert [r["doubled"] for r in first] == [6, 2]
    assert sorted(seen) == ["job 1", "job 3"]
    assert {r["threads"] for r in first} == {"1"}
    again = run_jobs(jobs(tmp_path, 3, 1, 2), workers=1)
    assert [r["doubled"] for r in again] == [6, 2, 4]
    assert done(tmp_path) == [1, 2, 3]


def test_a_failed_job_is_named_and_the_others_are_kept(tmp_path):
    with pytest.raises(GestaError, match=r"job -1: -1 is negative\. Finished work is kept; run the same command again"):
        run_jobs(jobs(tmp_path, -1, 5), workers=1)
    assert json.loads((tmp_path / "5.json").read_text())["doubled"] == 10
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_result_of_other_settings_or_a_damaged_one_is_not_taken(tmp_path):
    (job,) = jobs(tmp_path, 4)
    job.result.write_text(json.dumps({"key": "another", "doubled": 0}))
    assert job.finished() is None
    job.result.write_text('{"key": "' + job.key)
    assert job.finished() is None


def test_key_depends_on_every_part_and_not_on_the_order_of_a_dictionary():
    assert key_of({"a": 1, "b": 2}, 3) == key_of({"b": 2, "a": 1}, 3)
    assert key_of({"a": 1}, 3) != key_of({"a": 1}, 4)
