"""Runs a job in the current process: in the user's folder, one at a time, with a log and a record of how it ended."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gesta.events import now
from gesta.jobs import ledger
from gesta.jobs.claims import claimed
from gesta.jobs.job import Job
from gesta.schema import GestaError
from gesta.words import DISTRIBUTION

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
    "DECODER_THREADS",  # gesta.clips.ahead
)
SHARE_WAIT_S = 65.0
"""Maximum delay until a shared folder shows a new file of another computer."""
_ALONE = threading.Lock()


@dataclass(frozen=True)
class Outcome:
    """Outcome of a job: its document, or why there is none; `kind` is the exception's name."""

    document: dict[str, Any] | None = None
    why: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Site:
    """What a worker needs to know about the command: its folder, GESTA_ variables, version, and the ledger's folder.

    `shared`: files of the command that must be visible to a worker, which checks that they exist.
    """

    folder: Path
    ledger: Path | None = None
    shared: tuple[Path, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    version: str = ""


def site(folder: Path | None, shared: tuple[Path, ...] = ()) -> Site:
    """The site of this process. `folder`: the ledger's."""
    variables = {name: value for name, value in os.environ.items() if name.startswith("GESTA_")}
    return Site(Path.cwd(), folder, shared, variables, _own_version())


@cache
def _own_version() -> str:
    return version(DISTRIBUTION)


def perform(job: Job, at: Site, logged: bool = True) -> Outcome:
    """Runs a job unless already done, one at a time per process. `logged`: redirect its output to a log."""
    try:
        with _ALONE, _entered(at):
            if at.ledger is None:
                return Outcome(job.call())
            with claimed(ledger.place(at.ledger, job.key, "running")):
                done = job.finished()
                return _told(job, at.ledger, logged) if done is None else Outcome(done)
    except Exception as error:
        return _failed(error)


def _told(job: Job, folder: Path, logged: bool) -> Outcome:
    """Runs the job with a log, and records how it ended."""
    started = time.monotonic()
    with _logged(ledger.place(folder, job.key, "log"), job) if logged else contextlib.nullcontext():
        try:
            outcome = Outcome(job.call())
        except Exception as error:
            if logged:
                traceback.print_exc()
            outcome = _failed(error)
    state: ledger.State = "failed" if outcome.document is None else "done"
    ledger.end(folder, job, state, time.monotonic() - started, outcome.why)
    return outcome


def _failed(error: Exception) -> Outcome:
    kind = type(error).__name__
    return Outcome(why=str(error).strip() or kind, kind=kind if not isinstance(error, GestaError) else "GestaError")


@contextmanager
def _logged(path: Path, job: Job) -> Iterator[None]:
    """Appends the output of Python code during the block to the log."""
    with path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1) as stream:
        print(f"{now()} {job.title}, on {socket.gethostname()}, process {os.getpid()}", file=stream)
        with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
            yield
        print(f"{now()} ended", file=stream)


@contextmanager
def _entered(at: Site) -> Iterator[None]:
    """Uses the command's folder and variables for the duration of a job. Raises GestaError if this computer differs."""
    here, before = Path.cwd(), {n: v for n, v in os.environ.items() if n.startswith("GESTA_")}
    own = _own_version()
    if own != at.version:
        raise GestaError(
            f"the worker on {socket.gethostname()} has gesta {own}, but the command {at.version}. Update one."
        )
    try:
        os.chdir(at.folder)
    except OSError as error:
        raise GestaError(_not_shared(at.folder)) from error
    for path in at.shared:
        _wait_for(path)
    _set_variables(at.variables)
    try:
        yield
    finally:
        os.chdir(here)
        _set_variables(before)


def _set_variables(values: dict[str, str]) -> None:
    for name in [name for name in os.environ if name.startswith("GESTA_")]:
        del os.environ[name]
    os.environ.update(values)


def _wait_for(path: Path) -> None:
    until = time.monotonic() + SHARE_WAIT_S
    while not path.exists():
        if time.monotonic() > until or not path.parent.exists():
            raise GestaError(_not_shared(path.parent))
        time.sleep(0.5)


def _not_shared(folder: Path) -> str:
    return (
        f"{folder}: the worker on {socket.gethostname()} does not see this folder. Data, results and the "
        "cache (GESTA_CACHE) must be in a shared folder with the same path on all computers."
    )


def one_thread() -> None:
    """Limits this process to one thread, which decodes and computes."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))  # read by the libraries when they are imported
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(1)
