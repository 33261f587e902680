"""A trained network -> a bundle with weights, provenance and what was measured."""

from __future__ import annotations

import hashlib
import os
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from gesta.bundle import io as bundle_io
from gesta.bundle.manifest import Artifact, Manifest, Provenance
from gesta.bundle.people import fingerprint
from gesta.clips.transform import Transform
from gesta.recipes import Recipe
from gesta.schema import Sample
from gesta.training.checkpoints import network_bytes


class Fingerprints(Protocol):
    def fingerprint(self, sample: Sample) -> str: ...


def provenance_of(
    samples: Sequence[Sample],
    cache: Fingerprints,
    *,
    layout: str,
    seed: int,
    skipped: int,
    notes: Sequence[str],
    seconds: float,
    accelerator: str,
) -> Provenance:
    """Where a model comes from; people only as salted hashes, of those it was trained or chosen on."""
    used = [s for s in samples if s.split in ("train", "val")]
    train = sorted(cache.fingerprint(s) for s in used if s.split == "train")
    people = sorted({s.subject for s in used if s.subject is not None})
    return Provenance(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        gesta=version("gesta"),
        seed=seed,
        layout=layout,
        data_fingerprint=hashlib.sha256("".join(train).encode()).hexdigest(),
        people=tuple(fingerprint(person, layout) for person in people),
        clips=dict(sorted(Counter(str(s.split) for s in used).items())),
        skipped=skipped,
        split_notes=tuple(notes),
        seconds=round(seconds, 1),
        machine=describe_machine(accelerator),
    )


def describe_machine(accelerator: str) -> str:
    """System, processor or GPU, and PyTorch's version, in one line."""
    where = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"
    if accelerator == "cuda":
        where = torch.cuda.get_device_name()
    return f"{platform.system()} {platform.machine()}, {where}, torch {torch.__version__}"


def write_bundle(
    folder: Path,
    network: nn.Module,
    *,
    labels: Sequence[str],
    transform: Transform,
    recipe: Recipe,
    provenance: Provenance,
    metrics: Mapping[str, Any],
    notes: Sequence[str],
) -> Path:
    """Writes the bundle with the torch weights; exported networks are added to it by gesta.export."""
    weights = network_bytes(network)
    artifact = Artifact(
        role="weights", engine="torch", file=bundle_io.WEIGHTS, sha256=hashlib.sha256(weights).hexdigest()
    )
    manifest = Manifest(
        name=recipe.name,
        labels=tuple(labels),
        transform=transform,
        recipe=recipe.model_dump(mode="json"),
        parameters=sum(p.numel() for p in network.parameters()),
        notes=tuple(notes),
        provenance=provenance,
        metrics=dict(metrics),
        artifacts=(artifact,),
    )
    bundle_io.write(folder, manifest, {bundle_io.WEIGHTS: weights})
    return folder
