"""Trainings in parallel: each is a job whose result is a JSON file, in processes on this computer or on a cluster.

Existing results with the same key are reused, so an interrupted run resumes where it stopped.
"""

from __future__ import annotations

from dataclasses import dataclass

from gesta.jobs.job import Job, key_of
from gesta.jobs.run import Progress, Told, run_jobs

__all__ = ["TWO", "Job", "Progress", "Told", "Workers", "key_of", "run_jobs"]


@dataclass(frozen=True)
class Workers:
    """How to run an experiment's jobs: number of parallel jobs, device, and callbacks for progress and messages."""

    count: int = 2
    device: str = "auto"
    progress: Progress | None = None
    told: Told | None = None


TWO = Workers()
