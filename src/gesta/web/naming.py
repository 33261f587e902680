"""Portable file and folder names, made by the server from what people typed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

LONGEST = 32
_RESERVED = re.compile(r"con|prn|aux|nul|(com|lpt)\d|index|train|val|test", re.I)
"""Device names of Windows, and names that readers interpret as splits of a data set."""
_NUMBERED = re.compile(r".*_(\d{3,})\.\w+")


def slug(name: str, fallback: str = "gesture") -> str:
    """Lower-case ASCII letters, digits and single hyphens: `Swipe left!` -> `swipe-left`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    made = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:LONGEST].strip("-")
    if not made or _RESERVED.fullmatch(made):
        return f"{fallback}-{made}".strip("-")
    return made


def next_file(folder: Path, person: str, suffix: str, taken: Iterable[str] = ()) -> Path:
    """`folder/<person>_<nnn><suffix>`, numbered after the highest in the folder and among the names `taken`."""
    stem = slug(person, "person")
    there = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    numbers = [number_of(name) for name in (*there, *taken) if name.startswith(f"{stem}_")]
    return folder / f"{stem}_{max(numbers, default=0) + 1:03d}{suffix}"


def number_of(name: str) -> int:
    """The number of a file named by `next_file`; 0 for others."""
    found = _NUMBERED.fullmatch(name)
    return int(found[1]) if found else 0
