"""Retrains on all data after the choice, for deployment; no clips are held out for evaluation any more."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gesta.bundle import io
from gesta.schema import Sample
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.recipe import ClipRecipe
from gesta.training.run import Fitted, Run
from gesta.words import counted


def refitted(
    before: Fitted, samples: Sequence[Sample], recipe: ClipRecipe, run: Run, fit: Callable[..., Fitted]
) -> Fitted:
    """Retrains the candidate delivered `before` on all labeled samples; its metrics and its decoder remain those of
    `before`.

    `fit`: samples, recipe, run -> a training. The new bundle replaces the previous one.
    """
    delivered = before.metrics.get("baselines", {}).get("delivered")
    everything = [replace(s, split="train") for s in samples if s.label is not None]
    done = fit(everything, recipe.model_copy(update={"deliver": delivered}), replace(run, out=run.out / "final"))
    if done.rank != 0:
        return replace(done, bundle=before.bundle)
    count = len(everything) - len(done.skipped)
    told = (
        f"after model selection, trained once more on all {count} clips; the accuracies are from the training before, "
        f"on {_held(before.metrics)}"
    )
    metrics: dict[str, Any] = {**before.metrics, "final": told}
    last = io.read(done.bundle, ClipManifest)
    files = {a.file: last.read(a) for a in last.manifest.artifacts}
    chosen = {"metrics": metrics, "decoder": io.read(before.bundle, ClipManifest).manifest.decoder}
    manifest = last.manifest.model_copy(update={**chosen, "notes": (*last.manifest.notes, told)})
    io.write(before.bundle, manifest, files)
    shutil.rmtree(done.bundle)
    notes = (*before.notes, f"Final: {told}.")
    return replace(done, bundle=before.bundle, metrics=metrics, notes=notes, seconds=before.seconds + done.seconds)


def _held(metrics: Mapping[str, Any]) -> str:
    """What the accuracies were measured on."""
    if "val_events" in metrics:
        return f"{counted(int(metrics['val_events']), 'gesture')} of held-out recordings, which the decoder is tuned on"
    clips = int(metrics.get("val_clips", 0)) or metrics.get("baselines", {}).get("clips", 0)
    return f"{clips} held-out clips"
