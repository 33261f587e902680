"""Fine-tune the weights of a bundle, e.g. after pruning: weights removed by a mask stay zero."""

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
from gesta.schema import HandListing
from gesta.tasks.base import Parts
from gesta.tasks.hands.fit import fit
from gesta.tasks.hands.manifest import HandManifest
from gesta.tasks.hands.network import load_network
from gesta.tasks.hands.recipe import HandRecipe
from gesta.training.callbacks import HoldZeros
from gesta.training.run import Run


def fine_tune(
    source: Bundle[HandManifest],
    weights: Mapping[str, NDArray[Any]],
    masks: Mapping[str, NDArray[np.bool_]],
    parts: Parts,
    changes: Sequence[str],
    run: Run,
) -> dict[str, NDArray[Any]]:
    """Train the source's network further from `weights`, with the bundle's recipe and `changes` as for `--set`.

    Raises GestaError if the frames have other joints, RecipeError if the changes are invalid.
    """
    recipe = changed(
        HandRecipe.model_validate(source.manifest.recipe), ("training.patience=null", "detector=false", *changes)
    )
    network = load_network(source).requires_grad_(True)
    network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in weights.items()})
    assert isinstance(parts.listing, HandListing)
    listing = replace(parts.listing, joint_names=source.manifest.joints)
    with tempfile.TemporaryDirectory() as scratch:
        run = replace(run, out=Path(scratch))
        result = fit(listing, recipe, run, callbacks=[HoldZeros(network, masks)], network=network)
        return io.load_weights(io.read(result.bundle, HandManifest))
