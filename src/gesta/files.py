"""Atomic file writes: written under a temporary name, flushed to disk, renamed."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gesta.leftovers import remove_left_behind, temporary
from gesta.schema import GestaError


@contextmanager
def replacing(path: Path, ending: str = "tmp") -> Iterator[Path]:
    """A temporary path next to `path` to write to: renamed to `path` if the block succeeds, otherwise deleted.

    Temporary files left by earlier crashes are removed first. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_left_behind(path)
    made = temporary(path, ending)
    try:
        yield made
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes | str, *, durable: bool = True) -> Path:
    """Atomically writes bytes, or text as UTF-8. Raises OSError and then leaves nothing behind.

    `durable`: wait until the disk has it, so that it survives a power failure.
    """
    with replacing(path) as made, made.open("wb") as stream:
        stream.write(content.encode(errors="backslashreplace") if isinstance(content, str) else content)
        stream.flush()
        if durable:
            os.fsync(stream.fileno())
    return path


def json_text(document: Mapping[str, Any]) -> str:
    """A document as indented JSON. Raises ValueError for numbers that are not finite, which JSON lacks."""
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: Path, document: Mapping[str, Any], *, durable: bool = True) -> Path:
    """Writes a document as JSON. Raises OSError, and ValueError for numbers that are not finite."""
    return write_whole(path, json_text(document), durable=durable)


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None if there is no such file, it cannot be read, or it holds something else."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def csv_text(rows: Iterable[Sequence[object]], line_end: str = "\n") -> str:
    """Rows of cells as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator=line_end).writerows(rows)
    return text.getvalue()


def write_files(folder: Path, contents: Mapping[str, bytes | str]) -> None:
    """Writes several files into a folder. Raises GestaError on failure."""
    try:
        for name, content in contents.items():
            write_whole(folder / name, content)
    except OSError as error:
        raise GestaError(f"{folder}: the results cannot be written ({error}). Give another --out.") from error


def write_folder(folder: Path, contents: Mapping[str, bytes | str]) -> None:
    """Atomically writes a folder, with subfolders for names like `a/b.txt`; replaces an old one. Raises OSError."""
    remove_left_behind(folder)
    made = temporary(folder)
    try:
        for name, content in contents.items():
            write_whole(made / name, content)
        swap_in(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def swap_in(new: Path, folder: Path) -> None:
    """Moves a folder to another path, replacing an existing one. Raises OSError and then changes nothing."""
    if not folder.exists():
        new.replace(folder)
        return
    old = temporary(folder, "old")
    folder.replace(old)
    try:
        new.replace(folder)
    except OSError:
        old.replace(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def user_data(name: str) -> Path:
    """A folder for external files that gesta uses: `GESTA_DATA`/name, else `gesta/name` in the user's data folder
    (`~/.local/share`, `%LOCALAPPDATA%`)."""
    named, local = os.environ.get("GESTA_DATA"), os.environ.get("LOCALAPPDATA")
    if named:
        return Path(named) / name
    base = Path(local) if local else Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "gesta" / name
