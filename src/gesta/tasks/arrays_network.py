"""Network of an array classifier, for inference and export."""

from __future__ import annotations

from typing import Any

import torch

from gesta.bundle.io import Bundle, load_weights
from gesta.bundle.manifest import Tensor
from gesta.engines.part import Part
from gesta.engines.torch import fitting, loaded


def parts(task: Any, bundle: Bundle[Any]) -> list[Part]:
    """Returns the network of the bundle's recipe with its weights. Raises GestaError if they do not match."""
    manifest = bundle.manifest
    shape, classes = manifest.shape, len(manifest.labels)
    with fitting(bundle):
        recipe = task.recipe.model_validate(manifest.recipe)
        network = loaded(task.network(recipe, shape, classes), load_weights(bundle))
    array = Tensor(name="array", dtype="float32", shape=(-1, *shape))
    logits = Tensor(name="logits", dtype="float32", shape=(-1, classes))
    return [Part("whole", network, (torch.zeros(2, *shape),), (array,), (logits,))]
