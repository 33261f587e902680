"""Writes the results of the drills to docs/results/drills.json."""

from __future__ import annotations

import json
from pathlib import Path

from tools.drills.kills import Tally
from tools.results import DOCS

COLUMNS = [
    "drill",
    "command",
    "disturbed",
    "finished and compared",
    "of them interrupted",
    "lost, duplicated, different",
]
DRILLS = {
    "cache": "kill -9: filling the cache, two threads",
    "pack": "kill -9: `gesta data pack`",
    "features": "kill -9: `gesta features`",
    "track": "kill -9: `gesta track`, with mock networks",
    "training": "kill -9: `gesta train --resume`",
    "tune": "kill -9: `gesta tune`",
    "compress": "kill -9: `gesta compress`, with speeds measured in the same process",
    "reproduce": "kill -9: `gesta reproduce mullick/table-3.2`, two workers",
    "worker-memory": "a Dask worker runs out of memory and is stopped, in data prepare, features and crossval in turn",
    "scheduler": "the Dask scheduler is killed with -9 and restarted with its workers, in the same commands",
    "full-disk": "disk full at a random size (a small tmpfs) in cache, pack, features, track and training in turn; "
    "then the disk is enlarged and the same command repeated",
    "stalling-share": "a network share that stalls for up to 1.5 s at one read in five, in cache, pack and features",
    "jumping-clock": "a clock that jumps by up to ten years, back and forth, in cache, pack, features, track and "
    "training",
    "two-users": "two processes fill and read one cache that is too small for both; one is killed in half of the cases",
}
GOALS = dict.fromkeys(("cache", "pack", "features", "track"), 100)
GOALS |= dict.fromkeys(("training", "tune", "compress", "reproduce", "worker-memory", "scheduler"), 20)


def record(out: Path) -> None:
    """Writes the results of the drills in a folder to docs/results/drills.json; keeps those of other drills."""
    path = DOCS / "results" / "drills.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    rows = {row[1].rpartition("=")[2].strip("`"): row for row in document["rows"]}
    for name, what in DRILLS.items():
        if (tally := Tally.read(out / f"{name}.json")).count:
            command = f"`make drills COUNT={tally.count} ARGS={name}`"
            ends = (tally.count, tally.compared, tally.interrupted)
            rows[name] = [what, command, *map(str, ends), f"{tally.lost}, {tally.doubled}, {tally.unequal}"]
    document["columns"] = COLUMNS
    document["rows"] = [rows[name] for name in DRILLS if name in rows]
    document["not_run"] = [
        f"{what}: {GOALS.get(name, 1)} times"
        for name, what in DRILLS.items()
        if name not in rows or int(rows[name][2]) < GOALS.get(name, 1)
    ]
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
