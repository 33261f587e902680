"""`gesta reproduce`: a table or figure of the documents, reported beside measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesta.cli.common import (
    ClusterOption,
    DeviceOption,
    FormatOption,
    JsonFlag,
    SetOption,
    WorkersOption,
    console,
    emit,
    existing,
    jobs_in,
    need,
    progress,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table

    from gesta.experiments.table import Experiment, Wanted


NameOption = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of a table or figure; list shows all.", show_default=False)
]
Data = Annotated[
    Path | None, typer.Option("--data", metavar="FOLDER", help="The real recordings. (default: a generated set)")
]
Scale = Annotated[str, typer.Option("--scale", help="quick (at most 2 hours on two cores) or full (as published).")]
Seeds = Annotated[
    int | None,
    typer.Option(
        "--seeds",
        metavar="N",
        help="Train each row with seeds 0 to N - 1. (default: 3; at quick 1 for images and actions)",
        min=1,
    ),
]
Rows = Annotated[
    list[str] | None,
    typer.Option(
        "--row",
        metavar="WORDS",
        help="Train only rows with these words in their name, and what they start from. Repeatable. (default: all)",
    ),
]
Out = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder for data, results, table and figure.")]


def reproduce(
    name: NameOption,
    data: Data = None,
    scale: Scale = "quick",
    seeds: Seeds = None,
    rows: Rows = None,
    out: Out = Path("runs/reproduce"),
    sets: SetOption = None,
    workers: WorkersOption = 2,
    cluster: ClusterOption = None,
    layout: FormatOption = None,
    device: DeviceOption = "auto",
    json: JsonFlag = False,
) -> None:
    """Reproduce a published table or figure.

    Prints the cost, trains every model of the table on generated data, or on --data by the published protocol, and
    shows the published results next to the measured ones. If you stop it, the same command continues.

    Examples:
      gesta reproduce list
      gesta reproduce mullick/table-3.2
      gesta reproduce kazakos/table-4.3 --row Net9
    """
    need("train", "torch", "lightning", "matplotlib", "scipy", "h5py")
    from gesta.experiments import tables
    from gesta.experiments.table import Wanted

    if name == "list":
        known = tables.every()
        emit({"tables": {key: one.table.title for key, one in known.items()}}, _list_text(known), json)
        return
    experiment = tables.find(name)
    with jobs_in(out, cluster, "reproduce") as made:
        count = workers if made is None else made.workers
        document = _reproduced(experiment, Wanted(out, scale, seeds, data, layout, sets or (), count, device), rows)
    emit({**document, "scale": scale}, experiment.text(document), json)


def _reproduced(experiment: Experiment, wanted: Wanted, rows: Sequence[str] | None) -> dict[str, Any]:
    """Says what it costs, and does it, for all rows or these. Raises GestaError."""
    name, data = experiment.name, wanted.data
    experiment.scale_of(wanted)
    if data is not None:
        existing(data, "data folder")
    elif not rows and (estimate := experiment.estimate(wanted)):
        console.print(f"{name}: {estimate}", highlight=False)
    planned = experiment.plan(*experiment.data(wanted), wanted)
    planned = planned.only(rows) if rows else planned
    console.print(f"{name}: {planned.cost}.\n{planned.note}", highlight=False, markup=False)

    def told(job: Any, result: Mapping[str, Any]) -> None:
        said = f"{job.title}: {experiment.told(result)}, {result['seconds'] / 60:.1f} min"
        console.print(said, highlight=False, markup=False)

    with progress("Training") as bar:
        return experiment.run(planned, wanted.out, bar, told)


def _list_text(tables: Mapping[str, Experiment]) -> Table:
    from rich.table import Table

    shown = Table("name", "what", "source")
    for key, one in tables.items():
        shown.add_row(key, one.table.title, one.table.source)
    return shown
