"""Compute features on the workers of a cluster: each job is a block of videos and writes its own shard."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gesta.clips.preprocess import unreadable
from gesta.engines.base import Placement
from gesta.jobs.job import Job, key_of
from gesta.jobs.pool import outcomes
from gesta.schema import GestaError, Sample, bytes_of
from gesta.tasks.encoders import Encode, model_encoder, skeleton_encoder
from gesta.tasks.feature_store import FeatureRecipe, shards, write_shard
from gesta.tasks.features.backbones import describe, extractor
from gesta.tasks.features.engines import Engine, engine_for
from gesta.tasks.features.extract import SHARD_VIDEOS, Progress, Settings, Work, document_of, extract, missing, work_of

OFFICIAL = "official"


def on_workers(
    samples: Sequence[Sample],
    folder: Path,
    recipe: FeatureRecipe,
    function: str,
    arguments: Mapping[str, Any],
    progress: Progress | None = None,
) -> Work:
    """Compute the missing features block by block, calling `function` of this module with `arguments`.

    Returns the combined work of all blocks, with `seconds` in wall-clock time. Raises GestaError as `shards` does, and
    if a block fails, once the others are done.
    """
    begun, held = time.perf_counter(), shards(folder, recipe, samples)
    jobs = []
    for number, first in enumerate(range(0, len(samples), SHARD_VIDEOS)):
        todo = [sample for sample in samples[first : first + SHARD_VIDEOS] if sample.id not in held]
        if todo:
            own = {"samples": todo, "folder": folder, "recipe": recipe, "block": f"{number:04d}", **arguments}
            key = key_of("features", recipe.key, [sample.id for sample in todo])
            jobs.append(Job(f"features of {todo[0].id}", f"gesta.tasks.features.blocks:{function}", own, key))
    total = Work(kept=sum(sample.id in held for sample in samples))
    failed, done, computing = [], total.kept, 0.0
    for job, outcome in outcomes(jobs, 1):
        done += len(job.arguments["samples"])
        if outcome.document is None:
            failed.append(f"{job.title}: {outcome.why}")
            continue
        work = work_of(outcome.document)
        computing += work.seconds
        for name in ("videos", "features", "network_seconds"):
            setattr(total, name, getattr(total, name) + getattr(work, name))
        total.skipped += work.skipped
        if progress:
            progress(done, len(samples))
    if failed:
        raise GestaError(
            f"{failed[0]} ({len(failed)} of {len(jobs)} blocks failed.) Run the command again to continue."
        )
    total.seconds = time.perf_counter() - begun
    total.network_seconds *= total.seconds / computing if computing else 0.0  # scaled to elapsed time of one process
    return total


def backbone_block(
    samples: Sequence[Sample],
    folder: Path,
    recipe: FeatureRecipe,
    block: str,
    source: str,
    engine: tuple[str | None, str, int],
    batch: int,
) -> dict[str, Any]:
    """Job: compute features with a backbone whose weights come from `source`. `engine`: name, device, threads."""
    ready = _engine(recipe, source, engine)
    return document_of(extract(samples, folder, recipe, ready, Settings(batch=batch, name=block)))


_engines: dict[tuple[Any, ...], Engine] = {}


def _engine(recipe: FeatureRecipe, source: str, engine: tuple[str | None, str, int]) -> Engine:
    """Return the engine, cached between jobs. Raises GestaError if this worker's weights differ from the command's."""
    key = (recipe.key, source, engine)
    if key not in _engines:
        weights = None if source == OFFICIAL else source
        ready = extractor(recipe.backbone, weights, stage=recipe.stage, pooled=recipe.pooled, size=recipe.size)
        if describe(ready)["weights"] != recipe.weights:
            raise GestaError(f"the weights {source} of {recipe.backbone} are not the same on every worker.")
        _engines.clear()
        _engines[key] = engine_for(engine[0], ready, *engine[1:])[1]
    return _engines[key]


def encoded_block(
    samples: Sequence[Sample],
    folder: Path,
    recipe: FeatureRecipe,
    block: str,
    model: str | None,
    every: int | None,
    at: Placement,
    stage: str | None = None,
) -> dict[str, Any]:
    """Job: compute vectors with the skeleton encoder or a model."""
    encode = skeleton_encoder(every)[1] if model is None else model_encoder(model, at, stage)[1]
    return document_of(encode_into(samples, folder, recipe, encode, Settings(name=block)))


def encode_into(
    samples: Sequence[Sample],
    out: Path,
    recipe: FeatureRecipe,
    encode: Encode,
    settings: Settings,
    progress: Progress | None = None,
) -> Work:
    """Encode the samples that are still missing into shards, in this process."""
    begun = time.perf_counter()
    todo = missing(samples, out, recipe, settings)
    work = Work(kept=todo.kept)
    for shard, group in itertools.groupby(zip(todo.shards, todo.samples, strict=True), key=lambda pair: pair[0]):
        found, sizes = {}, {}
        for _, sample in group:
            try:
                found[sample.id] = encode(sample)
            except GestaError as error:
                work.skipped.append(unreadable(sample, error))
                continue
            sizes[sample.id] = bytes_of(sample)
            work.features += len(found[sample.id])
        if found:
            write_shard(out, shard, found, recipe, sizes)
        work.videos += len(found)
        if progress:
            progress(work.kept + work.videos + len(work.skipped), len(samples))
    work.seconds = time.perf_counter() - begun
    return work
