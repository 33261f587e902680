"""`gesta train FEATURES`: a classifier of stored features."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from gesta.cli.common import command, console, emit
from gesta.schema import GestaError

if TYPE_CHECKING:
    from gesta.recipes.sequences import SequenceRecipe


def for_features(recipe: str) -> bool:
    """Whether a recipe is one for stored features. Raises GestaError (usage) if there is no such recipe."""
    from gesta.recipes import RecipeError
    from gesta.recipes.load import is_for_features

    try:
        return is_for_features(recipe)
    except RecipeError as error:
        raise GestaError(str(error), usage=True) from error


def _check_features(data: Path, recipe: SequenceRecipe) -> None:
    """Raises GestaError (usage) for a folder without features, with the command that makes those of the recipe."""
    if (data / "features.json").is_file():
        return
    asked = [(f"--{name}", value) for name, value in recipe.features.model_dump().items() if value is not None]
    makes = command("gesta", "features", data, *(word for pair in asked for word in pair), "--out", "FEATURES")
    raise GestaError(
        f"{data}: holds no stored features, and the recipe {recipe.name} learns from them. Make them first, and train "
        f"on FEATURES: {makes}",
        usage=True,
    )


def train_features(
    data: Path,
    recipe: str | None,
    sets: Sequence[str],
    out: Path,
    *,
    seed: int,
    resume: bool,
    device: str,
    json: bool,
    backbone: str | None = None,
    start: Path | None = None,
) -> None:
    """Trains on a folder of gesta features and says what was reached; the bundle is left at out/bundle.

    `recipe`: None is that of the bundle `start`. Raises GestaError.
    """
    from gesta.bundle.io import read_sequence
    from gesta.experiments.begin import sequence_recipe_from
    from gesta.export import sequence as export_sequence
    from gesta.recipes import RecipeError
    from gesta.recipes.load import load_sequence_recipe
    from gesta.training.sequences import METRICS, fit_sequences

    begun = None if start is None else read_sequence(start)
    try:
        if begun is not None:
            chosen = sequence_recipe_from(begun, None if recipe is None else load_sequence_recipe(recipe), sets)
        else:
            assert recipe is not None
            chosen = load_sequence_recipe(recipe, sets)
    except RecipeError as error:
        raise GestaError(str(error), usage=True) from error
    _check_features(data, chosen)
    console.print(
        f"Recipe {chosen.name}: {chosen.title} Results go to {out}.", highlight=False, markup=False, soft_wrap=True
    )
    begin = time.perf_counter()
    fitted = fit_sequences(
        data,
        chosen,
        out,
        seed=seed,
        resume=resume,
        device=device,
        progress=not json,
        backbone=backbone,
        start=begun,
        save=True,
    )
    assert fitted.bundle is not None
    parity = export_sequence.add(fitted.bundle)
    for note in fitted.notes:
        console.print(f"  {note}", highlight=False, markup=False, soft_wrap=True)
    seconds = time.perf_counter() - begin
    found = fitted.metrics
    document = {
        "out": str(out),
        "bundle": str(fitted.bundle),
        "parity": parity.model_dump(mode="json"),
        "recipe": chosen.model_dump(mode="json"),
        "metrics": found,
        "notes": list(fitted.notes),
        "seconds": round(seconds, 1),
    }
    lines = [f"trained   {found['epochs']} epochs in {seconds:.0f} s, best epoch {found['best_epoch']}"]
    for part, name in (("val", "validation"), ("test", "test")):
        if f"{part}_accuracy" in found:
            accuracy, loss, clips = (found[f"{part}_{what}"] for what in ("accuracy", "loss", "clips"))
            lines.append(f"accuracy  {accuracy:.3f}, loss {loss:.3f} on {clips} {name} clips")
        else:
            kept = "; the last epoch is kept" if part == "val" else ""
            lines.append(f"accuracy  not measured: there is no {name} clip{kept}")
    lines.append(
        f"OpenVINO  same top class on {parity.top_class_agreement:.0%} of {parity.clips} random clips, "
        f"largest difference {parity.largest_difference:.1g}"
    )
    lines += [
        f"written   {out / METRICS}",
        f"bundle    {fitted.bundle}",
        f"next      {command('gesta', 'predict', fitted.bundle, 'VIDEO')}",
    ]
    emit(document, Text("\n".join(lines)), json)
