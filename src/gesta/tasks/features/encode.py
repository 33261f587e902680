"""Vectors of recordings that are no backbone's: a skeleton's joints, a model's states. Stored as features are."""

from __future__ import annotations

import time
from pathlib import Path

from gesta.clips.preprocess import unreadable
from gesta.schema import GestaError, Listing, bytes_of
from gesta.tasks.encoders import Encode
from gesta.tasks.feature_store import FeatureRecipe, claim, write_index, write_shard
from gesta.tasks.features.extract import SHARD_VIDEOS, Progress, Settings, Work, mine
from gesta.tasks.features.extraction import Summary


def encode_all(
    listing: Listing, out: Path, recipe: FeatureRecipe, encode: Encode, progress: Progress | None = None
) -> Summary:
    """Vectors of all samples into `out`, in this process. A stopped run goes on where it was.

    Raises GestaError where the folder holds other features or a damaged shard. Broken recordings are listed.
    """
    claim(out, recipe, listing.layout)
    samples, begun = list(listing.samples), time.perf_counter()
    todo = mine(samples, out, recipe, Settings())
    work = Work(kept=len(samples) - len(todo))
    for first in range(0, len(todo), SHARD_VIDEOS):
        found, sizes = {}, {}
        for sample in todo[first : first + SHARD_VIDEOS]:
            try:
                found[sample.id] = encode(sample)
            except GestaError as error:
                work.skipped.append(unreadable(sample, error))
                continue
            sizes[sample.id] = bytes_of(sample)
            work.features += len(found[sample.id])
        if found:
            write_shard(out, "0000", found, recipe, sizes)
        work.videos += len(found)
        if progress:
            progress(work.kept + min(first + SHARD_VIDEOS, len(todo)), len(samples))
    work.seconds = time.perf_counter() - begun
    return Summary(out, recipe.backbone, write_index(out, samples, recipe, work.skipped), (work,))
