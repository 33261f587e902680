"""UCF-101 (Soomro et al. 2012): `<Class>/v_<Class>_gGG_cCC.avi` and the three official splits.

    ROOT/[UCF-101/]ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi
    ROOT/[ucfTrainTestlist/]classInd.txt, trainlist01.txt, testlist01.txt, ... 03

A group (there are 25) is one person or place in each class, so groups are used as subjects. The split of a clip comes
from the lists; validation groups are taken out of training.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from gesta.schema import GestaError, Listing, Problem, Resource, Sample, Split
from gesta.sources.files import is_video, missing_videos, read_text, walk

LAYOUT = "ucf101"
SPLITS = (1, 2, 3)
_NAME = re.compile(r"v_(?P<label>\w+)_g(?P<group>\d+)_c(?P<clip>\d+)", re.ASCII)


def matches(root: Path) -> bool:
    """Returns True if the lists of a split are in the folder or its subfolder `ucfTrainTestlist`."""
    return root.is_dir() and _lists(root, 1) is not None


def read(root: Path, split: int = 1) -> Listing:
    """Returns one sample per video in the lists of this split, sorted by name; other videos are skipped and reported.

    Raises GestaError if the lists are missing, contain missing videos (up to 50 are listed), or contradict each
    other.
    """
    folder = _lists(root, split)
    if folder is None:
        raise GestaError(
            f"{root}: contains no trainlist{split:02d}.txt and testlist{split:02d}.txt. Copy the official lists there."
        )
    parts = read_split(folder, split)
    videos = {path.name: path for path in walk(root) if is_video(path)}
    missing = [name for name in parts if PurePosixPath(name).name not in videos]
    if missing:
        hint = f"Add the videos to {root}, or remove their lines from the lists."
        raise missing_videos(f"{folder}: split {split}", missing, hint)
    samples = [_sample(name, part, videos[PurePosixPath(name).name]) for name, part in sorted(parts.items())]
    named = {PurePosixPath(name).name for name in parts}
    problems = [
        Problem(str(path), "not-in-split", f"is not in the lists of split {split} and is skipped.")
        for name, path in sorted(videos.items())
        if name not in named
    ]
    return Listing(root, LAYOUT, tuple(samples), tuple(problems))


def read_split(folder: Path, split: int) -> dict[str, Split]:
    """Returns `<Class>/<video>` -> train or test from a split's lists. Raises GestaError for a line without a video."""
    parts: dict[str, Split] = {}
    names: Mapping[str, Split] = {"trainlist": "train", "testlist": "test"}
    for stem, part in names.items():
        path = folder / f"{stem}{split:02d}.txt"
        for number, line in enumerate(read_text(path).splitlines(), 1):
            name = line.split()[0] if line.strip() else ""
            if not name:
                continue
            if _NAME.match(PurePosixPath(name).name) is None:
                raise GestaError(f"{path}:{number}: expected <Class>/v_<Class>_gGG_cCC.avi, found {line.strip()!r}.")
            if parts.setdefault(name, part) != part:
                raise GestaError(
                    f"{path}:{number}: {name} is also in the other list of the split. Remove one of the lines."
                )
    return parts


def _lists(root: Path, split: int) -> Path | None:
    """Returns the folder with both lists of a split."""
    for folder in (root, root / "ucfTrainTestlist"):
        if all((folder / f"{stem}{split:02d}.txt").is_file() for stem in ("trainlist", "testlist")):
            return folder
    return None


def _sample(name: str, part: Split, path: Path) -> Sample:
    found = _NAME.match(path.name)
    assert found is not None  # checked by read_split
    identity = PurePosixPath(name).name
    return Sample(
        id=identity,
        recording=identity,
        color=Resource(path),
        label=PurePosixPath(name).parent.name or found["label"],  # in one class, file names spell it differently
        subject=f"g{int(found['group']):02d}",
        split=part,
    )
