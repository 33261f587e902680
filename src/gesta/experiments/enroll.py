"""Adding classes to a trained bundle without training; the new bundle is exported like that of a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gesta.bundle import io
from gesta.bundle.manifest import Artifact
from gesta.exporting.run import add
from gesta.schema import GestaError, usable
from gesta.tasks import catalog
from gesta.tasks.base import need
from gesta.training.checkpoints import network_bytes


def enroll(
    bundle: Path, data: Path, out: Path, layout: str | None = None, *, overwrite: bool = False, progress: bool = False
) -> dict[str, Any]:
    """Adds the classes of the data and writes the bundle to `out`. Returns bundle, classes, clips, skipped, parity.

    Raises GestaError if the task or network does not support adding classes, the bundle already knows a class, the
    data lack required inputs, or `out` already exists.
    """
    task, source = catalog.of_bundle(bundle)
    take = need(task, "enroll", "Enrolling classes")
    if out.exists() and out.resolve() == source.path.resolve():
        raise GestaError(f"{out}: is the bundle itself. Choose another --out.", usage=True)
    if (out / io.MANIFEST).exists() and not overwrite:
        raise GestaError(f"{out}: contains a bundle. Choose another --out, or replace it: --overwrite.", usage=True)
    listing = usable(task.read(data, layout))
    network, manifest, skipped = take(source, listing.samples, listing.layout, progress)
    weights = network_bytes(network)
    artifact = Artifact(role="weights", engine="torch", file=io.WEIGHTS, sha256=io.digest(weights))
    written = io.write(out, manifest.with_artifacts((artifact,)), {io.WEIGHTS: weights})
    labeled = [s for s in listing.samples if s.label is not None]
    shown = task.examples(manifest, labeled, 32, "training")
    agreements = add(written.path, shown)
    return {
        "bundle": str(out),
        "classes": list(manifest.labels),
        "new": list(manifest.labels[len(source.manifest.labels) :]),
        "clips": len(labeled) - len(skipped),
        "parity": max(agreements, key=lambda one: one.difference).document,
        "skipped": [{"path": p.path, "kind": p.kind, "reason": p.reason} for p in (*listing.problems, *skipped)],
    }
