"""Whether the CIFAR networks train at the document's fixed rates (Mullick 2018, chapter 4), on 64 generated images.

SGD at 0.3 with momentum 0.9, or Adam at 0.003; weight decay 1e-6, no schedule, no clipping, no dropout. Prints the loss
of a batch; chance is 2.30. Minutes on one core:

    gesta data make cifar10 IMAGES --images 100
    python benchmarks/cifar_overfit.py IMAGES vgg --updates 200
    python benchmarks/cifar_overfit.py IMAGES resnet_cifar --size 16 --batch 32 --updates 80
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from gesta.models.catalog import IMAGE_MODELS, build_image
from gesta.sources import cifar

IMAGES, EVERY = 64, 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path, help="folder in CIFAR-10's layout")
    parser.add_argument("network", choices=sorted(IMAGE_MODELS))
    parser.add_argument("--optimizer", choices=("sgd", "adam"), default="sgd")
    parser.add_argument("--size", type=int, default=32, help="pixels on a side: 32, or 16 for every second one")
    parser.add_argument("--batch", type=int, default=IMAGES)
    parser.add_argument("--updates", type=int, default=200)
    given = parser.parse_args()
    part, _ = cifar.read(given.images, "cifar10")
    pixels = np.ascontiguousarray(part.pixels[:IMAGES].transpose(0, 3, 1, 2))[
        :, :, :: 32 // given.size, :: 32 // given.size
    ]
    clips, labels = torch.from_numpy(pixels.copy()), torch.from_numpy(np.asarray(part.labels[:IMAGES])).long()
    torch.manual_seed(0)
    network = build_image(given.network, classes=10, dropout=0.0).train()
    if given.optimizer == "sgd":
        optimizer = torch.optim.SGD(network.parameters(), lr=0.3, momentum=0.9, weight_decay=1e-6)
    else:
        optimizer = torch.optim.Adam(network.parameters(), lr=0.003, weight_decay=1e-6)
    drawn = torch.Generator().manual_seed(0)
    updates = 0
    while updates < given.updates:
        for batch in torch.randperm(IMAGES, generator=drawn).split(given.batch):
            loss = F.cross_entropy(network(clips[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            updates += 1
            if updates % EVERY == 0:
                print(f"{updates} updates: loss {loss.item():.3f}", flush=True)


if __name__ == "__main__":
    main()
