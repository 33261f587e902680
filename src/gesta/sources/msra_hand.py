"""The MSRA hand gesture data set (Sun et al. 2015): 9 people, 17 gestures each, 21 joints, depth cropped to the hand.

    ROOT/P0/1/000000_depth.bin ... joint.txt      P0 to P8; gestures 1 to 9, I, IP, L, MP, RP, T, TIP, Y

`joint.txt`: the number of frames, then a row `x y z` of 21 joints for each, in mm, y up, z negative (negated here).
The camera (focal length 241.42, center of 320 x 240), the crop and the joint order follow the set's own readme; the
sign of z follows public readers of the set, which negate it, too; it was not verified against the files.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gesta.schema import GestaError, HandFrame, HandListing, Problem, Resource
from gesta.sources.cameras import CAMERAS
from gesta.sources.files import read_text

_FINGERS = ("index", "middle", "ring", "little", "thumb")
JOINTS = ("wrist", *(f"{finger}_{part}" for finger in _FINGERS for part in ("mcp", "pip", "dip", "tip")))


def matches(root: Path) -> bool:
    return bool(_sequences(root))


def read(root: Path) -> HandListing:
    """Reads all frames, with the person as subject and no split (one person is held out). Center: mean of the joints.

    Frames without an image or with non-finite joints are skipped and reported. Raises GestaError if there are no
    sequences, or a `joint.txt` does not have the size given in its first row.
    """
    sequences = _sequences(root)
    if not sequences:
        raise GestaError(
            f"{root}: no P0/1/joint.txt or similar here. Give the MSRA folder that contains P0, P1 and so on."
        )
    frames: list[HandFrame] = []
    problems: list[Problem] = []
    for labels in sequences:
        _read_sequence(labels, frames, problems)
    return HandListing(root, "msra", tuple(frames), tuple(problems), JOINTS)


def _read_sequence(labels: Path, frames: list[HandFrame], problems: list[Problem]) -> None:
    folder = labels.parent
    names = {entry.name for entry in os.scandir(folder)}
    for row, world in enumerate(_joints(labels)):
        name = f"{row:06d}_depth.bin"
        if name not in names:
            problems.append(Problem(str(folder / name), "missing-image", "no such depth file.", "Copy it."))
        elif not np.isfinite(world).all():
            problems.append(Problem(str(labels), "nan-joints", f"row {row + 2} is not finite.", "Correct the labels."))
        else:
            frames.append(
                HandFrame(
                    id=f"{folder.parent.name}/{folder.name}/{row:06d}",
                    depth=Resource(folder / name),
                    camera=CAMERAS["msra"],
                    encoding="msra",
                    joints_mm=world,
                    center_mm=world.mean(axis=0),
                    subject=folder.parent.name,
                )
            )


def _joints(labels: Path) -> NDArray[np.float32]:
    """Returns joints N 21 3 in mm, z forward."""
    count, *cells = read_text(labels).split() or [""]
    try:
        expected, values = int(count), np.array(cells, np.float64)
    except ValueError as error:
        raise GestaError(f"{labels}: expected the number of frames, then numbers ({error}).") from error
    if values.size != expected * len(JOINTS) * 3:
        raise GestaError(
            f"{labels}: expected {expected * 63} numbers for {expected} frames of 21 joints, found {values.size}. "
            "Is the file complete?"
        )
    return (values.reshape(-1, len(JOINTS), 3) * (1, 1, -1)).astype(np.float32)


def _sequences(root: Path) -> list[Path]:
    return sorted(root.glob("P[0-9]/*/joint.txt"))
