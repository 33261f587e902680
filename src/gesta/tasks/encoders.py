"""Encoders of recordings as vector sequences: skeletons, or a model whose task has the ability `embed`.

A FeatureRecipe describes the features that a model was trained on; `encoder_of` finds their encoder again. A task with
`embed(predictor, sample) -> float32 [T, D]` also has `embeds(manifest) -> FeatureRecipe`, which identifies its vectors.
A task with `class_probabilities(predictor, sample) -> float32 [T, N]` offers these as vectors, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gesta.bundle.manifest import Manifest
from gesta.clips.skeleton_features import EVERY, NAME, skeleton_features
from gesta.engines.base import Placement
from gesta.schema import GestaError, Sample
from gesta.tasks import catalog
from gesta.tasks.base import need
from gesta.tasks.feature_store import FeatureRecipe

Encode = Callable[[Sample], NDArray[np.float32]]
"""Recording -> vectors [T, D]. Raises GestaError if it cannot be read."""


JOINTS, MOVING_JOINTS = "joints", "joints and movement"
"""Stages of the skeleton encoder; features of the first are those of earlier versions."""
STATES, PROBABILITIES = "states", "probabilities"
"""Stages of a model: its own states, or its probabilities of the classes, which it also predicts with."""


def skeleton_encoder(every: int | None = None, stage: str = MOVING_JOINTS) -> tuple[FeatureRecipe, Encode]:
    """Uses the joints themselves, `every` frames per vector."""
    count = every or EVERY
    recipe = FeatureRecipe(NAME, "", stage, True, 1, None, count, count)
    return recipe, lambda sample: skeleton_features(sample, count, stage == MOVING_JOINTS)


def model_encoder(
    path: Path | str, at: Placement = Placement(), stage: str | None = None
) -> tuple[FeatureRecipe, Encode]:
    """Uses a model's states, or its PROBABILITIES.

    Raises GestaError if there is no such bundle or its task has no such vectors, and (usage) for another stage.
    """
    if stage not in (None, STATES, PROBABILITIES):
        raise GestaError(f"--stage {stage}: with --model, choose {STATES} or {PROBABILITIES}.", usage=True)
    task, bundle = catalog.of_bundle(path)
    ability = "class_probabilities" if stage == PROBABILITIES else "embed"
    what = (
        "class probabilities, which recognizers of clips have," if stage == PROBABILITIES else "vectors of recordings"
    )
    embed = need(task, ability, f"{path}: {what}")
    recipe = states_of(bundle.manifest) if stage == PROBABILITIES else task.embeds(bundle.manifest)  # type: ignore[attr-defined]
    predictor = task.load(bundle, at)
    return replace(recipe, stage=stage) if stage == PROBABILITIES else recipe, lambda sample: embed(predictor, sample)


def encoder_of(recipe: FeatureRecipe, model: Path | str | None, at: Placement = Placement()) -> Encode:
    """Returns the encoder that computes features of this recipe. `model`: the bundle that computed them, if any.

    Raises GestaError (usage) if a bundle is needed and none is given, and GestaError if it computes other features.
    """
    if recipe.backbone == NAME:
        return skeleton_encoder(recipe.every, recipe.stage)[1]
    if model is None:
        raise GestaError(
            f"The model takes features of {recipe.backbone} ({recipe.stage}). Give a folder of them (gesta features), "
            "or the bundle that computes them: --backbone-weights BUNDLE.",
            usage=True,
        )
    found, encode = model_encoder(model, at, PROBABILITIES if recipe.stage == PROBABILITIES else None)
    if differ := found.differences(recipe):
        raise GestaError(f"{model}: computes other features than the model was trained on: {'; '.join(differ)}.")
    return encode


def states_of(manifest: Manifest) -> FeatureRecipe:
    """Describes embeddings by a model's own states. It is identified by its training, so exports are the same."""
    training = hashlib.sha256(manifest.provenance.model_dump_json().encode()).hexdigest()
    return FeatureRecipe(manifest.name, training, STATES, True, 1, None, None)
