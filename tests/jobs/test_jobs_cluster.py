"""Jobs on a Dask cluster: the same results as here, and nothing lost or doubled by what dies."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jobs.test_jobs_record import jobs

from gesta.jobs import cluster as cluster_module
from gesta.jobs import ledger, perform, pool
from gesta.jobs.cluster import Cluster
from gesta.jobs.job import Job, key_of
from gesta.jobs.run import run_jobs
from gesta.schema import GestaError

NUMBERS = range(8)


@pytest.fixture(autouse=True)
def _workers_find_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Path(__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", f"{here}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")


def done(folder: Path) -> Counter[str]:
    """How often each job has ended."""
    lines = (folder / "log.txt").read_text().splitlines()
    return Counter(line.split()[1] for line in lines if line.startswith("done"))


NAMES = ["local", "local:0", "local:x", "local:100000", "tcp://host", "tcp://host:99999", "tcp://:8786", "tcp://a b:1"]


@pytest.mark.parametrize(
    "name", [*NAMES, "local", "local:0", "local:x", "tcp://host", "http://host:80", "slurm:none", ""]
)
def test_names_that_are_no_cluster(name: str) -> None:
    with pytest.raises(GestaError, match=r"--cluster is '.*'; expected local:N .*tcp://HOST:PORT .*slurm") as caught:
        Cluster(name)
    assert caught.value.usage


def test_tls_without_certificates_is_told_at_once() -> None:
    with pytest.raises(GestaError, match="no TLS certificates for Dask"):
        Cluster("tls://127.0.0.1:9").open()


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    message = r"--cluster local:2 needs distributed, which is not installed. Install it: pip install .*\[cluster\]"
    with pytest.raises(GestaError, match=message), pool.working(tmp_path, "local:2"):
        pass
    with pytest.raises(GestaError, match="needs distributed, dask_jobqueue"):
        Cluster("slurm:3")
    assert not list(tmp_path.iterdir())


def test_no_scheduler_at_the_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(cluster_module, "CONNECT_S", 0.2)
    with (
        pytest.raises(GestaError, match=r"tcp://127.0.0.1:9: no scheduler answers at this address"),
        pool.working(tmp_path, "tcp://127.0.0.1:9"),
    ):
        pass


def test_a_scheduler_in_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    for name in perform.THREAD_VARIABLES:
        monkeypatch.setenv(name, "1")  # a worker sets them, and here it is this process
    place = {"host": "127.0.0.1", "protocol": "tcp", "dashboard_address": None, "processes": False}
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, silence_logs=50, **place) as kept:
        with pool.working(tmp_path, kept.scheduler_address) as made:
            assert made is not None and made.workers == 1 and pool.on_cluster()
            assert [found["square"] for found in run_jobs(jobs(tmp_path, 2, 3))] == [4, 9]
            with pytest.raises(GestaError, match=r"job -1: -1 is negative\. Finished work is kept"):
                run_jobs(jobs(tmp_path, 2, -1))
        assert not pool.on_cluster()
    assert done(tmp_path) == {"2": 1, "3": 1, "-1": 1}
    assert ledger.overview(tmp_path).counts == {"running": 0, "failed": 1, "stopped": 0, "waiting": 0, "done": 2}
    log = (tmp_path / ledger.FOLDER / f"{key_of(-1)}.log").read_text()
    assert "working on -1" in log and "ValueError: -1 is negative." in log


# -- what dies ---------------------------------------------------------------------------------------------------------

SCRIPT = """
import sys
from pathlib import Path
from gesta.jobs import pool
from gesta.jobs.run import run_jobs
from jobs.test_jobs_record import jobs
folder, where, seconds = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
if __name__ == "__main__":
    with pool.working(folder, where, lambda text: print(text, flush=True)):
        run_jobs(jobs(folder, *range(8), seconds=seconds))
"""


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a Python process; all are ended behind the test."""
    processes: list[subprocess.Popen[str]] = []

    def start(*words: object) -> subprocess.Popen[str]:
        log = (tmp_path / "processes.log").open("a")
        process = subprocess.Popen([sys.executable, *map(str, words)], text=True, stdout=log, stderr=log)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def kept(started: Any) -> tuple[str, Callable[[], Any], Callable[[], Any]]:
    """(address, start a scheduler there, start a worker of it), as a user keeps them."""
    pytest.importorskip("distributed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    scheduler = ("-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")
    worker = ("-m", "distributed.cli.dask_worker", address, "--nthreads", 1, "--no-dashboard")
    return address, lambda: started(*scheduler), lambda: started(*worker)


def command(started: Any, folder: Path, where: str, seconds: float) -> Any:
    script = folder.parent / "command.py"
    script.write_text(SCRIPT)
    return started(script, folder, where, seconds)


def wait_for(what: Callable[[], Any], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.1)


def running(folder: Path) -> list[Path]:
    return list((folder / ledger.FOLDER).glob("*.running"))


def ended(folder: Path) -> list[Path]:
    return [path for n in NUMBERS if (path := folder / f"{n}.json").exists()]


def check(folder: Path) -> None:
    """Everything is done, and nothing was finished twice."""
    assert len(ended(folder)) == len(NUMBERS)
    assert done(folder) == {str(n): 1 for n in NUMBERS}
    assert ledger.overview(folder).counts["done"] == len(NUMBERS) and not running(folder)


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced_and_its_job_done_once(tmp_path: Path, started: Any) -> None:
    pytest.importorskip("distributed")
    folder = tmp_path / "out"
    process = command(started, folder, "local:2", 0.5)
    wait_for(lambda: len(ended(folder)) >= 2 and running(folder))
    victim = json.loads(running(folder)[0].read_text())["pid"]
    os.kill(victim, signal.SIGKILL)
    assert process.wait(120) == 0
    check(folder)


@pytest.mark.slow
def test_a_command_that_dies_goes_on_where_it_was(tmp_path: Path, started: Any) -> None:
    pytest.importorskip("distributed")
    folder = tmp_path / "out"
    process = command(started, folder, "local:2", 0.5)
    wait_for(lambda: len(ended(folder)) >= 2)
    process.kill()
    process.wait()
    before = ended(folder)
    states = ledger.overview(folder).counts
    assert states["done"] >= len(before) and states["done"] + states["waiting"] + states["stopped"] + states[
        "running"
    ] == len(NUMBERS)
    assert command(started, folder, "local:2", 0.0).wait(120) == 0
    check(folder)


@pytest.mark.slow
def test_a_scheduler_that_dies_and_comes_back(tmp_path: Path, started: Any, kept: Any) -> None:
    folder = tmp_path / "out"
    address, start_scheduler, start_worker = kept
    scheduler = start_scheduler()
    for _ in range(2):
        start_worker()
    process = command(started, folder, address, 0.5)
    wait_for(lambda: len(ended(folder)) >= 2)
    scheduler.kill()
    scheduler.wait()
    time.sleep(2)
    start_scheduler()
    start_worker()
    assert process.wait(180) == 0
    check(folder)


@pytest.mark.slow
def test_a_client_that_dies_while_a_kept_worker_goes_on(tmp_path: Path, started: Any, kept: Any) -> None:
    folder = tmp_path / "out"
    address, start_scheduler, start_worker = kept
    start_scheduler()
    for _ in range(2):
        start_worker()
    process = command(started, folder, address, 2.0)
    wait_for(lambda: len(running(folder)) == 2)
    process.kill()
    process.wait()
    assert command(started, folder, address, 0.0).wait(180) == 0
    check(folder)


@pytest.mark.slow
def test_a_job_that_kills_its_workers_is_named(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    fatal = Job("heavy", "jobs.cluster_work:die", {"marker": str(tmp_path / "marker")}, "k", tmp_path / "k.json")
    message = "heavy: 4 workers died while running it, perhaps for lack of memory"
    with pytest.raises(GestaError, match=message), pool.working(tmp_path, "local:1"):
        run_jobs([fatal, *jobs(tmp_path, 1)])
    assert (tmp_path / "1.json").exists()
    assert {job.title: job.state for job in ledger.overview(tmp_path).jobs} == {"heavy": "failed", "job 1": "done"}


SBATCH = """#!/bin/bash
cp "${@: -1}" FOLDER/job-$$.sh
setsid bash FOLDER/job-$$.sh > FOLDER/job-$$.log 2>&1 < /dev/null &
echo $! > FOLDER/job-$$.pid
echo "Submitted batch job $$"
"""
SCANCEL = """#!/bin/bash
for id in "$@"; do kill -- -$(cat FOLDER/job-$id.pid); rm FOLDER/job-$id.pid; done
"""


@pytest.mark.slow
def test_jobs_of_slurm_work_and_end_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for sbatch runs a job's script at once."""
    dask = pytest.importorskip("dask")
    pytest.importorskip("dask_jobqueue")
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (tmp_path / name).write_text(text.replace("FOLDER", str(tmp_path)))
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    job = {"queue": "normal", "account": "me", "cores": 1, "processes": 1, "memory": "2GB", "walltime": "01:00:00"}
    described = {"jobqueue.slurm": {**dask.config.get("jobqueue.slurm"), **job}}
    with dask.config.set(described), pool.working(tmp_path / "out", "slurm:2"):
        assert [found["square"] for found in run_jobs(jobs(tmp_path, 2, 3))] == [4, 9]
    script = next(tmp_path.glob("job-*.sh")).read_text()
    assert "#SBATCH -A me" in script and "--nthreads 1" in script
    wait_for(lambda: not list(tmp_path.glob("job-*.pid")))
