"""A trained classifier of stored features -> a bundle: a chain of the frozen backbone and the classifier."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import nn

from gesta.bundle import io as bundle_io
from gesta.bundle.manifest import Artifact, BackboneUse, Provenance, SequenceManifest
from gesta.bundle.people import fingerprint
from gesta.features.backbones import Extractor, extractor
from gesta.features.store import FeatureFolder
from gesta.models.sequence import SequenceNet
from gesta.recipes.sequences import SequenceRecipe
from gesta.schema import GestaError, Sample
from gesta.training.checkpoints import network_bytes
from gesta.training.save import describe_machine

BACKBONE = "backbone.safetensors"
EMBED_BYTES = 128 * 1024**2
"""A backbone with more bytes of weights is named by its hash and not embedded: C3D, not ResNet-50 or Inception-v3."""


def backbone_for(folder: FeatureFolder, weights: str | None) -> tuple[Extractor | None, str | None]:
    """(the backbone that the features were made with, or None; a note on why it is not there).

    `weights`: as of `gesta features --weights`; None: where that command took them. Raises GestaError where weights
    that were given are not the features'.
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
        f"{source} holds other weights ({ready.weights[:12]}) than the features were made with ({recipe.weights[:12]})"
    )
    if weights is not None:
        raise GestaError(f"--backbone-weights: {said}. Give the file that gesta features was run with.")
    return None, f"the backbone {recipe.backbone} is not in the bundle: {said}"


def write_sequence_bundle(
    folder: Path,
    network: SequenceNet,
    *,
    labels: Sequence[str],
    recipe: SequenceRecipe,
    features: FeatureFolder,
    width: int,
    provenance: Provenance,
    metrics: Mapping[str, Any],
    backbone: Extractor | None,
    notes: Sequence[str] = (),
) -> Path:
    """Writes the bundle with PyTorch weights; the backbone's too, unless there are none or more than EMBED_BYTES."""
    used, remarks = features.recipe, list(notes)
    files = {bundle_io.WEIGHTS: network_bytes(network)}
    if backbone is not None:
        inner = backbone.module.network
        assert isinstance(inner, nn.Module)
        size = sum(tensor.numel() * tensor.element_size() for tensor in inner.state_dict().values())
        if size <= EMBED_BYTES:
            files[BACKBONE] = network_bytes(inner)
        else:
            remarks.append(f"the backbone {used.backbone} is not in the bundle: {size:,} bytes, too large to embed")
    stages = {bundle_io.WEIGHTS: "head", BACKBONE: "backbone"}
    artifacts = tuple(
        Artifact(role="weights", engine="torch", file=name, sha256=bundle_io.digest(data), stage=stages[name])
        for name, data in files.items()
    )
    manifest = SequenceManifest(
        name=recipe.name,
        labels=tuple(labels),
        backbone=BackboneUse(
            name=used.backbone,
            weights=used.weights,
            stage=used.stage,
            size=used.size,
            frames=used.frames,
            every=used.every,
            window=used.window,
            features=width,
        ),
        recipe=recipe.model_dump(mode="json"),
        parameters=sum(p.numel() for p in network.parameters()),
        notes=tuple(remarks),
        provenance=provenance,
        metrics={k: v for k, v in metrics.items() if isinstance(v, int | float)},
        artifacts=artifacts,
    )
    bundle_io.write(folder, manifest, files)
    return folder


def sequence_provenance(
    folder: FeatureFolder, samples: Sequence[Sample], *, seed: int, notes: Sequence[str], seconds: float, device: str
) -> Provenance:
    """Where the classifier comes from; the data's fingerprint is that of the features and the training videos' ids."""
    used = [s for s in samples if s.split in ("train", "val") and s.label is not None]
    train = sorted(f"{s.id} {s.label}" for s in used if s.split == "train")
    people = sorted({s.subject for s in used if s.subject is not None})
    return Provenance(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        gesta=version("gesta"),
        seed=seed,
        layout=folder.layout,
        data_fingerprint=hashlib.sha256("\n".join([folder.recipe.key, *train]).encode()).hexdigest(),
        people=tuple(fingerprint(person, folder.layout) for person in people),
        clips=dict(sorted(Counter(str(s.split) for s in used).items())),
        split_notes=tuple(notes),
        seconds=round(seconds, 1),
        machine=describe_machine(device),
    )
