"""`gesta crossval`: how good a recipe is on people that it has not seen, each person held out once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.console import Group

from gesta.cli.common import (
    ClusterOption,
    DeviceOption,
    FormatOption,
    JsonFlag,
    RecipeOption,
    RecordingsArgument,
    SetOption,
    console,
    emit,
    existing,
    jobs_in,
    need,
    progress,
)
from gesta.cli.help import MACHINE

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gesta.tasks.base import Task

SHOWN_ERRORS = 30


def crossval(
    data: RecordingsArgument,
    recipe: RecipeOption = None,
    by: Annotated[
        str,
        typer.Option(
            "--by",
            metavar="GROUPS",
            help="Hold out one person (subject), one of N groups (a number), or a fifth of all clips (label).",
        ),
    ] = "subject",
    seeds: Annotated[
        int, typer.Option("--seeds", help="Repeat the whole cross-validation with seeds 0, 1, ...", min=1)
    ] = 1,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder for the results of each fold.")] = Path(
        "runs/crossval"
    ),
    sets: SetOption = None,
    choose: Annotated[
        list[str] | None,
        typer.Option(
            "--choose",
            metavar="KEY=A|B",
            help="Let each fold choose a setting, or recipe=A|B, on people inside its training part. Repeatable.",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", help="Folds at the same time, one thread each.", min=1, rich_help_panel=MACHINE)
    ] = 2,
    cluster: ClusterOption = None,
    layout: FormatOption = None,
    device: DeviceOption = "auto",
    json: JsonFlag = False,
) -> None:
    """Cross-validate a recipe over people.

    Trains one model for each held-out person or group. Reports the result of each fold, mean and standard deviation,
    the result over all folds together, and every error. If you stop it, the same command continues.

    Examples:
      gesta crossval my_gestures
      gesta crossval my_gestures --by 5 --seeds 3
    """
    need("train", "torch", "lightning")
    from gesta.experiments.crossval import crossval_data, fold_by
    from gesta.experiments.train import task_of

    fold_by(by)
    task = task_of(existing(data, "data folder"), recipe, layout)
    metric, show = task.quality.measured, task.quality.text

    def told(job: Any, result: dict[str, Any]) -> None:
        said = f"{job.title}: {show(result[metric])} of {result['n']}, {result['seconds'] / 60:.1f} min"
        console.print(said, highlight=False)

    with jobs_in(out, cluster, "crossval"), progress("Folds") as bar:
        asked = {"by": by, "seeds": seeds, "sets": sets or (), "choose": choose or (), "layout": layout}
        run = {"workers": workers, "device": device, "progress": bar, "told": told}
        document = crossval_data(data, recipe, out, **asked, **run)
    emit({"data": str(data), **document}, text(task, document, out), json)


def text(task: Task, document: dict[str, Any], out: Path) -> RenderableType:
    """Folds, totals and errors as tables."""
    from rich.table import Table

    metric, show = task.quality.measured, task.quality.text
    name = metric.replace("_", " ")
    folds = Table("held out", task.unit, name, "chosen inside the training part")
    for fold in document["folds"]:
        folds.add_row(str(fold["held_out"]), str(fold["n"]), show(fold[metric]), fold.get("chosen", "-"))
    rounds = ", ".join(
        f"{s['correct']} of {s['n']}" if "correct" in s else show(s[metric]) for s in document["per_seed"]
    )
    interval = document.get(f"{metric}_interval")
    within = f" (95 % interval {show(interval[0])} to {show(interval[1])})" if interval else ""
    lines = [
        f"{name} {show(document[metric])}{within}, by seed: {rounds}",
        f"over folds: mean {show(document[f'{metric}_mean'])}, standard deviation {show(document[f'{metric}_std'])}",
        *pooled(document.get("pooled", ())),
        f"computing time {document['seconds'] / 60:.1f} min; results in {out / 'crossval.json'}",
    ]
    counted = Counter((e["id"], e["truth"], e["predicted"]) for e in document["errors"])
    wrong = Table(task.unit.removesuffix("s"), "label", "recognized as", "times")
    for (clip, truth, predicted), times in counted.most_common(SHOWN_ERRORS):
        wrong.add_row(clip, truth, predicted or "(class not in the training part)", str(times))
    return Group(folds, *lines, *([wrong] if counted else []))


def pooled(rounds: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each measure over the samples of all folds together: mean and standard deviation over the seeds."""
    lines = []
    for name, first in dict(rounds[0]).items() if rounds else ():
        if isinstance(first, float):
            values = [row[name] for row in rounds]
            spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
            lines.append(f"all folds together: {name.replace('_', ' ')} {np.mean(values):.3f}{spread}")
    return lines
