"""Measures gesta's startup time as multiples of a bare Python interpreter's in the same run."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

ROUNDS = 7
COMMANDS = {
    "bare interpreter": [sys.executable, "-c", "pass"],
    "import gesta": [sys.executable, "-c", "import gesta"],
    "gesta --help": [sys.executable, "-c", "from gesta.cli import main; main()", "--help"],
}


def start_up(rounds: int = ROUNDS) -> dict[str, Any]:
    """Name -> {"seconds": best of several interleaved rounds, "times": multiple of the bare interpreter's}."""
    best = dict.fromkeys(COMMANDS, float("inf"))
    for _ in range(rounds):
        for name, command in COMMANDS.items():
            before = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            best[name] = min(best[name], time.perf_counter() - before)
    bare = best["bare interpreter"]
    return {name: {"seconds": round(took, 4), "times": round(took / bare, 2)} for name, took in best.items()}


def lines(document: Mapping[str, Any]) -> list[str]:
    """Human-readable lines."""
    return [f"{name:<18} {found['seconds']:.3f} s, {found['times']:.1f} times" for name, found in document.items()]
