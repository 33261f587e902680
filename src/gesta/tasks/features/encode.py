"""Vectors of recordings that do not come from a backbone (skeleton joints, model states), stored like features."""

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
    """Encode all samples into `out`, in this process or on the active cluster.

    Workers of a cluster rebuild `encode` from `encoder`: model, every, stage and at. An interrupted run resumes where
    it stopped. Raises GestaError if the folder holds other features or a damaged shard. Broken recordings are listed in
    the result.
    """
    claim(out, recipe, listing.layout)
    samples = list(listing.samples)
    if on_cluster():
        work = on_workers(samples, out, recipe, "encoded_block", encoder, progress)
    else:
        work = encode_into(samples, out, recipe, encode, Settings(), progress)
    return Summary(out, recipe.backbone, write_index(out, samples, recipe, work.skipped), (work,))
