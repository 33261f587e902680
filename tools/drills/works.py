"""The commands that are disturbed, on tiny data, and how their results are read."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from gesta.clips.cache import ClipCache
from gesta.clips.transform import Transform
from gesta.leftovers import _TEMPORARY
from gesta.schema import GestaError

GRAY = Transform(fps=10, streams=("body",), channels=("gray",), body="frame", size=32)
INPUT = "input.fps=10 input.size=16 input.streams=[body] augmentation.context=0"
LEARN = f"{INPUT} model.width=0.0625 training.epochs=4 training.batch=8 baselines=false"
PEOPLE, TAKES, FRAMES = 4, 4, 16


@dataclass(frozen=True)
class Result:
    """Contents of a folder: the hash of each item, and the items that exist more than once."""

    items: dict[str, str]
    doubled: tuple[str, ...] = ()


@dataclass(frozen=True)
class Work:
    """A command: `act(folder)` starts or resumes it; `result(folder)` reads its result."""

    name: str
    act: Callable[[Path], None]
    result: Callable[[Path], Result]
    count: int = 100


def made(folder: Path) -> Path:
    """Makes videos of a square that moves right or down, of PEOPLE people, with an index.csv."""
    if (folder / "index.csv").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["path,label,subject,split"]
    for person in range(PEOPLE):
        for take in range(2 * TAKES):
            name, split = f"p{person}_{take}.mkv", ("train", "train", "val", "test")[person % 4]
            _video(folder / name, down=take % 2 == 1, side=8 + 2 * person, across=6 + 3 * take)
            rows.append(f"{name},{('right', 'down')[take % 2]},person{person},{split}")
    (folder / "index.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def _video(path: Path, *, down: bool, side: int, across: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "bgr0"
        for t in range(FRAMES):
            image = np.full((64, 64, 3), 20, np.uint8)
            rows, columns = slice(across, across + side), slice(3 * t, 3 * t + side)
            image[(columns, rows) if down else (rows, columns)] = 220
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def gesta(*words: object) -> None:
    """Calls the command line in this process."""
    from gesta.cli import main

    sys.argv = ["gesta", *map(str, words)]
    main()


@contextmanager
def told() -> Iterator[None]:
    """Exits with code 1 for errors, like the command line."""
    try:
        yield
    except GestaError as error:
        sys.exit(f"Error: {error}")


def sets(text: str) -> list[str]:
    return [word for one in text.split() for word in ("--set", one)]


def hashed(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def files(folder: Path, pattern: str = "**/*") -> Result:
    """All files by name and hash; files that a crash left under a temporary name count as duplicates."""
    found = {str(p.relative_to(folder)): hashed(p.read_bytes()) for p in folder.glob(pattern) if p.is_file()}
    return Result({name: one for name, one in found.items() if not _TEMPORARY.search(name)}, left_behind(folder))


def left_behind(folder: Path) -> tuple[str, ...]:
    """Files with temporary names that are no longer used."""
    return tuple(str(p) for p in folder.rglob("*") if _TEMPORARY.search(p.name))


def works(data: Path, base: Path) -> list[Work]:
    """All commands. `data`: from `made`; `base`: a trained bundle, for commands that need one."""

    def cache(folder: Path) -> None:
        from gesta.sources.catalog import read

        with told():
            sys.exit(len(ClipCache(folder / "cache").fill(read(data).samples, GRAY, workers=2)))

    def pack(folder: Path) -> None:
        gesta("data", "pack", data, "--out", folder / "shards", "--shard-size", "20K", *sets(INPUT))

    def features(folder: Path) -> None:
        words = ("--backbone", "resnet18", "--weights", "random", "--size", 32, "--frames", 2, "--threads", 1)
        gesta("features", data, "--out", folder / "features", *words)

    def train(folder: Path) -> None:
        gesta("train", data, "--out", folder / "run", "--resume", *sets(LEARN))

    def tune(folder: Path) -> None:
        words = ("--rounds", 2, "--trials", 2, *sets(LEARN), "--set", "training.epochs=1")
        gesta("tune", data, "--recipe", "auto", "--out", folder / "tuned", *words)

    def compress(folder: Path) -> None:
        _measured_here()
        words = ("--epochs", 1, "--steps", 1, "--keep", 0.5, "--seconds", 0.01, "--max-drop", 100)
        gesta("compress", base, data, "--out", folder / "small", *words)

    def reproduce(folder: Path) -> None:
        words = ("--data", data, "--seeds", 1, "--workers", 2, *sets(LEARN), "--set", "training.epochs=1")
        gesta("reproduce", "mullick/table-3.2", "--out", folder / "tables", *words)

    return [
        Work("cache", cache, lambda folder: files(folder / "cache", "clips/*/*")),
        Work("pack", pack, packed),
        Work("features", features, stored),
        Work("track", lambda folder: track(data, folder / "tracked"), tracked),
        Work("training", train, trained, 20),
        Work("tune", tune, tuned, 20),
        Work("compress", compress, compressed, 20),
        Work("reproduce", reproduce, lambda folder: results(folder / "tables"), 20),
    ]


def _measured_here() -> None:
    """Measures speeds in this process: they do not have to be right here, and new processes take longest."""
    from gesta.engines import host
    from gesta.evaluation.latency import measure
    from gesta.exporting import run

    def here(bundle: Any, inputs: Path, *rest: Any) -> dict[str, Any]:
        with np.load(inputs, allow_pickle=False) as arrays:
            return measure(bundle, [arrays[name] for name in arrays.files], *rest)

    host.pin_to_one_core = lambda: False
    run.in_own_process = here


def packed(folder: Path) -> Result:
    found = files(folder / "shards")
    ids = Counter(i for p in (folder / "shards").glob("clips-*.json") for i in json.loads(p.read_text())["id"])
    return Result(found.items, (*found.doubled, *(name for name, count in ids.items() if count > 1)))


def stored(folder: Path) -> Result:
    import safetensors.numpy

    from gesta.tasks.feature_store import FeatureFolder

    there = FeatureFolder(folder / "features")
    shards = list((folder / "features").glob("shard-*.safetensors"))
    ids = Counter(name for path in shards for name in safetensors.numpy.load_file(path))
    items = {entry.id: hashed(there.load(entry.id).tobytes()) for entry in there.entries}
    twice = tuple(name for name, count in ids.items() if count > 1)
    return Result(items, (*left_behind(folder / "features"), *twice))


def track(data: Path, out: Path) -> None:
    """Tracks with mock networks, because the package has no real ones: a person moves through the image."""
    from gesta.experiments import track as dataset
    from gesta.experiments import track_recording as recording
    from gesta.sources.catalog import read

    recording.Tracker = Stand  # type: ignore[attr-defined, assignment, misc]
    dataset.identity = lambda **settings: json.dumps(settings, sort_keys=True)
    with told():
        dataset.track(read(data), out, {"what": "both", "mask": True}, workers=1)


class Stand:
    """A mock tracker with known results."""

    def __init__(self, what: Any, mask: bool = False, **_: Any) -> None:
        from gesta.trackers import joint_names

        self.what, self.joints, self.mask, self.sha256 = what, joint_names(what), mask, "stand-in"

    def reset(self) -> None:
        self.frame = -1

    def step(self, rgb: Any, time_s: float) -> Any:
        from gesta.trackers import Landmarks, Person

        self.frame += 1
        body = np.full((33, 3), self.frame, np.float32)
        mask = np.full(rgb.shape[:2], self.frame % 2 == 1)
        person = Person(body, np.full(33, 0.5, np.float32), 0.9, mask if self.mask else None)
        return Landmarks(time_s, rgb.shape[:2], (), person)


def tracked(folder: Path) -> Result:
    """The values of skeletons and masks, because archives and videos contain their date, and the index."""
    out = folder / "tracked"
    paths = sorted(p for p in out.rglob("*") if p.is_file() and "videos" not in p.parts)
    items = {str(path.relative_to(out)): hashed(_content(path)) for path in paths}
    with (out / "index.csv").open(encoding="utf-8", newline="") as stream:
        rows = Counter(row["path"] for row in csv.DictReader(stream))
    return Result(items, (*left_behind(out), *(name for name, count in rows.items() if count > 1)))


def _content(path: Path) -> bytes:
    from gesta.clips.decode import iter_frames
    from gesta.schema import Resource

    if path.suffix in (".npz", ".npy"):
        loaded = np.load(path)
        arrays = dict(loaded) if path.suffix == ".npz" else {"": loaded}
        return b"".join(k.encode() + arrays[k].tobytes() for k in sorted(arrays) if "seconds" not in k)
    if path.suffix == ".mkv":
        return b"".join(image.tobytes() for _, image in iter_frames(Resource(path), "gray") if image is not None)
    return path.read_bytes()


def trained(folder: Path) -> Result:
    """Weights and metrics of the bundle, and the epochs in the log, each of which may occur only once."""
    import safetensors.numpy

    bundle = folder / "run" / "bundle"
    weights = safetensors.numpy.load_file(bundle / "weights.safetensors")
    items = {name: hashed(one.tobytes()) for name, one in weights.items()}
    items["metrics"] = json.dumps(json.loads((bundle / "manifest.json").read_text())["metrics"], sort_keys=True)
    with (folder / "run" / "logs" / "training.csv").open(encoding="utf-8", newline="") as stream:
        epochs = Counter(row["epoch"] for row in csv.DictReader(stream))
    items |= {f"epoch {number}": "" for number in epochs}
    return Result(items, (*left_behind(folder / "run"), *(f"epoch {n}" for n, count in epochs.items() if count > 1)))


def tuned(folder: Path) -> Result:
    trials = json.loads((folder / "tuned" / "result.json").read_text())["trials"]
    items = {str(trial["number"]): json.dumps(untimed(trial), sort_keys=True) for trial in trials}
    numbers = Counter(str(trial["number"]) for trial in trials)
    return Result(items, (*left_behind(folder / "tuned"), *(n for n, count in numbers.items() if count > 1)))


def compressed(folder: Path) -> Result:
    """The rows of the frontier without measured times."""
    rows = json.loads((folder / "small" / "frontier.json").read_text())["rows"]
    items = {f"{row['step']} {row['precision']}": json.dumps(untimed(row), sort_keys=True) for row in rows}
    names = Counter(f"{row['step']} {row['precision']}" for row in rows)
    return Result(items, (*left_behind(folder / "small"), *(n for n, count in names.items() if count > 1)))


def results(folder: Path) -> Result:
    """The result of each job of a command without measured times."""
    found = {}
    for path in folder.rglob("*.json"):
        document = json.loads(path.read_text())
        if "key" in document and ".jobs" not in path.parts:
            found[path.name] = json.dumps(untimed({**document, "key": None}), sort_keys=True)
    return Result(found, left_behind(folder))


TIMED = ["second", "minute", "waiting", "_ms", "latency", "created", "path", "folder", "bundle", "machine", "sha256"]


def untimed(value: Any) -> Any:
    """A document without durations, rates, folders and dates, and without hashes and sizes of exports, which contain
    them."""
    if isinstance(value, dict):
        words = [*TIMED, "bytes"] if "latency_ms" in value else TIMED
        return {k: untimed(v) for k, v in value.items() if not any(word in k for word in words)}
    return [untimed(one) for one in value] if isinstance(value, list) else value


def warm() -> None:
    """Imports the libraries of all commands once."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import lightning.pytorch  # noqa: F401
    import openvino  # noqa: F401
    import torch

    torch.set_num_threads(1)
