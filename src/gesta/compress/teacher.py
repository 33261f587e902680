"""Teachers for distillation: trained bundles, opened for `gesta.training.fit.fit`."""

from __future__ import annotations

from pathlib import Path

from gesta.bundle import io
from gesta.recipes import Recipe
from gesta.runtime.engines.torch import load_network
from gesta.schema import GestaError
from gesta.training.distil import Teacher


def open_teacher(path: Path | str) -> Teacher:
    """A trained classifier of any kind as a teacher. Raises GestaError if there is no bundle with weights."""
    bundle = io.read(path)
    return Teacher(str(path), load_network(bundle), bundle.manifest.labels, bundle.manifest.transform)


def teachers_of(recipe: Recipe) -> tuple[Teacher, ...]:
    """The teachers that a recipe names, none where it has no distillation.

    Raises GestaError (usage) where it should name one and does not.
    """
    if recipe.distillation is None:
        return ()
    if not recipe.distillation.teachers:
        message = f"recipe {recipe.name} learns from a teacher and names none. Give a trained bundle: "
        raise GestaError(message + "--set teacher=BUNDLE (repeat it for several).", usage=True)
    return tuple(open_teacher(path) for path in recipe.distillation.teachers)
