"""`gesta learning-curve`: accuracy against clips per class, with and without transfer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group

from gesta.cli.common import (
    DeviceOption,
    FormatOption,
    JsonFlag,
    SetOption,
    console,
    emit,
    existing,
    need,
    progress,
)
from gesta.schema import GestaError, usable


def learning_curve(
    data: Annotated[Path, typer.Argument(help="Recordings, or a folder of gesta features.", show_default=False)],
    recipe: Annotated[
        str | None, typer.Option("--recipe", help="Name (see `gesta recipes`) or YAML file; what fits the data.")
    ] = None,
    start: Annotated[
        Path | None, typer.Option("--from", help="Bundle to begin with: a second curve beside that from scratch.")
    ] = None,
    freeze: Annotated[str | None, typer.Option("--freeze", help="With --from, as of gesta train.")] = None,
    clips: Annotated[str, typer.Option("--clips", help="Training clips a class, with commas.")] = "1,2,4,8",
    seeds: Annotated[int, typer.Option("--seeds", help="Draws of the clips, and trainings.", min=1)] = 3,
    out: Annotated[Path, typer.Option("--out", help="Table, figure and results; a stopped run resumes.")] = Path(
        "runs/learning-curve"
    ),
    sets: SetOption = None,
    workers: Annotated[int, typer.Option("--workers", help="Trainings at a time, one thread each.", min=1)] = 2,
    layout: FormatOption = None,
    device: DeviceOption = "auto",
    json: JsonFlag = False,
) -> None:
    """Accuracy against training clips a class, with intervals, on one test part; with --from also by transfer.

    Without --recipe, --from takes that of the bundle for both curves.
    """
    need("train", "torch", "lightning", "matplotlib")
    existing(data, "data folder")
    if freeze is not None and start is None:
        raise GestaError("--freeze needs --from BUNDLE: a network that has learned.", usage=True)
    from gesta.experiments.learning_curve import Curve, curve_of
    from gesta.experiments.learning_curve import learning_curve as run
    from gesta.experiments.parallel import Workers
    from gesta.experiments.train import task_of

    task = task_of(data, recipe, layout, start)
    curve = Curve(task, curve_of(task, recipe, start, sets or [], freeze), _numbers(clips), seeds, start)

    def told(job: Any, result: dict[str, Any]) -> None:
        console.print(f"{job.title}: {result['accuracy']:.3f}", highlight=False)

    with progress("Trainings") as bar:
        document = run(curve, usable(task.read(data, layout)), out, Workers(workers, device, bar, told))
    for note in document["notes"]:
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    emit({"data": str(data), **document}, _text(document), json)


def _numbers(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise GestaError(f"--clips is {text!r}; expected whole numbers with commas, as in 1,2,4,8.", usage=True)
    return tuple(sorted({int(part) for part in parts}))


def _text(document: dict[str, Any]) -> Group:
    from rich.table import Table

    table = Table("clips a class", "curve", "accuracy", "95 % interval", "by seed")
    for row in document["rows"]:
        low, high = row["interval"]
        seeds = " ".join(f"{accuracy:.3f}" for accuracy in row["by_seed"])
        table.add_row(str(row["clips"]), row["arm"], f"{row['accuracy']:.3f}", f"{low:.3f} to {high:.3f}", seeds)
    gains = [f"{gain['clips']} clips a class: transfer adds {gain['gain']:+.3f}" for gain in document["gains"]]
    return Group(table, *gains, *(f"written {path}" for path in document["files"].values()))
