"""Writes recordings in several processes, or on the workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from gesta.jobs.job import Job, key_of
from gesta.jobs.pool import outcomes, portions
from gesta.schema import GestaError

T = TypeVar("T")


def each(workers: int, function: Callable[[T], Any], items: Sequence[T], names: Sequence[str]) -> Iterator[int]:
    """Calls function(item) for every item, and yields the number done so far. One worker means this process.

    `names` of the items are for messages. Raises GestaError if one fails.
    """
    jobs = []
    for part in portions(range(len(items))):
        own = [names[i] for i in part]
        title = own[0] if len(own) == 1 else f"{own[0]} to {own[-1]}"
        arguments = {"function": function, "items": [items[i] for i in part]}
        jobs.append(Job(title, "gesta.synthetic.workers:call_each", arguments, key_of("write", own)))
    for job, outcome in outcomes(jobs, workers, inline=True):
        if outcome.document is None:
            raise GestaError(f"{job.title}: {outcome.why} Finished work is kept; run the command again to continue.")
        yield outcome.document["done"]


def call_each(function: Callable[[T], Any], items: Sequence[T]) -> dict[str, Any]:
    """A job: calls the function with each item."""
    for item in items:
        function(item)
    return {"done": len(items)}
