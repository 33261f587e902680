"""What a generated folder is made of, written beside it: a stopped run resumes only with the same settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from gesta.schema import GestaError

NAME = "gesta_synthetic.json"


def claim(out: Path, stamp: Mapping[str, object]) -> None:
    """Makes the folder and writes the stamp. Raises GestaError for a folder that holds something else."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / NAME
    if path.exists():
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            held = None
        if held != stamp:
            raise GestaError(
                f"{path}: the folder's data were made with other settings ({held}), asked for {stamp}. "
                "Choose another folder, or delete this one."
            )
        return
    if any(not found.name.startswith(".") for found in out.iterdir()):
        raise GestaError(f"{out}: contains other files. Choose an empty or new folder.", usage=True)
    write(path, (json.dumps(stamp, indent=2) + "\n").encode())


def write(path: Path, data: bytes) -> None:
    """Under a temporary name first."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(data)
    partial.replace(path)
