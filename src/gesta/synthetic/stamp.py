"""Stores the settings of a generated folder in it: a stopped run resumes only with the same ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from gesta.files import read_json
from gesta.schema import GestaError

NAME = "gesta_synthetic.json"


def claim(out: Path, stamp: Mapping[str, object]) -> None:
    """Creates the folder and writes the stamp. Raises GestaError for a folder with other content."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / NAME
    if path.exists():
        held = read_json(path)
        if held != stamp:
            raise GestaError(
                f"{path}: the folder's data were made with other settings: {held}, not {stamp}. "
                "Choose another folder, or delete this one."
            )
        return
    if any(not found.name.startswith(".") for found in out.iterdir()):
        raise GestaError(f"{out}: contains other files. Choose an empty or new folder.", usage=True)
    write(path, (json.dumps(stamp, indent=2) + "\n").encode())


def write(path: Path, data: bytes) -> None:
    """Writes a file under a temporary name, then renames it."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(data)
    partial.replace(path)
