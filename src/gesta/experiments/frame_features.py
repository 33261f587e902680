"""Cross-validation of classifiers on frame features whose network has not seen the held-out people either.

The frame network (a spatio-temporal ResNet with context 1) is trained on the fold's training part; its features of
every frame are stored, and a classifier of `gesta.models.feature_classifier` is trained on those of the training part.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.experiments.parallel import Job, key_of
from gesta.experiments.trial import run_trial, trial_job
from gesta.recipes import Recipe
from gesta.tasks import catalog
from gesta.tasks.base import Parts
from gesta.tasks.feature_store import INDEX, FeatureFolder, FeatureRecipe, claim, listing_of, write_index, write_shard
from gesta.training.run import Run


def stored_job(
    title: str,
    parts: Parts,
    recipe: Recipe,
    folder: Path,
    seed: int,
    device: str = "auto",
    *,
    classifier: Recipe,
    features: Path,
) -> Job:
    """Like `trial_job`. `recipe`: for the frame network; `features`: folder of its features, shared by classifiers."""
    made = trial_job(title, parts, recipe, folder, seed, device)
    key = key_of(classifier.model_dump(mode="json"), made.key)
    arguments = {
        **made.arguments,
        "head": classifier,
        "store": features / made.key,
        "folder": folder / f"training-{key}",
    }
    function = "gesta.experiments.frame_features:run_stored_trial"
    return replace(made, function=function, arguments=arguments, key=key, result=folder / f"{key}.json")


def run_stored_trial(
    parts: Parts, recipe: Recipe, head: Recipe, store: Path, folder: Path, seed: int, device: str, **_: Any
) -> dict[str, Any]:
    """Runs `run_trial` for the classifier `head`, first storing the features if they do not exist yet."""
    if not (store / INDEX).exists():
        store_features(parts, recipe, store, seed, device)
    stored = Parts(listing_of(FeatureFolder(store)))
    return run_trial(head.task, stored, head, folder, seed, device)


def store_features(parts: Parts, recipe: Recipe, out: Path, seed: int, device: str) -> None:
    """Trains the frame network on "train" and stores its features of every frame of all samples in `out`."""
    from gesta.clips.cache import ClipCache

    cache, work = ClipCache(), out.with_name(f"{out.name}.training")
    fitted = catalog.find(recipe.task).fit(parts, recipe, Run(work, seed, device=device, progress=False))
    transform = catalog.read_bundle(fitted.bundle).manifest.transform
    skipped = [*cache.fill(parts.of("test"), transform), *fitted.skipped]
    broken = {problem.path for problem in skipped}
    samples = [s for s in parts.listing.samples if str(s.files[0]) not in broken]
    found = {s.id: frame_features(fitted.network, cache.load(s, transform).pixels) for s in samples}
    made = FeatureRecipe(fitted.recipe.model.name, out.name, "last", True, transform.size, None, 1)
    claim(out, made, parts.listing.layout)
    write_shard(out, "0000", found, made)
    write_index(out, samples, made, skipped)
    shutil.rmtree(work, ignore_errors=True)


def frame_features(network: Any, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Computes the network's features of each frame separately: uint8 [T, S, H, W, C] -> [T, D]."""
    import torch

    network.eval()
    device = next(network.parameters()).device
    clip = torch.from_numpy(np.array(pixels.transpose(1, 4, 0, 2, 3), order="C"))[None].to(device)  # 1 S C T H W
    with torch.inference_mode():
        return np.asarray(network.forward_sequences(clip)[0].cpu().numpy(), np.float32)
