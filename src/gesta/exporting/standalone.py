"""Export for use without gesta: an ONNX file that includes preprocessing, and a short program that runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from gesta.bundle.io import Bundle
from gesta.exporting.run import Say
from gesta.files import write_files
from gesta.schema import GestaError
from gesta.tasks.base import Task, need
from gesta.words import command

OPTION = "Preprocessing inside the export (--with-preprocessing)"
PROGRAM = "run.py"
LONGEST_S = 300


def check_option(task: Task, to: str) -> None:
    """Raises GestaError (usage) if a task or format has no such export."""
    need(task, "standalone", OPTION)
    if to != "onnx":
        raise GestaError(f"{OPTION} is written as ONNX. Give --to onnx, not {to}.", usage=True)


def add_standalone(task: Task, bundle: Bundle[Any], say: Say = lambda _text: None) -> dict[str, Any]:
    """Adds model, program, rules and example to an exported bundle, and runs the example without gesta.

    Raises GestaError, and leaves the bundle without them, if the program's outputs differ from gesta's.
    """
    say("adding the preprocessing")
    files, takes = need(task, "standalone", OPTION)(bundle)
    write_files(bundle.path, files)
    words = [sys.executable, str(bundle.path / PROGRAM), "--check"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    if done.returncode != 0:
        for name in files:
            (bundle.path / name).unlink()
        reason = (done.stdout or done.stderr).strip().splitlines()
        raise GestaError(
            f"{bundle.path}: model.onnx does not agree with gesta ({reason[-1] if reason else 'no reason given'}). "
            "It was not kept; the exported networks were. Please report this with the recipe."
        )
    sizes = {name: len(content) for name, content in files.items()}
    return {"files": sizes, "takes": takes, "check": done.stdout.strip()}


def told(added: dict[str, Any], out: Path) -> list[str]:
    """Human-readable lines about what was added."""
    return [f"alone    {added['takes']}", f"check    {added['check']} ({command('python', out / PROGRAM, '--check')})"]
