"""`gesta reproduce iqbal/... | sprint/...`: tables about actions and signs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from gesta.cli.common import console, emit, existing, need, progress
from gesta.schema import GestaError

if TYPE_CHECKING:
    from gesta.experiments.parallel import Job


def of_actions(
    name: str,
    data: Path | None,
    scale: str,
    seeds: int | None,
    out: Path,
    sets: Sequence[str],
    workers: int,
    device: str,
    json: bool,
) -> None:
    """On --data in the table's layout, or on generated videos; says the cost first. A stopped run goes on."""
    need("train", "torch", "lightning", "matplotlib")
    from gesta.experiments.action_catalog import ACTION_SCALES, ACTION_TABLES
    from gesta.experiments.actions import estimate_actions, layouts, plan_actions, run_actions

    table, seeds = ACTION_TABLES[name], seeds or ACTION_SCALES[scale].seeds
    if data is None:
        console.print(f"{name}: {estimate_actions(name, scale, seeds, workers)}", highlight=False)
        folders = {layout: generated_videos(layout, scale, out, workers) for layout in layouts(table)}
        note = f"Generated videos in the layout of {' and '.join(folders)}, scale {scale}."
    else:
        folders, note = _given(existing(data, "data folder"), layouts(table)), f"Data: {data}."
    planned = plan_actions(
        name,
        folders,
        out,
        scale=scale,
        seeds=seeds,
        note=note,
        workers=workers,
        sets=sets,
        device=device,
    )
    console.print(f"{name}: {planned.cost}.\n{planned.note}", highlight=False)
    with progress("Trainings") as bar:
        document = run_actions(planned, out, workers=workers, progress=bar, told=_told)
    emit({**document, "scale": scale}, _text(document), json)


def of_people(
    name: str,
    data: Path | None,
    seeds: int,
    out: Path,
    sets: Sequence[str],
    workers: int,
    layout: str | None,
    device: str,
    json: bool,
) -> None:
    """Each person of --data held out once, line by line; says the cost first. A stopped run goes on."""
    from gesta.experiments import leave_out
    from gesta.sources.catalog import read

    if data is None:
        raise GestaError(
            f"{name}: needs --data, labelled recordings of several people; each is held out once.", usage=True
        )
    listing = read(existing(data, "data folder"), layout)
    people = len({s.subject for s in listing.samples if s.label is not None and s.subject is not None})
    count = leave_out.trainings(leave_out.LEAVE_OUT_TABLES[name], people, seeds)
    console.print(f"{name}: {people} people, {count} trainings, those for choosing included.", highlight=False)
    with progress("Folds") as bar:
        document = leave_out.run_leave_out(
            name,
            listing.samples,
            out,
            layout=listing.layout,
            note=f"Data: {data}, each of {people} people held out once, seeds 0 to {seeds - 1}.",
            seeds=seeds,
            sets=sets,
            workers=workers,
            device=device,
            progress=bar,
            told=lambda line, job, result: console.print(
                f"{line}, {job.title}: {result['accuracy']:.3f}, {result['seconds'] / 60:.1f} min", highlight=False
            ),
        )
    shown = Table(*leave_out.HEADINGS, caption="\n".join(document["files"].values()))
    for row in document["rows"]:
        shown.add_row(*leave_out.cells(row))
    emit(document, shown, json)


def _given(data: Path, wanted: Sequence[str]) -> dict[str, Path]:
    """The folder itself; where a table needs two layouts, its folders of these names. Raises GestaError (usage)."""
    if len(wanted) == 1:
        return {wanted[0]: data}
    folders = {layout: data / layout for layout in wanted}
    lacking = [str(folder) for folder in folders.values() if not folder.is_dir()]
    if lacking:
        raise GestaError(f"{data}: the table needs the folders {', '.join(wanted)} in it; give them.", usage=True)
    return folders


def generated_videos(layout: str, scale: str, out: Path, workers: int) -> Path:
    """The generated set of that scale, made in `out`; what is there already is not done again."""
    from gesta.experiments.action_catalog import ACTION_SCALES
    from gesta.experiments.catalog import DATA_SEED
    from gesta.synthetic.catalog import CLIP_GENERATORS

    folder = out / f"data-{layout}-{scale}"
    with progress(f"Generating {layout}") as bar:
        made = ACTION_SCALES[scale].videos[layout]
        seed = DATA_SEED + (layout == "ledasila")  # other people than those of the set it is transferred from
        CLIP_GENERATORS[layout](folder, **made, seed=seed, workers=workers, progress=bar)
    return folder


def _told(job: Job, result: dict[str, Any]) -> None:
    said = f"accuracy {result['accuracy']:.3f}, " if "accuracy" in result else ""
    console.print(f"{job.title}: {said}{result['seconds'] / 60:.1f} min", highlight=False)


def _text(document: dict[str, Any]) -> Table:
    from gesta.experiments.action_report import cells, headings

    shown = Table(*headings(document["measure"]), caption="\n".join(document["files"].values()))
    for row in document["rows"]:
        shown.add_row(*cells(row))
    return shown
