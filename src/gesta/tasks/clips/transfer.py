"""Transfer learning from a trained clip recognizer: its network, its input, and a recipe to continue with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gesta.bundle import io
from gesta.recipes import changed
from gesta.schema import GestaError, Sample
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.passages import classes_of
from gesta.tasks.clips.recipe import ClipRecipe

if TYPE_CHECKING:
    from gesta.tasks.clips.learn import Warm


def recipe_from(bundle: Path, recipe: ClipRecipe | None, sets: Sequence[str]) -> ClipRecipe:
    """Combines the bundle's network and input with the recipe's training and augmentation (None: the bundle's).

    Raises GestaError (usage) for a change of network or input, RecipeError for an invalid change.
    """
    held = [change for change in sets if change.partition(".")[0].strip() in ("model", "input")]
    if held:
        raise GestaError(f"--set {held[0]}: with --from, network and input are the bundle's. Leave it out.", usage=True)
    own = ClipRecipe.model_validate(io.read(bundle, ClipManifest).manifest.recipe)
    if own.model.name != "nearest":
        own = own.model_copy(update={"model": own.model.model_copy(update={"examples": None}), "deliver": None})
    plain = own.training.model_copy(update={"freeze": None, "rates": None, "pretrain_epochs": 0})
    base = own.model_copy(update={"distillation": None, "training": plain})
    if recipe is not None:
        base = recipe.model_copy(update={"input": own.input, "model": own.model})
    return changed(base, sets)


def from_scratch(recipe: ClipRecipe) -> ClipRecipe:
    """Returns the recipe without pretrained weights; C3D then also has color statistics of its own."""
    without = recipe.model.model_copy(update={"weights": None, "motion_weights": None})
    return recipe.model_copy(update={"model": without})


def warm_start(
    path: Path, samples: Sequence[Sample], seed: int, continuous: bool = False
) -> tuple[Warm, tuple[str, ...]]:
    """Returns a bundle's network, adapted to the training samples' classes, with its transform; and notes.

    Raises GestaError for a bundle without weights or of another task, and data that lacks what the network needs.
    """
    from gesta.models.nearest_vote import NearestVote
    from gesta.tasks.clips.inputs import require
    from gesta.tasks.clips.learn import Warm
    from gesta.tasks.clips.network import load_network
    from gesta.training.transfer import transfer_weights

    opened = io.read(path, ClipManifest)
    train = [s for s in samples if s.split == "train" and s.label is not None]
    for sample in train:
        require(sample, opened.manifest)
    labels = list(classes_of(samples, continuous))
    if opened.manifest.recipe.get("model", {}).get("name") == "nearest":
        raise GestaError(
            f"{path} compares with its training clips and has no network to start from. Leave --from out.", usage=True
        )
    network = load_network(opened)
    if isinstance(network, NearestVote):
        network = network.network
    network.requires_grad_(True)
    told = transfer_weights(network, opened.manifest.labels, labels, seed)
    return Warm(network, opened.manifest.transform), (f"From {path}, {told}.",)
