"""Jobs for tables about actions: fine-tune a backbone, store features, train on them."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from gesta.experiments.parallel import Job, key_of
from gesta.experiments.trial import identity, run_trial
from gesta.files import write_whole
from gesta.recipes import Recipe
from gesta.schema import Listing
from gesta.tasks import catalog
from gesta.tasks.base import Parts
from gesta.tasks.features.recipe import StoredFeatures
from gesta.training.run import Run


def backbone_job(parts: Parts, recipe: Recipe, folder: Path, device: str) -> Job:
    """Returns a job that fine-tunes the image network and writes its weights."""
    key = key_of("backbone", recipe.model_dump(mode="json"), parts.listing.layout, identity(parts))
    leaves = folder / f"backbone-{key}.safetensors"
    arguments = {
        "task": catalog.DEFAULT,
        "parts": parts,
        "recipe": recipe,
        "folder": folder / f"training-{key}",
        "device": device,
        "leaves": leaves,
    }
    function = "gesta.experiments.action_trials:run_backbone"
    return Job("fine-tuning on single frames", function, arguments, key, folder / f"{key}.json", leaves)


def run_backbone(task: str, parts: Parts, recipe: Recipe, folder: Path, device: str, leaves: Path) -> dict[str, Any]:
    """Trains a spatio-temporal ResNet with context 1, i.e. an image network on single frames."""
    import safetensors.torch

    started = time.monotonic()
    fitted = catalog.find(task).fit(parts, recipe, Run(folder, device=device, progress=False))
    tensors = fitted.network.network.state_dict()
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_whole(leaves, safetensors.torch.save(content))
    shutil.rmtree(folder, ignore_errors=True)
    return {"validation": fitted.metrics, "seconds": time.monotonic() - started}


def feature_job(
    listing: Listing,
    out: Path,
    wanted: StoredFeatures,
    backbone: str,
    size: int | None,
    weights: str | None,
    tuned: Job | None,
    letterbox: bool = False,
) -> Job:
    """Returns a job that stores features; `tuned`: the job whose network computes them."""
    given = weights if tuned is None else str(tuned.leaves)
    made_by = weights if tuned is None else tuned.key
    content = identity(Parts(listing))
    fitted = ("letterbox",) if letterbox else ()
    key = key_of("features", listing.layout, content, wanted.model_dump(), backbone, size, made_by, *fitted)
    leaves = out / "features" / key
    arguments = {
        "listing": listing,
        "wanted": wanted,
        "backbone": backbone,
        "size": size,
        "weights": given,
        "leaves": leaves,
        "letterbox": letterbox,
    }
    title = f"features of {backbone}, {wanted.stage or 'last stage'}"
    function = "gesta.experiments.action_trials:run_features"
    return Job(title, function, arguments, key, out / "rows" / f"{key}.json", leaves)


def run_features(
    listing: Listing,
    wanted: StoredFeatures,
    backbone: str,
    size: int | None,
    weights: str | None,
    leaves: Path,
    letterbox: bool,
) -> dict[str, Any]:
    """Stores the features of all samples, like `gesta features`."""
    from gesta.tasks.feature_store import FeatureRecipe
    from gesta.tasks.features.backbones import describe, extractor
    from gesta.tasks.features.extraction import Machines, run

    started = time.monotonic()
    ready = extractor(backbone, weights, stage=wanted.stage, size=size)
    recipe = FeatureRecipe(**describe(ready), frames=wanted.frames, every=wanted.every, letterbox=letterbox)
    summary = run(listing, leaves, ready, recipe, machines=Machines(device="auto", threads=1))
    videos = 0 if summary is None else summary.videos
    return {"videos": videos, "folder": str(leaves), "seconds": time.monotonic() - started}


def sequence_job(
    title: str, features: Job, recipe: Recipe, folder: Path, seed: int, device: str, start: Job | None = None
) -> Job:
    """Returns a job that trains a classifier on stored features and writes its bundle; `start`: job to start from."""
    key = key_of(recipe.model_dump(mode="json"), seed, features.key, None if start is None else start.key)
    place = folder / f"training-{key}"
    arguments = {
        "features": features.leaves,
        "recipe": recipe,
        "folder": place,
        "seed": seed,
        "device": device,
        "start": None if start is None else start.leaves,
    }
    function = "gesta.experiments.action_trials:run_sequence"
    return Job(title, function, arguments, key, folder / f"{key}.json", place / "bundle")


def run_sequence(
    features: Path, recipe: Recipe, folder: Path, seed: int, device: str, start: Path | None
) -> dict[str, Any]:
    """Runs `run_trial` on stored features; the splits are the same in every row of a seed."""
    task = catalog.of_data(features)
    parts = task.split(task.read(features), seed, recipe.model_dump())
    return run_trial(task.name, parts, recipe, folder, seed, device, start, keep=True)
