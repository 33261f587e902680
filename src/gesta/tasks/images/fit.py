"""Train classifiers of single images: the same stage as for clips, on images in memory."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gesta.models.catalog import build_image
from gesta.schema import GestaError
from gesta.sources.cifar import Images
from gesta.tasks.images.recipe import ImageRecipe
from gesta.training.checkpoints import full_disk_explained, seed_everything
from gesta.training.classify import BEST_BY, Classify
from gesta.training.data import Batch, ByIndex, TrainingData
from gesta.training.run import Fitted, Run
from gesta.training.stage import Stage, run_stage

EVALUATED = 250
"""Batch size for recognition."""


@dataclass
class ImageExamples(ByIndex):
    """Images by index, batched in the format of clips: clip uint8 [B, C, H, W], one "frame" long."""

    images: Images
    epoch: int = 0

    def __len__(self) -> int:
        return len(self.images)

    def collate(self, items: Sequence[int]) -> Batch:
        chosen = self.images.take(np.asarray(items))
        return {
            "clip": to_images(chosen.pixels),
            "lengths": torch.ones(len(items), dtype=torch.int64),
            "target": torch.from_numpy(chosen.labels),
            "start": torch.zeros(len(items), dtype=torch.int64),
        }


def to_images(pixels: NDArray[np.uint8]) -> torch.Tensor:
    """Convert uint8 [N, H, W, C] to [N, C, H, W]; memory layout stays channels-last."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def fit(train: Images, val: Images, recipe: ImageRecipe, run: Run) -> Fitted:
    """Train the recipe's network on `train` and keep the best epoch on `val` (without `val`: the last epoch).

    Writes logs and checkpoints to run.out, but no bundle. Raises GestaError if the parts have different classes or the
    disk is full, and LossNotFinite (a GestaError) if training diverges.
    """
    if train.classes != val.classes:
        raise GestaError("The training and validation images have different classes. Use images of one data set.")
    settings, started = recipe.training, time.perf_counter()
    assert isinstance(settings.epochs, int) and isinstance(settings.batch, int)
    identity = {"recipe": recipe.model_dump(mode="json"), "seed": run.seed, "number of training images": len(train)}
    seed_everything(run.seed)
    try:
        network = build_image(classes=len(train.classes), **recipe.model.model_dump())
    except ValueError as error:
        raise GestaError(f"recipe {recipe.name}: {recipe.model.name} cannot be built: {error}", usage=True) from error
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    stage = Stage("training", 1, recipe.name, settings.epochs, settings, run, identity, BEST_BY)
    data = TrainingData(ImageExamples(train), ImageExamples(val), settings.batch, run.seed)
    with full_disk_explained(run.out):
        run.out.mkdir(parents=True, exist_ok=True)
        history, best, rank = run_stage(stage, network, data, lambda steps: Classify(network, settings, steps=steps))
    metrics = {k: v for k, v in best.items() if k.startswith(("val_", "train_"))}
    metrics |= {"best_epoch": int(best["epoch"]), "epochs": len(history)}
    seconds = time.perf_counter() - started
    return Fitted(run.out / "bundle", metrics, history, seconds, recipe, rank=rank, network=network)


def recognize(network: nn.Module, pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the class of each image: pixels [N, H, W, C] -> int64 [N]."""
    device = next(network.parameters()).device
    network.eval()
    with torch.inference_mode():
        parts = [
            network(to_images(pixels[start : start + EVALUATED]).to(device)).argmax(1).cpu().numpy()
            for start in range(0, len(pixels), EVALUATED)
        ]
    return np.concatenate(parts)


def weights_of(network: nn.Module) -> dict[str, NDArray[Any]]:
    """Return the parameters and buffers by name, as arrays."""
    return {name: tensor.detach().cpu().contiguous().numpy().copy() for name, tensor in network.state_dict().items()}


def with_weights(network: nn.Module, weights: Mapping[str, NDArray[Any]]) -> nn.Module:
    """Load the weights into the network and return it."""
    network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in weights.items()})
    return network
