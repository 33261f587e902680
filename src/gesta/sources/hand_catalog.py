"""The hand pose layouts that gesta reads, by name, and the detection of a folder's layout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gesta.schema import GestaError, HandListing
from gesta.sources import hand_folder, icvl, msra_hand, nyu
from gesta.words import did_you_mean


@dataclass(frozen=True)
class HandReader:
    """One layout: how to detect it, how to read it, and what it looks like."""

    matches: Callable[[Path], bool]
    read: Callable[[Path], HandListing]
    looks_like: str


HAND_READERS: dict[str, HandReader] = {
    "nyu": HandReader(nyu.matches, nyu.read, "train/ and test/ with joint_data.mat and depth_1_0000001.png, ..."),
    "icvl": HandReader(icvl.matches, icvl.read, "Training/labels.txt, Testing/test_seq_1.txt and Depth/ in both"),
    "msra": HandReader(msra_hand.matches, msra_hand.read, "P0/1/joint.txt and 000000_depth.bin, ..."),
    "hand_folder": HandReader(
        hand_folder.matches, hand_folder.read, "depth/*.png (16-bit, mm) and camera.yaml; rgb/, joints.csv optional"
    ),
}
"""Layouts by name, in detection order."""


def detect(root: Path | str) -> str | None:
    """Returns the name of the layout of `root`, or None if it is unknown."""
    return next((name for name, reader in HAND_READERS.items() if reader.matches(Path(root))), None)


def read(root: Path | str, layout: str | None = None) -> HandListing:
    """Reads the data in `root`. The layout is detected if not given.

    Raises GestaError if `root` is not a folder, has no known layout, or `layout` is not one of HAND_READERS (usage).
    """
    root = Path(root)
    if layout is not None and layout not in HAND_READERS:
        meant = did_you_mean(layout, HAND_READERS)
        raise GestaError(f"unknown format {layout!r}; choose from {', '.join(HAND_READERS)}.{meant}", usage=True)
    if not root.is_dir():
        raise GestaError(f"{root}: no such folder. Give the folder of a hand pose data set.")
    name = layout or detect(root)
    if name is None:
        layouts = "".join(f"\n  {name}: {reader.looks_like}" for name, reader in HAND_READERS.items())
        raise GestaError(f"{root}: no known layout of a hand pose data set. Expected one of:{layouts}")
    return HAND_READERS[name].read(root)
