"""AUTSL (Sincan and Keles 2020): 226 Turkish signs, as videos or folders of frames, with lists of labels.

    ROOT/train_labels.csv                          signer0_sample1,41      also val_labels.csv, test_labels.csv
    ROOT/train/signer0_sample1_color.mp4           or a folder of images of that name, with or without _color
    ROOT/SignList_ClassId_TR_EN.csv                optional: ClassId,TR,EN, the names of the signs

The signer's number is part of the name. The depth videos are not read: their 8-bit values have no known unit.
"""

from __future__ import annotations

import re
from pathlib import Path

from gesta.schema import GestaError, Listing, Problem, Resource, Sample, Split
from gesta.sources.files import is_there, missing_videos, split_lists
from gesta.sources.tables import read_table

LAYOUT = "autsl"
NAMES_FILE = "SignList_ClassId_TR_EN.csv"
_LIST = re.compile(r"(train|val|validation|test)_(labels|ground_truth)\.csv", re.I)
_NAME = re.compile(r"signer(\d+)_sample\d+", re.I)
_ENDINGS = ("_color.mp4", "_color", "", ".mp4", "_color.avi", ".avi")


def matches(root: Path) -> bool:
    """Returns True if a list of labels begins with a name like `signer0_sample1`."""
    return root.is_dir() and any(_names_signers(path) for path in _lists(root).values())


def read(root: Path) -> Listing:
    """Returns one sample per line of the lists, in order; the label is the class's English name if known.

    Raises GestaError if there is no list, a line has another format, or videos are missing (up to 50 are listed).
    """
    lists = _lists(root)
    if not lists:
        raise GestaError(
            f"{root}: contains no train_labels.csv, val_labels.csv or test_labels.csv. Copy AUTSL's lists."
        )
    signs = _signs(root)
    samples: dict[str, Sample] = {}
    problems: list[Problem] = []
    missing: list[str] = []
    for split, path in lists.items():
        for line, cells in read_table(path):
            signer = _NAME.fullmatch(cells[0])
            if signer is None or len(cells) < 2 or not cells[1].isdecimal():
                if line == 1 and not any(cell.isdecimal() for cell in cells):
                    continue  # a header
                raise GestaError(f"{path}:{line}: expected signer0_sample1,41, found {','.join(cells)[:80]!r}.")
            name = f"{split}/{cells[0]}"
            video = _video(root, path, split, cells[0])
            if name in samples:
                reason = f"{cells[0]} is already listed."
                problems.append(Problem(f"{path}:{line}", "row-twice", reason, "The line is skipped; correct it."))
            elif video is None:
                missing.append(name)
            else:
                label = signs.get(int(cells[1]), f"{int(cells[1]):03d}")
                samples[name] = Sample(
                    id=name, recording=name, color=Resource(video), label=label, subject=signer[1], split=split
                )
    if missing:
        raise missing_videos(f"{root}: a list of AUTSL", missing, "Unpack all parts, or remove the lines.")
    return Listing(root, LAYOUT, tuple(samples.values()), tuple(problems))


def _video(root: Path, listed_in: Path, split: Split, name: str) -> Path | None:
    part = _LIST.fullmatch(listed_in.name)
    folders = dict.fromkeys([root / (part[1] if part else split), root / split, listed_in.parent, root])
    found = (folder / f"{name}{ending}" for folder in folders for ending in _ENDINGS)
    return next((path for path in found if is_there(path) or is_there(path, folder=True)), None)


def _signs(root: Path) -> dict[int, str]:
    """Returns English names by class, with the Turkish name added to duplicates; {} if there is no such list."""
    path = root / NAMES_FILE
    if not path.is_file():
        return {}
    rows = [cells for _, cells in read_table(path) if len(cells) > 2 and cells[0].isdecimal()]
    names = [cells[2] for cells in rows]
    return {int(c[0]): c[2] if names.count(c[2]) == 1 else f"{c[2]} ({c[1]})" for c in rows}


def _lists(root: Path) -> dict[Split, Path]:
    """Finds the lists in `root` or in its immediate subfolders."""
    return split_lists([*root.glob("*.csv"), *root.glob("*/*.csv")], _LIST)


def _names_signers(path: Path) -> bool:
    with path.open("rb") as stream:
        head = stream.read(400).decode("utf-8-sig", errors="replace").splitlines()
    return any(_NAME.match(line) for line in head[:2])
