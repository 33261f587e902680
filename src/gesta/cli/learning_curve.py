"""`gesta learning-curve`: accuracy against clips per class, with and without transfer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group

from gesta.cli.common import (
    DeviceOption,
    FormatOption,
    JsonFlag,
    RecipeOption,
    SetOption,
    console,
    emit,
    existing,
    need,
    progress,
)
from gesta.schema import GestaError

if TYPE_CHECKING:
    from gesta.experiments.learning_curve import Curve
    from gesta.schema import Sample


def learning_curve(
    context: typer.Context,
    data: Annotated[Path, typer.Argument(help="Recordings, or a folder of gesta features.", show_default=False)],
    recipe: RecipeOption = "auto",
    start: Annotated[
        Path | None, typer.Option("--from", help="Bundle to begin with: a second curve beside that from scratch.")
    ] = None,
    freeze: Annotated[str | None, typer.Option("--freeze", help="With --from, as of gesta train.")] = None,
    clips: Annotated[str, typer.Option("--clips", help="Training clips a class, with commas.")] = "1,2,4,8",
    seeds: Annotated[int, typer.Option("--seeds", help="Draws of the clips, and trainings.", min=1)] = 3,
    out: Annotated[Path, typer.Option("--out", help="Table, figure and results; a stopped run goes on.")] = Path(
        "runs/learning-curve"
    ),
    sets: SetOption = None,
    workers: Annotated[int, typer.Option("--workers", help="Trainings at a time, one thread each.", min=1)] = 2,
    layout: FormatOption = None,
    device: DeviceOption = "auto",
    json: JsonFlag = False,
) -> None:
    """Accuracy against training clips a class, with intervals, on one test part; with --from also by transfer.

    Without --recipe, --from takes that of the bundle for both curves.
    """
    need("train", "torch", "lightning", "matplotlib")
    existing(data, "data folder")
    if freeze is not None and start is None:
        raise GestaError("--freeze needs --from BUNDLE: a network that has learned.", usage=True)
    source = context.get_parameter_source("recipe")
    named = recipe if start is None or (source is not None and source.name == "COMMANDLINE") else None
    from gesta.experiments.learning_curve import learning_curve as run
    from gesta.recipes import RecipeError

    try:
        curve, samples = _curve(data, named, start, freeze, sets or [], _numbers(clips), seeds, layout, device)
    except RecipeError as error:
        raise GestaError(str(error), usage=True) from error
    with progress("Trainings") as bar:
        document = run(
            curve,
            samples,
            out,
            workers=workers,
            progress=bar,
            told=lambda job, result: console.print(f"{job.title}: {result['accuracy']:.3f}", highlight=False),
        )
    for note in document["notes"]:
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    emit({"data": str(data), **document}, _text(document), json)


def _numbers(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise GestaError(f"--clips is {text!r}; expected whole numbers with commas, as in 1,2,4,8.", usage=True)
    return tuple(sorted({int(part) for part in parts}))


def _curve(
    data: Path,
    recipe: str | None,
    start: Path | None,
    freeze: str | None,
    sets: list[str],
    clips: tuple[int, ...],
    seeds: int,
    layout: str | None,
    device: str,
) -> tuple[Curve, list[Sample]]:
    """What to measure, and the samples, of recordings or of stored features. Raises GestaError and RecipeError."""
    from gesta.experiments.learning_curve import Curve

    frozen = [*sets, *([] if freeze in (None, "none") else [f"training.freeze={freeze}"])]
    if (data / "features.json").is_file():
        from gesta.tasks.features.store import FeatureFolder

        recipes, samples = _of_features(data, recipe, start, sets, frozen)
        return Curve(recipes, clips, seeds, start, data, FeatureFolder(data).layout, device), samples
    from gesta.cli.train import recipe_for
    from gesta.sources.catalog import read
    from gesta.tasks.clips.transfer import from_scratch, recipe_from

    listing = read(data, layout)
    recipes = {}
    if start is None:
        recipes["scratch"] = recipe_for(recipe or "auto", sets)
    else:
        base = None if recipe is None else recipe_for(recipe)
        scratch = from_scratch(recipe_from(start, base, sets))
        recipes = {"scratch": scratch, "transfer": recipe_from(start, base, frozen)}
    return Curve(recipes, clips, seeds, start, None, listing.layout, device), list(listing.samples)


def _of_features(
    data: Path, recipe: str | None, start: Path | None, sets: list[str], frozen: list[str]
) -> tuple[dict[str, Any], list[Sample]]:
    from gesta.bundle.io import read_sequence
    from gesta.tasks.catalog import load_recipe
    from gesta.tasks.clips.transfer import sequence_recipe_from
    from gesta.tasks.features.fit import samples_of
    from gesta.tasks.features.store import FeatureFolder

    samples = samples_of(FeatureFolder(data), unlabelled=True)
    if start is None:
        return {"scratch": load_recipe(recipe or "iqbal/mean-znorm", sets)}, samples
    base, begun = None if recipe is None else load_recipe(recipe), read_sequence(start)
    recipes = {
        "scratch": sequence_recipe_from(begun, base, sets),
        "transfer": sequence_recipe_from(begun, base, frozen),
    }
    return recipes, samples


def _text(document: dict[str, Any]) -> Group:
    from rich.table import Table

    table = Table("clips a class", "curve", "accuracy", "95 % interval", "by seed")
    for row in document["rows"]:
        low, high = row["interval"]
        seeds = " ".join(f"{accuracy:.3f}" for accuracy in row["by_seed"])
        table.add_row(str(row["clips"]), row["arm"], f"{row['accuracy']:.3f}", f"{low:.3f} to {high:.3f}", seeds)
    gains = [f"{gain['clips']} clips a class: transfer adds {gain['gain']:+.3f}" for gain in document["gains"]]
    return Group(table, *gains, *(f"written {path}" for path in document["files"].values()))
