"""`gesta tune`: search of a recipe's hyperparameters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from gesta.cli.common import (
    ClusterOption,
    DeviceOption,
    FormatOption,
    JsonFlag,
    RecipeOption,
    RecordingsArgument,
    SeedOption,
    SetOption,
    command,
    console,
    emit,
    existing,
    jobs_in,
    need,
    say_plain,
)
from gesta.schema import GestaError, usable


def tune(
    data: RecordingsArgument,
    recipe: RecipeOption = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Folder for the best recipe, the table and the study.")
    ] = Path("runs/tune"),
    rounds: Annotated[
        int, typer.Option("--rounds", help="Rounds; each halves the ranges around the best values so far.", min=1)
    ] = 3,
    trials: Annotated[int, typer.Option("--trials", help="Training runs per round.", min=1)] = 50,
    storage: Annotated[
        str | None,
        typer.Option(
            "--storage", metavar="URL", help="Database shared by several computers. (default: a file in --out)"
        ),
    ] = None,
    cluster: ClusterOption = None,
    sets: SetOption = None,
    seed: SeedOption = 0,
    layout: FormatOption = None,
    device: DeviceOption = "auto",
    json: JsonFlag = False,
) -> None:
    """Search for good hyperparameters.

    Tries random learning rates, momenta and dropout rates, and narrows the ranges from round to round. Trials are
    judged on the validation part only. If you stop it, the same command continues.

    Example:
      gesta tune my_gestures --rounds 2 --trials 10
    """
    need("train", "torch", "lightning", "scipy", "h5py")
    need("tune", "optuna")
    from gesta.experiments.train import recipe_of, task_of
    from gesta.experiments.tune import Search
    from gesta.experiments.tune import tune as search_for
    from gesta.experiments.tune_jobs import search_on_cluster

    if storage is not None and cluster is not None:
        raise GestaError("--storage is for workers without a cluster. Give --storage or --cluster.", usage=True)

    task = task_of(existing(data, "data folder"), recipe, layout)
    own = getattr(task, "tuning", None)
    chosen = recipe_of(task, recipe or (own.recipe if own else None), sets or ())
    parts = task.split(usable(task.read(data, layout)), seed, chosen.model_dump())
    search = Search(task, chosen, rounds, trials, seed, device)
    intro = f"{search.total} training runs of {chosen.name}, {rounds} rounds of {trials}. Results go to {out}."
    say_plain("\n".join([intro, *parts.notes]))

    def told(number: int, found: dict[str, Any]) -> None:
        said = "diverged" if "diverged" in found else ", ".join(f"{name} {found[name]:.5g}" for name in search.shown)
        minutes = found["seconds"] / 60
        console.print(f"trial {number}: {_values(found)}: {said}, {minutes:.1f} min", highlight=False, soft_wrap=True)

    with jobs_in(out, cluster, "tune"):
        run = None if cluster is None else search_on_cluster
        document = search_for(search, parts, out, storage=storage, told=told, run=run)
    emit(document, _summary(document), json)


def _values(trial: dict[str, Any]) -> str:
    return ", ".join(f"{key.partition('.')[2]} {value:.4g}" for key, value in trial.items() if "." in key)


def _summary(document: dict[str, Any]) -> Text:
    from gesta.experiments.tune import words

    best, files = document["best"], document["files"]
    lines = [f"best      trial {best['number']}: {_values(best)}", f"          {words(document, best)}"]
    if document["missing"]:
        lines.append(f"missing   {document['missing']} trials that other workers have not finished")
    lines += [f"table     {files['table']}", f"recipe    {files['recipe']}"]
    lines.append(f"next      {command('gesta', 'train', 'DATA', '--recipe', files['recipe'])}")
    return Text("\n".join(lines))
