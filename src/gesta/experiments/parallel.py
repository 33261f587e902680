"""Many trainings side by side: each a job whose result is a JSON file, in processes of this computer or on a cluster.

A result that is already there with the same key is taken as it is, so a stopped run resumes where it was.
"""

from __future__ import annotations

from dataclasses import dataclass

from gesta.jobs.job import Job, key_of
from gesta.jobs.run import Progress, Told, run_jobs

__all__ = ["TWO", "Job", "Progress", "Told", "Workers", "key_of", "run_jobs"]


@dataclass(frozen=True)
class Workers:
    """How an experiment's jobs are run: so many at a time, on what device, and who hears of it."""

    count: int = 2
    device: str = "auto"
    progress: Progress | None = None
    told: Told | None = None


TWO = Workers()
