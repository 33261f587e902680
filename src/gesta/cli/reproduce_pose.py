"""`gesta reproduce kazakos/...`: tables and figures about hand pose."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from gesta.cli.common import console, emit, existing, need, progress

if TYPE_CHECKING:
    from gesta.experiments.parallel import Job

SHOWN = ("reported MSE train, val", "reported mm", "MSE train, val", "test mm", "minutes")
"""Columns for the terminal; the file has them all."""


def of_poses(
    name: str,
    data: Path | None,
    scale: str,
    seeds: int,
    out: Path,
    sets: Sequence[str],
    workers: int,
    layout: str | None,
    device: str,
    json: bool,
) -> None:
    """On --data, or on generated hands in NYU's layout; says the cost first. A stopped run goes on row by row."""
    need("train", "scipy", "h5py")
    from gesta.experiments.pose_catalog import POSE_SCALES, POSE_TABLES
    from gesta.experiments.poses import estimate_poses, plan_poses, run_poses
    from gesta.sources.hand_catalog import read

    if data is None:
        table, size = POSE_TABLES[name], POSE_SCALES[scale]
        console.print(f"{name}: {estimate_poses(table, size, seeds, workers)}", highlight=False)
        data, layout = generated_hands(scale, out), "nyu"
        note = f"Generated hands in NYU's layout, scale {scale}."
    else:
        note = f"Data: {existing(data, 'data folder')}."
    planned = plan_poses(
        name,
        read(data, layout),
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
        document = run_poses(planned, out, workers=workers, progress=bar, told=_told)
    emit({**document, "scale": scale}, _text(document), json)


def generated_hands(scale: str, out: Path) -> Path:
    """The generated set of that scale, made in `out` where it is not there yet: whole or not at all."""
    from gesta.experiments.pose_catalog import POSE_DATA_SEED, POSE_SCALES
    from gesta.synthetic import nyu_hands

    folder = out / f"data-nyu-{scale}"
    if folder.exists():
        return folder
    partial = folder.with_name(f".{folder.name}.part")
    if partial.exists():
        import shutil

        shutil.rmtree(partial)  # a run that was stopped while generating
    with progress("Generating hands") as bar:
        nyu_hands.make(partial, images=POSE_SCALES[scale].images, seed=POSE_DATA_SEED, progress=bar)
    partial.replace(folder)
    return folder


def _told(job: Job, result: dict[str, Any]) -> None:
    minutes = result["seconds"] / 60
    if "diverged" in result:
        said = "diverged"
    else:
        said = f"MSE {result['validation']['val_mse']:.5f}, test {result['mean_error_mm']:.2f} mm"
    console.print(f"{job.title}: {said}, {minutes:.1f} min", highlight=False)


def _text(document: dict[str, Any]) -> Table:
    from gesta.experiments.poses import HEADINGS, cells

    told = [HEADINGS.index(name) for name in ("line", *SHOWN)]
    shown = Table(*(HEADINGS[at] for at in told), caption="\n".join(document["files"].values()))
    for row in document["rows"]:
        whole = cells(row)
        shown.add_row(*(whole[at] for at in told))
    return shown
