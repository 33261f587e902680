"""Videos -> features on disk: a thread decodes and resizes while the network runs; shards are written as they fill.

The videos are split among several processes, on one or more computers: process r of p takes every p-th video starting
at the r-th. The split does not depend on what is already finished, so a run can resume with a different number of
processes and nothing is computed twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

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
SHARD_VIDEOS = 32
"""Videos in a shard: the most work that a process loses if it is killed."""
BATCH = 32


@dataclass(frozen=True)
class Settings:
    """How one process computes. Only `renew` affects the result.

    `renew`: recompute features made by an older decoder. `name`: name of the shards of a block of videos that this
    process computes for a cluster. One process alone names its blocks the same way, so that both write the same files;
    several of one command name their shards by rank.
    """

    batch: int = BATCH
    shard_videos: int = SHARD_VIDEOS
    rank: int = 0
    processes: int = 1
    renew: bool = False
    name: str | None = None

    def shard_of(self, position: int) -> str:
        """The shard of the video at this position in the list of this process."""
        return self.name or f"{self.rank if self.processes > 1 else position // self.shard_videos:04d}"


@dataclass(frozen=True)
class Batch:
    """Frames of one or more videos. `parts`: (sample index, features in this batch, features of the whole video)."""

    frames: NDArray[np.uint8]
    parts: tuple[tuple[int, int, int], ...]


@dataclass
class Work:
    """Statistics of one process."""

    videos: int = 0
    features: int = 0
    kept: int = 0
    seconds: float = 0.0
    network_seconds: float = 0.0
    skipped: list[Problem] = field(default_factory=list)


class Missing(NamedTuple):
    """A process's samples without features, the shard of each, and how many others it has."""

    samples: list[Sample]
    shards: list[str]
    kept: int


def missing(samples: Sequence[Sample], folder: Path, recipe: FeatureRecipe, settings: Settings) -> Missing:
    """Return this process's samples that are not in a shard yet. Raises GestaError as `shards` does."""
    held = shards(folder, recipe, samples, settings.name or "*")
    own = samples[settings.rank :: settings.processes]
    places = [place for place, sample in enumerate(own) if sample.id not in held]
    shards_of = [settings.shard_of(place) for place in places]
    return Missing([own[place] for place in places], shards_of, len(own) - len(places))


def batches(
    samples: Sequence[Sample], recipe: FeatureRecipe, size: int, skipped: list[Problem]
) -> Generator[Batch, None, None]:
    """Yield the samples' frames in order, packed into batches of `size`; broken videos are added to `skipped`."""
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
    """Return the network's inputs, stacked: frames [n, H, W, 3] or windows [n, w, H, W, 3]."""
    frames = read_frames(
        sample,
        recipe.size,
        frames=recipe.frames,
        every=recipe.every,
        window=recipe.window,
        letterbox=recipe.letterbox,
    )
    return frames if recipe.window == 1 else frames.reshape(-1, recipe.window, *frames.shape[1:])


class Gatherer:
    """Collects the features of batches into videos, and videos into shards."""

    def __init__(self, todo: Missing, folder: Path, recipe: FeatureRecipe, settings: Settings) -> None:
        self._samples, self._shards, _ = todo
        self._folder, self._recipe, self._settings = folder, recipe, settings
        self._shard = ""
        self._parts: dict[int, list[NDArray[np.float32]]] = {}
        self._done: dict[str, NDArray[np.float32]] = {}
        self._sizes: dict[str, int] = {}
        self.videos = 0

    def add(self, batch: Batch, features: NDArray[np.float32]) -> None:
        """Add a batch; write a shard whenever its videos, or enough of them, are complete."""
        start = 0
        for position, count, total in batch.parts:
            parts = self._parts.setdefault(position, [])
            parts.append(features[start : start + count])
            start += count
            if sum(len(part) for part in parts) == total:
                sample = self._samples[position]
                if self._shards[position] != self._shard:
                    self.flush()
                    self._shard = self._shards[position]
                self._done[sample.id] = np.concatenate(self._parts.pop(position))
                self._sizes[sample.id] = bytes_of(sample)
                self.videos += 1
                if len(self._done) >= self._settings.shard_videos:
                    self.flush()

    def flush(self) -> None:
        if self._done:
            write_shard(self._folder, self._shard, self._done, self._recipe, self._sizes)
            self._done, self._sizes = {}, {}


def extract(
    samples: Sequence[Sample],
    folder: Path,
    recipe: FeatureRecipe,
    engine: Engine,
    settings: Settings = Settings(),
    progress: Progress | None = None,
) -> Work:
    """Write this process's share of the videos into shards; existing features are kept. The caller writes the index.

    Raises GestaError as `shards` does. Broken videos are skipped and listed in the result.
    """
    todo = missing(samples, folder, recipe, settings)
    work = Work(kept=todo.kept)
    gatherer = Gatherer(todo, folder, recipe, settings)
    begin = time.perf_counter()
    try:
        for batch in stream(todo.samples, recipe, settings, work):
            gatherer.add(batch, timed(engine, batch, work))
            if progress:
                progress(work.kept + gatherer.videos, work.kept + len(todo.samples))
    finally:
        gatherer.flush()  # complete videos are saved, even after Ctrl-C
    work.videos, work.seconds = gatherer.videos, time.perf_counter() - begin
    return work


def stream(samples: Sequence[Sample], recipe: FeatureRecipe, settings: Settings, work: Work) -> Iterator[Batch]:
    """Yield batches prepared a few ahead in a separate thread."""
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
    """Convert the result of `document_of` back; other keys are ignored."""
    known = {name: document[name] for name in vars(Work())}
    return Work(**{**known, "skipped": [Problem(**problem) for problem in document["skipped"]]})


def leave_work(folder: Path, settings: Settings, work: Work) -> None:
    """Save this process's statistics for the first process."""
    write_whole(folder / f".work-{settings.rank:04d}.json", json.dumps(document_of(work)))


def gather_work(folder: Path, processes: int) -> list[Work]:
    """Return the statistics of all processes by rank, and delete their files."""
    works = []
    for rank in range(processes):
        path = folder / f".work-{rank:04d}.json"
        works.append(work_of(json.loads(path.read_text(encoding="utf-8"))))
        path.unlink()
    return works
