"""The folder of a studio: the data, and `.studio/` for unfinished recordings, deleted clips and trained models."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gesta.schema import GestaError
from gesta.sources import catalog
from gesta.sources.files import is_hidden
from gesta.web.messages import Limits
from gesta.web.refuse import Refuse

HIDDEN = ".studio"
READABLE = ("index_csv", "class_folders")


@dataclass
class Folder:
    """Paths of a studio. One server per folder: `open` acquires its lock, `close` releases it."""

    root: Path
    limits: Limits = field(default_factory=Limits)
    _lock: Any = field(default=None, repr=False)

    @property
    def hidden(self) -> Path:
        return self.root / HIDDEN

    def place(self, name: str) -> Path:
        """A folder inside `.studio/`, created if missing."""
        path = self.hidden / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def open(self) -> Folder:
        """Creates and locks the folder. Raises GestaError for data of another layout, or if another server uses it."""
        from filelock import FileLock, Timeout

        if self.root.exists() and not self.root.is_dir():
            raise GestaError(f"{self.root}: is a file. Give a folder, or a new name.", usage=True)
        self.layout()
        try:
            self.hidden.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(self.hidden / "lock", blocking=False, thread_local=False)
            self._lock.acquire()
        except Timeout as error:
            raise GestaError(
                f"{self.root}: another gesta studio is running in this folder. Use its page, or stop it first."
            ) from error
        except OSError as error:
            raise GestaError(f"{self.root}: cannot be written ({error}). Give another folder.") from error
        return self

    def close(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def layout(self) -> str | None:
        """index_csv, class_folders, or None for an empty folder. Raises GestaError (usage) for another layout."""
        if not self.root.is_dir() or all(is_hidden(path.name) for path in self.root.iterdir()):
            return None
        try:
            found = catalog.detect(self.root)
        except GestaError:
            return None
        if found not in READABLE:
            raise GestaError(
                f"{self.root}: contains data of the layout {found}, which the studio cannot change. Give an empty "
                "folder, a folder of class folders, or one with an index.csv (gesta data index writes one).",
                usage=True,
            )
        return found

    def free_bytes(self) -> int:
        return shutil.disk_usage(self.root).free

    def need_space(self) -> None:
        """Raises Refuse 507 if there is less free space than recording needs."""
        free, wanted = self.free_bytes(), self.limits.free_bytes
        if free < wanted:
            raise Refuse(
                507,
                f"Only {free / 2**30:.1f} GB of disk are free.",
                f"at least {wanted / 2**30:.0f} GB, so that nothing is lost while recording",
                "Free some space, then record again. Finished recordings are kept.",
            )

    def below(self, name: str) -> Path:
        """The file at a path inside the folder. Raises Refuse 404 if it is outside the folder or not a file."""
        path = self.root / name
        with suppress(OSError, ValueError):
            if path.resolve().is_relative_to(self.root.resolve()) and path.is_file():
                return path
        raise Refuse(404, f"The file {name} no longer exists.", hint="Put it back, or delete the clip.")
