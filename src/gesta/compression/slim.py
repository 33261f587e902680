"""Slimming: whole channels go, so that the network is smaller and faster on every engine, with training between.

A channel counts as much as the loss changes when everything that reads it reads zero, to first order: over batches of
training clips the mean of |sum w dL/dw| over the reading weights (Molchanov et al. 2019, without their square, so that
changes of several channels add up), divided by the weights that go with it. Those that count least go, of all layers
together. torch-pruning (1.6.1) was tried and does not fit: it sees no convolution that is computed unrolled in time,
and stops with an IndexError on these networks with the plain ones.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from gesta.bundle import io
from gesta.bundle.io import Bundle
from gesta.clips.cache import ClipCache
from gesta.clips.sampling import to_network
from gesta.compression.channels import Channels, cost, layers_of, parameters_left, taken, widths_of
from gesta.compression.prune import fine_tune, recipe_of
from gesta.compression.store import Step, stored_precision, write
from gesta.compression.weights import Precision, Weights, count
from gesta.exporting.run import prepared
from gesta.schema import Clip, GestaError, Sample
from gesta.tasks.clips.distil import Teacher, teachers_of
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.network import load_network
from gesta.training.stage import Machine

CLIPS, BATCH = 256, 8
"""Training clips that channels are judged on, and how many at once."""
TEMPERATURE = 4.0
"""Logits are divided by it when channels are judged: what is known by heart still has a gradient."""
MULTIPLE = 4
"""A layer of at least twice as many channels is left a multiple of it: odd numbers are slow on many machines."""
LEAST = 1 / 8
"""Share of a layer's channels that one step leaves at least."""


@dataclass(frozen=True)
class Slimming:
    """How many parameters stay: the share `keep`, or `parameters` of them.

    `steps` goes there gradually, by the same factor each, every step followed by `epochs` of fine-tuning (0: none).
    `sets` changes the fine-tuning's recipe, which is the bundle's own: "training.learning_rate=1e-4".
    """

    keep: float = 0.5
    parameters: int | None = None
    steps: int = 1
    epochs: int = 0
    sets: tuple[str, ...] = ()

    def check(self) -> None:
        """Raises GestaError (usage) for numbers that make no sense."""
        if not 0 < self.keep <= 1 or (self.parameters is not None and self.parameters < 1):
            raise GestaError("--keep is above 0 and at most 1, e.g. 0.5; --parameters is at least 1.", usage=True)
        if self.steps < 1 or self.epochs < 0:
            raise GestaError("--steps is at least 1 and --epochs at least 0.", usage=True)


def slim(
    bundle: Path | str,
    out: Path,
    how: Slimming | None = None,
    *,
    samples: Sequence[Sample],
    measured: Sequence[Sample] = (),
    layout: str = "",
    precision: Precision | None = None,
    teachers: Sequence[Teacher] = (),
    seed: int = 0,
    device: str = "auto",
    cache: ClipCache | None = None,
    progress: bool = True,
) -> Step:
    """The bundle with fewer channels, at `out`; their numbers stand in its recipe's `model.layers`.

    `samples` (splits train and val, of `layout`): channels are judged on the training part, and the network is
    fine-tuned on it, with a teacher where `how.sets` names one ("teacher=BUNDLE"; `teachers`: opened already).
    `measured`: accuracy before and after on them. Raises GestaError for numbers that make no sense or cannot be
    reached, a bundle without weights or of a network that is not slimmed, or data that do not fit it.
    """
    how = how or Slimming()
    how.check()
    source = io.read(bundle, ClipManifest)
    weights: Weights = io.load_weights(source)
    layers_of(weights)  # a network that cannot be slimmed is refused before clips are prepared
    before = count(weights)[0]
    wanted = min(how.parameters or math.ceil(how.keep * before), before)
    recipe = recipe_of(source, how.epochs, how.sets) if how.epochs else None
    lesson = teachers or (teachers_of(recipe) if recipe else ())
    store = cache or ClipCache()
    clips = _clips(source, samples, store)
    current = source
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(1, how.steps + 1):
            goal = round(before * (wanted / before) ** (number / how.steps))
            current = narrowed(current, clips, goal, Path(scratch) / f"{number}", device)
            if recipe is not None:
                weights = fine_tune(
                    current,
                    io.load_weights(current),
                    {},
                    samples,
                    recipe,
                    layout=layout,
                    teachers=lesson,
                    seed=seed,
                    device=device,
                    progress=progress,
                    cache=store,
                )
                current = _resized(current, weights, Path(scratch) / f"{number}-tuned")
        weights = io.load_weights(current)
    trained = f", {how.steps} x {how.epochs} epochs of fine-tuning" if how.epochs else ""
    return write(
        Bundle(source.path, source.manifest.model_copy(update={"recipe": current.manifest.recipe})),
        out,
        weights,
        precision=precision or stored_precision(source),
        done=f"slimmed ({count(weights)[0] / before:.1%} of {before:,} parameters stay{trained})",
        metrics={"fine_tuning_epochs": how.steps * how.epochs} if how.epochs else {},
        samples=measured,
        cache=cache,
        layout=layout or None,
    )


def narrowed(
    bundle: Bundle, clips: Sequence[tuple[Clip, int]], parameters: int, folder: Path, device: str = "cpu"
) -> Bundle:
    """A bundle at `folder` with at most `parameters`, those channels left that count most on the clips."""
    weights = io.load_weights(bundle)
    layers = layers_of(weights)
    keep = chosen(weights, layers, scores(bundle, layers, clips, device), parameters)
    return _resized(bundle, taken(weights, layers, keep), folder)


def scores(
    bundle: Bundle, layers: Sequence[Channels], clips: Sequence[tuple[Clip, int]], device: str = "cpu"
) -> dict[str, NDArray[np.float64]]:
    """Of every layer, how much each channel counts [channels]: mean over batches of |sum w dL/dw| of what reads it.

    `clips` with the numbers of their classes. L: cross entropy of the logits divided by TEMPERATURE.
    """
    place = Machine(device).accelerator
    network = load_network(bundle).to(place).requires_grad_(True)
    for module in network.modules():
        if isinstance(module, nn.LSTM):
            module.train()  # cuDNN has no gradient of it otherwise; it has no dropout
    tensors = dict(network.named_parameters())
    total = {layer.name: np.zeros(layer.count) for layer in layers}
    for first in range(0, len(clips), BATCH):
        part = clips[first : first + BATCH]
        pixels, lengths = to_network([clip.pixels for clip, _ in part], bundle.manifest.transform.chunk)
        logits = network(torch.from_numpy(pixels).to(place), torch.from_numpy(lengths).to(place))
        network.zero_grad()
        F.cross_entropy(logits / TEMPERATURE, torch.tensor([target for _, target in part], device=place)).backward()
        for layer in layers:
            total[layer.name] += _change(layer, tensors).abs().double().cpu().numpy()
    return total


@torch.no_grad()
def _change(layer: Channels, tensors: Mapping[str, Tensor]) -> Tensor:
    """First-order change of the loss [channels] when all that read a channel read zero."""
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
    """The channels that stay so that at most `parameters` are left: the best by score over weights, of all layers.

    Every layer keeps LEAST of its channels, and a multiple of MULTIPLE. Raises GestaError if that is still too many.
    """
    worth = {layer.name: found[layer.name] / cost(layer, weights) for layer in layers}
    bars = np.concatenate([[0.0], np.unique(np.concatenate(list(worth.values()))), [np.inf]])

    def counts(bar: float) -> dict[str, int]:
        return {layer.name: _allowed(layer.count, int((worth[layer.name] >= bar).sum())) for layer in layers}

    low, high = 0, len(bars) - 1  # the lowest bar that leaves few enough lies in (low, high]
    least = parameters_left(weights, layers, counts(bars[high]))
    if least > parameters:
        raise GestaError(
            f"slimming to {parameters:,} parameters takes more than one step: it leaves at least {least:,}, an eighth "
            "of every layer. Give more --steps, or keep more."
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
    """The next number of channels that a layer of `count` may be left."""
    multiple = MULTIPLE if count >= 2 * MULTIPLE else 1
    return min(count, multiple * math.ceil(max(wanted, LEAST * count) / multiple))


def _clips(source: Bundle, samples: Sequence[Sample], cache: ClipCache) -> list[tuple[Clip, int]]:
    """Training clips of the bundle's classes, at most CLIPS, spread evenly. Raises GestaError if there are none."""
    labels = source.manifest.labels
    train = [s for s in samples if s.split == "train" and s.label in labels]
    clips = prepared(train, source.manifest.transform, CLIPS, cache)
    if not clips:
        raise GestaError(f"{source.path}: slimming needs training recordings of the bundle's classes; there are none.")
    return [(clip, labels.index(str(clip.label))) for clip in clips]


def _resized(source: Bundle, weights: Weights, folder: Path) -> Bundle:
    """The bundle with a network of these weights' widths, at `folder`."""
    model = {**source.manifest.recipe["model"], "layers": widths_of(weights)}
    recipe = {**source.manifest.recipe, "model": model}
    resized = Bundle(source.path, source.manifest.model_copy(update={"recipe": recipe}))
    write(resized, folder, weights, precision="fp32", done="resized")
    return io.read(folder, ClipManifest)
