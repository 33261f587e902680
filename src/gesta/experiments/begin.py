"""Beginning from a trained recogniser of clips: its network, its input, a recipe to train on with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gesta.recipes import Recipe
from gesta.recipes.load import changed, changed_sequences
from gesta.recipes.sequences import SequenceRecipe
from gesta.schema import GestaError, Sample

if TYPE_CHECKING:
    from torch import nn

    from gesta.bundle.io import Bundle
    from gesta.bundle.manifest import SequenceManifest
    from gesta.clips.transform import Transform


@dataclass(frozen=True)
class Begun:
    """What to train on: the bundle's network with a last layer for the data's classes, its transform, the recipe."""

    recipe: Recipe
    network: nn.Module
    transform: Transform
    note: str


def recipe_from(bundle: Path, recipe: Recipe | None, sets: Sequence[str]) -> Recipe:
    """Network and input are the bundle's, training and augmentation the recipe's (None: the bundle's, too).

    Raises GestaError (usage) for a change of what belongs to the network, RecipeError for one that does not fit.
    """
    from gesta.bundle import io

    held = [change for change in sets if change.partition(".")[0].strip() in ("model", "input")]
    if held:
        raise GestaError(f"--set {held[0]}: with --from, network and input are the bundle's. Leave it out.", usage=True)
    own = Recipe.model_validate(io.read(bundle).manifest.recipe)
    plain = own.training.model_copy(update={"freeze": None, "rates": None, "pretrain_epochs": 0})
    base = own.model_copy(update={"distillation": None, "training": plain})
    if recipe is not None:
        base = recipe.model_copy(update={"input": own.input, "model": own.model})
    return changed(base, sets)


def from_scratch(recipe: Recipe) -> Recipe:
    """The same without published weights to begin with: C3D then has the colour statistics of its own, too."""
    without = recipe.model.model_copy(update={"weights": None, "motion_weights": None})
    return recipe.model_copy(update={"model": without})


def sequence_recipe_from(
    bundle: Bundle[SequenceManifest], recipe: SequenceRecipe | None, sets: Sequence[str]
) -> SequenceRecipe:
    """As `recipe_from`, of a classifier of stored features: the network is the bundle's. Raises as that does."""
    held = [change for change in sets if change.partition(".")[0].strip() == "model"]
    if held:
        raise GestaError(f"--set {held[0]}: with --from, the network is the bundle's. Leave it out.", usage=True)
    own = SequenceRecipe.model_validate(bundle.manifest.recipe)
    plain = own.training.model_copy(update={"freeze": None, "rates": None})
    base = own.model_copy(update={"training": plain})
    if recipe is not None:
        base = recipe.model_copy(update={"model": own.model})
    return changed_sequences(base, sets)


def begun(bundle: Path, recipe: Recipe, samples: Sequence[Sample], seed: int) -> Begun:
    """The bundle's network, ready for the classes of the training samples; `recipe` as of `recipe_from`.

    Raises GestaError for a bundle without weights or of another kind, and data that lack what the network sees.
    """
    from gesta.bundle import io
    from gesta.runtime.engines.torch import load_network
    from gesta.runtime.inputs import require
    from gesta.training.transfer import take_over

    opened = io.read(bundle)
    train = [s for s in samples if s.split == "train" and s.label is not None]
    for sample in train:
        require(sample, opened.manifest)
    labels = sorted({str(s.label) for s in train})
    network = load_network(opened).requires_grad_(True)
    told = take_over(network, opened.manifest.labels, labels, seed)
    return Begun(recipe, network, opened.manifest.transform, f"From {bundle}, {told}.")
