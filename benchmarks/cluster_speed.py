"""Speed of `gesta data prepare` and `gesta features` with one and with two Dask workers on this computer.

    python benchmarks/cluster_speed.py FOLDER --clips 2000

Also checks that both give the same bytes. `--distinct` recordings are generated once and then copied; each copy has a
different comment in its header, so that its content differs and it costs as much as a generated one. A worker has one
thread for decoding and one for the network. "seconds": from the start of the first job to the end of the last;
"start_s": the rest of the command's time, for imports, starting and stopping the cluster, listing the data, and the
index.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import av

FEATURES = ("--backbone", "resnet18", "--weights", "random", "--frames", "5")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--distinct", type=int, default=60, help="number of generated recordings, 15 per take")
    parser.add_argument("--size", default="160x120")
    parser.add_argument("--length", type=int, default=40, help="maximum number of frames per recording")
    parser.add_argument("--only", choices=["make", "prepare", "features"])
    given = parser.parse_args()
    data = made(
        given.folder / "data",
        given.clips,
        given.length,
        ("--recordings", -(-given.distinct // 15), "--size", given.size),
    )
    for name in ("prepare", "features"):
        if given.only in (None, name):
            one, two = (measured(name, data, given.folder / f"{name}-{workers}", workers) for workers in (1, 2))
            same = one.pop("bytes") == two.pop("bytes")
            ratio = {"ratio": round(one["seconds"] / two["seconds"], 3), "identical": same}
            with_start = round(one["whole_s"] / two["whole_s"], 3)
            print(
                json.dumps({"what": name, "one": one, "two": two, **ratio, "ratio_with_start": with_start}), flush=True
            )


def made(data: Path, clips: int, length: int, generated: tuple[object, ...]) -> Path:
    """Generates recordings and their copies, with an index.csv."""
    if (data / "index.csv").exists():
        return data
    source = data.with_name("generated")
    if not source.exists():
        words = ("gesta", "data", "make", "ucf101", source, "--people", 5, "--classes", 3, *generated)
        subprocess.run(list(map(str, words)), check=True, stdout=sys.stderr)
    recordings = sorted(source.rglob("*.avi"))
    data.mkdir(parents=True)
    rows = []
    for number in range(clips):
        recording, path = recordings[number % len(recordings)], data / f"{number:05d}.avi"
        copied(recording, path, length, f"copy {number}")
        rows.append((path.name, *recording.stem.split("_")[1:3]))
    with (data / "index.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("path", "label", "subject"), *rows])
    return data


def copied(source: Path, path: Path, length: int, comment: str) -> None:
    """Copies the first packets to a new file with a comment."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        new.metadata["comment"] = comment
        track = new.add_stream_from_template(old.streams.video[0])
        for packet in itertools.islice(old.demux(old.streams.video[0]), length):
            if packet.dts is not None:
                packet.stream = track
                new.mux(packet)


def measured(name: str, data: Path, out: Path, workers: int) -> dict[str, Any]:
    """Runs the command in an empty folder; returns its times, and in `bytes` a hash of each file that it wrote."""
    shutil.rmtree(out, ignore_errors=True)
    os.environ["GESTA_CACHE"] = str(out / "cache")
    what = ("data", "prepare", data, "--recipe", "auto") if name == "prepare" else ("features", data, *FEATURES)
    where = () if name == "prepare" else ("--out", out / "features")
    started, before = time.monotonic(), os.times()
    command = ["gesta", *map(str, (*what, *where)), "--cluster", f"local:{workers}", "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    whole, after = time.monotonic() - started, os.times()
    record = Path(json.loads(done.stdout)["record"]) if name == "prepare" else out / "features"
    ends = [json.loads(p.read_text()) for p in (record / ".jobs").glob("*.json") if not p.name.startswith("plan-")]
    times = [(datetime.fromisoformat(one["ended"]).timestamp(), one["seconds"]) for one in ends]
    span = max(end for end, _ in times) - min(end - took for end, took in times)
    return {
        "jobs": len(times),
        "seconds": round(span, 2),
        "working_s": round(sum(took for _, took in times), 2),
        "whole_s": round(whole, 2),
        "start_s": round(whole - span, 2),
        "processor_s": round(
            after.children_user + after.children_system - before.children_user - before.children_system, 1
        ),
        "bytes": results(out / "cache" / "clips" if name == "prepare" else out / "features"),
    }


def results(folder: Path) -> dict[str, str]:
    """Hash of each file, except records of the jobs."""
    paths = (path for path in folder.rglob("*") if path.is_file() and not record_of_work(path.relative_to(folder)))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def record_of_work(path: Path) -> bool:
    return path.parts[0] in (".jobs", "events.jsonl")


if __name__ == "__main__":
    main()
