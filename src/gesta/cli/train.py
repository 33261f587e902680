"""`gesta train`: from labeled recordings to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesta.cli.common import (
    BackboneOption,
    DeviceOption,
    DevicesOption,
    FormatOption,
    JsonFlag,
    NodesOption,
    ProtocolOption,
    RecipeOption,
    RecordingsArgument,
    SeedOption,
    SetOption,
    emit,
    existing,
    given_options,
    need,
    say_plain,
)
from gesta.schema import GestaError
from gesta.words import counted

if TYPE_CHECKING:
    from gesta.recipes import Recipe
    from gesta.tasks.base import Parts


Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FOLDER", help="Folder for the bundle, logs and checkpoints. (default: runs/...)"),
]
StartOption = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="BUNDLE",
        help="Start from this trained model. Its last layer is kept if the classes match.",
    ),
]
Freeze = Annotated[
    str | None,
    typer.Option(
        "--freeze",
        metavar="LAYERS",
        help="With --from, layers to keep fixed: none, all (but the last), first, or names separated by commas.",
    ),
]
Final = Annotated[
    bool,
    typer.Option("--final", help="Train once more on all recordings at the end. Accuracies are measured before that."),
]


def train(
    context: typer.Context,
    data: RecordingsArgument,
    recipe: RecipeOption = None,
    out: Out = None,
    sets: SetOption = None,
    seed: SeedOption = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the stopped run in --out.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the finished run in --out.")] = False,
    devices: DevicesOption = 1,
    nodes: NodesOption = 1,
    protocol: ProtocolOption = "subject",
    start: StartOption = None,
    freeze: Freeze = None,
    final: Final = False,
    backbone_weights: BackboneOption = None,
    layout: FormatOption = None,
    device: DeviceOption = "auto",
    json: JsonFlag = False,
) -> None:
    """Train a model on labeled recordings.

    A recipe defines the training; it is chosen for your data if you name none. People are divided into train,
    validation and test parts, so that the test shows how well the model does on people it has never seen. The trained
    model is a bundle in OUT/bundle.

    Examples:
      gesta train my_gestures
      gesta train my_gestures --recipe live --set training.epochs=40 --out runs/mine
      gesta train my_gestures --out runs/mine --resume
    """
    need("train", "torch", "lightning", "matplotlib", "tensorboard", "scipy", "h5py")
    existing(data, "data folder")
    if resume and out is None:
        raise GestaError("--resume needs --out, the folder of the stopped run.", usage=True)
    if freeze is not None and start is None:
        raise GestaError("--freeze needs --from BUNDLE, a trained model whose layers are frozen.", usage=True)
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
        if parts.listing.problems:
            lines.append(f"  {counted(len(parts.listing.problems), 'warning')} about the data: see gesta data inspect.")
        say_plain("\n".join(lines))

    return told
