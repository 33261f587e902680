"""Mean of stored frame features and a linear layer, each person of a feature folder left out once.

    gesta features DATA --backbone efficientnet_lite0 --every 10 --out FEATURES
    python benchmarks/frame_features.py FEATURES iqbal/mean [SEED ...]

The recipe's settings hold (Adam at 0.01, 30 epochs), for any backbone; the last epoch counts.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from gesta.features.store import FeatureFolder
from gesta.training.sequences import fit_sequences, samples_of

from gesta.recipes.load import load_sequence_recipe


def right(features: Path, recipe_name: str, seed: int) -> tuple[int, int]:
    """(right answers, videos), over all people."""
    held = FeatureFolder(features)
    stage, backbone = held.recipe.stage, held.recipe.backbone
    changes = [f"features.backbone={backbone}", f"features.stage={stage}", "training.validation=false"]
    recipe = load_sequence_recipe(recipe_name, changes)
    samples = samples_of(held)
    found = total = 0
    for person in sorted({s.subject for s in samples if s.subject is not None}):
        fold = [replace(s, split="test" if s.subject == person else "train") for s in samples]
        with tempfile.TemporaryDirectory() as place:
            fitted = fit_sequences(features, recipe, Path(place), seed=seed, device="cpu", progress=False, samples=fold)
        count = fitted.metrics["test_clips"]
        found += round(fitted.metrics["test_accuracy"] * count)
        total += count
    return found, total


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, name, *seeds = sys.argv[1:]
    for seed in map(int, seeds or ("0",)):
        answers, videos = right(Path(folder), name, seed)
        print(f"{name}, seed {seed}: {answers} of {videos}")
