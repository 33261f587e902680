"""Finds the file named by an index cell, also in another Unicode normalization form or without its extension."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path, PurePosixPath

from gesta.sources.files import is_hidden, is_video
from gesta.untrusted import same_text


class Finder:
    """Finds files below `root` by name. Folders are listed once, and only if there is no exact match."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._listed: dict[Path, dict[str, list[Path]]] = {}

    def find(self, relative: PurePosixPath) -> Path | None:
        """Returns the file, or None if no file or more than one matches."""
        if "\0" in str(relative):
            return None
        path = self._root / relative
        try:
            if path.exists():
                return path
        except OSError:  # a name too long for the file system
            return None
        here = self._root
        for part in relative.parts:
            step = here / part
            if not step.exists():
                same = self._names(here).get(same_text(part), [])
                if len(same) != 1:
                    return None
                step = same[0]
            here = step
        return here

    def _names(self, folder: Path) -> dict[str, list[Path]]:
        """Returns files by name in NFC, and videos also by the name without extension."""
        if folder not in self._listed:
            found: dict[str, list[Path]] = defaultdict(list)
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                name = same_text(path.name)
                if not is_hidden(name):
                    for key in {name, name[: -len(path.suffix)]} if is_video(path) else {name}:
                        found[key].append(path)
            self._listed[folder] = found
        return self._listed[folder]
