"""Runs jobs in processes of this computer or on workers of a Dask cluster; `working` selects which, and keeps records.

On two cores two processes of one thread each are about 1.7 times faster than one process of two threads.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from gesta import events
from gesta.jobs import ledger
from gesta.jobs.cluster import Cluster
from gesta.jobs.job import Job
from gesta.jobs.perform import Outcome, Site, one_thread, perform, site
from gesta.schema import GestaError
from gesta.threads import end_processes

Say = Callable[[str], None]
T = TypeVar("T")
MOST_JOBS, JOBS_A_WORKER = 400, 50
"""Many small tasks are grouped into at most this many jobs, fewer on a cluster of known size: a job costs 25 ms."""


@dataclass
class Working:
    """State shared by a command's jobs: the records' folder, the cluster. `begun`: whether there have been jobs."""

    out: Path | None = None
    cluster: Cluster | None = None
    command: str = ""
    begun: bool = False

    @property
    def folder(self) -> Path | None:
        return None if self.out is None else self.out.resolve() / ledger.FOLDER

    def tell(self, event: str, **facts: Any) -> None:
        """Logs an event once there are jobs, so that a command rejected at once leaves no trace."""
        events.tell(self.out if self.begun else None, event, **facts)


_CURRENT: ContextVar[Working | None] = ContextVar("working", default=None)


@contextmanager
def working(
    out: Path | None, cluster: str | None = None, say: Say = lambda _text: None, command: str = ""
) -> Iterator[Cluster | None]:
    """During the block, runs jobs on the cluster ("local:4", "tcp://host:8786", "slurm:8"; None: local processes) and
    records them in `out` (None: nowhere) for `gesta jobs`. `say` is called with the dashboard's address.

    Raises GestaError for a cluster that cannot be reached, and (usage) for an invalid name.
    """
    made = None if cluster is None else Cluster(cluster, say)
    now, begun = Working(out, made, command), time.monotonic()
    token = _CURRENT.set(now)
    try:
        if made is not None:
            made.open()
        yield made
        now.tell("finished", seconds=round(time.monotonic() - begun, 3))
    except GestaError as error:
        now.tell("failed", why=str(error))
        raise
    except BaseException as error:
        now.tell("stopped" if isinstance(error, (KeyboardInterrupt, SystemExit)) else "failed", why=repr(error))
        raise
    finally:
        _CURRENT.reset(token)
        if made is not None:
            made.close()


def on_cluster() -> bool:
    """Whether jobs currently run on a cluster."""
    now = _CURRENT.get()
    return now is not None and now.cluster is not None


def portions(items: Sequence[T]) -> list[Sequence[T]]:
    """The items in order, divided into a portion for each job."""
    now = _CURRENT.get()
    workers = None if now is None or now.cluster is None else now.cluster.fixed_workers
    size = 1 + len(items) // (MOST_JOBS if workers is None else min(MOST_JOBS, JOBS_A_WORKER * workers))
    return [items[first : first + size] for first in range(0, len(items), size)]


def outcomes(
    jobs: Sequence[Job],
    workers: int,
    *,
    of: Sequence[Job] | None = None,
    inline: bool = False,
    shared: Sequence[Path] = (),
) -> Iterator[tuple[Job, Outcome]]:
    """Runs the jobs and yields each with its outcome as it ends, `workers` at a time, or on the cluster.

    `of`: all jobs, of which these remain. `inline`: run in this process if there is one worker. `shared`: files that
    workers must see. If interrupted (an exception, Ctrl-C), it ends the processes; files are written atomically.
    """
    if not jobs:
        return
    now = _CURRENT.get() or Working()
    at = _recorded(now, of or jobs, jobs, workers, tuple(shared))
    if now.cluster is not None:
        found = now.cluster.outcomes(jobs, at)
    elif inline and min(workers, len(jobs)) <= 1:
        found = ((job, perform(job, at, logged=False)) for job in jobs)
    else:
        found = _processes(jobs, min(max(1, workers), len(jobs)), at)
    for job, outcome in found:
        if outcome.document is not None:
            now.tell("job done", job=job.key, title=job.title)
        else:
            now.tell("job failed", job=job.key, title=job.title, why=outcome.why)
            if at.ledger is not None and not ledger.place(at.ledger, job.key, "json").exists():
                ledger.end(at.ledger, job, "failed", 0.0, outcome.why)  # its worker died before writing it
        yield job, outcome


def _recorded(now: Working, every: Sequence[Job], todo: Sequence[Job], workers: int, shared: tuple[Path, ...]) -> Site:
    """Records the planned jobs and returns their site. Raises GestaError."""
    if now.folder is None:
        return site(None, shared)
    where = f"{workers} processes" if now.cluster is None else now.cluster.name
    dashboard = None if now.cluster is None else now.cluster.dashboard
    event = "resumed" if any(now.folder.glob("plan-*.json")) else "started"
    try:
        plan = ledger.plan(now.folder, every, todo, where, dashboard)
    except OSError as error:
        raise GestaError(f"{now.folder}: cannot be written ({error}). Free space, or give another --out.") from error
    if not now.begun:
        now.begun = True
        now.tell(event, command=now.command, where=where, pid=os.getpid())
    now.tell("planned", jobs=len(every), done=len(every) - len(todo))
    return site(now.folder, (plan, *shared))


# -- processes --------------------------------------------------------------------------------------------------------


def _processes(jobs: Sequence[Job], workers: int, at: Site) -> Iterator[tuple[Job, Outcome]]:
    context = multiprocessing.get_context("spawn")  # the same on every platform, and safe with threads
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start)
    try:
        with _interrupt_blocked():
            futures = {pool.submit(perform, job, at): job for job in jobs}
        for future in as_completed(futures):
            yield futures[future], _outcome(future.result)
        pool.shutdown()
    except BaseException:  # waits for nothing, so that it takes no second Ctrl-C
        pool.shutdown(wait=False, cancel_futures=True)
        end_processes()
        raise


def _outcome(result: Callable[[], Outcome]) -> Outcome:
    try:
        return result()
    except BrokenProcessPool:
        raise
    except Exception as error:  # what cannot be pickled to or from the process
        return Outcome(why=f"{type(error).__name__}: {error}", kind=type(error).__name__)


@contextmanager
def _interrupt_blocked() -> Iterator[None]:
    """Ctrl-C waits until the end of the block. Processes started in it get it once `_start` has run."""
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        yield  # Windows has no signal masks, and only the main thread handles signals
        return
    came: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _frame: came.append(number))  # another thread may receive it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # processes begin with this thread's mask
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        signal.signal(signal.SIGINT, handler or signal.SIG_DFL)
        if came:
            signal.raise_signal(signal.SIGINT)


def _start() -> None:
    """Initializes a new process: one thread for computation, no traceback on Ctrl-C, ends with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    one_thread()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)
