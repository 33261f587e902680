"""20BN-Jester (Materzynska et al. 2019): gestures as folders of JPEG images at 12 frames per second, and lists.

    ROOT/jester-v1-train.csv               34870;Drumming Fingers       also jester-v1-validation.csv, -test.csv (ids)
    ROOT/20bn-jester-v1/34870/00001.jpg    a folder per video, below ROOT or one of its folders

The lists may also be Train.csv, Validation.csv and Test.csv with the columns video_id,label. Performers are unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from gesta.schema import GestaError, Listing, Problem, Resource, Sample
from gesta.sources.files import missing_videos, split_lists
from gesta.sources.tables import read_table

LAYOUT = "jester"
FPS = 12.0
_LIST = re.compile(r"jester-v\d+-(train|validation|test)\.csv|(train|validation|test)\.csv", re.I)
_FIRST = re.compile(rb"(\d+\s*;[^;]*|\d+|video_id[,;]label.*)\s*")


def matches(root: Path) -> bool:
    """Returns True if a list with a known name begins with a video's number and label."""
    return root.is_dir() and any(map(_begins_with_id, split_lists(root.iterdir(), _LIST).values()))


def read(root: Path) -> Listing:
    """Returns one sample per line of the lists, in order.

    Raises GestaError if there is no list, a line has another format, or folders are missing (up to 50 are listed).
    """
    lists = split_lists(root.iterdir(), _LIST)
    if not lists:
        raise GestaError(
            f"{root}: contains no jester-v1-train.csv, -validation.csv or -test.csv. Copy Jester's lists there."
        )
    folders = dict(_numbered(root))
    samples: dict[str, Sample] = {}
    problems: list[Problem] = []
    missing: list[str] = []
    for split, path in lists.items():
        for line, number, label in _rows(path):
            if number in samples:
                reason = f"video {number} is already listed."
                problems.append(Problem(f"{path}:{line}", "row-twice", reason, "The line is skipped; correct it."))
            elif number not in folders:
                missing.append(number)
            else:
                color = Resource(folders[number], fps=FPS)
                samples[number] = Sample(id=number, recording=number, color=color, label=label or None, split=split)
    if missing:
        raise missing_videos(f"{root}: a list of Jester", missing, "Unpack all parts, or remove the lines.")
    return Listing(root, LAYOUT, tuple(samples.values()), tuple(problems))


def _rows(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yields (line, number of the video, label or "")."""
    rows = read_table(path)
    header = [cell.lower() for cell in rows[0][1]] if rows else []
    named = "video_id" in header
    at, label_at = (header.index("video_id"), header.index("label") if "label" in header else None) if named else (0, 1)
    for line, cells in rows[named:]:
        number = cells[at] if at < len(cells) else ""
        if not number.isdecimal():
            raise GestaError(f"{path}:{line}: expected a video's number and its label, found {';'.join(cells)[:80]!r}.")
        yield line, number, cells[label_at] if label_at is not None and label_at < len(cells) else ""


def _begins_with_id(path: Path) -> bool:
    with path.open("rb") as stream:
        return _FIRST.fullmatch(stream.readline(400)) is not None


def _numbered(root: Path, depth: int = 3) -> Iterator[tuple[str, Path]]:
    """Yields (name, path) of folders named by a number, up to `depth` levels below `root`; images are not listed."""
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        if folder.name.isdecimal():
            yield folder.name, folder
        elif depth > 1:
            yield from _numbered(folder, depth - 1)
