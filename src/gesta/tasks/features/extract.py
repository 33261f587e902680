"""Videos -> features on disk: decoding and resizing in a thread, the network beside it, shards as they fill.

Several processes, on one or more computers, split the videos: process r of p has every p-th video from the r-th on,
whatever is finished already, so a run may go on with another number of processes and nothing is computed twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.clips.ahead import ahead
from gesta.clips.chosen_frames import read_frames
from gesta.clips.preprocess import unreadable
from gesta.files import write_whole
from gesta.schema import GestaError, Problem, Sample, bytes_of
from gesta.tasks.feature_store import FeatureRecipe, shards, write_shard
from gesta.tasks.features.engines import Engine

Progress = Callable[[int, int], None]
SHARD_VIDEOS = 64
"""Videos in a shard: what a kill costs at most, a process."""
BATCH = 32


@dataclass(frozen=True)
class Settings:
    """How one process computes; none of it changes what comes out, but `renew`: whether what an older decoder made is
    computed again. `name`: of its shards, where others write beside it; else its rank."""

    batch: int = BATCH
    shard_videos: int = SHARD_VIDEOS
    rank: int = 0
    processes: int = 1
    renew: bool = False
    name: str | None = None

    @property
    def shard(self) -> str:
        return self.name or f"{self.rank:04d}"


@dataclass(frozen=True)
class Batch:
    """Frames of one or more videos. `parts`: (position among the samples, features here, features of the video)."""

    frames: NDArray[np.uint8]
    parts: tuple[tuple[int, int, int], ...]


@dataclass
class Work:
    """What one process did."""

    videos: int = 0
    features: int = 0
    kept: int = 0
    seconds: float = 0.0
    network_seconds: float = 0.0
    skipped: list[Problem] = field(default_factory=list)


def mine(samples: Sequence[Sample], folder: Path, recipe: FeatureRecipe, settings: Settings) -> list[Sample]:
    """The samples of this process that are not in a shard yet. Raises GestaError as `shards` does."""
    held = shards(folder, recipe, samples, settings.name or "*")
    return [s for s in samples[settings.rank :: settings.processes] if s.id not in held]


def batches(
    samples: Sequence[Sample], recipe: FeatureRecipe, size: int, skipped: list[Problem]
) -> Generator[Batch, None, None]:
    """Frames of the samples in their order, packed to `size` a batch; broken videos go to `skipped`."""
    waiting: list[NDArray[np.uint8]] = []
    parts: list[tuple[int, int, int]] = []
    for position, sample in enumerate(samples):
        try:
            rest = units = _units(sample, recipe)
        except GestaError as error:
            skipped.append(unreadable(sample, error))
            continue
        while len(rest):
            taken, rest = np.split(rest, [size - sum(len(part) for part in waiting)])
            waiting.append(taken)
            parts.append((position, len(taken), len(units)))
            if sum(len(part) for part in waiting) == size:
                yield Batch(np.concatenate(waiting), tuple(parts))
                waiting, parts = [], []
    if waiting:
        yield Batch(np.concatenate(waiting), tuple(parts))


def _units(sample: Sample, recipe: FeatureRecipe) -> NDArray[np.uint8]:
    """What the network sees at a time, side by side: [n, H, W, 3], or windows [n, w, H, W, 3]."""
    frames = read_frames(sample, recipe.size, frames=recipe.frames, every=recipe.every, window=recipe.window)
    return frames if recipe.window == 1 else frames.reshape(-1, recipe.window, *frames.shape[1:])


class Gatherer:
    """Puts a batch's features together to videos, and videos to shards."""

    def __init__(self, samples: Sequence[Sample], folder: Path, recipe: FeatureRecipe, settings: Settings) -> None:
        self._samples, self._folder, self._recipe, self._settings = samples, folder, recipe, settings
        self._parts: dict[int, list[NDArray[np.float32]]] = {}
        self._done: dict[str, NDArray[np.float32]] = {}
        self._sizes: dict[str, int] = {}
        self.videos = 0

    def add(self, batch: Batch, features: NDArray[np.float32]) -> None:
        """Writes a shard whenever enough videos are complete."""
        start = 0
        for position, count, total in batch.parts:
            parts = self._parts.setdefault(position, [])
            parts.append(features[start : start + count])
            start += count
            if sum(len(part) for part in parts) == total:
                sample = self._samples[position]
                self._done[sample.id] = np.concatenate(self._parts.pop(position))
                self._sizes[sample.id] = bytes_of(sample)
                self.videos += 1
        if len(self._done) >= self._settings.shard_videos:
            self.flush()

    def flush(self) -> None:
        if self._done:
            write_shard(self._folder, self._settings.shard, self._done, self._recipe, self._sizes)
            self._done, self._sizes = {}, {}


def extract(
    samples: Sequence[Sample],
    folder: Path,
    recipe: FeatureRecipe,
    engine: Engine,
    settings: Settings = Settings(),
    progress: Progress | None = None,
) -> Work:
    """This process's share of the videos into shards; what already exists stays. The index is written by the caller.

    Raises GestaError as `shards` does. Broken videos are skipped and listed in the result.
    """
    todo = mine(samples, folder, recipe, settings)
    work = Work(kept=len(samples[settings.rank :: settings.processes]) - len(todo))
    gatherer = Gatherer(todo, folder, recipe, settings)
    begin = time.perf_counter()
    try:
        for batch in stream(todo, recipe, settings, work):
            gatherer.add(batch, timed(engine, batch, work))
            if progress:
                progress(work.kept + gatherer.videos, work.kept + len(todo))
    finally:
        gatherer.flush()  # what is complete stays, also where Ctrl-C ends the run
    work.videos, work.seconds = gatherer.videos, time.perf_counter() - begin
    return work


def stream(samples: Sequence[Sample], recipe: FeatureRecipe, settings: Settings, work: Work) -> Iterator[Batch]:
    """Batches made in a thread of their own, a few in advance."""
    return ahead(batches(samples, recipe, settings.batch, work.skipped), depth=4)


def timed(engine: Engine, batch: Batch, work: Work) -> NDArray[np.float32]:
    start = time.perf_counter()
    features = engine(batch.frames)
    work.network_seconds += time.perf_counter() - start
    work.features += len(features)
    return features


def document_of(work: Work) -> dict[str, Any]:
    return {**vars(work), "skipped": [vars(problem) for problem in work.skipped]}


def work_of(document: Mapping[str, Any]) -> Work:
    """From `document_of`, and whatever else stands there."""
    known = {name: document[name] for name in vars(Work())}
    return Work(**{**known, "skipped": [Problem(**problem) for problem in document["skipped"]]})


def leave_work(folder: Path, settings: Settings, work: Work) -> None:
    """Tells the first process what this one did."""
    write_whole(folder / f".work-{settings.rank:04d}.json", json.dumps(document_of(work)))


def gather_work(folder: Path, processes: int) -> list[Work]:
    """What all processes did, by rank; the notes are taken away."""
    works = []
    for rank in range(processes):
        path = folder / f".work-{rank:04d}.json"
        works.append(work_of(json.loads(path.read_text(encoding="utf-8"))))
        path.unlink()
    return works
