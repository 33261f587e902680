"""The file that a cell of an index names, also where it is spelled in another Unicode form or without its ending."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path, PurePosixPath

from gesta.sources.files import is_hidden, is_video
from gesta.untrusted import same_text


class Finder:
    """Files below `root` by name. Folders are listed once, and only where a name is not there as it is written."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._listed: dict[Path, dict[str, list[Path]]] = {}

    def find(self, relative: PurePosixPath) -> Path | None:
        """None where nothing, or more than one file, has that name."""
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
        """Files by name in NFC, and videos also by it without the ending."""
        if folder not in self._listed:
            found: dict[str, list[Path]] = defaultdict(list)
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                name = same_text(path.name)
                if not is_hidden(name):
                    for key in {name, name[: -len(path.suffix)]} if is_video(path) else {name}:
                        found[key].append(path)
            self._listed[folder] = found
        return self._listed[folder]
