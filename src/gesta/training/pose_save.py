"""A hand pose network -> a bundle with weights, provenance and what was measured."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import nn

from gesta.bundle import io as bundle_io
from gesta.bundle.manifest import Artifact, PoseManifest, Provenance
from gesta.bundle.people import fingerprint
from gesta.clips.hand_transform import HandTransform
from gesta.recipes import PoseRecipe
from gesta.schema import HandFrame
from gesta.training.checkpoints import network_bytes
from gesta.training.save import describe_machine


def write_pose_bundle(
    folder: Path,
    network: nn.Module,
    *,
    joints: Sequence[str],
    transform: HandTransform,
    recipe: PoseRecipe,
    provenance: Provenance,
    metrics: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> Path:
    """Writes the bundle of a network (trained or not) with its torch weights; exported ones are added to it later."""
    weights = network_bytes(network)
    digest = hashlib.sha256(weights).hexdigest()
    manifest = PoseManifest(
        name=recipe.name,
        joints=tuple(joints),
        transform=transform,
        recipe=recipe.model_dump(mode="json"),
        parameters=sum(p.numel() for p in network.parameters()),
        notes=tuple(notes),
        provenance=provenance,
        metrics=dict(metrics or {}),
        artifacts=(Artifact(role="weights", engine="torch", file=bundle_io.WEIGHTS, sha256=digest),),
    )
    bundle_io.write(folder, manifest, {bundle_io.WEIGHTS: weights})
    return folder


def pose_provenance(
    frames: Sequence[HandFrame],
    *,
    layout: str,
    seed: int = 0,
    skipped: int = 0,
    notes: Sequence[str] = (),
    seconds: float = 0.0,
    accelerator: str = "cpu",
) -> Provenance:
    """Where a model comes from, its frames by id, size and joints; people only as salted hashes. `frames` may be []."""
    used = [f for f in frames if f.split in ("train", "val")]
    people = sorted({f.subject for f in used if f.subject is not None})
    return Provenance(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        gesta=version("gesta"),
        seed=seed,
        layout=layout,
        data_fingerprint=frames_fingerprint([f for f in used if f.split == "train"]),
        people=tuple(fingerprint(person, layout) for person in people),
        clips=dict(sorted(Counter(str(f.split) for f in used).items())),
        skipped=skipped,
        split_notes=tuple(notes),
        seconds=round(seconds, 1),
        machine=describe_machine(accelerator),
    )


def frames_fingerprint(frames: Sequence[HandFrame]) -> str:
    """sha256 over ids, sizes of the depth files and all that is told of a frame: split, camera, unit, centre, joints.

    Tens of thousands of images are not read for it.
    """
    content = hashlib.sha256()
    for frame in sorted(frames, key=lambda f: f.id):
        size = frame.depth.path.stat().st_size if frame.depth.path.is_file() else 0
        content.update(repr((frame.id, size, frame.split, asdict(frame.camera), frame.depth_unit_mm)).encode())
        for points in (frame.center_mm, frame.joints_mm):
            content.update(b"-" if points is None else points.astype("<f4").tobytes())
    return content.hexdigest()
