"""Writes recordings in several processes, or on the workers of a cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from gesta.jobs.job import Job, key_of
from gesta.jobs.pool import outcomes, portions
from gesta.schema import GestaError

T = TypeVar("T")


def each(
    function: Callable[[T], Any],
    items: Sequence[T],
    names: Sequence[str],
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    before: int = 0,
) -> None:
    """Calls function(item) for every item in `workers` processes (None: one per core; 1: in this process).

    `names` of the items are for messages. `progress` is called with (done, total), which include `before` items that
    were done earlier. Raises GestaError if one fails.
    """
    tell, done, total = progress or (lambda _done, _total: None), before, before + len(items)
    tell(done, total)
    jobs = []
    for part in portions(range(len(items))):
        own = [names[i] for i in part]
        title = own[0] if len(own) == 1 else f"{own[0]} to {own[-1]}"
        arguments = {"function": function, "items": [items[i] for i in part]}
        jobs.append(Job(title, "gesta.synthetic.workers:call_each", arguments, key_of("write", own)))
    for job, outcome in outcomes(jobs, workers or os.cpu_count() or 1, inline=True):
        if outcome.document is None:
            raise GestaError(f"{job.title}: {outcome.why} Finished work is kept; run the command again to continue.")
        done += outcome.document["done"]
        tell(done, total)


def call_each(function: Callable[[T], Any], items: Sequence[T]) -> dict[str, Any]:
    """A job: calls the function with each item."""
    for item in items:
        function(item)
    return {"done": len(items)}
