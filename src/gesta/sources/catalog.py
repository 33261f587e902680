"""The layouts that gesta reads, by name, and how a folder's layout is detected."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gesta.schema import GestaError, Listing
from gesta.sources import chalearn2014, class_folders, index_csv, isogd, ledasila, ucf101, videos


@dataclass(frozen=True)
class Reader:
    """One layout: whether a folder or file has it, reading it, and what it looks like."""

    matches: Callable[[Path], bool]
    read: Callable[[Path], Listing]
    looks_like: str


READERS: dict[str, Reader] = {
    "index_csv": Reader(
        index_csv.matches, index_csv.read, "index.csv with the columns path,label (subject,split,depth,... optional)"
    ),
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
    "class_folders": Reader(
        class_folders.matches, class_folders.read, "<label>/<video>.mp4, .avi, .mov, .mkv or .webm"
    ),
    "videos": Reader(videos.matches, videos.read, "one video, or a folder of videos (no labels)"),
}
"""Layouts by name, in the order in which they are tried."""

VARIANTS: dict[str, Callable[[Path], Listing]] = {
    "ucf101_split1": partial(ucf101.read, split=1),
    "ucf101_split2": partial(ucf101.read, split=2),
    "ucf101_split3": partial(ucf101.read, split=3),
    "isogd_rgb": partial(isogd.read, modality="rgb"),
    "isogd_depth": partial(isogd.read, modality="depth"),
}
"""Other ways to read one of these layouts; to be named, never detected."""


def detect(root: Path | str) -> str:
    """Name of the layout of `root`, a folder or a single file. Raises GestaError if it has none of them."""
    root = _existing(Path(root))
    for name, reader in READERS.items():
        if reader.matches(root):
            return name
    layouts = "".join(f"\n  {name}: {reader.looks_like}" for name, reader in READERS.items())
    raise GestaError(
        f"{root}: no known layout. A data folder holds one of:{layouts}\nName it with --format if it is there."
    )


def read(root: Path | str, layout: str | None = None) -> Listing:
    """What lies in `root`. The layout is detected unless it is named.

    Raises GestaError if `root` does not exist, has no known layout, or `layout` is not one of READERS and VARIANTS
    (usage).
    """
    root = Path(root)
    if layout is not None and layout in VARIANTS:
        return VARIANTS[layout](_existing(root))
    if layout is not None and layout not in READERS:
        known = [*READERS, *VARIANTS]
        near = difflib.get_close_matches(layout, known, n=1, cutoff=0.4)
        meant = f" Did you mean {near[0]}?" if near else ""
        raise GestaError(f"unknown format {layout!r}; there are {', '.join(known)}.{meant}", usage=True)
    name = layout or detect(root)
    return READERS[name].read(_existing(root))


def _existing(root: Path) -> Path:
    if not root.exists():
        raise GestaError(f"{root}: does not exist. Give a data folder, a recording or a video.")
    return root
