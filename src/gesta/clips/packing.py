"""`gesta data pack`: packs the preprocessed clips of a data folder into a few large shards. Resumes if interrupted."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from gesta.clips.cache import ClipCache
from gesta.clips.preprocess import preprocess_recording
from gesta.clips.shard_writer import Prepared, ShardWriter, shard_file
from gesta.clips.shards import CONTENTS, SUMS, Contents, Part, ShardFile, ShardIndex, read_contents, read_index
from gesta.clips.transform import Transform
from gesta.files import write_whole
from gesta.schema import SHARD, GestaError, Listing, Problem, Sample, bytes_of, nothing_usable
from gesta.threads import Threads

SHARD_BYTES = 2**30
NO_FINGERPRINT = "0" * 64


@dataclass(frozen=True)
class Plan:
    """What to pack: the `parts` of each clip, the first of them being the clip itself, for the named recipe.

    `rests`: by clip id, the sample of the rest before it, for parts that show the rest.
    """

    recipe: str
    parts: tuple[Part, ...]
    rests: dict[str, Sample]
    shard_bytes: int = SHARD_BYTES


@dataclass(frozen=True)
class Packed:
    """Content of the folder: `clips` in `shards`, `bytes` in total; `new`: how many were handled by this run."""

    out: Path
    clips: int
    new: int
    shards: int
    bytes: int
    skipped: tuple[Problem, ...]


def pack(
    listing: Listing,
    plan: Plan,
    out: Path,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    workers: int | None = None,
) -> Packed:
    """Packs the clips that are not in the folder yet. The same listing gives the same bytes, interrupted or not.

    Raises GestaError if the folder contains other files, clips of other data or for another recipe, or if the disk is
    full; finished shards are kept.
    """
    contents = _claim(out, plan, listing.layout)
    done = _finished(out, listing.samples)
    held = {name for _, index in done for name in index.id}
    todo = [s for s in listing.samples if s.id not in held]
    progress(len(held), len(listing.samples))
    try:
        for ready, shard in enumerate(_shards(todo, plan, out, done, workers), start=1):
            progress(len(held) + ready, len(listing.samples))
            if shard is not None:
                done.append(shard)
        return _complete(out, contents, done, listing, len(todo))
    except OSError as error:
        raise GestaError(
            f"{out}: the shards cannot be written ({error}). Free space and run the same command again: "
            "finished work is kept."
        ) from error


def _claim(out: Path, plan: Plan, layout: str) -> Contents:
    """Reads or creates the folder's contents for this plan. Raises GestaError if it contains anything else."""
    wanted = Contents(layout=layout, recipe=plan.recipe, parts=list(plan.parts))
    if (out / CONTENTS).exists():
        there = read_contents(out)
        if there.what != wanted.what:
            raise GestaError(
                f"{out}: contains clips preprocessed for recipe {there.recipe} from data read as {there.layout}, which "
                f"differs from recipe {plan.recipe} and {layout}. Choose another --out."
            )
        return there
    if out.exists() and any(not path.name.startswith(".") for path in out.iterdir()):
        raise GestaError(f"{out}: contains other files. Choose an empty or new folder.", usage=True)
    _write(out / CONTENTS, wanted)
    return wanted


def _finished(out: Path, samples: Sequence[Sample]) -> list[tuple[Path, ShardIndex]]:
    """The complete shards. Raises GestaError for clips of other data, or of recordings that have changed."""
    now, found = {s.id: s for s in samples}, list[tuple[Path, ShardIndex]]()
    for path in sorted(out.glob(f"clips-*{SHARD}")):
        if not path.with_suffix(".json").exists():  # interrupted between the two files: the shard is written again
            continue
        index = read_index(path)
        for name, size in zip(index.id, index.source_bytes, strict=True):
            if name not in now or bytes_of(now[name]) != size:
                what = "is not in the data" if name not in now else "has changed since it was packed"
                raise GestaError(f"{path}: contains {name}, which {what}. Choose another --out.")
        if path.stat().st_size == index.filesize:
            found.append((path, index))
    return found


def _shards(
    todo: Sequence[Sample], plan: Plan, out: Path, done: Sequence[tuple[Path, ShardIndex]], workers: int | None
) -> Iterator[tuple[Path, ShardIndex] | None]:
    """Yields for each sample the shard that it completes, or None."""
    taken = {int(path.stem.rpartition("-")[2]) for path, _ in done}
    first = max((index.first + len(index.id) for _, index in done), default=0)
    clips = _prepared(todo, plan, workers)
    left = len(todo)
    while left:
        number = next(n for n in range(len(taken) + 1) if n not in taken)
        with ShardWriter(out, number, first, tuple(part.name for part in plan.parts)) as writer:
            while left and writer.size < plan.shard_bytes:
                writer.add(next(clips))
                left -= 1
                if left and writer.size < plan.shard_bytes:
                    yield None
            writer.close()
        taken.add(number)
        first += len(writer)
        yield writer.path, read_index(writer.path)


def _prepared(todo: Sequence[Sample], plan: Plan, workers: int | None) -> Iterator[Prepared]:
    """The samples in order, grouped by recording, decoded in parallel and a few in advance."""
    recordings: dict[Any, list[Sample]] = {}
    for sample in todo:
        recordings.setdefault(sample.files, []).append(sample)
    workers = workers or os.cpu_count() or 1
    cache = ClipCache()
    with Threads(workers) as pool:
        yield from (
            clip
            for clips in _ahead(pool, lambda one: _recording(one, plan, cache), recordings.values(), 2 * workers)
            for clip in clips
        )


def _ahead(
    pool: Threads, work: Callable[[list[Sample]], list[Prepared]], items: Iterable[list[Sample]], depth: int
) -> Iterator[list[Prepared]]:
    """Results in the order of the items, with at most `depth` pending."""
    waiting: deque[Future[list[Prepared]]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _recording(samples: Sequence[Sample], plan: Plan, cache: ClipCache) -> list[Prepared]:
    """The samples of one recording, in one decode pass per transform."""
    try:
        prints = [cache.fingerprint(s) for s in samples]
    except GestaError as error:
        return [Prepared(s, NO_FINGERPRINT, {}, str(error)) for s in samples]
    arrays: dict[str, dict[str, NDArray[Any]]] = {s.id: {} for s in samples}
    problems: dict[str, str] = {}
    by_transform = groupby(sorted(plan.parts, key=lambda p: p.transform.key()), key=lambda p: p.transform.key())
    for _, group in by_transform:
        parts = list(group)
        wanted = {
            one.id: (s.id, part.name)
            for s in samples
            for part in parts
            if (one := plan.rests.get(s.id) if part.rest else s) is not None
        }
        asked = [one for s in samples for one in (s, plan.rests.get(s.id)) if one is not None and one.id in wanted]
        for name, found in _clips(asked, parts[0].transform, cache):
            owner, part_name = wanted[name]
            if not isinstance(found, str):
                arrays[owner][part_name] = found
            elif part_name == plan.parts[0].name:
                problems[owner] = found
    return [
        Prepared(s, mark, {} if s.id in problems else arrays[s.id], problems.get(s.id))
        for s, mark in zip(samples, prints, strict=True)
    ]


def _clips(
    samples: Sequence[Sample], transform: Transform, cache: ClipCache
) -> Iterator[tuple[str, NDArray[Any] | str]]:
    """Yields (id, pixels or error message) for each sample, from the cache if possible."""
    missing = []
    for sample in samples:
        pixels = cache.stored(sample, transform)
        if pixels is None:
            missing.append(sample)
        else:
            yield sample.id, pixels
    left = {s.id for s in missing}
    for result in preprocess_recording(missing, transform) if len(missing) > 1 else ():
        if isinstance(result, Problem):
            break
        left.discard(result.id)
        yield result.id, result.pixels
    for sample in missing:  # a problem names a file, not the sample: process the remaining ones individually
        if sample.id in left:
            result = next(preprocess_recording([sample], transform))
            yield sample.id, str(result) if isinstance(result, Problem) else result.pixels


def _complete(
    out: Path, contents: Contents, done: Sequence[tuple[Path, ShardIndex]], listing: Listing, new: int
) -> Packed:
    """Writes the final contents and checksums. Raises GestaError if nothing could be preprocessed."""
    ordered = sorted(done, key=lambda one: one[0].name)
    places = {name: i for i, name in enumerate(name for _, index in ordered for name in index.id)}
    order = [places[s.id] for s in listing.samples]
    files: list[ShardFile] = [shard_file(path, index) for path, index in ordered]
    listed = [(path, index, i) for path, index in ordered for i, why in enumerate(index.problem) if why is not None]
    problems = [Problem(index.id[i], "unprepared", str(index.problem[i])) for _, index, i in listed]
    if not any(file.clips for file in files):
        raise nothing_usable(listing.root, problems)
    plain = order == list(range(len(order)))
    _write(out / CONTENTS, contents.model_copy(update={"shards": files, "order": None if plain else order}))
    write_whole(out / SUMS, "".join(f"{file.sha256}  {file.name}\n" for file in files))
    clips, size = sum(file.clips for file in files), sum(file.bytes for file in files)
    return Packed(out, clips, new, len(files), size, tuple(problems))


def _write(path: Path, contents: Contents) -> None:
    write_whole(path, contents.model_dump_json(indent=1) + "\n")
