"""`gesta spot`: files of events in continuous recordings. `compare` measures results against the truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from gesta.cli.common import JsonFlag, console, emit, group
from gesta.cli.help import Command

if TYPE_CHECKING:
    from gesta.evaluation.spot_compare import Compared, EventFile

app = group("Measure files of detected gestures against the ground truth.")


@app.command(cls=Command)
def compare(
    truth: Annotated[
        Path,
        typer.Argument(
            metavar="TRUTH", help="Text file with one line per sequence: id;LABEL;first;last;LABEL;first;last;..."
        ),
    ],
    results: Annotated[
        list[Path],
        typer.Argument(
            metavar="RESULTS",
            help="Files of detected gestures with the same lines, or id;LABEL;first;last;last frame used;...",
        ),
    ],
    json: JsonFlag = False,
) -> None:
    """Compare the gestures that models found with the true ones.

    Prints a table with one row per file: the share of gestures found, false alarms, Jaccard index and delay by the
    rules of SHREC 2022, then edit error and F1.

    Example:
      gesta spot compare ground_truth.txt results.txt
    """
    from gesta.evaluation.spot_compare import compare as measure
    from gesta.evaluation.spot_compare import markdown, read_truth

    true = read_truth(truth)
    compared = measure(true, results)
    _report(true, compared)
    measured = any(one.error is None for one in compared)
    emit([one.document() for one in compared], Text(markdown(compared).rstrip()) if measured else None, json)
    if any(one.error is not None for one in compared):
        raise typer.Exit(1)


def _report(truth: EventFile, compared: list[Compared]) -> None:
    """What was odd about each file, and which could not be measured, on stderr."""
    lines = [f"{truth.path.name}: {note}" for note in truth.notes]
    for one in compared:
        lines += [f"{one.path.name}: {note}" for note in one.notes]
        lines += [] if one.error is None else [f"Error: {one.error}"]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
