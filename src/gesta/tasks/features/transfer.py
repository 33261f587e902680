"""Recipes for continuing to train a classifier of stored features."""

from __future__ import annotations

from collections.abc import Sequence

from gesta.bundle.io import Bundle
from gesta.recipes import changed
from gesta.schema import GestaError
from gesta.tasks.features.manifest import FeatureManifest
from gesta.tasks.features.recipe import FeatureClassifierRecipe


def recipe_from(
    bundle: Bundle[FeatureManifest], recipe: FeatureClassifierRecipe | None, sets: Sequence[str]
) -> FeatureClassifierRecipe:
    """Combine the bundle's network with the recipe's training (None: the bundle's training, too).

    Raises GestaError (usage) for a change to the network's settings, and RecipeError for one that does not fit.
    """
    held = [change for change in sets if change.partition(".")[0].strip() == "model"]
    if held:
        raise GestaError(f"--set {held[0]}: with --from, the network is the bundle's. Leave it out.", usage=True)
    own = FeatureClassifierRecipe.model_validate(bundle.manifest.recipe)
    plain = own.training.model_copy(update={"freeze": None, "rates": None})
    base = own.model_copy(update={"training": plain})
    if recipe is not None:
        base = recipe.model_copy(update={"model": own.model})
    return changed(base, sets)
