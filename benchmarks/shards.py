"""Reading speed of preprocessed clips from shards and from single files, with an empty page cache, as in training.

    python benchmarks/shards.py --clips 2000 --out FOLDER     (as root, for /proc/sys/vm/drop_caches)

Both variants read the same clips in the same random order and in batches, with `ClipCache.load`. Without root, pages
are dropped with posix_fadvise; directories and inodes then stay in memory, which favors single files.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gesta.clips.cache import ClipCache
from gesta.clips.packing import Plan, pack
from gesta.clips.shards import MAIN, Part
from gesta.clips.transform import Transform
from gesta.schema import Listing, Resource, Sample
from gesta.sources.packed import read
from gesta.tasks.clips.data import ClipSet
from gesta.training.data import EpochBatches

SIZES = {
    "dd-net, 11 kB": 0.011,
    "c3d-small, 131 kB": 0.131,
    "auto of color, 10 frames/s, 307 kB": 0.307,
    "auto of depth and skeleton, 393 kB": 0.393,
    "auto of color, 25 frames/s, 602 kB": 0.602,
}
"""Median size in MB of clips that the recipes prepare from generated data (docs/shards.md)."""
BATCH = 16


def transform_of(megabytes: float) -> tuple[Transform, int]:
    """A transform, and the number of its frames that have this size."""
    transform = Transform(fps=10, streams=("body",), channels=("gray",), body="frame", size=64)
    return transform, max(1, round(megabytes * 1e6 / 64**2))


def stored(folder: Path, clips: int, megabytes: float) -> tuple[list[Sample], list[Sample], Transform]:
    """Stores the same random clips as cache entries and in shards."""
    transform, frames = transform_of(megabytes)
    source = folder / "source"
    source.mkdir(parents=True)
    cache, samples = ClipCache(), []
    noise = np.random.default_rng(0).integers(0, 256, (frames, 1, 64, 64, 1), np.uint8)
    for i in range(clips):
        path = source / f"{i:06d}.mkv"
        path.write_bytes(str(i).encode())  # stands in for a video: its content is the key
        samples.append(Sample(path.name, path.name, Resource(path), label="x"))
        entry = cache._entry(samples[-1], transform)
        entry.parent.mkdir(parents=True, exist_ok=True)
        np.save(entry, noise)
    pack(
        Listing(source, "videos", tuple(samples)),
        Plan("auto", (Part(name=MAIN, transform=transform),), {}),
        folder / "s",
    )
    return samples, list(read(folder / "s").samples), transform


def drop(folder: Path) -> str:
    """Drops these files from the page cache; returns the method."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3", encoding="ascii")
    except OSError:
        for path in folder.rglob("*"):
            if path.is_file():
                with path.open("rb") as stream:
                    os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return "posix_fadvise"
    return "drop_caches"


def rate(samples: Sequence[Sample], transform: Transform, seed: int) -> float:
    """Clips per second, as read in training, including a copy of the pixels."""
    cache = ClipCache()
    for sample in samples:
        cache.fingerprint(sample)  # known after the first epoch
    drop(cache.root.parent)
    clips = ClipSet(samples, ["x"], transform, cache)
    batches = EpochBatches(clips, BATCH, shuffle=True, seed=seed)
    started = time.perf_counter()
    for batch in batches:
        for i in batch:
            np.array(cache.load(samples[i], transform).pixels)
    return len(samples) / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()), help="folder on the disk to measure")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for name, megabytes in SIZES.items():
        folder = Path(tempfile.mkdtemp(dir=given.out))
        os.environ["GESTA_CACHE"] = str(folder / "cache")
        try:
            files, packed, transform = stored(folder, given.clips, megabytes)
            how = drop(folder)
            found: dict[str, list[float]] = {"files": [], "shards": []}
            for seed in range(given.repeats):
                found["files"].append(rate(files, transform, seed))
                found["shards"].append(rate(packed, transform, seed))
            ratio = float(np.median(found["shards"]) / np.median(found["files"]))
            row = {"clip": name, "dropped_by": how, "ratio": round(ratio, 1)}
            print(json.dumps(row | {k: [round(v) for v in values] for k, values in found.items()}), flush=True)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
