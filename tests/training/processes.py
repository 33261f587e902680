"""Trains as learnable.py does, in a program of its own, and prints each epoch's losses as JSON.

    python processes.py OUT DEVICES BATCH c3d|frozen

c3d has no batch normalization; of "frozen", the 3D-CNN, everything but the last layer stays as it is. Neither has
dropout, so that nothing is drawn and nothing counted but what the batch decides.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from calls import fit
from torch import nn
from training.learnable import MemoryStore, samples, tiny

from gesta.clips.sampling import to_network
from gesta.models.catalog import build
from gesta.tasks.clips.facts import transform_for
from gesta.tasks.clips.recipe import ClipRecipe

SAME = (
    "training.epochs=3",
    "training.optimizer=sgd",
    "training.learning_rate=0.02",
    "training.schedule=constant",
    "model.dropout=0",
    "model.memory=0",
    "input.window=16",
    "augmentation.window=null",
)


def with_statistics(recipe: ClipRecipe) -> nn.Module:
    """A random 3D-CNN whose normalization has the statistics of the clips."""
    transform = transform_for(recipe, samples(30))
    clips = [MemoryStore().load(sample, transform).pixels for sample in samples(12)]
    torch.manual_seed(0)
    streams, channels = len(transform.streams), len(transform.channels)
    network = build("cnn3d", classes=3, streams=streams, channels=channels, size=16, window=16, width=0.125)
    with torch.no_grad():
        for _ in range(30):
            network(torch.from_numpy(to_network(clips, transform.chunk)[0]))
    return network


def main(out: Path, devices: int, batch: int, which: str) -> None:
    torch.set_num_threads(1)
    changes = (*SAME, f"training.batch={batch}")
    if which == "c3d":
        recipe, network = tiny("c3d-small", *changes), None
    else:
        recipe = tiny("mullick/cnn3d", *changes, "training.freeze=all")
        network = with_statistics(recipe)
    result = fit(
        samples(30),  # 24 of them train: three whole batches of 8 in one process, of 2 x 4 in two
        recipe,
        out,
        layout="memory",
        devices=devices,
        device="cpu",
        progress=False,
        cache=MemoryStore(),
        network=network,
    )
    if result.rank == 0:
        print(json.dumps([{k: row[k] for k in ("train_loss", "val_loss")} for row in result.history]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
