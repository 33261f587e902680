"""Skeleton files as recordings of their own: recognizing them, the names of their joints, and data sets whose file
names contain the class and the person.

| names | class, person |
|---|---|
| `S001C002P003R002A013.skeleton` (NTU RGB+D) | A013, P003 |
| `a01_s02_e03_skeleton3D.txt` (MSR Action3D), `a1_s2_t3_skeleton.npy` (UTD-MHAD) | a01, s02 |

Joints of `.npy` are named by `joints.txt` in the data folder or its parent, one per line, unless their number
identifies them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gesta.clips.skeleton_files import READERS, read_skeletons
from gesta.schema import GestaError, Listing, Problem, Resource, Sample
from gesta.sources.files import read_text, walk

LAYOUT = "skeletons"
SUFFIXES = tuple(READERS)
ALWAYS = (".skeleton", ".npy")
"""Extensions that no other input of a model has."""
LOOKED_AT = 3
"""Unreadable files per folder and extension before all others there are assumed not to be skeletons."""
NAMES = (
    re.compile(r"S\d{3}C\d{3}(?P<subject>P\d{3})R\d{3}(?P<label>A\d{3})(_.*)?"),
    re.compile(r"(?P<label>a\d+)_(?P<subject>s\d+)_[et]\d+(_.*)?"),
)


def joints_of(folder: Path) -> tuple[str, ...]:
    """Returns the names in the joints.txt of the folder or its parent; empty if there is none.

    Raises GestaError if it is not text.
    """
    path = next((p for p in (folder / "joints.txt", folder.parent / "joints.txt") if p.is_file()), None)
    if path is None:
        return ()
    return tuple(line.strip() for line in read_text(path).splitlines() if line.strip())


class Finder:
    """Recognizes skeleton files by trial: all with the folder and extension of a file that can be read are accepted."""

    def __init__(self, joints: tuple[str, ...] = ()) -> None:
        self.joints = joints
        self._known: dict[tuple[Path, str], bool] = {}
        self._tried: dict[tuple[Path, str], int] = {}

    def __call__(self, path: Path) -> bool:
        suffix = path.suffix.lower()
        if suffix not in SUFFIXES or path.name == "joints.txt":
            return False
        key = path.parent, suffix
        if suffix in ALWAYS or self._known.get(key):
            return True
        self._tried[key] = self._tried.get(key, 0) + 1
        if self._tried[key] > LOOKED_AT:
            return False
        self._known[key] = can_be_read(path, self.joints)
        return self._known[key]


def can_be_read(path: Path, joints: tuple[str, ...] = ()) -> bool:
    """Returns whether a file contains skeletons."""
    try:
        read_skeletons(Resource(path), joints_in(path, joints) or None)
    except GestaError:
        return False
    return True


def joints_in(path: Path, joints: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the joint names from joints.txt for a `.npy` file, else ()."""
    return joints if path.suffix.lower() == ".npy" else ()


def skeleton_sample(path: Path, name: str, joints: tuple[str, ...], **known: Any) -> Sample:
    """Returns a skeleton file as a recording. `joints`: from joints.txt; `known`: label, subject, ..."""
    return Sample(id=name, recording=name, skeleton=Resource(path), joints=joints_in(path, joints), **known)


def matches(root: Path) -> bool:
    """Returns True if a file directly in `root` has a known name pattern and the extension of a skeleton file."""
    return root.is_dir() and any(_named(path) is not None for path in walk(root, depth=1))


def read(root: Path) -> Listing:
    """Returns one sample per file, sorted by name; files without a known name pattern become problems."""
    joints = joints_of(root)
    samples, problems = [], []
    for path in walk(root, depth=1):
        named = _named(path)
        if named is not None:
            samples.append(skeleton_sample(path, path.name, joints, **named))
        elif path.suffix.lower() in SUFFIXES and path.name != "joints.txt":
            reason = "its name contains neither class nor person."
            hint = "Name it like the others, or write an index.csv with the columns path,label,subject."
            problems.append(Problem(str(path), "no-labels", reason, hint))
    return Listing(root, LAYOUT, tuple(samples), tuple(problems))


def _named(path: Path) -> dict[str, str] | None:
    """Returns label and subject from a file's name, or None if it has no known pattern."""
    if path.suffix.lower() not in SUFFIXES:
        return None
    fits = (pattern.fullmatch(path.stem) for pattern in NAMES)
    return next((found.groupdict() for found in fits if found), None)


def among(paths: Iterable[Path], joints: tuple[str, ...]) -> list[Path]:
    """Returns the skeleton files among `paths`."""
    finder = Finder(joints)
    return [path for path in paths if finder(path)]
