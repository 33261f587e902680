"""An export for those without gesta: the preprocessing inside an ONNX file, and a short program that runs it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from gesta.bundle.io import Bundle
from gesta.files import write_files
from gesta.schema import GestaError
from gesta.tasks.base import Task, need

OPTION = "Preprocessing inside the export (--with-preprocessing)"
PROGRAM = "run.py"
LONGEST_S = 300


def check_option(task: Task, to: str) -> None:
    """Raises GestaError (usage) where a task or a format has no such export."""
    need(task, "standalone", OPTION)
    if to != "onnx":
        raise GestaError(f"{OPTION} is written as ONNX. Give --to onnx, not {to}.", usage=True)


def add_standalone(task: Task, bundle: Bundle[Any]) -> dict[str, Any]:
    """Adds model, program, rules and example to an exported bundle, and runs the example as a stranger would.

    Raises GestaError, and leaves the bundle without them, where the program does not answer what gesta answers.
    """
    files, told = need(task, "standalone", OPTION)(bundle)
    write_files(bundle.path, files)
    command = [sys.executable, str(bundle.path / PROGRAM), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    if done.returncode != 0:
        for name in files:
            (bundle.path / name).unlink()
        reason = (done.stdout or done.stderr).strip().splitlines()
        raise GestaError(
            f"{bundle.path}: model.onnx does not answer what gesta answers ({reason[-1] if reason else 'no word'}). It "
            "was left out; the exported networks are there. Report it with the recipe."
        )
    sizes = {name: len(content) for name, content in files.items()}
    return {"files": sizes, "takes": told, "check": done.stdout.strip()}
