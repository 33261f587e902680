"""What all readers share: which files are videos, walking a folder in a stable order, reading small text tables."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import yaml

from gesta.schema import GestaError, Split

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm")
UNREAD_VIDEO_SUFFIXES = (".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".ts", ".mts")
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Names people give the three parts, and ours for them."""
SHOWN_MISSING = 50
NOT_YAML = (yaml.YAMLError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What PyYAML raises for text that it cannot read, e.g. 2020-13-45, !!bool maybe, or 100,000 opening brackets."""


def split_name(text: str) -> Split | None:
    """Our name for `Train`, `validation`, `test` and the like; None where it is no such name."""
    return cast("Split | None", SPLIT_NAMES.get(text.strip().lower()))


def is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def is_hidden(name: str) -> bool:
    """Files and folders that systems leave about: `.DS_Store`, `._clip.mp4`, `__MACOSX`."""
    return name.startswith(".") or name == "__MACOSX"


def walk(root: Path, depth: int | None = None) -> Iterator[Path]:
    """All files under `root`, sorted, without hidden ones. `depth` 1 stays in the folder itself; None has no limit."""
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        below = len(here.relative_to(root).parts) + 1
        folders[:] = sorted(name for name in folders if not is_hidden(name)) if depth is None or below < depth else []
        for name in sorted(names):
            if not is_hidden(name):
                yield here / name


def decode_text(raw: bytes, name: str) -> str:
    """UTF-8 text, with or without byte order mark. Raises GestaError that names the file where it is something else."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise GestaError(
            f"{name}: is not UTF-8 text ({error.reason} at byte {error.start}). Save it as UTF-8."
        ) from error


def read_yaml(path: Path) -> Any:
    """What a small YAML file holds. Raises GestaError that names the file where it is no YAML."""
    try:
        return yaml.safe_load(decode_text(path.read_bytes(), str(path)))
    except NOT_YAML as error:
        reason = " ".join(str(error).split())
        raise GestaError(f"{path}: is no YAML that can be read ({reason}). Write it as `name: value` lines.") from error


def table(text: str) -> list[tuple[int, list[str]]]:
    """Rows of a small csv as (line from 1, cells): comma or semicolon, any line ends; blanks and empty rows dropped."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    reader = csv.reader(text.splitlines(), delimiter=";" if first.count(";") > first.count(",") else ",")
    rows = []
    for cells in reader:
        cells = [cell.strip() for cell in cells]
        if any(cells):
            rows.append((reader.line_num, cells))
    return rows


def missing_videos(place: str, names: Sequence[str], hint: str) -> GestaError:
    """The error for a list that names videos that are not there; of more than 50 the first 50 are shown."""
    shown = "\n  ".join(names[:SHOWN_MISSING])
    more = f"\n  ... and {len(names) - SHOWN_MISSING} more" if len(names) > SHOWN_MISSING else ""
    return GestaError(f"{place} names {len(names)} videos that are not there:\n  {shown}{more}\n{hint}")
