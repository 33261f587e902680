"""Save a trained classifier of stored features as a bundle with the frozen backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from gesta.schema import GestaError, Sample
from gesta.tasks.feature_store import FeatureFolder, identities
from gesta.tasks.features.backbones import Extractor, extractor
from gesta.tasks.features.manifest import BackboneUse, FeatureManifest
from gesta.tasks.features.recipe import FeatureClassifierRecipe
from gesta.training.run import Run
from gesta.training.save import provenance_of, write_bundle

EMBED_BYTES = 128 * 1024**2
"""A backbone with larger weights is referenced by its hash (C3D); ResNet-50 and Inception-v3 are embedded."""


def backbone_for(folder: FeatureFolder, weights: str | None) -> tuple[Extractor | None, str | None]:
    """Return (the backbone that the features were made with or None, a note on why it is missing or None).

    `weights`: as in `gesta features --weights`; None: the source recorded by that command. Raises GestaError if
    explicitly given weights differ from those of the features.
    """
    recipe, source = folder.recipe, weights or folder.source
    if source is None:
        return None, f"the backbone {recipe.backbone} is not in the bundle: no --backbone-weights were given"
    given = None if source == "official" else source
    try:
        ready = extractor(recipe.backbone, given, stage=recipe.stage, size=recipe.size)
    except GestaError as error:
        if weights is not None:
            raise
        return None, f"the backbone {recipe.backbone} is not in the bundle: {error}"
    if ready.weights == recipe.weights:
        return ready, None
    said = (
        f"{source} contains other weights ({ready.weights[:12]}) than the features were computed with "
        f"({recipe.weights[:12]})"
    )
    if weights is not None:
        raise GestaError(f"--backbone-weights: {said}. Give the file that gesta features was run with.")
    return None, f"the backbone {recipe.backbone} is not in the bundle: {said}"


def write_features_bundle(
    run: Run,
    network: nn.Module,
    recipe: FeatureClassifierRecipe,
    features: FeatureFolder,
    samples: Sequence[Sample],
    metrics: Mapping[str, Any],
    held: tuple[Extractor | None, str | None],
    seconds: float,
) -> None:
    """Write the bundle with PyTorch weights, including the backbone's if available and at most EMBED_BYTES.

    `held`: the result of `backbone_for`.
    """
    backbone, missing = held
    notes = [] if missing is None else [missing]
    others: dict[str, nn.Module] = {}
    if backbone is not None:
        inner = backbone.module.network
        assert isinstance(inner, nn.Module)
        size = sum(tensor.numel() * tensor.element_size() for tensor in inner.state_dict().values())
        if size <= EMBED_BYTES:
            others["backbone"] = inner
        else:
            notes.append(
                f"the backbone {features.recipe.backbone} is not in the bundle: {size:,} bytes, too large to embed"
            )
    used = [s for s in samples if s.label is not None]
    train = sorted(f"{s.id} {s.label}" for s in used if s.split == "train")
    labels = tuple(sorted({str(s.label) for s in used if s.split == "train"}))
    data = "\n".join([features.recipe.key, *train]).encode()
    known: dict[str, Any] = {"layout": features.layout, "data": data, "identities": identities}
    origin = provenance_of(used, run, **known, skipped=len(features.skipped), seconds=seconds)
    made = features.recipe
    backbone_use = BackboneUse(
        name=made.backbone,
        weights=made.weights,
        stage=made.stage,
        size=made.size,
        frames=made.frames,
        every=made.every,
        window=made.window,
        letterbox=made.letterbox,
        features=features.load(used[0].id).shape[1],
    )
    write_bundle(
        run.out / "bundle",
        FeatureManifest,
        network,
        recipe,
        origin,
        stage="head",
        others=others,
        metrics={k: v for k, v in metrics.items() if isinstance(v, int | float)},
        notes=notes,
        labels=labels,
        backbone=backbone_use,
    )
