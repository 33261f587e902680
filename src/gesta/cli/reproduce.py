"""`gesta reproduce`: a table or figure of the documents, reported beside measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gesta.cli.common import DeviceOption, FormatOption, JsonFlag, SetOption, console, emit, existing, need, progress

if TYPE_CHECKING:
    from rich.table import Table

    from gesta.experiments.parallel import Job
    from gesta.schema import Sample

SEEDS = 3
"""Trainings a line, of recordings."""


def reproduce(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="list, or the name of a table or figure.", show_default=False)
    ],
    data: Annotated[
        Path | None, typer.Option("--data", help="The real recordings; without it a set is generated.")
    ] = None,
    scale: Annotated[
        str, typer.Option("--scale", help="quick: at most 2 hours on two cores. full: the document's.")
    ] = ("quick"),
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

    A stopped run goes on where it was, line by line.
    """
    from gesta.experiments.action_catalog import ACTION_TABLES
    from gesta.experiments.catalog import TABLES, estimate, find, scale_of, titles
    from gesta.experiments.image_catalog import IMAGE_SCALES, IMAGE_TABLES
    from gesta.experiments.leave_out import LEAVE_OUT_TABLES
    from gesta.experiments.pose_catalog import POSE_TABLES

    others: dict[str, Any] = {**IMAGE_TABLES, **POSE_TABLES, **ACTION_TABLES, **LEAVE_OUT_TABLES}
    if name == "list":
        emit({"tables": titles()}, _list_text({**TABLES, **others}), json)
        return
    if name not in others:
        find(name)
    scale_of(scale)
    need("train", "torch", "lightning", "matplotlib")
    if name in IMAGE_TABLES:
        seeds = seeds or IMAGE_SCALES[scale].seeds
        _of_images(name, data, scale, seeds, out, sets or (), workers, device, json)
        return
    if name in ACTION_TABLES:
        from gesta.cli.reproduce_action import of_actions

        of_actions(name, data, scale, seeds, out, sets or (), workers, device, json)
        return
    seeds = seeds or SEEDS
    if name in LEAVE_OUT_TABLES:
        from gesta.cli.reproduce_action import of_people

        of_people(name, data, seeds, out, sets or (), workers, layout, device, json)
        return
    if name in POSE_TABLES:
        from gesta.cli.reproduce_pose import of_poses

        of_poses(name, data, scale, seeds, out, sets or (), workers, layout, device, json)
        return
    from gesta.experiments.reproduce import plan, run

    if data is None:
        console.print(f"{name}: {estimate(find(name), scale_of(scale), seeds, workers)}", highlight=False)
    samples, used_layout, note = real(data, layout) if data else generated(scale, out)
    planned = plan(
        name,
        samples,
        out,
        scale=scale,
        seeds=seeds,
        layout=used_layout,
        note=note,
        workers=workers,
        sets=sets or (),
        device=device,
    )
    console.print(f"{name}: {planned.cost}.\n{note}", highlight=False)
    with progress("Trainings") as bar:
        document = run(
            planned,
            out,
            workers=workers,
            progress=bar,
            told=lambda job, result: console.print(
                f"{job.title}: {100 * result['accuracy']:.2f} %, {result['seconds'] / 60:.1f} min", highlight=False
            ),
        )
    emit({**document, "scale": scale}, _text(document), json)


def real(data: Path, layout: str | None) -> tuple[list[Sample], str, str]:
    """The user's recordings, ChaLearn 2014 by the document's protocol: samples, layout, note. Raises GestaError."""
    from gesta.sources.catalog import read
    from gesta.sources.split import assign_splits

    listing = read(existing(data, "data folder"), layout)
    protocol: Literal["document", "subject"] = "document" if listing.layout == "chalearn2014" else "subject"
    samples, notes = assign_splits(listing.samples, seed=0, protocol=protocol)
    return samples, listing.layout, " ".join([f"Data: {data}.", *notes])


def generated(scale: str, out: Path) -> tuple[list[Sample], str, str]:
    """The generated set of that scale, made in `out` where it is not there yet: samples, layout, note."""
    from gesta.experiments.catalog import DATA_SEED, scale_of
    from gesta.sources.catalog import read
    from gesta.sources.split import assign_splits
    from gesta.synthetic import chalearn2014

    size = scale_of(scale)
    folder = out / f"data-{scale}"
    with progress("Generating recordings") as bar:
        chalearn2014.make(folder, people=size.people, recordings=size.recordings, seed=DATA_SEED, progress=bar)
    samples, _ = assign_splits(read(folder, "chalearn2014").samples, seed=0)
    counts = {part: [s for s in samples if s.split == part] for part in ("train", "val", "test")}
    sizes = ", ".join(f"{part} {len(c)} ({len({s.subject for s in c})} people)" for part, c in counts.items())
    version = chalearn2014.GENERATOR_VERSION
    note = f"Generated data, scale {scale}, generator version {version}; gestures: {sizes}; no person in two parts."
    return samples, "chalearn2014", note


def _of_images(
    name: str,
    data: Path | None,
    scale: str,
    seeds: int,
    out: Path,
    sets: Sequence[str],
    workers: int,
    device: str,
    json: bool,
) -> None:
    """A table about networks for images: on --data in the layout of CIFAR, or on generated images."""
    from gesta.experiments.cifar import plan_images, run_images
    from gesta.experiments.image_catalog import IMAGE_SCALES, IMAGE_TABLES
    from gesta.synthetic.catalog import IMAGE_GENERATORS
    from gesta.synthetic.cifar import GENERATOR_VERSION

    kind = IMAGE_TABLES[name].data
    if data is None:
        note = f"Generated {kind}, scale {scale}, generator version {GENERATOR_VERSION}:"
        data = out / f"data-{kind}-{scale}"
        with progress("Generating images") as bar:
            IMAGE_GENERATORS[kind](data, images=IMAGE_SCALES[scale].images, seed=0, progress=bar)
    else:
        note = f"Data: {existing(data, 'data folder')}."
    planned = plan_images(
        name, data, out, scale=scale, seeds=seeds, note=note, workers=workers, sets=sets, device=device
    )
    console.print(f"{name}: {planned.cost}.\n{planned.note}", highlight=False)
    with progress("Trainings") as bar:
        document = run_images(planned, out, workers=workers, progress=bar, told=_told_of_images)
    emit({**document, "scale": scale}, _images_text(document), json)


def _told_of_images(job: Job, result: dict[str, Any]) -> None:
    minutes = result["seconds"] / 60
    if "diverged" in result:
        said = "diverged"
    else:
        said = f"{100 * result['accuracy']:.2f} %, pruned {100 * result['pruned_accuracy']:.2f} %"
    console.print(f"{job.title}: {said}, {minutes:.1f} min", highlight=False)


def _images_text(document: dict[str, Any]) -> Table:
    from rich.table import Table

    from gesta.experiments.cifar import HEADINGS, cells

    shown = Table(*HEADINGS, caption="\n".join(document["files"].values()))
    for row in document["rows"]:
        shown.add_row(*cells(row))
    return shown


def _list_text(tables: dict[str, Any]) -> Table:
    from rich.table import Table

    shown = Table("name", "what", "source")
    for key, table in tables.items():
        shown.add_row(key, table.title, table.source)
    return shown


def _text(document: dict[str, Any]) -> Table:
    from rich.table import Table

    from gesta.experiments.tables import spread

    shown = Table("line", "reported, %", "measured, %", "minutes", caption="\n".join(document["files"].values()))
    for row in document["rows"]:
        reported = "-" if row["reported"] is None else f"{row['reported']:.2f}"
        minutes = "-" if row["minutes"] is None else f"{row['minutes']:.1f}"
        shown.add_row(row["label"], reported, spread(row["by_seed"]), minutes)
    return shown
