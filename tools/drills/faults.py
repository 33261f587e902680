"""Full disk, stalling share, jumping clock, two users of one cache."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tools.drills.kills import Tally, fresh, reference
from tools.drills.processes import Act, fork, killed_after, tail, whole
from tools.drills.works import GRAY, Result, Work

Fault = Callable[[dict[str, Work], int, Path, Tally, random.Random], None]
WRITERS = ("cache", "pack", "features", "track", "training")


def full_disk(every: dict[str, Work], count: int, folder: Path, tally: Tally, rng: random.Random) -> None:
    """Runs a command on a file system of a random, insufficient size; then enlarges it and resumes."""
    mount = folder / "small"
    mount.mkdir(parents=True, exist_ok=True)
    if os.path.ismount(mount):  # left by an interrupted drill
        subprocess.run(["umount", mount], check=True)
    known: dict[str, tuple[Result, int]] = {}
    while tally.count < count:
        work = every[WRITERS[tally.count % len(WRITERS)]]
        if work.name not in known:
            expected, _ = reference(work, folder / "undisturbed")
            known[work.name] = expected, _size(folder / "undisturbed")
        expected, size = known[work.name]
        room = max(4096, int(size * rng.uniform(0.05, 0.95)))
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={room}", "tmpfs", mount], check=True)
        try:
            place, log = mount / "work", folder / "log"
            place.mkdir()
            code, _ = whole(work.act, place, log)
            if code != 1 or "Traceback" in tail(log, 60):
                tally.failed(f"{work.name} on a full disk: code {code}, {tail(log)}")
            log.unlink()
            subprocess.run(["mount", "-o", f"remount,size={20 * size + 2**24}", mount], check=True)
            _resumed(work, place, log, expected, tally, code != 0)
        finally:
            subprocess.run(["umount", mount], check=True)
        tally.count += 1
        tally.write()


def stalling_share(every: dict[str, Work], count: int, folder: Path, tally: Tally, rng: random.Random) -> None:
    """Reading a recording stalls for a while at random reads."""
    _patched(every, ("cache", "pack", "features"), _stalling, count, folder, tally, rng)


def jumping_clock(every: dict[str, Work], count: int, folder: Path, tally: Tally, rng: random.Random) -> None:
    """The computer's clock jumps by up to ten years, back and forth, while the command runs."""
    _patched(every, ("cache", "pack", "features", "track", "training"), _jumping, count, folder, tally, rng)


def two_users(every: dict[str, Work], count: int, folder: Path, tally: Tally, rng: random.Random) -> None:
    """Two processes fill and read one cache that is too small for both; one is killed in half of the cases."""
    from gesta.clips.cache import ClipCache
    from gesta.sources.catalog import read

    samples = read(folder.parent / "data").samples
    expected, seconds = reference(every["cache"], folder / "undisturbed")
    clips = {s.id: ClipCache(folder / "undisturbed" / "cache").load(s, GRAY).pixels for s in samples}
    limit = sum(pixels.nbytes for pixels in clips.values()) // 2

    def user(place: Path) -> None:
        cache = ClipCache(place / "cache", limit)
        cache.fill(samples, GRAY, workers=2)
        wrong = [s.id for s in samples if not np.array_equal(cache.load(s, GRAY).pixels, clips[s.id])]
        if wrong:
            raise SystemExit(f"clips differ from the undisturbed run: {wrong}")

    while tally.count < count:
        place = fresh(folder / "shared")
        logs = [folder / "log0", folder / "log1"]
        first, second = (fork(user, place, log) for log in logs)
        kill = rng.random() < 0.5
        codes = [killed_after(first, rng.uniform(0, 2 * seconds) if kill else 600), killed_after(second, 600)]
        if codes[1] != 0 or codes[0] not in (0, None):
            tally.failed(f"codes {codes}: {tail(logs[0])} {tail(logs[1])}")
        tally.count += 1
        for path in logs:
            path.unlink()
        _resumed(every["cache"], place, folder / "log", expected, tally, codes[0] is None)


def _resumed(work: Work, place: Path, log: Path, expected: Result, tally: Tally, interrupted: bool) -> None:
    code, _ = whole(work.act, place, log)
    if code:
        tally.failed(f"{work.name} resumed: code {code}, {tail(log)}")
    else:
        tally.compare(work.result(place), expected, interrupted=interrupted)


def _patched(
    every: dict[str, Work],
    names: tuple[str, ...],
    patch: Callable[[random.Random], None],
    count: int,
    folder: Path,
    tally: Tally,
    rng: random.Random,
) -> None:
    """Runs a command in a process with a fault: it must finish by itself, with equal results."""
    known: dict[str, Result] = {}
    while tally.count < count:
        work = every[names[tally.count % len(names)]]
        if work.name not in known:
            known[work.name], _ = reference(work, folder / "undisturbed")
        disturbed = replace(work, act=_with(patch, rng.random(), work.act))
        _resumed(disturbed, fresh(folder / "disturbed"), folder / "log", known[work.name], tally, False)
        tally.count += 1
        tally.write()


def _with(patch: Callable[[random.Random], None], seed: float, act: Act) -> Act:
    def patched(folder: Path) -> None:
        patch(random.Random(seed))
        act(folder)

    return patched


def _stalling(rng: random.Random) -> None:
    from gesta import schema

    real = schema.open_file

    def slow(path: Path) -> Any:
        if rng.random() < 0.2:
            time.sleep(rng.uniform(0, 1.5))
        return real(path)

    schema.open_file = slow


def _jumping(rng: random.Random) -> None:
    real, year = time.time, 365 * 86400

    def jumping() -> float:
        return real() + (rng.uniform(-10, 10) * year if rng.random() < 0.5 else 0.0)

    time.time = jumping


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


FAULTS: dict[str, Fault] = {
    "full-disk": full_disk,
    "stalling-share": stalling_share,
    "jumping-clock": jumping_clock,
    "two-users": two_users,
}
