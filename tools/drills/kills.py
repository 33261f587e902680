"""One drill: kill, resume, compare; and its stored results."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tools.drills.processes import fork, killed_after, tail, whole
from tools.drills.works import Result, Work

LET_THROUGH = 0.4
"""Probability that a resumed command is not killed again."""


@dataclass
class Tally:
    """Results of one drill: `count` disturbances; `compared` commands that finished, `interrupted` of them after a
    stop; and what was wrong."""

    path: Path
    count: int = 0
    compared: int = 0
    interrupted: int = 0
    lost: int = 0
    doubled: int = 0
    unequal: int = 0
    errors: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Tally:
        """Reads the results so far."""
        return cls(path, **json.loads(path.read_text(encoding="utf-8"))) if path.exists() else cls(path)

    def write(self) -> None:
        document = {key: value for key, value in asdict(self).items() if key != "path"}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")

    def compare(self, found: Result, expected: Result, *, interrupted: bool) -> None:
        """Adds one finished command."""
        self.compared += 1
        self.interrupted += interrupted
        self.lost += len(expected.items.keys() - found.items.keys())
        more = found.items.keys() - expected.items.keys()
        self.doubled += len(found.doubled) + len(more)
        differ = [name for name, one in found.items.items() if expected.items.get(name, one) != one]
        self.unequal += len(differ)
        for name in [*found.doubled, *sorted(more), *differ][:3]:
            self.errors.append(f"run {self.compared}: {name}")
        self.write()

    def failed(self, text: str) -> None:
        """Adds a command that did not finish."""
        self.errors.append(text)
        self.write()

    @property
    def good(self) -> bool:
        return not (self.lost or self.doubled or self.unequal or self.errors)

    def line(self, name: str) -> str:
        told = "" if not self.errors else f"; first: {self.errors[0]}"
        return (
            f"{name}: {self.count} disturbances, {self.compared} finished and compared ({self.interrupted} of them "
            f"interrupted): {self.lost} lost, {self.doubled} duplicated, {self.unequal} different{told}"
        )


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def reference(work: Work, folder: Path) -> tuple[Result, float]:
    """Result and duration of an undisturbed run. Raises RuntimeError if it fails."""
    fresh(folder)
    code, seconds = whole(work.act, folder, folder / "log")
    if code:
        raise RuntimeError(f"{work.name}: fails without a disturbance, code {code}: {tail(folder / 'log')}")
    return work.result(folder), seconds


def based(training: Work, base: Path) -> None:
    """Trains a bundle for the commands that need one."""
    if not (base / "manifest.json").exists():
        reference(training, base.parents[1])


def kill_drill(
    work: Work, count: int, folder: Path, tally: Tally, rng: random.Random, training: Work, base: Path
) -> None:
    """Kills the command `count` times at random moments and resumes it; compares the results whenever it finishes."""
    if tally.count >= count:
        return
    if work.name == "compress":
        based(training, base)
    expected, seconds = reference(work, folder / "undisturbed")
    again, _ = reference(work, folder / "undisturbed")
    unsteady = [name for name in expected.items if expected.items[name] != again.items.get(name)]
    if unsteady:
        raise RuntimeError(f"{work.name}: undisturbed runs differ in {unsteady[:3]}")
    while tally.count < count:
        place, log = fresh(folder / "killed"), folder / "log"
        code, before = None, tally.count
        while code is None:
            through = tally.count >= count or (any(place.iterdir()) and rng.random() < LET_THROUGH)
            if through:
                code, _ = whole(work.act, place, log)
            elif (code := killed_after(fork(work.act, place, log), rng.uniform(0, seconds))) is None:
                tally.count += 1
                tally.write()
        if code:
            tally.failed(f"the resumed command fails, code {code}: {tail(log)}")
        else:
            tally.compare(work.result(place), expected, interrupted=tally.count > before)
