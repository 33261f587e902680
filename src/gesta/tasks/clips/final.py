"""Retrains on all data after the choice, for deployment; no clips are held out for evaluation any more."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from gesta.bundle import io
from gesta.schema import GestaError, Sample
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.recipe import ClipRecipe
from gesta.training.run import Fitted, Run


def check(recipe: ClipRecipe) -> None:
    """Raises GestaError (usage) for a recipe whose choice cannot be repeated without held-out clips."""
    if recipe.continuous is not None:
        raise GestaError(
            f"--final: recipe {recipe.name} needs held-out recordings to choose the decoder. Leave --final out.",
            usage=True,
        )


def refitted(
    before: Fitted, samples: Sequence[Sample], recipe: ClipRecipe, run: Run, fit: Callable[..., Fitted]
) -> Fitted:
    """Retrains the candidate delivered `before` on all labeled samples; its metrics remain those measured before.

    `fit`: samples, recipe, run -> a training. The new bundle replaces the previous one.
    """
    delivered = before.metrics.get("baselines", {}).get("delivered")
    everything = [replace(s, split="train") for s in samples if s.label is not None]
    done = fit(everything, recipe.model_copy(update={"deliver": delivered}), replace(run, out=run.out / "final"))
    if done.rank != 0:
        return replace(done, bundle=before.bundle)
    held = int(before.metrics.get("val_clips", 0)) or before.metrics.get("baselines", {}).get("clips", 0)
    count = len(everything) - len(done.skipped)
    told = (
        f"after model selection, trained once more on all {count} clips; the accuracies are from the training before, "
        f"on {held} held-out clips"
    )
    metrics: dict[str, Any] = {**before.metrics, "final": told}
    last = io.read(done.bundle, ClipManifest)
    files = {a.file: last.read(a) for a in last.manifest.artifacts}
    manifest = last.manifest.model_copy(update={"metrics": metrics, "notes": (*last.manifest.notes, told)})
    io.write(before.bundle, manifest, files)
    shutil.rmtree(done.bundle)
    notes = (*before.notes, f"Final: {told}.")
    return replace(done, bundle=before.bundle, metrics=metrics, notes=notes, seconds=before.seconds + done.seconds)
