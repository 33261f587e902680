"""The NYU hand pose data set (Tompson et al. 2014): depth and color of three Kinects, 36 joints.

    ROOT/train/  depth_1_0000001.png ... depth_3_0072757.png, rgb_1_0000001.png ..., joint_data.mat
    ROOT/test/   the same, 8,252 frames

Depth (mm) is stored in green (high byte) and blue (low byte) of an 8-bit PNG, 640 x 480. Color is registered to it.
The first number in a name is the view, 1 is frontal; the second is the frame, from 1. `joint_data.mat` (MATLAB 5 or
7.3) contains joint_xyz (mm) and joint_uvd (pixels, mm), each views x frames x 36 x 3, in each view's camera
coordinates.

The test part shows two people; the second begins at frame 2441, where the distances between the palm's joints change
abruptly (see tests). A generated set has a field `subject` (frames), which the original lacks.
Reading `.mat` requires scipy and h5py, which the extra train installs.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from gesta.schema import GestaError, HandFrame, HandListing, Problem, Resource, Split
from gesta.sources.cameras import CAMERAS
from gesta.sources.nyu_annotation import VIEWS, read_annotation
from gesta.words import counted

ANNOTATION = "joint_data.mat"
PROTOCOL = (0, 3, 6, 9, 12, 15, 18, 21, 24, 25, 27, 30, 31, 32)
"""The 14 of 36 joints used for evaluation."""
PROTOCOL_NAMES = ("P1", "P2", "R1", "R2", "M1", "M2", "I1", "I2", "T1", "T2", "T3", "W1", "W2", "C")
CENTER = 32
"""The joint used as the hand's center: the palm, C."""
TEST_FRAMES, SECOND_PERSON = 8252, 2440
"""Frames of the original test part, and how many of them show the first person."""


def matches(root: Path) -> bool:
    return bool(_parts(root))


def read(root: Path, views: Sequence[int] = (1,), joints: Sequence[int] = PROTOCOL) -> HandListing:
    """Reads the frames of train and test, or of `root` itself if it contains `joint_data.mat`.

    `views`: which of the three cameras. `joints`: indices among the 36. Frames with a missing image or non-finite
    joints are skipped and reported. Raises GestaError if there is no annotation, or it is unreadable, lacks joint_xyz
    and joint_uvd, or they have an unexpected shape.
    """
    parts = _parts(root)
    if not parts:
        raise GestaError(f"{root}: no {ANNOTATION} here, in train/ or in test/. Give the folder of the NYU data set.")
    unknown = [view for view in views if view not in VIEWS]
    if unknown or not views:
        raise GestaError(f"NYU has the views 1, 2 and 3, not {', '.join(map(str, unknown)) or 'none'}.", usage=True)
    frames: list[HandFrame] = []
    problems: list[Problem] = []
    for folder, split in parts:
        _read_part(folder, split, views, joints, frames, problems)
    names = PROTOCOL_NAMES if tuple(joints) == PROTOCOL else tuple(str(index) for index in joints)
    return HandListing(root, "nyu", tuple(frames), tuple(problems), names)


def read_images(root: Path, view: int = 1) -> list[HandFrame]:
    """Reads the images of one view without annotations: no joints, center or subject."""
    frames = []
    for folder, split in _parts(root):
        names = {entry.name for entry in os.scandir(folder)}
        chosen = sorted(name for name in names if name.startswith(f"depth_{view}_") and name.endswith(".png"))
        frames += [_frame(folder, name, names, split, view) for name in chosen]
    return frames


def _frame(folder: Path, name: str, names: set[str], split: Split | None, view: int, **annotated: Any) -> HandFrame:
    """Returns the frame of one depth image, with its color image if that is among the folder's `names`."""
    color = f"rgb{name[5:]}"
    return HandFrame(
        id=(f"{folder.name}/" if split else "") + name[:-4],
        depth=Resource(folder / name),
        camera=CAMERAS["nyu"],
        encoding="nyu",
        color=Resource(folder / color) if color in names else None,
        split=split,
        view=view,
        **annotated,
    )


def _read_part(
    folder: Path,
    split: Split | None,
    views: Sequence[int],
    joints: Sequence[int],
    frames: list[HandFrame],
    problems: list[Problem],
) -> None:
    """Appends one part's frames and problems."""
    annotation = folder / ANNOTATION
    world, people = read_annotation(annotation, views)  # V N 36 3
    names = {entry.name for entry in os.scandir(folder)}
    finite = np.asarray(np.isfinite(world).all(axis=(2, 3)))  # V N
    chosen, center = world[:, :, list(joints)], world[:, :, CENTER]
    missing, not_finite = [], []
    for at, view in enumerate(views):
        for row in range(world.shape[1]):
            name = f"depth_{view}_{row + 1:07d}.png"
            if name not in names:
                missing.append(name)
                continue
            if not finite[at, row]:
                not_finite.append(name)
                continue
            who = _subject(people, split, row, world.shape[1])
            frames.append(
                _frame(
                    folder, name, names, split, view, joints_mm=chosen[at, row], center_mm=center[at, row], subject=who
                )
            )
    problems += _left_out(annotation, missing, "missing-image", "no such depth image", "Copy the missing images.")
    problems += _left_out(annotation, not_finite, "nan-joints", "joints that are not finite", "Correct the annotation.")


def _subject(people: tuple[str, ...] | None, split: Split | None, row: int, frames: int) -> str | None:
    """Returns the subject of a frame: from the annotation, else as known for the original set."""
    if people is not None:
        return people[row]
    if split == "train":
        return "1"
    return ("1" if row < SECOND_PERSON else "2") if frames == TEST_FRAMES else None


def _left_out(path: Path, names: list[str], kind: str, what: str, hint: str) -> list[Problem]:
    if not names:
        return []
    return [Problem(str(path), kind, f"{counted(len(names), 'frame')} skipped: {what} (first: {names[0]}).", hint)]


def _parts(root: Path) -> list[tuple[Path, Split | None]]:
    """Returns the folders with an annotation, and their splits."""
    if (root / ANNOTATION).is_file():
        name = root.name.lower()
        return [(root, cast("Split", name) if name in ("train", "test") else None)]
    return [(root / s, cast("Split", s)) for s in ("train", "test") if (root / s / ANNOTATION).is_file()]
