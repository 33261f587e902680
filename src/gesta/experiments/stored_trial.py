"""A classifier of frame features whose network never saw the people it is measured on: crossval's other trial.

The frame network (a spatio-temporal ResNet of context 1) trains on the fold's training part; its features of every
frame are stored, and a classifier of `gesta.models.sequence` learns on those of the training part.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.experiments.parallel import Job, key_of
from gesta.experiments.trial import identity
from gesta.schema import Sample
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.recipe import ClipRecipe
from gesta.tasks.features.recipe import FeatureClassifierRecipe


def stored_job(
    title: str,
    train: Sequence[Sample],
    test: Sequence[Sample],
    recipe: ClipRecipe,
    folder: Path,
    layout: str,
    seed: int,
    device: str = "auto",
    *,
    classifier: FeatureClassifierRecipe,
    features: Path,
) -> Job:
    """As `trial_job`. `recipe`: of the frame network; `features`: where its features are kept for other classifiers."""
    made = key_of(recipe.model_dump(mode="json"), seed, layout, identity(train), identity(test))
    key = key_of(classifier.model_dump(mode="json"), made)
    arguments = {
        "train": train,
        "test": test,
        "recipe": recipe,
        "classifier": classifier,
        "features": features / made,
        "folder": folder / f"training-{key}",
        "layout": layout,
        "seed": seed,
        "device": device,
    }
    return Job(title, "gesta.experiments.stored_trial:run_stored_trial", arguments, key, folder / f"{key}.json")


def run_stored_trial(
    train: Sequence[Sample],
    test: Sequence[Sample],
    recipe: ClipRecipe,
    classifier: FeatureClassifierRecipe,
    features: Path,
    folder: Path,
    layout: str,
    seed: int,
    device: str,
) -> dict[str, Any]:
    """Returns of `run_trial`'s values accuracy, n, errors, seed, parameters, history, skipped and seconds."""
    from gesta.tasks.features.fit import FeatureSet, fit_sequences, probabilities
    from gesta.tasks.features.store import INDEX, FeatureFolder

    begun = time.monotonic()
    if not (features / INDEX).exists():
        store_features(train, test, recipe, features, layout=layout, seed=seed, device=device)
    held = FeatureFolder(features)
    ids = {entry.id for entry in held.entries}
    known = [s for s in (*train, *test) if s.id in ids]
    fitted = fit_sequences(features, classifier, folder, seed=seed, device=device, progress=False, samples=known)
    shown = [s for s in known if s.split == "test"]
    sequences = FeatureSet([held.load(s.id) for s in shown], [0] * len(shown))
    answers = probabilities(fitted.network, sequences).argmax(1)
    pairs = [(s, fitted.labels[int(answer)]) for s, answer in zip(shown, answers, strict=True)]
    errors = [{"id": s.id, "truth": s.label, "predicted": said} for s, said in pairs if s.label != said]
    shutil.rmtree(folder, ignore_errors=True)
    seconds = time.monotonic() - begun
    return {
        "accuracy": (len(shown) - len(errors)) / len(shown),
        "n": len(shown),
        "errors": errors,
        "seed": seed,
        "parameters": sum(tensor.numel() for tensor in fitted.network.parameters()),
        "history": fitted.history,
        "skipped": [asdict(problem) for problem in held.skipped],
        "seconds": seconds,
        "training_seconds": seconds,
    }


def store_features(
    train: Sequence[Sample],
    test: Sequence[Sample],
    recipe: ClipRecipe,
    out: Path,
    *,
    layout: str,
    seed: int,
    device: str,
) -> None:
    """Trains the frame network on `train` and leaves its features of every frame of all samples in `out`."""
    from gesta.bundle import io
    from gesta.clips.cache import ClipCache
    from gesta.tasks.clips.fit import fit, settle_for
    from gesta.tasks.clips.network import load_network
    from gesta.tasks.features.store import FeatureRecipe, claim, write_index, write_shard

    settled, notes = settle_for(train, recipe)
    cache = ClipCache()
    work = out.with_name(f"{out.name}.training")
    fitted = fit(
        train, settled, work, layout=layout, seed=seed, device=device, notes=notes, progress=False, cache=cache
    )
    bundle = io.read(fitted.bundle, ClipManifest)
    network, transform = load_network(bundle), bundle.manifest.transform
    skipped = list(cache.fill(test, transform)) + list(fitted.skipped)
    broken = {problem.path for problem in skipped}
    samples = [s for s in (*train, *test) if str(s.files[0]) not in broken]
    found = {s.id: frame_features(network, cache.load(s, transform).pixels) for s in samples}
    made = FeatureRecipe(settled.model.name, out.name, "last", True, transform.size, None, 1)
    claim(out, made, layout)
    write_shard(out, "0000", found, made)
    write_index(out, samples, made, skipped)
    shutil.rmtree(work, ignore_errors=True)


def frame_features(network: Any, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """uint8 [T, S, H, W, C] -> the network's features of each frame by itself, [T, D]."""
    import torch

    network.eval()
    clip = torch.from_numpy(np.ascontiguousarray(pixels.transpose(1, 4, 0, 2, 3)))[None]  # 1 S C T H W
    with torch.inference_mode():
        return np.asarray(network.forward_sequences(clip)[0].cpu().numpy(), np.float32)
