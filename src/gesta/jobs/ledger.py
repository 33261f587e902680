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
import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, Field

from gesta.events import now
from gesta.files import write_json
from gesta.jobs.claims import holder, is_given_up
from gesta.jobs.job import Job, key_of, result_of
from gesta.leftovers import is_left_behind, temporary

FOLDER = ".jobs"
State = Literal["running", "failed", "stopped", "waiting", "done"]
STATES: tuple[State, ...] = ("running", "failed", "stopped", "waiting", "done")


_Name = Annotated[str, Field(max_length=200, pattern=r"^[^\x00/\\]+$")]
_Path = Annotated[str, Field(max_length=4000, pattern=r"^[^\x00]+$")]


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


class Listed(BaseModel):
    """One job of a plan. `result`: path of its result, relative to the ledger."""

    key: _Name
    title: str = ""
    result: _Path | None = None


class Plan(BaseModel):
    """The jobs of a command, and the process that started them (`name`: of a temporary file of this process)."""

    started: str = ""
    host: str = ""
    name: _Name = "-"
    where: str = ""
    dashboard: str | None = None
    jobs: tuple[Listed, ...] = ()


class Ended(BaseModel):
    """How a job ended."""

    state: Literal["done", "failed"]
    why: str = ""
    worker: str = ""
    seconds: Annotated[float, Field(allow_inf_nan=False)] | None = None


def overview(out: Path) -> Overview:
    """The jobs of a folder, read from its files; damaged records count as missing. Empty if there is no ledger."""
    folder = out / FOLDER
    plans = [plan for path in folder.glob("plan-*.json") if (plan := _read(path, Plan)) is not None]
    plans.sort(key=lambda plan: plan.started)
    listed = {one.key: one for plan in plans for one in plan.jobs}
    jobs = tuple(_status(folder, one) for one in listed.values())
    counts: dict[str, int] = {state: sum(job.state == state for job in jobs) for state in STATES}
    if not plans:
        return Overview(jobs, counts=counts)
    last = plans[-1]
    return Overview(jobs, last.where, last.dashboard, _at_work(folder, last), counts)


def _at_work(folder: Path, plan: Plan) -> bool | None:
    return None if plan.host != socket.gethostname() else not is_left_behind(folder / plan.name)


def _status(folder: Path, listed: Listed) -> Status:
    key, title = listed.key, listed.title
    log = place(folder, key, "log")
    shown = str(log) if log.exists() else None
    claim = place(folder, key, "running")
    ended = _read(place(folder, key, "json"), Ended)
    done = ended is not None and ended.state == "done"
    if done or (listed.result and result_of(folder / listed.result, key) is not None):
        worker, seconds = ("", None) if ended is None else (ended.worker, ended.seconds)
        return Status(key, title, "done", "", worker, "", seconds, shown)
    if ended is not None:
        return Status(key, title, "failed", ended.why, ended.worker, "", ended.seconds, shown)
    if claim.exists():
        by = holder(claim) or {}
        gone = is_given_up(claim)
        why = "its process has ended; start the command again" if gone else ""
        worker = f"{by.get('host', '')} {by.get('pid', '')}".strip()
        started = str(by.get("started", ""))
        return Status(key, title, "stopped" if gone else "running", why, worker, started, None, shown)
    return Status(key, title, "waiting")


R = TypeVar("R", bound=BaseModel)


def _read(path: Path, kind: type[R]) -> R | None:
    with contextlib.suppress(OSError, ValueError):
        return kind.model_validate_json(path.read_bytes(), strict=True)
    return None
