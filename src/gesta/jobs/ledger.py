"""Records of jobs on disk, for `gesta jobs` to show while they run and long after.

    OUT/.jobs/plan-<hash>.json   the jobs of a command: their keys, titles and results; who started it, and where
    OUT/.jobs/<key>.running      created by the worker that runs a job, and touched while it is alive
    OUT/.jobs/<key>.json         how a job ended: done or failed, why, where, how long
    OUT/.jobs/<key>.log          the job's output, and the traceback if it failed
    OUT/events.jsonl             what happened, in order (`gesta.events`)

These records do not determine what is done; finished results do.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gesta.events import now
from gesta.files import write_json
from gesta.jobs.claims import holder, is_given_up
from gesta.jobs.job import Job, key_of, result_of
from gesta.leftovers import is_left_behind, temporary

FOLDER = ".jobs"
State = Literal["running", "failed", "stopped", "waiting", "done"]
STATES: tuple[State, ...] = ("running", "failed", "stopped", "waiting", "done")


@dataclass(frozen=True)
class Status:
    """State of a job. `worker`: host and process; `seconds`: duration, if it has ended; `why`: reason of a failure."""

    key: str
    title: str
    state: State
    why: str = ""
    worker: str = ""
    started: str = ""
    seconds: float | None = None
    log: str | None = None


@dataclass(frozen=True)
class Overview:
    """The jobs of a folder, and whether the command that started them is running (None: unknown on this computer)."""

    jobs: tuple[Status, ...]
    where: str = ""
    dashboard: str | None = None
    at_work: bool | None = None
    counts: dict[str, int] = field(default_factory=dict)


def place(folder: Path, key: str, ending: str) -> Path:
    """Path of a job's file in a ledger."""
    return folder / f"{key}.{ending}"


def plan(folder: Path, jobs: Sequence[Job], todo: Iterable[Job], where: str, dashboard: str | None) -> Path:
    """Writes the list of jobs; removes earlier records of those still to do. Raises OSError."""
    for job in todo:
        place(folder, job.key, "json").unlink(missing_ok=True)
    path = folder / f"plan-{key_of([job.key for job in jobs])}.json"
    listed = [
        {"key": job.key, "title": job.title, "result": job.result and os.path.relpath(job.result, folder)}
        for job in jobs
    ]
    started = {"host": socket.gethostname(), "pid": os.getpid(), "name": temporary(path).name}
    document = {"started": now(), **started, "where": where, "dashboard": dashboard, "jobs": listed}
    return write_json(path, document)


def end(folder: Path, job: Job, state: State, seconds: float, why: str = "") -> None:
    """Records how a job ended. Raises OSError."""
    worker = f"{socket.gethostname()} {os.getpid()}"
    document = {"key": job.key, "title": job.title, "state": state, "worker": worker, "ended": now()}
    ended = {**document, "seconds": round(seconds, 3), "why": why}
    write_json(place(folder, job.key, "json"), ended, durable=False)  # the result itself says what is done


def overview(out: Path) -> Overview:
    """The jobs of a folder, read from its files; empty if there is no ledger."""
    folder = out / FOLDER
    plans = [document for path in folder.glob("plan-*.json") if (document := _read(path)) is not None]
    plans.sort(key=lambda document: str(document.get("started")))
    listed = {str(one["key"]): one for document in plans for one in document.get("jobs", ())}
    jobs = tuple(_status(folder, one) for one in listed.values())
    counts: dict[str, int] = {state: sum(job.state == state for job in jobs) for state in STATES}
    if not plans:
        return Overview(jobs, counts=counts)
    last = plans[-1]
    return Overview(jobs, str(last.get("where", "")), last.get("dashboard"), _at_work(folder, last), counts)


def _at_work(folder: Path, document: dict[str, Any]) -> bool | None:
    if document.get("host") != socket.gethostname():
        return None
    return not is_left_behind(folder / str(document.get("name")))


def _status(folder: Path, listed: dict[str, Any]) -> Status:
    key, title = str(listed["key"]), str(listed.get("title", ""))
    log = place(folder, key, "log")
    shown = str(log) if log.exists() else None
    claim = place(folder, key, "running")
    ended = _read(place(folder, key, "json")) or {}
    result = listed.get("result")
    if ended.get("state") == "done" or (result and result_of(folder / result, key) is not None):
        return Status(key, title, "done", "", ended.get("worker", ""), "", ended.get("seconds"), shown)
    if ended.get("state") == "failed":
        return Status(key, title, "failed", ended["why"], ended["worker"], "", ended["seconds"], shown)
    if claim.exists():
        by = holder(claim) or {}
        gone = is_given_up(claim)
        why = "its process has ended; start the command again" if gone else ""
        worker = f"{by.get('host', '')} {by.get('pid', '')}".strip()
        return Status(key, title, "stopped" if gone else "running", why, worker, by.get("started", ""), None, shown)
    return Status(key, title, "waiting")


def _read(path: Path) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, ValueError):
        document = json.loads(path.read_text(encoding="utf-8"))
        return document if isinstance(document, dict) else None
    return None
