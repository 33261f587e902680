"""The networks of a classifier of stored features, as they are run and exported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from gesta.bundle.io import Bundle, load_weights
from gesta.bundle.manifest import Tensor
from gesta.engines.part import Part
from gesta.engines.torch import fitting, loaded
from gesta.models.catalog import build_sequence
from gesta.schema import GestaError
from gesta.tasks.features.backbone_source import backbone_of
from gesta.tasks.features.backbones import Extractor, extractor, from_tensors
from gesta.tasks.features.manifest import FeatureManifest

Source = Bundle[FeatureManifest] | Path | str
"""Source of a backbone: a bundle that holds it, a weight file, or random:SEED."""


def load_head(bundle: Bundle[FeatureManifest]) -> nn.Module:
    """Return the classifier in eval mode on the CPU. Raises GestaError if the weights do not fit its recipe."""
    manifest = bundle.manifest
    with fitting(bundle):
        model = manifest.recipe.get("model", {})
        network = build_sequence(features=manifest.backbone.features, classes=len(manifest.labels), **model)
        return loaded(network, load_weights(bundle, "head"))


def load_backbone(bundle: Bundle[FeatureManifest], source: Source) -> Extractor:
    """Load the backbone named by the bundle from a bundle that holds it, a file, or random:SEED.

    Raises GestaError if the weights are missing or differ from those the model was trained with.
    """
    used = bundle.manifest.backbone
    exact = True
    if isinstance(source, Bundle):
        artifact = source.find("weights", "torch", stage="backbone")
        exact = artifact is None or artifact.precision == "fp32"  # rounded weights have a different hash
        weights = {name: torch.from_numpy(array) for name, array in load_weights(source, "backbone").items()}
        where = str(source.path)
        ready = from_tensors(used.name, weights, where, stage=used.stage, size=used.size)
    else:
        where = str(source)
        ready = extractor(used.name, where, stage=used.stage, size=used.size)
    if exact and ready.weights != used.weights:
        raise GestaError(
            f"{where}: contains other weights of {used.name} ({ready.weights[:12]}) than the model "
            f"{bundle.manifest.name!r} was trained with ({used.weights[:12]}). Give the file that its features were "
            "computed with."
        )
    return ready


def parts(bundle: Bundle[FeatureManifest], source: Source | None) -> list[Part]:
    """Return the classifier and, if it has a source, the backbone. Batch size and length are dynamic (-1)."""
    used, classes = bundle.manifest.backbone, len(bundle.manifest.labels)
    feature = Tensor(name="features", dtype="float32", shape=(-1, -1, used.features))
    lengths = Tensor(name="lengths", dtype="int64", shape=(-1,))
    logits = Tensor(name="logits", dtype="float32", shape=(-1, classes))
    example = (torch.zeros(2, 5, used.features), torch.tensor([5, 4]))
    found = [Part("whole", load_head(bundle), example, (feature, lengths), (logits,), stage="head")]
    if source is not None:
        backbone: nn.Module = load_backbone(bundle, source).module
        frames = Tensor(name="frames", dtype="uint8", shape=(-1, *used.shape))
        given = Tensor(name="features", dtype="float32", shape=(-1, used.features))
        images = torch.zeros(2, *used.shape, dtype=torch.uint8)
        found.append(Part("whole", backbone, (images,), (frames,), (given,), stage="backbone"))
    return found


def weights(bundle: Bundle[FeatureManifest], source: str | Path | None) -> dict[str, Mapping[str, NDArray[Any]]]:
    """Return the weights by stage and name. Raises GestaError if the backbone cannot be found."""
    inner = load_backbone(bundle, backbone_of(bundle, source)).module.network
    assert isinstance(inner, nn.Module)
    backbone = {name: tensor.numpy() for name, tensor in inner.state_dict().items()}
    return {"head": load_weights(bundle, "head"), "backbone": backbone}
