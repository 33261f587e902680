"""`gesta train FEATURES`: a classifier of stored features."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from gesta.cli.common import console, emit
from gesta.schema import GestaError


def for_features(recipe: str) -> bool:
    """Whether a recipe is one for stored features. Raises GestaError (usage) if there is no such recipe."""
    from gesta.recipes import RecipeError
    from gesta.recipes.load import is_for_features

    try:
        return is_for_features(recipe)
    except RecipeError as error:
        raise GestaError(str(error), usage=True) from error


def train_features(
    data: Path, recipe: str, sets: Sequence[str], out: Path, *, seed: int, resume: bool, device: str, json: bool
) -> None:
    """Trains on a folder of gesta features and says what was reached."""
    from gesta.recipes import RecipeError
    from gesta.recipes.load import load_sequence_recipe
    from gesta.training.sequences import METRICS, fit_sequences

    try:
        chosen = load_sequence_recipe(recipe, sets)
    except RecipeError as error:
        raise GestaError(str(error), usage=True) from error
    console.print(f"Recipe {chosen.name}: {chosen.title} Results go to {out}.", highlight=False, markup=False)
    start = time.perf_counter()
    fitted = fit_sequences(data, chosen, out, seed=seed, resume=resume, device=device, progress=not json)
    for note in fitted.notes:
        console.print(f"  {note}", highlight=False, markup=False, soft_wrap=True)
    seconds = time.perf_counter() - start
    found = fitted.metrics
    document = {
        "out": str(out),
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
    lines.append(f"written   {out / METRICS}")
    emit(document, Text("\n".join(lines)), json)
