"""`gesta reproduce`: a table or figure of the documents, reported beside measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesta.cli.common import DeviceOption, FormatOption, JsonFlag, SetOption, console, emit, existing, need, progress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table

    from gesta.experiments.table import Experiment


def reproduce(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="list, or the name of a table or figure.", show_default=False)
    ],
    data: Annotated[
        Path | None, typer.Option("--data", help="The real recordings; without it a set is generated.")
    ] = None,
    scale: Annotated[
        str, typer.Option("--scale", help="quick: at most 2 hours on two cores. full: the document's.")
    ] = "quick",
    seeds: Annotated[
        int | None,
        typer.Option(
            "--seeds", help="Trainings a line, with seeds 0, 1, ...; 3, of images and actions 1 at quick.", min=1
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Data, results by line, table, figure.")] = Path("runs/reproduce"),
    sets: SetOption = None,
    workers: Annotated[int, typer.Option("--workers", help="Trainings at a time, one thread each.", min=1)] = 2,
    layout: FormatOption = None,
    device: DeviceOption = "auto",
    json: JsonFlag = False,
) -> None:
    """Trains what the table needs on generated data (or on --data, by the document's protocol), says the cost first.

    A stopped run resumes where it was, line by line.
    """
    need("train", "torch", "lightning", "matplotlib", "scipy", "h5py")
    from gesta.experiments import tables
    from gesta.experiments.table import Wanted

    if name == "list":
        known = tables.every()
        emit({"tables": {key: one.table.title for key, one in known.items()}}, _list_text(known), json)
        return
    experiment = tables.find(name)
    wanted = Wanted(out, scale, seeds, data, layout, sets or (), workers, device)
    experiment.scale_of(wanted)
    if data is not None:
        existing(data, "data folder")
    elif estimate := experiment.estimate(wanted):
        console.print(f"{name}: {estimate}", highlight=False)
    planned = experiment.plan(*experiment.data(wanted), wanted)
    console.print(f"{name}: {planned.cost}.\n{planned.note}", highlight=False, markup=False)

    def told(job: Any, result: Mapping[str, Any]) -> None:
        said = f"{job.title}: {experiment.told(result)}, {result['seconds'] / 60:.1f} min"
        console.print(said, highlight=False, markup=False)

    with progress("Trainings") as bar:
        document = experiment.run(planned, out, bar, told)
    emit({**document, "scale": scale}, experiment.text(document), json)


def _list_text(tables: Mapping[str, Experiment]) -> Table:
    from rich.table import Table

    shown = Table("name", "what", "source")
    for key, one in tables.items():
        shown.add_row(key, one.table.title, one.table.source)
    return shown
