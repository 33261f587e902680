"""An on-disk index of videos by their vectors, and nearest-neighbor search in it. NumPy only.

    FOLDER/index.json     format_version, the model, and the id and identity of every video
    FOLDER/vectors.npy    float16 [n, E], memory-mapped for search

With 128 numbers per vector, a video takes 256 bytes plus its name. An existing index is updated: vectors of unchanged
videos are kept.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from gesta.clips.cache import default_root
from gesta.files import write_whole
from gesta.schema import GestaError
from gesta.untrusted import NPY_FAULTS

FORMAT_VERSION = 1
INDEX, VECTORS = "index.json", "vectors.npy"
TOLERANCE = 0.01
ROWS = 16_384
"""Vectors compared per block."""


class _Stored(BaseModel):
    format_version: int
    model: str
    ids: list[str]
    identities: list[str]


@dataclass(frozen=True)
class Index:
    """Videos and their unit-length vectors [n, E]."""

    ids: Sequence[str]
    identities: Sequence[str]
    vectors: NDArray[np.float16]

    def nearest(self, vector: NDArray[np.float32], count: int) -> list[tuple[str, float]]:
        """Return the `count` videos with the smallest angle to a vector [E] and their cosines, nearest first."""
        pieces = [self.vectors[i : i + ROWS].astype(np.float32) @ vector for i in range(0, len(self.ids), ROWS)]
        cosines = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
        return [(self.ids[i], float(cosines[i])) for i in np.argsort(-cosines, kind="stable")[:count]]


def place_of(data: Path, model: str) -> Path:
    """Return the default location of a folder's index for a model, in the cache."""
    name = hashlib.sha256(f"{data.resolve()}|{model}".encode()).hexdigest()[:16]
    return default_root() / "search" / name


def write(folder: Path, model: str, index: Index) -> None:
    """Write an index, the vectors first, replacing any existing one."""
    content = io.BytesIO()
    np.save(content, np.asarray(index.vectors, np.float16))
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / VECTORS, content.getvalue())
    known = {"format_version": FORMAT_VERSION, "model": model, "ids": index.ids, "identities": index.identities}
    write_whole(folder / INDEX, json.dumps(known, ensure_ascii=False) + "\n")


def read(folder: Path, model: str, width: int) -> Index | None:
    """Read the index in a folder, with vectors of `width` numbers; return None if there is none.

    Raises GestaError if it is damaged, has a newer version, belongs to another model, or the folder holds other files.
    """
    if folder.exists() and not folder.is_dir():
        raise GestaError(f"{folder}: is a file. Choose a folder for --index.", usage=True)
    path = folder / INDEX
    if not path.is_file():
        if folder.is_dir() and any(not f.name.startswith(".") and f.name != VECTORS for f in folder.iterdir()):
            raise GestaError(f"{folder}: contains other files. Choose an empty or new --index.", usage=True)
        return None
    try:
        stored = _Stored.model_validate_json(path.read_bytes())
        vectors = np.load(folder / VECTORS, mmap_mode="r", allow_pickle=False)
    except NPY_FAULTS as error:  # a ValidationError is a ValueError
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise GestaError(f"{folder}: its index cannot be read ({why}). Delete the folder to index again.") from error
    if stored.format_version > FORMAT_VERSION:
        raise GestaError(
            f"{folder}: is of format {stored.format_version}; this gesta reads up to {FORMAT_VERSION}. Update gesta."
        )
    if stored.model != model:
        raise GestaError(f"{folder}: is the index of another model. Choose another --index, or delete it.", usage=True)
    count = len(stored.ids)
    if not isinstance(vectors, np.ndarray) or vectors.shape != (count, width) or len(stored.identities) != count:
        raise GestaError(f"{folder}: {VECTORS} and {INDEX} do not match. Delete the folder to index again.")
    if vectors.dtype != np.float16 or not all(_are_unit(vectors[i : i + ROWS]) for i in range(0, count, ROWS)):
        raise GestaError(f"{folder}: {VECTORS} is damaged. Delete the folder to index again.")
    return Index(stored.ids, stored.identities, vectors)


def _are_unit(vectors: NDArray[np.float16]) -> bool:
    """Whether vectors [n, E] have length 1, up to rounding; NaN has not."""
    lengths = np.linalg.norm(vectors.astype(np.float32), axis=1)
    return bool((np.abs(lengths - 1) < TOLERANCE).all())


def updated(
    old: Index | None,
    videos: Mapping[str, str],
    embed: Callable[[list[str]], Mapping[str, NDArray[np.float32]]],
    width: int,
) -> Index:
    """Return the index of `videos` (id -> identity).

    `embed` computes vectors of the ids that have none yet; those it leaves out, such as broken videos, are not indexed.
    """
    known = {} if old is None else dict(zip(zip(old.ids, old.identities, strict=True), old.vectors, strict=True))
    held = {id: known[id, identity] for id, identity in videos.items() if (id, identity) in known}
    missing = [id for id in videos if id not in held]
    if old is not None and not missing and len(held) == len(old.ids):
        return old
    held |= {id: vector.astype(np.float16) for id, vector in embed(missing).items()} if missing else {}
    ids = [id for id in videos if id in held]
    vectors = np.stack([held[id] for id in ids]) if ids else np.zeros((0, width), np.float16)
    return Index(ids, [videos[id] for id in ids], vectors)
