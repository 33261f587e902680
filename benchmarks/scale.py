"""Cost of preparing a clip for training, in bytes and processor seconds of one core: the rates in docs/scale.md.

gesta data make isogd DATA --people 3 --classes 10 && python benchmarks/scale.py DATA
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from gesta.clips.cache import ClipCache
from gesta.clips.packing import pack
from gesta.clips.read import iter_raw_sample
from gesta.schema import bytes_of
from gesta.sources.catalog import read
from gesta.sources.packed import read as read_packed
from gesta.tasks import catalog
from gesta.tasks.clips.pack import plan_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--recipe", default="auto")
    given = parser.parse_args()
    listing, task, recipe = read(given.data), catalog.find("clips"), catalog.load_recipe(given.recipe)
    plan, _ = plan_of(task.split(listing, 0, recipe.model_dump()), recipe, 2**30)
    transform, clips = plan.parts[0].transform, len(listing.samples)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GESTA_CACHE"] = str(Path(folder) / "cache")
        started = time.process_time()
        frames = sum(1 for sample in listing.samples for _ in iter_raw_sample(sample, transform.colored))
        decoded = time.process_time()
        done = pack(listing, plan, Path(folder) / "shards", workers=1)
        packed = time.process_time()
        samples = read_packed(Path(folder) / "shards").samples
        read_again = time.process_time()
        ClipCache().fill(samples, transform)
        checked = time.process_time()
    row = {
        "clips": clips,
        "frames_a_clip": round(frames / clips, 1),
        "recording_bytes_a_clip": sum(map(bytes_of, listing.samples)) // clips,
        "packed_bytes_a_clip": done.bytes // clips,
        "decode_core_s_a_clip": round((decoded - started) / clips, 4),
        "pack_core_s_a_clip": round((packed - decoded) / clips, 4),
        "check_mb_a_core_s": round(done.bytes / 1e6 / (checked - read_again)),
        "transform": f"{transform.fps:g} frames/s, {transform.size} pixels, {'+'.join(transform.streams)}",
    }
    print(json.dumps(row))


if __name__ == "__main__":
    main()
