"""Writes shards (see gesta.clips.shards): one tar at a time, atomically, with identical bytes for identical clips."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from gesta.clips.shards import ShardFile, ShardIndex, index_path
from gesta.clips.skeleton import serves_crops
from gesta.clips.skeleton_frames import rate_of
from gesta.files import write_whole
from gesta.leftovers import remove_left_behind, temporary
from gesta.schema import SHARD, Sample, bytes_of

HEADER = 512
"""Bytes before a member's content: one ustar block, since all names are short and no content exceeds 8 GB."""


@dataclass(frozen=True)
class Prepared:
    """One sample: its arrays by part; if it could not be preprocessed, no arrays and the `problem`."""

    sample: Sample
    fingerprint: str
    arrays: Mapping[str, NDArray[Any]]
    problem: str | None = None


class ShardWriter:
    """Writes one shard. `close` gives it its final name; without it, for example on an exception, nothing remains."""

    def __init__(self, folder: Path, number: int, first: int, parts: tuple[str, ...]) -> None:
        self.path = folder / f"clips-{number:06d}{SHARD}"
        self._first, self._parts, self._rows = first, parts, list[dict[str, Any]]()
        folder.mkdir(parents=True, exist_ok=True)
        remove_left_behind(self.path)
        self._made = temporary(self.path)
        self._stream = _Hashing(self._made.open("xb"))
        self._tar = tarfile.open(fileobj=self._stream, mode="w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stream.close()
        self._made.unlink(missing_ok=True)

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return int(self._tar.offset)

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, clip: Prepared) -> None:
        """Appends one sample. Raises OSError if the disk is full."""
        name, row = f"{self._first + len(self._rows):09d}", _facts(clip)
        for part in self._parts:
            data = _npy(clip.arrays[part]) if part in clip.arrays else b""
            row[part] = (self._add(f"{name}.{part}", data) if data else 0, len(data), zlib.crc32(data))
        if clip.arrays:
            facts = {key: row[key] for key in ("id", "recording", "label", "subject", "split", "fps")}
            self._add(f"{name}.json", json.dumps(facts, ensure_ascii=False).encode())
        self._rows.append(row)

    def _add(self, name: str, data: bytes) -> int:
        """Adds a member and returns the offset of its content."""
        info, offset = tarfile.TarInfo(name), int(self._tar.offset) + HEADER
        info.size = len(data)
        self._tar.addfile(info, io.BytesIO(data))
        return offset

    def close(self) -> ShardFile:
        """Flushes the tar to disk, renames it to its final name and writes its index. Raises OSError."""
        self._tar.close()
        os.fsync(self._stream.fileno())
        size = self._stream.tell()
        self._stream.close()
        index = self._index(size, self._stream.sha256.hexdigest())
        self._made.replace(self.path)
        write_whole(index_path(self.path), index.model_dump_json())
        return shard_file(self.path, index)

    def _index(self, size: int, sha256: str) -> ShardIndex:
        lists = {key: [row[key] for row in self._rows] for key in self._rows[0] if key not in self._parts}
        places = {
            kind: {part: [row[part][i] for row in self._rows] for part in self._parts}
            for i, kind in enumerate(("offset", "bytes", "crc32"))
        }
        return ShardIndex(filesize=size, sha256=sha256, first=self._first, **lists, **places)


def shard_file(path: Path, index: ShardIndex) -> ShardFile:
    """The entry of a finished shard in the contents."""
    count = sum(problem is None for problem in index.problem)
    return ShardFile(name=path.name, clips=count, bytes=index.filesize, sha256=index.sha256)


def _facts(clip: Prepared) -> dict[str, Any]:
    sample = clip.sample
    return {
        "id": sample.id,
        "recording": sample.recording,
        "label": sample.label,
        "subject": sample.subject,
        "split": sample.split,
        "modalities": "+".join(sample.modalities),
        "crops": serves_crops(sample),
        "fps": rate_of(sample),
        "first_frame": sample.first_frame,
        "last_frame": sample.last_frame,
        "fingerprint": clip.fingerprint,
        "source_bytes": bytes_of(sample),
        "problem": clip.problem,
    }


def _npy(array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


class _Hashing(io.RawIOBase):
    """Output stream that computes the sha256 of what is written."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self.sha256 = stream, hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.sha256.update(data)
        return self._stream.write(data)

    def tell(self) -> int:
        return self._stream.tell()

    def fileno(self) -> int:
        self._stream.flush()
        return self._stream.fileno()

    def close(self) -> None:
        self._stream.close()
        super().close()
