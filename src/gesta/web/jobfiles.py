"""A job's files: `.studio/jobs/<id>/` with the request, progress, lock and log.

The worker process writes `progress.json`; the server writes `job.json`. Either may be killed.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from gesta.files import write_whole
from gesta.web.messages import Refusal
from gesta.web.messages_work import Curves, Note

ENDED = ("stopped", "done", "failed", "canceled")
JOB, PROGRESS, LOCK, STOP, LOG = "job.json", "progress.json", "lock", "stop", "log.txt"


class Asked(BaseModel):
    """The server's request. `runs`: how often it was started; `ended`: set by the server, e.g. canceled."""

    id: str
    work: Literal["train", "measure", "export"]
    model: str
    recipe: str | None = None
    to: str = ""
    everyone: bool = False
    made: float
    runs: int = 0
    wanted: bool = True
    ended: Literal["", "canceled"] = ""


class Progress(BaseModel):
    """Progress reported by the process."""

    state: Literal["running", "stopping", "stopped", "done", "failed"] = "running"
    done: int = 0
    of: int = 0
    unit: Literal["epoch", "person", "step"] = "step"
    doing: str = ""
    notes: list[Note] = []
    error: Refusal | None = None
    held_out: list[str] = []
    train_n: int = 0
    val_n: int = 0
    started: float = 0.0
    updated: float = 0.0
    run: int = 0
    pid: int = 0
    result: dict[str, Any] = {}


def read_asked(folder: Path) -> Asked | None:
    return _read(folder / JOB, Asked)


def read_progress(folder: Path) -> Progress | None:
    return _read(folder / PROGRESS, Progress)


M = TypeVar("M", bound=BaseModel)


def _read(path: Path, message: type[M]) -> M | None:
    try:
        return message.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError):
        return None


def write_asked(folder: Path, asked: Asked) -> None:
    write_whole(folder / JOB, asked.model_dump_json())


def write_progress(folder: Path, progress: Progress) -> None:
    write_whole(folder / PROGRESS, progress.model_dump_json())


def is_locked(folder: Path) -> bool:
    """Whether a process is running the job."""
    from filelock import FileLock, Timeout

    if not (folder / LOCK).exists():
        return False
    try:
        with FileLock(folder / LOCK, blocking=False):
            return False
    except Timeout:
        return True


def curves_of(run: Path, progress: Progress) -> tuple[Curves, float | None]:
    """The curves of a training run from its log, and the seconds per epoch (from the third on)."""
    try:
        rows = list(csv.DictReader(io.StringIO((run / "logs" / "training.csv").read_text(encoding="utf-8"))))
        train = [_share(row.get("train_accuracy")) for row in rows]
        val = [_share(row.get("val_accuracy")) for row in rows]
        seconds = [float(row["seconds"]) for row in rows]
    except (OSError, ValueError, KeyError, csv.Error):
        return Curves(held_out=progress.held_out, train_n=progress.train_n, val_n=progress.val_n), None
    known = [value for value in val if value is not None]
    best = val.index(max(known)) + 1 if known else None
    found = Curves(
        epochs=list(range(1, len(rows) + 1)),
        train=train,
        val=val if known else [],
        held_out=progress.held_out,
        train_n=progress.train_n,
        val_n=progress.val_n,
        best_epoch=best,
    )
    return found, sum(seconds[1:]) / len(seconds[1:]) if len(seconds) >= 3 else None


def _share(text: str | None) -> float | None:
    return round(float(text), 4) if text else None
