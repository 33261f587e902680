"""The ICVL hand posture data set (Tang et al. 2014): 16-bit depth, 16 joints in pixels and mm, no color.

    ROOT/Training/labels.txt               Training/Depth/201403121135/image_0000.png ...
    ROOT/Testing/test_seq_1.txt, _2.txt    Testing/Depth/test_seq_1/image_0000.png ...

A row is `path u v d u v d ...`: the image below Depth, then 16 joints. Depth images are gray PNGs, 320 x 240, in mm.
The joint order is that of the published ground truth of the test sequences: in the open hand of test_seq_1's first
frame the five chains root, middle, tip point away from the palm, from the thumb on the left to the little finger. Some
evaluations use the focal lengths 240.99 and 240.96 instead. Not verified: that subjects are not given.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from gesta.schema import GestaError, HandFrame, HandListing, Problem, Resource, Split
from gesta.sources.cameras import CAMERAS
from gesta.sources.files import inside, is_there, read_text
from gesta.words import counted

FINGERS = ("thumb", "index", "middle", "ring", "little")
JOINTS = ("palm", *(f"{finger}_{part}" for finger in FINGERS for part in ("root", "mid", "tip")))
PARTS = {"Training": ("train", "labels.txt"), "Testing": ("test", "test_seq_*.txt")}


def matches(root: Path) -> bool:
    return any(list((root / part).glob(pattern)) for part, (_, pattern) in PARTS.items())


def read(root: Path) -> HandListing:
    """Reads training frames as "train" and test sequences as "test"; the center is the palm.

    Frames without an image or with non-finite joints are skipped and reported. Raises GestaError if there is no list
    of labels, or a row is not a path with 48 numbers.
    """
    frames: list[HandFrame] = []
    problems: list[Problem] = []
    for part, (split, pattern) in PARTS.items():
        for labels in sorted((root / part).glob(pattern)):
            _read_labels(labels, root / part / "Depth", cast("Split", split), frames, problems)
    if not frames and not problems:
        raise GestaError(
            f"{root}: no Training/labels.txt or Testing/test_seq_1.txt here. Give the folder of the ICVL data set."
        )
    return HandListing(root, "icvl", tuple(frames), tuple(problems), JOINTS)


def _read_labels(labels: Path, images: Path, split: Split, frames: list[HandFrame], problems: list[Problem]) -> None:
    present: dict[str, set[str]] = {}
    missing, not_finite = [], []
    for number, line in enumerate(read_text(labels).splitlines(), start=1):
        if not line.strip():
            continue
        name, uvd = _row(labels, number, line)
        folder = name.rpartition("/")[0]
        if folder not in present:
            place = inside(images, folder, f"{labels}:{number}")
            present[folder] = {entry.name for entry in os.scandir(place)} if is_there(place, folder=True) else set()
        if name.rpartition("/")[2] not in present[folder]:
            missing.append(name)
        elif not np.isfinite(uvd).all():
            not_finite.append(name)
        else:
            world = CAMERAS["icvl"].unproject(uvd).astype(np.float32)
            image = Resource(images / name)
            key = f"{split}/{name.removesuffix('.png')}"
            frames.append(HandFrame(key, image, CAMERAS["icvl"], joints_mm=world, center_mm=world[0], split=split))
    for names, kind, what, hint in (
        (missing, "missing-image", "no such depth image", "Copy the missing images."),
        (not_finite, "nan-joints", "joints that are not finite", "Correct the labels."),
    ):
        if names:
            reason = f"{counted(len(names), 'frame')} skipped: {what} (first: {names[0]})."
            problems.append(Problem(str(labels), kind, reason, hint))


def _row(labels: Path, number: int, line: str) -> tuple[str, NDArray[np.float64]]:
    """Returns (path below Depth, joints 16 3). Raises GestaError if a row is invalid or leads out of the folder."""
    name, *cells = line.split()
    try:
        values = np.array(cells, np.float64)
    except ValueError as error:
        raise GestaError(f"{labels}: row {number}: {error}. Expected `path u v d ...` of 16 joints.") from error
    if values.size != 3 * len(JOINTS):
        raise GestaError(f"{labels}: row {number} has {values.size} numbers, expected 48: u v d of 16 joints.")
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise GestaError(f"{labels}: row {number}: {name} is outside the folder. Paths are relative to Depth.")
    return name, values.reshape(-1, 3)
