"""Files that are there whole or not at all: written under a temporary name, flushed to the disk, renamed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gesta.leftovers import remove_left_behind, temporary
from gesta.schema import GestaError


@contextmanager
def replacing(path: Path, ending: str = "tmp") -> Iterator[Path]:
    """A temporary name beside `path` to write to: it becomes `path` when the block ends well, and is gone when not.

    What earlier crashes left of such names is removed first. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_left_behind(path)
    made = temporary(path, ending)
    try:
        yield made
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes | str) -> Path:
    """Writes bytes, or text in UTF-8. Raises OSError and then leaves nothing behind."""
    with replacing(path) as made, made.open("wb") as stream:
        stream.write(content.encode(errors="backslashreplace") if isinstance(content, str) else content)
        stream.flush()
        os.fsync(stream.fileno())
    return path


def json_text(document: Mapping[str, Any]) -> str:
    """A document as indented JSON. Raises ValueError for a number that is not finite: JSON has none."""
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: Path, document: Mapping[str, Any]) -> Path:
    """Writes a document as JSON. Raises OSError, and ValueError for a number that is not finite."""
    return write_whole(path, json_text(document))


def write_files(folder: Path, contents: Mapping[str, bytes | str]) -> None:
    """Writes several files into a folder. Raises GestaError where that fails."""
    try:
        for name, content in contents.items():
            write_whole(folder / name, content)
    except OSError as error:
        raise GestaError(f"{folder}: the results cannot be written ({error}). Give another --out.") from error
