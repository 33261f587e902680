"""`gesta crossval`: how good a recipe is on people that it has not seen, each person held out once."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesta.cli.common import DeviceOption, FormatOption, JsonFlag, SetOption, console, emit, existing, need, progress
from gesta.schema import GestaError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gesta.recipes import Recipe
    from gesta.tasks.base import Task

SHOWN_ERRORS = 30


def crossval(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Folder of labelled recordings.", show_default=False)],
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", help="Name (see `gesta recipes`) or YAML file; auto, or what fits the data."),
    ] = None,
    by: Annotated[
        str, typer.Option("--by", help="subject: one person at a time; a number: so many groups of people; label.")
    ] = "subject",
    seeds: Annotated[int, typer.Option("--seeds", help="Whole rounds, with seeds 0, 1, ...", min=1)] = 1,
    out: Annotated[Path, typer.Option("--out", help="Results by fold; a stopped run goes on from them.")] = Path(
        "runs/crossval"
    ),
    sets: SetOption = None,
    choose: Annotated[
        list[str] | None,
        typer.Option("--choose", help="'key=A|B': each fold chooses on people inside its training part. Repeatable."),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", help="Folds at a time, one thread each.", min=1)] = 2,
    layout: FormatOption = None,
    device: DeviceOption = "auto",
    json: JsonFlag = False,
) -> None:
    """Trains one model for each held-out person and reports pooled quality, mean and spread, and every error."""
    need("train", "torch", "lightning")
    from gesta.experiments.crossval import Folding
    from gesta.experiments.crossval import crossval as run
    from gesta.experiments.parallel import Workers
    from gesta.experiments.train import task_of

    way, k = fold_by(by)
    task = task_of(existing(data, "data folder"), recipe, layout)
    recipes = options(recipe or task.default_recipe, sets or [], choose or [])
    listing = task.read(data, layout)
    metric, show = task.quality.measured, task.quality.text

    def told(job: Any, result: dict[str, Any]) -> None:
        said = f"{job.title}: {show(result[metric])} of {result['n']}, {result['seconds'] / 60:.1f} min"
        console.print(said, highlight=False)

    with progress("Folds") as bar:
        document = run(task, listing, recipes, out, Folding(way, k, seeds), Workers(workers, device, bar, told))
    emit({"data": str(data), **document}, text(task, document, out), json)


def options(recipe: str, sets: list[str], choose: list[str]) -> dict[str, Recipe]:
    """Every combination of what --choose names, by its settings. Raises GestaError (usage)."""
    from gesta.tasks.catalog import load_recipe

    keys = []
    for text in choose:
        key, sign, values = text.partition("=")
        if not sign or "|" not in values:
            raise GestaError(f"--choose is {text!r}; expected 'key=A|B', as in 'training.epochs=40|80'.", usage=True)
        keys.append([f"{key}={value}" for value in values.split("|")])
    return {" ".join(way): load_recipe(recipe, [*sets, *way]) for way in itertools.product(*keys)}


def fold_by(by: str) -> tuple[str, int | None]:
    """("subject" or "label", number of groups) from what --by says. Raises GestaError (usage)."""
    if by.isdecimal():
        return "subject", int(by)
    if by not in ("subject", "label"):
        raise GestaError(f"--by is {by!r}; there are subject, label, or a number of groups of people.", usage=True)
    return by, None


def text(task: Task, document: dict[str, Any], out: Path) -> RenderableType:
    """Folds, totals and errors as tables."""
    from rich.console import Group
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
        f"computing time {document['seconds'] / 60:.1f} min; results in {out / 'crossval.json'}",
    ]
    counted = Counter((e["id"], e["truth"], e["predicted"]) for e in document["errors"])
    wrong = Table("clip", "label", "recognised as", "times")
    for (clip, truth, predicted), times in counted.most_common(SHOWN_ERRORS):
        wrong.add_row(clip, truth, predicted or "(class unknown to the training part)", str(times))
    return Group(folds, *lines, *([wrong] if counted else []))
