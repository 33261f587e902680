"""`gesta tune`: search of a recipe's hyperparameters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from gesta.cli.common import (
    DeviceOption,
    FormatOption,
    JsonFlag,
    SeedOption,
    SetOption,
    command,
    console,
    emit,
    existing,
    need,
)
from gesta.schema import GestaError


def tune(
    data: Annotated[Path, typer.Argument(help="Folder of hand frames with joints.", show_default=False)],
    recipe: Annotated[str, typer.Option("--recipe", help="A recipe for hand poses, or a YAML file.")] = (
        "kazakos/depth-net"
    ),
    out: Annotated[Path, typer.Option("--out", help="Folder for best.yaml, table and study.")] = Path("runs/tune"),
    rounds: Annotated[int, typer.Option("--rounds", help="Each in ranges half as wide, around the best.", min=1)] = 3,
    trials: Annotated[int, typer.Option("--trials", help="Trainings a round.", min=1)] = 50,
    storage: Annotated[
        str | None, typer.Option("--storage", help="URL of a database that several workers share; a file in --out.")
    ] = None,
    sets: SetOption = None,
    seed: SeedOption = 0,
    layout: FormatOption = None,
    device: DeviceOption = "auto",
    json: JsonFlag = False,
) -> None:
    """Random search of learning rate, momentum and dropout in narrowing rounds. A stopped search goes on."""
    need("train", "torch", "lightning", "scipy", "h5py")
    need("tune", "optuna")
    existing(data, "data folder")
    from gesta.cli.train import for_poses, recipe_for
    from gesta.experiments.tune import Search
    from gesta.experiments.tune import tune as search_for
    from gesta.tasks.hands.cli_train import hands, pose_recipe_for

    if not for_poses(recipe):
        recipe_for(recipe, sets)
        raise GestaError(
            f"gesta tune is for recipes of hand poses, such as kazakos/depth-net, not {recipe}.", usage=True
        )
    chosen = pose_recipe_for(recipe, sets or ())
    listing, frames, notes = hands(data, layout, seed, chosen.training.validation_share)
    search = Search(chosen, rounds, trials, seed, device)
    for line in (
        f"{search.total} trainings of {chosen.name}, {rounds} rounds of {trials}. Results go to {out}.",
        *notes,
    ):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    document = search_for(
        search, frames, out, layout=listing.layout, joint_names=listing.joint_names, storage=storage, told=_told
    )
    emit(document, _summary(document), json)


def _told(number: int, found: dict[str, Any]) -> None:
    values = ", ".join(f"{key.partition('.')[2]} {value:.4g}" for key, value in found.items() if "." in key)
    if "diverged" in found:
        said = "diverged"
    else:
        said = f"MSE {found['val_mse']:.5f}, {found['val_error_mm']:.2f} mm"
    console.print(f"trial {number}: {values}: {said}, {found['seconds'] / 60:.1f} min", highlight=False, soft_wrap=True)


def _summary(document: dict[str, Any]) -> Text:
    best = document["best"]
    values = ", ".join(f"{key.partition('.')[2]} {value:.4g}" for key, value in best.items() if "." in key)
    lines = [f"best      trial {best['number']}: {values}"]
    lines.append(f"          validation MSE {best['val_mse']:.5f}, {best['val_error_mm']:.2f} mm")
    if document["missing"]:
        lines.append(f"missing   {document['missing']} trials, which other workers have not finished")
    lines += [f"table     {document['files']['table']}", f"recipe    {document['files']['recipe']}"]
    lines.append(f"next      {command('gesta', 'train', 'DATA', '--recipe', document['files']['recipe'])}")
    return Text("\n".join(lines))
