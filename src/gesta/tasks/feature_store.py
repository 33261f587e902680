"""Features on disk: safetensors shards, an index, and how they were computed. No torch.

    DIR/features.json                     the recipe: backbone, weights, stage, frames, size
    DIR/shard-<process>-<number>.safetensors   one tensor per video: [n, D] pooled, [n, C, h, w] maps
    DIR/index.json                        video -> shard (null: unusable), label, person, part

A shard is written under a temporary name and renamed; it describes its own contents, so the index can be rebuilt from
the shards. A video is in one shard.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from gesta.clips.decode import DECODER_VERSION
from gesta.files import write_json, write_whole
from gesta.schema import GestaError, Listing, Problem, Resource, Sample, Split, bytes_of

FORMAT_VERSION = 1
RECIPE, INDEX = "features.json", "index.json"
SHARD = ".safetensors"
SIZES = "bytes"
"""Shard metadata key: file size of each source video, as JSON."""
DECODER = "decoder"
"""Shard metadata key: DECODER_VERSION of the gesta that decoded the videos; 1 if missing."""


@dataclass(frozen=True)
class FeatureRecipe:
    """How features were computed: equal recipes give equal features, up to an engine's rounding.

    `weights`: sha256 over the backbone's tensors. `stage`: layer they were taken from. `pooled`: averaged over the
    image. `frames`: number of frames per video; otherwise every `every`-th. `window`: frames that one feature covers.
    `letterbox`: frames got black bars to be square; otherwise they were stretched.
    """

    backbone: str
    weights: str
    stage: str
    pooled: bool
    size: int
    frames: int | None
    every: int | None
    window: int = 1
    letterbox: bool = False

    def document(self) -> dict[str, Any]:
        """Returns the fields, without those that are newer than the first feature folders and at their default."""
        return {name: value for name, value in asdict(self).items() if name != "letterbox" or value}

    @property
    def key(self) -> str:
        return hashlib.sha256(json.dumps(self.document(), sort_keys=True).encode()).hexdigest()

    def differences(self, other: FeatureRecipe) -> list[str]:
        """Returns `name: mine, not theirs` for each field that differs."""
        mine, theirs = asdict(self), asdict(other)
        return [
            f"{name}: {_short(mine[name])}, not {_short(theirs[name])}" for name in mine if mine[name] != theirs[name]
        ]


def _short(value: object) -> str:
    text = str(value)
    return text[:12] if len(text) == 64 else text


@dataclass(frozen=True)
class Entry:
    """One video of the index. `shard`: None if the video could not be used."""

    id: str
    recording: str
    shard: str | None
    label: str | None
    subject: str | None
    split: Split | None


def claim(folder: Path, recipe: FeatureRecipe, layout: str, source: str | None = None) -> None:
    """Creates the folder for this recipe, or checks that it was created for it. `source`: where the backbone's weights
    come from: a file, "official" or "random:SEED".

    Raises GestaError if it contains features of another recipe, naming the differences, or of data read in another way,
    or something else (usage).
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / RECIPE
    if path.exists():
        differ = recipe.differences(read_recipe(folder))
        if (before := _read(path, "").get("layout", layout)) != layout:
            differ.append(f"data read as {layout}, not {before}")
        if differ:
            raise GestaError(
                f"{folder}: contains features of another recipe ({'; '.join(differ)}). "
                "Choose another folder, or delete it."
            )
        return
    if any(not found.name.startswith(".") and found.name != RECIPE for found in folder.iterdir()):
        raise GestaError(f"{folder}: contains other files. Choose an empty or new folder.", usage=True)
    document = {"format_version": FORMAT_VERSION, "layout": layout, "source": source, "recipe": recipe.document()}
    write_json(path, document)


def read_recipe(folder: Path) -> FeatureRecipe:
    """Reads the recipe. Raises GestaError if the folder contains no features, or those of a newer version."""
    document = _read(folder / RECIPE, "gesta features DATA --out DIR makes such a folder.")
    version = _field(int, document, "format_version", folder / RECIPE, 0)
    if version > FORMAT_VERSION:
        raise GestaError(f"{folder}: is of format {version}; this gesta reads up to {FORMAT_VERSION}. Update gesta.")
    return _field(FeatureRecipe, document, "recipe", folder / RECIPE)


def write_shard(
    folder: Path,
    process: str,
    features: Mapping[str, NDArray[np.float32]],
    recipe: FeatureRecipe,
    sizes: Mapping[str, int] | None = None,
) -> str:
    """Writes one shard and returns its name, the first free one of this process. `sizes`: `bytes_of` by video."""
    number = 0
    while (folder / (name := f"shard-{process}-{number:05d}.safetensors")).exists():
        number += 1
    facts = {
        "format": "gesta.features",
        "recipe": recipe.key,
        SIZES: json.dumps(dict(sizes or {})),
        DECODER: str(DECODER_VERSION),
    }
    write_whole(folder / name, _in_order(safetensors.numpy.save(dict(features), facts)))
    return name


def _in_order(content: bytes) -> bytes:
    """Sorts a safetensors file's metadata alphabetically, so that equal features give equal bytes."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def shards(folder: Path, recipe: FeatureRecipe, samples: Iterable[Sample] = (), process: str = "*") -> dict[str, str]:
    """Returns video -> shard, of all existing shards or those of one process.

    Raises GestaError naming a shard that is truncated, damaged or of another recipe, or one of `samples` whose file
    sizes have changed since its features were computed (not recorded in older shards).
    """
    now = {sample.id: sample for sample in samples}
    found: dict[str, str] = {}
    for path in sorted(folder.glob(f"shard-{process}-*.safetensors")):
        with _opened(path) as shard:
            facts = shard.metadata() or {}
            if facts.get("recipe") != recipe.key:
                raise GestaError(
                    f"{path}: contains features of another recipe than {folder / RECIPE}. Delete the shard."
                )
            sizes = from_json(facts.get(SIZES, "{}"))
            for name in shard.keys():  # noqa: SIM118
                found.setdefault(name, path.name)
                if name in now and name in sizes and sizes[name] != (size := bytes_of(now[name])):
                    raise GestaError(
                        f"{path}: the features of {name} were computed from another video ({sizes[name]} bytes; "
                        f"{now[name].files[0]} has {size}). Choose another folder with --out, or, if the video was "
                        "replaced, delete the shard and run the same command again: only what is missing is computed."
                    )
    return found


def decoders(folder: Path) -> dict[str, int]:
    """Returns shard -> version of the decoder that read its videos. Raises GestaError for a damaged shard."""
    found = {}
    for path in sorted(folder.glob("shard-*.safetensors")):
        with _opened(path) as shard:
            text = (shard.metadata() or {}).get(DECODER, "1")
        found[path.name] = int(text) if text.isdecimal() else 1
    return found


def drop_older(folder: Path) -> int:
    """Deletes the shards of older decoders, so that their videos are computed again; returns their number."""
    older = [name for name, version in decoders(folder).items() if version < DECODER_VERSION]
    for name in older:
        (folder / name).unlink(missing_ok=True)
    return len(older)


def write_index(folder: Path, samples: Iterable[Sample], recipe: FeatureRecipe, skipped: Sequence[Problem]) -> int:
    """Rebuilds the index from the shards, in the order of the samples; returns how many of them have features.

    Samples without features are listed too: people are split over all of the data, as in other commands.
    """
    held = shards(folder, recipe)
    entries = [Entry(s.id, s.recording, held.get(s.id), s.label, s.subject, s.split) for s in samples]
    used = [entry.shard for entry in entries if entry.shard is not None]
    document = {
        "format_version": FORMAT_VERSION,
        DECODER: min((version for name, version in decoders(folder).items() if name in used), default=DECODER_VERSION),
        "shards": {name: (folder / name).stat().st_size for name in sorted(set(used))},
        "videos": [asdict(entry) for entry in entries],
        "skipped": [{"path": p.path, "kind": p.kind, "reason": p.reason} for p in skipped],
    }
    write_json(folder / INDEX, document)
    return len(used)


class FeatureFolder:
    """Features for training: `recipe`, `entries`, `load(id)`, `skipped`; `listed`, including videos without features;
    `source` of the backbone's weights, if known.

    Raises GestaError if the folder is incomplete, a shard is missing or truncated, or `expected` (fields of a
    FeatureRecipe) differs from how the features were computed.
    """

    def __init__(self, folder: Path | str, expected: Mapping[str, Any] | None = None) -> None:
        self.folder = Path(folder)
        self.recipe = read_recipe(self.folder)
        origin = _read(self.folder / RECIPE, "")
        self.layout = str(origin.get("layout", "unknown"))
        self.source = _field(str | None, origin, "source", self.folder / RECIPE)
        wrong = [
            f"{name} {value}, but the folder has {_short(getattr(self.recipe, name))}"
            for name, value in (expected or {}).items()
            if value is not None and getattr(self.recipe, name) != value
        ]
        if wrong:
            raise GestaError(
                f"{self.folder}: the recipe needs other features: {'; '.join(wrong)}. "
                "Compute them with gesta features as the recipe asks, or choose a recipe that fits."
            )
        index = self.folder / INDEX
        document = _read(index, "The features are not complete: run the same gesta features command again.")
        self._check(_field(dict[str, int], document, "shards", index))
        self.listed: list[Entry] = _field(list[Entry], document, "videos", index)
        self.entries = [entry for entry in self.listed if entry.shard is not None]
        self.skipped = _field(list[Problem], document, "skipped", index)
        self.decoder = _field(int, document, DECODER, index, 1)
        self._shard = {entry.id: str(entry.shard) for entry in self.entries}

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for users of the features."""
        return older_note(self.decoder)

    def load(self, identity: str) -> NDArray[np.float32]:
        """Returns the features of one video, [n, D] or [n, C, h, w]. Raises GestaError if missing or in a damaged
        shard."""
        if identity not in self._shard:
            raise GestaError(f"{self.folder}: contains no features of {identity}; {INDEX} lists what was skipped.")
        path = self.folder / self._shard[identity]
        with _opened(path) as shard:
            try:
                return np.asarray(shard.get_tensor(identity), np.float32)
            except safetensors.SafetensorError as error:
                raise GestaError(
                    f"{path}: does not contain {identity}, although {INDEX} lists it ({error}). {_ANEW}"
                ) from error

    def _check(self, sizes: Mapping[str, int]) -> None:
        for name, size in sizes.items():
            path = self.folder / name
            held = path.stat().st_size if path.is_file() else None
            if held is None:
                raise GestaError(f"{path}: the index lists this shard, but it is missing. {_AGAIN}")
            if held != size:
                raise GestaError(f"{path}: is cut short or changed: {held} bytes, the index says {size}. {_AGAIN}")


def older_note(decoder: int) -> tuple[str, ...]:
    """Returns a note if an older decoder was used; otherwise nothing."""
    if decoder >= DECODER_VERSION:
        return ()
    return (
        f"The features were computed with version {decoder} of the video decoder, now {DECODER_VERSION}. For healthy "
        "videos they are the same; trimmed, rotated, damaged or 16-bit videos may differ. To compute them again: "
        "gesta features ... --renew.",
    )


def listing_of(folder: FeatureFolder) -> Listing:
    """Returns every video of the folder as a sample, including those without features; a sample's file is its shard."""
    return Listing(folder.folder, folder.layout, tuple(_sample(folder, entry) for entry in folder.listed))


def _sample(folder: FeatureFolder, entry: Entry) -> Sample:
    place = Resource(folder.folder / (entry.shard or INDEX))
    return Sample(entry.id, entry.recording, place, label=entry.label, subject=entry.subject, split=entry.split)


def identities(samples: Sequence[Sample]) -> list[str]:
    """Returns a short hash of each video's id and file size, since features do not identify the content. Sizes of
    videos with features are stored in their shards (0 in older ones)."""
    stored: dict[Path, Mapping[str, int]] = {}
    for path in {s.files[0].path for s in samples if s.files[0].path.suffix == SHARD}:
        with _opened(path) as shard:
            stored[path] = from_json((shard.metadata() or {}).get(SIZES, "{}"))
    sizes = [stored[path].get(s.id, 0) if (path := s.files[0].path) in stored else bytes_of(s) for s in samples]
    return [hashlib.sha256(f"{s.id}|{size}".encode()).hexdigest()[:16] for s, size in zip(samples, sizes, strict=True)]


_AGAIN = "Delete it and run the same gesta features again: only what is missing is computed."
_ANEW = "Run the same gesta features again: it rebuilds the index."


def _opened(path: Path) -> Any:
    try:
        return safetensors.safe_open(path, framework="numpy")
    except (safetensors.SafetensorError, OSError) as error:
        raise GestaError(f"{path}: is cut short or damaged ({error}). {_AGAIN}") from error


def _read(path: Path, hint: str) -> dict[str, Any]:
    try:
        document = from_json(path.read_bytes())
    except FileNotFoundError as error:
        raise GestaError(f"{path}: is not there. {hint}") from error
    except ValueError as error:
        raise GestaError(f"{path}: is not readable JSON ({error}). {hint}") from error
    if not isinstance(document, dict):
        raise GestaError(f"{path}: is not a file of gesta. {hint}")
    return document


def _field(kind: Any, document: Mapping[str, Any], name: str, path: Path, otherwise: Any = None) -> Any:
    """Validates one field of a document. Raises GestaError naming the file and the field."""
    try:
        return TypeAdapter(kind).validate_python(document.get(name, otherwise))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, (name, *first["loc"])))
        again = "Compute the features again, in another folder." if path.name == RECIPE else _ANEW
        raise GestaError(f"{path}: {place}: {first['msg']}. {again}") from error
