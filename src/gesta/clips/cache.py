"""Preprocessed clips on disk, keyed by file content, span and transform, so that a second epoch decodes nothing.

Location: `GESTA_CACHE`, else the user's cache folder. Entries are `.npy` files, written to a temporary name and
renamed, so a kill at any moment leaves either nothing or a complete entry. The least recently used entries are evicted
when the limit is reached. Safe with several processes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import as_completed
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json

from gesta import leftovers
from gesta.clips import shards
from gesta.clips.damage import max_damage
from gesta.clips.decode import DECODER_VERSION
from gesta.clips.preprocess import preprocess_recording, unreadable
from gesta.clips.transform import Transform
from gesta.files import write_whole
from gesta.jobs.job import Job, key_of
from gesta.jobs.pool import on_cluster, outcomes, portions
from gesta.schema import Clip, GestaError, Problem, Resource, Sample, frame_files, is_preprocessed
from gesta.threads import Threads
from gesta.untrusted import NPY_FAULTS

DEFAULT_LIMIT = 20 * 2**30
Progress = Callable[[int, int], None]


def default_root() -> Path:
    """`GESTA_CACHE`, or `~/.cache/gesta` (`%LOCALAPPDATA%` on Windows)."""
    named = os.environ.get("GESTA_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("LOCALAPPDATA") or os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "gesta"


class ClipCache:
    """Cache of preprocessed clips. `root` and `limit_bytes` default to the user's settings."""

    def __init__(self, root: Path | None = None, limit_bytes: int | None = None) -> None:
        self.root = root or default_root()
        self._clips = self.root / "clips"
        self._limit = limit_bytes
        self._prints: dict[str, str] = {}

    # -- content -----------------------------------------------------------------------------------------------------

    def fingerprint(self, sample: Sample) -> str:
        """sha256 over the content of the sample's files and its span. Raises GestaError if a file cannot be read."""
        if sample.files[0].is_packed:
            return shards.fingerprint(sample)
        parts = [self._file_print(r) for r in sample.files]
        span = (sample.first_frame, sample.last_frame, sample.start_s, sample.end_s)
        camera = sample.camera and (sample.camera.fx, sample.camera.fy, sample.camera.cx, sample.camera.cy)
        made = [DECODER_VERSION, max_damage(), [(r.track, r.fps) for r in sample.files]]
        rest = json.dumps([made, parts, span, sample.depth_unit_mm, sample.joints, camera, sample.modalities])
        return hashlib.sha256(rest.encode()).hexdigest()

    def _file_print(self, resource: Resource) -> str:
        """Content hash of a file or folder of images, remembered by path, size and modification time."""
        path = resource.path
        try:
            if path.is_dir():
                files = frame_files(path)
                text = "".join(f"{p.name}{self._file_print(Resource(p))}" for p in files)
                return hashlib.sha256(os.fsencode(text)).hexdigest()
            stat = path.stat()
            known = f"{resource}|{stat.st_size}|{stat.st_mtime_ns}"
            if known not in self._prints:
                self._prints[known] = hashlib.sha256(resource.read()).hexdigest()  # of all tracks
            return self._prints[known]
        except OSError as error:
            raise GestaError(f"{resource}: cannot be read ({error}). Check that the file is there.") from error

    def _entry(self, sample: Sample, transform: Transform) -> Path:
        key = hashlib.sha256(f"{self.fingerprint(sample)}{transform.key()}".encode()).hexdigest()
        return self._clips / key[:2] / f"{key}.npy"

    # -- use ---------------------------------------------------------------------------------------------------------

    def load(self, sample: Sample, transform: Transform) -> Clip:
        """The preprocessed clip, pixels memory-mapped; prepared first if it is missing. Raises GestaError."""
        if sample.files[0].is_packed:
            return shards.load(sample, transform)
        entry = self._entry(sample, transform)
        pixels = _read_entry(entry)
        if pixels is None:
            problems = self.fill([sample], transform)
            if problems:
                raise GestaError(str(problems[0]))
            pixels = _read_entry(entry)
            if pixels is None:
                raise GestaError(
                    f"{self.root}: a clip was removed from the cache before it could be read. Raise the limit: gesta "
                    "cache --limit."
                )
        return Clip(pixels, sample.label, sample.subject, sample.id)

    def fill(
        self,
        samples: Iterable[Sample],
        transform: Transform,
        progress: Progress | None = None,
        workers: int | None = None,
    ) -> tuple[Problem, ...]:
        """Preprocesses missing clips, one decode pass per recording; returns the problems. Packed clips are checked."""
        samples = list(samples)
        if packed := [s for s in samples if s.files[0].is_packed]:
            return self._checked(packed, transform, progress)
        problems: list[Problem] = []
        missing: dict[tuple[Resource, ...], list[tuple[Sample, Path]]] = defaultdict(list)
        for sample in samples:
            try:
                entry = self._entry(sample, transform)
            except GestaError as error:
                problems.append(unreadable(sample, error))
                continue
            if _read_entry(entry) is None:
                missing[sample.files].append((sample, entry))
        jobs = list(missing.values())
        total, done = sum(len(j) for j in jobs), 0
        for found, count in self._on_cluster(jobs, transform) if on_cluster() else _run(jobs, transform, workers):
            problems += found
            done += count
            if progress is not None:
                progress(done, total)
        if jobs:
            self.evict()
        return tuple(problems)

    def stored(self, sample: Sample, transform: Transform) -> NDArray[Any] | None:
        """The clip if it is in the cache, else None. Raises GestaError if the sample cannot be read."""
        return _read_entry(self._entry(sample, transform))

    def _checked(self, packed: list[Sample], transform: Transform, progress: Progress | None) -> tuple[Problem, ...]:
        """Problems of the shards that hold these samples."""
        folder = hashlib.sha256(os.fsencode(packed[0].files[0].path.parent.resolve())).hexdigest()[:16]
        return tuple(shards.check(packed, transform, self.root / "shards" / f"{folder}.json", progress))

    def _on_cluster(
        self, recordings: list[list[tuple[Sample, Path]]], transform: Transform
    ) -> Iterator[tuple[list[Problem], int]]:
        """Prepares recordings on the cluster's workers, which must have access to the cache. Raises GestaError."""
        jobs = []
        for part in portions(recordings):
            entries = [entry.name for one in part for _, entry in one]
            title = f"prepare {part[0][0][0].id}"
            arguments = {"recordings": part, "transform": transform}
            jobs.append(Job(title, "gesta.clips.cache:prepare_all", arguments, key_of("prepare", entries)))
        seen = leftovers.temporary(self.root / "seen")
        write_whole(seen, "")
        try:
            for job, outcome in outcomes(jobs, 1, shared=(seen.resolve(),)):
                if outcome.document is None:
                    raise GestaError(f"{job.title}: {outcome.why}")
                yield [Problem(**found) for found in outcome.document["problems"]], outcome.document["clips"]
        finally:
            seen.unlink(missing_ok=True)

    # -- room --------------------------------------------------------------------------------------------------------

    @property
    def limit_bytes(self) -> int:
        if self._limit is not None:
            return self._limit
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return int(from_json((self.root / "settings.json").read_bytes())["limit_bytes"])
        return DEFAULT_LIMIT

    def set_limit(self, limit_bytes: int) -> None:
        """Stores the limit and evicts entries beyond it."""
        write_whole(self.root / "settings.json", json.dumps({"limit_bytes": limit_bytes}))
        self._limit = None
        self.evict()

    def info(self) -> dict[str, Any]:
        """root, bytes, entries, limit_bytes."""
        entries = self._entries()
        return {
            "root": str(self.root),
            "bytes": sum(size for _, size, _ in entries) + sum(map(_size, self._temporaries())),
            "entries": len(entries),
            "limit_bytes": self.limit_bytes,
        }

    def clear(self) -> int:
        """Removes every entry, except files that another process is writing; returns the bytes freed."""
        freed = 0
        for path, size, _ in self._entries():
            with contextlib.suppress(OSError):
                path.unlink()
                freed += size
        return freed + self._remove_leftovers()

    def _entries(self) -> list[tuple[Path, int, float]]:
        found = []
        for path in self._clips.glob("*/[!.]*.npy"):
            with contextlib.suppress(OSError):
                stat = path.stat()
                found.append((path, stat.st_size, stat.st_mtime))
        return found

    def _remove_leftovers(self) -> int:
        return leftovers.remove(self._temporaries())

    def _temporaries(self) -> list[Path]:
        return [path for ending in ("part", "tmp") for path in self._clips.glob(f"*/*.{ending}")]

    def evict(self) -> None:
        """Removes leftovers of killed processes, and the least recently used entries beyond the limit."""
        self._remove_leftovers()
        entries = self._entries()
        over = sum(size for _, size, _ in entries) - self.limit_bytes
        for path, size, _ in sorted(entries, key=lambda e: e[2]):
            if over <= 0:
                return
            with contextlib.suppress(OSError):
                path.unlink()
                over -= size


def _run(
    jobs: list[list[tuple[Sample, Path]]], transform: Transform, workers: int | None
) -> Iterable[tuple[list[Problem], int]]:
    workers = min(workers or os.cpu_count() or 1, len(jobs))
    if workers <= 1 or len(jobs) < 4:
        for job in jobs:
            yield _prepare_job(job, transform)
        return
    with Threads(workers) as pool:  # decoding and image operations release the interpreter's lock
        futures = {pool.submit(_prepare_job, job, transform): len(job) for job in jobs}
        for future in as_completed(futures):
            yield future.result()


def prepare_all(recordings: Sequence[Sequence[tuple[Sample, Path]]], transform: Transform) -> dict[str, Any]:
    """Job that prepares the clips of these recordings missing from the cache. Returns `clips` and `problems`."""
    problems: list[Problem] = []
    for recording in recordings:
        missing = [(sample, entry) for sample, entry in recording if _read_entry(entry) is None]
        problems += _prepare_job(missing, transform)[0] if missing else []
    return {"clips": sum(map(len, recordings)), "problems": [vars(problem) for problem in problems]}


def _prepare_job(job: Sequence[tuple[Sample, Path]], transform: Transform) -> tuple[list[Problem], int]:
    """Prepares the samples of one recording and stores them."""
    entries = {sample.id: entry for sample, entry in job}
    problems = []
    for result in preprocess_recording([sample for sample, _ in job], transform):
        if isinstance(result, Problem):
            problems.append(result)
        else:
            _store(entries[result.id], result.pixels)
    return problems, len(job)


def _store(entry: Path, pixels: NDArray[np.uint8]) -> None:
    entry.parent.mkdir(parents=True, exist_ok=True)
    try:
        part = leftovers.temporary(entry)
        try:
            with part.open("xb") as stream:
                np.save(stream, pixels, allow_pickle=False)
            part.replace(entry)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise GestaError(
            f"{entry.parent}: the preprocessed clip cannot be written ({error}). Free space, lower the cache with "
            "`gesta cache --clear`, or move it: GESTA_CACHE=FOLDER."
        ) from error


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def _read_entry(entry: Path) -> NDArray[np.uint8] | None:
    """Memory-mapped pixels of an entry, None if it is missing or unusable. Marks it as used."""
    try:
        pixels = np.load(entry, mmap_mode="r", allow_pickle=False)
        os.utime(entry)
    except NPY_FAULTS:  # truncated by a system crash, or not an array
        return None
    return pixels if isinstance(pixels, np.ndarray) and is_preprocessed(pixels) else None
