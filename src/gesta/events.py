"""The event log of a run: `events.jsonl`, one JSON object per line. docs/cluster.md lists the events.

Only the process that the user started writes. A kill may truncate the last line; `read` skips it.
"""

from __future__ import annotations

import contextlib
import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic_core import from_json

NAME = "events.jsonl"
_first: dict[Path, bytes] = {}
"""The first line for runs that have no folder yet."""


def tell(folder: Path | None, event: str, **facts: Any) -> None:
    """Appends an event to the folder's log; does nothing if None. Numbers that are not finite become null.

    Creates no folder for a run that is rejected early: its "started" event is written with the next one.
    Never makes a run fail: if the file cannot be written, the line is dropped.
    """
    if folder is None:
        return
    document = {"time": now(), "event": event, **{name: _plain(value) for name, value in facts.items()}}
    line = json.dumps(document, ensure_ascii=False).encode(errors="replace") + b"\n"
    first = _first.pop(folder, b"")
    if not folder.exists() and event in ("started", "failed", "stopped"):
        if event == "started":
            _first[folder] = line
        return
    line = first + line
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / NAME).open("a+b") as stream:
            torn = stream.tell() > 0 and stream.seek(-1, 2) >= 0 and stream.read(1) != b"\n"
            stream.write(b"\n" * torn + line)


def read(folder: Path) -> list[dict[str, Any]]:
    """The events of a folder in order; [] if there are none."""
    try:
        lines = (folder / NAME).read_bytes().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        with contextlib.suppress(ValueError):
            document = from_json(line)
            if isinstance(document, dict):
                found.append(document)
    return found


def now() -> str:
    """The current time in UTC, e.g. 2026-01-31T12:00:00.123+00:00."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value if isinstance(value, (str, int, bool)) or value is None else str(value)
