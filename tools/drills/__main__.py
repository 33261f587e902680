"""Drills: commands are killed (kill -9) at random moments, run out of disk, wait for stalled shares, and more.

    python -m tools.drills --count 5                    all, 5 kills of each
    python -m tools.drills cache pack --count 100       some, with their full count; or make drills COUNT=100
    python -m tools.drills --list

    python -m tools.drills --record                     write the results so far to docs/results/drills.json

Each drill first runs its command undisturbed. Then it disturbs the command `--count` times, resumes it in the same way,
and compares the results: which items are lost, duplicated, or different. With the same --out, a drill continues where
it stopped. The exit code is 1 if anything was lost, duplicated or different.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from pathlib import Path

from tools.drills import clusters, faults
from tools.drills.kills import Tally, kill_drill
from tools.drills.record import record
from tools.drills.works import made, warm, works

FAULTS = {**faults.FAULTS, "worker-memory": clusters.memory, "scheduler": clusters.scheduler}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="names of drills (default: all)")
    parser.add_argument("--count", type=int, default=5, help="disturbances of each drill, over all runs")
    parser.add_argument("--out", type=Path, default=Path("runs/drills"), help="folder for data and results")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--list", action="store_true", help="only list the names")
    parser.add_argument("--record", action="store_true", help="write the results in --out to docs/results/drills.json")
    given = parser.parse_args()
    out: Path = given.out.resolve()
    if given.record:
        record(out)
        return 0
    os.environ["GESTA_CACHE"] = str(out / "shared-cache")
    data, base = out / "data", out / "base" / "run" / "bundle"
    every = {work.name: work for work in works(data, base)}
    names = [*every, *FAULTS]
    if given.list or set(given.names) - set(names):
        print(" ".join(names))
        return 0 if given.list else 2
    made(data)
    warm()
    failed = False
    for name in given.names or names:
        tally = Tally.read(out / f"{name}.json")
        rng = random.Random(f"{given.seed} {name} {tally.count}")
        if name in every:
            kill_drill(every[name], given.count, out / name, tally, rng, every["training"], base)
        else:
            FAULTS[name](every, given.count, out / name, tally, rng)
        print(tally.line(name), flush=True)
        failed = failed or not tally.good
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
