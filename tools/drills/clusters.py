"""A kept Dask cluster that suffers: workers that use up their memory, a scheduler that is killed and started again."""

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
    """A scheduler and two workers, as somebody keeps them: what ends is started again (docs/cluster.md)."""

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
        """Starts what is not running."""
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
        """Workers that Dask has ended for their memory."""
        logs = [self.folder / f"worker-{number}.log" for number in (0, 1)]
        return sum(log.read_text(errors="replace").count("memory budget") for log in logs if log.exists())


@contextmanager
def kept(folder: Path) -> Iterator[Kept]:
    """A cluster in a folder of its own; its processes end with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        cluster = Kept(fresh(folder), free.getsockname()[1])
    cluster.tend()
    try:
        yield cluster
    finally:
        for process in reversed(cluster.running.values()):
            process.terminate()  # a worker's nanny ends its worker
        for process in cluster.running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


def cluster_works(data: Path, cluster: Kept) -> list[Work]:
    """Commands whose jobs go to the cluster."""
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
    """A worker uses up its memory at a random moment of the work; Dask ends it and starts another."""

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
    """The scheduler is killed at a random moment of the work, its workers end with it, and all are started again."""

    def restart(cluster: Kept) -> bool:
        cluster.kill("scheduler")
        time.sleep(rng.uniform(0, 2))
        return True

    _suffering(restart, count, folder, tally, rng)


def _suffering(disturb: Callable[[Kept], bool], count: int, folder: Path, tally: Tally, rng: random.Random) -> None:
    """Each work in turn, disturbed once or twice, until there were `count` disturbances; then compared."""
    if tally.count >= count:
        return
    with kept(folder / "cluster") as cluster:
        turns = cluster_works(folder.parent / "data", cluster)
        for _ in range(2):  # the second time its workers are warm, as they are when they are disturbed
            known = [reference(work, folder / f"undisturbed-{work.name}") for work in turns]
        turn = tally.compared
        while tally.count < count:
            work, (expected, seconds) = turns[turn % len(turns)], known[turn % len(turns)]
            turn, before = turn + 1, tally.count
            place, log = fresh(folder / "disturbed"), folder / "log"
            log.unlink(missing_ok=True)
            moments = sorted(rng.uniform(0, seconds) for _ in range(rng.choice((1, 1, 2))))
            while (code := _disturbed(work, place, log, cluster, moments, disturb, tally)) == 1 and _blamed(log):
                log.unlink()  # a job in whose time four workers died is refused; the same command goes on
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
    """Runs the work once, disturbs it at the moments, keeps the cluster running. Its exit code."""
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
    return "workers died while they were at it" in tail(log, 10)
