"""A Dask cluster with faults: workers that run out of memory, a scheduler that is killed and restarted."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tools.drills.kills import Tally, fresh, reference
from tools.drills.processes import ended, fork, tail
from tools.drills.works import INPUT, LEARN, Work, files, gesta, results, sets, stored

MEMORY = 2 * 2**30
SLOWEST_S = 300.0


@dataclass
class Kept:
    """A scheduler and two workers; processes that end are restarted (docs/cluster.md)."""

    folder: Path
    port: int
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    @property
    def greed(self) -> Path:
        return self.folder / "greed"

    def tend(self) -> None:
        """Starts the processes that are not running."""
        here = ("--no-dashboard", "--host", "127.0.0.1")
        self._start("scheduler", "scheduler", *here, "--port", self.port)
        for name in ("worker-0", "worker-1"):
            how = ("--nthreads", 1, "--memory-limit", MEMORY, "--preload", "tools.drills.greedy")
            self._start(name, "worker", self.address, *here, *how, "--local-directory", self.folder)

    def _start(self, name: str, module: str, *words: object) -> None:
        if name in self.running and self.running[name].poll() is None:
            return
        command = [sys.executable, "-m", f"distributed.cli.dask_{module}", *map(str, words)]
        with (self.folder / f"{name}.log").open("ab") as log:
            environment = {**os.environ, "DRILL_GREED": str(self.greed)}
            self.running[name] = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def kill(self, name: str) -> None:
        self.running[name].kill()
        self.running[name].wait()

    @property
    def deaths(self) -> int:
        """Number of workers that Dask has stopped because of their memory."""
        logs = [self.folder / f"worker-{number}.log" for number in (0, 1)]
        return sum(log.read_text(errors="replace").count("memory budget") for log in logs if log.exists())


@contextmanager
def kept(folder: Path) -> Iterator[Kept]:
    """A cluster in a new folder; its processes end with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        cluster = Kept(fresh(folder), free.getsockname()[1])
    cluster.tend()
    try:
        yield cluster
    finally:
        for process in reversed(cluster.running.values()):
            process.terminate()  # a worker's nanny stops its worker
        for process in cluster.running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


def cluster_works(data: Path, cluster: Kept) -> list[Work]:
    """Commands whose jobs run on the cluster."""
    where = ("--cluster", cluster.address)

    def prepare(folder: Path) -> None:
        os.environ["GESTA_CACHE"] = str(folder / "cache")
        gesta("data", "prepare", data, "--recipe", "auto", *sets(INPUT), *where)

    def features(folder: Path) -> None:
        words = ("--backbone", "resnet18", "--weights", "random", "--size", 32, "--frames", 2)
        gesta("features", data, "--out", folder / "features", *words, *where)

    def crossval(folder: Path) -> None:
        one_epoch = (*sets(LEARN), "--set", "training.epochs=1", "--by", 2)
        gesta("crossval", data, "--recipe", "auto", "--out", folder / "crossval", *one_epoch, *where)

    return [
        Work("prepare", prepare, lambda folder: files(folder / "cache", "clips/*/*")),
        Work("features", features, stored),
        Work("crossval", crossval, lambda folder: results(folder / "crossval")),
    ]


def memory(_: dict[str, Work], count: int, folder: Path, tally: Tally, rng: random.Random) -> None:
    """A worker runs out of memory at a random moment; Dask stops it and starts another."""

    def starve(cluster: Kept) -> bool:
        before = cluster.deaths
        cluster.greed.write_text(str(int(1.2 * MEMORY)), encoding="utf-8")
        until = time.monotonic() + 10
        while cluster.deaths == before and time.monotonic() < until:
            time.sleep(0.02)
        cluster.greed.unlink(missing_ok=True)
        return cluster.deaths > before

    _suffering(starve, count, folder, tally, rng)


def scheduler(_: dict[str, Work], count: int, folder: Path, tally: Tally, rng: random.Random) -> None:
    """The scheduler is killed at a random moment, its workers end with it, and all are restarted."""

    def restart(cluster: Kept) -> bool:
        cluster.kill("scheduler")
        time.sleep(rng.uniform(0, 2))
        return True

    _suffering(restart, count, folder, tally, rng)


def _suffering(disturb: Callable[[Kept], bool], count: int, folder: Path, tally: Tally, rng: random.Random) -> None:
    """Runs the commands in turn, disturbs each once or twice until there were `count` disturbances, and compares."""
    if tally.count >= count:
        return
    with kept(folder / "cluster") as cluster:
        turns = cluster_works(folder.parent / "data", cluster)
        for _ in range(2):  # the second time the workers are warm, as in the disturbed runs
            known = [reference(work, folder / f"undisturbed-{work.name}") for work in turns]
        turn = tally.compared
        while tally.count < count:
            work, (expected, seconds) = turns[turn % len(turns)], known[turn % len(turns)]
            turn, before = turn + 1, tally.count
            place, log = fresh(folder / "disturbed"), folder / "log"
            log.unlink(missing_ok=True)
            moments = sorted(rng.uniform(0, seconds) for _ in range(rng.choice((1, 1, 2))))
            while (code := _disturbed(work, place, log, cluster, moments, disturb, tally)) == 1 and _blamed(log):
                log.unlink()  # Dask gives up a job after four workers died in it; the same command resumes
            if code:
                tally.failed(f"{work.name}: code {code}, {tail(log)}")
            else:
                tally.compare(work.result(place), expected, interrupted=tally.count > before)


def _disturbed(
    work: Work,
    place: Path,
    log: Path,
    cluster: Kept,
    moments: list[float],
    disturb: Callable[[Kept], bool],
    tally: Tally,
) -> int:
    """Runs the command once, disturbs it at the given moments, and keeps the cluster running; returns its exit code."""
    started, waiting, process = time.monotonic(), list(moments), fork(work.act, place, log)
    while (code := ended(process)) is None:
        now = time.monotonic() - started
        if waiting and now > waiting[0]:
            waiting.pop(0)
            if disturb(cluster):
                tally.count += 1
                tally.write()
        elif now > SLOWEST_S:
            os.kill(process, signal.SIGKILL)
        cluster.tend()
        time.sleep(0.02)
    return code


def _blamed(log: Path) -> bool:
    return "workers died while running it" in tail(log, 10)
