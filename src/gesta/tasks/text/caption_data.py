"""Captioned recordings: features made by `gesta features` (or the recordings themselves) with a captions.csv.

captions.csv has the columns `path,caption`, with one or more rows per recording, or `label,caption`, with captions for
every recording with that label. An optional column `group` divides the results of an evaluation; an optional column
`glosses` says what happens in the recording, in order, one word each, for training.
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gesta.grammar import words_of
from gesta.schema import GestaError, Listing, Problem, Resource, Sample
from gesta.sources.inputs import read_data
from gesta.sources.tables import read_table, surplus
from gesta.tasks.encoders import Encode
from gesta.tasks.feature_store import RECIPE, FeatureFolder, identities, listing_of
from gesta.untrusted import same_text

CAPTIONS = "captions.csv"
UNLABELED = "-"
Features = NDArray[np.float32]


@dataclass(frozen=True)
class Described:
    """A recording with its captions (words joined by spaces); `folder`: where its features are stored."""

    sample: Sample
    captions: tuple[str, ...]
    group: str | None = None
    glosses: tuple[str, ...] = ()
    folder: FeatureFolder | None = field(default=None, compare=False, repr=False)

    @property
    def id(self) -> str:
        return self.sample.id

    @property
    def label(self) -> str | None:
        return None if self.sample.label == UNLABELED else self.sample.label

    @property
    def subject(self) -> str | None:
        return self.sample.subject

    @property
    def split(self) -> str | None:
        return self.sample.split

    @property
    def files(self) -> tuple[Resource, ...]:
        return self.sample.files

    @property
    def identity(self) -> str:
        return identities([self.sample])[0]

    def features(self, encode: Encode | None = None) -> Features:
        """Return the features [T, D], stored or computed by `encode`. Raises GestaError if neither is available."""
        if self.folder is not None:
            return self.folder.load(self.id)
        if encode is None:
            raise GestaError(
                f"{self.files[0]}: is not a folder of features, and no encoder is given. Give a folder made by gesta "
                "features.",
                usage=True,
            )
        return encode(self.sample)


@dataclass(frozen=True)
class Sentences:
    """The contents of captions.csv: captions, groups and glosses by `column` (path or label)."""

    column: str
    captions: Mapping[str, tuple[str, ...]]
    groups: Mapping[str, str] = field(default_factory=dict)
    glosses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def has_captions(data: Path) -> bool:
    return (data / CAPTIONS).is_file()


def stored(data: Path) -> FeatureFolder | None:
    """Return the feature folder, or None for a folder of recordings. Raises GestaError for damaged features."""
    return FeatureFolder(data) if (data / RECIPE).is_file() else None


def read_captions(path: Path) -> Sentences:
    """Read captions.csv, as spreadsheets write it (gesta.sources.tables).

    Raises GestaError for missing columns and, with its line number, for a row without a caption, with too many cells,
    or with glosses that differ from earlier ones of the same recording.
    """
    rows = read_table(path)
    columns = [cell.lower() for cell in rows[0][1]] if rows else []
    column = next((name for name in ("path", "label") if name in columns), None)
    if column is None or "caption" not in columns:
        raise GestaError(
            f"{path}: has the columns {', '.join(columns) or 'none'}; expected path,caption (or label,caption)."
        )
    captions: dict[str, list[str]] = defaultdict(list)
    groups: dict[str, str] = {}
    glosses: dict[str, tuple[str, ...]] = {}
    for number, cells in rows[1:]:
        if reason := surplus(columns, cells):
            raise GestaError(f"{path}: line {number}: {reason}.")
        row = dict(zip(columns, cells, strict=False))
        words, name = words_of(row.get("caption", "")), row.get(column, "")
        if not words or not name:
            raise GestaError(
                f"{path}: line {number} has no {column if words else 'caption'}. Add it, or remove the line."
            )
        name = _plain(name) if column == "path" else same_text(name)
        captions[name].append(" ".join(words))
        groups |= {name: row["group"]} if row.get("group") else {}
        signs = tuple(row.get("glosses", "").split())
        if signs and glosses.setdefault(name, signs) != signs:
            raise GestaError(f"{path}: line {number} has other glosses for {name} than an earlier line. Correct one.")
    return Sentences(column, {name: tuple(dict.fromkeys(found)) for name, found in captions.items()}, groups, glosses)


def _plain(path: str) -> str:
    """A relative path as the ids of recordings have it."""
    return same_text(posixpath.normpath(path.replace("\\", "/")))


def read(data: Path, layout: str | None = None, like: str | None = None, described: bool = True) -> Listing:
    """Read recordings with their captions.

    With `described` False, recordings without captions are included and captions.csv is optional. Raises GestaError if
    no recording has a caption.
    """
    folder = stored(data)
    listing = read_data(data, layout, like) if folder is None else listing_of(folder)
    if described and not has_captions(data):
        raise GestaError(f"{data}: has no {CAPTIONS}. Write one next to the data, with the columns path,caption.")
    said = read_captions(data / CAPTIONS) if has_captions(data) else Sentences("path", {})
    held = None if folder is None else {entry.id for entry in folder.entries}
    samples, used = [], set()
    for sample in listing.samples:
        key = same_text(sample.id if said.column == "path" else str(sample.label))
        used.add(key)
        captions = said.captions.get(key, ())
        if (captions or not described) and (held is None or sample.id in held):
            known = replace(sample, label=sample.label or UNLABELED)  # unlabeled recordings would get no part
            group, glosses = said.groups.get(key), said.glosses.get(key, ())
            samples.append(Described(known, captions, group, glosses, folder))
    lost = [name for name in said.captions if name not in used]
    problems = [Problem(str(data / CAPTIONS), "no-recording", f"{name} is not among the recordings.") for name in lost]
    if not samples:
        why = f" The first of its {said.column}s is {lost[0]!r}." if lost else ""
        raise GestaError(f"{data}: {CAPTIONS} describes none of the {len(listing.samples)} recordings.{why}")
    return replace(listing, samples=tuple(samples), problems=(*listing.problems, *problems))


def with_splits(listing: Listing, divided: Listing) -> Listing:
    """Return the captioned recordings with the splits of their samples."""
    samples = zip(listing.samples, divided.samples, strict=True)
    return replace(listing, samples=tuple(replace(one, sample=sample) for one, sample in samples))


def sources(videos: Sequence[Features]) -> dict[str, NDArray]:
    """Return source float32 [S, B, D], padded with zeros, and lengths [B]."""
    lengths = np.array([len(video) for video in videos], np.int64)
    batch = np.zeros((int(lengths.max()), len(videos), videos[0].shape[1]), np.float32)
    for b, video in enumerate(videos):
        batch[: len(video), b] = video
    return {"source": batch, "lengths": lengths}
