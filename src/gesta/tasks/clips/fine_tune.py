"""Continues training from a bundle's weights, e.g. after pruning: masked weights stay zero."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gesta.bundle import io
from gesta.bundle.io import Bundle
from gesta.recipes import changed
from gesta.schema import GestaError
from gesta.tasks.base import Parts
from gesta.tasks.clips.distil import teachers_of
from gesta.tasks.clips.facts import transform_for
from gesta.tasks.clips.fit import Cache, fit
from gesta.tasks.clips.learn import Warm
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.network import load_network
from gesta.tasks.clips.passages import classes_of
from gesta.tasks.clips.recipe import ClipRecipe
from gesta.training.callbacks import HoldZeros
from gesta.training.run import Run

Weights = Mapping[str, NDArray[Any]]


def fine_tune(
    source: Bundle[ClipManifest],
    weights: Weights,
    masks: Mapping[str, NDArray[np.bool_]],
    parts: Parts,
    changes: Sequence[str],
    run: Run,
    cache: Cache | None = None,
) -> dict[str, NDArray[Any]]:
    """Continues training the source's network from these weights by its own recipe, with changes as in `--set`.

    Raises GestaError if the samples have other classes than the bundle, or the recipe another transform.
    """
    manifest, recipe = source.manifest, recipe_of(source, changes)
    samples = parts.listing.samples
    found = classes_of(samples, recipe.continuous is not None)
    if found != manifest.labels:
        odd = sorted(set(found) ^ set(manifest.labels))
        raise GestaError(
            f"{source.path}: fine-tuning needs training recordings of exactly the bundle's classes; they differ in "
            f"{', '.join(odd[:5]) or 'their order'}."
        )
    if transform_for(recipe, samples) != manifest.transform:
        raise GestaError(
            f"{source.path}: its recipe does not lead to the bundle's transform, so training cannot continue from it."
        )
    network = load_network(source).requires_grad_(True)
    network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in weights.items()})
    with tempfile.TemporaryDirectory() as scratch:
        result = fit(
            samples,
            recipe,
            replace(run, out=Path(scratch)),
            layout=parts.listing.layout,
            cache=cache,
            warm=Warm(network),
            teachers=teachers_of(recipe),
            callbacks=[HoldZeros(network, masks)],
        )
        return io.load_weights(io.read(result.bundle, ClipManifest))


def recipe_of(source: Bundle[ClipManifest], changes: Sequence[str] = ()) -> ClipRecipe:
    """Returns the bundle's own recipe, without pre-training and teacher, with changes. Raises RecipeError."""
    document = {k: v for k, v in source.manifest.recipe.items() if k != "distillation"}
    settings = ("training.patience=null", "training.pretrain_epochs=0", *changes)
    return changed(ClipRecipe.model_validate(document), settings)
