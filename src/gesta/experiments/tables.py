"""Tables of what is reported beside what was measured: their cost in words, numbers with spread, files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gesta.experiments.parallel import Job


def cost(jobs: Iterable[Job], to_train: int, minutes: float) -> str:
    """One line for people, before anything is trained. Lines of a table may share a job."""
    trainings = len({job.key for job in jobs})
    done = trainings - to_train
    return f"{trainings} trainings, {done} already done; the others take about {minutes:.0f} minutes"


def spread(values: Sequence[float], digits: int = 2) -> str:
    """ "21.20 ± 0.80", "21.20" for one seed, "-" where nothing is measured."""
    if not values:
        return "-"
    deviation = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{deviation}"


def markdown(document: Mapping[str, Any], headings: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """The document's name, title and note, and the table. `lines`: cells under `headings`."""
    reported = f" Reported: {document['source']}." if "source" in document else ""
    shown = [
        f"## {document['name']}: {document['title']}",
        "",
        f"{document['note']}{reported}",
        "",
        "| " + " | ".join(headings) + " |",
        "|" + "---|" * len(headings),
        *("| " + " | ".join(cells) + " |" for cells in lines),
    ]
    return "\n".join(shown) + "\n"
