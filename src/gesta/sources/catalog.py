"""The layouts that gesta reads, by name, and the detection of a folder's layout."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from gesta import outside
from gesta.schema import GestaError, Listing, Sample, base
from gesta.sources import (
    autsl,
    chalearn2014,
    class_folders,
    index_csv,
    isogd,
    jester,
    ledasila,
    packed,
    skeletons,
    ucf101,
    videos,
)
from gesta.sources.frequent import most_frequent
from gesta.sources.left_out import ARCHIVE_SUFFIXES
from gesta.words import did_you_mean


@dataclass(frozen=True)
class Reader:
    """One layout: how to detect it, how to read it, and what it looks like."""

    matches: Callable[[Path], bool]
    read: Callable[[Path], Listing]
    looks_like: str


READERS: dict[str, Reader] = {
    packed.LAYOUT: Reader(packed.matches, packed.read, "shards.json and clips-000000.tar, as gesta data pack writes"),
    "index_csv": Reader(
        index_csv.matches, index_csv.read, "index.csv with the columns path,label (subject,split,depth,... optional)"
    ),
    "jester": Reader(jester.matches, jester.read, "jester-v1-train.csv and a folder of images per video, .../34870/"),
    "autsl": Reader(autsl.matches, autsl.read, "train_labels.csv and train/signer0_sample1_color.mp4"),
    "chalearn2014": Reader(
        chalearn2014.matches,
        chalearn2014.read,
        "Sample0001.zip, or folders with Sample0001_color.mp4, _labels.csv, ...",
    ),
    "ucf101": Reader(ucf101.matches, ucf101.read, "trainlist01.txt, testlist01.txt and <Class>/v_<Class>_g01_c01.avi"),
    "isogd": Reader(
        isogd.matches, isogd.read, "train_list.txt with lines `train/001/M_00001.avi train/001/K_00001.avi 36`"
    ),
    "ledasila": Reader(ledasila.matches, ledasila.read, "signs.csv with the columns file,sign (person optional)"),
    "skeletons": Reader(
        skeletons.matches,
        skeletons.read,
        "S001C001P001R001A001.skeleton, ... (NTU), a01_s01_e01_skeleton.txt, ... (MSR)",
    ),
    "class_folders": Reader(
        class_folders.matches,
        class_folders.read,
        "<label>/<video>.mp4, .avi, ...; or <label>/<skeleton>.npy, ...",
    ),
    "videos": Reader(
        videos.matches,
        videos.read,
        "one video, or a folder of videos (no labels); a folder of images counts as one video",
    ),
}
"""Layouts by name, in detection order."""

WAYS: dict[str, dict[str, Callable[[Path], Listing]]] = {
    "ucf101": {f"split{number}": partial(ucf101.read, split=number) for number in (1, 2, 3)},
    "isogd": {modality: partial(isogd.read, modality=modality) for modality in ("rgb", "depth")},
    "class_folders": {f"level{number}": partial(class_folders.read, level=number) for number in (1, 2, 3)},
}
"""Other ways to read a layout, appended to its name as in isogd+rgb; never detected."""

FREQUENT = re.compile(r"(all|[1-9]\d{0,5})x([1-9]\d{0,5})")
"""Suffix of any layout, as in ledasila+21x18: the 21 most frequent classes (or all) with at least 18 videos each."""


def detect(root: Path | str) -> str:
    """Returns the name of the layout of `root`, a folder or a single file. Raises GestaError if there is none.

    Readers installed by other packages (entry points in gesta.readers) are tried first.
    """
    root = _existing(Path(root))
    for name in outside.installed(outside.READERS):
        if name not in READERS and (reader := _outside(name)) is not None and reader.matches(root):
            return name
    for name, reader in READERS.items():
        if reader.matches(root):
            return name
    if root.suffix.lower() in ARCHIVE_SUFFIXES:
        raise GestaError(f"{root}: is not a readable zip of a recording. If it contains videos, unpack it.")
    layouts = "".join(f"\n  {name}: {reader.looks_like}" for name, reader in READERS.items())
    raise GestaError(
        f"{root}: has no known layout. A data folder contains one of:{layouts}\nIf it has one of these, name it with "
        "--format."
    )


def read(root: Path | str, layout: str | None = None, *, like: str | None = None) -> Listing:
    """Reads the data in `root`.

    `layout` is NAME, or NAME+WAY with one of WAYS or FREQUENT. It is detected if None, and also without a NAME
    (+21x18). The listing's layout contains all of it. NAME may be a reader from another package: an importable module
    with `read(root)`, or an entry point in gesta.readers.

    `like` is the layout of other data, such as a bundle's training data; its WAY is used if `layout` is None and the
    data have the same NAME. Raises GestaError if `root` does not exist or has no known layout, or `layout` is unknown
    (usage).
    """
    root = _existing(Path(root))
    name, *ways = (layout or "").split("+")
    name = name or detect(root)
    remembered = layout is None and like is not None and base(like) == name
    if remembered:
        ways = str(like).split("+")[1:]
    frequent = [found for way in ways if (found := FREQUENT.fullmatch(way))]
    others = [way for way in ways if not FREQUENT.fullmatch(way)]
    known = WAYS.get(name, {})
    reader = READERS.get(name) or _outside(name)
    if reader is None or len(frequent) > 1 or len(others) > 1 or any(way not in known for way in others):
        raise _unknown("+".join([name, *ways]))
    listing = known[others[0]](root) if others else reader.read(root)
    own = listing.layout if name == packed.LAYOUT else name  # packed clips keep the layout of their recordings
    listing = replace(listing, layout="+".join([own, *ways]))
    for found in frequent:
        classes = None if found[1] == "all" else int(found[1])
        try:
            listing = most_frequent(listing, classes, int(found[2]))
        except GestaError as error:
            said = f" It was read as {like}, as in training; --format {name} reads all of it." if remembered else ""
            raise GestaError(f"{error}{said}") from error
    return listing


def _outside(name: str) -> Reader | None:
    """Returns a reader from another package. Raises GestaError (usage) if it cannot be imported or has no read()."""
    module = outside.reader(name)
    if module is None:
        return None
    detects = getattr(module, "detect", None)

    def read(root: Path) -> Listing:
        listing = _called(f"{name}.read", module.read, root)
        if not isinstance(listing, Listing) or not all(isinstance(s, Sample) for s in listing.samples):
            raise GestaError(f"{name}.read({root}) does not return a gesta.schema.Listing of Samples.")
        twice = [id for id, count in Counter(s.id for s in listing.samples).items() if count > 1]
        if twice:
            raise GestaError(f"{name}.read({root}) returns {len(twice)} ids more than once, the first: {twice[0]!r}.")
        return replace(listing, samples=tuple(listing.samples), problems=tuple(listing.problems))

    return Reader(lambda root: detects is not None and bool(_called(f"{name}.detect", detects, root)), read, name)


def _called(name: str, function: Callable[[Path], Any], root: Path) -> Any:
    try:
        return function(root)
    except GestaError:
        raise
    except Exception as error:
        raise GestaError(f"{name}({root}) failed: {outside.told(error)}.") from error


def _unknown(layout: str) -> GestaError:
    known = [*READERS, *(f"{name}+{way}" for name, ways in WAYS.items() for way in ways)]
    meant = did_you_mean(layout, (name for name in known if name != layout))
    return GestaError(
        f"unknown format {layout!r}; choose from {', '.join(known)}, and append +21x18 or +allx18 to any of "
        f"them for the 21 most frequent classes, or all, with at least 18 videos each.{meant}",
        usage=True,
    )


def _existing(root: Path) -> Path:
    if not root.exists():
        raise GestaError(f"{root}: does not exist. Give a data folder, a recording or a video.")
    return root
