"""Time and memory to read the index of a million packed clips, to split the clips, and to shuffle them for an epoch.

    python benchmarks/shard_index.py --clips 1000000

Names are generated, and the shards are sparse files of the right size: only the index is measured, in a separate
process.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gesta.clips.shards import MAIN, Contents, Part, ShardFile, ShardIndex, index_path
from gesta.clips.transform import Transform

CLIP_BYTES, SHARD_BYTES, PEOPLE, CLASSES = 163_968, 2**30, 2_000, 400


def generated(folder: Path, clips: int) -> None:
    """Writes the output of `gesta data pack` without the clips themselves."""
    each = SHARD_BYTES // (CLIP_BYTES + 1536)
    files = []
    for number, first in enumerate(range(0, clips, each)):
        path, count = folder / f"clips-{number:06d}.tar", min(each, clips - first)
        index = index_of(first, count)
        index_path(path).write_text(index.model_dump_json())
        with path.open("wb") as stream:
            stream.truncate(index.filesize)
        files.append(ShardFile(name=path.name, clips=count, bytes=index.filesize, sha256=index.sha256))
    part = Part(name=MAIN, transform=Transform(fps=10, streams=("body",), body="frame"))
    contents = Contents(layout="index_csv", recipe="auto", parts=[part], shards=files)
    (folder / "shards.json").write_text(contents.model_dump_json())


def index_of(first: int, count: int) -> ShardIndex:
    """Index of `count` clips, each a separate recording."""
    numbers = range(first, first + count)
    names = [f"class_{n % CLASSES:03d}/person_{n // 500:04d}_take_{n:07d}.mp4" for n in numbers]
    offsets = [512 + i * (CLIP_BYTES + 1536) for i in range(count)]
    return ShardIndex(
        filesize=offsets[-1] + CLIP_BYTES + 10_240,
        sha256="0" * 64,
        first=first,
        id=names,
        recording=names,
        label=[f"class_{n % CLASSES:03d}" for n in numbers],
        subject=[f"person_{n % PEOPLE:04d}" for n in numbers],
        split=[None] * count,
        modalities=["color+depth"] * count,
        crops=[False] * count,
        fps=[30.0] * count,
        first_frame=[None] * count,
        last_frame=[None] * count,
        fingerprint=[hashlib.sha256(name.encode()).hexdigest() for name in names],
        source_bytes=[500_000] * count,
        problem=[None] * count,
        offset={MAIN: offsets},
        bytes={MAIN: [CLIP_BYTES] * count},
        crc32={MAIN: [0] * count},
    )


def measured(folder: Path) -> dict[str, float]:
    """Measures what `gesta train` does with an index before it reads a clip, in this process."""
    from gesta.sources.inputs import read_data, split_samples

    marks = [("start", time.process_time(), peak_bytes())]
    began = time.perf_counter()
    listing = read_data(folder, None)
    marks.append(("read", time.process_time(), peak_bytes()))
    listing, _ = split_samples(listing, 0, "subject")
    train = [s for s in listing.samples if s.split == "train"]
    marks.append(("split", time.process_time(), peak_bytes()))
    wall = time.perf_counter() - began
    from gesta.training.data import EpochBatches

    marks.append(("pytorch", time.process_time(), peak_bytes()))
    batches = sum(1 for _ in EpochBatches(_Set(len(train)), 32, shuffle=True, world=8))
    marks.append(("order", time.process_time(), peak_bytes()))
    found: dict[str, float] = {"clips": len(listing.samples), "train": len(train), "batches": batches}
    for (_, before, _), (name, after, peak) in itertools.pairwise(marks):
        found |= {f"{name}_cpu_s": round(after - before, 1), f"{name}_peak_mb": round(peak / 2**20)}
    return found | {"libraries_mb": round(marks[0][2] / 2**20), "read_and_split_wall_s": round(wall, 1)}


class _Set:
    epoch = 0

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count


def peak_bytes() -> int:
    """Peak memory of this process (VmHWM)."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(text.partition("VmHWM:")[2].split()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=1_000_000)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure is not None:
        print(json.dumps(measured(given.measure)))
        return
    with tempfile.TemporaryDirectory() as folder:
        generated(Path(folder), given.clips)
        size = sum(path.stat().st_size for path in Path(folder).glob("*.json"))
        print(f"index on disk: {size / 2**20:.0f} MB", flush=True)
        subprocess.run([sys.executable, __file__, "--measure", folder], check=True)


if __name__ == "__main__":
    main()
