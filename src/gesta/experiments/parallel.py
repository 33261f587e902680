"""Many trainings side by side: each in a process of its own with one thread, its result a JSON file.

On two cores two processes of one thread each are about 1.7 times faster than one process of two threads. A result
that is already there with the same key is taken as it is, so a stopped run resumes where it was.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gesta.files import json_text, write_files
from gesta.schema import GestaError
from gesta.words import counted

Progress = Callable[[int, int], None]
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


Told = Callable[["Job", dict[str, Any]], None]


@dataclass(frozen=True)
class Job:
    """One piece of work: `function` ("module:name") is called with `arguments` and returns a plain dictionary.

    `key` tells whether a result on disk is that of this very job; `result` is where it is written. `leaves`: a file or
    folder that other jobs go on from, without which the job counts as not done.
    """

    title: str
    function: str
    arguments: Mapping[str, Any]
    key: str
    result: Path
    leaves: Path | None = None

    def finished(self) -> dict[str, Any] | None:
        """The result on disk, or None if it is missing, unreadable or another job's, or what it left is gone."""
        try:
            document: dict[str, Any] = json.loads(self.result.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        lost = self.leaves is not None and not self.leaves.exists()
        return document if document.get("key") == self.key and not lost else None


def key_of(*parts: object) -> str:
    """Short hash of plain values, the same on every machine."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Workers:
    """How an experiment's jobs are run: so many at a time, on what device, and who hears of it."""

    count: int = 2
    device: str = "auto"
    progress: Progress | None = None
    told: Told | None = None


TWO = Workers()


def run_jobs(
    jobs: Sequence[Job],
    *,
    workers: int = 2,
    progress: Progress | None = None,
    told: Told | None = None,
) -> list[dict[str, Any]]:
    """Results of all jobs in their order, `workers` at a time. `told` is called as each one ends.

    Where a job fails the others still run; then GestaError names the failed ones. Started again, only those run.
    """
    results = {job.key: found for job in jobs if (found := job.finished()) is not None}
    failed: list[tuple[Job, Exception]] = []
    todo = [job for job in jobs if job.key not in results]
    if progress:
        progress(len(jobs) - len(todo), len(jobs))
    for job, outcome in _outcomes(todo, workers):
        if isinstance(outcome, Exception):
            failed.append((job, outcome))
            continue
        results[job.key] = outcome
        if told:
            told(job, outcome)
        if progress:
            progress(len(results), len(jobs))
    if failed:
        job, error = failed[0]
        others = f" ({counted(len(failed) - 1, 'other')} failed, too)" if len(failed) > 1 else ""
        reason = str(error).removesuffix(".")
        raise GestaError(
            f"{job.title}: {reason}{others}. Finished work is kept; run the same command again to continue."
        ) from error
    return [results[job.key] for job in jobs]


def _outcomes(todo: Sequence[Job], workers: int) -> Any:
    """Yields (job, result or exception) as they end."""
    if not todo:
        return
    context = multiprocessing.get_context("spawn")  # the same on every platform
    with ProcessPoolExecutor(max(1, workers), mp_context=context, initializer=_start) as pool:
        futures = {pool.submit(_run, job): job for job in todo}
        try:
            for future in as_completed(futures):
                try:
                    yield futures[future], future.result()
                except Exception as error:  # reported by name once the others are done
                    yield futures[future], error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _start() -> None:
    """In the new process: one thread for the arithmetic, and no life after the one that started it."""
    _one_thread()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _one_thread() -> None:
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))  # read by torch when it is imported
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _run(job: Job) -> dict[str, Any]:
    """In the process of its own: calls the function and writes its result."""
    module, _, name = job.function.partition(":")
    document: dict[str, Any] = {"key": job.key, **getattr(importlib.import_module(module), name)(**job.arguments)}
    write_files(job.result.parent, {job.result.name: json_text(document)})
    return document
