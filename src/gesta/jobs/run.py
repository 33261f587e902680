"""Runs jobs whose results are missing and returns all results in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gesta.jobs.job import Job
from gesta.jobs.perform import Outcome
from gesta.jobs.pool import outcomes
from gesta.schema import GestaError
from gesta.words import counted

Progress = Callable[[int, int], None]
Told = Callable[[Job, dict[str, Any]], None]


def run_jobs(
    jobs: Sequence[Job],
    *,
    workers: int = 2,
    progress: Progress | None = None,
    told: Told | None = None,
) -> list[dict[str, Any]]:
    """Results of all jobs in order, run `workers` at a time, or on the current cluster (`jobs.pool`).

    `told` is called as each job ends. If a job fails, the others still run; then GestaError names the failed ones.
    On restart, only those run.
    """
    results = {job.key: found for job in jobs if (found := job.finished()) is not None}
    failed: list[tuple[Job, Outcome]] = []
    todo = list({job.key: job for job in jobs if job.key not in results}.values())
    if progress:
        progress(len(results), len(jobs))
    for job, outcome in outcomes(todo, workers, of=jobs):
        if outcome.document is None:
            failed.append((job, outcome))
            continue
        results[job.key] = outcome.document
        if told:
            told(job, outcome.document)
        if progress:
            progress(len(results), len(jobs))
    if failed:
        job, outcome = failed[0]
        others = f" ({counted(len(failed) - 1, 'other')} failed, too)" if len(failed) > 1 else ""
        reason = outcome.why.removesuffix(".")
        raise GestaError(
            f"{job.title}: {reason}{others}. Finished work is kept; run the same command again to continue."
        )
    return [results[job.key] for job in jobs]
