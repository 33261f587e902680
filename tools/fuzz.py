"""Fuzzing: feeds damaged inputs to all readers; there must be no traceback, hang, crash or high memory use.

    python -m tools.fuzz --seconds 600 --seed 1          (or: make fuzz SECONDS=600)
    python -m tools.fuzz --again video:1:4711             repeat one input, with its traceback

Each input depends only on seed, target and number. Inputs that failed in the past are listed in fuzz_kept.txt and tried
first. Correct outcomes are a result or a GestaError; failures are listed, and their inputs are kept in --out.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import shutil
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

KEPT = Path(__file__).with_name("fuzz_kept.txt")
HANG_S = 20.0
MOST_MB = 1024
WORKERS = 2


@dataclass(frozen=True)
class Case:
    """One input; `str` gives the value for --again."""

    target: str
    seed: int
    number: int

    def __str__(self) -> str:
        return f"{self.target}:{self.seed}:{self.number}"

    @classmethod
    def parse(cls, text: str) -> Case:
        target, seed, number = text.split()[0].split(":")
        return cls(target, int(seed), int(number))


@dataclass
class Report:
    """Number of inputs by target and by outcome, failures (case, reason), the slowest input and the peak memory."""

    inputs: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, str]] = field(default_factory=list)
    slowest_s: float = 0.0
    slowest: str = ""
    peak_mb: int = 0

    def add(self, case: Case, answer: str, seconds: float, peak_mb: int) -> None:
        self.inputs[case.target] += 1
        self.peak_mb = max(self.peak_mb, peak_mb)
        if seconds > self.slowest_s:
            self.slowest_s, self.slowest = seconds, str(case)
        if answer in ("read", "refused"):
            self.answers[answer] += 1
        else:
            self.failures.append((str(case), answer))


def cases(seed: int) -> Iterator[Case]:
    """The kept inputs, then all targets in turn, endlessly."""
    from tools.fuzz_targets import TARGETS

    lines = KEPT.read_text(encoding="utf-8").splitlines() if KEPT.exists() else []
    yield from (Case.parse(line) for line in lines if line.strip() and not line.startswith("#"))
    number = 0
    while True:
        yield from (Case(target, seed, number) for target in TARGETS)
        number += 1


def attempt(case: Case, root: Path) -> str:
    """Creates the input in an empty folder and reads it; returns "read", "refused", or a traceback."""
    from gesta.schema import GestaError
    from tools.fuzz_targets import TARGETS

    rng = np.random.default_rng([case.seed, zlib.crc32(case.target.encode()), case.number])
    try:
        TARGETS[case.target](rng, root)
    except GestaError as error:
        str(error).encode(errors="surrogateescape")
        return "refused"
    except BaseException:
        return traceback.format_exc(limit=-6)
    return "read"


def work(pipe: Connection, root: str) -> None:
    """Runs in a separate process: tries the inputs it receives, and returns (answer, seconds, peak MB) for each."""
    from tools.fuzz_targets import BASES

    sys.stderr = open("/dev/null", "w")  # noqa: SIM115, PTH123
    pipe.send(len(BASES.zip) + len(BASES.bundle))  # create them now, outside the time of the first input
    while (case := pipe.recv()) is not None:
        folder = Path(root)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        start = time.perf_counter()
        answer = attempt(case, folder)
        pipe.send((answer, time.perf_counter() - start, peak_mb()))


def peak_mb() -> int:
    """Peak memory of this process; that of getrusage would include the process that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


class Worker:
    """A process, its current input, and when it got it."""

    def __init__(self, root: Path) -> None:
        self.root, self.case, self.since = root, None, 0.0
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=work, args=(other, str(self.root)), daemon=True)
        self.process.start()
        other.close()
        self.pipe.recv()  # wait until it is ready

    def give(self, case: Case) -> None:
        self.case, self.since = case, time.monotonic()
        self.pipe.send(case)

    def poll(self) -> tuple[str, float, int] | None:
        """The answer, or None if there is none yet; a process that died or hangs is replaced."""
        seconds = time.monotonic() - self.since
        with suppress(EOFError, OSError):
            if self.pipe.poll(0.01):
                found: tuple[str, float, int] = self.pipe.recv()
                if found[2] > MOST_MB:
                    self._end()
                    return f"the process used {found[2]} MB", found[1], found[2]
                return found
            if self.process.is_alive() and seconds < HANG_S:
                return None
        code = self.process.exitcode
        self._end()
        return (f"the process died ({code})" if code is not None else f"no answer in {seconds:.0f} s"), seconds, 0

    def _end(self) -> None:
        self.process.kill()
        self.process.join()
        self._start()

    def stop(self) -> None:
        self.process.kill()
        self.process.join()


def run(seconds: float, seed: int, most: int | None = None, out: Path | None = None, workers: int = WORKERS) -> Report:
    """Tries inputs for some seconds, or at most `most` of them."""
    report, todo = Report(), cases(seed)
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        crew = [Worker(Path(folder) / f"w{i}") for i in range(workers)]
        given = 0
        while True:
            for worker in crew:
                if worker.case is not None and (found := worker.poll()) is not None:
                    _note(report, worker, found, out)
                    worker.case = None
                if worker.case is None and time.monotonic() < end and (most is None or given < most):
                    worker.give(next(todo))
                    given += 1
            if all(worker.case is None for worker in crew):
                break
        for worker in crew:
            worker.stop()
    return report


def _note(report: Report, worker: Worker, found: tuple[str, float, int], out: Path | None) -> None:
    assert worker.case is not None
    answer, seconds, _ = found
    report.add(worker.case, *found)
    if answer not in ("read", "refused"):
        print(f"{worker.case} ({seconds:.1f} s)\n{answer}", file=sys.stderr, flush=True)
        if out is not None and worker.root.exists():
            with suppress(shutil.Error):  # pipes are not copied
                shutil.copytree(
                    worker.root, out / str(worker.case).replace(":", "-"), symlinks=True, dirs_exist_ok=True
                )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--inputs", type=int, help="maximum number of inputs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder for inputs that fail")
    parser.add_argument("--again", type=Case.parse, help="repeat the input TARGET:SEED:NUMBER in this process")
    asked = parser.parse_args()
    if asked.again is not None:
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        print(attempt(asked.again, folder), f"the input: {folder}", sep="\n")
        return 0
    start = time.monotonic()
    report = run(asked.seconds, asked.seed, asked.inputs, asked.out)
    document = {
        "seed": asked.seed,
        "seconds": round(time.monotonic() - start, 1),
        "inputs": sum(report.inputs.values()),
        "by_target": dict(report.inputs),
        "answers": dict(report.answers),
        "failures": report.failures,
        "slowest_s": round(report.slowest_s, 2),
        "slowest": report.slowest,
        "peak_mb": report.peak_mb,
    }
    print(json.dumps(document, indent=1))
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
