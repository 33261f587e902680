"""Work for the tests of jobs, by name in a spawned process: light, no torch."""

from __future__ import annotations

import os
from pathlib import Path


def double(number: int, log: str) -> dict[str, object]:
    with Path(log).open("a") as stream:
        stream.write(f"{number}\n")
    if number < 0:
        raise ValueError(f"{number} is negative.")
    return {"doubled": 2 * number, "threads": os.environ.get("OMP_NUM_THREADS")}
