"""Export jobs: ONNX or a web page by `gesta export`, or the clips, each as one zip to download."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gesta.files import replacing
from gesta.schema import GestaError
from gesta.sources import catalog
from gesta.web.folder import HIDDEN
from gesta.web.jobfiles import Asked

Tell = Callable[..., None]
CLIPS = "clips"
"""The export of clips instead of a model."""
OPTIONS = {"onnx": ("--to", "onnx", "--with-preprocessing"), "web": ("--to", "web")}
DOING = {"onnx": "Making the ONNX file", "web": "Making the web page", "clips": "Packing the clips"}


def file_name(root: Path, to: str) -> str:
    """Name of the download."""
    name = "".join(mark if mark.isalnum() or mark in "-_" else "-" for mark in root.resolve().name).strip("-")
    return f"{name or 'gestures'}_{to}.zip"


def export(root: Path, _folder: Path, asked: Asked, tell: Tell) -> dict[str, Any]:
    """Writes the zip to the model's folder. Raises GestaError."""
    run = root / HIDDEN / "runs" / asked.model
    tell(of=2, doing=DOING[asked.to])
    target = run / "files" / file_name(root, asked.to)
    if asked.to == CLIPS:
        pack_clips(root, target)
        return {}
    made = run / "files" / f".{asked.to}"
    shutil.rmtree(made, ignore_errors=True)
    document = _gesta("export", run / "bundle", *OPTIONS[asked.to], "--out", made, "--json", "--data", root)
    tell(done=1)
    pack(made, target)
    shutil.rmtree(made, ignore_errors=True)
    return {"note": note_of(document)}


def _gesta(*words: object) -> dict[str, Any]:
    """Runs a gesta command and returns its document. Raises GestaError with its message."""
    program = "from gesta.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, words)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise GestaError(" ".join(lines[-4:])[-600:] or "gesta export failed without a message.")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def note_of(document: dict[str, Any]) -> str:
    """Describes how well the exported network agrees with the original."""
    parities = [one.get("parity") for one in document.get("artifacts", ()) if one.get("parity")]
    if not parities:
        return ""
    worst = min(parities, key=lambda one: one.get("top_class_agreement", 1.0))
    clips, share = int(worst.get("clips", 0)), float(worst.get("top_class_agreement", 1.0))
    difference = float(worst.get("largest_difference", 0.0))
    return f"same label as here for {round(share * clips)} of {clips} clips, largest difference {difference:.2g}"


def pack(folder: Path, target: Path) -> None:
    """Atomically writes the files of a folder as a zip."""
    with replacing(target) as made, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder).as_posix())


def pack_clips(root: Path, target: Path) -> None:
    """Writes a zip of the table and the files that it lists."""
    files = {sample.files[0].path for sample in catalog.read(root).samples}
    with replacing(target) as made, zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted({root / "index.csv", *files}):
            archive.write(path, path.relative_to(root).as_posix())
