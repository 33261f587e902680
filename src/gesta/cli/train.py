"""`gesta train`: from labeled recordings to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesta.cli.common import (
    BackboneOption,
    DeviceOption,
    FormatOption,
    JsonFlag,
    SeedOption,
    SetOption,
    console,
    emit,
    existing,
    given_options,
    need,
)
from gesta.schema import GestaError

if TYPE_CHECKING:
    from gesta.recipes import Recipe
    from gesta.tasks.base import Parts


def train(
    context: typer.Context,
    data: Annotated[Path, typer.Argument(help="Folder of labeled recordings.", show_default=False)],
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", help="Name (see `gesta recipes`) or YAML file; auto, or what fits the data."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the bundle, logs and checkpoints; runs/... if left out.")
    ] = None,
    sets: SetOption = None,
    seed: SeedOption = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after the last finished epoch in --out.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished training in --out.")] = False,
    devices: Annotated[int, typer.Option("--devices", help="Processes (GPUs) on each computer.", min=1)] = 1,
    nodes: Annotated[int, typer.Option("--nodes", help="Computers.", min=1)] = 1,
    protocol: Annotated[
        str,
        typer.Option("--protocol", help="subject: subject-independent. document: ChaLearn's Validation is the test."),
    ] = "subject",
    start: Annotated[
        Path | None, typer.Option("--from", help="Bundle to begin with: its network, its last layer if classes agree.")
    ] = None,
    freeze: Annotated[
        str | None, typer.Option("--freeze", help="With --from: none, all (but the last layer), first, or names.")
    ] = None,
    final: Annotated[
        bool,
        typer.Option("--final", help="After the choice train once more, on everything; accuracies stay as they were."),
    ] = False,
    backbone_weights: BackboneOption = None,
    layout: FormatOption = None,
    device: DeviceOption = "auto",
    json: JsonFlag = False,
) -> None:
    """Train a model on labeled recordings; the bundle is left at OUT/bundle."""
    need("train", "torch", "lightning", "matplotlib", "tensorboard", "scipy", "h5py")
    existing(data, "data folder")
    if resume and out is None:
        raise GestaError("--resume needs --out: the folder of the run that was stopped.", usage=True)
    if freeze is not None and start is None:
        raise GestaError("--freeze needs --from BUNDLE: a network that has learned.", usage=True)
    from gesta.experiments import train as flow
    from gesta.tasks import catalog
    from gesta.training.run import Run

    task = flow.task_of(data, recipe, layout, start)
    options = given_options(context, task, protocol=protocol, backbone_weights=backbone_weights, final=final)
    changes = [*(sets or ()), *([] if freeze in (None, "none") else [f"training.freeze={freeze}"])]
    folder = out or flow.new_folder(data, recipe or task.default_recipe)
    flow.refuse_finished(folder, resume, overwrite)
    run = Run(folder, seed, resume, device, devices, nodes, progress=not json)
    done = flow.train(
        data, run, recipe=recipe, sets=changes, start=start, layout=layout, told=_introduction(folder), **options
    )
    if done is not None:
        lines = catalog.find(done.task).lines("train", {**done.document, "data": str(data), **options})
        emit(done.document, "\n".join(lines), json)


def _introduction(folder: Path) -> Any:
    """What will be done and why, to stderr."""

    def told(recipe: Recipe, parts: Parts) -> None:
        lines = [f"Recipe {recipe.name}: {recipe.title} Results go to {folder}."]
        lines += [f"  {line}" for line in (*parts.picked, *parts.notes)]
        if count := len(parts.listing.problems):
            lines.append(f"  {count} warning{'s' * (count > 1)} about the data: see gesta data inspect.")
        for line in lines:
            console.print(line, highlight=False, markup=False, soft_wrap=True)

    return told
