"""Preprocessed clips in a few large files, written by `gesta data pack`, with random access. No torch.

    DIR/shards.json         the recipe of the preprocessing, and the list of shards
    DIR/clips-000000.tar    in WebDataset's layout: 000000000.npy, 000000000.json, ... for each clip
    DIR/clips-000000.json   for each clip its offset in the tar, its CRC-32, label, subject and recording
    DIR/SHA256SUMS          for `sha256sum -c SHA256SUMS`

Loading a clip is a single read, in any order; upcoming reads are announced to the system (`expect`).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import zlib
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Annotated, Any, BinaryIO, Literal, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import from_json

from gesta.clips.skeleton_space import SkeletonSpace
from gesta.clips.transform import Transform
from gesta.files import write_json
from gesta.schema import Clip, GestaError, Problem, Sample, Split, is_preprocessed
from gesta.untrusted import NPY_FAULTS, open_file

FORMAT_VERSION = 1
CONTENTS, SUMS = "shards.json", "SHA256SUMS"
MAIN, REST, SKELETONS = "npy", "before.npy", "skeletons.npy"
REST_ID = "/before"
"""Suffix that gesta.tasks.clips.context adds to a clip's id for the rest preceding it."""
OPEN_FILES = 128
_AGAIN = "Delete it and run the same gesta data pack command again, or copy it again."
_MODALITY = "(color|depth|mask|skeleton)"
_CHANGED = "is not as it was packed, perhaps cut off at the end, but none of its clips is lost."


class Part(BaseModel):
    """One array per clip: its file extension in the tar and its transform. `rest`: it shows the part of the recording
    before the clip."""

    model_config = ConfigDict(extra="forbid")

    name: str
    transform: Transform
    rest: bool = False


class ShardFile(BaseModel):
    """Entry of a shard in the contents: number of `clips` and size in `bytes`."""

    name: str = Field(pattern=r"^[^/\\\x00]+\.tar$")
    clips: int = Field(ge=0)
    bytes: int = Field(ge=0)
    sha256: str


class Contents(BaseModel):
    """`shards.json`. `shards`: None until packing is finished. `order`: the order of the clips in the data, as
    positions in the concatenated shards; None if it is the same.
    """

    format: Literal["gesta.shards"] = "gesta.shards"
    format_version: int = FORMAT_VERSION
    layout: str
    recipe: str
    parts: list[Part] = Field(min_length=1)
    shards: list[ShardFile] | None = None
    order: list[int] | None = None

    @model_validator(mode="after")
    def _each_once(self) -> Contents:
        names = [shard.name for shard in self.shards or ()]
        if len(set(names)) != len(names):
            raise ValueError("it names a shard twice")
        return self

    @property
    def what(self) -> dict[str, Any]:
        """The fields that must match for further clips to be added."""
        return self.model_dump(mode="json", include={"layout", "recipe", "parts"})


class ShardIndex(BaseModel):
    """`clips-000000.json`: every list has one value per clip, in tar order. `first`: number of the first clip.
    `offset`, `bytes`, `crc32`: by part; 0 bytes for a clip without that part. `source_bytes`: size of its recording.
    `problem`: why it could not be preprocessed; the tar then contains nothing of it.
    """

    format_version: int = FORMAT_VERSION
    filesize: int = Field(ge=0, lt=2**62)
    sha256: str
    first: int = Field(ge=0)
    id: list[str] = Field(min_length=1)
    recording: list[str]
    label: list[str | None]
    subject: list[str | None]
    split: list[Split | None]
    modalities: list[Annotated[str, Field(pattern=rf"^{_MODALITY}(\+{_MODALITY})*$")]]
    crops: list[bool]
    fps: list[float | None]
    first_frame: list[int | None]
    last_frame: list[int | None]
    fingerprint: list[Annotated[str, Field(pattern="^[0-9a-f]{64}$")]]
    source_bytes: list[int]
    problem: list[str | None]
    offset: dict[str, list[Annotated[int, Field(ge=0, lt=2**62)]]]
    bytes: dict[str, list[Annotated[int, Field(ge=0, lt=2**62)]]]
    crc32: dict[str, list[Annotated[int, Field(ge=0, lt=2**32)]]]

    @model_validator(mode="after")
    def _of_one_length(self) -> ShardIndex:
        count = len(self.id)
        lists = [value for _, value in self if isinstance(value, list)]
        parts = [one for value in (self.offset, self.bytes, self.crc32) for one in value.values()]
        if any(len(one) != count for one in (*lists, *parts)) or MAIN not in self.offset:
            raise ValueError("its lists are of different lengths")
        if not self.offset.keys() == self.bytes.keys() == self.crc32.keys():
            raise ValueError("its parts differ")
        ends = (np.array(self.offset[part]) + np.array(self.bytes[part]) for part in self.offset)
        if max(int(end.max()) for end in ends) > self.filesize:
            raise ValueError("a clip ends after the end of the shard")
        if len(set(self.id)) != count:
            raise ValueError("it names a clip twice")
        return self


class Shard:
    """One tar and the locations of the clips in it: arrays [n] by part."""

    def __init__(self, path: Path, index: ShardIndex) -> None:
        self.path, self.ids, self.first = path, index.id, index.first
        self.filesize, self.sha256, self.problems = index.filesize, index.sha256, index.problem
        self.places = {
            name: (np.array(index.offset[name]), np.array(index.bytes[name]), np.array(index.crc32[name], np.uint32))
            for name in index.offset
        }
        self._fingerprints = bytes.fromhex("".join(index.fingerprint))

    def row(self, sample: Sample) -> int:
        """Row of a sample's clip. Raises GestaError if it is not in this shard."""
        name = str(sample.files[0].member).partition(".")[0]
        row = int(name) - self.first if name.isdecimal() else -1
        if not 0 <= row < len(self.ids) or sample.id not in (self.ids[row], self.ids[row] + REST_ID):
            raise GestaError(f"{self.path}: does not contain {sample.id}. {_AGAIN}")
        return row

    def is_rest(self, sample: Sample) -> bool:
        """Whether a sample is the rest before a clip of this shard, not the clip itself."""
        return sample.id != self.ids[self.row(sample)]

    def fingerprint(self, row: int) -> str:
        """sha256 of the clip's source content, as returned by `ClipCache.fingerprint`."""
        return self._fingerprints[32 * row : 32 * row + 32].hex()

    def read(self, row: int, part: str) -> NDArray[Any]:
        """One array. Raises GestaError naming shard and clip if it is missing, damaged or truncated."""
        offset, count, crc = (int(values[row]) for values in self.places[part])
        if not count:
            why = self.problems[row] or "it could not be preprocessed."
            raise GestaError(f"{self.path}: has no {part} of {self.ids[row]}: {why}")
        try:
            data = read_at(_opened(self.path), offset, count)
            if len(data) == count and zlib.crc32(data) == crc:
                pixels = _array(data)
                if is_preprocessed(pixels):
                    return pixels
        except OSError as error:
            raise GestaError(f"{self.path}: {self.ids[row]} cannot be read ({error}). Check the disk.") from error
        except NPY_FAULTS:
            pass
        raise GestaError(f"{self.path}: is damaged or cut short at {self.ids[row]}. {_AGAIN}")

    def damaged(self) -> set[int] | None:
        """Rows of the clips that differ from what was written, found by reading the whole file once; all of them if the
        file is missing. None if the file is unchanged."""
        with contextlib.suppress(OSError), open_file(self.path) as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() == self.sha256:
                return None
            return {row for row in range(len(self.ids)) if not self._is_whole(stream, row)}
        return set(range(len(self.ids)))

    def _is_whole(self, stream: BinaryIO, row: int) -> bool:
        for offsets, counts, crcs in self.places.values():
            data = read_at(stream, int(offsets[row]), int(counts[row])) if counts[row] else b""
            if len(data) != counts[row] or (data and zlib.crc32(data) != crcs[row]):
                return False
        return True

    def state(self) -> list[int]:
        """Size and modification time of the file; [] if it is missing."""
        with contextlib.suppress(OSError):
            stat = self.path.stat()
            return [stat.st_size, stat.st_mtime_ns]
        return []


def _array(data: bytes) -> NDArray[Any]:
    """The array of a `.npy`, without copying the bytes. Raises NPY_FAULTS."""
    shape, dtype, start = _header(data[: 10 + int.from_bytes(data[8:10], "little")])
    return np.frombuffer(data, dtype, offset=start).reshape(shape)


@lru_cache(maxsize=1024)
def _header(data: bytes) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """(shape, dtype, offset of the values); parsed once for all clips of the same length."""
    stream = io.BytesIO(data)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("another version of .npy than gesta writes")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if fortran or dtype.hasobject:
        raise ValueError("no array of gesta")
    return shape, dtype, stream.tell()


M = TypeVar("M", Contents, ShardIndex)
_SHARDS: dict[Path, Shard] = {}
_READING = Lock()


def index_path(path: Path) -> Path:
    """Path of a shard's index."""
    return path.with_suffix(".json")


def read_contents(folder: Path) -> Contents:
    """`shards.json`. Raises GestaError if it is missing, damaged, or of a newer version."""
    return _document(folder / CONTENTS, Contents)


def read_index(path: Path) -> ShardIndex:
    """The index of a shard, cached for `load`. Raises GestaError if it is missing or damaged."""
    index: ShardIndex = _document(index_path(path), ShardIndex)
    _SHARDS[path] = Shard(path, index)
    for remembered in (_opened, parts_of, _part):
        remembered.cache_clear()  # may hold an earlier file
    return index


def _document(path: Path, kind: type[M]) -> M:
    try:
        with open_file(path) as stream:
            data = stream.read()
        if (version := from_json(data).get("format_version", 0)) > FORMAT_VERSION:
            raise GestaError(f"{path}: has format {version}, but this gesta reads {FORMAT_VERSION}. Update gesta.")
        return kind.model_validate_json(data)
    except (OSError, ValidationError, ValueError, AttributeError, TypeError) as error:
        why = str(error)
        if isinstance(error, ValidationError):
            fault = error.errors()[0]
            why = ": ".join(filter(None, [".".join(map(str, fault["loc"])), fault["msg"]]))
        raise GestaError(f"{path}: cannot be read ({why}). Run the same gesta data pack command again.") from error


def shard_of(sample: Sample) -> Shard:
    """The shard that contains a sample. Raises GestaError as `read_index` does."""
    path = sample.files[0].path
    if path not in _SHARDS:
        with _READING:
            if path not in _SHARDS:
                read_index(path)
    return _SHARDS[path]


@lru_cache(maxsize=64)
def parts_of(folder: Path) -> tuple[str, tuple[Part, ...]]:
    """(recipe, parts) of a folder of shards."""
    contents = read_contents(folder)
    return contents.recipe, tuple(contents.parts)


def part_of(sample: Sample, transform: Transform) -> str:
    """Name of the part that holds a sample preprocessed by this transform. Raises GestaError if there is none."""
    return _part(sample.files[0].path.parent, transform, shard_of(sample).is_rest(sample))


@lru_cache(maxsize=64)
def _part(folder: Path, transform: Transform, rest: bool) -> str:
    recipe, parts = parts_of(folder)
    for part in parts:
        if part.rest == rest and alike(part.transform) == alike(transform):
            return part.name
    main, asked = parts[0].transform.model_dump(), transform.model_dump()
    differ = [f"{name} {main[name]}, not {asked[name]}" for name in main if main[name] != asked[name]]
    what = "the rests between clips, which these shards do not contain" if rest else "; ".join(differ)
    raise GestaError(
        f"{folder}: the clips were preprocessed for recipe {recipe} and do not fit ({what}). Pack the "
        "recordings for the recipe you want: gesta data pack DATA --out FOLDER --recipe RECIPE."
    )


def space_of(sample: Sample) -> SkeletonSpace | None:
    """Normalization of the skeletons packed with a clip; None if the shards have none."""
    _, parts = parts_of(sample.files[0].path.parent)
    return next((part.transform.skeleton for part in parts if part.transform.skeleton is not None), None)


def alike(transform: Transform) -> Transform:
    """Canonical form, equal for all transforms with the same output: skeletons alone do not depend on chunks."""
    if transform.pictures or transform.sampling == "central":
        return transform
    return transform.model_copy(update={"sampling": "chunks", "chunk": 1})


def load(sample: Sample, transform: Transform) -> Clip:
    """Loads a packed clip. Raises GestaError if it is damaged or was preprocessed by another transform."""
    shard = shard_of(sample)
    pixels = shard.read(shard.row(sample), part_of(sample, transform))
    return Clip(pixels, sample.label, sample.subject, sample.id)


def fingerprint(sample: Sample) -> str:
    """sha256 of the clip's source content. Raises GestaError as `shard_of` does."""
    shard = shard_of(sample)
    return shard.fingerprint(shard.row(sample))


def expect(samples: Iterable[Sample]) -> None:
    """Announces to the operating system which packed clips are loaded next, so that it reads them in parallel."""
    if not hasattr(os, "posix_fadvise"):
        return
    for sample in samples:
        if sample.files[0].is_packed:
            with contextlib.suppress(OSError, GestaError):
                shard = shard_of(sample)
                row, stream = shard.row(sample), _opened(shard.path)
                offset, count = (int(values[row]) for values in shard.places[MAIN][:2])
                os.posix_fadvise(stream.fileno(), offset, count, os.POSIX_FADV_WILLNEED)


def check(
    samples: Sequence[Sample], transform: Transform, remembered: Path, progress: Callable[[int, int], None] | None
) -> list[Problem]:
    """A problem for each sample that is damaged, truncated or lacks the part that the transform needs, and for each
    shard that has changed without losing a clip.

    Each shard is read in full once; intact ones are `remembered` by size and modification time. Raises GestaError if
    the shards were packed for another transform.
    """
    known, damaged, problems = _known(remembered), dict[Path, set[int]](), list[Problem]()
    for done, sample in enumerate(samples, start=1):
        shard, part = shard_of(sample), part_of(sample, transform)
        if shard.path not in damaged:
            state = [*shard.state(), shard.sha256]
            lost = None if known.get(str(shard.path)) == state else shard.damaged()
            damaged[shard.path] = lost or set()
            if lost is None:
                known[str(shard.path)] = state
            elif not lost:
                problems.append(Problem(str(shard.path), "damaged", _CHANGED, _AGAIN))
        row = shard.row(sample)
        if row in damaged[shard.path]:
            reason = f"{sample.id}: the shard is damaged or cut short at this clip."
            problems.append(Problem(str(sample.files[0]), "damaged", reason, _AGAIN))
        elif not shard.places[part][1][row]:
            why = shard.problems[row] or f"{part} could not be computed."
            problems.append(Problem(str(sample.files[0]), "unprepared", f"{sample.id}: {why}"))
        if progress is not None:
            progress(done, len(samples))
    with contextlib.suppress(OSError):  # if this cannot be written, the shards are checked again next time
        write_json(remembered, known)
    return problems


def _known(remembered: Path) -> dict[str, list[Any]]:
    with contextlib.suppress(OSError, ValueError):
        found = from_json(remembered.read_bytes())
        return found if isinstance(found, dict) else {}
    return {}


@lru_cache(maxsize=OPEN_FILES)
def _opened(path: Path) -> BinaryIO:
    """Opens the file unbuffered; it is closed when it leaves the cache."""
    return cast("BinaryIO", open_file(path).detach())


def read_at(stream: BinaryIO, offset: int, count: int) -> bytes:
    """Up to `count` bytes from `offset`. Thread-safe."""
    if hasattr(os, "pread"):
        parts, got = [], 0
        while got < count and (part := os.pread(stream.fileno(), count - got, offset + got)):
            parts.append(part)
            got += len(part)
        return b"".join(parts)
    with _READING:
        stream.seek(offset)
        return stream.read(count)
