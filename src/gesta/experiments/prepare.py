"""Filling the cache of preprocessed clips before a training, so that the training decodes nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gesta.clips.cache import ClipCache, default_root
from gesta.experiments.parallel import Progress, key_of
from gesta.experiments.train import recipe_of, task_of
from gesta.schema import usable
from gesta.tasks.base import has, need


def folder_of(data: Path, recipe: str | None) -> Path:
    """Returns the folder in the cache for the record of a preparation."""
    return default_root() / "prepare" / f"{data.resolve().name}-{key_of(str(data.resolve()), recipe)[:8]}"


def prepare_data(
    data: Path,
    recipe: str | None = None,
    *,
    sets: Sequence[str] = (),
    layout: str | None = None,
    seed: int = 0,
    protocol: str = "subject",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Preprocesses the clips that `train` with the same arguments will read, here or on the active cluster.

    Returns clips, prepared (number not cached before), recipe, cache (see ClipCache.info), seconds and skipped. Raises
    GestaError like `train` before it starts, and (usage) for tasks that do not support preparation.
    """
    begun, task = time.monotonic(), task_of(data, recipe, layout)
    fill = need(task, "prepare_training", f"gesta data prepare {data}")
    chosen = recipe_of(task, recipe, sets)
    listing = usable(task.read(data, layout))
    parts = task.split(listing, seed, chosen.model_dump(), protocol)
    if has(task, "resolve"):
        chosen, _ = task.resolve(parts, chosen)  # type: ignore[attr-defined]
    prepared = 0

    def counted(done: int, total: int) -> None:
        nonlocal prepared
        prepared = done
        if progress is not None:
            progress(done, total)

    problems = fill(parts, chosen, counted)
    return {
        "clips": sum(sample.label is not None for sample in parts.listing.samples),
        "prepared": prepared,
        "recipe": chosen.name,
        "cache": ClipCache().info(),
        "seconds": round(time.monotonic() - begun, 3),
        "skipped": [{"path": p.path, "kind": p.kind, "reason": p.reason} for p in problems],
    }
