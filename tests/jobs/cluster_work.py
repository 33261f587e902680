"""Work for the tests of clusters, by name on a worker: light, no torch."""

from __future__ import annotations

import os
import time
from pathlib import Path


def square(number: int, log: str, seconds: float = 0.0) -> dict[str, int]:
    """Says in the log that it begins and that it ends."""
    for what in ("begun", "done"):
        with Path(log).open("a") as stream:
            stream.write(f"{what} {number} {os.getpid()}\n")
        if what == "begun":
            print(f"working on {number}")
            time.sleep(seconds)
    if number < 0:
        raise ValueError(f"{number} is negative.")
    return {"square": number * number}


def die(marker: str) -> dict[str, int]:
    """Ends its process at once, as the system does where the memory is used up."""
    Path(marker).touch()
    os._exit(137)
