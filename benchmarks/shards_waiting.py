"""Share of the training time spent waiting for packed clips, with the page cache dropped before every epoch.

    python benchmarks/shards_waiting.py SHARDS --epochs 3       (as root)

No clip is kept in memory between epochs, so each is read from disk again, as in a data set larger than memory.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from gesta.sources.catalog import read
from gesta.tasks import catalog
from gesta.tasks.clips import data
from gesta.tasks.clips.fit import fit
from gesta.tasks.clips.train_benchmark import Stopwatch
from gesta.training.run import Run


class Dropping(pl.Callback):
    """Empties the page cache before each epoch."""

    def on_train_epoch_start(self, *_: Any) -> None:
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3", encoding="ascii")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shards", type=Path)
    parser.add_argument("--recipe", default="auto")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/waiting"))
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args()
    data.HELD_BYTES = 0
    sets = (f"training.epochs={given.epochs}", "training.least_updates=null", "baselines=false", *given.set)
    recipe, task = catalog.load_recipe(given.recipe, sets), catalog.find("clips")
    parts = task.split(read(given.shards), 0, recipe.model_dump())
    watch = Stopwatch(1e9)
    run = Run(given.out, progress=False)
    fit(parts.listing.samples, recipe, run, layout=parts.listing.layout, callbacks=[Dropping(), watch])
    total = watch.waiting_s + watch.working_s
    row = {"clips_per_s": round(watch.clips / total, 1), "waiting_share": round(watch.waiting_s / total, 4)}
    print(json.dumps(row | {"clips": watch.clips, "seconds": round(total, 1)}))


if __name__ == "__main__":
    main()
