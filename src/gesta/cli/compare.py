"""`gesta compare`: is one model better than another, on the same clips, by how much, and how sure is it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from gesta.cli.common import JsonFlag, emit


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RESULT", help="Folders from gesta evaluate --out, one per seed.", show_default=False),
    ],
    reference: Annotated[
        list[Path],
        typer.Option("--with", metavar="RESULT", help="Result of the other model. Repeat for each seed."),
    ],
    json: JsonFlag = False,
) -> None:
    """Compare two models on the same clips, with a confidence interval.

    Prints the difference in accuracy and its 95 % interval, resampled over people. If a model was trained with
    several seeds, each clip counts with the share of seeds that got it right.

    Example:
      gesta compare report_new --with report_old
    """
    from gesta.evaluation.compare import compare as measure

    document = measure(runs, reference)
    emit(document, _text(document), json)


def _text(document: dict[str, Any]) -> Text:
    gap = document["difference"]
    people = "people unknown: interval by clip" if document["people"] is None else f"of {document['people']} people"
    lines = [f"{name:<11}{_side(document[side])}" for name, side in (("these", "ours"), ("with", "theirs"))]
    lines.append(f"difference {gap['mean']:+.2f} points  (95 % interval {gap['low']:+.2f} to {gap['high']:+.2f})")
    lines.append(f"clips      {document['n']:,} {people}")
    return Text("\n".join(lines))


def _side(side: dict[str, Any]) -> str:
    each = ", ".join(f"{100 * one:.2f}" for one in side["accuracy"])
    spread = "" if side["spread"] is None else f" ± {100 * side['spread']:.2f} ({each})"
    return f"{100 * side['mean']:.2f} %{spread}"
