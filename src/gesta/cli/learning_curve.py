"""`gesta learning-curve`: accuracy against clips per class, with and without transfer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group

from gesta.cli.common import (
    ClusterOption,
    DeviceOption,
    FormatOption,
    JsonFlag,
    RecipeOption,
    SetOption,
    WorkersOption,
    console,
    emit,
    existing,
    jobs_in,
    need,
    progress,
    say_plain,
)
from gesta.schema import GestaError, usable

Data = Annotated[
    Path,
    typer.Argument(metavar="DATA", help="Folder of labeled recordings or of stored features.", show_default=False),
]
Start = Annotated[
    Path | None,
    typer.Option("--from", metavar="BUNDLE", help="Trained model to start from; plotted with the curve from scratch."),
]
Freeze = Annotated[str | None, typer.Option("--freeze", metavar="LAYERS", help="With --from, as in gesta train.")]
Clips = Annotated[str, typer.Option("--clips", metavar="N,N,...", help="Numbers of training clips per class.")]
OnePerson = Annotated[
    bool, typer.Option("--one-person", help="Draw the clips of each seed from one person, another for each seed.")
]
Out = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder for the table, figure and results.")]


def learning_curve(
    data: Data,
    recipe: RecipeOption = None,
    start: Start = None,
    freeze: Freeze = None,
    clips: Clips = "1,2,4,8",
    seeds: Annotated[int, typer.Option("--seeds", help="Seeds; each draws other clips and trains again.", min=1)] = 3,
    one_person: OnePerson = False,
    out: Out = Path("runs/learning-curve"),
    sets: SetOption = None,
    workers: WorkersOption = 2,
    cluster: ClusterOption = None,
    layout: FormatOption = None,
    device: DeviceOption = "auto",
    json: JsonFlag = False,
) -> None:
    """Plot accuracy against the number of training clips per class.

    All points are measured on the same test part, with confidence intervals. With --from, a second curve shows what
    transfer from a trained model adds; both curves then use that model's recipe unless you name one. Recipes that are
    compared with lookups get the nearest neighbor's curve, too. If you stop it, the same command continues.

    Example:
      gesta learning-curve my_gestures --clips 1,2,4,8 --from runs/other/bundle
    """
    need("train", "torch", "lightning", "matplotlib")
    existing(data, "data folder")
    if freeze is not None and start is None:
        raise GestaError("--freeze needs --from BUNDLE, a trained model whose layers are frozen.", usage=True)
    from gesta.experiments.learning_curve import Curve, curve_of
    from gesta.experiments.learning_curve import learning_curve as run
    from gesta.experiments.parallel import Workers
    from gesta.experiments.train import task_of

    task = task_of(data, recipe, layout, start)
    curve = Curve(task, curve_of(task, recipe, start, sets or [], freeze), _numbers(clips), seeds, start, one_person)

    def told(job: Any, result: dict[str, Any]) -> None:
        console.print(f"{job.title}: {result['accuracy']:.3f}", highlight=False)

    with jobs_in(out, cluster, "learning-curve"), progress("Training") as bar:
        document = run(curve, usable(task.read(data, layout)), out, Workers(workers, device, bar, told))
    for note in document["notes"]:
        say_plain(note)
    emit({"data": str(data), **document}, _text(document), json)


def _numbers(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise GestaError(f"--clips is {text!r}; expected whole numbers with commas, as in 1,2,4,8.", usage=True)
    return tuple(sorted({int(part) for part in parts}))


def _text(document: dict[str, Any]) -> Group:
    from rich.table import Table

    from gesta.experiments.learning_curve import ARMS

    table = Table("clips per class", "curve", "accuracy", "95 % interval", "by seed")
    for row in document["rows"]:
        low, high = row["interval"]
        seeds = " ".join(f"{accuracy:.3f}" for accuracy in row["by_seed"])
        table.add_row(str(row["clips"]), ARMS[row["arm"]], f"{row['accuracy']:.3f}", f"{low:.3f} to {high:.3f}", seeds)
    gains = [f"{gain['clips']} clips per class: transfer adds {gain['gain']:+.3f}" for gain in document["gains"]]
    return Group(table, *gains, *(f"written {path}" for path in document["files"].values()))
