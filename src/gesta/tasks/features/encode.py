"""Vectors of recordings that are no backbone's: a skeleton's joints, a model's states. Stored as features are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gesta.jobs.pool import on_cluster
from gesta.schema import Listing
from gesta.tasks.encoders import Encode
from gesta.tasks.feature_store import FeatureRecipe, claim, write_index
from gesta.tasks.features.blocks import encode_into, on_workers
from gesta.tasks.features.extract import Progress, Settings
from gesta.tasks.features.extraction import Summary


def encode_all(
    listing: Listing, out: Path, recipe: FeatureRecipe, encode: Encode, progress: Progress | None = None, **encoder: Any
) -> Summary:
    """Vectors of all samples into `out`, in this process or on the cluster that is at work, whose workers make `encode`
    anew by `encoder`: model, every and at. A stopped run goes on where it was.

    Raises GestaError where the folder holds other features or a damaged shard. Broken recordings are listed.
    """
    claim(out, recipe, listing.layout)
    samples = list(listing.samples)
    if on_cluster():
        work = on_workers(samples, out, recipe, "encoded_block", encoder, progress)
    else:
        work = encode_into(samples, out, recipe, encode, Settings(), progress)
    return Summary(out, recipe.backbone, write_index(out, samples, recipe, work.skipped), (work,))
