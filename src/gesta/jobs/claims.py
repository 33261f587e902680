"""Claims on jobs: a file that one process, on this or another computer, creates and touches while it is alive.

Clocks are not trusted: waiting processes watch whether the file is still touched, for longer than any holder pauses.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gesta.events import now
from gesta.leftovers import is_left_behind, temporary

BEAT_S = 5.0
"""Interval at which a holder touches its claim."""
PATIENCE_S = 60.0
"""A claim of another computer that is not touched for this long counts as abandoned."""
LOOK_S = 0.2


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Holds the claim `path` during the block; first waits for any other living holder. Raises OSError."""
    _take(path)
    ended = threading.Event()
    threading.Thread(target=_beat, args=(path, ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        path.unlink(missing_ok=True)


def holder(path: Path) -> dict[str, Any] | None:
    """The holder of a claim: `host`, `pid`, `started`, `name`. None if there is none, or it is being written."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else None
    return None


def is_given_up(path: Path) -> bool:
    """Whether the holder seems to have died, from a single look: a process of this computer that has ended, or no
    recent touch by this computer's clock."""
    found = holder(path)
    if _died(path, found):
        return True
    with contextlib.suppress(OSError):
        return time.time() - path.stat().st_mtime > PATIENCE_S
    return True


def _died(path: Path, found: dict[str, Any] | None) -> bool:
    """Whether the holder was a process of this computer that has ended; damaged claims do not say."""
    with contextlib.suppress(ValueError):
        return found is not None and is_left_behind(path.with_name(str(found.get("name"))))
    return False


def _take(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    name = temporary(path).name
    document = {"host": socket.gethostname(), "pid": os.getpid(), "started": now(), "name": name}
    touched, since = 0, time.monotonic()
    while True:
        try:
            with path.open("x", encoding="utf-8") as stream:
                json.dump(document, stream)
            return
        except FileExistsError:
            pass
        before, found = touched, holder(path)
        with contextlib.suppress(OSError):
            touched = path.stat().st_mtime_ns
        if touched != before:
            since = time.monotonic()
        if _died(path, found) or time.monotonic() - since > PATIENCE_S:
            _remove(path, found)
        else:
            time.sleep(LOOK_S)


def _remove(path: Path, judged: dict[str, Any] | None) -> None:
    """Removes a claim that was judged to be abandoned, unless another process has taken it meanwhile."""
    aside = temporary(path, "old")
    with contextlib.suppress(OSError):
        path.replace(aside)
        if holder(aside) != judged:
            os.link(aside, path)
    aside.unlink(missing_ok=True)


def _beat(path: Path, ended: threading.Event) -> None:
    while not ended.wait(BEAT_S):
        with contextlib.suppress(OSError):
            os.utime(path)
