"""Structured pruning of clip recognizers: removes whole channels, for smaller and faster models on every engine.

A channel's importance is the first-order change of the loss when everything that reads it reads zero: over batches of
training clips, the mean of |sum w dL/dw| over the reading weights (Molchanov et al. 2019, without their square, so that
changes of several channels add up), divided by the number of weights that go with it. The least important channels of
all layers together are removed. torch-pruning (1.6.1) was tried and does not fit: it does not see convolutions that are
computed unrolled in time, and fails with an IndexError on these networks with plain ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from gesta.bundle import io
from gesta.bundle.io import Bundle
from gesta.schema import GestaError, Sample
from gesta.tasks.clips.channels import Channels, cost, layers_of, parameters_left, taken, widths_of
from gesta.tasks.clips.export import examples
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.network import as_input, load_network
from gesta.training.machine import accelerator_of

CLIPS, BATCH = 256, 8
"""Number of training clips for scoring channels, and batch size."""
TEMPERATURE = 4.0
"""Temperature of the logits for scoring, so that memorized clips still have a gradient."""
MULTIPLE = 4
"""Layers with at least twice as many channels keep a multiple of this: odd numbers are slow on many machines."""
LEAST = 1 / 8
"""Minimum fraction of a layer's channels that one step keeps."""

Weights = Mapping[str, NDArray[Any]]
Judged = Sequence[tuple[NDArray[np.uint8], int]]
"""Preprocessed clips with their class indices."""


def narrowed(
    bundle: Bundle[ClipManifest], samples: Sequence[Sample], parameters: int, device: str = "cpu"
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Prunes the least important channels, judged on training clips, to at most `parameters`: (weights, recipe).

    Raises GestaError for a network whose channels cannot be pruned, a number that one step cannot reach, and no clips.
    """
    weights = io.load_weights(bundle)
    layers = layers_of(weights)  # refuse networks whose channels cannot be pruned before preprocessing clips
    keep = chosen(weights, layers, scores(bundle, layers, judged(bundle, samples), device), parameters)
    left = taken(weights, layers, keep)
    model = {**bundle.manifest.recipe["model"], "layers": widths_of(left)}
    return left, {**bundle.manifest.recipe, "model": model}


def judged(bundle: Bundle[ClipManifest], samples: Sequence[Sample]) -> Judged:
    """Returns up to CLIPS training clips of the bundle's classes, spread evenly. Raises GestaError for none."""
    labels = bundle.manifest.labels
    train = [s for s in samples if s.split == "train" and s.label in labels]
    found = examples(bundle.manifest, train, CLIPS, "training") if train else None
    if found is None or not found.inputs:
        raise GestaError(
            f"{bundle.path}: channel pruning needs training recordings of the bundle's classes; there are none."
        )
    return [(pixels, labels.index(label)) for pixels, label in zip(found.inputs, found.truth, strict=True)]


def scores(
    bundle: Bundle[ClipManifest], layers: Sequence[Channels], clips: Judged, device: str = "cpu"
) -> dict[str, NDArray[np.float64]]:
    """Returns per layer each channel's score [channels]: mean over batches of |sum w dL/dw| of the weights reading it.

    L: cross entropy of the logits divided by TEMPERATURE.
    """
    place = accelerator_of(device)
    network = load_network(bundle).to(place).requires_grad_(True)
    for module in network.modules():
        if isinstance(module, nn.LSTM):
            module.train()  # cuDNN needs training mode for gradients of LSTMs; there is no dropout
    tensors = dict(network.named_parameters())
    total = {layer.name: np.zeros(layer.count) for layer in layers}
    for first in range(0, len(clips), BATCH):
        part = clips[first : first + BATCH]
        logits = network(*as_input([clip for clip, _ in part], bundle.manifest.transform, place))
        network.zero_grad()
        F.cross_entropy(logits / TEMPERATURE, torch.tensor([target for _, target in part], device=place)).backward()
        for layer in layers:
            total[layer.name] += _change(layer, tensors).abs().double().cpu().numpy()
    return total


@torch.no_grad()
def _change(layer: Channels, tensors: Mapping[str, Tensor]) -> Tensor:
    """Returns the first-order change of the loss [channels] if all readers of a channel read zero."""
    change = torch.zeros(layer.count, device=tensors[layer.readers[0].tensor].device)
    for reader in layer.readers:
        weight = tensors[reader.tensor]
        assert weight.grad is not None
        product = (weight * weight.grad)[:, reader.first : reader.first + layer.count * reader.each]
        change += product.reshape(len(weight), layer.count, -1).sum((0, 2))
    return change


def chosen(
    weights: Weights, layers: Sequence[Channels], found: Mapping[str, NDArray[np.float64]], parameters: int
) -> dict[str, NDArray[np.bool_]]:
    """Selects the channels to keep, at most `parameters` in total: the best by score per weight, over all layers.

    Every layer keeps LEAST of its channels, and a multiple of MULTIPLE. Raises GestaError if that is still too many.
    """
    worth = {layer.name: found[layer.name] / cost(layer, weights) for layer in layers}
    bars = np.concatenate([[0.0], np.unique(np.concatenate(list(worth.values()))), [np.inf]])

    def counts(bar: float) -> dict[str, int]:
        return {layer.name: _allowed(layer.count, int((worth[layer.name] >= bar).sum())) for layer in layers}

    low, high = 0, len(bars) - 1  # the lowest threshold that keeps few enough is in (low, high]
    least = parameters_left(weights, layers, counts(bars[high]))
    if least > parameters:
        raise GestaError(
            f"channel pruning to {parameters:,} parameters takes more than one step: it leaves at least {least:,}, "
            "an eighth of every layer. Use more --steps, or keep more."
        )
    if parameters_left(weights, layers, counts(bars[low])) <= parameters:
        high = low
    while high - low > 1:
        middle = (low + high) // 2
        if parameters_left(weights, layers, counts(bars[middle])) <= parameters:
            high = middle
        else:
            low = middle
    keep = {}
    for layer in layers:
        best = np.argsort(-worth[layer.name], kind="stable")[: counts(bars[high])[layer.name]]
        keep[layer.name] = np.isin(np.arange(layer.count), best)
    return keep


def _allowed(count: int, wanted: int) -> int:
    """Returns the next permitted number of channels for a layer of `count`."""
    multiple = MULTIPLE if count >= 2 * MULTIPLE else 1
    return min(count, multiple * math.ceil(max(wanted, LEAST * count) / multiple))
